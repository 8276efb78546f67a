"""The only place that reads CSV: any common dialect, whole or a chunk at a time by the same steps."""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from io import TextIOBase
from itertools import chain
from typing import cast

import pandas as pd

from propensity.errors import InputError
from propensity.schema import normalise_name

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_CHARACTERS = 64 * 1024
# More are no table that anyone made: lines without ends look so.
MAX_COLUMNS = 50_000
# Of a file that is looked through once to tell how it is encoded.
BLOCK_BYTES = 1 << 20
_LINE_END = re.compile(r"\r\n|\n|\r(?!\Z)")


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a CSV file is written."""

    encoding: str
    delimiter: str
    is_row_quoted: bool = False


def parse_csv(content: bytes, *, name: str) -> pd.DataFrame:
    r"""Read CSV bytes of any common dialect; every cell stays the text it is.

    Parameters
    ----------
    content : bytes
    name : str
        The file, for messages.

    Returns
    -------
    DataFrame of str
        Empty cells are empty text, and so are those a row lacks at its end: spreadsheets leave them out.

    Raises
    ------
    InputError
        Not a table, or rows hold more cells than the header has names.

    Examples
    --------
    >>> parse_csv("id;job\n007;'chief'\n".encode("utf-16"), name="leads.csv").to_dict("records")
    [{'id': '007', 'job': "'chief'"}]
    """
    text = content.decode(sniff_encoding(content), errors="replace")
    return next(csv_chunks(lambda: io.StringIO(text, newline=""), name=name, n_rows=None))


def csv_chunks(
    open_text: Callable[[], TextIOBase], *, name: str, n_rows: int | None, columns: Collection[str] | None = None
) -> Iterator[pd.DataFrame]:
    """Read CSV so many rows at a time.

    Parameters
    ----------
    open_text : callable
        Gives the text from its beginning, line ends as they are; called as often as needed.
    name : str
        The file, for messages.
    n_rows : int or None
        Rows of each chunk but the last; None: all of them at once.
    columns : collection of str or None
        Only those, for a quick look: rows that hold too much are then not noticed.

    Yields
    ------
    DataFrame of str
        As `parse_csv`; at least one, without rows where there are none. The index goes on from chunk to chunk.

    Raises
    ------
    InputError
        As `parse_csv`; of a row further down when its chunk is read.
    """
    csv.field_size_limit(2**31 - 1)
    delimiter, is_row_quoted = _dialect_of(open_text, name=name)

    def open_table() -> TextIOBase:
        stream = _from_header(open_text())
        return _unwrapped(stream) if is_row_quoted else stream

    try:
        try:
            yield from _read_chunks(open_table(), delimiter, name=name, n_rows=n_rows, columns=columns, n_nameless=0)
        except pd.errors.ParserWarning:
            # A delimiter that ends every row but the header; a cell there needs a name. The first chunk tells.
            yield from _read_chunks(open_table(), delimiter, name=name, n_rows=n_rows, columns=columns, n_nameless=1)
    except (pd.errors.ParserError, pd.errors.ParserWarning, csv.Error, StopIteration, ValueError) as error:
        where = re.search(r"line (\d+)", str(error))
        row = f" (line {where.group(1)})" if where else ""
        msg = (
            f"{name} cannot be read as a table: its rows do not agree on their columns{row}. "
            "Export it again with one delimiter and quotes around text that holds it."
        )
        raise InputError(msg) from error


def _dialect_of(open_text: Callable[[], TextIOBase], *, name: str) -> tuple[str, bool]:
    """Tell the delimiter, and whether every row is one quoted cell, from how a file begins."""
    with _from_header(open_text()) as stream:
        text = stream.read(SAMPLE_CHARACTERS)
        is_whole = not stream.read(1)
    if not text.strip():
        msg = f"{name} is empty. Give a file with a header and rows."
        raise InputError(msg)
    if "\0" in text:
        msg = f"{name} is not a table: it holds binary data. Give CSV or Parquet."
        raise InputError(msg)
    if re.match(r"\s*<(!doctype|html|\?xml|head|body)", text, re.IGNORECASE):
        start = " ".join(text.split())[:15]
        msg = f"{name} is not a table: it starts with {start!r}, a web page. Download the file itself."
        raise InputError(msg)
    dialect = sniff_dialect(text, encoding="", is_whole=is_whole)
    if dialect is None:
        msg = (
            f"{name} is not a table: no line of it splits into columns by comma, semicolon, tab or bar. "
            "Give a file with a header and at least two columns."
        )
        raise InputError(msg)
    return dialect.delimiter, dialect.is_row_quoted


class _Stream(TextIOBase):
    """Text that comes in pieces, as a file to be read from its beginning."""

    def __init__(self, pieces: Iterator[str], source: TextIOBase) -> None:
        self._pieces, self._left, self._source = pieces, "", source

    def read(self, size: int | None = -1) -> str:
        held, length = [self._left], len(self._left)
        while size is None or size < 0 or length < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            held.append(piece)
            length += len(piece)
        text = "".join(held)
        end = len(text) if size is None or size < 0 else size
        self._left = text[end:]
        return text[:end]

    def readline(self, size: int | None = -1) -> str:  # type: ignore[override]  # noqa: ARG002 - whole lines are asked for
        # A "\r" that ends a piece may be half of a line's end.
        while (end := _LINE_END.search(self._left)) is None and (piece := next(self._pieces, None)) is not None:
            self._left += piece
        cut = len(self._left) if end is None else end.end()
        line, self._left = self._left[:cut], self._left[cut:]
        return line

    def close(self) -> None:
        self._source.close()
        super().close()


def _blocks(stream: TextIOBase) -> Iterator[str]:
    return iter(lambda: stream.read(SAMPLE_CHARACTERS), "")


def _from_header(stream: TextIOBase) -> TextIOBase:
    """Leave out the mark of an encoding and blank lines above the header."""
    blocks = _blocks(stream)
    above = ""
    for block in blocks:
        text = above + (block if above else block.lstrip("\ufeff"))
        if text.strip():
            return _Stream(chain([re.sub(r"\A\s*[\r\n]", "", text)], blocks), stream)
        above = text
    return _Stream(iter([]), stream)


def _unwrapped(stream: TextIOBase) -> TextIOBase:
    """Give the text of rows that are one quoted cell each."""
    rows = csv.reader(iter(stream.readline, ""))
    return _Stream((f"{row[0] if row else ''}\n" for row in rows), stream)


def _read_chunks(
    stream: TextIOBase,
    delimiter: str,
    *,
    name: str,
    n_rows: int | None,
    columns: Collection[str] | None,
    n_nameless: int,
) -> Iterator[pd.DataFrame]:
    """Read every cell as text, columns named by position: pandas would rename the second of two equal names.

    Raises
    ------
    ParserWarning, ParserError
        Rows hold more cells than the header: pandas would drop them.
    """
    with stream, warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # cells beyond the width would be lost
        header = [*next(csv.reader(iter(stream.readline, ""), delimiter=delimiter)), *[""] * n_nameless]
        if len(header) > MAX_COLUMNS:
            msg = f"{name} has {len(header):,} columns; at most {MAX_COLUMNS:,} are read. Does it lack its line ends?"
            raise InputError(msg)
        names = [column.strip() for column in header]
        # As wide as the header says, however wide the first rows are.
        head = delimiter.join(map(str, range(len(header)))) + "\n"
        wanted = None if columns is None else {normalise_name(column) for column in columns}
        positions = [i for i, column in enumerate(names) if wanted is None or normalise_name(column) in wanted]
        read = pd.read_csv(
            _Stream(chain([head], _blocks(stream)), stream),
            sep=delimiter,
            header=0,
            names=[*range(len(header))],
            usecols=None if columns is None else positions,
            dtype=str,
            keep_default_na=False,
            index_col=False,
            engine="c",
            chunksize=n_rows,
        )
        n_given = 0
        for chunk in cast("Iterable[pd.DataFrame]", [read] if n_rows is None else read):
            if columns is None:
                _refuse_other_delimiter(chunk, delimiter, name=name)
            yield _named(chunk, [names[i] for i in map(int, chunk.columns)], name=name)
            n_given += 1
        if not n_given:
            yield _named(pd.DataFrame(columns=positions, dtype=str), [names[i] for i in positions], name=name)


def _named(frame: pd.DataFrame, names: list[str], *, name: str) -> pd.DataFrame:
    """Give columns their names, and leave out those that have neither a name nor a value."""
    stays = [
        i for i, column in enumerate(names) if column or not (frame.iloc[:, i] == "").all()
    ]  # a delimiter at the end of every line
    nameless = next((i for i in stays if not names[i]), None)
    if nameless is not None:
        msg = f"{name} has a column with values but no name (column {stays.index(nameless) + 1}). Name it."
        raise InputError(msg)
    frame = frame.iloc[:, stays]
    frame.columns = pd.Index([names[i] for i in stays], dtype=object)
    return frame


def _refuse_other_delimiter(frame: pd.DataFrame, delimiter: str, *, name: str) -> None:
    """Refuse rows that stand in one cell because they are split by another delimiter than the header."""
    alone = frame[(frame.iloc[:, 1:] == "").all(axis=1)].iloc[:, 0]
    for other in DELIMITERS:
        swallowed = alone[alone.str.count(re.escape(other)) == frame.shape[1] - 1]
        if other != delimiter and len(swallowed):
            msg = (
                f"{name} cannot be read as a table: {len(swallowed)} rows are split by {other!r}, the header by "
                f"{delimiter!r} (first data row {swallowed.index[0] + 1}). Export it again with one delimiter."
            )
            raise InputError(msg)


def sniff_encoding(content: bytes) -> str:
    """Tell how text is encoded: by its mark, by the zeros of UTF-16, as UTF-8, else cp1252.

    Examples
    --------
    >>> sniff_encoding("café".encode()), sniff_encoding("café".encode("cp1252"))
    ('utf-8', 'cp1252')
    """
    return encoding_of(content[i : i + BLOCK_BYTES] for i in range(0, max(len(content), 1), BLOCK_BYTES))


def encoding_of(blocks: Iterable[bytes]) -> str:
    """Tell how text is encoded that comes in blocks, as `sniff_encoding` does; all of them are looked at."""
    marked, readers = "", {name: codecs.getincrementaldecoder(name)() for name in ("utf-8", "cp1252")}
    for i, block in enumerate(blocks):
        marked = _marked(block) if i == 0 else marked
        for name in [*readers]:
            try:
                readers[name].decode(block)
            except UnicodeDecodeError:
                del readers[name]
    for name, reader in [*readers.items()]:
        try:
            reader.decode(b"", final=True)
        except UnicodeDecodeError:
            del readers[name]
    return marked or next(iter(readers), "latin-1")


def _marked(content: bytes) -> str:
    """Tell an encoding from how text begins; empty where that does not tell."""
    if content.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    start = content[:1000]
    if len(start) > 3 and start[1::2].count(0) > len(start) // 4:
        return "utf-16-le"
    if len(start) > 3 and start[0::2].count(0) > len(start) // 4:
        return "utf-16-be"
    return ""


def sniff_dialect(text: str, *, encoding: str, is_whole: bool = True) -> Dialect | None:
    """Tell which delimiter splits the lines into the same number of columns, at least two.

    Returns
    -------
    Dialect or None
        None where no delimiter does.
    """
    sample = text[:SAMPLE_CHARACTERS]
    if not is_whole or len(text) > SAMPLE_CHARACTERS:
        sample = sample[: sample.rfind("\n") + 1] or sample
    best = _best_delimiter(sample)
    if best:
        return Dialect(encoding=encoding, delimiter=best)
    rows = _rows(sample, ",")
    if rows and all(len(row) <= 1 for row in rows):
        unwrapped = _best_delimiter("\n".join(row[0] for row in rows if row))
        if unwrapped:
            return Dialect(encoding=encoding, delimiter=unwrapped, is_row_quoted=True)
    return None


def _best_delimiter(sample: str) -> str:
    scored = []
    for delimiter in DELIMITERS:
        rows = [row for row in _rows(sample, delimiter) if row]
        if rows and len(rows[0]) > 1:
            agreeing = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
            scored.append((agreeing, len(rows[0]), delimiter))
    return max(scored)[2] if scored else ""


def _rows(sample: str, delimiter: str) -> list[list[str]]:
    try:
        return [*csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)]
    except csv.Error:
        return []
