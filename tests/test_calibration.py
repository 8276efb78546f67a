from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from scipy import optimize, special, stats

from propensity.calibration import Calibrator, fit_calibrator, sigmoid

TWENTY_THOUSAND = 20_000


def simulated(
    slope: float, intercept: float, *, n_leads: int = TWENTY_THOUSAND, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Margins whose true log-odds are ``slope * margin + intercept``."""
    rng = np.random.default_rng(seed)
    margin = rng.normal(scale=1.5, size=n_leads)
    return margin, (rng.random(n_leads) < special.expit(slope * margin + intercept)).astype(float)


def five_blocks(n_leads: int) -> np.ndarray:
    return np.arange(n_leads) * 5 // n_leads


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, -1.0), (1.6, 0.5), (-0.4, 0.2)])
def test_slope_and_intercept_of_simulated_margins_are_recovered(slope: float, intercept: float) -> None:
    margin, y = simulated(slope, intercept)
    fitted = fit_calibrator(margin, y, five_blocks(len(y)))
    # Standard errors here are below 0.02; a slope far from 1 is also pulled toward it by up to 0.02.
    assert fitted.slope == pytest.approx(slope, abs=0.06)
    assert fitted.intercept == pytest.approx(intercept, abs=0.06)


def test_one_block_is_the_penalised_likelihood_of_scipy() -> None:
    margin, y = simulated(0.7, -0.5, n_leads=2000)
    fitted = fit_calibrator(margin, y, np.zeros(len(y), dtype=int))

    def loss(weights: np.ndarray) -> float:
        log_odds = weights[0] * margin + weights[1]
        return float((np.logaddexp(0, log_odds) - y * log_odds).sum())

    free = optimize.minimize(loss, [1.0, 0.0], method="BFGS", options={"gtol": 1e-9})
    design, p = np.column_stack([margin, np.ones_like(margin)]), special.expit(free.x[0] * margin + free.x[1])
    variance = np.linalg.inv((design.T * (p * (1 - p))) @ design)[0, 0]
    slope = (20 + free.x[0] / variance) / (20 + 1 / variance)
    intercept = optimize.minimize_scalar(lambda b: loss(np.array([slope, b])) + b**2, bounds=(-5, 5), method="bounded")
    # BFGS works from finite differences, and the bounded search stops at 1e-5.
    assert fitted.slope == pytest.approx(slope, abs=1e-5)
    assert fitted.intercept == pytest.approx(intercept.x, abs=1e-5)


def test_blocks_that_disagree_leave_the_slope_near_one() -> None:
    blocks = five_blocks(TWENTY_THOUSAND)
    rng = np.random.default_rng(1)
    margin = rng.normal(scale=1.5, size=TWENTY_THOUSAND)
    of_block = np.array([-1.2, 2.0, -0.8, 1.8, -0.6])  # their mean is 0.24
    y = (rng.random(TWENTY_THOUSAND) < special.expit(of_block[blocks] * margin)).astype(float)
    agreed = np.where(rng.random(TWENTY_THOUSAND) < special.expit(0.24 * margin), 1.0, 0.0)
    disputed = fit_calibrator(margin, y, blocks).slope
    undisputed = fit_calibrator(margin, agreed, blocks).slope
    assert 0.7 < disputed < 1  # block against block, the slope is known to about 0.4: the prior's 0.22 weighs more
    assert undisputed == pytest.approx(0.24, abs=0.06)


@pytest.mark.parametrize(("n_converted", "is_one"), [(199, True), (200, False)])
def test_fewer_than_200_conversions_leave_the_slope_at_one(n_converted: int, is_one: bool) -> None:
    margin = np.linspace(-1, 1, 1000)
    y = np.zeros(1000)
    y[np.random.default_rng(0).permutation(1000)[:n_converted]] = 1.0  # the margin says nothing: the slope is 0
    fitted = fit_calibrator(margin, y, np.zeros(1000, dtype=int))
    assert (fitted.slope == 1.0) == is_one
    assert (fitted.n_rows, fitted.n_positive) == (1000, n_converted)


def test_intercept_alone_solves_its_equation() -> None:
    # 30 of 100 leads at margin 0: 30 - 100 p - 2 b = 0.
    y = np.repeat([1.0, 0.0], [30, 70])
    fitted = fit_calibrator(np.zeros(100), y, np.zeros(100, dtype=int))
    assert 30 - 100 * special.expit(fitted.intercept) - 2 * fitted.intercept == pytest.approx(0, abs=1e-9)
    assert np.log(0.3 / 0.7) < fitted.intercept < 0


@pytest.mark.parametrize("y", [np.zeros(50), np.ones(50)], ids=["nobody converted", "all converted"])
def test_one_outcome_stays_finite(y: np.ndarray) -> None:
    fitted = fit_calibrator(np.linspace(-1, 1, 50), y, np.zeros(50, dtype=int), period=np.zeros(50, dtype=int))
    assert 0 < fitted.probability(np.array([0.0]))[0] < 1
    assert abs(fitted.intercept) < 5


def test_margins_that_part_the_outcomes_completely_stay_finite() -> None:
    y = np.tile([0.0, 1.0], 500)
    fitted = fit_calibrator(2 * y - 1, y, five_blocks(1000), period=five_blocks(1000))
    assert 1 < fitted.slope < 50
    assert np.isfinite(fitted.intercept)


def test_margins_too_small_to_say_anything_keep_slope_one() -> None:
    y = np.tile([0.0, 1.0], 500)  # the likeliest slope is without end; its evidence is next to none
    fitted = fit_calibrator(1e-4 * (2 * y - 1), y, five_blocks(1000))
    assert fitted.slope == pytest.approx(1, abs=0.01)


def test_a_margin_that_never_varies_keeps_slope_one_and_gives_the_base_rate() -> None:
    y = np.tile([1.0, 0.0, 0.0, 0.0], 500)
    fitted = fit_calibrator(np.full(2000, 0.3), y, five_blocks(2000))
    assert fitted.slope == pytest.approx(1, abs=0.01)
    assert fitted.probability(np.array([0.3]))[0] == pytest.approx(0.25, abs=0.01)


def drifting(shifts: list[float], *, n_a_block: int = 2000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Margins that are true log-odds but for a shift of each block's own."""
    rng = np.random.default_rng(2)
    blocks = np.repeat(np.arange(len(shifts)), n_a_block)
    margin = rng.normal(size=len(blocks)) - 1
    y = rng.random(len(blocks)) < special.expit(margin + np.array(shifts)[blocks])
    return margin, y.astype(float), blocks


def test_a_world_that_moves_steadily_is_followed_to_its_newest_block() -> None:
    margin, y, blocks = drifting([-1.2, -0.9, -0.6, -0.3, 0.0, 0.3, 0.6])
    fresh = fit_calibrator(margin, y, blocks, period=blocks)
    plain = fit_calibrator(margin, y, blocks)
    assert fresh.intercept > plain.intercept + 0.3
    assert fresh.intercept == pytest.approx(0.6, abs=0.2)  # the newest block's own shift, and a slope below 1


def test_level_is_that_of_the_local_level_model_averaged_over_its_variances() -> None:
    """Margins 0 and 2,000 leads a period: its level is its log-odds, whose vector has a known normal distribution."""
    rates = np.array([0.1, 0.2, 0.12, 0.4])
    y = np.concatenate([np.arange(2000) < 2000 * rate for rate in rates]).astype(float)
    period = np.repeat([0, 1, 3, 7], 2000)  # names in order, no more
    fitted = fit_calibrator(np.zeros(8000), y, period, period=period)
    level, error = np.log(rates / (1 - rates)), 1 / (2000 * rates * (1 - rates))
    grid = [0, 0.0025, 0.01, 0.04, 0.16, 0.64]
    answers, likely = [], []
    for walk, swing in itertools.product(grid, grid):
        # Levels are a start of variance 1/2 and the walks so far: what two periods share is what the earlier one has.
        shared = 0.5 + walk * (1 + np.minimum.outer(range(4), range(4)))
        seen = shared + np.diag(swing + error)
        answers.append(shared[-1] @ np.linalg.solve(seen, level))
        likely.append(stats.multivariate_normal(cov=seen).pdf(level))
    assert fitted.intercept == pytest.approx(np.average(answers, weights=likely), abs=0.005)


def test_a_level_that_swings_is_not_chased() -> None:
    shifts = [0.6, -0.6] * 5
    margin, y, blocks = drifting([*shifts, 0.6], n_a_block=1000)
    fitted = fit_calibrator(margin, y, blocks, period=blocks)
    assert fitted.intercept == pytest.approx(0, abs=0.2)


def test_a_period_whose_leads_are_left_out_says_nothing() -> None:
    margin, y, blocks = drifting([0.0, 0.2, 0.4, -2.0])
    kept = blocks < 3
    without = fit_calibrator(margin, y, blocks, period=blocks, weight=kept.astype(float))
    alone = fit_calibrator(margin[kept], y[kept], blocks[kept], period=blocks[kept])
    assert without.intercept == pytest.approx(alone.intercept, abs=1e-6)


def test_a_newest_block_that_says_little_moves_little() -> None:
    margin, y, blocks = drifting([0.0, 0.0, 0.0, 1.5])
    few = np.flatnonzero(blocks < 3)
    few = np.append(few, np.flatnonzero(blocks == 3)[:20])
    many = fit_calibrator(margin, y, blocks, period=blocks).intercept
    assert fit_calibrator(margin[few], y[few], blocks[few], period=blocks[few]).intercept < many - 0.5


def test_without_time_no_block_is_the_newest() -> None:
    margin, y, blocks = drifting([-1.0, -0.5, 0.0, 0.5])
    forward = fit_calibrator(margin, y, blocks)
    backward = fit_calibrator(margin, y, 3 - blocks)
    assert forward.intercept == pytest.approx(backward.intercept, abs=1e-9)


def test_log_odds_stay_within_what_the_rows_can_support() -> None:
    calibrator = Calibrator(slope=2.0, intercept=1.0, limit=float(np.log(100)), n_rows=99, n_positive=50)
    margin = np.array([-1000.0, -3.0, 0.0, 1000.0])
    np.testing.assert_allclose(calibrator.log_odds(margin), [-np.log(100), -np.log(100), 1, np.log(100)], atol=1e-15)
    np.testing.assert_allclose(calibrator.unclipped_log_odds(margin), [-1999, -5, 1, 2001], atol=0)
    np.testing.assert_allclose(calibrator.probability(margin)[[0, 3]], [1 / 101, 100 / 101], rtol=1e-12)


def test_limit_is_the_log_of_one_more_than_the_rows() -> None:
    margin, y = simulated(1.0, 0.0, n_leads=999)
    assert fit_calibrator(margin, y, five_blocks(999)).limit == pytest.approx(np.log(1000), abs=1e-12)


def test_sigmoid_is_that_of_scipy_and_never_overflows() -> None:
    log_odds = np.array([-1e308, -700.0, -30.0, -1.0, 0.0, 1.0, 30.0, 700.0, 1e308])
    np.testing.assert_allclose(sigmoid(log_odds), special.expit(log_odds), rtol=1e-15, atol=0)


def test_the_given_arrays_are_not_changed() -> None:
    margin, y = simulated(0.8, 0.1, n_leads=1000)
    before = margin.copy(), y.copy()
    fit_calibrator(margin, y, five_blocks(1000), period=five_blocks(1000))
    np.testing.assert_array_equal(margin, before[0])
    np.testing.assert_array_equal(y, before[1])


def test_calibrator_survives_json() -> None:
    margin, y = simulated(0.8, 0.1, n_leads=1000)
    fitted = fit_calibrator(margin, y, five_blocks(1000), period=five_blocks(1000))
    assert Calibrator.from_dict(json.loads(json.dumps(fitted.to_dict()))) == fitted
