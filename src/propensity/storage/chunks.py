"""The only place that reads a lead file a chunk at a time, so that one of any size fits into memory."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from propensity.errors import InputError
from propensity.schema import normalise_name, resolve_columns
from propensity.storage.csvs import BLOCK_BYTES, csv_chunks, encoding_of
from propensity.storage.tables import check_columns, kind_of, open_csv, parts_of, reading, reading_parquet

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

_BUFFER_BYTES = 1 << 16
_WHOLE = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
# What pandas calls an index without a name: no column of a lead.
_INDEX = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True, kw_only=True)
class LeadFile:
    """A lead file that is read as often as wanted, a chunk at a time.

    Parameters
    ----------
    path : Path
    columns : tuple of str
    encoding : str
        Of CSV; empty for Parquet.
    """

    path: Path
    columns: tuple[str, ...]
    encoding: str = ""

    def chunks(self, n_rows: int, *, columns: Collection[str] | None = None) -> Iterator[pd.DataFrame]:
        """Read so many rows at a time, in order.

        Parameters
        ----------
        n_rows : int
        columns : collection of str or None
            Only those; None: all.

        Yields
        ------
        DataFrame, shape (n_rows, n_columns)
            Only the last has fewer; at least one, without rows where there are none. CSV cells are the text they are,
            Parquet columns have one type in every chunk, whether cells are missing there or not.

        Raises
        ------
        InputError
            What is read now cannot be, or its rows do not agree on their columns.
        """
        if self.encoding:
            with contextlib.ExitStack() as files:

                def open_text() -> io.TextIOBase:
                    file = files.enter_context(open_csv(self.path))
                    return io.TextIOWrapper(file, self.encoding, errors="replace", newline="")

                yield from csv_chunks(open_text, name=self.path.name, n_rows=n_rows, columns=columns)
        else:
            yield from _parquet_chunks(self.path, n_rows, columns)


def open_leads(path: Path) -> LeadFile | None:
    """Look at a lead file, to read it in chunks; None for one that can only be read whole: zipped Parquet.

    Parameters
    ----------
    path : Path
        As for `read_leads`.

    Raises
    ------
    InputError
        As `read_leads`, of what the beginning of the file tells.
    """
    kind = kind_of(path)
    if kind == "zipped parquet":
        return None
    if kind == "parquet":
        with reading_parquet(path.name):
            file = LeadFile(path=path, columns=tuple(_names(_dataset(path))))
    else:
        with open_csv(path) as content:
            encoding = encoding_of(_blocks(content))
        file = LeadFile(path=path, columns=(), encoding=encoding)
        file = replace(file, columns=tuple(str(name) for name in next(file.chunks(1)).columns))
    resolve_columns(file.columns, source=path.name)
    check_columns(file.columns, what=path.name)
    return file


def fingerprint(paths: Sequence[Path]) -> str:
    """Give the sha256 of what is read of files and folders; what is not there is told apart from what is empty.

    Raises
    ------
    InputError
        One of them cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        with reading(path):
            inside = parts_of(path) if path.is_dir() else [path]
            for part in inside:
                digest.update(f"{part.relative_to(path)}\0{_digest(part)}\n".encode())
    return digest.hexdigest()


def _digest(path: Path) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _blocks(file: Any) -> Iterator[bytes]:
    return iter(lambda: file.read(BLOCK_BYTES), b"")


def _dataset(path: Path) -> ds.Dataset:
    """Open Parquet, one file or a folder of them whose names may say a column (``year=2026``)."""
    import pyarrow.dataset as ds

    return ds.dataset(path, format="parquet", partitioning="hive")


def _names(data: ds.Dataset) -> list[str]:
    return [name for name in data.schema.names if not _INDEX.fullmatch(name)]


def _parquet_chunks(path: Path, n_rows: int, columns: Collection[str] | None) -> Iterator[pd.DataFrame]:
    with reading_parquet(path.name):
        data = _dataset(path)
        wanted = None if columns is None else {normalise_name(name) for name in columns}
        names = [name for name in _names(data) if wanted is None or normalise_name(name) in wanted]
        n_given = 0
        for table in _of_size(_batches(data, names, n_rows), n_rows):
            yield _as_frame(table, n_given)
            n_given += table.num_rows
        if not n_given:
            yield _as_frame(data.schema.empty_table().select(names), 0)


def _batches(data: ds.Dataset, names: Sequence[str], n_rows: int) -> Iterator[pa.RecordBatch]:
    """Read files one by one, in order, each a little at a time: a dataset's own scanner holds whole row groups."""
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    schema = pa.schema([data.schema.field(name) for name in names])
    for fragment in data.get_fragments():
        said = ds.get_partition_keys(fragment.partition_expression)
        inside = [name for name in names if name not in said]
        with pq.ParquetFile(fragment.path, pre_buffer=False, buffer_size=_BUFFER_BYTES) as file:
            for batch in file.iter_batches(batch_size=n_rows, columns=inside, use_threads=False):
                arrays = [
                    pa.repeat(pa.scalar(said[field.name]), batch.num_rows)
                    if field.name in said
                    else batch.column(field.name)
                    for field in schema
                ]
                cells = [_cast(cells, field, fragment.path) for cells, field in zip(arrays, schema, strict=True)]
                yield pa.RecordBatch.from_arrays(cells, schema=schema)


def _cast(cells: pa.Array, field: pa.Field, path: str) -> pa.Array:
    """Give cells the type that the column has in the first file; names what does not fit."""
    import pyarrow as pa

    try:
        return cells.cast(field.type)
    except pa.ArrowException as error:
        msg = (
            f"{Path(path).name}: column {field.name[:40]!r} holds {cells.type}, which does not fit the {field.type} of "
            "the first file. Write all parts with the same types."
        )
        raise InputError(msg) from error


def _of_size(batches: Iterator[pa.RecordBatch], n_rows: int) -> Iterator[pa.Table]:
    """Cut and join what comes in any size, so that where rows lie in a file tells nothing."""
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    n_held = 0
    for given in batches:
        batch = given
        while n_held + batch.num_rows >= n_rows:
            n_missing = n_rows - n_held
            yield pa.Table.from_batches([*held, batch.slice(0, n_missing)])
            held, n_held, batch = [], 0, batch.slice(n_missing)
        if batch.num_rows:
            held.append(batch)
            n_held += batch.num_rows
    if held:
        yield pa.Table.from_batches(held)


def _as_frame(table: pa.Table, n_before: int) -> pd.DataFrame:
    """Give a chunk as pandas holds it, each type with room for missing cells: a chunk without any has the same."""
    import pyarrow as pa

    kinds = {
        **{getattr(pa, name.lower())(): getattr(pd, f"{name}Dtype")() for name in _WHOLE},
        pa.bool_(): pd.BooleanDtype(),
    }
    frame: pd.DataFrame = table.to_pandas(types_mapper=kinds.get, ignore_metadata=True)
    frame.index = pd.RangeIndex(n_before, n_before + len(frame))
    return frame
