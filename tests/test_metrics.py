from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import special, stats
from sklearn import metrics as oracle
from sklearn.linear_model import LogisticRegression

from propensity.metrics import (
    METRIC_NAMES,
    N_BINS,
    Interval,
    auc,
    average_precision,
    benjamini_hochberg,
    brier,
    chance_gaps,
    cluster_weights,
    consistency_p_value,
    cox_line,
    debiased_ce,
    debiased_ce_interval,
    design_effect,
    ece,
    equal_mass_bins,
    gain_lower_bound,
    level_counts,
    lift_at,
    log_loss,
    mean_interval,
    measure,
    observed_over_expected,
    poisson_p_value,
    poisson_ratio,
    rate_interval,
    row_log_loss,
    shift_to_rate,
)

Metric = Callable[[np.ndarray, np.ndarray], float]

# Both sides sum the same few hundred floats in another order.
ROUNDING = 1e-12


def leads(seed: int, *, n_leads: int = 300, decimals: int = 15) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes drawn from probabilities; few decimals make ties."""
    rng = np.random.default_rng(seed)
    probability = np.round(rng.uniform(0.02, 0.98, n_leads), decimals)
    return (rng.uniform(size=n_leads) < probability).astype(float), probability


@pytest.mark.parametrize("decimals", [15, 2, 1])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (log_loss, oracle.log_loss),
        (brier, oracle.brier_score_loss),
        (auc, oracle.roc_auc_score),
        (average_precision, oracle.average_precision_score),
    ],
)
def test_metrics_are_those_of_scikit_learn(ours: Metric, theirs: Metric, decimals: int) -> None:
    for seed in range(3):
        y, probability = leads(seed, decimals=decimals)
        assert ours(y, probability) == pytest.approx(theirs(y, probability), abs=ROUNDING)


def test_auc_is_the_mann_whitney_statistic_over_all_pairs() -> None:
    y, score = leads(3, decimals=1)
    u, _ = stats.mannwhitneyu(score[y == 1], score[y == 0])
    assert auc(y, score) == pytest.approx(u / (y.sum() * (1 - y).sum()), abs=ROUNDING)


def test_log_loss_of_a_confident_mistake_is_large_and_finite() -> None:
    # -ln(1e-15) = 34.54
    assert row_log_loss(np.array([1, 0, 1, 0]), np.array([0.0, 1.0, 1.0, 0.0])).round(2).tolist() == [
        34.54,
        34.54,
        0,
        0,
    ]


def test_log_loss_is_the_mean_of_the_rows() -> None:
    y, probability = leads(4)
    assert log_loss(y, probability) == row_log_loss(y, probability).mean()


@pytest.mark.parametrize("metric", [auc, average_precision, lift_at])
def test_a_ranking_without_conversions_has_no_figure(metric: Metric) -> None:
    assert math.isnan(metric(np.zeros(3), np.array([0.1, 0.2, 0.3])))


def test_auc_where_every_lead_converted_has_no_figure() -> None:
    assert math.isnan(auc(np.ones(2), np.array([0.1, 0.2])))


@pytest.mark.parametrize(
    ("y", "score", "top", "expected"),
    [
        # The best fifth is one lead of five; it converted, two of five did: 1 / 0.4.
        ([1, 0, 1, 0, 0], [5, 4, 3, 2, 1], 0.2, 2.5),
        # It did not.
        ([0, 1, 1, 0, 0], [5, 4, 3, 2, 1], 0.2, 0.0),
        # Four tied leads with one conversion share the one place: 0.25 / 0.4.
        ([1, 0, 0, 0, 1], [5, 5, 5, 5, 1], 0.2, 0.625),
        # A place and a half: 1 and half of 0, over 1.5, over 0.4.
        ([1, 0, 1, 0, 0], [5, 4, 3, 2, 1], 0.3, 1 / 1.5 / 0.4),
        # Everybody: no better than all.
        ([1, 0, 1, 0, 0], [5, 4, 3, 2, 1], 1.0, 1.0),
    ],
)
def test_lift_is_the_conversion_rate_of_the_top_over_that_of_all(
    y: list[int], score: list[int], top: float, expected: float
) -> None:
    assert lift_at(np.array(y), np.array(score), top=top) == pytest.approx(expected, abs=ROUNDING)


def test_bins_hold_equally_many_leads() -> None:
    assert np.bincount(equal_mass_bins(np.arange(100) / 100)).tolist() == [10] * N_BINS


def test_tied_leads_share_a_bin() -> None:
    bins = equal_mass_bins(np.array([0.1] * 5 + [0.5] * 4 + [0.9]), n_bins=2)
    assert bins.tolist() == [0] * 5 + [1] * 5


def test_ece_is_the_gap_between_probability_and_rate_averaged_over_bins() -> None:
    # Ten leads at 0.2 of which three converted, thirty at 0.5 of which twelve did: (|2 - 3| + |15 - 12|) / 40.
    y = np.array([1] * 3 + [0] * 7 + [1] * 12 + [0] * 18)
    assert ece(y, np.array([0.2] * 10 + [0.5] * 30)) == pytest.approx(0.1, abs=ROUNDING)


def test_ece_of_distinct_probabilities_is_the_mean_over_ten_equal_parts() -> None:
    y, probability = leads(5)
    order = np.argsort(probability)
    parts = (probability - y)[order].reshape(N_BINS, -1)
    assert ece(y, probability) == pytest.approx(np.abs(parts.mean(axis=1)).mean(), abs=ROUNDING)


def test_whole_groups_are_drawn_with_replacement() -> None:
    groups = np.array([7, 7, 3, 9, 3])
    weights = cluster_weights(groups, seed=1, n_draws=50)
    assert weights.shape == (50, 5)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 2] == weights[:, 4]).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert np.unique(weights).tolist() == [0, 1, 2, 3]


def test_the_same_seed_draws_the_same_groups() -> None:
    groups = np.arange(20)
    np.testing.assert_array_equal(cluster_weights(groups, seed=1), cluster_weights(groups, seed=1))
    assert (cluster_weights(groups, seed=1) != cluster_weights(groups, seed=2)).any()


SINGLE: dict[str, Metric] = {
    "auc": auc,
    "average_precision": average_precision,
    "log_loss": log_loss,
    "brier": brier,
    "lift_at_10": lift_at,
}


@pytest.mark.parametrize("decimals", [15, 1])
def test_measured_figures_are_the_metrics_and_lie_in_their_intervals(decimals: int) -> None:
    y, probability = leads(6, decimals=decimals)
    measured = measure(y, probability, weights=cluster_weights(np.arange(len(y)), seed=0))
    assert tuple(measured) == METRIC_NAMES
    for name, metric in SINGLE.items():
        assert measured[name].value == metric(y, probability)
        assert measured[name].low < measured[name].value < measured[name].high
    assert measured["ece"].value == ece(y, probability)
    assert measured["ece"].low < measured["ece"].high


@pytest.mark.parametrize("name", SINGLE)
def test_an_interval_weighs_rows_as_if_they_were_drawn_again(name: str) -> None:
    # One draw: both ends are its figure, which must be the metric of the rows repeated as often as drawn.
    y, probability = leads(7, n_leads=60, decimals=1)
    weights = cluster_weights(np.arange(60), seed=3, n_draws=1)
    drawn = np.repeat(np.arange(60), weights[0].astype(int))
    interval = measure(y, probability, weights=weights)[name]
    # Weights are float32, which holds these small counts exactly.
    assert interval.low == interval.high == pytest.approx(SINGLE[name](y[drawn], probability[drawn]), abs=ROUNDING)


def test_the_interval_of_a_mean_is_that_of_the_normal_theory() -> None:
    # 2,000 leads of their own: the bootstrap's standard error is sd / sqrt(n). 400 draws put the ends of a 95 %
    # interval within 0.3 standard errors (the standard error of such a quantile is sqrt(.025 * .975 / 400) / 0.058
    # = 0.13 of them, twice that and a little).
    values = np.random.default_rng(0).normal(3, 2, 2000)
    interval = mean_interval(values, weights=cluster_weights(np.arange(2000), seed=0))
    error = values.std() / math.sqrt(2000)
    assert interval.value == values.mean()
    assert (interval.low - interval.value) / error == pytest.approx(-1.96, abs=0.3)
    assert (interval.high - interval.value) / error == pytest.approx(1.96, abs=0.3)


def test_leads_that_repeat_each_other_widen_the_interval() -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=50), 4)
    own = mean_interval(values, weights=cluster_weights(np.arange(200), seed=0))
    shared = mean_interval(values, weights=cluster_weights(np.repeat(np.arange(50), 4), seed=0))
    # Four copies carry the information of one: twice the width, and 400 draws know a width to within a tenth.
    assert (shared.high - shared.low) / (own.high - own.low) == pytest.approx(2, rel=0.2)


def test_draws_without_a_figure_are_left_out_of_the_interval() -> None:
    y, probability = np.array([1.0, 0.0]), np.array([0.9, 0.1])
    weights = np.array([[2, 0], [1, 1], [0, 2]])
    assert measure(y, probability, weights=weights)["auc"] == Interval(value=1.0, low=1.0, high=1.0)


def test_where_no_draw_has_a_figure_neither_has_the_interval() -> None:
    measured = measure(np.zeros(2), np.array([0.9, 0.1]), weights=np.ones((3, 2)))["auc"]
    assert all(math.isnan(figure) for figure in measured.to_dict().values())


def test_an_interval_is_plain_numbers_in_json() -> None:
    assert Interval(value=0.5, low=0.25, high=0.75).to_dict() == {"value": 0.5, "low": 0.25, "high": 0.75}


def test_the_lower_bound_of_a_gain_leaves_one_draw_in_twenty_below() -> None:
    # 101 draws of two rows with gains 0 and 1: their means are 0, 0.01, ..., 1 and the 5 % quantile is the sixth.
    share = np.linspace(0, 1, 101)
    weights = np.column_stack([1 - share, share])
    assert gain_lower_bound(np.array([0.0, 1.0]), weights=weights) == pytest.approx(0.05, abs=ROUNDING)


@pytest.mark.parametrize("rate", [0.001, 0.3, 0.5, 0.9])
def test_a_shift_moves_all_log_odds_by_one_number(rate: float) -> None:
    _, probability = leads(8)
    shifted = shift_to_rate(probability, rate)
    assert shifted.mean() == pytest.approx(rate, abs=ROUNDING)
    steps = special.logit(shifted) - special.logit(probability)
    # A log-odds near 0.999 carries the rounding of 1 - p a thousandfold.
    assert np.ptp(steps) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_rate_of_nothing_or_everything_becomes_every_probability(rate: float) -> None:
    _, probability = leads(9)
    np.testing.assert_allclose(shift_to_rate(probability, rate), rate, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("confidence", [0.9, 0.95])
@pytest.mark.parametrize(("n_converted", "n_leads"), [(0, 10), (1, 10), (5, 10), (10, 10), (3, 1000)])
def test_the_interval_of_a_rate_is_the_exact_binomial_one(n_converted: int, n_leads: int, confidence: float) -> None:
    theirs = stats.binomtest(n_converted, n_leads).proportion_ci(confidence, method="exact")
    # scipy solves for the ends by root finding, to this tolerance.
    assert rate_interval(n_converted, n_leads, confidence=confidence) == pytest.approx(
        (theirs.low, theirs.high), abs=1e-8
    )


def test_without_leads_a_rate_can_be_anything() -> None:
    assert rate_interval(0, 0) == (0.0, 1.0)


def test_auc_of_weighted_rows_is_that_of_rows_written_down_as_often() -> None:
    y, score = leads(20, decimals=1)
    times = np.random.default_rng(0).integers(1, 5, len(y))
    repeated = oracle.roc_auc_score(np.repeat(y, times), np.repeat(score, times))
    assert auc(y, score, weight=times.astype(float)) == pytest.approx(repeated, abs=ROUNDING)


# ---- the level -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("converted", [0, 1, 7, 131])
@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_the_ends_of_a_poisson_interval_leave_half_of_the_rest_beyond_them(converted: int, confidence: float) -> None:
    ratio = poisson_ratio(converted, 120, confidence=confidence)
    tail = (1 - confidence) / 2
    assert ratio.value == pytest.approx(converted / 120, abs=ROUNDING)
    assert stats.poisson.cdf(converted, 120 * ratio.high) == pytest.approx(tail, abs=1e-9)
    assert stats.poisson.sf(converted - 1, 120 * ratio.low) == pytest.approx(tail if converted else 1, abs=1e-9)


def test_a_poisson_interval_is_the_one_that_tables_print() -> None:
    # Ten events: 4.795 to 18.390 (Garwood's table, as Ulm 1990 prints it).
    ratio = poisson_ratio(10, 1)
    assert (ratio.low, ratio.high) == pytest.approx((4.795, 18.390), abs=0.0005)


def test_conversions_that_repeat_each_other_count_once_in_the_interval() -> None:
    repeated, once = poisson_ratio(90, 180, effect=9.0), poisson_ratio(10, 20)
    assert [*repeated.to_dict().values()] == pytest.approx([*once.to_dict().values()], rel=1e-9)


def test_conversions_where_none_were_expected_are_infinitely_many() -> None:
    assert poisson_ratio(2, 0).value == math.inf
    assert math.isnan(poisson_ratio(0, 0).value)


@pytest.mark.parametrize("converted", [0, 3, 50, 80])
def test_a_poisson_p_value_is_twice_the_smaller_tail(converted: int) -> None:
    tails = stats.poisson.cdf(converted, 50), stats.poisson.sf(converted - 1, 50)
    assert poisson_p_value(converted, 50) == pytest.approx(min(2 * min(tails), 1), rel=1e-9)
    assert poisson_p_value(4 * converted, 200, effect=4.0) == pytest.approx(poisson_p_value(converted, 50), rel=1e-9)


def test_rows_apart_have_no_design_effect_and_copies_have_their_number() -> None:
    residual = np.random.default_rng(0).normal(size=100)
    assert design_effect(residual, np.arange(100)) == pytest.approx(1, abs=ROUNDING)
    assert design_effect(np.repeat(residual, 9), np.repeat(np.arange(100), 9)) == pytest.approx(9, abs=1e-9)


def test_rows_that_cancel_within_a_group_are_no_reason_for_a_narrower_interval() -> None:
    assert design_effect(np.array([1.0, -1.0, 2.0, -2.0]), np.array([0, 0, 1, 1])) == 1.0


def test_outcomes_that_came_as_promised_to_the_digit_have_no_design_effect() -> None:
    assert design_effect(np.zeros(4), np.zeros(4, dtype=int)) == 1.0


def test_a_design_effect_is_the_variance_of_a_sum_of_groups_over_that_of_leads_apart() -> None:
    # 4,000 accounts of four leads that share half the variance: 1 + 3 * 0.5; known to a few hundredths from so many.
    rng = np.random.default_rng(1)
    shared, own = np.repeat(rng.normal(size=4000), 4), rng.normal(size=16000)
    residual = math.sqrt(0.5) * (shared + own)
    assert design_effect(residual, np.repeat(np.arange(4000), 4)) == pytest.approx(2.5, abs=0.1)


def test_the_level_of_snapshots_is_that_of_their_leads() -> None:
    y, probability = leads(21)
    once = observed_over_expected(y, probability, groups=np.arange(300))
    seen_four_times = observed_over_expected(
        np.repeat(y, 4), np.repeat(probability, 4), groups=np.repeat(np.arange(300), 4), weight=np.full(1200, 0.25)
    )
    for name, figure in once.to_dict().items():
        assert seen_four_times.to_dict()[name] == pytest.approx(figure, rel=1e-9)


def test_a_level_that_is_off_everywhere_does_not_make_accounts_alike() -> None:
    # Accounts of ten leads apart from each other, twice as many conversions as promised.
    rng = np.random.default_rng(2)
    y = (rng.random(4000) < 0.2).astype(float)
    converted, expected, effect = level_counts(y, np.full(4000, 0.1), groups=np.repeat(np.arange(400), 10))
    assert converted == y.sum()
    assert expected == pytest.approx(400)
    assert effect == pytest.approx(1, abs=0.15)  # 400 accounts know a variance to sqrt(2 / 400) = 0.07


# ---- the line --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_weighted", [False, True])
def test_the_line_is_the_logistic_regression_of_scikit_learn(is_weighted: bool) -> None:
    y, probability = leads(10, n_leads=800)
    weight = np.random.default_rng(0).uniform(0.2, 1, 800) if is_weighted else None
    log_odds = special.logit(probability)[:, None]
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(log_odds, y, sample_weight=weight)
    slope, intercept = cox_line(y, probability, groups=np.arange(800), weight=weight)
    # Theirs stops at a gradient of 1e-10, some 1e-6 of a weight away.
    assert slope.value == pytest.approx(theirs.coef_[0, 0], abs=1e-5)
    assert intercept.value == pytest.approx(theirs.intercept_[0], abs=1e-5)


def test_the_interval_of_a_slope_holds_the_truth_nineteen_times_of_twenty() -> None:
    held = 0
    for seed in range(200):
        y, probability = leads(seed, n_leads=400)
        slope, intercept = cox_line(y, special.expit(2 * special.logit(probability) + 1), groups=np.arange(400))
        # logit p = (x - 1) / 2 where x is the log-odds given.
        held += slope.low <= 0.5 <= slope.high and intercept.low <= -0.5 <= intercept.high
    # Two intervals of 95 %, somewhat alike: 90 to 95 %; 200 tries know it to 2 %.
    assert 0.86 <= held / 200 <= 0.99


def test_leads_written_down_four_times_double_the_width_they_would_claim() -> None:
    y, probability = leads(11, n_leads=400)
    four = [np.repeat(values, 4) for values in (y, probability)]
    apart, _ = cox_line(*four, groups=np.arange(1600))
    together, _ = cox_line(*four, groups=np.repeat(np.arange(400), 4))
    once, _ = cox_line(y, probability, groups=np.arange(400))
    assert apart.value == pytest.approx(together.value, abs=1e-9)
    # The sandwich and the model's variance differ by some per cent on 400 leads.
    assert (together.high - together.low) / (apart.high - apart.low) == pytest.approx(2, rel=0.1)
    assert (together.high - together.low) / (once.high - once.low) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(
    ("y", "probability"),
    [
        ([0, 0, 0, 0], [0.1, 0.2, 0.3, 0.4]),  # nobody converted
        ([0, 1, 0, 1], [0.2, 0.2, 0.2, 0.2]),  # all alike
        ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4]),  # parted without a mistake
        ([0, 1, 0, 1], [0.1, 0.2, 0.2, 0.4]),  # but for a tie
        ([1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4]),  # the wrong way round
    ],
)
def test_where_no_line_is_the_most_likely_there_is_no_figure(y: list[int], probability: list[float]) -> None:
    for figure in cox_line(np.array(y), np.array(probability), groups=np.arange(4)):
        assert all(math.isnan(value) for value in figure.to_dict().values())


def test_a_line_that_hangs_on_the_last_digit_has_no_figure() -> None:
    probability = np.array([0.0, 0.0, *(0.005 + 1e-10 * np.arange(6))])
    slope, _ = cox_line(np.array([0, 0, 0, 1, 0, 0, 1, 0]), probability, groups=np.arange(8))
    assert math.isnan(slope.value)


def test_a_line_through_certainties_and_one_mistake_is_finite() -> None:
    y, probability = leads(12)
    slope, intercept = cox_line(np.append(y, 0), np.append(probability, 1.0), groups=np.arange(301))
    assert np.isfinite([*slope.to_dict().values(), *intercept.to_dict().values()]).all()


# ---- the error beyond chance -----------------------------------------------------------------------------------------


def perfect(n_leads: int, rate: float, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes of a perfect model whose log-odds spread by one and a half."""
    rng = np.random.default_rng(seed)
    probability = shift_to_rate(special.expit(rng.normal(0, 1.5, n_leads)), rate)
    return (rng.random(n_leads) < probability).astype(float), probability


def test_the_debiased_error_is_the_formula_bin_by_bin() -> None:
    # Ten leads at 0.2 of which four converted, thirty at 0.5 of which nine did.
    y = np.repeat([1, 0, 1, 0], [4, 6, 9, 21])
    probability = np.repeat([0.2, 0.5], [10, 30])
    square = 10 / 40 * (0.2**2 - 0.4 * 0.6 / 9) + 30 / 40 * (0.2**2 - 0.3 * 0.7 / 29)
    assert debiased_ce(y, probability) == pytest.approx(math.sqrt(square), abs=ROUNDING)


@pytest.mark.parametrize("rate", [0.02, 0.11, 0.38])
def test_the_debiased_error_of_a_perfect_model_is_about_zero(rate: float) -> None:
    squares = []
    for seed in range(200):
        y, probability = perfect(2000, rate, seed=seed)
        bins = equal_mass_bins(probability)
        won = np.bincount(bins, weights=y) / 200
        gap = np.bincount(bins, weights=y - probability) / 200
        squares.append((gap**2 - won * (1 - won) / 199).mean())
        assert debiased_ce(y, probability) == pytest.approx(math.sqrt(max(squares[-1], 0)), abs=ROUNDING)
    # Unbiased: the mean of the squares is zero up to its own error, of which this is three.
    assert abs(np.mean(squares)) < 3 * np.std(squares) / math.sqrt(200)


def test_the_debiased_error_finds_the_one_that_was_planted_where_the_plain_one_is_too_large() -> None:
    found, plain = [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        probability = rng.uniform(0.2, 0.6, 2000)
        y = (rng.random(2000) < probability + 0.03 * np.sign(rng.normal(size=10))[(10 * probability).astype(int)]) * 1.0
        found.append(debiased_ce(y, probability) ** 2)
        plain.append(ece(y, probability))
    # Bins of 0.04 never straddle the steps by more than half, so the planted 0.03 is met in most of them.
    assert 0.024 < math.sqrt(np.mean(found)) < 0.032
    assert np.mean(plain) > 0.032


def test_snapshots_of_one_lead_do_not_look_like_an_error() -> None:
    plain, grouped = [], []
    for seed in range(60):
        y, probability = perfect(500, 0.2, seed=seed)
        four = [np.repeat(values, 4) for values in (y, probability)]
        groups = np.repeat(np.arange(500), 4)
        plain.append(debiased_ce(*four, weight=np.ones(2000)))
        grouped.append(debiased_ce(*four, groups=groups))
        once = debiased_ce(y, probability, groups=np.arange(500))
        quarters = debiased_ce(*four, groups=groups, weight=np.full(2000, 0.25))
        assert grouped[-1] == pytest.approx(quarters, abs=1e-9)
        assert quarters == pytest.approx(once, abs=0.02)  # bins are cut at other places
    assert np.mean(grouped) < 0.5 * np.mean(plain)


def test_the_interval_of_the_debiased_error_holds_the_truth() -> None:
    held, zero = 0, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        probability = rng.uniform(0.2, 0.6, 1500)
        y = (rng.random(1500) < probability + 0.06).astype(float)
        weights, groups = cluster_weights(np.arange(1500), seed=seed, n_draws=200), np.arange(1500)
        off = debiased_ce_interval(y, probability, groups=groups, weights=weights)
        held += off.low <= 0.06 <= off.high
        y = (rng.random(1500) < probability).astype(float)
        zero += debiased_ce_interval(y, probability, groups=groups, weights=weights).low == 0
    assert held >= 52  # 95 % of 60 is 57, less two and a half of its errors of 1.7
    assert zero >= 57


def test_of_one_lead_a_bin_there_is_no_debiased_error() -> None:
    assert math.isnan(debiased_ce(np.array([1.0, 0.0]), np.array([0.2, 0.4])))


# ---- chance ----------------------------------------------------------------------------------------------------------

# Mean and 95th percentile of the 10-bin ECE of perfect models, by base rate and number of leads, measured elsewhere
# with other code.
ECE_OF_A_PERFECT_MODEL = [
    (0.02, 500, 0.012, 0.020),
    (0.02, 10_000, 0.003, 0.004),
    (0.05, 2000, 0.010, 0.015),
    (0.11, 2000, 0.014, 0.021),
    (0.11, 5000, 0.009, 0.013),
    (0.38, 500, 0.043, 0.063),
    (0.38, 10_000, 0.010, 0.014),
]


@pytest.mark.parametrize(("rate", "n_leads", "mean", "high"), ECE_OF_A_PERFECT_MODEL)
def test_a_perfect_model_draws_the_errors_that_were_measured_of_perfect_models(
    rate: float, n_leads: int, mean: float, high: float
) -> None:
    _, probability = perfect(n_leads, rate, seed=0)
    gaps = chance_gaps(probability, bins=equal_mass_bins(probability), n_draws=400)
    errors = np.abs(gaps).sum(axis=1) / n_leads
    # The spread of those models' log-odds is not known; one and a half is what fits, and a tenth is what it leaves.
    assert errors.mean() == pytest.approx(mean, rel=0.1, abs=0.001)
    assert np.quantile(errors, 0.95) == pytest.approx(high, rel=0.1, abs=0.001)


def test_what_chance_misses_has_the_mean_and_variance_of_weighted_coins() -> None:
    probability, weight = np.repeat([0.1, 0.6], 50), np.tile([0.5, 1.0], 50)
    gaps = chance_gaps(probability, bins=np.repeat([0, 3], 50), weight=weight, n_draws=4000)
    assert gaps.shape == (4000, N_BINS)
    variance = [(weight**2)[:50].sum() * 0.09, (weight**2)[:50].sum() * 0.24]
    # 4,000 draws know a mean to 0.016 standard deviations and a variance to 2.2 %; three times that.
    assert np.abs(gaps.mean(axis=0)[[0, 3]] / np.sqrt(variance)).max() < 0.05
    assert gaps.var(axis=0)[[0, 3]] == pytest.approx(variance, rel=0.07)
    assert (gaps[:, [1, 2, 4, 5, 6, 7, 8, 9]] == 0).all()


def test_p_values_of_a_perfect_model_are_spread_evenly() -> None:
    found = [
        consistency_p_value(*perfect(1000, 0.2, seed=seed), groups=np.arange(1000), seed=seed, n_draws=200)
        for seed in range(200)
    ]
    # Kolmogorov-Smirnov at 0.1 %: 1.95 / sqrt(200), and a hair for steps of 1 / 200.
    assert stats.kstest(found, "uniform").statistic < 0.145


def test_p_values_of_snapshots_do_not_cry_wolf() -> None:
    found, naive = [], []
    for seed in range(100):
        y, probability = perfect(400, 0.2, seed=seed)
        four = [np.repeat(values, 4) for values in (y, probability)]
        weight = np.full(1600, 0.25)
        groups = np.repeat(np.arange(400), 4)
        found.append(consistency_p_value(*four, groups=groups, weight=weight, n_draws=200))
        naive.append(consistency_p_value(*four, groups=np.arange(1600), weight=weight, n_draws=200))
    assert np.mean(np.array(found) < 0.05) < 0.12  # 5 % and three errors of 2.2 %
    assert np.mean(np.array(naive) < 0.05) > 0.4


def test_a_level_that_doubled_is_not_chance_and_the_same_seed_says_the_same() -> None:
    y, probability = perfect(2000, 0.2, seed=0)
    groups = np.arange(2000)
    assert consistency_p_value(y, probability / 2, groups=groups) == 0
    assert consistency_p_value(y, probability, groups=groups) == consistency_p_value(y, probability, groups=groups)


def test_certainties_that_came_true_are_consistent() -> None:
    assert consistency_p_value(np.array([0.0, 1.0]), np.array([0.0, 1.0]), groups=np.arange(2)) == 1


def test_benjamini_hochberg_names_what_scipy_names() -> None:
    for seed in range(20):
        p_values = np.random.default_rng(seed).beta(0.3, 1, 30)
        adjusted = stats.false_discovery_control(p_values)
        np.testing.assert_array_equal(benjamini_hochberg(p_values), adjusted <= 0.05)


@pytest.mark.parametrize("p_values", [[], [0.2, 0.9]])
def test_where_nothing_stands_out_nothing_is_named(p_values: list[float]) -> None:
    assert not benjamini_hochberg(np.array(p_values)).any()
