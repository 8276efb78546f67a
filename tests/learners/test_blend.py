from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from propensity.encoding import CategoryCode, Encoder, NumberCode
from propensity.learners import (
    LINEAR,
    ON_LINEAR,
    Blend,
    Candidate,
    Learners,
    LinearModel,
    Recipe,
    choose_recipe,
    kinds_for,
)
from propensity.learners.blend import margin_loss
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


def learners_of(
    matrix: np.ndarray,
    y: np.ndarray,
    *,
    encoder: Encoder = ENCODER,
    max_trees: int = 3000,
    max_depth: int = 8,
) -> Learners:
    return Learners(lambda: matrix, y, encoder=encoder, max_trees=max_trees, max_depth=max_depth, seed=0)


def of_trees(share: float) -> Recipe:
    """Two kinds of forest share so much; the linear model has the rest."""
    return Recipe(shares={"small": share / 2, "extra": share / 2, LINEAR: 1 - share}, n_trees={"small": 10, "extra": 7})


@pytest.mark.parametrize(
    ("share", "has_forest", "has_linear"), [(0.0, False, True), (0.3, True, True), (1.0, True, False)]
)
def test_a_learner_without_a_share_is_not_trained(share: float, has_forest: bool, has_linear: bool) -> None:
    matrix, y = crossed_leads()
    recipe = of_trees(share)
    blend = learners_of(matrix, y, max_depth=4).blend(recipe)
    assert ({*blend.forests}, blend.linear is not None) == ({"small", "extra"} if has_forest else set(), has_linear)


def test_margin_is_the_weighted_sum_of_both_learners_and_so_are_its_parts() -> None:
    matrix, y = crossed_leads()
    blend = learners_of(matrix, y, max_depth=4).blend(of_trees(0.3))
    assert blend.linear is not None
    trees = blend.forests["small"].margin(matrix) + blend.forests["extra"].margin(matrix)
    expected = 0.15 * trees + 0.7 * blend.linear.margin(matrix)
    np.testing.assert_allclose(blend.margin(matrix), expected, rtol=0, atol=1e-15)
    _, parts, base = blend.explain(matrix)
    np.testing.assert_allclose(parts.sum(axis=1) + base, blend.margin(matrix), rtol=0, atol=1e-6)


def test_a_forest_on_the_linear_model_corrects_it_and_the_parts_still_sum_to_the_margin() -> None:
    matrix, y = crossed_leads()
    on_top = Recipe(shares={"small": 0.2, ON_LINEAR: 0.5, LINEAR: 0.3}, n_trees={"small": 10, ON_LINEAR: 20})
    blend = learners_of(matrix, y, max_depth=4).blend(on_top)
    margins = learners_of(matrix, y, max_trees=30, max_depth=4).margins(matrix)
    assert blend.linear is not None
    both = blend.linear.margin(matrix) + blend.forests[ON_LINEAR].margin(matrix)
    expected = 0.2 * blend.forests["small"].margin(matrix) + 0.5 * both + 0.3 * blend.linear.margin(matrix)
    np.testing.assert_allclose(blend.margin(matrix), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        blend.explain(matrix).contributions.sum(axis=1) + blend.explain(matrix).base, expected, rtol=0, atol=1e-6
    )
    # What was raced is what ships: a candidate's margin holds the linear model it stands on.
    alone = replace(on_top, shares={ON_LINEAR: 1.0}, n_trees={ON_LINEAR: 10})
    shipped = learners_of(matrix, y, max_depth=4).blend(alone)
    np.testing.assert_allclose(shipped.margin(matrix), margins[ON_LINEAR, 10], rtol=0, atol=1e-12)
    np.testing.assert_allclose(alone.margin(margins), margins[ON_LINEAR, 10], rtol=0, atol=0)


def test_what_each_learner_says_adds_up_by_shares_to_what_the_blend_says() -> None:
    matrix, y = crossed_leads()
    recipe = Recipe(shares={"small": 0.2, ON_LINEAR: 0.5, LINEAR: 0.3}, n_trees={"small": 10, ON_LINEAR: 20})
    parts, members = learners_of(matrix, y, max_depth=4).blend(recipe).explain_by_learner(matrix)
    assert {name: share for name, (share, _) in members.items()} == dict(recipe.named())
    together = sum(share * own for share, own in members.values())
    np.testing.assert_allclose(together, parts.contributions, rtol=0, atol=1e-12)
    alone = learners_of(matrix, y, max_depth=4).blend(Recipe(shares={LINEAR: 1.0}, n_trees={}))
    assert alone.explain_by_learner(matrix)[1] == {}


def test_a_forest_on_the_linear_model_finds_what_the_line_leaves_and_nothing_where_the_line_says_all() -> None:
    matrix, y = crossed_leads(3000)
    steady = np.random.default_rng(1).random(3000) < 1 / (1 + np.exp(3 - matrix[:, 0]))
    gains = []
    for outcome in (y, steady.astype(float)):
        margins = learners_of(matrix[:1500], outcome[:1500]).margins(matrix[1500:], kinds=(ON_LINEAR,))
        line, on_top = (margin_loss(margins[name], outcome[1500:]) for name in ((LINEAR, 0), (ON_LINEAR, 100)))
        gains.append(float((line - on_top).mean()))
    assert gains[0] > 0.05
    assert gains[1] < 0.01


def test_a_lead_alone_scores_as_in_a_batch_bit_for_bit() -> None:
    matrix, y = crossed_leads()
    blend = learners_of(matrix, y, max_depth=4).blend(of_trees(0.3))
    batch, parts = blend.margin(matrix), blend.explain(matrix).contributions
    for i in range(50):
        np.testing.assert_array_equal(blend.margin(matrix[i : i + 1]), batch[i : i + 1])
        np.testing.assert_array_equal(blend.explain(matrix[i : i + 1]).contributions, parts[i : i + 1])


def test_a_forest_share_of_zero_is_the_linear_model_to_the_bit() -> None:
    term = NumberTerm(low=0.0, high=10.0, center=0.0, slope=0.1, missing=0.0, mean=0.3)
    linear = LinearModel(intercept=-1.0, terms=(term,))
    blend = Blend(recipe=Recipe(shares={LINEAR: 1.0}, n_trees={}), forests={}, linear=linear)
    visits = np.arange(10.0)[:, None]
    np.testing.assert_array_equal(blend.margin(visits), linear.margin(visits))
    assert blend.explain(visits).base == linear.explain(visits).base


@pytest.mark.parametrize(("max_trees", "counts"), [(3000, {100, 200, 300}), (450, {100, 150}), (15, {5}), (1, {1})])
def test_the_forests_of_a_blend_have_no_more_trees_together_than_allowed(max_trees: int, counts: set[int]) -> None:
    matrix, y = crossed_leads(200)
    margins = learners_of(matrix, y, max_trees=max_trees).margins(matrix[:7])
    assert {*margins} == {(LINEAR, 0), *((kind, n) for kind in kinds_for(200) for n in counts)}
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
    margins = learners_of(past, y.astype(float), max_trees=10).margins(np.ones((3, 3)))
    assert {*margins} == {(LINEAR, 0), *((kind, 3) for kind in kinds_for(200))}
    for values in margins.values():
        np.testing.assert_allclose(values, np.full(3, margin), rtol=0, atol=1e-15)


def test_where_features_cross_trees_take_the_larger_share() -> None:
    matrix, y = crossed_leads(1500)
    fresh, y_fresh = crossed_leads(1500, seed=1)
    margins = learners_of(matrix, y).margins(fresh)
    assert choose_recipe(margins, y_fresh, block=np.arange(1500) % 5).forest_share > 0.5


Y = np.tile([1.0, 1.0, 0.0, 0.0], 100)
TRUE_SIDE = 2 * Y - 1
BLOCK = np.arange(400) // 100


def candidates(**margins: np.ndarray) -> dict[Candidate, np.ndarray]:
    """Name margins as candidates: ``line``, or a kind of forest and its number of trees."""
    names = {name: (LINEAR, 0) if name == "line" else (name[:5], int(name[5:])) for name in margins}
    return {names[name]: margin for name, margin in margins.items()}


def test_trees_that_say_what_the_line_says_are_left_out() -> None:
    margins = candidates(small100=TRUE_SIDE, small200=TRUE_SIDE, line=TRUE_SIDE)
    assert choose_recipe(margins, Y, block=BLOCK) == Recipe(shares={LINEAR: 1.0}, n_trees={})


def test_trees_that_are_better_in_every_block_earn_every_vote() -> None:
    # 2 in the right direction costs log(1 + e^-2) = 0.13 nats, 1 costs 0.31, 0 costs 0.69. Half the votes were even.
    margins = candidates(small100=TRUE_SIDE, small200=2 * TRUE_SIDE, line=0 * TRUE_SIDE)
    recipe = choose_recipe(margins, Y, block=BLOCK)
    assert recipe.n_trees == {"small": 200}
    assert recipe.shares == {"small": pytest.approx(22.5 / 30), LINEAR: pytest.approx(7.5 / 30)}


def test_forests_that_err_on_different_leads_share_their_votes() -> None:
    one = np.where(np.arange(400) % 8 < 4, 2 * TRUE_SIDE, 0)
    margins = candidates(small100=one, extra100=2 * TRUE_SIDE - one, line=0 * TRUE_SIDE)
    shares = choose_recipe(margins, Y, block=BLOCK).shares
    assert shares["small"] == pytest.approx(shares["extra"], abs=1 / 30)
    assert sum(shares.values()) == pytest.approx(1)


def test_a_gain_in_one_block_and_a_loss_in_the_next_is_no_gain() -> None:
    # Over rows the gain is sure: one block in which trees know everything, three in which they know less.
    forest = np.where(BLOCK == 0, 9 * TRUE_SIDE, 0.9 * TRUE_SIDE)
    margins = candidates(small100=forest, line=TRUE_SIDE)
    assert choose_recipe(margins, Y, block=BLOCK).forest_share == 0.0
    assert choose_recipe(margins, Y, block=np.zeros(400, dtype=int)).forest_share > 0


def test_a_gain_within_the_noise_of_the_rows_is_no_gain() -> None:
    rng = np.random.default_rng(0)
    forest = TRUE_SIDE + rng.normal(scale=1.2, size=400)
    margins = candidates(small100=forest, line=TRUE_SIDE)
    assert choose_recipe(margins, Y, block=np.zeros(400, dtype=int)).forest_share == 0.0
