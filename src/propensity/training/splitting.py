"""The only place that says which rows teach and which judge: splits of the evaluation, blocks inside a past."""

from __future__ import annotations

import numpy as np

from propensity.config import Config
from propensity.errors import InputError
from propensity.folds import Blocks, Split, given_blocks, group_blocks, time_blocks, time_origins, without_groups
from propensity.training.rows import Examples
from propensity.training.tables import MIN_CUTOFFS_IN_TIME

# Fewer conversions (or fewer leads without one) than this teach nothing that rules do not know.
MIN_POSITIVES = 40


def splits(examples: Examples, config: Config) -> tuple[list[Split], bool]:
    """Give the splits that judge the recipe, and whether they are in time order.

    Raises
    ------
    InputError
        Folds that leave too few leads of one outcome to learn from.
    """
    if examples.fold is None and examples.order is not None:
        found = time_origins(
            examples.order,
            examples.groups,
            n_origins=config.evaluation.origins,
            known=examples.known,
            is_apart=examples.is_apart,
        )
        learnable = [split for split in found if can_learn(examples.y[split.past])]
        if learnable and learnable[-1] is found[-1] and len(np.unique(examples.order)) >= MIN_CUTOFFS_IN_TIME:
            return learnable, True
    blocks = (
        given_blocks(examples.fold)
        if examples.fold is not None and len(np.unique(examples.fold)) > 1
        else group_blocks(examples.y, examples.groups, seed=config.learner.seed)
    )
    folds = [blocks.split(block, examples.groups) for block in range(blocks.n_blocks)]
    if not all(can_learn(examples.y[split.past]) for split in folds):
        msg = (
            "Folds cannot judge a model: outside of one of them there are too few leads of one outcome to learn from. "
            "Mix outcomes over evaluation.fold_column and columns.group, or take these lines out."
        )
        raise InputError(msg)
    return folds, False


def out_of_fold_blocks(examples: Examples, *, seed: int) -> Blocks:
    """Choose how margins are made without a row judging itself: the user's folds, a chain in time, or group folds."""
    if examples.fold is not None and len(np.unique(examples.fold)) > 1:
        return given_blocks(examples.fold)
    if examples.order is not None and examples.fold is None:
        blocks = time_blocks(examples.order, era=examples.eras, known=examples.known, is_apart=examples.is_apart)
        chain = [blocks.split(block, examples.groups) for block in range(blocks.n_blocks)]
        # A purge can leave the first blocks of a short history nothing to learn from, and known leads the others too
        # few to judge: a choice and a level of 25 rows are noise.
        is_taught = examples.known is None or all(can_learn(examples.y[split.past]) for split in chain)
        judged = examples.y[np.concatenate([split.test for split in chain])] if chain else np.empty(0)
        is_judged = all(len(split.test) for split in chain) and has_both(judged, MIN_POSITIVES)
        if blocks.n_blocks > 1 and is_taught and is_judged:
            return blocks
    return group_blocks(examples.y, examples.groups, seed=seed)


def forward_split(examples: Examples) -> Split | None:
    """Give the rows of the newest instant and those whose label was known by then; None without such, or too few.

    Returns
    -------
    Split or None
    """
    if examples.order is None or examples.known is None or examples.fold is not None:
        return None
    newest = examples.order.max()
    test = np.flatnonzero(examples.order == newest)
    past = np.flatnonzero(examples.known <= newest)
    test = without_groups(test, past, examples.groups) if examples.is_apart else test
    there = can_learn(examples.y[past]) and can_learn(examples.y[test])
    return Split(past=past, test=test) if there else None


def can_learn(y: np.ndarray) -> bool:
    """Say whether rows hold enough of either outcome to teach or to judge within a past."""
    return has_both(y, MIN_POSITIVES / 2)


def has_both(y: np.ndarray, least: float) -> bool:
    """Say whether there are so many rows of either outcome."""
    return bool(min(y.sum(), len(y) - y.sum()) >= least)
