"""The only place for the two thresholds as values: what they promise, and which band a lead is in.

A lead qualifies iff its probability, rounded to 1e-9, is at or above the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from propensity.schema import MQL, NURTURE, SQL, UNSCORED, normalise_name, read_numbers, resolve_columns

Policy = Literal["promise", "capacity", "profit"]
DECIMALS = 9
# A threshold that no probability reaches.
NOBODY = 2.0


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What a band promises, and what stands behind it.

    Parameters
    ----------
    rate : float
        The agreed precision (SQL) or recall (MQL).
    certified : bool
        True: at the stated confidence, leads like those it was tested on keep the rate.
    observed, low, high : float
        The rate on the certification leads, and its exact one-sided bounds, each at the band's confidence.
    n_leads, n_converted : int
        Certification leads behind `observed`: those in the band (SQL), those that converted (MQL).
    certifiable : float or None
        Where it is not certified: about the highest rate that could be, on the same leads. None where none could.
    """

    rate: float
    certified: bool
    observed: float
    low: float
    n_leads: int
    n_converted: int
    high: float = 1.0
    certifiable: float | None = None


@dataclass(frozen=True, kw_only=True)
class Deal:
    """What a call costs and a win brings, where SQL must pay.

    Parameters
    ----------
    cost : float
        Of one contact, in the money of `value`.
    value : float
        Of one win; of leads whose own is not known where there is a column.
    column : str
        The lead column that holds each lead's own value; empty for one value for all.
    missing : tuple of str
        Canonical words that mean a lead's own value is not known.
    decimal : {".", ","}
        The decimal mark of text cells of the column.
    """

    cost: float
    value: float
    column: str = ""
    missing: tuple[str, ...] = ("",)
    decimal: Literal[".", ","] = "."

    @property
    def threshold(self) -> float:
        """The probability from which on a call pays at the common value; no one's where nothing can be won."""
        return self.cost / self.value if self.value > 0 else NOBODY

    def values(self, leads: pd.DataFrame) -> np.ndarray | None:
        """Read what each lead would bring.

        Parameters
        ----------
        leads : DataFrame, shape (n_leads, any)
            Columns as given.

        Returns
        -------
        array of float, shape (n_leads,), or None
            The common value where a lead's own is missing or negative; None where all have the common one.

        Examples
        --------
        >>> Deal(cost=10.0, value=100.0, column="Size").values(pd.DataFrame({"size": ["2,000", "", "-5"]})).tolist()
        [2000.0, 100.0, 100.0]
        """
        if not self.column:
            return None
        found = resolve_columns(leads.columns).get(normalise_name(self.column))
        if found is None:
            return np.full(len(leads), self.value)
        own, _ = read_numbers(leads[found], missing=self.missing, decimal=self.decimal)
        return np.where(own >= 0, own, self.value)

    def pays(self, probability: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Say for which leads a call is expected to bring at least what it costs."""
        return np.asarray(np.round(probability, DECIMALS) * value >= self.cost)


@dataclass(frozen=True, kw_only=True)
class Bands:
    """Two thresholds on the probability, SQL at or above MQL, with their promises.

    Parameters
    ----------
    sql, mql : float in [0, 1]
        Above 1 where the band is empty on purpose.
    policy : {"promise", "capacity", "profit"}
    sql_promise, mql_promise : Promise
    sql_share, mql_share : float
        Expected share of leads in each band: that of the newest leads where rows have a time.
    leads_per_week : float or None
        Newest weekly volume, where the data has dates.
    deal : Deal or None
        What SQL must bring, lead by lead, where wins have values of their own.
    """

    sql: float
    mql: float
    policy: Policy
    sql_promise: Promise
    mql_promise: Promise
    sql_share: float
    mql_share: float
    leads_per_week: float | None
    deal: Deal | None = None

    def assign(self, probability: np.ndarray, *, leads: pd.DataFrame | None = None) -> np.ndarray:
        """Give each lead's band.

        Parameters
        ----------
        probability : array of float, shape (n_leads,)
            NaN where a lead could not be scored.
        leads : DataFrame or None, shape (n_leads, any)
            What the leads would bring stands there; None: the common value.

        Returns
        -------
        array of str, shape (n_leads,)
        """
        rounded = np.round(probability, DECIMALS)
        is_sql = rounded >= self.sql
        if self.deal is not None:
            value = None if leads is None else self.deal.values(leads)
            is_sql &= self.deal.pays(rounded, np.full(len(rounded), self.deal.value) if value is None else value)
        band = np.where(is_sql, SQL, np.where(rounded >= self.mql, MQL, NURTURE)).astype(object)
        band[np.isnan(probability)] = UNSCORED
        return band

    def is_certified(self, band: np.ndarray) -> np.ndarray:
        """Say for each band whether its promise is certified; what MQL promises, nurture rests on."""
        return np.where(band == SQL, self.sql_promise.certified, self.mql_promise.certified)

    def moved(self, before: np.ndarray, after: np.ndarray) -> Bands:
        """Give the bands on another scale of probability, around the very same leads.

        Parameters
        ----------
        before, after : array of float, shape (n_leads,)
            The leads' probabilities on either scale, in the same order.

        Returns
        -------
        Bands
            A threshold is what the least of the leads that reach it has now; without one it stands.
        """

        def threshold(old: float) -> float:
            reached = after[np.round(before, DECIMALS) >= old]
            return float(np.round(reached.min(), DECIMALS)) if len(reached) else old

        return replace(self, sql=threshold(self.sql), mql=threshold(self.mql))

    def to_dict(self) -> dict[str, Any]:
        """Give the bands as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Bands:
        """Restore bands from `to_dict`."""
        parts: dict[str, Any] = {name: Promise(**values[name]) for name in ("sql_promise", "mql_promise")}
        if values.get("deal") is not None:
            parts["deal"] = Deal(**{**values["deal"], "missing": tuple(values["deal"].get("missing", ("",)))})
        return cls(**{**values, **parts})
