from __future__ import annotations

import json

import numpy as np
import pytest
import shap
from sklearn.linear_model import LogisticRegression

from propensity.encoding import CategoryCode, Encoder, NumberCode
from propensity.learners import LinearModel, fit_linear
from propensity.learners import linear as linear_module
from propensity.learners.linear import CategoryTerm, NumberTerm

NAN = float("nan")
VISITS = NumberTerm(low=0.0, high=10.0, center=3.0, slope=0.5, missing=-0.25, mean=0.1)
SOURCE = CategoryTerm(values=(0.0, 1.0, -2.0), missing=0.75, mean=-0.5)
BY_HAND = LinearModel(intercept=-1.0, terms=(VISITS, SOURCE))


def number_encoder(n_features: int) -> Encoder:
    names = tuple(f"x{i}" for i in range(n_features))
    return Encoder(names=names, codes=tuple(NumberCode(low=-100.0, high=100.0, typical=0.0) for _ in names))


def some_leads(n_leads: int = 400, *, n_features: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n_leads, n_features)) * [1.0, *[5.0] * (n_features - 1)]
    log_odds = matrix[:, 0] - 0.2 * matrix[:, 1] - 1
    return matrix, (rng.random(n_leads) < 1 / (1 + np.exp(-log_odds))).astype(float)


@pytest.mark.parametrize(
    ("visits", "source", "margin"),
    [
        pytest.param(3.0, 0.0, -1.0, id="the centre and an empty level leave the intercept"),
        pytest.param(5.0, 1.0, -1.0 + 1.0 + 1.0, id="half a point a visit"),
        pytest.param(99.0, 0.0, -1.0 + 3.5, id="a number is followed to its upper end"),
        pytest.param(-99.0, 0.0, -1.0 - 1.5, id="and to its lower end"),
        pytest.param(NAN, 2.0, -1.0 - 0.25 - 2.0, id="a missing number has its own part"),
        pytest.param(3.0, NAN, -1.0 + 0.75, id="so has a missing level"),
    ],
)
def test_margin_is_the_sum_of_its_terms(visits: float, source: float, margin: float) -> None:
    assert BY_HAND.margin(np.array([[visits, source]])).tolist() == [margin]


def test_contributions_are_terms_less_their_training_means() -> None:
    _, parts, base = BY_HAND.explain(np.array([[5.0, 1.0], [NAN, NAN]]))
    np.testing.assert_allclose(parts, [[0.9, 1.5], [-0.35, 1.25]], rtol=0, atol=1e-15)
    assert base == pytest.approx(-1.4, abs=1e-15)


def test_no_lead_has_no_margin_and_no_contribution() -> None:
    assert BY_HAND.margin(np.empty((0, 2))).shape == (0,)
    assert BY_HAND.explain(np.empty((0, 2))).contributions.shape == (0, 2)


def test_model_survives_json() -> None:
    assert LinearModel.from_dict(json.loads(json.dumps(BY_HAND.to_dict()))) == BY_HAND


@pytest.mark.parametrize(("solver", "max_newton_width"), [("newton-cholesky", 300), ("lbfgs", 1)])
def test_margin_is_that_of_scikit_learn_on_the_same_design(
    solver: str, max_newton_width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear_module, "MAX_NEWTON_WIDTH", max_newton_width)
    matrix, y = some_leads()
    rng = np.random.default_rng(1)
    matrix[rng.random(matrix.shape) < 0.1] = NAN
    source = rng.integers(0, 3, len(y)).astype(float)
    source[:20] = NAN
    codes = (*number_encoder(3).codes, CategoryCode(levels=("fair", "web")))
    encoder = Encoder(names=("x0", "x1", "x2", "source"), codes=codes)
    leads = np.column_stack([matrix, source])

    gone = np.isnan(leads).astype(float)
    scaled = np.nan_to_num((matrix - np.nanmean(matrix, axis=0)) / np.nanstd(matrix, axis=0))
    dummies = [(source == code).astype(float) for code in range(3)]
    numbers = [column for i in range(3) for column in (scaled[:, i], gone[:, i])]
    design = np.column_stack([*numbers, *dummies, gone[:, 3]])
    oracle = LogisticRegression(C=0.3, solver=solver, max_iter=2000).fit(design, y)

    fitted = fit_linear(leads, y, encoder=encoder, strength=0.3)
    # The same steps on the same design: what differs is the order of sums of order 1.
    np.testing.assert_allclose(fitted.margin(leads), oracle.decision_function(design), rtol=0, atol=1e-9)


def test_contributions_are_those_of_shap_for_independent_numbers() -> None:
    matrix, y = some_leads()
    fitted = fit_linear(matrix, y, encoder=number_encoder(3), strength=0.3)
    assert all(isinstance(term, NumberTerm) for term in fitted.terms)
    slopes = np.array([term.slope for term in fitted.terms if isinstance(term, NumberTerm)])
    intercept = fitted.margin(np.zeros((1, 3)))[0]
    masker = shap.maskers.Independent(matrix, max_samples=len(matrix))
    oracle = shap.LinearExplainer((slopes, intercept), masker)
    _, parts, base = fitted.explain(matrix)
    np.testing.assert_allclose(parts, oracle.shap_values(matrix), rtol=0, atol=1e-9)
    assert base == pytest.approx(float(oracle.expected_value), abs=1e-9)


def test_contributions_average_to_zero_over_training_rows_and_sum_to_the_margin() -> None:
    matrix, y = some_leads()
    matrix[:50, 1] = NAN
    fitted = fit_linear(matrix, y, encoder=number_encoder(3), strength=0.3)
    _, parts, base = fitted.explain(matrix)
    np.testing.assert_allclose(parts.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(parts.sum(axis=1) + base, fitted.margin(matrix), rtol=0, atol=1e-12)


def test_a_lead_alone_scores_as_in_a_batch_bit_for_bit() -> None:
    matrix, y = some_leads(n_features=12)  # wide enough for sums to take another order
    fitted = fit_linear(matrix, y, encoder=number_encoder(12), strength=0.3)
    alone = np.concatenate([fitted.margin(row[None, :]) for row in matrix])
    np.testing.assert_array_equal(alone, fitted.margin(matrix))
    parts = np.concatenate([fitted.explain(row[None, :]).contributions for row in matrix])
    np.testing.assert_array_equal(parts, fitted.explain(matrix).contributions)


@pytest.mark.parametrize("column", [np.full(400, 7.0), np.full(400, NAN)], ids=["constant", "never known"])
def test_a_column_without_news_changes_no_margin(column: np.ndarray) -> None:
    matrix, y = some_leads()
    without = fit_linear(matrix, y, encoder=number_encoder(3), strength=0.3)
    beside = np.column_stack([matrix, column])
    fitted = fit_linear(beside, y, encoder=number_encoder(4), strength=0.3)
    # A column that is always missing is a second intercept, which the penalty keeps near the first.
    np.testing.assert_allclose(fitted.margin(beside), without.margin(matrix), rtol=0, atol=0.01)
    assert np.isfinite(fitted.margin(np.array([[0.0, 0.0, 0.0, -50.0]]))).all()


def test_a_level_never_seen_by_its_code_adds_nothing() -> None:
    rng = np.random.default_rng(0)
    source = rng.integers(1, 3, 400).astype(float)  # code 0, any other level, never occurs
    y = (rng.random(400) < 0.2 * source).astype(float)
    encoder = Encoder(names=("source",), codes=(CategoryCode(levels=("fair", "web")),))
    fitted = fit_linear(source[:, None], y, encoder=encoder, strength=0.3)
    assert fitted.margin(np.array([[0.0]]))[0] == pytest.approx(fitted.intercept, abs=1e-12)


def test_a_weaker_penalty_follows_the_data_further() -> None:
    matrix, y = some_leads()
    slopes = []
    for strength in (0.001, 0.3, 100.0):
        term = fit_linear(matrix, y, encoder=number_encoder(3), strength=strength).terms[0]
        assert isinstance(term, NumberTerm)
        slopes.append(term.slope)
    assert 0 < slopes[0] < slopes[1] < slopes[2]
