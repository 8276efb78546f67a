"""The only place for the two thresholds: what they promise, how that is tested, which band a lead is in.

A lead qualifies iff its probability, rounded to 1e-9, is at or above the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from propensity.errors import ConfigError
from propensity.schema import MQL, NURTURE, SQL, UNSCORED

if TYPE_CHECKING:
    from propensity.config import AgreementConfig

DECIMALS = 9
# Without an agreed precision: this many times the base rate, within reach of most models.
PRECISION_PER_BASE_RATE = 3.0
MAX_DEFAULT_PRECISION = 0.8
# Fewer conversions than this certify nothing worth saying.
MIN_POSITIVES_CERTIFIED = 200
# A threshold that no probability reaches.
NOBODY = 2.0
_SHARES = np.concatenate([np.geomspace(0.002, 0.7, 80), np.linspace(0.71, 1.0, 30)])


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What a band promises, and what stands behind it.

    Parameters
    ----------
    rate : float
        The agreed precision (SQL) or recall (MQL).
    certified : bool
        True: at the stated confidence, leads like those it was tested on keep the rate.
    observed, low : float
        The rate on the certification leads, and its one-sided lower bound at the band's confidence.
    n_leads, n_converted : int
        Certification leads behind `observed`: those in the band (SQL), those that converted (MQL).
    """

    rate: float
    certified: bool
    observed: float
    low: float
    n_leads: int
    n_converted: int


@dataclass(frozen=True, kw_only=True)
class Bands:
    """Two thresholds on the probability, SQL at or above MQL, with their promises.

    Parameters
    ----------
    sql, mql : float in [0, 1]
        Above 1 where the band is empty on purpose.
    policy : {"promise", "capacity"}
    sql_promise, mql_promise : Promise
    sql_share, mql_share : float
        Expected share of leads in each band: that of the newest leads where rows have a time.
    leads_per_week : float or None
        Newest weekly volume, where the data has dates.
    """

    sql: float
    mql: float
    policy: Literal["promise", "capacity"]
    sql_promise: Promise
    mql_promise: Promise
    sql_share: float
    mql_share: float
    leads_per_week: float | None

    def assign(self, probability: np.ndarray) -> np.ndarray:
        """Give each lead's band.

        Parameters
        ----------
        probability : array of float, shape (n_leads,)
            NaN where a lead could not be scored.

        Returns
        -------
        array of str, shape (n_leads,)
        """
        rounded = np.round(probability, DECIMALS)
        band = np.where(rounded >= self.sql, SQL, np.where(rounded >= self.mql, MQL, NURTURE)).astype(object)
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
        promises = {name: Promise(**values[name]) for name in ("sql_promise", "mql_promise")}
        return cls(**{**values, **promises})


def default_precision(base_rate: float) -> float:
    """Give the SQL precision to aim at where none is agreed.

    Examples
    --------
    >>> default_precision(0.11), default_precision(0.5)
    (0.33, 0.8)
    """
    return round(min(PRECISION_PER_BASE_RATE * base_rate, MAX_DEFAULT_PRECISION), 2) or 0.01


def fit_bands(
    chosen_on: np.ndarray,
    certified_on: np.ndarray,
    y: np.ndarray,
    *,
    agreement: AgreementConfig,
    base_rate: float,
    leads_per_week: float | None,
    n_positive: int,
    is_time: bool = False,
    leads: np.ndarray | None = None,
) -> Bands:
    """Turn an agreement into thresholds.

    SQL precision and MQL recall are each certified at half of 1 - confidence. Precision: candidate thresholds are
    tested in an order fixed before any label of the certification leads is read, each by its exact binomial
    p-value, until one fails (split fixed-sequence testing; Angelopoulos et al., arXiv 2110.01052). Recall is
    monotone in the threshold, so the first that passes its Clopper-Pearson bound stands.

    Parameters
    ----------
    chosen_on : array of float, shape (n_chosen,)
        Calibrated out-of-fold probabilities that order the candidates; labels unused.
    certified_on : array of float, shape (n_certified,)
        Calibrated out-of-fold probabilities of newer leads that chose nothing.
    y : array of {0, 1}, shape (n_certified,)
        Their outcomes.
    agreement : AgreementConfig
    base_rate : float
        Of training rows; sets the precision where none is agreed.
    leads_per_week : float or None
        Newest weekly volume.
    n_positive : int
        Conversions in training; below 200 nothing is certified.
    is_time : bool
        Whether the certification leads are the newest. Volumes, which need no outcomes, are then counted on them alone:
        where the level moved, older leads tell the volume of a world that is gone.
    leads : array of int or None, shape (n_certified,)
        Whose each certification row is, rows in time order; a lead is then tested once a threshold, by its first
        row that reaches it, else by its first. None: a row a lead.

    Returns
    -------
    Bands

    Raises
    ------
    ConfigError
        Policy ``capacity`` without dates: there are no weeks to count.
    """
    chosen, certified = np.round(chosen_on, DECIMALS), np.round(certified_on, DECIMALS)
    delta = (1 - agreement.confidence) / 2
    rate = agreement.sql_precision or default_precision(base_rate)
    grid = np.unique(np.quantile(chosen, 1 - _SHARES, method="higher"))[::-1]
    enough = n_positive >= MIN_POSITIVES_CERTIFIED
    counted = certified if is_time else np.concatenate([chosen, certified])
    if agreement.policy == "capacity":
        sql = _capacity_threshold(counted, agreement, leads_per_week)
        sql_certified = enough and _precision_bound(*_once(certified, y, leads, sql), sql, delta) >= rate
    else:
        top = _top_threshold(counted, agreement.uncertified_top)
        candidates = _promising(grid, chosen, len(certified), rate=rate) or [top]
        passed = _passing(candidates, certified, y, leads, rate=rate, delta=delta) if enough else []
        sql, sql_certified = (passed[-1], True) if passed else (top, False)
    mql, mql_certified = _recall_threshold(grid, chosen, certified, y, leads, rate=agreement.mql_recall, delta=delta)
    mql = min(mql, sql)
    (p_sql, y_sql), (p_mql, y_mql) = _once(certified, y, leads, sql), _once(certified, y, leads, mql)
    n_sql, n_won = int((p_sql >= sql).sum()), int(y_sql[p_sql >= sql].sum())
    n_found, n_all = int(y_mql[p_mql >= mql].sum()), int(y_mql.sum())
    return Bands(
        sql=float(sql),
        mql=float(mql),
        policy=agreement.policy,
        sql_promise=Promise(
            rate=rate,
            certified=bool(sql_certified),
            observed=n_won / n_sql if n_sql else 0.0,
            low=_lower_bound(n_won, n_sql, delta),
            n_leads=n_sql,
            n_converted=n_won,
        ),
        mql_promise=Promise(
            rate=agreement.mql_recall,
            certified=bool(mql_certified and enough),
            observed=n_found / n_all if n_all else 0.0,
            low=_lower_bound(n_found, n_all, delta),
            n_leads=n_all,
            n_converted=n_found,
        ),
        sql_share=float((counted >= sql).mean()),
        mql_share=float(((counted >= mql) & (counted < sql)).mean()),
        leads_per_week=leads_per_week,
    )


def growth_to_certify(observed: float, n_leads: int, *, rate: float, delta: float) -> float:
    """Give how many times the certification leads a precision needs, should the observed one stay.

    Parameters
    ----------
    observed : float in [0, 1]
    n_leads : int
        In the band now.
    rate : float in (0, 1)
        The agreed precision.
    delta : float in (0, 1)
        Of the one-sided exact bound.

    Returns
    -------
    float
        At least 1; infinite where the observed precision is not above the rate, or nobody is in the band.

    Examples
    --------
    >>> growth_to_certify(0.2, 50, rate=0.3, delta=0.05), growth_to_certify(0.9, 50, rate=0.3, delta=0.05)
    (inf, 1.0)
    """
    from scipy import optimize, stats  # imported here: a bundle's consumer scores without scipy

    if observed <= rate or n_leads == 0:
        return float("inf")

    def missing(log_growth: float) -> float:
        n = n_leads * np.exp(log_growth)
        return rate - float(stats.beta.ppf(delta, observed * n, n - observed * n + 1))

    if missing(0.0) <= 0:
        return 1.0
    # Counts beyond 1e12 are no plan for anybody.
    end = np.log(1e12 / n_leads)
    return float(np.exp(optimize.brentq(missing, 0.0, end))) if missing(end) < 0 else float("inf")


def _promising(grid: np.ndarray, chosen: np.ndarray, n_certified: int, *, rate: float) -> list[float]:
    """Give the thresholds to test, in order: from the surest downwards; none where none is expected to hold.

    No label is looked at: by the probabilities alone, the surest is where the expected precision exceeds the rate
    by most standard errors.
    """
    at_least = chosen[None, :] >= grid[:, None]
    size = at_least.sum(axis=1)
    mean = (at_least * chosen[None, :]).sum(axis=1) / size
    expected = size / len(chosen) * n_certified
    surety = (mean - rate) * np.sqrt(expected) / np.sqrt(rate * (1 - rate))
    start = int(surety.argmax())
    return [float(threshold) for threshold in grid[start:]] if surety[start] > 0 else []


def _once(
    probability: np.ndarray, y: np.ndarray, leads: np.ndarray | None, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Keep one row a lead: the first that reaches the threshold, else its first."""
    if leads is None:
        return probability, y
    order = np.argsort(probability < threshold, kind="stable")
    _, first = np.unique(leads[order], return_index=True)
    kept = np.sort(order[first])
    return probability[kept], y[kept]


def _passing(
    candidates: list[float],
    certified: np.ndarray,
    y: np.ndarray,
    leads: np.ndarray | None,
    *,
    rate: float,
    delta: float,
) -> list[float]:
    """Give the candidates whose precision is certified, tested in order until one fails."""
    from scipy import stats  # imported here: a bundle's consumer scores without scipy

    passed = []
    for threshold in candidates:
        once, won = _once(certified, y, leads, threshold)
        inside = once >= threshold
        p_value = float(stats.binom.sf(won[inside].sum() - 1, inside.sum(), rate)) if inside.any() else 1.0
        if p_value > delta:
            break
        passed.append(threshold)
    return passed


def _recall_threshold(
    grid: np.ndarray,
    chosen: np.ndarray,
    certified: np.ndarray,
    y: np.ndarray,
    leads: np.ndarray | None,
    *,
    rate: float,
    delta: float,
) -> tuple[float, bool]:
    """Give the highest threshold whose recall is certified; else the one the probabilities themselves expect."""
    for threshold in grid:
        once, won = _once(certified, y, leads, threshold)
        if _lower_bound(int(won[once >= threshold].sum()), int(won.sum()), delta) >= rate:
            return float(threshold), True
    ordered = np.sort(chosen)[::-1]
    found = np.cumsum(ordered) / ordered.sum()
    return float(ordered[min(int(np.searchsorted(found, rate)), len(ordered) - 1)]), False


def _top_threshold(probability: np.ndarray, share: float) -> float:
    """Give the threshold that the top share of leads reaches; above 1 where the share is 0."""
    return float(np.quantile(probability, 1 - share, method="higher")) if share > 0 else NOBODY


def _capacity_threshold(probability: np.ndarray, agreement: AgreementConfig, leads_per_week: float | None) -> float:
    """Give the lowest threshold whose weekly crossings stay within capacity in nine weeks of ten, ties included."""
    from scipy import stats  # imported here: a bundle's consumer scores without scipy

    if leads_per_week is None or agreement.capacity_per_week is None:
        msg = (
            "agreement.policy is 'capacity', but the leads have no dates, so there are no weeks to count. "
            "Name the date column (columns.date), or use policy 'promise'."
        )
        raise ConfigError(msg)
    thresholds, n_leads = np.unique(probability, return_counts=True)
    reached = n_leads[::-1].cumsum()[::-1] / len(probability)
    within = np.asarray(stats.poisson.ppf(0.9, leads_per_week * reached)) <= agreement.capacity_per_week
    return float(thresholds[within].min()) if within.any() else NOBODY


def _precision_bound(probability: np.ndarray, y: np.ndarray, threshold: float, delta: float) -> float:
    inside = probability >= threshold
    return _lower_bound(int(y[inside].sum()), int(inside.sum()), delta)


def _lower_bound(n_converted: int, n_leads: int, delta: float) -> float:
    """One-sided Clopper-Pearson lower bound; 0 where nothing converted."""
    from scipy import stats  # imported here: a bundle's consumer scores without scipy

    return 0.0 if n_converted == 0 else float(stats.beta.ppf(delta, n_converted, n_leads - n_converted + 1))
