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
# Draws of a perfect model's outcomes: a p-value near 0.01 is then known to 0.003.
N_CHANCE_DRAWS = 1000
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


def auc(y: np.ndarray, score: np.ndarray, *, weight: np.ndarray | None = None) -> float:
    """Chance that a converted lead scores above one that did not, ties counted half. 0.5 is guessing, 1 perfect.

    NaN where one outcome is missing.

    Examples
    --------
    >>> auc(np.array([1, 0, 1, 0]), np.array([0.9, 0.1, 0.5, 0.5]))
    0.875
    """
    return _auc(*_by_score(y, score, weight=weight))


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


def _by_score(y: np.ndarray, score: np.ndarray, *, weight: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Count converted and other leads at each distinct score, lowest first."""
    weight = np.ones(len(y)) if weight is None else weight
    _, tie = np.unique(score, return_inverse=True)
    return np.bincount(tie, weights=weight * y), np.bincount(tie, weights=weight * (1 - y))


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


def design_effect(residual: np.ndarray, groups: np.ndarray, *, weight: np.ndarray | None = None) -> float:
    """How many weighted rows carry the news of one independent lead. One or more.

    The variance of the weighted sum of residuals with whole groups as units, over what it were if each unit of weight
    were a lead of its own. Counts divided by it are effective counts, to which exact formulas for independent
    leads apply (Rao and Scott, Biometrics 48, 1992). Less than one would be luck, and is not used.

    Parameters
    ----------
    residual : array of float, shape (n_rows,)
        Outcomes less what was expected of them.
    groups : array of int, shape (n_rows,)
        Rows of one lead or account.
    weight : array of float or None, shape (n_rows,)
        Snapshots of one lead add up to one; None for a lead each.

    Examples
    --------
    Two leads, each written down three times; then the same as snapshots that share the weight of a lead:

    >>> residual, groups = np.array([0.8, 0.8, 0.8, -0.2, -0.2, -0.2]), np.array([0, 0, 0, 1, 1, 1])
    >>> round(design_effect(residual, groups), 6)
    3.0
    >>> round(design_effect(residual, groups, weight=np.full(6, 1 / 3)), 6)
    1.0
    """
    weight = np.ones(len(residual)) if weight is None else weight
    _, group = np.unique(groups, return_inverse=True)
    apart = float((weight * residual**2).sum())
    together = float((np.bincount(group, weights=weight * residual) ** 2).sum())
    return max(together / apart, 1.0) if apart > 0 else 1.0


def poisson_ratio(converted: float, expected: float, *, effect: float = 1.0, confidence: float = 0.95) -> Interval:
    """Conversions over those expected, with the exact Poisson interval (Garwood, Biometrika 28, 1936).

    Parameters
    ----------
    converted, expected : float
        Weighted counts.
    effect : float
        From `design_effect`: the interval is that of ``converted / effect`` independent conversions.
    confidence : float in (0, 1)

    Returns
    -------
    Interval
        One is a level that came true; above it, more leads converted than the probabilities said.

    Examples
    --------
    >>> ratio = poisson_ratio(131, 120)
    >>> round(ratio.value, 2), round(ratio.low, 2), round(ratio.high, 2)
    (1.09, 0.91, 1.3)
    """
    tail, counted = (1 - confidence) / 2, converted / effect
    low = float(stats.chi2.ppf(tail, 2 * counted)) / 2 if converted > 0 else 0.0
    high = float(stats.chi2.ppf(1 - tail, 2 * (counted + 1))) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        value, low, high = np.array([converted, effect * low, effect * high]) / np.float64(expected)
    return Interval(value=float(value), low=float(low), high=float(high))


def p_in_words(p: float) -> str:
    """Write a p-value as people read it; of a thousand draws none can still be one in two thousand.

    Examples
    --------
    >>> p_in_words(0.0), p_in_words(0.234)
    ('p < 0.001', 'p = 0.23')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def poisson_p_value(converted: float, expected: float, *, effect: float = 1.0) -> float:
    """Chance of a count at least as far out, were `expected` the truth: twice the smaller exact Poisson tail.

    Examples
    --------
    Nothing where three were expected has probability exp(-3) = 0.0498:

    >>> round(poisson_p_value(0, 3), 4)
    0.0996
    """
    counted, mean = converted / effect, expected / effect
    # The two tails as incomplete gamma functions, which effective counts that are no whole numbers need.
    at_most = float(special.gammaincc(counted + 1, mean))
    at_least = float(special.gammainc(counted, mean)) if counted > 0 else 1.0
    return min(2 * min(at_most, at_least), 1.0)


def observed_over_expected(
    y: np.ndarray,
    probability: np.ndarray,
    *,
    groups: np.ndarray,
    weight: np.ndarray | None = None,
    confidence: float = 0.95,
) -> Interval:
    """Give the conversions of these rows over those that the probabilities promised (O/E): calibration in the large.

    The interval is the exact Poisson one where each row is a lead of its own, and that of effective counts where rows
    share a lead or account.

    Parameters
    ----------
    y : array of {0, 1}, shape (n_rows,)
    probability : array of float in [0, 1], shape (n_rows,)
    groups : array of int, shape (n_rows,)
    weight : array of float or None, shape (n_rows,)
    confidence : float in (0, 1)

    Examples
    --------
    >>> ratio = observed_over_expected(np.array([1, 0, 1, 0]), np.full(4, 0.25), groups=np.arange(4))
    >>> round(ratio.value, 6), round(ratio.low, 3), round(ratio.high, 3)
    (2.0, 0.242, 7.225)
    """
    converted, expected, effect = level_counts(y, probability, groups=groups, weight=weight)
    return poisson_ratio(converted, expected, effect=effect, confidence=confidence)


def level_counts(
    y: np.ndarray, probability: np.ndarray, *, groups: np.ndarray, weight: np.ndarray | None = None
) -> tuple[float, float, float]:
    """Count weighted conversions and those expected, and give the design effect of their ratio."""
    weight = np.ones(len(y)) if weight is None else weight
    converted, expected = float((weight * y).sum()), float((weight * probability).sum())
    # A level that is off by one factor everywhere says nothing of whether rows repeat each other.
    ratio = converted / expected if expected > 0 else 1.0
    return converted, expected, design_effect(y - ratio * probability, groups, weight=weight)


def cox_line(
    y: np.ndarray, probability: np.ndarray, *, groups: np.ndarray, weight: np.ndarray | None = None
) -> tuple[Interval, Interval]:
    """Regress outcomes on the log-odds of the probabilities (Cox, Biometrika 45, 1958).

    Maximum likelihood by Newton's method; 95 % normal intervals from the larger of the model's variance and the
    sandwich with groups as units (Liang and Zeger, Biometrika 73, 1986).

    Parameters
    ----------
    y : array of {0, 1}, shape (n_rows,)
    probability : array of float in [0, 1], shape (n_rows,)
    groups : array of int, shape (n_rows,)
    weight : array of float or None, shape (n_rows,)

    Returns
    -------
    slope, intercept : Interval
        1 and 0 of a calibrated model. A slope below 1: probabilities are too far from each other. NaN where one
        outcome is missing, all probabilities are equal, or they part the outcomes without a mistake.

    Examples
    --------
    Of leads called 20 % and 80 %, 30 % and 70 % convert: the slope is the ratio of the log-odds.

    >>> y, p = np.repeat([1, 0, 1, 0], [30, 70, 70, 30]), np.repeat([0.2, 0.8], 100)
    >>> slope, intercept = cox_line(y, p, groups=np.arange(200))
    >>> round(slope.value, 4), round(float(np.log(0.3 / 0.7) / np.log(0.2 / 0.8)), 4), round(abs(intercept.value), 4)
    (0.6112, 0.6112, 0.0)
    """
    unknown = Interval(value=float("nan"), low=float("nan"), high=float("nan"))
    weight = np.ones(len(y)) if weight is None else weight
    log_odds = special.logit(np.clip(probability, EPSILON, 1 - EPSILON))
    if len(np.unique(y[weight > 0])) < 2 or np.ptp(log_odds[weight > 0]) < 1e-6 or _is_parted(y, log_odds):
        return unknown, unknown
    design = np.column_stack([log_odds, np.ones(len(y))])

    def loss(line: np.ndarray) -> float:
        at = design @ line
        return float((weight * (np.logaddexp(0, at) - y * at)).sum())

    line = np.array([0.0, special.logit(np.average(y, weights=weight))])
    for _ in range(50):
        fitted = special.expit(design @ line)
        hessian = (design * (weight * fitted * (1 - fitted))[:, None]).T @ design
        if np.linalg.cond(hessian) > 1e14:  # parted but for leads that are alike to the digit
            return unknown, unknown
        step = np.linalg.solve(hessian, design.T @ (weight * (y - fitted)))
        # A full step can overshoot; the loss is convex, so a part of it always pays.
        while loss(line + step) > loss(line) and np.abs(step).max() > 1e-9:
            step = step / 2
        line = line + step
        if np.abs(step).max() < 1e-9:
            break
    inverse = np.linalg.inv(hessian)
    _, group = np.unique(groups, return_inverse=True)
    n_groups = int(group.max()) + 1
    parts = (design * (weight * (y - fitted))[:, None]).T
    scores = np.array([np.bincount(group, weights=part) for part in parts])
    spread = scores @ scores.T * n_groups / max(n_groups - 1, 1)
    error = 1.96 * np.sqrt(np.maximum(np.diag(inverse), np.diag(inverse @ spread @ inverse)))
    slope, intercept = (
        Interval(value=float(at), low=float(at - far), high=float(at + far))
        for at, far in zip(line, error, strict=True)
    )
    return slope, intercept


def _is_parted(y: np.ndarray, score: np.ndarray) -> bool:
    """Say whether one score parts the outcomes, ties at it aside: no slope is then the most likely."""
    won, lost = score[y == 1], score[y == 0]
    return bool(won.min() >= lost.max() or won.max() <= lost.min())


def debiased_ce(
    y: np.ndarray,
    probability: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> float:
    """Root mean squared gap between probability and conversion rate over ten equal-mass bins, less what chance adds.

    ``CE^2 = sum_b n_b / n ((rate_b - p_b)^2 - rate_b (1 - rate_b) / (n_b - 1))``, zero where that is negative (Kumar,
    Liang and Ma, NeurIPS 2019). About zero of a perfect model at any number of leads, as the ECE is not.

    Parameters
    ----------
    y : array of {0, 1}, shape (n_rows,)
    probability : array of float in [0, 1], shape (n_rows,)
    groups : array of int or None, shape (n_rows,)
        Rows of one lead or account; None for rows apart. What chance adds is that of effective counts.
    weight : array of float or None, shape (n_rows,)
        Counts are sums of it.

    Examples
    --------
    Of 101 leads called 50 %, 61 convert: 0.104 off, of which chance makes the root of 0.0024.

    >>> y = np.repeat([1, 0], [61, 40])
    >>> round(debiased_ce(y, np.full(101, 0.5)), 4), round(((61 / 101 - 0.5) ** 2 - 61 * 40 / 101**2 / 100) ** 0.5, 4)
    (0.0917, 0.0917)
    """
    weight = np.ones(len(y)) if weight is None else weight
    bins = equal_mass_bins(probability)
    effect = 1.0 if groups is None else design_effect(*_in_bins(y, bins, groups, weight), weight=weight)
    return _debiased_ce(y, probability, weight, bins=bins, effect=effect)


def debiased_ce_interval(
    y: np.ndarray,
    probability: np.ndarray,
    *,
    groups: np.ndarray,
    weights: np.ndarray,
    weight: np.ndarray | None = None,
) -> Interval:
    """Give the debiased calibration error with its 95 % percentile interval over cluster draws.

    Parameters
    ----------
    y, probability, groups, weight : array, shape (n_rows,)
        As `debiased_ce` takes them.
    weights : array of float, shape (n_draws, n_rows)
        From `cluster_weights`.
    """
    weight = np.ones(len(y)) if weight is None else weight
    bins = equal_mass_bins(probability)
    effect = design_effect(*_in_bins(y, bins, groups, weight), weight=weight)
    # Rows drawn again scatter about rows that scatter about the truth: chance is in a draw twice.
    draws = [_debiased_ce(y, probability, drawn * weight, bins=bins, effect=effect, times=2.0) for drawn in weights]
    return _interval(_debiased_ce(y, probability, weight, bins=bins, effect=effect), np.array(draws))


def _debiased_ce(
    y: np.ndarray, probability: np.ndarray, weight: np.ndarray, *, bins: np.ndarray, effect: float, times: float = 1.0
) -> float:
    size = np.bincount(bins, weights=weight, minlength=N_BINS)
    gap = np.bincount(bins, weights=weight * (y - probability), minlength=N_BINS)
    won = np.bincount(bins, weights=weight * y, minlength=N_BINS)
    # A bin of one lead does not tell its own scatter.
    known = size > effect
    if not known.any():
        return float("nan")
    count = size[known]
    rate = won[known] / count
    square = (gap[known] / count) ** 2 - times * rate * (1 - rate) / (count / effect - 1)
    return float(np.sqrt(max(np.average(square, weights=count), 0.0)))


def _in_bins(y: np.ndarray, bins: np.ndarray, groups: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give what each outcome misses of its bin's conversion rate, and the group's part in that bin."""
    size = np.bincount(bins, weights=weight, minlength=N_BINS)
    rate = np.bincount(bins, weights=weight * y, minlength=N_BINS) / np.where(size > 0, size, 1)
    _, group = np.unique(groups, return_inverse=True)
    return y - rate[bins], group * N_BINS + bins


def chance_gaps(
    probability: np.ndarray,
    *,
    bins: np.ndarray,
    weight: np.ndarray | None = None,
    seed: int = 0,
    n_draws: int = N_CHANCE_DRAWS,
) -> np.ndarray:
    """Draw outcomes from the probabilities, again and again, and sum what they miss in each bin.

    Parameters
    ----------
    probability : array of float in [0, 1], shape (n_rows,)
    bins : array of int, shape (n_rows,)
    weight : array of float or None, shape (n_rows,)
    seed, n_draws : int

    Returns
    -------
    array of float, shape (n_draws, N_BINS)
        Weighted sums of probability less outcome: what a perfect model shows.
    """
    rng = np.random.default_rng(seed)
    weight = np.ones(len(probability)) if weight is None else weight
    # Half the random bits are plenty for a comparison, and take half the time.
    limit, expected = probability.astype(np.float32), np.bincount(bins, weights=weight * probability, minlength=N_BINS)
    drawn = (weight * (rng.random(len(limit), dtype=np.float32) < limit) for _ in range(n_draws))
    return np.array([expected - np.bincount(bins, weights=won, minlength=N_BINS) for won in drawn])


def consistency_p_value(
    y: np.ndarray,
    probability: np.ndarray,
    *,
    groups: np.ndarray,
    weight: np.ndarray | None = None,
    seed: int = 0,
    n_draws: int = N_CHANCE_DRAWS,
) -> float:
    """Share of draws ``y* ~ Bernoulli(probability)`` whose ECE is at least the one seen (Bröcker and Smith, 2007).

    Parameters
    ----------
    y : array of {0, 1}, shape (n_rows,)
    probability : array of float in [0, 1], shape (n_rows,)
    groups : array of int, shape (n_rows,)
        Rows of one lead or account. Draws are of rows apart; where rows of a group move together, what a draw
        misses is widened by the root of their design effect.
    weight : array of float or None, shape (n_rows,)
    seed, n_draws : int

    Returns
    -------
    float in [0, 1]
        Small: chance alone seldom makes such an error, so the model's probabilities are off.

    Examples
    --------
    One lead in five converts of those called 20 %, and none of those called 40 %:

    >>> p = np.repeat([0.2, 0.4], 100)
    >>> consistency_p_value(np.repeat([1, 0], [20, 180]), p, groups=np.arange(200))
    0.0
    """
    weight = np.ones(len(y)) if weight is None else weight
    bins = equal_mass_bins(probability)
    seen = np.abs(np.bincount(bins, weights=weight * (probability - y), minlength=N_BINS)).sum()
    drawn = np.abs(chance_gaps(probability, bins=bins, weight=weight, seed=seed, n_draws=n_draws)).sum(axis=1)
    widened = drawn * np.sqrt(chance_effect(y, bins, groups=groups, weight=weight))
    # Equal errors, summed in another order, are equal.
    return float(np.mean(widened >= seen - 1e-9 * weight.sum()))


def chance_effect(y: np.ndarray, bins: np.ndarray, *, groups: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Give the variance of what bins miss over what it were with rows, not leads, apart: to widen `chance_gaps` by."""
    weight = np.ones(len(y)) if weight is None else weight
    residual, parts = _in_bins(y, bins, groups, weight)
    return design_effect(weight * residual, parts)


def benjamini_hochberg(p_values: np.ndarray, *, share: float = 0.05) -> np.ndarray:
    """Say which of many p-values stand when at most `share` of those that do may be chance.

    Benjamini and Hochberg, J. R. Stat. Soc. B 57, 1995.

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.6, 0.001, 0.02, 0.04]))
    array([False,  True,  True, False])
    """
    n = len(p_values)
    order = np.argsort(p_values, kind="stable")
    stands = np.flatnonzero(p_values[order] <= share * np.arange(1, n + 1) / max(n, 1))
    found = np.zeros(n, dtype=bool)
    found[order[: stands[-1] + 1 if len(stands) else 0]] = True
    return found
