"""The only place that reads lead files: CSV of any common dialect, gzip, Parquet, a folder of Parquet."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from propensity.errors import InputError
from propensity.schema import Tables, normalise_name, resolve_columns
from propensity.storage.csvs import parse_csv

if TYPE_CHECKING:
    import duckdb
    from _typeshed import WriteableBuffer

MAX_BYTES = 4 * 2**30
# Of 2,048 rows each: what a query gives at a time, where its texts become categories.
CHUNK_VECTORS = 500
# So much of a query that failed is shown.
MAX_QUERY_CHARACTERS = 300
_PARQUET, _GZIP = b"PAR1", b"\x1f\x8b"
_MAGIC = {
    b"PK\x03\x04": "an Excel workbook or zip archive; save it as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save it as CSV",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
}


def read_leads(path: Path, *, categories: Collection[str] = ()) -> Tables:
    """Read a lead file.

    Parameters
    ----------
    path : Path
        CSV (comma, semicolon, tab or bar; UTF-8, UTF-16 or cp1252; gzipped or not), Parquet, or a folder of Parquet.
    categories : collection of str
        Columns that become categories where they are there and text. Worth it where few texts are said many times: each
        is kept once.

    Returns
    -------
    Tables
        CSV cells as text exactly as written; Parquet columns in their types.

    Raises
    ------
    InputError
        The file is absent, empty, no table, or its rows do not agree on their columns.
    """
    kind = kind_of(path)
    if kind == "parquet":  # as large as it may be, it is not held whole
        return Tables(leads=_read_parquet(path, categories), source=path.name)
    with open_csv(path) as file:
        content = file.read()
    if kind == "zipped parquet":
        return Tables(leads=_read_parquet(io.BytesIO(content), categories), source=path.name)
    leads = parse_csv(content, name=path.name)
    leads = leads.astype(dict.fromkeys(_named(leads.columns, categories), "category"))
    return Tables(leads=leads, source=path.name)


def kind_of(path: Path) -> Literal["parquet", "zipped parquet", "csv"]:
    """Tell what a lead file is from how it begins, and refuse what is none.

    Raises
    ------
    InputError
        The file is absent, or of a kind that is no table; a folder holds something else than Parquet of one kind.
    """
    with reading(path):
        if path.is_dir():
            _check_parts(path)
            return "parquet"
        if path.exists() and not path.is_file():
            msg = (
                f"{path} is no file: what comes through a pipe cannot be read more than once. Write it to a file first."
            )
            raise InputError(msg)
        start = _start(path)
        if start.startswith(_PARQUET):
            return "parquet"
        if start.startswith(_GZIP):
            with open_csv(path) as file:
                start = file.read(len(start))
            if start.startswith(_PARQUET):
                return "zipped parquet"
    for magic, what in _MAGIC.items():
        if start.startswith(magic):
            msg = f"{path.name} is not a table: it is {what}."
            raise InputError(msg)
    return "csv"


@contextlib.contextmanager
def open_csv(path: Path) -> Iterator[io.BufferedReader]:
    """Give the bytes of a file, unzipped where they are zipped.

    Raises
    ------
    InputError
        It cannot be read, is zipped and broken, or holds more than 4 GB once unzipped.
    """
    with reading(path):
        if not _start(path).startswith(_GZIP):
            with path.open("rb") as file:
                yield file
            return
        try:
            with gzip.open(path) as packed:
                yield io.BufferedReader(_Bounded(packed, name=path.name))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            msg = f"{path.name} is a broken gzip file. Compress it again."
            raise InputError(msg) from error


class _Bounded(io.RawIOBase):
    """What a file holds once unzipped: little may become a lot."""

    def __init__(self, packed: gzip.GzipFile, *, name: str) -> None:
        self._packed, self._name, self._n_left = packed, name, MAX_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        n_read = self._packed.readinto(buffer)
        self._n_left -= n_read
        if self._n_left < 0:
            msg = f"{self._name} holds more than 4 GB. Give Parquet, or split it."
            raise InputError(msg)
        return n_read


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say in words that a file cannot be read."""
    try:
        yield
    except FileNotFoundError as error:
        msg = f"{path} does not exist. Name a CSV or Parquet file, or a folder of Parquet."
        raise InputError(msg) from error
    except (OSError, ValueError) as error:  # ValueError: the path holds a NUL
        msg = f"{path} cannot be read: {getattr(error, 'strerror', None) or error}."
        raise InputError(msg) from error


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)


def read_lines(path: Path) -> list[str] | None:
    """Read a plain list, one entry a line; None where the file is a table.

    Parameters
    ----------
    path : Path
        Text in UTF-8, or anything `read_table` reads.
    """
    if path.is_dir() or not path.exists() or _is_parquet(path):
        return None
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    is_table = any(mark in line for line in lines for mark in ",;\t|")
    return None if is_table else [line.strip().strip('"') for line in lines]


def read_table(path: Path, *, query: str = "", categories: Collection[str] = ()) -> pd.DataFrame:
    """Read a file of events, outcomes, cutoffs or leads, through a read-only query where one is given.

    Parameters
    ----------
    path : Path
        As for `read_leads`.
    query : str
        DuckDB SQL over the table ``source``: the file's columns, text where the file is CSV. It can read nothing else.
    categories : collection of str
        As for `read_leads`; of what the query gives, where there is one.

    Raises
    ------
    InputError
        The file cannot be read, or the query fails.
    """
    if not query:
        frame = read_leads(path, categories=categories).leads
        resolve_columns(frame.columns, source=path.name)
        return frame
    import duckdb

    is_parquet = path.is_dir() or _is_parquet(path)
    if path.is_dir():
        _check_parts(path)
    elif is_parquet:
        _names_in(path, what=path.name)
    source = None if is_parquet else read_leads(path).leads
    names = [] if source is None else [str(name) for name in source.columns]
    try:
        with duckdb.connect(":memory:", config={"temp_directory": ""}) as connection:
            if source is None:
                pattern = str(path / "**" / "*.parquet") if path.is_dir() else str(path)
                name = "allowed_directories" if path.is_dir() else "allowed_paths"
                allowed = str(path).replace("'", "''")
                connection.execute(f"SET {name} = ['{allowed}']")
                connection.execute("SET enable_external_access = false")
                quoted = pattern.replace("'", "''")
                connection.execute(f"CREATE TEMP VIEW source AS SELECT * FROM read_parquet('{quoted}')")  # noqa: S608
                names = [name for name, *_ in connection.execute("DESCRIBE source").fetchall()]
            else:
                connection.execute("SET enable_external_access = false")
                connection.register("source", source)
            connection.execute("SET lock_configuration = true")
            statements = connection.extract_statements(query)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                msg = f"The query over {path.name} must be one SELECT over the table source."
                raise InputError(msg)
            frame = _fetched(connection.execute(query), categories)
    except duckdb.Error as error:
        shown = " ".join(query.split())[:MAX_QUERY_CHARACTERS]
        there = f" The file has: {', '.join(name[:40] for name in names[:12])}." if names else ""
        msg = f"The query over {path.name} failed ({type(error).__name__}). {_advice(error)}{there} The query: {shown}"
        raise InputError(msg) from error
    except UnicodeEncodeError as error:
        msg = f"The query over {path.name} holds a character that is none. Write it again."
        raise InputError(msg) from error
    frame.columns = pd.Index([str(name) for name in frame.columns], dtype=object)
    resolve_columns(frame.columns, source=f"what the query over {path.name} gives")
    return frame


def _named(columns: Iterable[object], names: Collection[str]) -> list[object]:
    """Give the columns that have one of the names."""
    wanted = {normalise_name(name) for name in names}
    return [column for column in columns if normalise_name(column) in wanted]


def _fetched(result: duckdb.DuckDBPyConnection, categories: Collection[str]) -> pd.DataFrame:
    """Fetch what a query gives; some rows at a time where texts become categories, for each is a Python object."""
    texts = [name for name, kind, *_ in result.description or () if str(kind) in {"VARCHAR", "STRING"}]
    columns = dict.fromkeys(_named(texts, categories), "str")
    if not columns:
        return result.df()
    parts: list[pd.DataFrame] = []
    while not parts or len(parts[-1]):
        # A part without any text does not say that it could hold some.
        parts.append(result.fetch_df_chunk(CHUNK_VECTORS).astype(columns).astype(dict.fromkeys(columns, "category")))
    for name in columns:
        every = pd.api.types.union_categoricals([part[name] for part in parts]).categories
        for part in parts:
            part[name] = part[name].cat.set_categories(every)
    return pd.concat(parts[:-1] or parts, ignore_index=True)


def _advice(error: Exception) -> str:
    """Say what to do about a query that failed, without a cell that its message may quote."""
    import duckdb

    if isinstance(error, duckdb.PermissionException):
        return "It may read the table source and nothing else: no other file, no setting."
    if isinstance(error, duckdb.BinderException | duckdb.ParserException | duckdb.CatalogException):
        # The first line names the column, the table or the syntax at fault.
        return f"{str(error).splitlines()[0][:300]} Its one table is called source."
    if isinstance(error, duckdb.ConversionException):
        what = "A cell is not of the type it is cast to. Use TRY_CAST, which gives NULL for such a cell."
        return f"{_masked(error)} {what}"
    if isinstance(error, duckdb.OutOfRangeException):
        return f"{_masked(error)} A cell is too large for what is done with it. Use TRY, which gives NULL there."
    # Any other message may quote a cell in any form.
    return "Try it in DuckDB over that file, as the table source; where it fails there too, write the file again."


def _masked(error: Exception) -> str:
    """Give the first line of a message that may quote a cell: up to the first quote, and without numbers.

    Examples
    --------
    >>> _masked(ValueError("Conversion Error: Could not convert string 'it's me' to INT32"))
    "Conversion Error: Could not convert string '...'."
    >>> _masked(ValueError("Out of Range Error: Overflow in multiplication of INT64 (17 * 2.5)!"))
    'Out of Range Error: Overflow in multiplication of INT64 (... * ...).'
    """
    first = str(error).splitlines()[0]
    text = re.split(r"['\"]", first, maxsplit=1)[0]
    words = re.sub(r"(?<![A-Za-z0-9])[-+.]*[0-9][-+.0-9eE]*", "...", text[:300]).rstrip(".!")
    return f"{words}'...'." if text != first else f"{words}."


def _check_parts(folder: Path) -> None:
    """Refuse a folder of which one file is not Parquet, or has other columns than the rest.

    Raises
    ------
    InputError
        It names the file.
    """
    parts = parts_of(folder)
    if not parts:
        msg = f"{folder.name} holds no Parquet file. Name a folder of Parquet, or one file."
        raise InputError(msg)
    names = [_names_in(part, what=f"{part.relative_to(folder)} in {folder.name}") for part in parts]
    other = next((part for part, found in zip(parts, names, strict=True) if found != names[0]), None)
    if other is not None:
        msg = (
            f"{other.relative_to(folder)} in {folder.name} has other columns than {parts[0].relative_to(folder)}. "
            "Write all parts with the same columns."
        )
        raise InputError(msg)


def parts_of(folder: Path) -> list[Path]:
    """Give the files of a folder that are read, in order: not what tools leave beside them (_SUCCESS, .crc)."""
    inside = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in inside if not any(p.startswith(("_", ".")) for p in path.relative_to(folder).parts)]


def _names_in(path: Path, *, what: str) -> frozenset[str]:
    """Give the names of a Parquet file's columns from its footer."""
    import pyarrow.parquet as pq

    with reading_parquet(what):
        return frozenset(pq.read_schema(path).names)


@contextlib.contextmanager
def reading_parquet(what: str) -> Iterator[None]:
    """Turn what goes wrong while Parquet is read into an `InputError`; Arrow keeps none of the memory it used."""
    import pyarrow as pa

    try:
        yield
        pa.default_memory_pool().release_unused()
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        msg = f"{what} is not readable Parquet: it is broken, cut short or encrypted. Write it again."
        raise InputError(msg) from error


def _is_parquet(path: Path) -> bool:
    try:
        return _start(path).startswith(_PARQUET)
    except (OSError, ValueError):  # ValueError: the path holds a NUL
        return False


def _read_parquet(source: Path | io.BytesIO, categories: Collection[str]) -> pd.DataFrame:
    what = source.name if isinstance(source, Path) else "the file"
    with reading_parquet(what):
        frame = pd.read_parquet(source, **_as_dictionaries(source, categories))
    # A lead's id is often the index of the frame that was written.
    there = {str(column) for column in frame.columns}
    frame = frame.reset_index(level=[name for name in frame.index.names if name is not None and str(name) not in there])
    frame.columns = pd.Index([str(name) for name in frame.columns], dtype=object)
    check_columns([*frame.columns], what=what)
    return frame.reset_index(drop=True)


def check_columns(columns: Sequence[str], *, what: str) -> None:
    """Refuse Parquet without a column.

    Raises
    ------
    InputError
    """
    if not columns:
        msg = f"{what} holds no column. Give Parquet with at least an id and a feature."
        raise InputError(msg)


def _as_dictionaries(source: Path | io.BytesIO, categories: Collection[str]) -> dict[str, Any]:
    """Say which columns Arrow reads as dictionaries, of which pandas makes categories; none becomes text on the way."""
    if not categories:
        return {}
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.ParquetDataset(source).schema
    texts = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]
    columns = _named(texts, categories)
    coded = pa.dictionary(pa.int32(), pa.string())
    fields = [field.with_type(coded) if field.name in columns else field for field in schema]
    schema = pa.schema(fields, metadata=schema.metadata)
    if b"pandas" in (schema.metadata or {}):
        # What pandas wrote of its own types would make text of them again.
        written = json.loads(schema.metadata[b"pandas"])
        for column in written["columns"]:
            if column["field_name"] in columns:
                column["numpy_type"] = "object"
        schema = schema.with_metadata({**schema.metadata, b"pandas": json.dumps(written)})
    # Such a table may be large: no column of it is held twice, nor the file beside it.
    once = {"split_blocks": True, "self_destruct": True}
    return {"schema": schema, "read_dictionary": columns, "pre_buffer": False, "to_pandas_kwargs": once}
