"""The only place for what two thresholds bring together: what the explorer of the report shows while they are moved.

The page works these numbers out anew in the browser, from the same table; a test holds them against each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from propensity.bands.frontier import PER_LEADS

if TYPE_CHECKING:
    from propensity.bands import Frontier


@dataclass(frozen=True, kw_only=True)
class Explorer:
    """A frontier to be looked at with two thresholds on it.

    Parameters
    ----------
    frontier : Frontier
    """

    frontier: Frontier

    @cached_property
    def table(self) -> pd.DataFrame:
        """The frontier, with counts: ``leads`` and ``converted`` of those at or above each threshold."""
        table = self.frontier.table()
        return table.assign(leads=self.frontier.n_leads, converted=self.frontier.n_converted)

    @property
    def scale(self) -> float:
        """Leads a week (of 1,000, without dates) that one counted lead stands for."""
        return (self.frontier.leads_per_week or PER_LEADS) / self.frontier.n_all

    def agreed(self) -> tuple[int, int]:
        """Give the lines of the thresholds agreed on, SQL first; a band that is empty on purpose has the last line."""
        return self._line(self.frontier.sql), self._line(self.frontier.mql)

    def _line(self, threshold: float) -> int:
        return min(int(np.searchsorted(self.frontier.thresholds, threshold)), len(self.frontier.thresholds) - 1)

    def at(self, sql: int, mql: int) -> dict[str, dict[str, float]]:
        """Say what two thresholds bring.

        Parameters
        ----------
        sql, mql : int
            Lines of the table; `mql` at most `sql`.

        Returns
        -------
        dict
            By band: ``volume`` (leads a week in it), ``conversions`` (a week), ``precision``; of SQL with ``low`` and
            ``high``. Under ``both`` what SQL and MQL hold together: ``recall, low, high``; under ``moved`` the leads a
            week whose band would be another than agreed.

        Examples
        --------
        >>> from propensity.bands import trace_frontier
        >>> frontier = trace_frontier(np.array([0.1, 0.2, 0.6, 0.8]), np.array([0.0, 1.0, 0.0, 1.0]), sql=0.6, mql=0.2,
        ...                           leads_per_week=8.0, delta=0.05)
        >>> found = Explorer(frontier=frontier).at(3, 1)
        >>> found["SQL"]["volume"], found["MQL"]["volume"], found["MQL"]["precision"], found["both"]["recall"]
        (2.0, 4.0, 0.5, 1.0)
        >>> found["moved"]["volume"]
        2.0
        """
        top, low = (self.table.iloc[line].to_dict() for line in (sql, mql))
        n, won = low["leads"] - top["leads"], low["converted"] - top["converted"]
        then_sql, then_mql = self.agreed()
        n_in = -np.diff([*self.frontier.n_leads, 0])  # leads from each threshold up to the next
        line = np.arange(len(n_in))
        moved = int(n_in[_band(line, sql, mql) != _band(line, then_sql, then_mql)].sum())
        return {
            "SQL": {
                "volume": self.scale * top["leads"],
                "conversions": self.scale * top["converted"],
                "precision": top["precision"],
                "low": top["low"],
                "high": top["high"],
            },
            "MQL": {
                "volume": self.scale * n,
                "conversions": self.scale * won,
                "precision": won / n if n else 0.0,
            },
            "nurture": {"volume": self.scale * (self.frontier.n_all - low["leads"])},
            "both": {
                "recall": low["recall"],
                "low": low["recall_low"],
                "high": low["recall_high"],
            },
            "moved": {"volume": self.scale * moved},
        }

    def profit(self, sql: int, *, value: float, cost: float) -> float:
        """Give what calling all SQL leads brings a week: wins less calls."""
        line = self.table.iloc[sql]
        return float(self.scale * (value * line["converted"] - cost * line["leads"]))

    def within(self, capacity: float) -> int:
        """Give the lowest threshold that asks for no more leads a week than that; the last where all ask for more."""
        fits = np.flatnonzero(self.scale * np.array(self.frontier.n_leads) <= capacity)
        return int(fits[0]) if len(fits) else len(self.frontier.thresholds) - 1

    def certified(self, precision: float) -> int | None:
        """Give the lowest threshold whose precision is surely at least that; None where none is."""
        holds = np.flatnonzero(self.table["low"].to_numpy() >= precision)
        return int(holds[0]) if len(holds) else None

    def dearest(self, *, value: float, cost: float) -> int:
        """Give the threshold with the largest profit; of equal ones the lowest."""
        profit = value * self.table["converted"].to_numpy() - cost * self.table["leads"].to_numpy()
        return int(np.argmax(profit))

    def data(self) -> dict[str, Any]:
        """Give all that the page needs to work the same out, as plain JSON values."""
        columns = ("threshold", "leads", "converted", "precision", "low", "high", "recall", "recall_low", "recall_high")
        sql, mql = self.agreed()
        return {
            **{name: self.table[name].tolist() for name in columns},
            "n_all": self.frontier.n_all,
            "scale": self.scale,
            "sql": sql,
            "mql": mql,
        }


def _band(line: np.ndarray, sql: int, mql: int) -> np.ndarray:
    return (line >= sql).astype(int) + (line >= mql)
