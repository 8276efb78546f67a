from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from propensity.bands import Promise, growth_to_certify
from propensity.calibration import fit_calibrator, sigmoid
from propensity.folds import Split, group_blocks
from propensity.metrics import row_log_loss
from propensity.training import Examples
from propensity.training.curve import (
    Curve,
    Margin,
    few_curve,
    fit_power_law,
    learning_curve,
    months_for,
)

N_FEATURES = 20
# As strong a penalty as that of the learner that ships.
STRENGTH = 0.1
CERTIFIED = Promise(rate=0.3, certified=True, observed=0.5, low=0.4, n_leads=100, n_converted=50)


def world(n: int, *, seed: int, strength: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Leads whose log-odds are a line through many features, each of which says a little."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, N_FEATURES))
    return x, (rng.random(n) < sigmoid(-1.5 + strength * 0.25 * x.sum(axis=1))).astype(int)


def examples_of(y: np.ndarray, *, groups: np.ndarray | None = None, weight: np.ndarray | None = None) -> Examples:
    nothing = pd.DataFrame(index=range(len(y)))
    groups = np.arange(len(y)) if groups is None else groups
    return Examples(leads=nothing, read=nothing, y=y, groups=groups, order=None, fold=None, weight=weight)


def regression(x: np.ndarray, y: np.ndarray) -> Margin:
    def margin(split: Split) -> np.ndarray:
        fitted = LogisticRegression(C=STRENGTH).fit(x[split.past], y[split.past])
        return np.asarray(fitted.decision_function(x[split.test]))

    return margin


def curve_of(
    x: np.ndarray,
    y: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    margin: Margin | None = None,
    is_skilled: bool = True,
    n_evaluated: int = 0,
) -> Curve:
    examples = examples_of(y, groups=groups, weight=weight)
    return learning_curve(
        examples,
        group_blocks(y, examples.groups, seed=0),
        margin or regression(x, y),
        positives=int(y.sum()),
        n_rows=len(y),
        months=12.0,
        seed=0,
        evaluated_size=0.8,
        n_evaluated=n_evaluated or len(y),
        is_skilled=is_skilled,
        promise=CERTIFIED,
        n_positive=float(y.sum()),
        confidence=0.9,
    )


def fresh_loss(x: np.ndarray, y: np.ndarray, fresh: tuple[np.ndarray, np.ndarray]) -> float:
    """What a model of these rows loses on fresh ones, once it is calibrated on them."""
    everything = np.vstack([x, fresh[0]])
    split = Split(past=np.arange(len(x)), test=np.arange(len(x), len(everything)))
    margin = regression(everything, np.append(y, fresh[1]))(split)
    fitted = fit_calibrator(margin, fresh[1], np.zeros(len(margin)))
    return float(row_log_loss(fresh[1], fitted.probability(margin)).mean())


@pytest.mark.slow  # hundreds of fits, to see a law of chance hold
def test_the_gain_of_a_doubling_lies_within_its_interval_in_most_worlds() -> None:
    fresh = world(40_000, seed=999)
    within, predicted, measured = 0, [], []
    for seed in range(20):
        x, y = world(1200, seed=seed)
        curve = curve_of(x[:600], y[:600])
        assert curve.next_gain is not None
        gain = fresh_loss(x[:600], y[:600], fresh) - fresh_loss(x, y, fresh)
        within += curve.next_gain.low <= gain <= curve.next_gain.high
        predicted.append(curve.next_gain.value)
        measured.append(gain)
    # Of 20 intervals that hold nine times in ten, fewer than 15 hold in one series of 90 (binomial).
    assert within >= 15
    assert np.mean(predicted) == pytest.approx(np.mean(measured), rel=0.35)


def test_no_number_is_given_where_nothing_is_to_be_learned() -> None:
    curves = [curve_of(*world(600, seed=seed, strength=0.0), is_skilled=False) for seed in range(10)]
    finite = [need for curve in curves for need in curve.needs if need.goal == "skill" and np.isfinite(need.growth)]
    # The draw of a world may show a gain by chance; its interval then has no end.
    assert len(finite) <= 2
    assert all(np.isinf(need.high) for need in finite)


def test_the_history_that_shows_skill_is_the_more_the_weaker_the_signal() -> None:
    def growths(strength: float) -> list[float]:
        worlds = [world(600, seed=seed, strength=strength) for seed in range(10)]
        found = [curve_of(x, y, is_skilled=False, n_evaluated=100) for x, y in worlds]
        return [need.growth for curve in found for need in curve.needs if need.goal == "skill"]

    assert 1 < np.mean(growths(1.0)) < 1.5
    assert np.median(growths(0.5)) > 3


def test_leads_of_an_account_teach_together() -> None:
    x, y = world(1200, seed=1)
    groups = np.arange(1200) // 4
    taught: list[np.ndarray] = []

    def margin(split: Split) -> np.ndarray:
        taught.append(split.past)
        assert not np.isin(groups[split.test], groups[split.past]).any()
        return regression(x, y)(split)

    curve_of(x, y, groups=groups, margin=margin)
    blocks = group_blocks(y, groups, seed=0)
    for past in taught:
        block = {*blocks.of_row[past]}
        inside = np.isin(groups, groups[past]) & np.isin(blocks.of_row, [*block])
        assert inside.sum() == len(past)
    # Five blocks, each taught by two eighths, two quarters, two halves and all.
    assert len(taught) == 5 * 7


def test_weights_count_in_proportion() -> None:
    x, y = world(1200, seed=2)
    one, two = curve_of(x, y, weight=np.ones(1200)), curve_of(x, y, weight=np.full(1200, 2.0))
    losses = [[level.loss.value for level in curve.levels] for curve in (one, two)]
    # The calibrator's prior counts for less where leads count twice, and by little.
    assert losses[0] == pytest.approx(losses[1], abs=2e-3)
    assert one.to_dict() == curve_of(x, y).to_dict()


def test_a_past_too_small_to_be_parted_gives_no_number() -> None:
    x, y = world(600, seed=3)
    few = np.flatnonzero(y == 1)[:45]
    kept = np.sort(np.append(few, np.flatnonzero(y == 0)))
    curve = curve_of(x[kept], y[kept])
    assert curve.levels == ()
    assert curve.next_gain is None


def test_one_feature_that_says_it_all_levels_off_and_many_that_say_a_little_do_not() -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(size=4000), np.zeros((4000, N_FEATURES - 1))])
    y = (rng.random(4000) < sigmoid(x[:, 0])).astype(int)
    assert curve_of(x, y).is_level
    assert not curve_of(*world(1200, seed=1)).is_level


def test_the_law_of_points_on_a_power_law_is_that_law() -> None:
    sizes = np.array([0.1, 0.2, 0.4, 0.8])
    law, misfit = fit_power_law(sizes, (0.4 + 0.01 * sizes**-0.5)[None, :], np.eye(4) * 1e-6)
    assert law[0] == pytest.approx([0.4, 0.01, 0.5])
    assert misfit == pytest.approx(0.0, abs=1e-9)


def test_points_that_zigzag_follow_no_law() -> None:
    _, misfit = fit_power_law(np.array([0.1, 0.2, 0.4, 0.8]), np.array([[0.4, 0.3, 0.4, 0.3]]), np.eye(4) * 1e-4)
    assert misfit > 50


def test_few_conversions_say_how_many_more_and_how_long_it_takes() -> None:
    # 20 conversions in 300 leads, at 25 a week twelve weeks: 20 more take as long again.
    curve = few_curve(20, least=40, months=months_for(300, 25.0))
    (need,) = curve.needs
    assert (need.goal, curve.more(need.growth)) == ("model", 20)
    assert curve.more_months(need.growth) == pytest.approx(12 * 7 / 30.4375)
    assert few_curve(0, least=40, months=None).to_dict()["needs"]["model"]["conversions"] is None


def test_growth_to_certify_agrees_with_the_rule_of_the_normal_approximation() -> None:
    # n >= z^2 p (1 - p) / (p - rate)^2 at z = 1.645: of 40 % against 35 %, 260 leads.
    growth = growth_to_certify(0.40, 100, rate=0.35, delta=0.05)
    assert growth * 100 == pytest.approx(1.645**2 * 0.4 * 0.6 / 0.05**2, rel=0.1)
