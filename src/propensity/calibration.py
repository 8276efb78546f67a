"""The only place where a margin becomes a probability: an affine map in log-odds, shrunk toward doing nothing.

Affine in log-odds keeps contributions exactly additive. The slope's evidence is weighed by how much it
differs between blocks of time: four blocks that disagree say little about the fifth, however many rows they hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

# Precision of the prior slope ~ N(1, 1/20): the ridge 10 (a - 1)^2 in log likelihood.
SLOPE_PRECISION = 20.0
# Precision of the prior intercept ~ N(0, 1/2): the ridge b^2.
INTERCEPT_PRECISION = 2.0
# How far a level may walk from one period to the next, and swing about it within one, as variance in log-odds: not at
# all, and from 5 % of the odds to more than twofold.
LEVEL_VARIANCES = (0.0, 0.0025, 0.01, 0.04, 0.16, 0.64)
# Fewer conversions than this leave the slope at 1.
MIN_POSITIVES_SLOPE = 200


@dataclass(frozen=True, kw_only=True)
class Calibrator:
    """``log-odds = slope * margin + intercept``, kept within what the rows seen can support.

    Parameters
    ----------
    slope, intercept : float
        A slope at or below 0 means the margins do not rank: no skill.
    limit : float
        Calibrated log-odds stay within -limit and limit: log(n_rows + 1).
    n_rows, n_positive : int
        What it was fitted on.
    """

    slope: float
    intercept: float
    limit: float
    n_rows: int
    n_positive: int

    def unclipped_log_odds(self, margin: np.ndarray) -> np.ndarray:
        """Give calibrated log-odds before the limit."""
        return np.asarray(self.slope * margin + self.intercept)

    def log_odds(self, margin: np.ndarray) -> np.ndarray:
        """Give calibrated log-odds, shape as `margin`."""
        return np.asarray(np.clip(self.unclipped_log_odds(margin), -self.limit, self.limit))

    def probability(self, margin: np.ndarray) -> np.ndarray:
        """Give the probability of conversion, shape as `margin`."""
        return sigmoid(self.log_odds(margin))

    def to_dict(self) -> dict[str, Any]:
        """Give the calibrator as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibrator:
        """Restore a calibrator from `to_dict`."""
        return cls(**values)


def sigmoid(log_odds: np.ndarray) -> np.ndarray:
    """Turn log-odds into probability without overflow.

    Examples
    --------
    >>> sigmoid(np.array([0.0, -1000.0]))
    array([0.5, 0. ])
    """
    tail = np.exp(-np.abs(log_odds))
    return np.asarray(np.where(log_odds >= 0, 1 / (1 + tail), tail / (1 + tail)))


def fit_calibrator(
    margin: np.ndarray,
    y: np.ndarray,
    block: np.ndarray,
    *,
    period: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> Calibrator:
    """Fit slope and intercept on out-of-fold margins.

    The slope is the maximum likelihood slope common to all blocks, each with its own intercept, combined with
    the prior N(1, 1/20) by precision; its variance is the larger of the model's and the block-cluster sandwich
    (Liang and Zeger, Biometrika 73, 1986). The intercept follows from all rows; where they are in time it is the level
    that the newest period leads to expect.

    Parameters
    ----------
    margin : array of float, shape (n_rows,)
        Out-of-fold log-odds.
    y : array of {0, 1}, shape (n_rows,)
    block : array of int, shape (n_rows,)
        Out-of-fold block.
    period : array of int or None, shape (n_rows,)
        When: the highest is the newest. None where rows are not in time.
    weight : array of float or None, shape (n_rows,)
        Of rows that share a lead; None for one each.

    Returns
    -------
    Calibrator

    Examples
    --------
    Margins that are true log-odds need nothing:

    >>> margin = np.log(np.array([0.25, 0.75]) / np.array([0.75, 0.25])).repeat(400)
    >>> y = np.concatenate([np.repeat([1, 0], [100, 300]), np.repeat([1, 0], [300, 100])])
    >>> fitted = fit_calibrator(margin, y, np.zeros(800, dtype=int))
    >>> round(fitted.slope, 6), round(abs(fitted.intercept), 6)
    (1.0, 0.0)
    """
    weight = np.ones(len(y)) if weight is None else weight
    n_rows, n_positive = round(float(weight.sum())), round(float((weight * y).sum()))
    slope = 1.0
    if n_positive >= MIN_POSITIVES_SLOPE:
        estimate, variance = _common_slope(margin, y, block, weight)
        slope = (SLOPE_PRECISION + estimate / variance) / (SLOPE_PRECISION + 1 / variance)
    offset = slope * margin
    intercept = (
        log_odds_shift(offset, y, precision=INTERCEPT_PRECISION, weight=weight)
        if period is None
        else _newest_level(offset, y, period, weight)
    )
    return Calibrator(
        slope=float(slope), intercept=intercept, limit=float(np.log(n_rows + 1)), n_rows=n_rows, n_positive=n_positive
    )


def _common_slope(margin: np.ndarray, y: np.ndarray, block: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Give the slope that blocks with their own intercepts share, and its variance."""
    blocks, which = np.unique(block, return_inverse=True)
    intercepts = np.eye(len(blocks))[which]
    design = np.column_stack([margin, intercepts])
    # A trace of ridge keeps a block of one outcome finite and moves nothing else.
    ridge = np.full(design.shape[1], 1e-4)
    weights = np.append(1.0, np.zeros(len(blocks)))
    for _ in range(100):
        p = sigmoid(design @ weights)
        gradient = design.T @ (weight * (y - p)) - ridge * (weights - np.append(1.0, np.zeros(len(blocks))))
        hessian = (design * (weight * p * (1 - p))[:, None]).T @ design + np.diag(ridge)
        step = np.clip(np.linalg.solve(hessian, gradient), -2, 2)
        weights = weights + step
        if np.abs(step).max() < 1e-10:
            break
    inverse = np.linalg.inv(hessian)
    variance = inverse[0, 0]
    if len(blocks) > 1:
        scores = intercepts.T @ (design * (weight * (y - p))[:, None])
        spread = len(blocks) / (len(blocks) - 1) * (inverse @ scores.T @ scores @ inverse)[0, 0]
        variance = max(variance, spread)
    return float(weights[0]), float(variance)


def _newest_level(offset: np.ndarray, y: np.ndarray, period: np.ndarray, weight: np.ndarray) -> float:
    """Follow the intercept from period to period: it walks, and each period swings about it and is seen with error.

    The local level model (Harvey, Forecasting, Structural Time Series Models and the Kalman Filter, 1989, section
    2.1). How far it walks and swings, few periods cannot tell: each pair of variances answers, and counts as much as it
    made the periods likely (Hoeting and others, Statistical Science 14, 1999).
    """
    walk, swing = (variances.ravel() for variances in np.meshgrid(LEVEL_VARIANCES, LEVEL_VARIANCES))
    level, variance, evidence = np.zeros(len(walk)), np.full(len(walk), 1 / INTERCEPT_PRECISION), np.zeros(len(walk))
    for inside in (period == t for t in np.unique(period)):
        seen, error = _level(offset[inside], y[inside], weight[inside])
        variance = variance + walk
        total = variance + swing + error
        evidence -= (np.log(total) + (seen - level) ** 2 / total) / 2
        level = level + variance / total * (seen - level)
        variance = variance * (swing + error) / total
    return float(np.average(level, weights=np.exp(evidence - evidence.max())))


def _level(offset: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Give the level of one period alone, and the square of its error: what the prior drew in is given back."""
    drawn = log_odds_shift(offset, y, precision=INTERCEPT_PRECISION, weight=weight)
    p = sigmoid(offset + drawn)
    # Where all its leads are left out a period says nothing.
    information = max(float((weight * p * (1 - p)).sum()), 1e-9)
    return drawn * (1 + INTERCEPT_PRECISION / information), 1 / information


def log_odds_shift(log_odds: np.ndarray, y: np.ndarray, *, precision: float, weight: np.ndarray | None = None) -> float:
    """Give the shift of all log-odds that outcomes and a normal prior around none make likeliest.

    By bisection of the score, which falls.

    Parameters
    ----------
    log_odds : array of float, shape (n_rows,)
    y : array of {0, 1}, shape (n_rows,)
    precision : float
        One over the prior's variance.
    weight : array of float or None, shape (n_rows,)
        Divided by the design effect where rows repeat each other; None for one each.

    Examples
    --------
    Eight of ten where half was expected would be a shift of log(4) = 1.39; ten leads are too few for that:

    >>> even, y = np.zeros(10), np.array([1] * 8 + [0] * 2)
    >>> round(log_odds_shift(even, y, precision=1e-6), 2), round(log_odds_shift(even, y, precision=16), 2)
    (1.39, 0.16)
    """
    weight = np.ones(len(y)) if weight is None else weight
    low, high = -30.0, 30.0
    for _ in range(100):
        middle = (low + high) / 2
        score = float((weight * (y - sigmoid(log_odds + middle))).sum()) - precision * middle
        low, high = (middle, high) if score > 0 else (low, middle)
    return (low + high) / 2
