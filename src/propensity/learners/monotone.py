"""The only place for what it costs that margins must rise or fall with a feature, and whether that is borne.

With all else equal, a margin held to a direction never falls (or never rises) from one known value of a number to a
higher one. A missing value is none of these: where it stands among them stays free.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np

from propensity.learners.blend import gain_error, is_sure, margin_loss

# What people write, and the sign that learners take.
DIRECTIONS: Mapping[str, int] = {"increasing": 1, "decreasing": -1}
# Decimals kept of a log loss: a bundle's bytes must not hang on the last bits.
DECIMALS = 6


@dataclass(frozen=True, kw_only=True)
class Monotone:
    """Directions that scores were asked to be held to, and what became of it.

    Parameters
    ----------
    directions : mapping of feature to {-1, 1}
    cost : float
        Out-of-fold log loss with less that without, in nats; negative where holding helps.
    error : float
        Its standard error, over rows and over blocks.
    is_held : bool
        Whether all learners obey. Not where the cost exceeds its standard error: then the leads say otherwise.
    """

    directions: Mapping[str, int]
    cost: float
    error: float
    is_held: bool

    def named(self, direction: int) -> list[str]:
        """Give the features of one direction, in their order."""
        return [name for name, way in self.directions.items() if way == direction]

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, names: Collection[str]) -> Monotone:
        """Restore from `to_dict`, in the order of the features.

        Raises
        ------
        ValueError
            A direction is none, or of no feature.
        """
        found, ways = cls(**values), dict(values["directions"])
        is_whole = {*ways} <= {*names} and {*ways.values()} <= {*DIRECTIONS.values()}
        if not (is_whole and isfinite(found.cost) and isfinite(found.error) and isinstance(found.is_held, bool)):
            msg = "a direction is none, or of no feature"
            raise ValueError(msg)
        ordered = {name: ways[name] for name in names if name in ways}
        return cls(directions=ordered, cost=found.cost, error=found.error, is_held=found.is_held)


def weigh_constraints(
    held: np.ndarray,
    free: np.ndarray,
    y: np.ndarray,
    *,
    directions: Mapping[str, int],
    block: np.ndarray,
    weight: np.ndarray | None = None,
) -> Monotone:
    """Decide by out-of-fold log loss whether directions are held to: unless that is worse by more than its error.

    Parameters
    ----------
    held, free : array of float, shape (n_rows,)
        Out-of-fold margins of the blend that obeys and of the one that does not.
    y : array of {0, 1}, shape (n_rows,)
    directions : mapping of feature to {-1, 1}
    block : array of int, shape (n_rows,)
        Out-of-fold block of each row.
    weight : array of float or None, shape (n_rows,)

    Examples
    --------
    >>> y, block = np.array([1, 0, 1, 0]), np.array([0, 0, 1, 1])
    >>> sure = np.where(y == 1, 2.0, -2.0)
    >>> weigh_constraints(np.zeros(4), sure, y, directions={"Visits": 1}, block=block).is_held
    False
    >>> weigh_constraints(sure, np.zeros(4), y, directions={"Visits": 1}, block=block).is_held
    True
    """
    cost = margin_loss(held, y, weight=weight) - margin_loss(free, y, weight=weight)
    return Monotone(
        directions=dict(directions),
        cost=round(float(cost.mean()), DECIMALS),
        error=round(gain_error(cost, block), DECIMALS),
        is_held=not is_sure(cost, block),
    )
