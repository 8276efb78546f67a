"""The only place for formulas that measure probabilities against outcomes.

All take `y` (1 converted, 0 not), `probability` in [0, 1]. They are written out,
not taken from scikit-learn, because the intervals weigh the same rows hundreds of times; the tests hold them
against scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import special, stats

N_BINS = 10
N_DRAWS = 400
# Probabilities are kept this far from 0 and 1 where a logarithm is taken.
EPSILON = 1e-15

METRIC_NAMES = ("auc", "average_precision", "log_loss", "brier", "ece", "lift_at_10")


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure and its 95 % interval over leads drawn again."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Give the figure as plain JSON values."""
        return {"value": self.value, "low": self.low, "high": self.high}


def log_loss(y: np.ndarray, probability: np.ndarray) -> float:
    """Mean negative log likelihood, in nats. The smaller the better, minimum is zero.

    Examples
    --------
    >>> round(log_loss(np.array([1, 0]), np.array([0.5, 0.5])), 6)
    0.693147
    """
    return float(row_log_loss(y, probability).mean())


def row_log_loss(y: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Negative log likelihood of each row, in nats."""
    clipped = np.clip(probability, EPSILON, 1 - EPSILON)
    return np.asarray(-np.where(y == 1, np.log(clipped), np.log1p(-clipped)))


def brier(y: np.ndarray, probability: np.ndarray) -> float:
    """Mean squared error of the probability. The smaller the better, minimum is zero."""
    return float(((probability - y) ** 2).mean())


def auc(y: np.ndarray, score: np.ndarray) -> float:
    """Chance that a converted lead scores above one that did not, ties counted half. 0.5 is guessing, 1 perfect.

    NaN where one outcome is missing.

    Examples
    --------
    >>> auc(np.array([1, 0, 1, 0]), np.array([0.9, 0.1, 0.5, 0.5]))
    0.875
    """
    return _auc(*_by_score(y, score))


def average_precision(y: np.ndarray, score: np.ndarray) -> float:
    """Precision averaged over the conversions, each at its own score. Guessing gives the base rate, 1 is perfect."""
    return _average_precision(*_by_score(y, score))


def lift_at(y: np.ndarray, score: np.ndarray, *, top: float = 0.1) -> float:
    """Conversion rate of the top share of leads over that of all. 1 is guessing.

    Leads tied at the edge of the top share count in part.
    """
    return _lift_at(*_by_score(y, score), top=top)


def ece(y: np.ndarray, probability: np.ndarray) -> float:
    """Average gap between probability and conversion rate over ten equal-mass bins (ECE).

    A perfect model is above zero on few leads; read it beside its interval.
    """
    gap = np.bincount(equal_mass_bins(probability), weights=probability - y, minlength=N_BINS)
    return float(np.abs(gap).sum() / len(y))


def equal_mass_bins(probability: np.ndarray, *, n_bins: int = N_BINS) -> np.ndarray:
    """Put rows into bins of equal size by probability; ties stay together."""
    edges = np.quantile(probability, np.linspace(0, 1, n_bins + 1)[1:-1])
    return np.searchsorted(edges, probability, side="left")


def _by_score(y: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count converted and other leads at each distinct score, lowest first."""
    _, tie = np.unique(score, return_inverse=True)
    return np.bincount(tie, weights=y), np.bincount(tie, weights=1 - y)


def _auc(positive: np.ndarray, negative: np.ndarray) -> float:
    total = positive.sum() * negative.sum()
    below = np.cumsum(negative) - negative
    return float((positive * (below + 0.5 * negative)).sum() / total) if total else float("nan")


def _average_precision(positive: np.ndarray, negative: np.ndarray) -> float:
    found = np.cumsum(positive[::-1])
    chosen = found + np.cumsum(negative[::-1])
    precision = np.divide(found, chosen, out=np.zeros_like(found), where=chosen > 0)
    return float((precision * positive[::-1]).sum() / positive.sum()) if positive.sum() else float("nan")


def _lift_at(positive: np.ndarray, negative: np.ndarray, *, top: float) -> float:
    converted, size = positive[::-1], (positive + negative)[::-1]
    wanted = top * size.sum()
    before = np.cumsum(size) - size
    taken = np.clip((wanted - before) / np.where(size > 0, size, 1), 0, 1)
    rate = converted.sum() / size.sum()
    return float((taken * converted).sum() / wanted / rate) if rate else float("nan")


RANKINGS: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "auc": _auc,
    "average_precision": _average_precision,
    "lift_at_10": partial(_lift_at, top=0.1),
}


def cluster_weights(groups: np.ndarray, *, seed: int, n_draws: int = N_DRAWS) -> np.ndarray:
    """Draw whole groups with replacement, again and again.

    Parameters
    ----------
    groups : array of int, shape (n_rows,)
    seed : int
    n_draws : int

    Returns
    -------
    array of float, shape (n_draws, n_rows)
        How often each row was drawn.
    """
    _, group = np.unique(groups, return_inverse=True)
    n_groups = int(group.max()) + 1
    rng = np.random.default_rng(seed)
    draws = (np.bincount(rng.integers(0, n_groups, n_groups), minlength=n_groups)[group] for _ in range(n_draws))
    return np.array([*draws], dtype=np.float32)


def measure(
    y: np.ndarray, probability: np.ndarray, *, weights: np.ndarray, weight: np.ndarray | None = None
) -> dict[str, Interval]:
    """Compute every metric with its 95 % percentile interval over cluster draws.

    Parameters
    ----------
    y : array of {0, 1}, shape (n_rows,)
    probability : array of float in [0, 1], shape (n_rows,)
    weights : array of float, shape (n_draws, n_rows)
        From `cluster_weights`.
    weight : array of float or None, shape (n_rows,)
        Of rows that share a lead; None for one each.

    Returns
    -------
    dict of str to Interval
        Keys of `METRIC_NAMES`.
    """
    weight = np.ones(len(y)) if weight is None else weight
    weights = weights * weight
    _, tie = np.unique(probability, return_inverse=True)
    bins = equal_mass_bins(probability)
    total = weights.sum(axis=1)
    gaps = np.array([np.bincount(bins, weights=weight * (probability - y)) for weight in weights])
    draws = {
        "log_loss": (weights * row_log_loss(y, probability)).sum(axis=1) / total,
        "brier": (weights * (probability - y) ** 2).sum(axis=1) / total,
        "ece": np.abs(gaps).sum(axis=1) / total,
    }
    at_score = [(np.bincount(tie, weights=w * y), np.bincount(tie, weights=w * (1 - y))) for w in weights]
    draws |= {name: np.array([ranking(*pair) for pair in at_score]) for name, ranking in RANKINGS.items()}
    own = (np.bincount(tie, weights=weight * y), np.bincount(tie, weights=weight * (1 - y)))
    point = {name: ranking(*own) for name, ranking in RANKINGS.items()}
    gap = np.bincount(bins, weights=weight * (probability - y), minlength=N_BINS)
    point |= {
        "log_loss": float(np.average(row_log_loss(y, probability), weights=weight)),
        "brier": float(np.average((probability - y) ** 2, weights=weight)),
        "ece": float(np.abs(gap).sum() / weight.sum()),
    }
    return {name: _interval(point[name], draws[name]) for name in METRIC_NAMES}


def mean_interval(values: np.ndarray, *, weights: np.ndarray, weight: np.ndarray | None = None) -> Interval:
    """Give a mean with its 95 % percentile interval over cluster draws."""
    weight = np.ones(len(values)) if weight is None else weight
    weights = weights * weight
    mean = float(np.average(values, weights=weight))
    return _interval(mean, (weights * values).sum(axis=1) / weights.sum(axis=1))


def _interval(value: float, draws: np.ndarray) -> Interval:
    finite = draws[np.isfinite(draws)]
    low, high = np.quantile(finite, [0.025, 0.975]) if len(finite) else (np.nan, np.nan)
    return Interval(value=value, low=float(low), high=float(high))


def gain_lower_bound(gain: np.ndarray, *, weights: np.ndarray) -> float:
    """One-sided 95 % lower bound of a mean over cluster draws.

    Parameters
    ----------
    gain : array of float, shape (n_rows,)
        Log loss of the constant less that of the model, a row.
    weights : array of float, shape (n_draws, n_rows)
    """
    means = (weights * gain).sum(axis=1) / weights.sum(axis=1)
    return float(np.quantile(means, 0.05))


def shift_to_rate(probability: np.ndarray, rate: float, *, weight: np.ndarray | None = None) -> np.ndarray:
    """Shift all log-odds by one number so that the mean probability is `rate`.

    Parameters
    ----------
    probability : array of float in (0, 1), shape (n_rows,)
    rate : float in [0, 1]
        At 0 or 1 every probability becomes it.
    weight : array of float or None, shape (n_rows,)

    Examples
    --------
    >>> shift_to_rate(np.array([0.2, 0.2]), 0.5).round(6)
    array([0.5, 0.5])
    """
    clipped = np.clip(probability, EPSILON, 1 - EPSILON)
    log_odds = np.log(clipped) - np.log1p(-clipped)
    low, high = -80.0, 80.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if np.average(special.expit(log_odds + middle), weights=weight) < rate else (low, middle)
        )
    return np.asarray(special.expit(log_odds + (low + high) / 2))


def rate_interval(n_converted: float, n_leads: float, *, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval of a conversion rate (Biometrika 26, 1934).

    Examples
    --------
    >>> low, high = rate_interval(0, 10)
    >>> round(low, 3), round(high, 3)
    (0.0, 0.308)
    """
    tail = (1 - confidence) / 2
    low = 0.0 if n_converted == 0 else float(stats.beta.ppf(tail, n_converted, n_leads - n_converted + 1))
    high = 1.0 if n_converted == n_leads else float(stats.beta.ppf(1 - tail, n_converted + 1, n_leads - n_converted))
    return low, high
