from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from propensity.calibration import Calibrator
from propensity.explanations import (
    Explanation,
    Reference,
    explain,
    family_points,
    fit_reference,
    grouped,
    strongest,
)
from propensity.schema import Column, Schema

SCHEMA = Schema(
    columns=(
        Column(name="Industry", family="fit", kind="category"),
        Column(name="Visits", family="behaviour", kind="number"),
        Column(name="Clicks", family="behaviour", kind="number"),
    ),
    id="Lead",
    missing=("",),
)
REFERENCE = Reference(margin_parts=(0.1, -0.3, 0.0), typical=("retail", "2", "0"))


def calibrator(*, slope: float = 0.8, intercept: float = -1.0, limit: float = 7.0) -> Calibrator:
    return Calibrator(slope=slope, intercept=intercept, limit=limit, n_rows=1000, n_positive=200)


def explained(
    contributions: np.ndarray, *, base: float = 0.2, calibrator: Calibrator, reference: Reference = REFERENCE
) -> tuple[Explanation, np.ndarray]:
    """Explain the probability as scoring shows it, to nine decimals."""
    margin = base + contributions.sum(axis=1)
    probability = np.round(calibrator.probability(margin), 9)
    return explain(contributions, base, margin, probability, calibrator=calibrator, reference=reference), probability


def some_parts(n_leads: int = 500, *, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(0).normal(scale=scale, size=(n_leads, 3))


@pytest.mark.parametrize(
    ("scale", "limit", "slope"),
    [
        pytest.param(1.0, 7.0, 0.8, id="nobody at the limit"),
        pytest.param(4.0, 3.0, 0.8, id="many at the limit"),
        pytest.param(1.0, 7.0, -0.5, id="a slope that turns the ranking round"),
        pytest.param(1e-4, 7.0, 0.8, id="everyone near the reference"),
        pytest.param(1e-9, 7.0, 0.8, id="everyone at the reference but for rounding"),
    ],
)
def test_parts_sum_to_calibrated_log_odds_and_points_to_the_shown_difference(
    scale: float, limit: float, slope: float
) -> None:
    parts, fitted = some_parts(scale=scale) + REFERENCE.margin_parts, calibrator(limit=limit, slope=slope)
    explanation, probability = explained(parts, calibrator=fitted)
    log_odds = fitted.log_odds(0.2 + parts.sum(axis=1))
    total = explanation.reference_log_odds + explanation.log_odds_parts.sum(axis=1)
    np.testing.assert_allclose(total, log_odds, rtol=0, atol=1e-9)
    moved = 100 * (probability - explanation.reference_probability)
    np.testing.assert_allclose(explanation.points.sum(axis=1), moved, rtol=0, atol=1e-9)


def test_the_rows_of_the_last_test_do_reach_the_limit() -> None:
    fitted = calibrator(limit=3.0)
    log_odds = fitted.unclipped_log_odds(0.2 + some_parts(scale=4.0).sum(axis=1))
    assert 0.2 < (np.abs(log_odds) > 3).mean() < 0.9


def test_a_lead_beyond_the_limit_has_all_parts_shrunk_alike() -> None:
    # Slope 1, no intercept, reference 0: parts 6 and 2 are 8 log-odds, the limit leaves 4, so each is halved.
    nothing = Reference(margin_parts=(0.0, 0.0, 0.0), typical=("", "", ""))
    fitted = calibrator(slope=1.0, intercept=0.0, limit=4.0)
    explanation, _ = explained(np.array([[6.0, 2.0, 0.0]]), base=0.0, calibrator=fitted, reference=nothing)
    np.testing.assert_allclose(explanation.log_odds_parts, [[3.0, 1.0, 0.0]], rtol=0, atol=1e-12)
    # From one half to 1 / (1 + e^-4) = 0.98201379: 48.201379 points, three quarters of them from the first.
    np.testing.assert_allclose(explanation.points, [[36.1510343, 12.0503448, 0.0]], rtol=0, atol=1e-6)


def test_lead_and_reference_beyond_one_limit_have_nothing_to_explain() -> None:
    far = Reference(margin_parts=(9.0, 0.0, 0.0), typical=("", "", ""))
    fitted = calibrator(slope=1.0, intercept=0.0, limit=4.0)
    explanation, probability = explained(np.array([[20.0, 0.0, 0.0]]), base=0.0, calibrator=fitted, reference=far)
    assert explanation.log_odds_parts.tolist() == [[0.0, 0.0, 0.0]]
    assert explanation.points.tolist() == [[0.0, 0.0, 0.0]]
    assert probability[0] == pytest.approx(explanation.reference_probability, abs=5e-10)  # rounded as it is shown


def test_the_reference_lead_itself_has_no_reasons() -> None:
    explanation, _ = explained(np.array([REFERENCE.margin_parts]), calibrator=calibrator())
    np.testing.assert_allclose(explanation.points, 0, atol=1e-7)  # what rounding to nine decimals can leave
    assert explanation.reference_log_odds == pytest.approx(0.8 * (0.2 - 0.2) - 1.0, abs=1e-12)


def test_rounding_never_swells_parts_that_cancel() -> None:
    # Three log-odds for and three against, 2e-12 apart: the shown probability moves by its rounding alone.
    nothing = Reference(margin_parts=(0.0, 0.0, 0.0), typical=("", "", ""))
    explanation, _ = explained(
        np.array([[3.0, -3.0 + 2e-12, 0.0]]), base=0.3, calibrator=calibrator(slope=1.0), reference=nothing
    )
    # The slope of the logistic function is at most a quarter: 3 log-odds are at most 75 points.
    assert 0 < explanation.points[0, 0] <= 75
    assert -75 <= explanation.points[0, 1] < 0


def test_points_of_a_family_are_the_sum_of_its_columns() -> None:
    explanation, _ = explained(some_parts(), calibrator=calibrator())
    families = family_points(explanation, SCHEMA)
    np.testing.assert_array_equal(families["fit"], explanation.points[:, 0])
    np.testing.assert_array_equal(families["behaviour"], explanation.points[:, 1] + explanation.points[:, 2])


def test_points_of_a_family_are_the_same_bits_alone_and_in_a_batch() -> None:
    # With eight columns and more, numpy adds in another order along another axis.
    columns = tuple(Column(name=f"c{i}", family="fit", kind="number") for i in range(20))
    wide = Schema(columns=(*columns, *SCHEMA.columns), id=None, missing=())
    points = np.random.default_rng(0).normal(size=(200, 23))
    batch = family_points(_explanation(points), wide)
    for i in range(200):
        alone = family_points(_explanation(points[i : i + 1]), wide)
        assert alone["fit"][0] == batch["fit"][i]
        assert alone["behaviour"][0] == batch["behaviour"][i]


def _explanation(points: np.ndarray, *, parts: np.ndarray | None = None) -> Explanation:
    return Explanation(
        log_odds_parts=points if parts is None else parts,
        points=points,
        reference_log_odds=0.0,
        reference_probability=0.5,
    )


def leads() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Industry": ["retail", "retail", "metals", None, "metals", "arms"],
            "Visits": [1.0, 2.0, 3.0, 4.0, 5.0, 100.0],
            "Clicks": [np.nan, np.nan, np.nan, np.nan, 5.0, 6.0],
        }
    )


def test_the_typical_lead_is_the_middle_of_the_nurture_leads() -> None:
    nurture = np.tile([True, True, True, True, True, False], 10)
    contributions = np.tile(np.arange(18.0).reshape(6, 3), (10, 1))
    reference = fit_reference(contributions, pd.concat([leads()] * 10, ignore_index=True), SCHEMA, is_nurture=nurture)
    # Retail and metals tie, the alphabet decides; clicks are missing in four of five.
    assert reference.typical == ("metals", "3", "not given")
    assert reference.margin_parts == (6.0, 7.0, 8.0)


def test_half_missing_is_still_given() -> None:
    half = pd.DataFrame({"Industry": ["a", None] * 10, "Visits": [1.0, np.nan] * 10, "Clicks": [2.0, np.nan] * 10})
    reference = fit_reference(np.zeros((20, 3)), half, SCHEMA, is_nurture=np.ones(20, dtype=bool))
    assert reference.typical == ("a", "1", "2")


def test_where_no_lead_is_nurture_all_of_them_are_typical() -> None:
    many = pd.concat([leads()] * 10, ignore_index=True)
    reference = fit_reference(np.ones((60, 3)), many, SCHEMA, is_nurture=np.zeros(60, dtype=bool))
    assert reference.typical == ("metals", "3.5", "not given")


def test_a_level_of_a_few_leads_is_not_stored_as_typical() -> None:
    reference = fit_reference(np.ones((6, 3)), leads(), SCHEMA, is_nurture=np.ones(6, dtype=bool))
    assert reference.typical[0] == "various"


def test_a_long_level_is_cut_in_the_reference() -> None:
    long = pd.DataFrame({"Industry": ["x" * 90] * 10, "Visits": [1.23456] * 10, "Clicks": [0.0] * 10})
    reference = fit_reference(np.zeros((10, 3)), long, SCHEMA, is_nurture=np.ones(10, dtype=bool))
    assert reference.typical == ("x" * 40, "1.235", "0")


def test_reference_survives_json() -> None:
    assert Reference.from_dict(json.loads(json.dumps(REFERENCE.to_dict()))) == REFERENCE


def test_all_parts_of_a_lead_are_listed_by_size_whatever_their_sign() -> None:
    explanation = _explanation(
        np.array([[0, 0, 0], [10.0, -30.0, 20.0]]), parts=np.array([[0, 0, 0], [0.1, -0.3, 0.2]])
    )
    assert strongest(explanation, ["a", "b", "c"], 1) == [("b", -0.3, -30.0), ("c", 0.2, 20.0), ("a", 0.1, 10.0)]


@pytest.mark.parametrize("slope", [0.8, -0.5])
def test_learners_that_put_a_part_on_its_side_are_counted_by_their_shares(slope: float) -> None:
    reference = replace(REFERENCE, members={"linear": (0.0, -0.5, 0.0), "small": (0.2, -0.1, 0.0)})
    linear, small = np.array([[1.0, -1.0, 0.5]]), np.array([[0.1, 0.4, 0.5]])
    contributions = 0.7 * linear + 0.3 * small
    margin = 0.2 + contributions.sum(axis=1)
    own = calibrator(slope=slope)
    found = explain(
        contributions,
        0.2,
        margin,
        np.round(own.probability(margin), 9),
        calibrator=own,
        reference=replace(reference, margin_parts=(0.06, -0.38, 0.0)),
        members={"linear": (0.7, linear), "small": (0.3, small)},
    )
    # Against their references: linear 1, -0.5 and 0.5, small -0.1, 0.5 and 0.5, both together 0.67, -0.2 and 0.5.
    np.testing.assert_allclose(found.agreement(), [[0.7, 0.7, 1.0]])
    np.testing.assert_allclose(grouped(found, ((0, 1), (2,))).agreement(), [[1.0, 1.0]])


def test_learners_that_the_reference_does_not_know_are_not_asked() -> None:
    parts = some_parts(3)
    found, _ = explained(parts, calibrator=calibrator())
    assert found.members == ()
    assert (found.agreement() == 1).all()


def test_a_sum_of_columns_does_not_hang_on_the_batch() -> None:
    parts = some_parts(200, scale=3.0)
    whole = Explanation(log_odds_parts=parts, points=parts, reference_log_odds=0.0, reference_probability=0.5)
    together = grouped(whole, ((2, 0), (), (1,))).points
    np.testing.assert_allclose(together, np.column_stack([parts[:, 2] + parts[:, 0], np.zeros(200), parts[:, 1]]))
    for i in range(200):
        one = replace(whole, log_odds_parts=parts[[i]], points=parts[[i]])
        np.testing.assert_array_equal(grouped(one, ((2, 0), (), (1,))).points, together[[i]])
