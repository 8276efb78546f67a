"""The only place that writes score files: CSV or Parquet, whole or not at all, safe to open in a spreadsheet."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from propensity.errors import InputError
from propensity.storage.writing import check_writable, replacing

if TYPE_CHECKING:
    import pyarrow as pa

# A spreadsheet runs a text cell that starts like this (OWASP ASVS 1.2.10).
_FORMULA = re.compile(r"^[=+\-@\t\r\0\uff1d\uff0b\uff0d\uff20]")
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


def write_scores(frame: pd.DataFrame, path: Path) -> None:
    """Write score rows in the form the file name asks for.

    Parameters
    ----------
    frame : DataFrame
        As `scoring.score` gives it.
    path : Path
        ``.csv`` or ``.parquet``. Parquet has a last column ``reasons``, a list of structs (rank, text).

    Raises
    ------
    InputError, OutputError
        As `check_output`; nothing is half-written.
    """
    check_output(path)
    with replacing(path) as temporary:
        if path.suffix.lower() == ".csv":
            neutralise(frame).to_csv(temporary, index=False, lineterminator="\n")
        else:
            import pyarrow.parquet as pq

            pq.write_table(_with_structs(frame), temporary)


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
            safe[name] = safe[name].map(_safe_cell, na_action="ignore")
    return safe


def table_csv(frame: pd.DataFrame) -> str:
    """Write a table as CSV that a spreadsheet can open without running any of it."""
    return neutralise(frame.round(6)).to_csv(index=False, lineterminator="\n")


def _safe_cell(value: object) -> object:
    if isinstance(value, str) and _FORMULA.match(value) and not _PLAIN_NUMBER.match(value):
        return f"'{value}"
    return value


def _with_structs(frame: pd.DataFrame) -> pa.Table:
    import pyarrow as pa

    names = [name for name in frame.columns if str(name).startswith("reason_")]
    cells = frame[names].to_numpy(dtype=object)
    structs = [[{"rank": i + 1, "text": text} for i, text in enumerate(row) if text] for row in cells]
    kind = pa.list_(pa.struct({"rank": pa.int64(), "text": pa.string()}))  # the same where no lead has a reason
    return pa.Table.from_pandas(frame, preserve_index=False).append_column("reasons", pa.array(structs, type=kind))
