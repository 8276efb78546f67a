"""The only place where fields as exported meet what else the tables say of them: open leads, and their own history."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from propensity.asof import NEVER, History
from propensity.features import FeaturePlan, derived_names, with_derived
from propensity.leakage import Evidence, age_bands, compare_as_of, compare_open
from propensity.schema import Column, Schema, normalise_name, read_numbers, read_texts, resolve_columns

# Fewer open leads than this prove nothing, and are not worth a second reading of the file.
MIN_OPEN_LEADS = 25


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How leads stood when they were exported, those that do not teach among them.

    Parameters
    ----------
    leads : DataFrame, shape (n_rows, any)
        As given.
    row : array of int, shape (n_leads,)
        Where each lead is in it.
    y : array of {0, 1, NaN}, shape (n_leads,)
        NaN: the lead is open, it may still convert.
    born : array or None, shape (n_leads,)
        When each came in, in any unit; None: nobody knows.
    """

    leads: pd.DataFrame
    row: np.ndarray
    y: np.ndarray
    born: np.ndarray | None


@dataclass(frozen=True, kw_only=True)
class Exported:
    """Fields that have a history, as the lead table has them: what would have been learned from without it.

    What is derived from such fields is among them.

    Parameters
    ----------
    leads : DataFrame, shape (n_rows, n_fields)
        As given, a row for each training row.
    is_changed_after : dict of normalised column to array of bool, shape (n_rows,)
        Where the field was written again when the row converted, or later.
    """

    leads: pd.DataFrame
    is_changed_after: Mapping[str, np.ndarray]


def standing_of(
    leads: pd.DataFrame, row: np.ndarray, y: np.ndarray, born: np.ndarray | None, *, is_open: np.ndarray
) -> Standing | None:
    """Give how leads stood; None where too few are open to hold the others against.

    Parameters
    ----------
    leads : DataFrame, shape (n_rows, any)
    row : array of int, shape (n_leads,)
    y : array of {0, 1, NaN}, shape (n_leads,)
    born : array or None, shape (n_leads,)
    is_open : array of bool, shape (n_leads,)
        Whose outcome is not known whatever `y` says of it.
    """
    if is_open.sum() < MIN_OPEN_LEADS:
        return None
    return Standing(leads=leads, row=row, y=np.where(is_open, np.nan, y), born=born)


def exported_fields(
    leads: pd.DataFrame,
    history: History,
    plan: FeaturePlan,
    *,
    row: np.ndarray,
    lead: np.ndarray,
    y: np.ndarray,
    converted_at: np.ndarray,
) -> Exported:
    """Give the fields that have a history, and what is derived from them, as they were exported.

    Parameters
    ----------
    leads : DataFrame, shape (any, any)
        As given.
    history : History
    plan : FeaturePlan
    row : array of int, shape (n_rows,)
        Where each training row is in `leads`.
    lead : array of int, shape (n_rows,)
        Whose row it is, as the history counts leads.
    y : array of {0, 1}, shape (n_rows,)
    converted_at : array of int64, shape (n_rows,)
        The conversion that a row of 1 tells of.
    """
    columns = resolve_columns(leads.columns)
    kept = {str(field): changes for field, changes in history.frame.groupby("field") if field in columns}
    made = {column: kind for column, kind in plan.derive.items() if normalise_name(column) in kept}
    # The few columns first: all of them, a row a snapshot, would fill the memory.
    table = leads[[columns[field] for field in kept]].iloc[row].reset_index(drop=True)
    is_after = {}
    for field, changes in kept.items():
        last = np.full(max(int(lead.max(initial=-1)), int(changes["key"].max())) + 1, -NEVER)
        np.maximum.at(last, changes["key"].to_numpy(), changes["at"].to_numpy())
        is_after[field] = (y == 1) & (last[lead] >= converted_at)
    for column, kind in made.items():
        is_after |= {normalise_name(name): is_after[normalise_name(column)] for name in derived_names(column, kind)}
    return Exported(leads=with_derived(table, replace(plan, derive=made)), is_changed_after=is_after)


def ask_open_leads(standing: Standing, schema: Schema, *, passed_over: Collection[str]) -> dict[str, list[Evidence]]:
    """Hold how often each field of the leads' own is filled against open leads.

    Parameters
    ----------
    standing : Standing
    schema : Schema
    passed_over : collection of str
        Features that are made of records known in time; those the leads do not have are passed over too.

    Returns
    -------
    dict of column to list of Evidence
        Columns without any are left out.

    Examples
    --------
    >>> done = np.arange(200) < 150
    >>> leads = pd.DataFrame({"Handled by": np.where(done, "Ana", ""), "Country": "SI"})
    >>> y = np.where(done, np.arange(200) % 2, np.nan)
    >>> standing = Standing(leads=leads, row=np.arange(200), y=y, born=None)
    >>> columns = tuple(Column(name=name, family="fit", kind="category") for name in leads)
    >>> found = ask_open_leads(standing, Schema(columns=columns, id=None, missing=()), passed_over=())
    >>> [(name, evidence.calls_for) for name, (evidence,) in found.items()]
    [('Handled by', 'REVIEW')]
    """
    names = resolve_columns(standing.leads.columns)
    age = None if standing.born is None else age_bands(standing.born, np.isnan(standing.y))
    found = {}
    for column in schema.columns:
        there = names.get(normalise_name(column.name))
        if there is None or column.name in passed_over:
            continue
        is_filled = _is_filled(standing.leads[there], column)[standing.row]
        told = compare_open(is_filled, standing.y, age=age, n_columns=len(schema.columns))
        if told is not None:
            found[column.name] = [told]
    return found


def ask_history(
    exported: Exported,
    read: pd.DataFrame,
    y: np.ndarray,
    *,
    schema: Schema,
    groups: np.ndarray,
    weight: np.ndarray | None,
    seed: int,
) -> dict[str, Evidence]:
    """Hold fields as exported against what their history says of each training row.

    Parameters
    ----------
    exported : Exported
    read : DataFrame, shape (n_rows, n_features)
        As known at each row's cutoff.
    y, groups, weight : arrays, shape (n_rows,)
    schema : Schema
    seed : int

    Returns
    -------
    dict of column to Evidence
        Columns without any are left out.
    """
    names = resolve_columns(exported.leads.columns)
    found = {}
    for column in schema.columns:
        there = names.get(normalise_name(column.name))
        if there is None:
            continue
        told = compare_as_of(
            _values(exported.leads[there], column),
            read[column.name],
            y,
            column=column,
            groups=groups,
            seed=seed,
            weight=weight,
            is_changed_after=exported.is_changed_after[normalise_name(column.name)],
        )
        if told is not None:
            found[column.name] = told
    return found


def _values(cells: pd.Series, column: Column) -> pd.Series:
    if column.kind == "number":
        return pd.Series(read_numbers(cells, missing=column.missing, decimal=column.decimal)[0])
    return read_texts(cells.reset_index(drop=True), missing=column.missing)


def _is_filled(cells: pd.Series, column: Column) -> np.ndarray:
    return _values(cells, column).notna().to_numpy()
