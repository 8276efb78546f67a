"""The only place that asks what one column says by itself: how it ranks, what its values imply, what is filled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy import special, stats

from propensity.leakage.evidence import CHANCE, Evidence, is_beyond_chance
from propensity.leakage.rows import N_FOLDS, Rows
from propensity.roles.hindsight import is_relabelling, tells_by_being_filled

if TYPE_CHECKING:
    from propensity.schema import Column

# Where leaks were told from legitimate columns on public lead files; what each is of, its evidence says.
MIN_AUC = 0.90
MIN_PURE_RATE, MIN_PURE_ROWS = 0.90, 30
MIN_SURE_ROWS, MIN_LIFT = 25, 2.0
MIN_HELD = 0.10
MIN_FILLED_AUC = 0.75
N_BINS = 20
# Leads at the base rate that a level's own rate is mixed with, so that rare levels say little.
PRIOR_ROWS = 10.0


@dataclass(frozen=True, kw_only=True)
class Look:
    """One column, coded.

    Parameters
    ----------
    level : array of int, shape (n_rows,)
        The distinct value; -1 where missing.
    names : Index
        The distinct values.
    step : array of int, shape (n_rows,)
        The quantile bin of a number, the level of a category; -1 where missing.
    is_zero : array of bool or None, shape (n_rows,)
        Where an amount is zero or missing; None where the column is no amount.
    n_level : array of int, shape (n_levels,)
        Groups of each level.
    told : array of float, shape (n_rows,)
        What the column alone says of each lead without its outcome: the rate of its like in the other folds.
    auc : float
        How well that ranks leads; NaN where no fold has both outcomes.
    """

    level: np.ndarray
    names: pd.Index
    step: np.ndarray
    is_zero: np.ndarray | None
    n_level: np.ndarray
    told: np.ndarray
    auc: float

    @property
    def is_filled(self) -> np.ndarray:
        """Which rows hold a value."""
        return np.asarray(self.level >= 0)

    @property
    def is_uncommon(self) -> np.ndarray:
        """Which rows hold another value than the most common one."""
        return np.asarray(self.is_filled & (self.level != np.argmax(np.append(self.n_level, 0))))


def look_at(values: pd.Series, column: Column, rows: Rows) -> Look:
    """Code a column, and rank leads of both outcomes by it."""
    level, names = pd.factorize(values, sort=column.kind == "number", use_na_sentinel=True)
    step, is_zero = level, None
    if column.kind == "number":
        numbers = values.to_numpy(dtype=float)
        step = _bins(numbers)
        filled = numbers[np.isfinite(numbers)]
        # A count of zero is a fact; an amount of zero is how many tools export an empty cell.
        if not column.is_count and (filled == 0).any() and (filled != np.round(filled)).any():
            is_zero = ~np.isfinite(numbers) | (numbers == 0)
    n_steps = int(step.max()) + 1
    told = _told_by_others(np.where(step < 0, n_steps, step), rows, n_codes=n_steps + 1)
    return Look(
        level=level,
        names=names,
        step=step,
        is_zero=is_zero,
        n_level=rows.count(level, n_codes=len(names))[0],
        told=told,
        auc=rows.auc(rows.places(told)),
    )


def _bins(numbers: np.ndarray) -> np.ndarray:
    """Put numbers into up to 20 quantile bins, -1 where missing; a common value has a bin of its own.

    Examples
    --------
    >>> _bins(np.array([0, 0, 0, 0, 2.5, 7, np.nan])).tolist()
    [0, 0, 0, 0, 1, 2, -1]
    """
    filled = numbers[np.isfinite(numbers)]
    if len(filled) == 0:
        return np.full(len(numbers), -1)
    distinct, size = np.unique(filled, return_counts=True)
    if len(distinct) <= N_BINS:
        edges = distinct[1:]
    else:
        common = distinct[size * N_BINS >= len(filled)]
        rest = filled[~np.isin(filled, common)]
        cuts = np.quantile(rest, np.linspace(0, 1, N_BINS + 1)[1:-1]) if len(rest) else np.empty(0)
        edges = np.unique(np.concatenate([cuts, common, np.nextafter(common, np.inf)]))
    return np.asarray(np.where(np.isfinite(numbers), np.searchsorted(edges, numbers, side="right"), -1))


def _told_by_others(code: np.ndarray, rows: Rows, *, n_codes: int) -> np.ndarray:
    """Give each row the conversion rate of its code in the other folds, mixed with theirs at large."""
    cell = code * N_FOLDS + rows.fold
    size = np.bincount(cell, weights=rows.weight, minlength=n_codes * N_FOLDS).reshape(n_codes, N_FOLDS)
    won = np.bincount(cell, weights=rows.won, minlength=n_codes * N_FOLDS).reshape(n_codes, N_FOLDS)
    size, won = size.sum(axis=1, keepdims=True) - size, won.sum(axis=1, keepdims=True) - won
    total = size.sum(axis=0)
    rate = np.divide(won.sum(axis=0), total, out=np.full(N_FOLDS, rows.rate), where=total > 0)
    return np.asarray(((won + PRIOR_ROWS * rate) / (size + PRIOR_ROWS))[code, rows.fold])


def tell_alone(values: pd.Series, look: Look, rows: Rows, *, n_columns: int) -> list[Evidence]:
    """Collect what a column shows without the others.

    Parameters
    ----------
    values : Series, shape (n_rows,)
    look : Look
        At the same values.
    rows : Rows
        Of both outcomes.
    n_columns : int
        Of the file: so many looks bring something by chance.
    """
    found = [
        _equal(values, look, rows),
        _ranks(look, rows, n_columns=n_columns),
        _pure(look, rows),
        _implies(look, rows, n_columns=n_columns),
        _filled(look.is_filled, rows, code="NA", n_columns=n_columns),
        None if look.is_zero is None else _filled(~look.is_zero, rows, code="ZERO", n_columns=n_columns),
    ]
    if not any(found):
        found.append(_filled_for_one(values, look, rows, n_columns=n_columns))
    return [evidence for evidence in found if evidence is not None]


def _equal(values: pd.Series, look: Look, rows: Rows) -> Evidence | None:
    n_filled = int(look.is_filled.sum())
    if n_filled < MIN_SURE_ROWS or len(look.names) != 2 or not is_relabelling(values, pd.Series(rows.y)):
        return None
    sentence = "it is the target in other words: each of its two values goes with one outcome"
    return Evidence(code="EQUAL", calls_for="QUARANTINE", value=1.0, n_leads=n_filled, sentence=sentence)


def _ranks(look: Look, rows: Rows, *, n_columns: int) -> Evidence | None:
    if not look.auc >= MIN_AUC or not is_beyond_chance((look.auc - 0.5) / rows.auc_error, n_looks=n_columns):
        return None
    sentence = (
        f"alone it puts a converted lead above another one {look.auc:.1%} of the time; at {MIN_AUC:.0%} and more, "
        "nothing known beforehand is that good"
    )
    return Evidence(code="AUC1", calls_for="QUARANTINE", value=look.auc, n_leads=rows.n_groups, sentence=sentence)


def _pure(look: Look, rows: Rows) -> Evidence | None:
    """Look for levels in which nearly all converted and that hold much of what converted."""
    # Where most leads convert anyway, 90 % is nothing: as many times the base rate's odds as 0.90 is at an even one.
    odds = rows.rate / (1 - rows.rate) * MIN_PURE_RATE / (1 - MIN_PURE_RATE)
    least = max(MIN_PURE_RATE, odds / (1 + odds))

    def is_pure(n: np.ndarray, won: np.ndarray) -> np.ndarray:
        """Whether the rate is at least so high with 99 % confidence (Clopper and Pearson)."""
        pure = (n >= MIN_PURE_ROWS) & (won >= least * n)
        pure[pure] = special.betaincinv(won[pure], n[pure] - won[pure] + 1, 0.01) >= least
        return np.asarray(pure)

    inside, where = _most(look, look.step, rows, is_pure)
    held = rows.held(inside)
    if held < MIN_HELD:
        return None
    rate = float(np.average(rows.y[inside], weights=rows.weight[inside]))
    n_leads = rows.n_groups_in(inside)
    sentence = f"{where} {rate:.1%} of {n_leads:,} leads converted, {held:.0%} of all that did"
    return Evidence(code="PURE", calls_for="QUARANTINE", value=held, n_leads=n_leads, sentence=sentence)


def _implies(look: Look, rows: Rows, *, n_columns: int) -> Evidence | None:
    """Look for rows that one cell tells and that all converted."""
    if rows.rate * MIN_LIFT > 1:
        return None
    # A column has no more levels of 25 leads than this; two more looks are at the filled and the uncommon.
    n_looks = n_columns * (rows.n_groups // MIN_SURE_ROWS + 2)

    def is_sure(n: np.ndarray, won: np.ndarray) -> np.ndarray:
        return np.asarray((n >= MIN_SURE_ROWS) & (won == n) & (rows.rate**n * n_looks <= CHANCE))

    inside, where = _most(look, look.level, rows, is_sure)
    if not inside.any():
        return None
    held, n_leads = rows.held(inside), rows.n_groups_in(inside)
    return Evidence(
        code="IMPL",
        calls_for="QUARANTINE" if held >= MIN_HELD else "REVIEW",
        value=held,
        n_leads=n_leads,
        sentence=(
            f"{where} every one of {n_leads:,} leads converted ({rows.rate:.1%} of all do), {held:.0%} of all that did"
        ),
    )


def _most(
    look: Look, code: np.ndarray, rows: Rows, holds: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> tuple[np.ndarray, str]:
    """Give the rows of which something holds, and where they are, in words.

    They are those of all codes it holds of, all filled ones, or all off the most common value: what holds the most
    conversions.
    """
    chosen = holds(*rows.count(code, n_codes=int(code.max()) + 1))
    inside = np.append(chosen, [False])[code]  # -1, missing, is the last
    where = _levels_in_words(look, chosen) if code is look.level else "in some of its ranges"
    for mask, words in ((look.is_filled, "where it is filled"), (look.is_uncommon, "off its most common value")):
        if rows.held(mask) > rows.held(inside) and holds(*rows.count(np.where(mask, 0, -1), n_codes=1)).all():
            inside, where = mask, words
    return inside, where


def _levels_in_words(look: Look, chosen: np.ndarray) -> str:
    """Name the three largest of levels that were chosen for holding at least 25 leads: none points at a person."""
    order = sorted(np.flatnonzero(chosen), key=lambda i: (-look.n_level[i], i))
    named = ", ".join(_short(look.names[int(i)]) for i in order[:3])
    more = f" and {len(order) - 3} more" if len(order) > 3 else ""
    return f"where it is {named}{more}"


def _short(level: object) -> str:
    return f"{level:g}" if isinstance(level, float) else repr(str(level)[:40])


def _filled(mask: np.ndarray, rows: Rows, *, code: Literal["NA", "ZERO"], n_columns: int) -> Evidence | None:
    """See how well being filled (not being zero) alone tells the outcome."""
    lost = rows.weight * (1 - rows.y)
    of_won, of_lost = rows.held(mask), lost[mask].sum() / lost.sum()
    auc = 0.5 + 0.5 * abs(of_won - of_lost)
    if auc < MIN_FILLED_AUC:
        return None
    n, n_won = rows.count(mask.astype(int), n_codes=2)
    if stats.fisher_exact(np.array([n_won, n - n_won])).pvalue * n_columns > CHANCE:
        return None
    verb = "filled" if code == "NA" else "not zero"
    return Evidence(
        code=code,
        calls_for="QUARANTINE" if code == "NA" else "REVIEW",
        value=float(auc),
        n_leads=int(n.sum()),
        sentence=f"it is {verb} for {of_won:.0%} of the leads that converted and {of_lost:.0%} of the others",
    )


def _filled_for_one(values: pd.Series, look: Look, rows: Rows, *, n_columns: int) -> Evidence | None:
    """See whether leads of one outcome alone have a value: a reason for losing, or a field of those who cannot buy.

    Also a field of the converted where so many convert that an implication says little.
    """
    told = rows.y[look.is_filled]
    # The first line says it sooner: most columns are filled for both.
    if 0 < told.sum() < len(told) or not tells_by_being_filled(values, pd.Series(rows.y)):
        return None
    n_leads = rows.n_groups_in(look.is_filled)
    is_won = bool(told.all())
    rate = rows.rate if is_won else 1 - rows.rate
    if n_leads < MIN_SURE_ROWS or rate**n_leads * n_columns > CHANCE:
        return None
    sentence = f"it is filled for {n_leads:,} leads, and {'all' if is_won else 'none'} of them converted"
    return Evidence(code="FILLED", calls_for="REVIEW", value=rate, n_leads=n_leads, sentence=sentence)
