"""The only place where learners are compared on rows of one past that did not teach them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from propensity.folds import Split
from propensity.learners import Candidate, Learners, Recipe, choose_recipe
from propensity.schema import Schema
from propensity.training.pasts import Pasts
from propensity.training.rows import Examples


@dataclass(frozen=True, kw_only=True)
class Race:
    """How rows teach whoever takes part.

    Parameters
    ----------
    examples : Examples
        Splits hold positions in them.
    schema : Schema
        Columns that are read.
    pasts : Pasts
        What was fitted before.
    half_life : float in (0, 1] or None
        Of the rows' weights.
    directions : mapping of feature to {-1, 1}
        Which way every margin must go with it.
    """

    examples: Examples
    schema: Schema
    pasts: Pasts
    half_life: float | None = None
    directions: Mapping[str, int] = field(default_factory=dict)

    def learners(self, past: np.ndarray) -> Learners:
        """Give what these rows teach."""
        return self.pasts.learners(
            self.examples.take(past), self.schema, half_life=self.half_life, directions=self.directions
        )

    def taught(self, split: Split) -> tuple[Learners, np.ndarray]:
        """Give what a split's past teaches, and its test rows as that reads them."""
        learners = self.learners(split.past)
        return learners, learners.encoder.encode(self.examples.read.iloc[split.test])

    def quick(self, chain: Sequence[Split]) -> np.ndarray:
        """Give what the cheap blend says of the rows a chain judges, in the order of `judged`."""
        return np.concatenate([learners.even_margin(test) for learners, test in map(self.taught, chain)])

    def run(
        self, chain: Sequence[Split], *, kinds: Collection[str], settings: Mapping[str, object] | None = None
    ) -> dict[Candidate, np.ndarray]:
        """Give the margins of each candidate, shape (n_rows,); NaN for rows the chain does not judge."""
        margins: dict[Candidate, np.ndarray] = {}
        for split in chain:
            learners, test = self.taught(split)
            found = learners.margins(test, kinds=kinds, settings=settings)
            for name, margin in found.items():
                margins.setdefault(name, np.full(len(self.examples.y), np.nan))[split.test] = margin
        return margins

    def choose(self, margins: Mapping[Candidate, np.ndarray], block: np.ndarray, *, on: np.ndarray) -> Recipe:
        """Choose the recipe by the margins of some rows.

        Parameters
        ----------
        margins : mapping of candidate to array of float, shape (n_rows,)
        block : array of int, shape (n_rows,)
        on : array of bool, shape (n_rows,), or of positions
        """
        recipe = choose_recipe(
            {name: margin[on] for name, margin in margins.items()},
            self.examples.y[on],
            block=block[on],
            weight=self.examples.weights[on],
        )
        return replace(recipe, half_life=self.half_life)


def judged(chain: Sequence[Split]) -> tuple[np.ndarray, np.ndarray]:
    """Give the rows that a chain judges, and which link of it does."""
    return (
        np.concatenate([split.test for split in chain]),
        np.repeat(np.arange(len(chain)), [len(split.test) for split in chain]),
    )
