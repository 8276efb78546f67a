"""The only place for the rows an audit looks at: their order, their folds, whom they witness, and who ranks them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from propensity.folds import group_blocks
from propensity.schema import row_hashes

N_FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The outcome's side of the file.

    Groups, the leads or accounts, are numbered from 0 without gaps; `fold` keeps each whole. What is asked for below
    `has_both` needs leads of both outcomes.
    """

    y: np.ndarray
    weight: np.ndarray
    group: np.ndarray
    fold: np.ndarray

    @property
    def has_both(self) -> bool:
        """Whether there are leads of both outcomes."""
        return bool(0 < self.y.sum() < len(self.y))

    @cached_property
    def won(self) -> np.ndarray:
        """What each row weighs among the conversions."""
        return np.asarray(self.weight * self.y)

    @cached_property
    def rate(self) -> float:
        """Share of leads that converted."""
        return float(np.average(self.y, weights=self.weight))

    @cached_property
    def n_groups(self) -> int:
        """How many leads or accounts there are."""
        return len(np.unique(self.group))

    @cached_property
    def n_converted(self) -> int:
        """How many of them converted in some row."""
        return self.n_groups_in(self.y == 1)

    @cached_property
    def folds(self) -> tuple[np.ndarray, ...]:
        """Which rows are in each fold that has both outcomes."""
        folds = (self.fold == fold for fold in np.unique(self.fold))
        return tuple(inside for inside in folds if 0 < self.y[inside].sum() < inside.sum())

    @property
    def auc_error(self) -> float:
        """Mann and Whitney's standard error of an AUC that means nothing."""
        n_lost = max(self.n_groups - self.n_converted, 1)
        return float(np.sqrt((self.n_converted + n_lost + 1) / (12 * self.n_converted * n_lost)))

    def n_groups_in(self, inside: np.ndarray) -> int:
        """Count the groups that have such a row."""
        return len(np.unique(self.group[inside]))

    def count(self, code: np.ndarray, *, n_codes: int) -> tuple[np.ndarray, np.ndarray]:
        """Count the groups of each code, and those of them that converted; -1 is no code.

        Rows of a group are no more witnesses than one: a group counts once a code, as converted by its share of
        converted rows, rounded down in the sum.
        """
        used = code >= 0
        if self.n_groups == len(self.y):
            won = np.bincount(code[used], weights=self.y[used], minlength=n_codes)
            return np.bincount(code[used], minlength=n_codes), won.astype(int)
        pair = code[used].astype(np.int64) * self.n_groups + self.group[used]
        _, first, inverse = np.unique(pair, return_index=True, return_inverse=True)
        share = np.bincount(inverse, weights=self.y[used]) / np.bincount(inverse)
        owner = code[used][first]
        converted = np.bincount(owner, weights=share, minlength=n_codes)
        return np.bincount(owner, minlength=n_codes), np.floor(converted + 1e-9).astype(int)

    def held(self, inside: np.ndarray) -> float:
        """Give the share of all conversions that these rows hold."""
        return float(self.won[inside].sum() / self.won.sum())

    def places(self, score: np.ndarray) -> np.ndarray:
        """Place each row within its fold, where all were scored by the same others; NaN in a fold of one outcome."""
        placed = np.full(len(score), np.nan)
        for inside in self.folds:
            placed[inside] = places(self.y[inside], score[inside], self.weight[inside])
        return placed

    def auc(self, place: np.ndarray) -> float:
        """Average the AUCs of the folds; NaN without any."""
        aucs = [np.average(place[inside], weights=self.won[inside]) for inside in self.folds]
        return float(np.mean(aucs)) if aucs else float("nan")


def fold_rows(y: np.ndarray, weight: np.ndarray, groups: np.ndarray, *, n_folds: int, seed: int) -> Rows:
    """Deal rows into folds."""
    group = np.unique(groups, return_inverse=True)[1]
    return Rows(y=y, weight=weight, group=group, fold=group_blocks(y, group, seed=seed, n_blocks=n_folds).of_row)


def canonical_rows(
    read: pd.DataFrame, y: np.ndarray, groups: np.ndarray, weight: np.ndarray | None = None, *, seed: int
) -> tuple[Rows, pd.DataFrame]:
    """Put rows in an order of their own content, without those that weigh nothing."""
    weights = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=float)
    order = np.lexsort((weights, row_hashes(read), y, groups))
    order = order[weights[order] > 0]
    outcome = np.asarray(y, dtype=float)[order]
    rows = fold_rows(outcome, weights[order], groups[order], n_folds=N_FOLDS, seed=seed)
    return rows, read.iloc[order].reset_index(drop=True)


def places(y: np.ndarray, score: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Give each row the share of the other outcome that it is on the right side of, ties counted half.

    Its mean over either outcome is the AUC, and its spread the AUC's error (DeLong 1988).

    Examples
    --------
    >>> places(np.array([1, 0, 1, 0]), np.array([0.9, 0.1, 0.5, 0.5]), np.ones(4)).tolist()
    [1.0, 1.0, 0.75, 0.75]
    """
    _, tie = np.unique(score, return_inverse=True)
    won, lost = np.bincount(tie, weights=weight * y), np.bincount(tie, weights=weight * (1 - y))
    below = (np.cumsum(lost) - 0.5 * lost) / lost.sum()
    above = 1 - (np.cumsum(won) - 0.5 * won) / won.sum()
    return np.asarray(np.where(y == 1, below[tie], above[tie]))
