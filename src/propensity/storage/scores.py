"""The only place that writes score files: CSV or Parquet, whole or not at all, safe to open in a spreadsheet."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from propensity.errors import InputError
from propensity.storage.writing import check_writable, replacing

if TYPE_CHECKING:
    import pyarrow as pa

_COPIED_BYTES = 1 << 20
_NUMBERS = ("probability", "p_low", "p_high", "points", "fit_pp", "behaviour_pp")
# A spreadsheet runs a text cell that starts like this (OWASP ASVS 1.2.10).
_FORMULA = frozenset("=+-@\t\r\n\0\uff1d\uff0b\uff0d\uff20")
_PLAIN_NUMBER = re.compile(r"^[-+]?\d+(\.\d+)?$")


def check_output(path: Path) -> None:
    """Refuse an output that could not be written, before any work is done.

    Raises
    ------
    InputError
        Neither ``.csv`` nor ``.parquet``.
    OutputError
        The place cannot be written.
    """
    if path.suffix.lower() not in {".csv", ".parquet"}:
        msg = f"Scores are written as .csv or .parquet, got {path.name!r}. Name the output so."
        raise InputError(msg)
    check_writable(path)


@dataclass(frozen=True, kw_only=True)
class ScoreFormat:
    """How score rows are written, the same for every part of a file.

    Parameters
    ----------
    suffix : {".csv", ".parquet"}
    id_type : DataType or None
        Of the id column in Parquet, as `arrow_type` gives it; None: text.
    """

    suffix: str
    id_type: pa.DataType | None = None

    def part(self, frame: pd.DataFrame) -> bytes:
        """Write some score rows: CSV lines without a head, or a Parquet file.

        Parameters
        ----------
        frame : DataFrame
            As `scoring.score` gives it.
        """
        if self.suffix == ".csv":
            return neutralise(frame).to_csv(index=False, header=False, lineterminator="\n").encode()
        import pyarrow as pa
        import pyarrow.parquet as pq

        sink = pa.BufferOutputStream()
        pq.write_table(self._table(frame), sink)
        return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]

    def join(
        self, parts: Iterable[Sequence[Path]], head: pd.DataFrame, path: Path, *, folder: Path | None = None
    ) -> None:
        """Write the file that parts are of, whole or not at all.

        Parameters
        ----------
        parts : iterable of sequence of Path
            What `part` gave, in order, in groups.
        head : DataFrame, shape (0, n_columns)
            The columns.
        path : Path
            Parquet has a last column ``reasons``, a list of structs (rank, text), and a row group a group of parts.
        folder : Path or None
            Where it lies, on the same disk, until it is whole; None: beside its place.

        Raises
        ------
        InputError, OutputError
            As `check_output`; nothing is half-written.
        """
        check_output(path)
        with replacing(path, folder=folder) as temporary:
            if self.suffix == ".csv":
                with temporary.open("wb") as file:
                    file.write(neutralise(head).to_csv(index=False, lineterminator="\n").encode())
                    for part in chain.from_iterable(parts):
                        with part.open("rb") as written:
                            shutil.copyfileobj(written, file, length=_COPIED_BYTES)
                return
            import pyarrow as pa
            import pyarrow.parquet as pq

            with pq.ParquetWriter(temporary, self._table(head).schema) as writer:
                for group in parts:
                    if group:
                        rows = pa.concat_tables([pq.read_table(part) for part in group])
                        writer.write_table(rows, row_group_size=max(len(rows), 1))

    def _table(self, frame: pd.DataFrame) -> pa.Table:
        """Give rows as Arrow holds them, in types that do not depend on which rows they are."""
        import pyarrow as pa

        texts = {name: pa.string() for name in frame.columns}
        types = {**texts, **dict.fromkeys(_NUMBERS, pa.float64()), "certified": pa.bool_()}
        types[frame.columns[0]] = self.id_type or pa.string()
        fields = [pa.field(str(name), types[name]) for name in frame.columns]
        names = [name for name in frame.columns if str(name).startswith("reason_")]
        cells = frame[names].to_numpy(dtype=object)
        structs = [[{"rank": i + 1, "text": text} for i, text in enumerate(row) if text] for row in cells]
        kind = pa.list_(pa.struct({"rank": pa.int64(), "text": pa.string()}))
        table = pa.Table.from_pandas(frame, schema=pa.schema(fields), preserve_index=False)
        return table.append_column("reasons", pa.array(structs, type=kind))


def arrow_type(ids: pd.Series) -> pa.DataType | None:
    """Give the type ids have in Parquet; None where none is there."""
    import pyarrow as pa

    kind = pa.Array.from_pandas(ids).type
    return None if pa.types.is_null(kind) else kind


def write_rows(frame: pd.DataFrame, path: Path) -> None:
    """Write feature rows as Parquet, whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # A column of mixed kinds has no Parquet type; a stamp's zone is put back once Arrow has its instants.
    texts = {name: frame[name].map(str, na_action="ignore") for name in frame.columns if frame[name].dtype == object}
    stamps = [name for name in frame.columns if isinstance(frame[name].dtype, pd.DatetimeTZDtype)]
    plain = {name: frame[name].dt.tz_convert("UTC").dt.tz_localize(None) for name in stamps}
    table = pa.Table.from_pandas(frame.assign(**texts, **plain), preserve_index=False)
    for name in stamps:
        place = table.column_names.index(name)
        table = table.set_column(place, name, table.column(place).cast(pa.timestamp("us", tz="UTC")))
    with replacing(path) as temporary:
        pq.write_table(table, temporary)


def neutralise(frame: pd.DataFrame) -> pd.DataFrame:
    """Put an apostrophe before text that a spreadsheet would run. Numbers stay numbers.

    Examples
    --------
    >>> neutralise(pd.DataFrame({"id": ["=1+1", "-5", "ok"]}))["id"].to_list()
    ["'=1+1", '-5', 'ok']
    """
    safe = frame.rename(columns=_safe_cell)
    for position, dtype in enumerate(safe.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_datetime64_any_dtype(dtype):
            name = safe.columns[position]
            if isinstance(dtype, pd.CategoricalDtype):
                safe[name] = safe[name].map(_safe_cell, na_action="ignore")
            else:
                cells = [_safe_cell(value) for value in safe[name].tolist()]
                safe[name] = pd.Series(cells, index=safe.index, dtype=object)
    return safe


def table_csv(frame: pd.DataFrame) -> str:
    """Write a table as CSV that a spreadsheet can open without running any of it."""
    return neutralise(frame.round(6)).to_csv(index=False, lineterminator="\n")


def _safe_cell(value: object) -> object:
    if isinstance(value, str) and value[:1] in _FORMULA and not _PLAIN_NUMBER.match(value):
        return f"'{value}"
    return value
