"""The only place that holds a field as exported against other tables: its history, and leads that are still open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from propensity.encoding import MIN_LEVEL_ROWS
from propensity.leakage.alone import MIN_SURE_ROWS, look_at
from propensity.leakage.evidence import Evidence, Verdict, is_beyond_chance
from propensity.leakage.rows import canonical_rows

if TYPE_CHECKING:
    from propensity.schema import Column

MIN_AS_OF_GAP, MIN_CHANGED = 0.05, 0.20
MIN_OPEN_GAP, MAX_OPEN_GAP = 0.30, 0.60
# Bands of age hold as many open leads each, so that what changed once for all new leads falls into one of them.
MAX_BANDS, MIN_BAND_LEADS = 40, 10
# As leads get their outcome, a field written with it fills at the pace of the gap; half of that is asked for.
MIN_PACE = 0.5
# So many standard errors behind that pace speak against it (one in twenty by chance).
MAX_BEHIND = 1.645
# Bands that hold converted, lost and open leads must hold at least this share of all open ones.
MIN_SHARED = 0.5
_LOST, _WON, _OPEN = range(3)


def compare_as_of(
    at_export: pd.Series,
    as_of: pd.Series,
    y: np.ndarray,
    *,
    column: Column,
    groups: np.ndarray,
    seed: int,
    weight: np.ndarray | None = None,
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
    weight : array of float or None, shape (n_rows,)
    is_changed_after : array of bool or None, shape (n_rows,)
        Where the field was written again when the row converted, or later; only converted rows are looked at.

    Returns
    -------
    Evidence or None
        ``ASOF``, where the export ranks leads better by 0.05 of AUC or more, or where the field was written again
        at a fifth of all conversions, or after them.
    """
    both = pd.DataFrame({"export": at_export.to_numpy(), "then": as_of.to_numpy()})
    after = np.zeros(len(y), dtype=bool) if is_changed_after is None else is_changed_after
    rows, both = canonical_rows(both.assign(after=after), y, groups, weight, seed=seed)
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
    said += [f"once converted, {changed:.0%} of {rows.n_converted:,} leads had it written again"] if is_late else []
    return Evidence(
        code="ASOF",
        calls_for="QUARANTINE",
        value=float(export - then) if is_better else changed,
        n_leads=rows.n_groups,
        sentence="; ".join(said),
    )


def age_bands(born: np.ndarray, is_open: np.ndarray) -> np.ndarray:
    """Put leads into bands of age that hold equally many open ones; 0 is the youngest.

    Parameters
    ----------
    born : array, shape (n_leads,)
        When each lead came in, in any unit.
    is_open : array of bool, shape (n_leads,)

    Returns
    -------
    array of int, shape (n_leads,)
        -1 for a lead that is younger or older than every open one.

    Examples
    --------
    >>> age_bands(np.arange(40), np.arange(40) >= 20)[[19, 20, 29, 30, 39]].tolist()
    [-1, 1, 1, 0, 0]
    """
    if not is_open.any():
        return np.full(len(born), -1)
    age = -born
    n_bands = int(np.clip(is_open.sum() // MIN_BAND_LEADS, 1, MAX_BANDS))
    # Ranks, not quantiles: instants in microseconds would lose their last digits between two of them.
    of_open = np.sort(age[is_open])
    edges = of_open[(np.arange(1, n_bands) * len(of_open)) // n_bands]
    inside = (age >= of_open[0]) & (age <= of_open[-1])
    return np.asarray(np.where(inside, np.searchsorted(edges, age, side="right"), -1))


def compare_open(
    is_filled: np.ndarray, y: np.ndarray, *, age: np.ndarray | None = None, n_columns: int = 1
) -> Evidence | None:
    """Hold how often a field is filled for leads whose outcome is known against open leads of the same age.

    Leads that converted *and* those that did not must have it more often than open ones: a field that speaks for one
    outcome alone is looked at elsewhere, and may have been known at creation. So may one that only leads have whom
    somebody works, and thus closes. But what a lead came in with does not become more frequent as leads of an age get
    their outcome, while what is written with the outcome does; that is asked of the younger and of the older half of
    the open leads, since a field that forms ask for no longer (or only now) changed within one of them.

    Parameters
    ----------
    is_filled : array of bool, shape (n_leads,)
    y : array of {0, 1, NaN}, shape (n_leads,)
        NaN: the lead is open.
    age : array of int or None, shape (n_leads,)
        As `age_bands` gives them. None: nobody knows, and what differs may be that open leads are newer.
    n_columns : int
        Of the file: so many looks bring something by chance.

    Returns
    -------
    Evidence or None
        ``OPEN``, where both rates are higher by 0.30 (a hint) or 0.60 (a proof). Never a proof where there is no age,
        and where leads of the open ones' age all converted, as in files that wait for labels to ripen: there older
        leads stand for those that did not, and a field filled little by little over a life looks alike.

    Examples
    --------
    Of 400 leads each day's share that is resolved grows with age; the field is filled for those alone:

    >>> day = np.repeat(np.arange(10), 40)
    >>> is_open = np.tile(np.arange(40), 10) < 4 * (day + 1) - 2
    >>> y = np.where(is_open, np.nan, np.arange(400) % 2)
    >>> compare_open(~is_open, y, age=age_bands(day, is_open)).sentence
    'it is filled for 100% of leads that converted, 100% of those that did not, and 0% of open leads of the same age'
    """
    kind = np.where(np.isnan(y), _OPEN, y).astype(int)
    band = np.zeros(len(y), dtype=int) if age is None else age
    n_bands = int(band.max(initial=0)) + 1
    inside = band >= 0
    cell = kind[inside] * n_bands + band[inside]
    n = np.bincount(cell, minlength=3 * n_bands).reshape(3, n_bands)
    filled = np.bincount(cell, weights=is_filled[inside], minlength=3 * n_bands).reshape(3, n_bands)
    everyone = np.bincount(kind, minlength=3)
    if everyone.min() < MIN_SURE_ROWS:
        return None
    is_shared = (n > 0).all(axis=0)
    is_alike = n[_OPEN, is_shared].sum() >= MIN_SHARED * n[_OPEN].sum()
    if not is_alike:  # those that did not convert are all older
        n[_LOST], filled[_LOST] = everyone[_LOST], is_filled[kind == _LOST].sum()
        is_shared = (n > 0).all(axis=0)
        if n[_OPEN, is_shared].sum() < MIN_SHARED * n[_OPEN].sum():
            return None
    share = np.where(is_shared, n[_OPEN], 0) / n[_OPEN, is_shared].sum()
    rate = (filled / np.maximum(n, 1)) @ share
    gap = float(rate[:_OPEN].min() - rate[_OPEN])
    if gap < (MIN_OPEN_GAP if age is not None else MAX_OPEN_GAP):
        return None
    spread = _variance(filled, n)
    # Leads of one band, and older ones that stand for all bands, are the same witnesses throughout.
    error = (spread * share**2).sum(axis=1)
    error[_LOST] = error[_LOST] if is_alike else spread[_LOST, 0]
    n_errors = [(rate[known] - rate[_OPEN]) / np.sqrt(error[known] + error[_OPEN]) for known in (_LOST, _WON)]
    if not is_beyond_chance(float(min(n_errors)), n_looks=n_columns):
        return None
    pace: Verdict = _weigh_pace(filled, n, gap=gap) if age is not None and is_alike else "REVIEW"
    if pace == "OK":
        return None
    lost, won, still = (f"{part:.0%}" for part in rate)
    if age is None:
        sentence = (
            f"it is filled for {won} of leads that converted, {lost} of those that did not, and {still} of open leads, "
            "which may be because these are newer: name the date of leads (columns.date)"
        )
    elif is_alike:
        sentence = (
            f"it is filled for {won} of leads that converted, {lost} of those that did not, and {still} of open leads "
            "of the same age"
        )
    else:
        sentence = (
            f"it is filled for {won} of leads that converted and {still} of open leads of the same age, and for {lost} "
            "of older leads that did not convert"
        )
    return Evidence(
        code="OPEN",
        calls_for=pace if gap >= MAX_OPEN_GAP else "REVIEW",
        value=gap,
        n_leads=len(y),
        sentence=sentence,
    )


def _variance(filled: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Give the variance of each rate; Agresti and Caffo's two rows more keep a rate of 0 or 1 from looking certain."""
    rate = (filled + 1) / (n + 2)
    return np.asarray(rate * (1 - rate) / (n + 2))


def _weigh_pace(filled: np.ndarray, n: np.ndarray, *, gap: float) -> Verdict:
    """Say whether all leads of an age have the field the more often the more of them have an outcome.

    A proof where the younger and the older half of the open leads both show it; a hint where they do together, neither
    speaks against it, and among leads with an outcome it is no field of older ones. Age is Wald's
    instrument: who has a field may well be closed sooner, so that shares of filled and of closed leads go together
    within a band by chance.
    """
    n_all, n_filled = n.sum(axis=0), filled.sum(axis=0)
    done = 1 - n[_OPEN] / np.maximum(n_all, 1)
    is_older = np.cumsum(n[_OPEN]) - n[_OPEN] / 2 > n[_OPEN].sum() / 2
    halves = [_trend(n_filled, n_all, done, part) for part in (is_older, ~is_older)]
    if all(_is_pace(*half, gap=gap) for half in halves):
        return "QUARANTINE"
    is_denied = any((gap * closed - grown) / error > MAX_BEHIND for grown, closed, error in halves)
    whole = _trend(n_filled, n_all, done, n_all > 0)
    is_hint = _is_pace(*whole, gap=gap) and not is_denied and not _is_retired(filled, n)
    return "REVIEW" if is_hint else "OK"


def _is_retired(filled: np.ndarray, n: np.ndarray) -> bool:
    """Say whether leads with an outcome have a field less often from some age down: forms ask for it no longer."""
    n_known, n_filled = (np.cumsum(part[:_OPEN].sum(axis=0)) for part in (n, filled))
    young_n, young = n_known[:-1], n_filled[:-1]
    old_n, old = n_known[-1] - young_n, n_filled[-1] - young
    gap = old / np.maximum(old_n, 1) - young / np.maximum(young_n, 1)
    n_errors = gap / np.sqrt(_variance(young, young_n) + _variance(old, old_n))
    return any(is_beyond_chance(float(z), n_looks=len(gap)) for z in n_errors[(young_n > 0) & (old_n > 0)])


def _trend(filled: np.ndarray, n: np.ndarray, done: np.ndarray, part: np.ndarray) -> tuple[float, float, float]:
    """Give how the rate of filled leads and that of closed ones go with age over some bands, and the first's error."""
    size = np.where(part, n, 0)
    rank = np.arange(len(size))
    lever = size * (rank - size @ rank / max(size.sum(), 1))
    error = float(np.sqrt(lever**2 @ _variance(filled, n)))
    # Bands of no length tell nothing, whatever the error.
    return float(lever @ (filled / np.maximum(n, 1))), float(lever @ done), error or 1.0


def _is_pace(grown: float, closed: float, error: float, *, gap: float) -> bool:
    return closed > 0 and grown >= MIN_PACE * gap * closed and is_beyond_chance(grown / error)
