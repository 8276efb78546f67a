"""The only place where forest and linear model become one margin, and where their shares are chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from propensity.learners.forest import Forest, fit_forest
from propensity.learners.linear import LinearModel, fit_linear

if TYPE_CHECKING:
    from propensity.encoding import Encoder

TREE_COUNTS = (100, 200, 300)
# Inverse penalty, between scikit-learn's 1 and the 0.1 that small files like.
STRENGTH = 0.3
FOREST_SHARES = tuple(i / 10 for i in range(11))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is trained: the choices made on out-of-fold margins.

    Parameters
    ----------
    n_trees : int
    forest_share : float in [0, 1]
        0 means the linear model alone ships.
    """

    n_trees: int
    forest_share: float


@dataclass(frozen=True, kw_only=True)
class Blend:
    """One margin from two learners: their weighted sum in log-odds, which keeps contributions exact.

    Parameters
    ----------
    recipe : Recipe
    forest : Forest or None
        None where its share is 0.
    linear : LinearModel or None
        None where the forest's share is 1.
    """

    recipe: Recipe
    forest: Forest | None
    linear: LinearModel | None

    def _shares(self) -> list[tuple[float, Forest | LinearModel]]:
        share = self.recipe.forest_share
        learners = ((share, self.forest), (1 - share, self.linear))
        return [(weight, learner) for weight, learner in learners if learner is not None]

    def margin(self, matrix: np.ndarray) -> np.ndarray:
        """Give each row's margin in log-odds, shape (n_leads,)."""
        total = np.zeros(len(matrix))
        for weight, learner in self._shares():
            total += weight * learner.margin(matrix)
        return total

    def contributions(self, matrix: np.ndarray) -> tuple[np.ndarray, float]:
        """Split each margin exactly into one part a feature.

        Returns
        -------
        contributions : array of float, shape (n_leads, n_features)
        base : float
            base + contributions sum to the margin.
        """
        total, base = np.zeros(matrix.shape), 0.0
        for weight, learner in self._shares():
            parts, start = learner.contributions(matrix)
            total += weight * parts
            base += weight * start
        return total, base


def candidate_margins(
    past: np.ndarray,
    y: np.ndarray,
    test: np.ndarray,
    *,
    encoder: Encoder,
    max_trees: int,
    max_depth: int,
    seed: int,
    weight: np.ndarray | None = None,
) -> dict[str | int, np.ndarray]:
    """Train every candidate on past rows and give its margins of test rows.

    Parameters
    ----------
    past : array of float, shape (n_past, n_features)
    y : array of {0, 1}, shape (n_past,)
    test : array of float, shape (n_test, n_features)
    encoder : Encoder
    max_trees, max_depth, seed : int
    weight : array of float or None, shape (n_past,)

    Returns
    -------
    dict of str or int to array of float, shape (n_test,)
        ``"linear"``, and a forest under its number of trees. With one outcome in the past, all are its log-odds
        after adding one half to each count.
    """
    counts = sorted({min(n, max_trees) for n in TREE_COUNTS})
    if len(np.unique(y)) < 2:
        constant = np.full(len(test), np.log((y.sum() + 0.5) / (len(y) - y.sum() + 0.5)))
        return dict.fromkeys(["linear", *counts], constant)
    forest = fit_forest(
        past,
        y,
        categorical=encoder.categorical,
        n_trees=counts[-1],
        max_depth=max_depth,
        seed=seed,
        weight=weight,
    )
    margins: dict[str | int, np.ndarray] = {n: forest.margin(test, n_trees=n) for n in counts}
    margins["linear"] = fit_linear(past, y, encoder=encoder, strength=STRENGTH, weight=weight).margin(test)
    return margins


def choose_recipe(
    margins: Mapping[str | int, np.ndarray], y: np.ndarray, *, block: np.ndarray, weight: np.ndarray | None = None
) -> Recipe:
    """Choose trees and shares by log loss on out-of-fold margins.

    Where the best blend does not beat the linear model alone in block after block, the linear model ships: it
    drifts less. The mean gain must exceed its standard error over rows, and its one-sided 95 % bound over blocks
    (Student's t): a gain in one month and a loss in the next is no gain.

    Parameters
    ----------
    margins : mapping of str or int to array of float, shape (n_rows,)
        As `candidate_margins` gives them.
    y : array of {0, 1}, shape (n_rows,)
    block : array of int, shape (n_rows,)
        Out-of-fold block of each row.
    weight : array of float or None, shape (n_rows,)

    Returns
    -------
    Recipe
    """
    scale = 1.0 if weight is None else weight / weight.mean()

    def loss(margin: np.ndarray) -> np.ndarray:
        return np.asarray(scale * (np.logaddexp(0, margin) - y * margin))

    n_trees = min((n for n in margins if isinstance(n, int)), key=lambda n: loss(margins[n]).mean())
    forest, linear = margins[n_trees], margins["linear"]
    share = min(FOREST_SHARES, key=lambda s: loss(s * forest + (1 - s) * linear).mean())
    gain = loss(linear) - loss(share * forest + (1 - share) * linear)
    if not _is_sure(gain, block):
        share = 0.0
    return Recipe(n_trees=n_trees, forest_share=share)


def _is_sure(gain: np.ndarray, block: np.ndarray) -> bool:
    """Say whether a mean gain stands out from its noise over rows and over blocks."""
    from scipy import stats  # imported here: a bundle's consumer scores without scipy

    needed = gain.std() / np.sqrt(len(gain))
    by_block = np.array([gain[block == b].mean() for b in np.unique(block)])
    if len(by_block) > 1:
        over_blocks = by_block.std(ddof=1) / np.sqrt(len(by_block))
        needed = max(needed, over_blocks * stats.t.ppf(0.95, len(by_block) - 1))
    return bool(gain.mean() > needed)


def fit_blend(
    matrix: np.ndarray,
    y: np.ndarray,
    *,
    encoder: Encoder,
    recipe: Recipe,
    max_depth: int,
    seed: int,
    weight: np.ndarray | None = None,
) -> Blend:
    """Train a recipe on all rows given; learners without a share are not trained."""
    forest = linear = None
    if recipe.forest_share > 0:
        forest = fit_forest(
            matrix,
            y,
            categorical=encoder.categorical,
            n_trees=recipe.n_trees,
            max_depth=max_depth,
            seed=seed,
            weight=weight,
        )
    if recipe.forest_share < 1:
        linear = fit_linear(matrix, y, encoder=encoder, strength=STRENGTH, weight=weight)
    return Blend(recipe=recipe, forest=forest, linear=linear)
