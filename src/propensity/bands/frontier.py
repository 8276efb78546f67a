"""The only place for the frontier: what each threshold would bring, and what it would cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from propensity.bands.policies import Certifying, lower_bound, threshold_grid, upper_bound
from propensity.bands.thresholds import DECIMALS, Deal
from propensity.schema import MQL, SQL

# Without weeks, volumes are told of so many leads.
PER_LEADS = 1000.0
# Of the best profit: thresholds that bring at least this much are as good.
NEAR_BEST = 0.98
# So many leads more a week, where nobody said how many one rep works.
REP_LEADS = 10.0


@dataclass(frozen=True, kw_only=True)
class Frontier:
    """Leads at or above each threshold, counted on newer leads than those that chose it.

    Parameters
    ----------
    thresholds : tuple of float, shape (n_thresholds,)
        Growing.
    n_leads, n_converted : tuple of int, shape (n_thresholds,)
        Leads at or above each, and those of them that converted.
    expected : tuple of float, shape (n_thresholds,)
        Conversions by the probabilities alone, as many rows.
    won : tuple of float, shape (n_thresholds,)
        What the conversions brought; nothing where no value is known.
    n_all, n_all_converted : int
    leads_per_week : float or None
    leads_per_rep : float
        Leads that one more rep works in a week.
    cost : float
        Of one contact.
    delta : float
        Of each one-sided bound of the precision.
    sql, mql : float
        The thresholds agreed on.
    """

    thresholds: tuple[float, ...]
    n_leads: tuple[int, ...]
    n_converted: tuple[int, ...]
    expected: tuple[float, ...]
    won: tuple[float, ...]
    n_all: int
    n_all_converted: int
    leads_per_week: float | None
    leads_per_rep: float
    cost: float
    delta: float
    sql: float
    mql: float

    @property
    def per(self) -> str:
        """What volumes are counted in."""
        return "week" if self.leads_per_week is not None else f"{PER_LEADS:,.0f} leads"

    def table(self) -> pd.DataFrame:
        """Tabulate the frontier.

        Returns
        -------
        DataFrame
            Columns ``threshold, share, volume, precision, low, high, recall, recall_low, recall_high, conversions,
            lift, cost, profit, near_best, next_rep, agreed``. Volume, conversions, cost and profit are a week's, or of
            1,000 leads without dates; cost and profit are empty without a price. Bounds are exact and one-sided, each
            at the agreed confidence. ``near_best``: profit within 2 % of the best.
            ``next_rep``: conversions that one more rep would find among the next best leads. ``agreed``: SQL or MQL.
        """
        n = np.array(self.n_leads, dtype=float)
        won = np.array(self.n_converted, dtype=float)
        scale = (self.leads_per_week or PER_LEADS) / self.n_all
        profit = scale * (np.array(self.won) - self.cost * n)
        is_priced = self.cost > 0
        best = profit.max(initial=0.0)
        rate = self.n_all_converted / self.n_all
        precision = np.divide(won, n, out=np.zeros(len(n)), where=n > 0)
        low, high = self._bounds(self.n_converted, self.n_leads)
        recall_low, recall_high = self._bounds(self.n_converted, [self.n_all_converted] * len(n))
        frame = pd.DataFrame(
            {
                "threshold": self.thresholds,
                "share": n / self.n_all,
                "volume": scale * n,
                "precision": precision,
                "low": low,
                "high": high,
                "recall": won / max(self.n_all_converted, 1),
                "recall_low": recall_low,
                "recall_high": recall_high,
                "conversions": scale * won,
                "lift": precision / rate if rate else np.nan,
                "cost": scale * self.cost * n if is_priced else np.nan,
                "profit": profit if is_priced else np.nan,
                "near_best": (profit >= NEAR_BEST * best) & (best > 0) if is_priced else False,
                "next_rep": self._next_rep(scale),
                "agreed": "",
            }
        )
        for band, threshold in ((MQL, self.mql), (SQL, self.sql)):
            frame.loc[frame["threshold"] == threshold, "agreed"] = band
        return frame

    def _bounds(self, n_converted: Sequence[int], n_of: Sequence[int]) -> tuple[list[float], list[float]]:
        counted = [*zip(n_converted, n_of, strict=True)]
        return (
            [lower_bound(k, n, self.delta) for k, n in counted],
            [upper_bound(k, n, self.delta) if n else 1.0 for k, n in counted],
        )

    def _next_rep(self, scale: float) -> np.ndarray:
        """Give the conversions expected among the next best leads that one more rep would work."""
        # Lower thresholds hold more leads: the frontier is read as conversions over volume.
        volume, found = scale * np.array(self.n_leads)[::-1], scale * np.array(self.expected)[::-1]
        more = np.interp(volume + self.leads_per_rep, volume, found)
        return np.asarray((more - found)[::-1])

    def to_dict(self) -> dict[str, Any]:
        """Give the frontier as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Frontier:
        """Restore a frontier from `to_dict`."""
        lists = ("thresholds", "n_leads", "n_converted", "expected", "won")
        found = cls(**{**values, **{name: tuple(values[name]) for name in lists}})
        if len({len(getattr(found, name)) for name in lists}) > 1 or found.n_all < 1:
            msg = "the frontier's columns differ in length"
            raise ValueError(msg)
        return found


def trace_frontier(
    probability: np.ndarray,
    y: np.ndarray,
    *,
    sql: float,
    mql: float,
    leads_per_week: float | None,
    delta: float,
    leads_per_rep: float | None = None,
    deal: Deal | None = None,
    value: np.ndarray | None = None,
    leads: np.ndarray | None = None,
) -> Frontier:
    """Count what each threshold would have brought.

    Parameters
    ----------
    probability : array of float, shape (n_rows,)
        Calibrated, out of fold.
    y : array of {0, 1}, shape (n_rows,)
    sql, mql : float
        The thresholds agreed on; on the frontier as they are.
    leads_per_week : float or None
    delta : float in (0, 1)
    leads_per_rep : float or None
        Leads that one rep works in a week; None: 10.
    deal : Deal or None
        What a call costs and a win brings; None: nothing is known of money.
    value : array of float or None, shape (n_rows,)
        What a win of each lead would bring; None: the common value. A lead whose call does not pay is none of SQL's.
    leads : array of int or None, shape (n_rows,)
        Whose each row is, rows in time order; a lead is counted once a threshold.

    Returns
    -------
    Frontier

    Examples
    --------
    >>> found = trace_frontier(np.array([0.1, 0.2, 0.6, 0.8]), np.array([0.0, 0.0, 1.0, 1.0]), sql=0.6, mql=0.2,
    ...                        leads_per_week=8.0, delta=0.05, deal=Deal(cost=1.0, value=10.0))
    >>> table = found.table()
    >>> table["precision"].round(2).to_list(), table["profit"].to_list()
    ([0.5, 0.67, 1.0, 1.0], [32.0, 34.0, 36.0, 18.0])
    >>> table["agreed"].to_list()
    ['', 'MQL', 'SQL', '']
    """
    rounded = np.round(probability, DECIMALS)
    common = 0.0 if deal is None else deal.value
    brings = np.full(len(y), common) if value is None else value
    if deal is not None and value is not None:
        rounded = np.where(deal.pays(rounded, value), rounded, -1.0)
    grid = threshold_grid(rounded)
    agreed = [threshold for threshold in (sql, mql) if threshold <= 1]
    thresholds = np.unique(np.concatenate([grid[grid >= 0], agreed]))
    rows = np.arange(len(y), dtype=float)
    counts: dict[str, list[Any]] = {"n_leads": [], "n_converted": [], "expected": [], "won": []}
    for threshold in thresholds:
        kept, _ = Certifying(probability=rounded, y=y, leads=leads).once(float(threshold))
        # Which rows were kept: the same choice with positions in place of outcomes.
        _, position = Certifying(probability=rounded, y=rows, leads=leads).once(float(threshold))
        inside = position[kept >= threshold].astype(int)
        counts["n_leads"].append(len(inside))
        counts["n_converted"].append(int(y[inside].sum()))
        counts["expected"].append(float(np.round(probability[inside].sum(), 6)))
        counts["won"].append(float(np.round((y[inside] * brings[inside]).sum(), 6)))
    # Whoever converted on any row: a threshold may meet a lead on a later one than its first.
    whose = np.arange(len(y)) if leads is None else leads
    n_all, n_won = len(np.unique(whose)), len(np.unique(whose[y == 1]))
    return Frontier(
        thresholds=tuple(float(t) for t in thresholds),
        **{name: tuple(values) for name, values in counts.items()},
        n_all=n_all,
        n_all_converted=n_won,
        leads_per_week=leads_per_week,
        leads_per_rep=REP_LEADS if leads_per_rep is None else leads_per_rep,
        cost=0.0 if deal is None else deal.cost,
        delta=delta,
        sql=sql,
        mql=mql,
    )
