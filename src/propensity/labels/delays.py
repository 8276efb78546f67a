"""The only place that looks at how long leads take to convert: which horizon is long enough, which leads too young."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from propensity.asof import DAY

HORIZONS = (30, 60, 90, 180)
# A horizon is long enough when it sees this share of the conversions that the history can show.
MIN_SHARE = 0.90
MIN_CONVERSIONS = 20
# Cohorts of equal size, the newest of which may be immature.
N_COHORTS, N_YOUNG = 20, 6
MIN_COHORT_POSITIVES = 5
LEVEL = 0.01


@dataclass(frozen=True, kw_only=True)
class HorizonProposal:
    """A horizon, and what speaks for it.

    Parameters
    ----------
    days : int
    share : float
        Of the conversions that come within the longest follow-up; NaN where there are too few to tell.
    n_conversions : int
    follow_up_days : float
        The longest that any lead was watched.
    """

    days: int
    share: float
    n_conversions: int
    follow_up_days: float

    @property
    def sentence(self) -> str:
        """Why, in words."""
        if np.isnan(self.share):
            return (
                f"{self.days} days, the usual horizon: {self.n_conversions} conversions after creation, watched for up "
                f"to {self.follow_up_days:.0f} days, are too few to tell from"
            )
        enough = "" if self.share >= MIN_SHARE else f", short of {MIN_SHARE:.0%}; leads here take long"
        return (
            f"{self.days} days: within them {self.share:.0%} of conversions come that {self.follow_up_days:.0f} days "
            f"of history show (Kaplan-Meier over {self.n_conversions:,} conversions){enough}"
        )


def propose_horizon(created_at: np.ndarray, converted_at: np.ndarray, *, extracted_at: int) -> HorizonProposal:
    """Propose a horizon: the shortest of 30, 60, 90 and 180 days that sees 90 % of conversions.

    Leads that have not converted yet are censored, not lost: their share is estimated by Kaplan-Meier.

    Parameters
    ----------
    created_at, converted_at : array of int64, shape (n_leads,)
        NEVER where unknown, or where there was none. Conversions before creation are left out.
    extracted_at : int
        Up to when conversions are known.

    Returns
    -------
    HorizonProposal
        90 days where fewer than 20 conversions tell.

    Examples
    --------
    Twenty leads that convert on day 40, and twenty, watched for 200 days, that do not:

    >>> from propensity.asof import NEVER
    >>> created, sold = np.zeros(40, np.int64), np.r_[np.full(20, 40 * DAY), np.full(20, NEVER)]
    >>> propose_horizon(created, sold, extracted_at=200 * DAY).sentence
    '60 days: within them 100% of conversions come that 200 days of history show (Kaplan-Meier over 20 conversions)'
    """
    there = (created_at < extracted_at) & (converted_at >= created_at)
    start, end = created_at[there], np.minimum(converted_at[there], extracted_at)
    is_sold = converted_at[there] <= extracted_at
    days = (end - start) / DAY
    n, longest = int(is_sold.sum()), float(days.max(initial=0))
    if n < MIN_CONVERSIONS:
        return HorizonProposal(days=90, share=float("nan"), n_conversions=n, follow_up_days=longest)
    converted = stats.ecdf(stats.CensoredData(uncensored=days[is_sold], right=days[~is_sold])).cdf
    *steps, most = converted.evaluate(np.array([*HORIZONS, longest], dtype=float))
    # The last step may rest on a handful of leads; it stands for all that the history shows all the same.
    shares = {horizon: float(at) / float(most) for horizon, at in zip(HORIZONS, steps, strict=True)}
    seen = [horizon for horizon in HORIZONS if horizon <= longest]
    if not seen:
        return HorizonProposal(days=90, share=float("nan"), n_conversions=n, follow_up_days=longest)
    chosen = next((horizon for horizon in seen if shares[horizon] >= MIN_SHARE), seen[-1])
    return HorizonProposal(days=chosen, share=shares[chosen], n_conversions=n, follow_up_days=longest)


def first_immature(y: np.ndarray, order: np.ndarray) -> int | None:
    """Say from which instant on leads of a flat file look too young: their outcome has not had time to come.

    Twenty cohorts of equal size; each of the newest six is held against the rate of the fourteen before them
    (one-sided binomial test, Holm, 1 %). Only an unbroken run of lower cohorts up to the newest is immature: a dip
    in between is a change of business.

    Parameters
    ----------
    y : array of {0, 1}, shape (n_leads,)
    order : array, shape (n_leads,)
        When each lead came in.

    Returns
    -------
    instant or None
        The first of the immature run; leads at or after it should not teach. None where nothing looks immature.

    Examples
    --------
    >>> y = np.r_[np.tile([0.0, 1.0], 950), np.zeros(100)]
    >>> first_immature(y, np.arange(2000)), first_immature(np.tile([0.0, 1.0], 1000), np.arange(2000))
    (1900, None)
    """
    at, sorted_y = np.sort(order), y[np.argsort(order, kind="stable")]
    if len(at) < N_COHORTS:
        return None
    starts = np.searchsorted(at, at[(np.arange(N_COHORTS) * len(at)) // N_COHORTS])
    bounds = [*starts, len(at)]
    old = sorted_y[: bounds[N_COHORTS - N_YOUNG]]
    if old.sum() < MIN_COHORT_POSITIVES * (N_COHORTS - N_YOUNG):
        return None
    rate = old.mean()
    newest = [sorted_y[bounds[i] : bounds[i + 1]] for i in range(N_COHORTS - N_YOUNG, N_COHORTS)]
    p = np.array([stats.binom.cdf(part.sum(), len(part), rate) if len(part) else 1.0 for part in newest])
    ranked = np.argsort(p, kind="stable")
    passed = np.maximum.accumulate(p[ranked] * (N_YOUNG - np.arange(N_YOUNG))) < LEVEL
    is_low = np.zeros(N_YOUNG, dtype=bool)
    is_low[ranked] = passed
    run = N_YOUNG
    while run and is_low[run - 1]:
        run -= 1
    return None if run == N_YOUNG else int(at[bounds[N_COHORTS - N_YOUNG + run]])
