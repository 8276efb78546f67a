from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flat_leads import DATED, leads
from propensity.folds import Split
from propensity.training import prepare
from propensity.training.pasts import Pasts
from propensity.training.race import Race, judged

# The later link first: margins keep the order of rows or of the chain, whichever is said.
CHAIN = [Split(past=np.arange(400), test=np.arange(400, 500)), Split(past=np.arange(300), test=np.arange(310, 330))]


@pytest.fixture(scope="module")
def race() -> Race:
    """600 leads in time, nobody fitted yet."""
    prepared = prepare(leads(), DATED)
    return Race(
        examples=prepared.examples, schema=prepared.schema, pasts=Pasts(prepared.examples, DATED.learner), half_life=0.5
    )


def test_rows_are_judged_in_the_order_of_the_chain_with_the_link_that_does() -> None:
    rows, block = judged(CHAIN)
    assert rows.tolist() == [*range(400, 500), *range(310, 330)]
    assert block.tolist() == [0] * 100 + [1] * 20


def test_the_cheap_blend_answers_in_the_same_order(race: Race) -> None:
    both = race.quick(CHAIN)
    np.testing.assert_array_equal(both, np.concatenate([race.quick([split]) for split in CHAIN]))


def test_a_split_is_read_as_its_past_reads(race: Race) -> None:
    learners, test = race.taught(CHAIN[1])
    assert learners is race.learners(np.arange(300))
    np.testing.assert_array_equal(test, learners.encoder.encode(race.examples.read.iloc[310:330]))
    np.testing.assert_array_equal(race.quick([CHAIN[1]]), learners.even_margin(test))


def test_each_candidate_has_margins_of_the_judged_rows_alone(race: Race) -> None:
    found = race.run(CHAIN, kinds=["small"])
    rows, _ = judged(CHAIN)
    assert len(found) > 1
    for margin in found.values():
        assert np.flatnonzero(~np.isnan(margin)).tolist() == sorted(rows)


def test_a_recipe_is_chosen_by_the_rows_named_and_keeps_the_half_life(race: Race) -> None:
    found = race.run(CHAIN, kinds=["small"])
    rows, block = judged(CHAIN)
    of_row = np.full(600, -1)
    of_row[rows] = block
    line, forest = ("linear", 0), next(name for name in found if name[0] == "small")
    won = race.examples.y == 1
    # Where the line is told the truth and the forest its opposite the line is chosen, and the other way round.
    truth = np.where(won, 2.0, -2.0)
    right, wrong = {**found, line: truth, forest: -truth}, {**found, line: -truth, forest: truth}
    two = {line, forest}
    for given, best in ((right, line), (wrong, forest)):
        recipe = race.choose({name: given[name] for name in two}, of_row, on=rows)
        assert recipe.half_life == 0.5
        assert recipe.shares.get(best[0], 0.0) == max(recipe.shares.values())
    untold = replace(race, half_life=None)
    assert untold.choose(found, of_row, on=rows).half_life is None
