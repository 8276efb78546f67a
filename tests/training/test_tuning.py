from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from flat_leads import DATED, config, leads
from propensity.config import Config
from propensity.folds import Split
from propensity.learners import Tuned
from propensity.model import Learned, bundle_files, model_from_files
from propensity.schema import Tables
from propensity.training import learn, prepare, train
from propensity.training.tuning import _parted


def trials(n_trials: int) -> Callable[[float], Callable[[int], bool]]:
    """Allow every training so many trials, whatever its share of the time."""
    return lambda _share: lambda n: n < n_trials


# So few trees at the rates of the kinds that are raced hardly move: what is found is surely better, or is not there.
FEW_TREES = config(columns={"ordered": True}, learner={"max_trees": 60, "max_depth": 4})


def crossed(n_leads: int = 2000) -> pd.DataFrame:
    """Visits speak for a lead from one source and against one from the other, which no line can say."""
    frame, rng = leads(n_leads), np.random.default_rng(5)
    log_odds = (frame["Visits"] - 3) * np.where(frame["Source"] == "web", -1.5, 1.5) - 0.5
    return frame.assign(Won=(rng.random(n_leads) < 1 / (1 + np.exp(-log_odds))).astype(int))


def tuned_on(frame: pd.DataFrame, n_trials: int, settings: Config = FEW_TREES) -> Learned:
    prepared = prepare(frame, settings)
    return learn(prepared.examples, prepared, settings, tune=lambda: trials(n_trials)(1.0))


def test_a_tuned_forest_that_is_surely_better_takes_part_within_the_trees_allowed() -> None:
    recipe = tuned_on(crossed(), 10).blend.recipe
    assert recipe.tuned is not None
    assert recipe.tuned.n_trials == 10
    assert recipe.tuned.is_used
    assert recipe.tuned.gain is not None
    assert recipe.tuned.gain > 0
    assert recipe.shares["tuned"] > 0
    assert {*recipe.n_trees} == {"small", "extra", "on_linear", "tuned"}
    assert sum(recipe.n_trees.values()) <= 60


@pytest.mark.parametrize("n_trials", [0, 3, 6])
def test_where_tuning_finds_nothing_surely_better_the_model_is_as_without_it(n_trials: int) -> None:
    """A line says all there is to say of these leads. The first three trials are the kinds that run anyway."""
    frame = leads(1000)
    prepared = prepare(frame, DATED)
    without = learn(prepared.examples, prepared, DATED)
    tuned = tuned_on(frame, n_trials, DATED)
    assert tuned.blend.recipe.tuned is not None
    assert not tuned.blend.recipe.tuned.is_used
    assert tuned.blend.recipe.tuned.n_trials == n_trials
    assert replace(tuned.blend.recipe, tuned=None) == without.blend.recipe
    assert (tuned.calibrator, tuned.bands, tuned.blend.linear, tuned.blend.forests) == (
        without.calibrator,
        without.bands,
        without.blend.linear,
        without.blend.forests,
    )


def test_the_block_that_certifies_has_no_say_in_what_tuning_finds() -> None:
    frame = crossed()
    newest = frame.index >= 1800  # within the newest fifth of what the chain judges
    turned = frame.assign(Won=np.where(newest, 1 - frame["Won"], frame["Won"]))
    assert tuned_on(frame, 6).blend.recipe == tuned_on(turned, 6).blend.recipe


@pytest.mark.parametrize("is_ahead", [False, True])
def test_no_row_that_judges_what_tuning_found_was_searched_on(is_ahead: bool) -> None:
    chain = [Split(past=np.arange(10 * k), test=np.arange(10 * k, 10 * k + 10)) for k in range(1, 5)]
    ahead = Split(past=np.arange(30), test=np.arange(40, 50)) if is_ahead else None
    searched, judges = _parted(chain, ahead)
    judged = np.concatenate([split.test for split in judges])
    for split in searched:
        assert not {*judged} & {*split.past, *split.test}
    assert [*np.concatenate([split.test for split in searched])] == [*range(10, 30)]
    assert [*judged] == ([*range(40, 50)] if is_ahead else [*range(30, 50)])


def test_where_the_newest_instant_chooses_it_judges_what_tuning_found_on_the_rows_before() -> None:
    """Two instants make no blocks in time: the newer one chooses the recipe."""
    prepared = prepare(crossed(), FEW_TREES)
    instant = np.repeat([0, 1], 1000)
    examples = replace(prepared.examples, order=instant, known=instant + 1)
    turned = replace(examples, y=np.where(instant == 1, 1 - examples.y, examples.y))
    one, other = (
        learn(given, prepared, FEW_TREES, tune=lambda: trials(10)(1.0)).blend.recipe for given in (examples, turned)
    )
    assert one.tuned is not None
    assert other.tuned is not None
    assert one.tuned.settings == other.tuned.settings
    assert one.tuned.is_used
    assert one.shares["tuned"] > 0
    assert not other.tuned.is_used


def test_tuning_where_rows_cannot_be_parted_tries_nothing() -> None:
    """Of two folds one certifies and one chooses: none is left to judge what was found."""
    frame = leads(600).assign(Half=np.arange(600) % 2)
    recipe = tuned_on(frame, 5, config(evaluation={"fold_column": "Half"})).blend.recipe
    assert recipe.tuned == Tuned(settings={}, n_trials=0)


def test_trials_share_the_time_evenly_and_a_run_says_what_tuning_found_the_same_each_time() -> None:
    shares: list[float] = []

    def allow(share: float) -> Callable[[int], bool]:
        shares.append(share)
        return lambda n: n < 4

    told: list[str] = []
    frame = Tables(leads=crossed(800))
    settings = config(columns={"date": "Created"}, evaluation={"origins": 1})
    first = train(frame, settings, tune=allow, progress=lambda what, _share: told.append(what))
    assert shares == [pytest.approx(1 / 3)] * 3  # an origin, the random split, all rows
    assert "tuning and judging on origin 1 of 1" in told
    assert first.model == train(frame, settings, tune=trials(4)).model
    assert first.model.learned is not None
    tuned = first.model.learned.blend.recipe.tuned
    assert tuned is not None
    assert first.model.facts["tuning"] == tuned.to_dict()
    assert first.model.facts["tuning"]["n_trials"] == 4
    assert "## Tuning" in first.model.card
    files = bundle_files(first.model)
    assert model_from_files(files) == first.model
