"""The only place for what must be known of all leads of a file before the first is scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from propensity.asof import Newest
from propensity.errors import InputError
from propensity.schema import (
    NO_ROWS,
    conflicting_rows,
    find_column,
    lead_keys,
    normalise_name,
    read_texts,
    resolve_columns,
)
from propensity.scoring import read_cutoffs, told_by
from propensity.storage.repeats import Repeats
from propensity.storage.scores import arrow_type

if TYPE_CHECKING:
    import pyarrow as pa

    from propensity.cli.nightly import Suppressed
    from propensity.cli.rows import Source
    from propensity.model import PropensityModel


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What all leads of a file say together.

    Parameters
    ----------
    stays : array of bool, shape (n_rows,)
        Which rows are scored: not those of people who objected, nor identical ones of a lead that was there already.
    as_of : str
        The instant of rows that do not say their own; empty where unknown.
    instants : tuple of str
        Those that rows say themselves, the newest first; two where there are more.
    id_type : DataType or None
        Of the id column, as `arrow_type` gives it.
    notes : mapping of str to int
    warnings : tuple of str
    """

    stays: np.ndarray
    as_of: str
    instants: tuple[str, ...]
    id_type: pa.DataType | None
    notes: Mapping[str, int]
    warnings: tuple[str, ...]

    @property
    def newest(self) -> str:
        """The newest instant that a row says itself; empty where none does."""
        return next(iter(self.instants), "")


def survey(
    source: Source,
    model: PropensityModel,
    *,
    suppressed: Suppressed,
    folder: Path,
    chunk_rows: int,
    report: Callable[[int], None],
) -> Survey:
    """Look through all leads once: who is left out, who is there twice, as of when rows are.

    Parameters
    ----------
    source : Source
    model : PropensityModel
    suppressed : Suppressed
    folder : Path
        For what is kept meanwhile.
    chunk_rows : int
    report : callable
        Told how many rows were read.

    Returns
    -------
    Survey

    Raises
    ------
    InputError
        There is no row, no id column, or rows of one id say different things.
    OutputError
        The folder cannot be written.
    """
    schema = model.schema
    own = {name: str(column) for name, column in resolve_columns(source.columns).items()}
    ids = "" if schema.id is None else str(find_column(source.columns, schema.id, key="columns.id"))
    cutoff = own.get(normalise_name(schema.cutoff), "") if schema.cutoff else ""
    dated = "" if source.as_of else own.get(normalise_name(source.dated), "")
    # Without ids, what tells rows apart is all they say.
    wanted = {ids, cutoff, dated} - {""} if ids else None
    newest = Newest(timezone=source.timezone, name=dated)
    instants: list[pd.Timestamp] = []
    id_type: pa.DataType | None = None if ids else arrow_type(pd.Series([1]))  # the number of the row
    stays, n_read = [np.empty(0, dtype=bool)], 0
    with Repeats(folder) as repeats:
        for rows in source.chunks(chunk_rows, wanted):
            frame = rows.frame
            keep = ~suppressed.are(frame[ids], model) if suppressed.listed else np.ones(len(frame), dtype=bool)
            here = n_read + np.arange(len(frame))
            if ids:
                keys = lead_keys(frame, schema, asked=rows.asked)
                named = keep & keys["key"].notna().to_numpy()
                repeats.add(keys[named], here[named])
                id_type = id_type or arrow_type(frame[ids])
            elif len(frame):
                repeats.add(pd.DataFrame({"row": told_by(frame, model)}), here)
            if cutoff:
                said = read_cutoffs(frame[cutoff][keep]).dropna().unique()
                instants = sorted({*instants, *said}, reverse=True)[:2]
            if dated:
                filled = read_texts(frame[dated], missing=schema.missing).notna().to_numpy()
                newest.add(frame[dated].reset_index(drop=True).where(filled)[keep])
            stays.append(keep)
            n_read += len(frame)
            report(n_read)
        shared = repeats.sets()
    if not n_read:
        raise InputError(NO_ROWS)
    every = np.concatenate(stays)
    notes, warnings = suppressed.said()
    notes["suppressed"] = int((~every).sum())
    again = shared[pd.Series(shared[:, 1]).duplicated().to_numpy(), 0]
    if ids:
        _check_alike(source, model, shared, chunk_rows=chunk_rows)
        every[again] = False
    notes["identical_rows" if ids else "duplicate_rows"] = len(again)
    found = newest.found
    return Survey(
        stays=every,
        as_of=source.as_of or ("" if found is None else found.isoformat()),
        instants=tuple(at.isoformat() for at in instants),
        id_type=id_type,
        notes={name: n for name, n in notes.items() if n},
        warnings=tuple(warnings),
    )


def _check_alike(source: Source, model: PropensityModel, shared: np.ndarray, *, chunk_rows: int) -> None:
    """Refuse rows of one lead that do not say the same; few rows are looked at, for few repeat."""
    if not len(shared):
        return
    told, n_read = [], 0
    for rows in source.chunks(chunk_rows, None):
        first, last = np.searchsorted(shared[:, 0], [n_read, n_read + len(rows.frame)])
        here = rows.frame.iloc[shared[first:last, 0] - n_read]
        told.append(told_by(here, model) if len(here) else np.empty(0, dtype=np.uint64))
        n_read += len(rows.frame)
    lead = pd.DataFrame({"key": shared[:, 1], "told": np.concatenate(told)})
    other = lead["key"].duplicated().to_numpy() & ~lead.duplicated().to_numpy()
    if other.any():
        raise conflicting_rows(model.schema, shared[other, 0])
