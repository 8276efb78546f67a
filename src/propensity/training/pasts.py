"""The only place that fits learners on the rows of a past: once, however many origins, blocks and folds share it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from propensity.config import LearnerConfig
from propensity.encoding import Encoder, fit_encoder
from propensity.learners import Learners, recency_weights
from propensity.schema import Schema
from propensity.training.rows import Examples


class Pasts:
    """The learners of every past that was asked for.

    A past is known by which rows of the whole it holds, the columns they are read in, how fast they lose weight and the
    directions margins are held to: the same four give the same learners, so what was fitted for one origin serves the
    blocks of later ones.

    Parameters
    ----------
    whole : Examples
        All rows there are; pasts hold positions in them.
    config : LearnerConfig
    """

    def __init__(self, whole: Examples, config: LearnerConfig) -> None:
        self._read, self._config = whole.read, config
        self._encoders: dict[tuple[bytes, tuple[str, ...]], Encoder] = {}
        self._learners: dict[tuple[bytes, tuple[str, ...], float | None, tuple[int, ...]], Learners] = {}

    def learners(
        self,
        past: Examples,
        schema: Schema,
        *,
        half_life: float | None,
        directions: Mapping[str, int] | None = None,
    ) -> Learners:
        """Give the learners of a past; none is fitted before it is asked for.

        Parameters
        ----------
        past : Examples
            Taken from the whole, or the whole itself.
        schema : Schema
        half_life : float in (0, 1] or None
            Of the rows' weights; without order all count alike.
        directions : mapping of feature to {-1, 1} or None
            Which way every margin must go with it.

        Returns
        -------
        Learners
            Ranges and levels of their encoder too are those of this past alone: the linear part clips to them.
        """
        place = np.arange(len(past.y)) if past.place is None else past.place
        rows, half_life = _digest(place), None if past.order is None else half_life
        if (rows, schema.names) not in self._encoders:
            self._encoders[rows, schema.names] = fit_encoder(past.read, schema)
        encoder = self._encoders[rows, schema.names]
        ways = tuple(directions.get(name, 0) for name in schema.names) if directions else ()
        key = (rows, schema.names, half_life, ways)
        if key not in self._learners:
            self._learners[key] = Learners(
                lambda: encoder.encode(self._read.iloc[place]),
                past.y,
                encoder=encoder,
                max_trees=self._config.max_trees,
                max_depth=self._config.max_depth,
                seed=self._config.seed,
                weight=aged(past, half_life),
                directions=ways,
            )
        return self._learners[key]


def aged(examples: Examples, half_life: float | None) -> np.ndarray | None:
    """Give what rows weigh when they teach."""
    if half_life is None or examples.order is None:
        return examples.weight
    return recency_weights(examples.order, half_life, weight=examples.weight)


def _digest(place: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(place, dtype=np.int64).tobytes()).digest()
