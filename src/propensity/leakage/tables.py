"""The only place that holds a field as exported against other tables: its history, and leads that are still open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from propensity.encoding import MIN_LEVEL_ROWS
from propensity.leakage.alone import look_at
from propensity.leakage.evidence import Evidence, is_beyond_chance
from propensity.leakage.rows import canonical_rows

if TYPE_CHECKING:
    from propensity.schema import Column

MIN_AS_OF_GAP, MIN_CHANGED = 0.05, 0.20
MIN_OPEN_GAP, MAX_OPEN_GAP = 0.30, 0.60


def compare_as_of(
    at_export: pd.Series,
    as_of: pd.Series,
    y: np.ndarray,
    *,
    column: Column,
    groups: np.ndarray,
    seed: int,
    is_changed_after: np.ndarray | None = None,
) -> Evidence | None:
    """Hold a field as exported against the same field as it was at each row's cutoff.

    Parameters
    ----------
    at_export, as_of : Series, shape (n_rows,)
        Read values of one column, row by row.
    y : array of {0, 1}, shape (n_rows,)
    column : Column
    groups : array of int, shape (n_rows,)
    seed : int
    is_changed_after : array of bool or None, shape (n_rows,)
        Where the field was written again after the conversion; only converted rows are looked at.

    Returns
    -------
    Evidence or None
        ``ASOF``, where the export ranks leads better by 0.05 of AUC or more, or where the field changed after a fifth
        of all conversions.
    """
    both = pd.DataFrame({"export": at_export.to_numpy(), "then": as_of.to_numpy()})
    after = np.zeros(len(y), dtype=bool) if is_changed_after is None else is_changed_after
    rows, both = canonical_rows(both.assign(after=after), y, groups, seed=seed)
    if not rows.has_both:
        return None
    export, then = (look_at(both[name], column, rows).auc for name in ("export", "then"))
    n_after = rows.n_groups_in(both["after"].to_numpy(dtype=bool) & (rows.y == 1))
    changed = n_after / rows.n_converted
    # Two rankings of the same rows differ by chance less than one does from nothing: the wider error is the safe one.
    is_better = export - then >= MIN_AS_OF_GAP and is_beyond_chance((export - then) / rows.auc_error)
    is_late = changed >= MIN_CHANGED and n_after >= MIN_LEVEL_ROWS
    if not is_better and not is_late:
        return None
    said = [f"as exported it ranks leads with AUC {export:.2f}, as known in time with {then:.2f}"] if is_better else []
    said += [f"it was written again after {changed:.0%} of {rows.n_converted:,} conversions"] if is_late else []
    return Evidence(
        code="ASOF",
        calls_for="QUARANTINE",
        value=float(export - then) if is_better else changed,
        n_leads=rows.n_groups,
        sentence="; ".join(said),
    )


def compare_open(is_filled: np.ndarray, is_open: np.ndarray, *, age: np.ndarray | None = None) -> Evidence | None:
    """Hold how often a field is filled for leads whose outcome is known against open leads of the same age.

    Parameters
    ----------
    is_filled, is_open : array of bool, shape (n_leads,)
        Leads with a known outcome and open ones in one table.
    age : array of int or None, shape (n_leads,)
        Age bands, such as months since creation; None: all alike. Bands that hold one kind of lead say nothing.

    Returns
    -------
    Evidence or None
        ``OPEN``, where the rate is higher by 0.30 (a hint) or 0.60 (a proof) over the open leads' ages.

    Examples
    --------
    >>> is_open = np.repeat([False, True], 100)
    >>> compare_open(np.arange(200) < 70, is_open).sentence
    'it is filled for 70% of leads whose outcome is known, and for 0% of open leads of the same age'
    """
    bands = np.zeros(len(is_open), dtype=int) if age is None else np.unique(age, return_inverse=True)[1]
    n_open, n_done = (np.bincount(bands[part], minlength=bands.max(initial=0) + 1) for part in (is_open, ~is_open))
    shared = (n_open > 0) & (n_done > 0)
    if not shared.any():
        return None
    share = np.where(shared, n_open, 0) / n_open[shared].sum()
    rates = []
    variance = 0.0
    for part, n in ((~is_open, n_done), (is_open, n_open)):
        rate = np.bincount(bands[part], weights=is_filled[part], minlength=len(n)) / np.maximum(n, 1)
        rates.append(float((share * rate).sum()))
        # Agresti and Caffo's two rows more keep a rate of 0 or 1 from looking certain.
        shrunk = (rate * n + 1) / (n + 2)
        variance += float((share**2 * shrunk * (1 - shrunk) / (n + 2)).sum())
    gap = rates[0] - rates[1]
    if gap < MIN_OPEN_GAP or not is_beyond_chance(gap / np.sqrt(variance)):
        return None
    return Evidence(
        code="OPEN",
        calls_for="QUARANTINE" if gap >= MAX_OPEN_GAP else "REVIEW",
        value=gap,
        n_leads=len(is_open),
        sentence=(
            f"it is filled for {rates[0]:.0%} of leads whose outcome is known, and for {rates[1]:.0%} of open leads of "
            "the same age"
        ),
    )
