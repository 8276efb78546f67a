"""The only place that says what a new agreement changes: terms, volumes, rates, and who moves between bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from propensity.schema import MQL, NURTURE, SQL

if TYPE_CHECKING:
    from propensity.bands import Bands

BANDS = (SQL, MQL, NURTURE)


@dataclass(frozen=True, kw_only=True)
class Moves:
    """Two agreements side by side.

    Parameters
    ----------
    terms : tuple of (name, before, after)
        What was agreed on otherwise.
    before, after : Bands
    band_before, band_after : array of str, shape (n_leads,)
        Of the same leads.
    """

    terms: tuple[tuple[str, Any, Any], ...]
    before: Bands
    after: Bands
    band_before: np.ndarray
    band_after: np.ndarray

    def table(self) -> pd.DataFrame:
        """Count leads by their band before and after.

        Returns
        -------
        DataFrame, shape (3, 4)
            Columns ``before, SQL, MQL, nurture``: a row a band before, a column a band after.
        """
        rows = []
        for old in BANDS:
            inside = self.band_before == old
            rows.append({"before": old, **{new: int((inside & (self.band_after == new)).sum()) for new in BANDS}})
        return pd.DataFrame(rows)


def changed_terms(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[tuple[str, Any, Any], ...]:
    """Name what two agreements differ in; terms that older bundles do not know are no change.

    Examples
    --------
    >>> changed_terms({"policy": "promise", "mql_recall": 0.9}, {"policy": "promise", "mql_recall": 0.8, "new": 1})
    (('mql_recall', 0.9, 0.8),)
    """
    return tuple((name, before[name], after[name]) for name in sorted(before) if after.get(name) != before[name])


def terms_lines(terms: Sequence[tuple[str, Any, Any]]) -> list[str]:
    """Word what was agreed on otherwise; nothing where all is as before.

    Examples
    --------
    >>> terms_lines([("mql_recall", 0.9, 0.8)])
    ['Agreement  changed since the champion:', '             mql_recall: 0.9 -> 0.8']
    """
    if not terms:
        return []
    changed = [f"             {name}: {_said(old)} -> {_said(new)}" for name, old, new in terms]
    return ["Agreement  changed since the champion:", *changed]


def moves_lines(moves: Moves) -> list[str]:
    """Word the change for the people who agreed on it."""
    lines = terms_lines(moves.terms)
    before, after = moves.before, moves.after
    for band, shares, rates in (
        (SQL, (before.sql_share, after.sql_share), (before.sql_promise.observed, after.sql_promise.observed)),
        (MQL, (before.mql_share, after.mql_share), (before.mql_promise.observed, after.mql_promise.observed)),
    ):
        rate = "converting" if band == SQL else "of all conversions found with SQL"
        volumes = " -> ".join(
            f"{share:.1%}" if one.leads_per_week is None else f"{share * one.leads_per_week:,.1f} a week"
            for share, one in zip(shares, (before, after), strict=True)
        )
        lines.append(f"           {band}: {volumes}; {rate}: {rates[0]:.1%} -> {rates[1]:.1%}")
    table = moves.table().set_index("before")
    n_moved = int(table.to_numpy().sum() - np.trace(table.to_numpy()))
    lines.append(f"           of the newest {len(moves.band_before):,} leads, {n_moved:,} move:")
    for old in BANDS:
        counts = {new: int(table[new][old]) for new in BANDS if new != old}
        told = [f"{n:,} to {new}" for new, n in counts.items() if n]
        if told:
            lines.append(f"             from {old}: {', '.join(told)}")
    return lines


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {one}" for key, one in value.items())
    return "not set" if value in (None, "") else str(value)
