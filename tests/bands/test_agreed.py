from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from propensity.bands import NOBODY, Bands, Promise, agreed_deal, default_precision, fit_bands
from propensity.config import AgreementConfig
from propensity.errors import ConfigError

KEPT = Promise(rate=0.3, certified=True, observed=0.4, low=0.31, n_leads=100, n_converted=40)
BROKEN = Promise(rate=0.9, certified=False, observed=0.9, low=0.8, n_leads=50, n_converted=45)


def bands(*, sql: float = 0.3, mql: float = 0.1, sql_promise: Promise = KEPT, mql_promise: Promise = KEPT) -> Bands:
    return Bands(
        sql=sql,
        mql=mql,
        policy="promise",
        sql_promise=sql_promise,
        mql_promise=mql_promise,
        sql_share=0.1,
        mql_share=0.2,
        leads_per_week=None,
    )


def world(n_leads: int, *, seed: int, spread: float = 1.5, mean: float = -2.0) -> tuple[np.ndarray, np.ndarray]:
    """Leads with their true probabilities and outcomes drawn from them."""
    rng = np.random.default_rng(seed)
    probability = 1 / (1 + np.exp(-rng.normal(mean, spread, n_leads)))
    return probability, (rng.random(n_leads) < probability).astype(float)


def fit(
    chosen: np.ndarray,
    certified: np.ndarray,
    y: np.ndarray,
    *,
    agreement: AgreementConfig | None = None,
    base_rate: float = 0.2,
    leads_per_week: float | None = None,
    n_positive: int = 1000,
    is_time: bool = False,
) -> Bands:
    return fit_bands(
        chosen,
        certified,
        y,
        agreement=agreement or AgreementConfig(),
        base_rate=base_rate,
        leads_per_week=leads_per_week,
        n_positive=n_positive,
        is_time=is_time,
    )


@pytest.mark.parametrize(
    ("probability", "band"),
    [
        (0.3, "SQL"),
        (0.3 - 1e-10, "SQL"),  # probabilities are compared as shown, to nine decimals
        (0.3 - 1e-8, "MQL"),
        (0.1, "MQL"),
        (0.1 - 1e-8, "nurture"),
        (1.0, "SQL"),
        (0.0, "nurture"),
        (float("nan"), "unscored"),
    ],
)
def test_a_lead_qualifies_from_the_threshold_on(probability: float, band: str) -> None:
    assert bands().assign(np.array([probability])).tolist() == [band]


def test_leads_of_one_probability_are_in_one_band() -> None:
    assert bands().assign(np.repeat([0.3, 0.1], 4)).tolist() == ["SQL"] * 4 + ["MQL"] * 4


def test_equal_thresholds_leave_no_room_for_mql() -> None:
    assert bands(mql=0.3).assign(np.array([0.3, 0.29])).tolist() == ["SQL", "nurture"]


def test_nurture_rests_on_the_mql_promise() -> None:
    mixed = bands(sql_promise=KEPT, mql_promise=BROKEN)
    band = np.array(["SQL", "MQL", "nurture"], dtype=object)
    assert mixed.is_certified(band).tolist() == [True, False, False]


def test_bands_survive_json() -> None:
    fitted = bands(mql_promise=BROKEN)
    assert Bands.from_dict(json.loads(json.dumps(fitted.to_dict()))) == fitted


@pytest.mark.parametrize(("base_rate", "precision"), [(0.1, 0.3), (0.3, 0.8), (0.9, 0.8), (0.001, 0.01), (0.0333, 0.1)])
def test_the_precision_aimed_at_is_three_times_the_base_rate_up_to_four_in_five(
    base_rate: float, precision: float
) -> None:
    assert default_precision(base_rate) == precision


@pytest.mark.parametrize("seed", range(5))
def test_sql_threshold_is_at_or_above_mql_and_both_promises_hold_on_the_certification_leads(seed: int) -> None:
    chosen, _ = world(4000, seed=seed)
    certified, y = world(4000, seed=100 + seed)
    fitted = fit(chosen, certified, y, agreement=AgreementConfig(sql_precision=0.5))
    assert 0 < fitted.mql <= fitted.sql < 1
    in_sql, in_mql = certified.round(9) >= fitted.sql, certified.round(9) >= fitted.mql
    sql, mql = fitted.sql_promise, fitted.mql_promise
    assert (sql.n_leads, sql.n_converted) == (in_sql.sum(), y[in_sql].sum())
    assert (mql.n_leads, mql.n_converted) == (y.sum(), y[in_mql].sum())
    assert sql.observed == pytest.approx(y[in_sql].mean())
    assert mql.observed == pytest.approx(y[in_mql].sum() / y.sum())
    # Clopper-Pearson at a confidence of 0.95 each, by scipy's own.
    for promise in (sql, mql):
        test = stats.binomtest(promise.n_converted, promise.n_leads, alternative="greater")
        assert promise.low == pytest.approx(test.proportion_ci(confidence_level=0.95).low, abs=1e-9)
        assert promise.certified
        assert promise.low >= promise.rate


def test_shares_are_those_of_all_leads_seen() -> None:
    chosen, _ = world(4000, seed=0)
    certified, y = world(4000, seed=1)
    fitted = fit(chosen, certified, y, agreement=AgreementConfig(sql_precision=0.5))
    band = fitted.assign(np.concatenate([chosen, certified]))
    assert fitted.sql_share == pytest.approx((band == "SQL").mean())
    assert fitted.mql_share == pytest.approx((band == "MQL").mean())


def test_after_a_shift_of_level_volumes_are_those_of_the_newest_leads() -> None:
    chosen, _ = world(4000, seed=0)
    certified, y = world(1000, seed=1, mean=0.0)
    agreed = AgreementConfig(sql_precision=0.7)
    fitted, mixed = (fit(chosen, certified, y, agreement=agreed, is_time=is_time) for is_time in (True, False))
    band = fitted.assign(certified)
    assert fitted.sql_share == pytest.approx((band == "SQL").mean())
    assert fitted.mql_share == pytest.approx((band == "MQL").mean())
    assert fitted.sql_share > 1.5 * mixed.sql_share
    # So are the top share, where nothing can be certified, and the capacity.
    top = fit(chosen, certified, y, agreement=AgreementConfig(uncertified_top=0.1), n_positive=100, is_time=True)
    assert top.sql_share == pytest.approx(0.1, abs=0.002)
    assert not top.sql_promise.certified
    full = fit(chosen, certified, y, agreement=CAPACITY, leads_per_week=200.0, is_time=True)
    assert stats.poisson.cdf(42, 200 * (certified >= full.sql).mean()) >= 0.9


def test_a_precision_nobody_reaches_falls_back_to_the_top_share_uncertified() -> None:
    probability = np.arange(1, 101) / 1000  # at most one in ten converts
    y = np.zeros(100)
    y[-5:] = 1.0
    fitted = fit(probability, probability, y, agreement=AgreementConfig(sql_precision=0.9))
    assert fitted.sql == 0.096  # five leads of a hundred: 0.096 to 0.100
    assert not fitted.sql_promise.certified
    assert fitted.sql_share == 0.05
    assert (fitted.sql_promise.n_leads, fitted.sql_promise.n_converted) == (5, 5)


@pytest.mark.parametrize(("n_converted", "is_certified"), [(16, True), (15, False)])
def test_a_top_share_whose_outcomes_beat_its_probabilities_is_certified(n_converted: int, is_certified: bool) -> None:
    # No probability promises one half, so the agreed top share is all there is to test: 22 leads of a thousand.
    probability = np.arange(1, 1001) / 10_000
    y = np.zeros(1000)
    y[-n_converted:] = 1.0
    fitted = fit(probability, probability, y, agreement=AgreementConfig(sql_precision=0.5, uncertified_top=0.022))
    # P(16 or more of 22 fair coins) = 0.026, P(15 or more) = 0.067; 0.05 is allowed.
    assert fitted.sql_promise.n_leads == 22
    assert fitted.sql_promise.certified is is_certified
    assert (fitted.sql_promise.low >= 0.5) is is_certified


def test_an_uncertified_top_of_zero_calls_nobody_sql() -> None:
    chosen, _ = world(500, seed=0)
    certified, y = world(500, seed=1)
    fitted = fit(chosen, certified, y, agreement=AgreementConfig(sql_precision=0.99, uncertified_top=0))
    assert fitted.sql == NOBODY
    assert set(fitted.assign(np.array([1.0, 0.0]))) == {"MQL", "nurture"}
    promise = Promise(rate=0.99, certified=False, observed=0.0, low=0.0, n_leads=0, n_converted=0)
    assert replace(fitted.sql_promise, certifiable=None) == promise


def test_promising_probabilities_that_the_outcomes_refute_certify_nothing() -> None:
    probability = np.linspace(0.01, 0.99, 2000)
    nobody = np.zeros(2000)
    fitted = fit(probability, probability, nobody, agreement=AgreementConfig(sql_precision=0.5))
    assert not fitted.sql_promise.certified
    assert not fitted.mql_promise.certified
    assert (fitted.mql_promise.observed, fitted.mql_promise.low) == (0.0, 0.0)
    # Recall then goes by the probabilities themselves: those from 0.32 on hold nine tenths of what they expect.
    expected = probability[probability >= fitted.mql].sum() / probability.sum()
    assert expected == pytest.approx(0.9, abs=0.002)


def test_probabilities_that_no_certification_lead_reaches_certify_nothing() -> None:
    fitted = fit(np.full(500, 0.9), np.full(500, 0.1), np.ones(500), agreement=AgreementConfig(sql_precision=0.5))
    assert not fitted.sql_promise.certified


@pytest.mark.parametrize(("n_positive", "is_certified"), [(199, False), (200, True)])
def test_fewer_than_200_conversions_certify_nothing(n_positive: int, is_certified: bool) -> None:
    chosen, _ = world(4000, seed=0)
    certified, y = world(4000, seed=1)
    agreement = AgreementConfig(sql_precision=0.4)
    fitted = fit(chosen, certified, y, agreement=agreement, n_positive=n_positive)
    assert fitted.sql_promise.certified is is_certified
    assert fitted.mql_promise.certified is is_certified
    assert (fitted.sql_share == pytest.approx(0.05, abs=0.001)) is not is_certified


def test_a_higher_precision_never_lowers_the_threshold() -> None:
    chosen, _ = world(8000, seed=0)
    certified, y = world(8000, seed=1)
    thresholds = [
        fit(chosen, certified, y, agreement=AgreementConfig(sql_precision=rate)).sql for rate in (0.3, 0.4, 0.5, 0.6)
    ]
    assert thresholds == sorted(thresholds)
    assert len(set(thresholds)) == 4


def test_a_higher_recall_never_raises_the_threshold() -> None:
    chosen, _ = world(4000, seed=0)
    certified, y = world(4000, seed=1)
    thresholds = [
        fit(chosen, certified, y, agreement=AgreementConfig(mql_recall=rate)).mql for rate in (0.5, 0.7, 0.9, 0.97)
    ]
    assert thresholds == sorted(thresholds, reverse=True)
    assert len(set(thresholds)) == 4


def test_the_base_rate_sets_the_precision_where_none_is_agreed() -> None:
    chosen, _ = world(4000, seed=0)
    certified, y = world(4000, seed=1)
    assert fit(chosen, certified, y, base_rate=0.15).sql_promise.rate == 0.45


def test_certification_labels_do_not_order_the_candidates() -> None:
    # The candidates are quantiles of the leads that chose them, none of the certification leads'.
    chosen, _ = world(2000, seed=0)
    certified, y = world(2000, seed=1)
    fitted = fit(chosen, certified, y, agreement=AgreementConfig(sql_precision=0.4))
    assert fitted.sql_promise.certified
    assert fitted.sql in chosen.round(9)
    assert fitted.mql in chosen.round(9)


CAPACITY = AgreementConfig(policy="capacity", capacity_per_week=42, sql_precision=0.3)


def test_capacity_is_kept_in_nine_weeks_of_ten() -> None:
    probability, y = world(5000, seed=0)
    fitted = fit(probability, probability, y, agreement=CAPACITY, leads_per_week=200.0)
    crossings = 200 * fitted.sql_share
    assert stats.poisson.cdf(42, crossings) >= 0.9
    # A share counted on 5,000 leads is nearly sure: hardly more leads would be too many.
    assert stats.poisson.cdf(42, crossings + 0.5) < 0.9
    few = fit(probability[:300], probability[:300], y[:300], agreement=CAPACITY, leads_per_week=200.0)
    assert 0.5 * crossings < 200 * few.sql_share < crossings - 1  # on 300 leads, less sure, fewer are called
    assert fitted.policy == "capacity"
    assert fitted.sql_promise.certified == (fitted.sql_promise.low >= 0.3)


def test_capacity_counts_leads_that_tie() -> None:
    # Three levels of probability; the upper two hold half the leads: 100 a week, where 42 can be worked.
    probability, y = np.repeat([0.9, 0.5, 0.1], [10, 40, 50]), np.ones(100)
    fitted = fit(probability, probability, y, agreement=CAPACITY, leads_per_week=200.0)
    assert (fitted.sql, fitted.sql_share) == (0.9, 0.1)


def test_capacity_that_no_level_fits_calls_nobody_sql() -> None:
    fitted = fit(np.full(100, 0.5), np.full(100, 0.5), np.ones(100), agreement=CAPACITY, leads_per_week=200.0)
    assert (fitted.sql, fitted.sql_share) == (NOBODY, 0.0)
    assert not fitted.sql_promise.certified


def test_capacity_for_all_calls_all_sql() -> None:
    probability, y = world(1000, seed=0)
    fitted = fit(probability, probability, y, agreement=CAPACITY, leads_per_week=20.0)
    assert fitted.sql_share == 1.0
    assert fitted.mql == fitted.sql


def test_capacity_without_dates_is_refused() -> None:
    probability, y = world(100, seed=0)
    with pytest.raises(ConfigError, match=r"no dates.*columns\.date"):
        fit(probability, probability, y, agreement=CAPACITY, leads_per_week=None)


def test_each_certified_promise_is_broken_in_at_most_half_of_delta_of_all_projects() -> None:
    n_projects, delta = 300, 0.1
    rate, recall = 0.4, 0.9
    agreement = AgreementConfig(sql_precision=rate, mql_recall=recall, confidence=1 - delta)
    truth, _ = world(200_000, seed=99)  # where the true precision and recall of a threshold are read off
    ordered = np.sort(truth)[::-1]
    above = np.cumsum(ordered)
    n_certified, n_broken = {"sql": 0, "mql": 0}, {"sql": 0, "mql": 0}
    n_naive = 0
    for seed in range(n_projects):
        chosen, _ = world(1000, seed=10_000 + seed)
        certified, y = world(1000, seed=20_000 + seed)
        fitted = fit(chosen, certified, y, agreement=agreement)
        n_sql, n_mql = (int(np.searchsorted(-ordered, -t, side="right")) for t in (fitted.sql, fitted.mql))
        n_certified["sql"] += fitted.sql_promise.certified
        n_certified["mql"] += fitted.mql_promise.certified
        n_broken["sql"] += fitted.sql_promise.certified and above[n_sql - 1] / n_sql < rate
        n_broken["mql"] += fitted.mql_promise.certified and above[n_mql - 1] / above[-1] < recall
        # The usual way, the lowest threshold with enough precision on the leads at hand, breaks its word half the time.
        descending = np.argsort(-certified)
        precision = np.cumsum(y[descending]) / np.arange(1, 1001)
        naive = certified[descending][np.flatnonzero(precision >= rate).max()]
        n_naive += above[int(np.searchsorted(-ordered, -naive, side="right")) - 1] < rate * (ordered >= naive).sum()
    assert min(n_certified.values()) > 0.8 * n_projects  # a promise that is never made is never broken
    standard_error = np.sqrt(delta / 2 * (1 - delta / 2) / n_projects)  # 0.013
    assert n_broken["sql"] / n_projects <= delta / 2 + 2 * standard_error
    assert n_broken["mql"] / n_projects <= delta / 2 + 2 * standard_error
    assert n_naive / n_projects > 0.3


def test_thresholds_move_with_the_scale_and_part_the_same_leads() -> None:
    rng = np.random.default_rng(4)
    before = rng.random(500)
    after = before**2 / (before**2 + 2 * (1 - before) ** 2)  # log-odds doubled and moved: the same order
    y = (rng.random(500) < before).astype(float)
    bands = fit_bands(
        before, before, y, agreement=AgreementConfig(), base_rate=0.3, leads_per_week=None, n_positive=250
    )
    np.testing.assert_array_equal(bands.moved(before, after).assign(after), bands.assign(before))


def test_a_band_nobody_is_in_stays_empty_on_another_scale() -> None:
    before = np.linspace(0.01, 0.2, 50)
    bands = fit_bands(
        before,
        before,
        np.zeros(50),
        agreement=AgreementConfig(uncertified_top=0.0),
        base_rate=0.1,
        leads_per_week=None,
        n_positive=5,
    )
    assert "SQL" not in bands.moved(before, 4 * before).assign(4 * before)


def test_how_a_value_column_is_written_is_told_by_its_cells() -> None:
    agreement = AgreementConfig(cost_per_contact=5, value_per_win=10, value_column="Deal size")
    words = {"*": ["tbd"]}
    comma = agreed_deal(agreement, pd.DataFrame({"deal size": ["1.200,50", "3,5", "TBD"]}), missing=words)
    point = agreed_deal(agreement, pd.DataFrame({"deal size": ["1,200.50", "3.5"]}), missing=words)
    assert comma is not None
    assert point is not None
    assert (comma.decimal, comma.missing, point.decimal) == (",", ("", "tbd"), ".")
