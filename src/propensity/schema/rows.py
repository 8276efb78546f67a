"""The only place where leads pass through a schema, by two doors: `validate` raises, `partition` gives all back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from propensity.errors import InputError
from propensity.schema.cells import (
    MAX_CELL_CHARACTERS,
    normalise_name,
    read_ids,
    read_number,
    read_numbers,
    read_text,
    read_texts,
    too_long,
)
from propensity.schema.columns import Schema, find_column, resolve_columns

NO_ROWS = "The file has a header but no rows. Give at least one lead."
# The bands a lead can be in.
SQL, MQL, NURTURE, UNSCORED = "SQL", "MQL", "nurture", "unscored"


@dataclass(frozen=True, kw_only=True)
class LeadRows:
    """Leads read through a schema, bad rows still among them.

    Parameters
    ----------
    raw : DataFrame, shape (n_leads, n_features)
        The cells as given, under the schema's names.
    read : DataFrame, shape (n_leads, n_features)
        Numbers as float64, categories as canonical text; missing is NaN.
    ids : Series, shape (n_leads,)
        As given; the 1-based data-row number where the schema has no id.
    fault : array of str, shape (n_leads,)
        Empty for a good row, else ``INVALID_ROW`` or ``NO_ID``.
    position : array of int, shape (n_leads,)
        Row of the given frame, from 0.
    absent : tuple of str
        Features the frame does not have.
    notes : dict of str to int
        Counts for the summary: duplicates, unreadable numbers and the like.
    """

    raw: pd.DataFrame
    read: pd.DataFrame
    ids: pd.Series
    fault: np.ndarray
    position: np.ndarray
    absent: tuple[str, ...]
    notes: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class LeadCells:
    """One lead, cell by cell in the order of the schema.

    Parameters
    ----------
    raw : list of object
        As given; None where absent.
    read : list of float, str or None
        As read; a missing number is NaN.
    absent : tuple of str
        Features the lead does not have.
    is_bad : bool
        Whether a count is negative or a cell too long.
    """

    raw: list[object]
    read: list[float | str | None]
    absent: tuple[str, ...]
    is_bad: bool


def _read_values(frame: pd.DataFrame, schema: Schema) -> tuple[pd.DataFrame, pd.DataFrame, tuple[str, ...], int]:
    names = resolve_columns(frame.columns)
    raw: dict[str, Any] = {}
    values: dict[str, Any] = {}
    absent: list[str] = []
    n_lost = 0
    for column in schema.columns:
        found = names.get(normalise_name(column.name))
        if found is None:
            absent.append(column.name)
            series = pd.Series([None] * len(frame), dtype=object)
        else:
            series = frame[found].reset_index(drop=True)
        raw[column.name] = series
        if column.kind == "number":
            values[column.name], lost = read_numbers(series, missing=column.missing, decimal=column.decimal)
            n_lost += lost
        else:
            values[column.name] = read_texts(series, missing=column.missing)
    index = pd.RangeIndex(len(frame))
    return pd.DataFrame(raw, index=index), pd.DataFrame(values, index=index), tuple(absent), n_lost


def read_lead(lead: Mapping[str, Any], schema: Schema) -> LeadCells:
    """Read one lead, cell by cell, as `partition` reads a row: without a frame.

    Parameters
    ----------
    lead : mapping of column to cell
        Names as in a file: any case and padding; more of them than needed.
    schema : Schema

    Returns
    -------
    LeadCells

    Raises
    ------
    InputError
        Names that are one after normalising.
    """
    is_exact = schema.name_set <= lead.keys()
    names = {} if is_exact else resolve_columns([*lead])
    raw: list[object] = []
    values: list[float | str | None] = []
    absent: list[str] = []
    is_bad = False
    for column in schema.columns:
        name = column.name
        if is_exact:
            cell = lead[name]
        elif (found := names.get(normalise_name(name))) is not None:
            cell = lead[str(found)]
        else:
            absent.append(name)
            cell = None
        raw.append(cell)
        if column.kind == "number":
            number = read_number(cell, missing=column.missing, decimal=column.decimal)
            if number < 0 and column.is_count:
                is_bad = True
            values.append(number)
        else:
            values.append(read_text(cell, missing=column.missing))
        if type(cell) is not float and isinstance(cell, str) and len(cell) > MAX_CELL_CHARACTERS:
            is_bad = True
    return LeadCells(raw=raw, read=values, absent=tuple(absent), is_bad=is_bad)


def partition(
    leads: pd.DataFrame,
    schema: Schema,
    *,
    also: Sequence[str] = (),
    asked: pd.Series | None = None,
    n_before: int = 0,
) -> LeadRows:
    """Read leads through a schema; give every row back, the bad ones with their reason.

    Identical rows under one id are kept once and counted. Absent features are missing in every row.

    Parameters
    ----------
    leads : DataFrame
        Rows as read; columns in any order, case and dtype, more of them than needed.
    schema : Schema
    also : sequence of str
        Further columns (the target, say) in which rows of one id must agree to be identical.
    asked : Series or None, shape (n_rows,)
        The instant each row is wanted at: what tells rows of one id apart that have no cutoff.
    n_before : int
        Rows before these in the file that these are a part of.

    Returns
    -------
    LeadRows

    Raises
    ------
    InputError
        No row, names that are one after normalising, no id column, or rows of one id that differ.
    """
    if len(leads) == 0:
        raise InputError(NO_ROWS)
    raw, values, absent, n_lost = _read_values(leads, schema)
    fault = np.full(len(leads), "", dtype=object)
    negative = np.zeros(len(leads), dtype=bool)
    for column in schema.columns:
        if column.is_count and column.kind == "number":
            negative |= values[column.name].to_numpy() < 0
    is_long = too_long(raw)
    if schema.id is not None:
        is_long |= too_long(leads[[find_column(leads, schema.id, key="columns.id")]])
    fault[negative | is_long] = "INVALID_ROW"
    notes = {"unusable_numbers": n_lost, "negative_counts": int(negative.sum()), "too_long": int(is_long.sum())}
    keep = np.ones(len(leads), dtype=bool)
    hashes = row_hashes(pd.concat([values, _also(leads, also)], axis=1))
    if schema.id is None:
        ids = pd.Series(np.arange(1, len(leads) + 1) + n_before, name="row")
        notes["duplicate_rows"] = int(pd.Series(hashes).duplicated().sum())
    else:
        ids = leads[find_column(leads, schema.id, key="columns.id")].reset_index(drop=True)
        lead = lead_keys(leads, schema, asked=asked)
        nameless = lead["key"].isna().to_numpy()
        fault[nameless] = "NO_ID"
        notes["missing_ids"] = int(nameless.sum())
        if "cutoff" in lead:
            untimely = lead["cutoff"].isna().to_numpy() & ~nameless
            fault[untimely] = "INVALID_ROW"
            notes["not_there_at_the_cutoff"] = int(untimely.sum())
        repeated = lead.duplicated().to_numpy() & ~nameless
        same = lead.assign(row=hashes).duplicated().to_numpy()
        conflicting = repeated & ~same
        if conflicting.any():
            raise conflicting_rows(schema, np.flatnonzero(conflicting))
        keep = ~repeated
        notes["identical_rows"] = int(repeated.sum())
    kept = np.flatnonzero(keep)
    return LeadRows(
        raw=raw.iloc[kept].reset_index(drop=True),
        read=values.iloc[kept].reset_index(drop=True),
        ids=ids.iloc[kept].reset_index(drop=True),
        fault=fault[kept],
        position=kept,
        absent=absent,
        notes={key: count for key, count in notes.items() if count},
    )


def lead_keys(leads: pd.DataFrame, schema: Schema, *, asked: pd.Series | None = None) -> pd.DataFrame:
    """Give what tells leads of a schema with ids apart: two rows that agree in it are one lead's.

    Parameters
    ----------
    leads : DataFrame, shape (n_rows, any)
        With the id column; with that of cutoffs where rows have their own.
    schema : Schema
    asked : Series or None
        As for `partition`.

    Returns
    -------
    DataFrame, shape (n_rows, 1 to 3)
        ``key``, the id as text, None where there is none; ``cutoff`` and ``asked`` where rows have them.
    """
    lead = pd.DataFrame(
        {"key": read_ids(leads[find_column(leads, str(schema.id), key="columns.id")], missing=schema.missing)}
    )
    if schema.cutoff is not None and normalise_name(schema.cutoff) in resolve_columns(leads.columns):
        lead["cutoff"] = read_texts(leads[find_column(leads, schema.cutoff, key="the cutoff column")], missing=())
    if asked is not None:
        lead["asked"] = asked.reset_index(drop=True)
    return lead


def conflicting_rows(schema: Schema, rows: np.ndarray) -> InputError:
    """Give the error that rows, counted from 0, repeat an id of an earlier one with other values."""
    where = ", ".join(str(row + 1) for row in rows[:5])
    return InputError(
        f"Ids must name one lead each: {len(rows)} rows repeat an id with other values (column {schema.id!r}, first "
        f"data rows {where}). Keep the row that was known at scoring time."
    )


def read_hashes(leads: pd.DataFrame, schema: Schema, *, also: Sequence[str] = ()) -> np.ndarray:
    """Give one hash a row of all that is read of it, equal for rows that say the same.

    Parameters
    ----------
    leads, schema, also
        As for `partition`.

    Returns
    -------
    array of uint64, shape (n_rows,)
    """
    return row_hashes(pd.concat([_read_values(leads, schema)[1], _also(leads, also)], axis=1))


def validate(leads: pd.DataFrame, schema: Schema, *, also: Sequence[str] = ()) -> LeadRows:
    """Read training rows through a schema and raise with all problems at once.

    Rows without an id are dropped and counted; everything else that `partition` calls bad is an error here.

    Raises
    ------
    InputError
        Bad rows, named by column, count and first data rows.
    """
    rows = partition(leads, schema, also=also)
    problems = []
    for column in schema.columns:
        if column.is_count and column.kind == "number":
            bad = np.flatnonzero(rows.read[column.name].to_numpy() < 0)
            if len(bad):
                where = ", ".join(str(rows.position[i] + 1) for i in bad[:5])
                problems.append(
                    f"{column.name!r} is declared a count, but {len(bad)} rows are negative (first data rows {where}). "
                    "Mend them, or take it out of columns.count."
                )
    long = np.flatnonzero(too_long(rows.raw) | too_long(rows.ids.to_frame()))
    if len(long):
        where = ", ".join(str(rows.position[i] + 1) for i in long[:5])
        problems.append(
            f"{len(long)} rows hold a cell of more than {MAX_CELL_CHARACTERS:,} characters (first data rows {where}). "
            "Shorten it, or ignore the column."
        )
    if problems:
        raise InputError("\n".join(problems))
    good = np.flatnonzero(rows.fault != "NO_ID")
    return replace(
        rows,
        raw=rows.raw.iloc[good].reset_index(drop=True),
        read=rows.read.iloc[good].reset_index(drop=True),
        ids=rows.ids.iloc[good].reset_index(drop=True),
        fault=rows.fault[good],
        position=rows.position[good],
    )


def row_hashes(values: pd.DataFrame) -> np.ndarray:
    """Give one 64-bit hash a row of read values, equal for rows that read the same.

    Parameters
    ----------
    values : DataFrame, shape (n_rows, n_columns)

    Returns
    -------
    array of uint64, shape (n_rows,)
    """
    combined = np.zeros(len(values), dtype=np.uint64)
    for position in range(values.shape[1]):
        column = values.iloc[:, position]
        hashed = pd.util.hash_array(
            column.to_numpy(dtype=float) + 0.0  # folds -0.0 into 0.0
            if pd.api.types.is_numeric_dtype(column.dtype)
            else column.fillna("\0").to_numpy(dtype=object),
            categorize=True,
        )
        combined = combined * np.uint64(0x9E3779B97F4A7C15) + hashed
    return combined


def content_digest(values: pd.DataFrame, *, order: Sequence[str] | None) -> str:
    """Give the sha256 of read values, canonical rows in the order of their keys.

    Parameters
    ----------
    values : DataFrame
    order : sequence of str or None
        One key a row; None keeps the given order.
    """
    lines = values.to_csv(index=False, header=False, lineterminator="\n").splitlines()
    if order is not None:
        lines = [line for _, line in sorted(zip(order, lines, strict=True))]
    head = "\x1f".join(map(str, values.columns))
    return hashlib.sha256("\n".join([head, *lines]).encode()).hexdigest()


def _also(leads: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    texts = {f"also {name}": read_texts(leads[find_column(leads, name, key="columns")], missing=()) for name in names}
    return pd.DataFrame(texts, index=pd.RangeIndex(len(leads)))
