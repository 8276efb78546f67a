"""The only place that decides which rows settings of trees are searched on, and whether what was found takes part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from propensity.folds import Split
from propensity.learners import (
    LINEAR,
    TUNED,
    Candidate,
    Fold,
    MayGoOn,
    Recipe,
    Tuned,
    is_sure,
    margin_loss,
    search_settings,
)
from propensity.training.race import Race, judged
from propensity.training.splitting import can_learn

# Begins to count the time of a share of all searches, and gives what says after each trial whether another may begin.
Allowance = Callable[[float], MayGoOn]


def tune_recipe(
    recipe: Recipe,
    margins: dict[Candidate, np.ndarray],
    race: Race,
    *,
    block: np.ndarray,
    on: np.ndarray,
    chain: Sequence[Split],
    ahead: Split | None,
    seed: int,
    begin: Callable[[], MayGoOn],
) -> tuple[Recipe, dict[Candidate, np.ndarray]]:
    """Search for settings, and let a forest of them take part where the blend is surely better with it.

    The best of many trials looks better than it is on the rows that picked it, so the blocks that choose the recipe are
    parted: the first half is searched on, the others judge. The newest block, which certifies the thresholds, takes no
    part.

    Parameters
    ----------
    recipe : Recipe
        Chosen without tuning.
    margins : dict of candidate to array of float, shape (n_rows,)
        What it was chosen from, as the chain judges it.
    race : Race
    block : array of int, shape (n_rows,)
    on : array of bool, shape (n_rows,), or of positions
        The rows that choose.
    chain : sequence of Split
    ahead : Split or None
        What judges the recipe instead, where the chain is not in time.
    seed : int
    begin : callable () -> callable (trials made) -> bool
        Called when the search begins.

    Returns
    -------
    recipe : Recipe
        The one given, but for what tuning found, where nothing was surely better.
    margins : dict of candidate to array of float
    """
    kinds = sorted({name for name, _ in margins} - {LINEAR})
    examples = race.examples
    searched, judges = _parted(chain[:-1], ahead)
    if not searched or not all(can_learn(examples.y[split.past]) and len(split.test) for split in searched):
        return replace(recipe, tuned=Tuned(settings={}, n_trials=0)), margins
    tuned = search_settings(
        [_fold(split, race) for split in searched], n_kinds=len(kinds) + 1, seed=seed, may_go_on=begin()
    )
    recipe = replace(recipe, tuned=tuned)
    if not tuned.settings:
        return recipe, margins
    seen = chain if ahead is None else [*searched, ahead]
    # What took part before is kept, so that only the tuned forest is fitted.
    without = margins if ahead is None else race.run(seen, kinds=kinds)
    within = race.run(seen, kinds=(*kinds, TUNED), settings=tuned.settings)
    (picking, _), (rows, _) = judged(searched), judged(judges)
    y, weight = examples.y[rows], examples.weights[rows]
    before, after = (
        margin_loss(race.choose(parts, block, on=picking).margin(parts)[rows], y, weight=weight)
        for parts in (without, within)
    )
    chosen = race.choose(within, block, on=on)
    is_used = is_sure(before - after, block[rows]) and TUNED in chosen.shares
    tuned = replace(tuned, gain=round(float((before - after).mean()), 6), is_used=is_used)
    if not is_used:
        return replace(recipe, tuned=tuned), margins
    if ahead is not None:
        within = race.run(chain, kinds=(*kinds, TUNED), settings=tuned.settings)
    return replace(chosen, tuned=tuned), within


def _parted(choosing: Sequence[Split], ahead: Split | None) -> tuple[list[Split], list[Split]]:
    """Part the splits that choose the recipe into those that are searched on and those that judge what was found.

    Where the newest instant chooses, what is searched on is what it has learned from.
    """
    if ahead is None:
        half = len(choosing) // 2
        return [*choosing[:half]], [*choosing[half:]]
    known = ahead.past
    within = [Split(past=np.intersect1d(s.past, known), test=np.intersect1d(s.test, known)) for s in choosing]
    return within, [ahead]


def _fold(split: Split, race: Race) -> Fold:
    """Give what a trial is taught and judged by."""
    (learners, test), examples = race.taught(split), race.examples
    return Fold(learners=learners, test=test, y=examples.y[split.test], weight=examples.weights[split.test])
