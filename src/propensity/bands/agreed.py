"""The only place where an agreement becomes two thresholds with a promise behind each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from propensity.bands.policies import (
    Certifying,
    capacity_threshold,
    certifiable_precision,
    lower_bound,
    precision_threshold,
    recall_threshold,
    top_threshold,
    upper_bound,
)
from propensity.bands.thresholds import DECIMALS, Bands, Deal, Promise
from propensity.errors import ConfigError
from propensity.schema import decimal_mark, missing_words, normalise_name, resolve_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from propensity.config import AgreementConfig

# Without an agreed precision: this many times the base rate, within reach of most models.
PRECISION_PER_BASE_RATE = 3.0
MAX_DEFAULT_PRECISION = 0.8
# Fewer conversions than this certify nothing worth saying.
MIN_POSITIVES_CERTIFIED = 200


def default_precision(base_rate: float) -> float:
    """Give the SQL precision to aim at where none is agreed.

    Examples
    --------
    >>> default_precision(0.11), default_precision(0.5)
    (0.33, 0.8)
    """
    return round(min(PRECISION_PER_BASE_RATE * base_rate, MAX_DEFAULT_PRECISION), 2) or 0.01


def agreed_deal(
    agreement: AgreementConfig,
    leads: pd.DataFrame | None = None,
    *,
    missing: Mapping[str, Sequence[str | float]] | None = None,
) -> Deal | None:
    """Give what SQL must bring; None where no price was agreed on.

    Parameters
    ----------
    agreement : AgreementConfig
    leads : DataFrame or None
        That tell how the value column is written: with a decimal comma where more cells are numbers so.
    missing : dict of column (or "*") to words, or None
    """
    if not agreement.cost_per_contact:
        return None
    name = agreement.value_column
    deal = Deal(cost=agreement.cost_per_contact, value=agreement.value_per_win, column=name)
    there = {} if leads is None or not name else resolve_columns(leads.columns)
    if leads is None or normalise_name(name) not in there:
        return deal
    words = tuple(sorted({"", *missing_words(missing or {}, name)}))
    decimal, _ = decimal_mark(leads[there[normalise_name(name)]], missing=words)
    return replace(deal, missing=words, decimal=decimal)


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
    deal: Deal | None = None,
    values: tuple[np.ndarray, np.ndarray] | None = None,
) -> Bands:
    """Turn an agreement into thresholds.

    SQL is the strictest of what was agreed: that a call pays, that capacity is kept, and under policy ``promise`` a
    certified precision above both. SQL precision and MQL recall are each certified at half of 1 - confidence.

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
    deal : Deal or None
        What SQL must bring, where the agreement alone does not say how its column is written.
    values : tuple of array of float, or None
        What a win of each lead of `chosen_on` and `certified_on` would bring; None: the common value.

    Returns
    -------
    Bands

    Raises
    ------
    ConfigError
        A capacity without dates: there are no weeks to count.
    """
    chosen, certified = np.round(chosen_on, DECIMALS), np.round(certified_on, DECIMALS)
    delta = (1 - agreement.confidence) / 2
    rate = agreement.sql_precision or default_precision(base_rate)
    enough = n_positive >= MIN_POSITIVES_CERTIFIED
    deal = agreed_deal(agreement) if deal is None else deal
    called, tested = chosen, certified
    least = 0.0
    if deal is not None and values is not None:
        # A lead that is not worth its call is none at any probability.
        called, tested = (
            np.where(deal.pays(p, value), p, -1.0) for p, value in zip((chosen, certified), values, strict=True)
        )
    elif deal is not None:
        least = np.round(deal.threshold, DECIMALS)
    counted = tested if is_time else np.concatenate([called, tested])
    least = max(least, _least_for_capacity(counted, agreement, leads_per_week))
    certifying = Certifying(probability=tested, y=y, leads=leads)
    certifiable = None
    if agreement.policy == "promise":
        top = max(top_threshold(counted, agreement.uncertified_top), least)
        asked = {"delta": delta, "least": least, "otherwise": top}
        found = precision_threshold(called, certifying, rate=rate, **asked) if enough else None
        sql_certified, sql = found is not None, top if found is None else found
        if enough and found is None:
            certifiable = certifiable_precision(called, certifying, rate=rate, **asked)
    else:
        sql = least if least > 0 else float(counted[counted >= 0].min(initial=1.0))
        n_sql, n_won = certifying.reached(sql)
        sql_certified = enough and lower_bound(n_won, n_sql, delta) >= rate
    everyone = Certifying(probability=certified, y=y, leads=leads)
    mql, mql_certified = recall_threshold(chosen, everyone, rate=agreement.mql_recall, delta=delta)
    mql = min(mql, sql)
    n_sql, n_won = certifying.reached(sql)
    n_all, n_found = everyone.found(mql)
    sql_share = float((counted >= sql).mean())
    worked = certified if is_time else np.concatenate([chosen, certified])
    return Bands(
        sql=float(sql),
        mql=float(mql),
        policy=agreement.policy,
        sql_promise=Promise(
            rate=rate,
            certified=bool(sql_certified),
            observed=n_won / n_sql if n_sql else 0.0,
            low=lower_bound(n_won, n_sql, delta),
            high=upper_bound(n_won, n_sql, delta) if n_sql else 1.0,
            n_leads=n_sql,
            n_converted=n_won,
            certifiable=certifiable,
        ),
        mql_promise=Promise(
            rate=agreement.mql_recall,
            certified=bool(mql_certified and enough),
            observed=n_found / n_all if n_all else 0.0,
            low=lower_bound(n_found, n_all, delta),
            high=upper_bound(n_found, n_all, delta) if n_all else 1.0,
            n_leads=n_all,
            n_converted=n_found,
        ),
        sql_share=sql_share,
        mql_share=float((worked >= mql).mean()) - sql_share,
        leads_per_week=leads_per_week,
        deal=deal if values is not None else None,
    )


def _least_for_capacity(probability: np.ndarray, agreement: AgreementConfig, leads_per_week: float | None) -> float:
    """Give the lowest threshold that capacity allows; 0 where none was agreed on."""
    if agreement.capacity_per_week is None:
        return 0.0
    if leads_per_week is None:
        msg = (
            "agreement.capacity_per_week is set, but the leads have no dates, so there are no weeks to count. "
            "Name the date column (columns.date), or take capacity_per_week out."
        )
        raise ConfigError(msg)
    return capacity_threshold(probability, capacity=agreement.capacity_per_week, leads_per_week=leads_per_week)


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
