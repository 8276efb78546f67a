from __future__ import annotations

import numpy as np
import pytest

from propensity.encoding import CategoryCode, Encoder, NumberCode
from propensity.learners import Blend, LinearModel, Recipe, candidate_margins, choose_recipe, fit_blend
from propensity.learners.linear import NumberTerm

NUMBER = NumberCode(low=-10.0, high=20.0, typical=3.0)
ENCODER = Encoder(names=("visits", "source", "age"), codes=(NUMBER, CategoryCode(levels=("fair", "web")), NUMBER))


def crossed_leads(n_leads: int = 800, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Visits raise the odds from one source and lower them from the other: no sum of two terms can say that."""
    rng = np.random.default_rng(seed)
    visits, source = rng.poisson(3, n_leads).astype(float), rng.integers(1, 3, n_leads).astype(float)
    log_odds = np.where(source == 1, visits - 3, 3 - visits)
    age = rng.normal(size=n_leads)  # means nothing; each tree sees two columns of three
    return np.column_stack([visits, source, age]), (rng.random(n_leads) < 1 / (1 + np.exp(-log_odds))).astype(float)


@pytest.mark.parametrize(
    ("share", "has_forest", "has_linear"), [(0.0, False, True), (0.3, True, True), (1.0, True, False)]
)
def test_a_learner_without_a_share_is_not_trained(share: float, has_forest: bool, has_linear: bool) -> None:
    matrix, y = crossed_leads()
    recipe = Recipe(n_trees=10, forest_share=share)
    blend = fit_blend(matrix, y, encoder=ENCODER, recipe=recipe, max_depth=4, seed=0)
    assert (blend.forest is not None, blend.linear is not None) == (has_forest, has_linear)


def test_margin_is_the_weighted_sum_of_both_learners_and_so_are_its_parts() -> None:
    matrix, y = crossed_leads()
    blend = fit_blend(matrix, y, encoder=ENCODER, recipe=Recipe(n_trees=10, forest_share=0.3), max_depth=4, seed=0)
    assert blend.forest is not None
    assert blend.linear is not None
    expected = 0.3 * blend.forest.margin(matrix) + 0.7 * blend.linear.margin(matrix)
    np.testing.assert_allclose(blend.margin(matrix), expected, rtol=0, atol=1e-15)
    parts, base = blend.contributions(matrix)
    np.testing.assert_allclose(parts.sum(axis=1) + base, blend.margin(matrix), rtol=0, atol=1e-12)


def test_a_lead_alone_scores_as_in_a_batch_bit_for_bit() -> None:
    matrix, y = crossed_leads()
    blend = fit_blend(matrix, y, encoder=ENCODER, recipe=Recipe(n_trees=10, forest_share=0.3), max_depth=4, seed=0)
    batch, parts = blend.margin(matrix), blend.contributions(matrix)[0]
    for i in range(50):
        np.testing.assert_array_equal(blend.margin(matrix[i : i + 1]), batch[i : i + 1])
        np.testing.assert_array_equal(blend.contributions(matrix[i : i + 1])[0], parts[i : i + 1])


def test_a_forest_share_of_zero_is_the_linear_model_to_the_bit() -> None:
    term = NumberTerm(low=0.0, high=10.0, center=0.0, slope=0.1, missing=0.0, mean=0.3)
    linear = LinearModel(intercept=-1.0, terms=(term,))
    blend = Blend(recipe=Recipe(n_trees=100, forest_share=0.0), forest=None, linear=linear)
    visits = np.arange(10.0)[:, None]
    np.testing.assert_array_equal(blend.margin(visits), linear.margin(visits))
    assert blend.contributions(visits)[1] == linear.contributions(visits)[1]


@pytest.mark.parametrize(
    ("max_trees", "counts"), [(3000, {100, 200, 300}), (150, {100, 150}), (5, {5})], ids=["all", "two", "one"]
)
def test_no_candidate_has_more_trees_than_allowed(max_trees: int, counts: set[int]) -> None:
    matrix, y = crossed_leads(200)
    margins = candidate_margins(matrix, y, matrix[:7], encoder=ENCODER, max_trees=max_trees, max_depth=3, seed=0)
    assert {*margins} == counts | {"linear"}
    assert {margin.shape for margin in margins.values()} == {(7,)}


@pytest.mark.parametrize(
    ("n_leads", "n_converted", "margin"),
    [(9, 0, np.log(0.5 / 9.5)), (9, 9, np.log(9.5 / 0.5)), (0, 0, 0.0)],
    ids=["nobody converted", "all converted", "no lead"],
)
def test_a_past_of_one_outcome_gives_its_log_odds_with_half_a_lead_added_to_each_side(
    n_leads: int, n_converted: int, margin: float
) -> None:
    past, y = np.ones((n_leads, 3)), np.arange(n_leads) < n_converted
    margins = candidate_margins(
        past, y.astype(float), np.ones((3, 3)), encoder=ENCODER, max_trees=10, max_depth=3, seed=0
    )
    assert {*margins} == {"linear", 10}
    for values in margins.values():
        np.testing.assert_allclose(values, np.full(3, margin), rtol=0, atol=1e-15)


def test_where_features_cross_trees_take_the_larger_share() -> None:
    matrix, y = crossed_leads(1500)
    fresh, y_fresh = crossed_leads(1500, seed=1)
    margins = candidate_margins(matrix, y, fresh, encoder=ENCODER, max_trees=3000, max_depth=8, seed=0)
    assert choose_recipe(margins, y_fresh, block=np.arange(1500) % 5).forest_share > 0.5


Y = np.tile([1.0, 1.0, 0.0, 0.0], 100)
TRUE_SIDE = 2 * Y - 1
BLOCK = np.arange(400) // 100


def test_trees_that_say_what_the_line_says_are_left_out() -> None:
    margins: dict[str | int, np.ndarray] = {100: TRUE_SIDE, 200: TRUE_SIDE, "linear": TRUE_SIDE}
    assert choose_recipe(margins, Y, block=BLOCK) == Recipe(n_trees=100, forest_share=0.0)


def test_trees_that_are_better_in_every_block_ship_alone() -> None:
    margins: dict[str | int, np.ndarray] = {100: TRUE_SIDE, 200: 2 * TRUE_SIDE, "linear": 0 * TRUE_SIDE}
    # 2 in the right direction costs log(1 + e^-2) = 0.13 nats, 1 costs 0.31, 0 costs 0.69.
    assert choose_recipe(margins, Y, block=BLOCK) == Recipe(n_trees=200, forest_share=1.0)


def test_a_gain_in_one_block_and_a_loss_in_the_next_is_no_gain() -> None:
    # Over rows the gain is sure: one block in which trees know everything, three in which they know a little less.
    forest = np.where(BLOCK == 0, 4 * TRUE_SIDE, 0.9 * TRUE_SIDE)
    margins: dict[str | int, np.ndarray] = {100: forest, "linear": TRUE_SIDE}
    assert choose_recipe(margins, Y, block=BLOCK).forest_share == 0.0
    assert choose_recipe(margins, Y, block=np.zeros(400, dtype=int)).forest_share > 0


def test_a_gain_within_the_noise_of_the_rows_is_no_gain() -> None:
    # Four leads in a hundred gain much, the others lose a little: the mean is above zero, not above its noise.
    rng = np.random.default_rng(0)
    forest = TRUE_SIDE + rng.normal(scale=1.2, size=400)
    margins: dict[str | int, np.ndarray] = {100: forest, "linear": TRUE_SIDE}
    assert choose_recipe(margins, Y, block=np.zeros(400, dtype=int)).forest_share == 0.0
