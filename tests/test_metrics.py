from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import special, stats
from sklearn import metrics as oracle

from propensity.metrics import (
    METRIC_NAMES,
    N_BINS,
    Interval,
    auc,
    average_precision,
    brier,
    cluster_weights,
    ece,
    equal_mass_bins,
    gain_lower_bound,
    lift_at,
    log_loss,
    mean_interval,
    measure,
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
