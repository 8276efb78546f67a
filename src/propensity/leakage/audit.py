"""The only place for the rounds of an audit: a perfect leak hides the rest, so columns are judged again without it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from propensity.leakage.alone import look_at, tell_alone
from propensity.leakage.evidence import ColumnAudit, Evidence, Verdict, judge
from propensity.leakage.models import Models, find_dominant, find_price, find_twins
from propensity.leakage.names import ask_name
from propensity.leakage.rows import canonical_rows
from propensity.schema import normalise_name

if TYPE_CHECKING:
    import pandas as pd

    from propensity.config import Availability
    from propensity.schema import Schema

MAX_ROUNDS = 4
# What the models may cost: columns they see, and prices told.
MAX_COLUMNS, MAX_PRICES = 40, 40
# Weaker columns have rankings of chance, which agree by chance.
MIN_TWIN_AUC = 0.60


def audit_columns(
    read: pd.DataFrame,
    y: np.ndarray,
    *,
    schema: Schema,
    groups: np.ndarray,
    declared: Mapping[str, Availability],
    from_events: Collection[str],
    seed: int,
    weight: np.ndarray | None = None,
    beside: Mapping[str, Sequence[Evidence]] | None = None,
) -> tuple[ColumnAudit, ...]:
    """Judge every feature.

    Parameters
    ----------
    read : DataFrame, shape (n_rows, n_features)
        Numbers (NaN where missing) and canonical text (None where missing), a column for each of the schema's.
    y : array of {0, 1}, shape (n_rows,)
    schema : Schema
    groups : array of int, shape (n_rows,)
        Rows of one lead or account: they share a fold and count once. The order of rows does not matter.
    declared : mapping of column to availability
        ``static`` and ``event`` columns are never quarantined, ``mutable`` and ``outcome`` ones always are.
    from_events : collection of str
        Features made of what was recorded before the cutoff, events or a field's history: safe by construction.
    seed : int
    weight : array of float or None, shape (n_rows,)
        Rows that weigh nothing say nothing.
    beside : mapping of column to sequence of Evidence or None
        What other tables say: `compare_as_of`, `compare_open`.

    Returns
    -------
    tuple of ColumnAudit
        One a column, in the schema's order.
    """
    beside = {} if beside is None else beside
    availability = {normalise_name(name): kind for name, kind in declared.items()}
    kind_of = {column.name: availability.get(normalise_name(column.name)) for column in schema.columns}
    rows, read = canonical_rows(read, y, groups, weight, seed=seed)
    columns = {column.name: column for column in schema.columns}
    own = {*columns} - {*from_events}
    in_time = {name for name in own if kind_of[name] in {"static", "event"}}
    found = {name: [*ask_name(name, kind_of[name]), *beside.get(name, ())] if name in own else [] for name in columns}
    strength = dict.fromkeys(columns, 0.0)
    for name, column in columns.items() if rows.has_both else ():
        look = look_at(read[name], column, rows)  # not kept: of 5,000 columns it would fill the memory
        strength[name] = float(np.nan_to_num(look.auc))
        if name in own:
            found[name] += tell_alone(read[name], look, rows, n_columns=len(columns))

    def verdict(name: str) -> Verdict:
        return judge(found[name], is_declared=name in in_time)

    ranked = sorted(columns, key=lambda name: -strength[name])
    decided = {name: 1 for name in columns if verdict(name) == "QUARANTINE"}
    models = Models(read=read, rows=rows, schema=schema, seed=seed)
    last = 1
    for last in range(2, MAX_ROUNDS + 1) if rows.has_both else ():
        kept = _strongest(ranked, decided)
        alike = [name for name in kept if name in own - in_time and strength[name] >= MIN_TWIN_AUC]
        twins = find_twins({name: look_at(read[name], columns[name], rows).told for name in alike})
        dominant = find_dominant(models, kept, candidates=own, twins=twins)
        for name in kept:
            found[name] = [e for e in found[name] if e.code != "DOM"]
            found[name] += [dominant[name]] if name in dominant else []
        new = [name for name in kept if verdict(name) == "QUARANTINE"]
        if not new:
            break
        decided |= dict.fromkeys(new, last)
    kept = _strongest(ranked, decided)
    asked = [name for name in ranked if verdict(name) != "OK"][:MAX_PRICES]
    prices = {name: find_price(models, name, kept) for name in asked}
    return tuple(
        ColumnAudit(
            column=name,
            verdict=verdict(name),
            evidence=tuple(found[name]),
            round=decided.get(name, last),
            price=prices.get(name),
        )
        for name in columns
    )


def _strongest(ranked: Sequence[str], decided: Collection[str]) -> list[str]:
    """Give the columns that models see: those left, or the strongest of them where there are too many."""
    return [name for name in ranked if name not in decided][:MAX_COLUMNS]
