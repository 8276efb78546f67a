from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from propensity.encoding import CategoryCode, Encoder, NumberCode
from propensity.learners import LinearModel, Stability, calibrator_moves, deal, fit_linear, fit_stability

ENCODER = Encoder(
    names=("Industry", "Visits"),
    codes=(CategoryCode(levels=("metals", "retail")), NumberCode(low=-3.0, high=3.0, typical=0.0)),
)
COMMON, RARE = np.array([[2.0, 0.0]]), np.array([[3.0, 0.0]])


def leads(n_leads: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Invent leads of two industries, one of them rare."""
    rng = np.random.default_rng(seed)
    matrix = np.column_stack([np.where(rng.random(n_leads) < 0.05, 3.0, 2.0), rng.normal(0, 1, n_leads)])
    matrix[rng.random(n_leads) < 0.1, 1] = np.nan
    y = rng.random(n_leads) < 1 / (1 + np.exp(1 - np.nan_to_num(matrix[:, 1])))
    return matrix, y.astype(float)


def fitted(n_leads: int, *, copies: int = 1, is_known: bool = True) -> tuple[LinearModel, Stability]:
    matrix, y = (np.repeat(part, copies, axis=0) for part in leads(n_leads))
    groups = np.repeat(np.arange(n_leads), copies) if is_known else np.arange(len(y))
    linear = fit_linear(matrix, y, encoder=ENCODER, strength=1.0)
    found = fit_stability(
        matrix,
        y,
        linear=linear,
        strength=1.0,
        groups=groups,
        weight=None,
        scale=1.0,
        calibration=(0.0, 0.0, 0.0),
    )
    return linear, found


def deviation(n_leads: int, row: np.ndarray) -> float:
    linear, found = fitted(n_leads)
    return float(np.sqrt(found.margin_variance(row, linear))[0])


def test_a_rare_segment_moves_more() -> None:
    assert deviation(2000, RARE) > 1.5 * deviation(2000, COMMON)


def test_four_times_the_leads_halve_the_range() -> None:
    # The ridge holds less of it, and the leads are others: a tenth is allowed for.
    assert deviation(1000, COMMON) / deviation(4000, COMMON) == pytest.approx(2, rel=0.1)


def test_copies_of_a_lead_teach_nothing_new() -> None:
    matrix, _ = leads(50, seed=1)
    variances = []
    for is_known in (True, False):
        linear, found = fitted(500, copies=4, is_known=is_known)
        variances.append(found.margin_variance(matrix, linear).mean())
    assert variances[0] / variances[1] == pytest.approx(4, rel=0.05)


def test_range_is_as_wide_as_models_of_other_leads_differ() -> None:
    scored, _ = leads(200, seed=999)
    linear, found = fitted(1500)
    again = [fit_linear(*leads(1500, seed=seed), encoder=ENCODER, strength=1.0).margin(scored) for seed in range(1, 41)]
    ratio = np.sqrt(found.margin_variance(scored, linear)).mean() / np.std(again, axis=0, ddof=1).mean()
    # Forty trainings tell a standard deviation to about a ninth.
    assert ratio == pytest.approx(1, abs=0.2)


def test_a_lead_alone_has_the_variance_it_has_in_a_batch() -> None:
    linear, found = fitted(500)
    matrix, _ = leads(37, seed=3)
    alone = np.concatenate([found.margin_variance(row[None], linear) for row in matrix])
    np.testing.assert_array_equal(found.margin_variance(matrix, linear), alone)


@pytest.mark.parametrize(("n_leads", "n_columns"), [(400, 30), (40, 60)], ids=["more leads", "more columns"])
def test_variances_of_coefficients_are_those_of_the_sandwich(n_leads: int, n_columns: int) -> None:
    rng = np.random.default_rng(4)
    matrix, y = rng.normal(size=(n_leads, n_columns)), np.tile([0.0, 1.0], n_leads // 2)
    code = NumberCode(low=-9.0, high=9.0, typical=0.0)
    encoder = Encoder(names=tuple(f"n{i}" for i in range(n_columns)), codes=(code,) * n_columns)
    linear = fit_linear(matrix, y, encoder=encoder, strength=0.5)
    found = fit_stability(
        matrix,
        y,
        linear=linear,
        strength=0.5,
        groups=np.arange(n_leads) // 2,
        weight=None,
        scale=1.0,
        calibration=(0.0, 0.0, 0.0),
    )
    # Written out: numbers as the penalty saw them, no column for missing, for none is.
    design = np.column_stack([np.ones(n_leads), (matrix - matrix.mean(axis=0)) / matrix.std(axis=0)])
    p = 1 / (1 + np.exp(-linear.margin(matrix)))
    hessian = design.T @ np.diag(p * (1 - p)) @ design + np.diag([0.0, *[2.0] * n_columns])
    scores = (design * (y - p)[:, None]).reshape(-1, 2, n_columns + 1).sum(axis=1)
    n_groups, inverse = len(scores), np.linalg.inv(hessian)
    covariance = n_groups / (n_groups - 1) * inverse @ scores.T @ scores @ inverse
    expected = np.diag(covariance) / np.array([1.0, *matrix.var(axis=0)])
    told = (np.array(found.directions) ** 2).sum(axis=1) + np.array(found.rest)
    np.testing.assert_allclose(told[[0, *range(1, 2 * n_columns, 2)]], expected, rtol=1e-3)
    assert not told[2::2].any()
    largest = np.sort(np.linalg.eigvalsh(covariance))[::-1][: np.array(found.directions).shape[1]]
    scale = np.array([1.0, *np.repeat(matrix.std(axis=0), 2)])
    lengths = np.sort(((np.array(found.directions) * scale[:, None]) ** 2).sum(axis=0))[::-1]
    np.testing.assert_allclose(lengths[:5], largest[:5], rtol=1e-3)


def test_the_calibrator_moves_the_more_the_further_a_margin_is_out() -> None:
    linear, found = fitted(500)
    moving = replace(found, scale=0.0, calibration=(0.01, 0.0, 0.04))
    spread = moving.spread(np.repeat(COMMON, 2, axis=0), np.array([0.0, 3.0]), linear=linear, slope=1.0)
    np.testing.assert_allclose(spread, np.sqrt([0.04, 0.04 + 0.09]))


def test_jackknife_of_a_mean_is_its_textbook_variance() -> None:
    values = np.random.default_rng(0).normal(0, 1, 12)
    moves = calibrator_moves(lambda weight: (1.0, float(np.average(values, weights=weight))), np.arange(12), seed=0)
    # Each part is one value: the jackknife of a mean is s^2 / n (Efron, The Jackknife, 1982, section 3).
    np.testing.assert_allclose(moves, (0.0, 0.0, values.var(ddof=1) / 12), atol=1e-12)


def test_a_group_is_dealt_whole() -> None:
    groups = np.repeat(np.arange(30), 3)
    part = deal(groups, 3, seed=0)
    assert all(len({*part[groups == group].tolist()}) == 1 for group in range(30))
    assert np.bincount(part).tolist() == [30, 30, 30]


def test_written_and_read_it_is_the_same_and_fits_its_own_model_alone() -> None:
    linear, found = fitted(300)
    assert Stability.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert found.fits(linear)
    assert not found.fits(replace(linear, terms=linear.terms[:1]))
    assert not replace(found, scale=-1.0).fits(linear)
