"""The only place that says which rows are too unlike what taught the model for it to answer: one row at a time.

Every limit is the agreed one or, where ordinary training rows would fall beyond it, one that 99 of 100 of them keep: a
file as patchy as the history is never degraded for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from propensity.encoding import OTHER, Encoder

# At least this share of what usually moves scores must be known of a lead.
MIN_COVERAGE = 0.6
# At most this share of what moves scores may hang on words that training did not keep.
MAX_UNKNOWN = 0.5
# So many numbers beyond their training range, its width added on both sides, are no lead that was seen.
MAX_OUTSIDE = 3
# Training rows that may lie beyond a limit.
ODD = 0.01
LOW_COVERAGE, UNKNOWN_LEVELS, OUT_OF_DISTRIBUTION = "LOW_COVERAGE", "UNKNOWN_LEVELS", "OUT_OF_DISTRIBUTION"


@dataclass(frozen=True, kw_only=True)
class Guard:
    """What a row must hold for the model to answer.

    Parameters
    ----------
    weights : tuple of float, shape (n_features,)
        Mean absolute contribution over training rows.
    filled : tuple of float, shape (n_features,)
        Share of training rows with a value.
    covered : tuple of bool, shape (n_features,)
        Which features a gap in counts: not those made of events, where a gap means that nothing happened.
    ranged : tuple of bool, shape (n_features,)
        Which numbers have a range to be in: not those that only ever grow.
    min_coverage, max_unknown : float in [0, 1]
    """

    weights: tuple[float, ...]
    filled: tuple[float, ...]
    covered: tuple[bool, ...]
    ranged: tuple[bool, ...]
    min_coverage: float = MIN_COVERAGE
    max_unknown: float = MAX_UNKNOWN

    def coverage(self, matrix: np.ndarray) -> np.ndarray:
        """Give which share of what is usually known, by weight, is known of each row; may exceed 1."""
        weight, usual = self._usual
        if usual <= 0:
            return np.ones(len(matrix))
        return np.asarray((~np.isnan(matrix) * weight).sum(axis=1) / usual)

    @cached_property
    def _usual(self) -> tuple[np.ndarray, float]:
        """How much a gap in each column weighs, and how much of that is usually known."""
        weight = np.array(self.weights) * np.array(self.covered)
        return weight, float((weight * np.array(self.filled)).sum())

    def unknown(self, matrix: np.ndarray, encoder: Encoder) -> np.ndarray:
        """Give which share of the weight hangs on words that training did not keep."""
        weight, words = np.array(self.weights), [*encoder.categorical]
        strange = matrix[:, words] == OTHER
        return np.asarray((strange * weight[words]).sum(axis=1) / (weight.sum() or 1.0))

    def outside(self, matrix: np.ndarray, encoder: Encoder) -> np.ndarray:
        """Count the numbers of each row beyond their range."""
        low, high = encoder.ends
        return np.asarray((((matrix < low) | (matrix > high)) & np.array(self.ranged)).sum(axis=1))

    def reasons(self, matrix: np.ndarray, encoder: Encoder) -> np.ndarray:
        """Say for each row why the model should not answer; empty where it may.

        Parameters
        ----------
        matrix : array of float, shape (n_leads, n_features)
        encoder : Encoder

        Returns
        -------
        array of str, shape (n_leads,)
            The first that holds of LOW_COVERAGE, UNKNOWN_LEVELS, OUT_OF_DISTRIBUTION.
        """
        found = np.full(len(matrix), "", dtype=object)
        found[self.outside(matrix, encoder) >= MAX_OUTSIDE] = OUT_OF_DISTRIBUTION
        found[self.unknown(matrix, encoder) > self.max_unknown] = UNKNOWN_LEVELS
        found[self.coverage(matrix) < self.min_coverage] = LOW_COVERAGE
        return found

    def to_dict(self) -> dict[str, Any]:
        """Give the guard as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Guard:
        """Restore a guard from `to_dict`."""
        lists = {name: tuple(values[name]) for name in ("weights", "filled", "covered", "ranged")}
        return cls(**{**values, **lists})


def fit_guard(
    matrix: np.ndarray,
    contributions: np.ndarray,
    encoder: Encoder,
    *,
    uncovered: Sequence[str] = (),
    unranged: Sequence[str] = (),
) -> Guard:
    """Learn from training rows what rows usually hold.

    Parameters
    ----------
    matrix : array of float, shape (n_leads, n_features)
    contributions : array of float, shape (n_leads, n_features)
        Margin parts of the same rows.
    encoder : Encoder
    uncovered : sequence of str
        Features a gap in counts for nothing.
    unranged : sequence of str
        Numbers without a range to be in.

    Returns
    -------
    Guard

    Examples
    --------
    >>> from propensity.encoding import NumberCode
    >>> encoder = Encoder(names=("a", "b"), codes=(NumberCode(low=0, high=9, typical=1),) * 2)
    >>> rows = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> guard = fit_guard(rows, np.array([[3.0, 1.0], [-3.0, 1.0]]), encoder)
    >>> guard.weights, guard.reasons(np.array([[1.0, np.nan], [np.nan, 2.0]]), encoder).tolist()
    ((3.0, 1.0), ['', 'LOW_COVERAGE'])
    """
    names = encoder.names
    first = Guard(
        weights=tuple(float(np.round(one, 12)) for one in np.abs(contributions).mean(axis=0)),
        filled=tuple(float(np.round(one, 6)) for one in (~np.isnan(matrix)).mean(axis=0)),
        covered=tuple(name not in {*uncovered} for name in names),
        ranged=tuple(name not in {*unranged} for name in names),
    )
    least = float(np.quantile(first.coverage(matrix), ODD))
    most = float(np.quantile(first.unknown(matrix, encoder), 1 - ODD))
    return Guard(
        weights=first.weights,
        filled=first.filled,
        covered=first.covered,
        ranged=first.ranged,
        min_coverage=min(MIN_COVERAGE, round(least, 9)),
        max_unknown=max(MAX_UNKNOWN, round(most, 9)),
    )
