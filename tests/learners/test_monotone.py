from __future__ import annotations

import json

import numpy as np
import pytest

from propensity.encoding import CategoryCode, Encoder, NumberCode
from propensity.errors import BundleError
from propensity.learners import (
    KINDS,
    LINEAR,
    Blend,
    Learners,
    Monotone,
    Recipe,
    check_forest_text,
    fit_forest,
    fit_linear,
    weigh_constraints,
)

NAN = float("nan")
NUMBER = NumberCode(low=-30.0, high=30.0, typical=0.0)
ENCODER = Encoder(
    names=("swing", "visits", "days since", "age", "size", "source"),
    codes=(*[NUMBER] * 5, CategoryCode(levels=tuple("abcdefgh"))),
)
# More visits must not lower a score, nor more days raise it; `swing` goes up and down in truth and is held too.
DIRECTIONS = (1, 1, -1, 0, 0, 0)


def some_leads(n_leads: int = 1500, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Leads whose conversions break every direction somewhere: for half of the sources, or half of the range."""
    rng = np.random.default_rng(seed)
    swing, age, size = rng.normal(size=(3, n_leads))
    visits, days = rng.poisson(2.0, n_leads).astype(float), rng.exponential(10.0, n_leads)
    source = rng.integers(0, 9, n_leads).astype(float)
    log_odds = np.sin(2 * swing) + 0.4 * visits * (source % 2 - 0.4) - 0.04 * days * np.sign(age) + age * size
    y = (rng.random(n_leads) < 1 / (1 + np.exp(-log_odds))).astype(float)
    days[rng.random(n_leads) < 0.4] = NAN
    source[rng.random(n_leads) < 0.1] = NAN
    return np.column_stack([swing, visits, days, age, size, source]), y


def worst_step(margin_of: object, matrix: np.ndarray, *, n_leads: int = 300) -> float:
    """Raise each held number through its known values, all else equal; give the worst step against its direction."""
    rng, worst = np.random.default_rng(7), 0.0
    # Columns mixed at will: the law is of all leads there could be, not of those there were.
    mixed = np.column_stack([column[rng.integers(0, len(matrix), n_leads)] for column in matrix.T])
    for j, way in enumerate(DIRECTIONS):
        if way:
            known = np.unique(np.quantile(matrix[~np.isnan(matrix[:, j]), j], np.linspace(0, 1, 25)))
            ladder = []
            for value in known:
                mixed[:, j] = value
                ladder.append(margin_of(mixed))  # type: ignore[operator]
            mixed[:, j] = matrix[:n_leads, j]
            worst = min(worst, float((np.diff(np.array(ladder), axis=0) * way).min()))
    return worst


RECIPE = Recipe(
    shares={LINEAR: 0.25, "small": 0.25, "extra": 0.25, "on_linear": 0.25},
    n_trees={"small": 60, "extra": 60, "on_linear": 60},
)


def blend(
    matrix: np.ndarray, y: np.ndarray, directions: tuple[int, ...], *, seed: int = 0, encoder: Encoder = ENCODER
) -> Blend:
    learners = Learners(
        lambda: matrix, y, encoder=encoder, max_trees=180, max_depth=8, seed=seed, directions=directions
    )
    return learners.blend(RECIPE)


@pytest.mark.parametrize("seed", range(4))
def test_a_held_blend_never_goes_against_a_direction_and_a_free_one_does(seed: int) -> None:
    matrix, y = some_leads(seed=seed)
    free, held = (blend(matrix, y, directions, seed=seed) for directions in ((), DIRECTIONS))
    assert worst_step(free.margin, matrix) < -0.05
    # Rounding keeps the order of sums made in one order, so not even the last bit goes the other way.
    assert worst_step(held.margin, matrix) == 0.0


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_forest_obeys_and_a_free_one_does_not(kind: str) -> None:
    matrix, y = some_leads(seed=11)
    start = 0.3 * matrix[:, 3] if kind == "on_linear" else None
    free, held = (
        fit_forest(
            matrix, y, categorical=(5,), n_trees=80, max_depth=8, seed=0, kind=kind, start=start, directions=directions
        )
        for directions in ((), DIRECTIONS)
    )
    assert worst_step(free.margin, matrix) < -0.01
    assert worst_step(held.margin, matrix) == 0.0


def test_a_held_forest_is_the_same_bytes_again_and_no_direction_is_as_none_named() -> None:
    matrix, y = some_leads(400)

    def text(directions: tuple[int, ...]) -> str:
        return fit_forest(
            matrix, y, categorical=(5,), n_trees=10, max_depth=4, seed=0, kind="extra", directions=directions
        ).text

    assert text(DIRECTIONS) == text(DIRECTIONS)
    assert text((0,) * 6) == text(())
    assert text(DIRECTIONS) != text(())


def test_a_forests_directions_are_checked_before_they_are_parsed() -> None:
    matrix, y = some_leads(400)
    text = fit_forest(matrix, y, categorical=(5,), n_trees=3, max_depth=3, seed=0, directions=DIRECTIONS).text
    check_forest_text(text, n_features=6)
    assert "monotone_constraints=1 1 -1 0 0 0\n" in text
    for broken in ("1 1 -1 0 0", "1 1 -1 0 0 2", "1 1 -1 0 0 x"):
        with pytest.raises(BundleError, match="cannot be trusted"):
            check_forest_text(text.replace("constraints=1 1 -1 0 0 0", f"constraints={broken}"), n_features=6)


def test_a_slope_of_the_wrong_sign_is_zero_and_the_others_are_fitted_without_it() -> None:
    rng = np.random.default_rng(0)
    good = rng.normal(size=800)
    bad = good + rng.normal(scale=0.5, size=800)
    y = (rng.random(800) < 1 / (1 + np.exp(-(1.5 * good - bad)))).astype(float)
    encoder = Encoder(names=("good", "bad"), codes=(NUMBER, NUMBER))
    matrix = np.column_stack([good, bad])
    free = fit_linear(matrix, y, encoder=encoder, strength=1.0)
    held = fit_linear(matrix, y, encoder=encoder, strength=1.0, directions=(1, 1))
    alone = fit_linear(matrix[:, :1], y, encoder=Encoder(names=("good",), codes=(NUMBER,)), strength=1.0)
    assert free.terms[1].slope < 0  # type: ignore[union-attr]
    assert held.terms[1].slope == 0.0  # type: ignore[union-attr]
    assert held.terms[0].slope == pytest.approx(alone.terms[0].slope, abs=1e-6)  # type: ignore[union-attr]


def test_directions_that_the_leads_follow_anyway_change_no_bit_of_the_regression() -> None:
    matrix, y = some_leads()
    free = fit_linear(matrix, y, encoder=ENCODER, strength=0.1)
    ways = tuple(int(np.sign(getattr(term, "slope", 0.0))) for term in free.terms)
    assert fit_linear(matrix, y, encoder=ENCODER, strength=0.1, directions=ways) == free


def test_the_value_for_missing_stays_free() -> None:
    """Here no date means no contact and yet the most conversions: a lead that never came must not be put in line."""
    rng = np.random.default_rng(0)
    days = rng.exponential(10.0, 1500)
    y = (rng.random(1500) < np.clip(0.5 - 0.02 * days, 0.05, 1)).astype(float)
    days[:500], y[:500] = NAN, rng.random(500) < 0.9
    encoder = Encoder(names=("days",), codes=(NUMBER,))
    never, today, late = blend(days[:, None], y, (-1,), encoder=encoder).margin(np.array([[NAN], [0.0], [30.0]]))
    assert never > today > late


def test_a_cost_within_its_error_is_borne_and_a_greater_one_is_not() -> None:
    y, block = np.ones(4), np.array([0, 0, 1, 1])
    free = np.zeros(4)
    # Better in one block, worse in the other: no more than chance. Worse in both: sure.
    chance, sure = np.array([0.2, 0.2, -0.3, -0.3]), np.array([-0.2, -0.2, -0.3, -0.3])
    found = {
        name: weigh_constraints(held, free, y, directions={"Visits": 1}, block=block)
        for name, held in (("chance", chance), ("sure", sure))
    }
    assert (found["chance"].is_held, found["sure"].is_held) == (True, False)
    # -log(sigmoid(-0.2)) = 0.798139, of -0.3 0.854355, of 0 0.693147.
    assert found["sure"].cost == pytest.approx((0.798139 + 0.854355) / 2 - 0.693147, abs=2e-6)
    assert found["sure"].error == pytest.approx((0.854355 - 0.798139) / 2, abs=2e-6)


def test_what_became_of_directions_survives_json_in_the_order_of_the_features() -> None:
    found = Monotone(directions={"b": 1, "a": -1}, cost=0.001, error=0.002, is_held=True)
    stored = json.loads(json.dumps(found.to_dict(), sort_keys=True))
    again = Monotone.from_dict(stored, names=("c", "b", "a"))
    assert again == found
    assert [*again.directions] == ["b", "a"]
    for broken in ({"directions": {"d": 1}}, {"directions": {"a": 2}}, {"cost": NAN}, {"is_held": 1}):
        with pytest.raises(ValueError, match="direction"):
            Monotone.from_dict({**stored, **broken}, names=("c", "b", "a"))
