"""The only place for the learning curve: whether more history would help, and how much of it is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from propensity.bands import MIN_POSITIVES_CERTIFIED, Promise, growth_to_certify
from propensity.calibration import fit_calibrator
from propensity.folds import Blocks, Split, group_blocks
from propensity.metrics import Interval, cluster_weights, rate_interval, row_log_loss, shift_to_rate
from propensity.training.rows import Examples

# The past is dealt into so many parts of whole leads: halves hold quarters, quarters hold eighths.
N_PARTS = 8
# Of each size so many parts teach: two tell what chance among those that teach does, more would cost what they tell.
N_TAUGHT = 2
# A part with fewer conversions shows a learner that has nothing to learn from, not the start of a curve.
MIN_TAUGHT = 10
# A line through two points fits anything.
MIN_LEVELS = 3
# The excess log loss of a regular parametric model falls as 1/n (c = 1); flexible learners under a penalty are slower,
# down to the root. Few points cannot tell c better than that.
EXPONENTS = np.linspace(0.5, 1.0, 6)
# Points this unlikely around the best power law do not follow one.
CHANCE = 0.01
# Nothing is said of more history than so many times what there is: the points reach as far in the other direction.
REACH = 8.0
_GROWTHS = np.geomspace(1.0, REACH, 61)
# One-sided 95 %: what the verdict asks of the gain over the constant.
SURE = 1.645

Margin = Callable[[Split], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Level:
    """A share of the past that taught, and how well what it taught did.

    Parameters
    ----------
    share : float in (0, 1]
        Of the leads of each block's past.
    size : float
        Rows that taught, over all training rows; the mean over judged rows.
    loss : Interval
        Log loss on later or other leads once the model is told each block's base rate, in nats.
    """

    share: float
    size: float
    loss: Interval


@dataclass(frozen=True, kw_only=True)
class Need:
    """How much history a goal needs, as a multiple of what there is.

    Parameters
    ----------
    goal : {"model", "skill", "certified", "level"}
        A model at all; that it beats the base rate; that the SQL promise is certified; that the next doubling is
        expected to gain less than its own standard error.
    growth : float
        At least 1; infinite where no history within reach is expected to do.
    low, high : float
        90 % interval; `high` is infinite where nothing bounds it.
    """

    goal: str
    growth: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What is known of more history. Growth is a multiple of all training rows.

    Parameters
    ----------
    positives : int
        Rows that converted, as the summary counts them.
    months : float or None
        What all training rows took to come in, at the newest pace; None without dates.
    levels : tuple of Level
        Smallest share first; empty where the past is too small to be parted.
    constant_loss : float
        Of the base rate for everyone, on the same rows.
    next_gain : Interval or None
        Fall of the log loss when history doubles; None where the points support no extrapolation.
    next_error : float
        Standard error of that fall.
    law : tuple of float or None
        ``a, b, c`` of ``loss(size) = a + b size ** -c``; there with `next_gain`.
    needs : tuple of Need
        Goals that are not reached.
    """

    positives: int
    months: float | None
    levels: tuple[Level, ...] = ()
    constant_loss: float = float("nan")
    next_gain: Interval | None = None
    next_error: float = float("nan")
    law: tuple[float, float, float] | None = None
    needs: tuple[Need, ...] = ()

    @property
    def is_level(self) -> bool:
        """Whether the next doubling is expected to gain less than its own standard error."""
        return self.next_gain is not None and self.next_gain.value <= self.next_error

    def more(self, growth: float) -> int:
        """Give how many more conversions a growth is."""
        return int(np.ceil(round((growth - 1) * self.positives, 6)))

    def more_months(self, growth: float) -> float | None:
        """Give how many months a growth takes at the newest pace."""
        return None if self.months is None else (growth - 1) * self.months

    def to_dict(self) -> dict[str, Any]:
        """Give the curve as plain JSON values; what is unknown or without end is None."""
        return {
            "levels": [
                {"share": level.share, "conversions": level.size * self.positives, **level.loss.to_dict()}
                for level in self.levels
            ],
            "constant_loss": self.constant_loss if self.levels else None,
            "next_doubling": {**self.next_gain.to_dict(), "error": self.next_error} if self.next_gain else None,
            "is_level": self.is_level,
            "needs": {
                need.goal: {
                    "conversions": _whole(need.growth, self),
                    "low": _whole(need.low, self),
                    "high": _whole(need.high, self),
                    "months": self.more_months(need.growth) if np.isfinite(need.growth) else None,
                }
                for need in self.needs
            },
        }


def _whole(growth: float, curve: Curve) -> int | None:
    return curve.more(growth) if np.isfinite(growth) else None


def months_for(n_leads: float, leads_per_week: float | None) -> float | None:
    """Give the months in which so many leads come.

    Examples
    --------
    >>> round(months_for(1200, 23.0), 2)
    12.0
    """
    return n_leads / leads_per_week * 12 * 7 / 365.25 if leads_per_week else None


def few_curve(positives: int, *, least: int, months: float | None) -> Curve:
    """Say how much history is needed until a model is tried, where there are too few conversions for one.

    Parameters
    ----------
    positives : int
    least : int
        Conversions a model needs.
    months : float or None
        What the rows took to come in.
    """
    growth = least / positives if positives else float("inf")
    # Future conversions scatter about the pace by chance alone; what is needed is a count, which does not.
    need = (Need(goal="model", growth=growth, low=growth, high=growth),) if positives < least else ()
    return Curve(positives=positives, months=months, needs=need)


def learning_curve(
    examples: Examples,
    blocks: Blocks,
    margin: Margin,
    *,
    positives: int,
    n_rows: int,
    months: float | None,
    seed: int,
    evaluated_size: float,
    n_evaluated: int,
    is_skilled: bool,
    promise: Promise,
    n_positive: float,
    confidence: float,
) -> Curve:
    """Measure how the log loss falls with the number of leads that teach, and carry it on with a power law.

    Parts of the past are whole leads or accounts drawn at random from all of it: newer parts would mix the number of
    leads with how much the world has moved. Each part teaches the same learner and is judged on the same out-of-fold
    rows, told each block's base rate, as the verdict of skill is.

    Parameters
    ----------
    examples : Examples
        Those from before the headline test.
    blocks : Blocks
        Out-of-fold blocks of `examples`.
    margin : callable (Split) -> array of float
        Train on a split's past and give the margins of its test rows.
    positives, n_rows : int
        Of all training rows.
    months : float or None
        What they took to come in.
    seed : int
    evaluated_size : float
        Rows that taught the models the verdict is about, over all training rows.
    n_evaluated : int
        Rows the verdict is about.
    is_skilled : bool
    promise : Promise
        Of SQL.
    n_positive : float
        Conversions as `fit_bands` counts them.
    confidence : float
        Of the agreement.

    Returns
    -------
    Curve
    """
    certify = () if promise.certified else (_certify_need(promise, n_positive, confidence=confidence),)
    found = _losses(examples, blocks, margin, seed=seed)
    if found is None:
        return Curve(positives=positives, months=months, needs=certify)
    weights = cluster_weights(examples.groups[found.rows], seed=seed) * examples.weights[found.rows]
    # The first line is what was seen, the others are draws of judged leads.
    drawn = np.vstack([examples.weights[found.rows], weights])
    drawn = drawn / drawn.sum(axis=1, keepdims=True)
    constant = drawn @ found.constant
    losses = drawn @ np.column_stack([np.mean(parts, axis=0) for parts in found.losses])
    # Other leads would have taught otherwise. The parts of a size hold other leads, so their mean scatters less.
    rng, noise = np.random.default_rng(seed), _training_noise(found, drawn[0])
    scatter = rng.normal(size=losses[1:].shape)
    apart = np.array([len(parts) for parts in found.losses])
    losses[1:] += noise / (found.shares * np.sqrt(apart)) * scatter
    sizes = found.shares * found.taught / n_rows
    curve = Curve(
        positives=positives,
        months=months,
        levels=tuple(
            Level(share=float(share), size=float(size), loss=_interval(loss, inside=0.95))
            for share, size, loss in zip(found.shares, sizes, losses.T, strict=True)
        ),
        constant_loss=float(constant[0]),
    )
    # The verdict's test rows grow with history too.
    spread = SURE * (constant - losses[:, -1])[1:].std() * np.sqrt(len(found.rows) / n_evaluated / _GROWTHS)
    gain = np.tile((constant - losses[:, -1])[:, None], len(_GROWTHS))
    law = _law(sizes, losses, constant)
    if law is not None:
        a, b, c = law.T[:, :, None]
        gain = constant[:, None] - a - b * (evaluated_size * _GROWTHS) ** -c
    needs = [*([] if is_skilled else [_need("skill", gain > spread)]), *certify]
    if law is None:
        return replace(curve, needs=tuple(needs))
    next_gain = b[:, 0] * (1 - 2.0 ** -c[:, 0])
    # What will be seen is one model taught by some leads against one taught by twice as many.
    now = noise * sizes[-1]
    next_gain[1:] += now * np.sqrt(1 + 1 / 4) * rng.normal(size=len(weights))
    error = float(next_gain[1:].std())
    if next_gain[0] > error:
        needs.append(_need("level", b * (1 - 2.0**-c) * _GROWTHS**-c <= error))
    return replace(
        curve,
        next_gain=_interval(next_gain, inside=0.9),
        next_error=error,
        law=(float(law[0, 0]), float(law[0, 1]), float(law[0, 2])),
        needs=tuple(needs),
    )


def _law(sizes: np.ndarray, losses: np.ndarray, constant: np.ndarray) -> np.ndarray | None:
    """Fit the power law to the levels that follow it; None where too few do."""
    # Where the base rate for everyone does as well, what a learner does is not yet the law of its later losses.
    is_worse = np.flatnonzero(losses[0] >= constant[0])
    on_law = slice(is_worse[-1] + 1 if len(is_worse) else 0, None)
    if len(sizes[on_law]) < MIN_LEVELS:
        return None
    law, misfit = fit_power_law(sizes[on_law], losses[:, on_law], np.cov(losses[1:, on_law].T))
    return law if misfit <= stats.chi2.ppf(1 - CHANCE, len(sizes[on_law]) - 2) else None


def fit_power_law(sizes: np.ndarray, losses: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, float]:
    """Fit ``loss = a + b size ** -c``, ``b >= 0``, by generalised least squares to each line of losses.

    Parameters
    ----------
    sizes : array of float, shape (n_levels,)
    losses : array of float, shape (n_lines, n_levels)
    covariance : array of float, shape (n_levels, n_levels)
        Of a line's losses: judged rows that are hard are so for every size.

    Returns
    -------
    law : array of float, shape (n_lines, 3)
        ``a, b, c`` of each line; c between one half and 1.
    misfit : float
        Squared distance of the first line from its law, in standard errors.

    Examples
    --------
    >>> sizes = np.array([0.125, 0.25, 0.5, 1.0])
    >>> law, misfit = fit_power_law(sizes, 0.3 + 0.02 / sizes[None, :], np.eye(4) * 1e-6)
    >>> law.round(6).tolist(), round(misfit, 6)
    ([[0.3, 0.02, 1.0]], 0.0)
    """
    # A trace of a ridge: shared noise alone would leave nothing to invert.
    trusted = np.linalg.inv(covariance + np.eye(len(sizes)) * (1e-9 * np.trace(covariance) + 1e-18))
    best = np.full((len(losses), 4), np.inf)
    for c in EXPONENTS:
        for design in (np.column_stack([np.ones(len(sizes)), sizes**-c]), np.ones((len(sizes), 1))):
            fitted = losses @ trusted @ design @ np.linalg.inv(design.T @ trusted @ design)
            apart = losses - fitted @ design.T
            distance = np.einsum("ij,jk,ik->i", apart, trusted, apart)
            b = fitted[:, 1] if design.shape[1] == 2 else np.zeros(len(losses))
            # More leads that teach worse are chance: the best law is then flat.
            better = (distance < best[:, 3]) & (b >= 0)
            best[better] = np.column_stack([fitted[:, 0], b, np.full(len(b), c), distance])[better]
    return best[:, :3], float(best[0, 3])


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Row losses: of each share, those of the parts that taught, shape (n_taught, n_judged)."""

    shares: np.ndarray
    losses: list[np.ndarray]
    constant: np.ndarray
    rows: np.ndarray
    taught: float


def _losses(examples: Examples, blocks: Blocks, margin: Margin, *, seed: int) -> _Found | None:
    """Teach on every part of every block's past; None where the parts are too small for three levels."""
    y, own = examples.y, examples.weights
    chain = _partable(blocks, examples)
    if not chain and blocks.is_time:
        # A short or purged history: folds of leads cannot see drift, but this is not asked here.
        chain = _partable(group_blocks(y, examples.groups, seed=seed), examples)
    if not chain:
        return None
    n_taught = min(float((own * y)[split.past].sum()) for split in chain)
    n_parts = [n for n in (8, 4, 2, 1) if n_taught / n >= MIN_TAUGHT]
    part = group_blocks(y, examples.groups, seed=seed, n_blocks=N_PARTS).of_row
    if part.max() + 1 < N_PARTS:
        return None
    rows = np.concatenate([split.test for split in chain])
    block = np.repeat(np.arange(len(chain)), [len(split.test) for split in chain])

    def judged(n: int, i: int) -> np.ndarray:
        taught = [Split(past=split.past[part[split.past] * n // N_PARTS == i], test=split.test) for split in chain]
        found = np.concatenate([margin(split) for split in taught])
        fitted = fit_calibrator(found, y[rows], block, weight=own[rows])
        return _told_rates(fitted.probability(found), y[rows], block, own[rows])

    return _Found(
        shares=1 / np.array(n_parts),
        losses=[np.array([judged(n, i) for i in range(min(n, N_TAUGHT))]) for n in n_parts],
        constant=_told_rates(np.full(len(rows), 0.5), y[rows], block, own[rows]),
        rows=rows,
        taught=float(np.average([len(split.past) for split in chain], weights=[len(split.test) for split in chain])),
    )


def _partable(blocks: Blocks, examples: Examples) -> list[Split]:
    """Give the splits of the blocks whose past can be parted into enough sizes."""
    least = MIN_TAUGHT * 2 ** (MIN_LEVELS - 1)
    chain = [blocks.split(block, examples.groups) for block in range(blocks.n_blocks)]
    won = examples.weights * examples.y
    return [split for split in chain if len(split.test) and won[split.past].sum() >= least]


def _told_rates(probability: np.ndarray, y: np.ndarray, block: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Give each row's log loss once each block is told its base rate: more leads do not tell where a level moves."""
    loss = np.empty(len(y))
    for inside in (block == b for b in np.unique(block)):
        rate = float(np.average(y[inside], weights=weight[inside]))
        loss[inside] = row_log_loss(y[inside], shift_to_rate(probability[inside], rate, weight=weight[inside]))
    return loss


def _training_noise(found: _Found, share: np.ndarray) -> float:
    """Give the standard deviation of the loss by which leads taught, at the full size.

    The excess loss of a regular model scatters as 1/n, so what parts of each size differ by is one number.
    """
    variances, freedom = [], []
    for part, losses in zip(found.shares, found.losses, strict=True):
        if len(losses) > 1:
            variances.append(float((losses @ share).var(ddof=1)) * part**2)
            freedom.append(len(losses) - 1)
    return float(np.sqrt(np.average(variances, weights=freedom)))


def _interval(values: np.ndarray, *, inside: float) -> Interval:
    low, high = np.quantile(values[1:], [(1 - inside) / 2, (1 + inside) / 2])
    return Interval(value=float(values[0]), low=float(low), high=float(high))


def _need(goal: str, is_reached: np.ndarray) -> Need:
    """Find the least growth that reaches a goal: as seen, and in nine draws of ten."""
    growth = np.where(is_reached.any(axis=1), _GROWTHS[is_reached.argmax(axis=1)], np.inf)
    low, high = np.sort(growth[1:])[[len(growth) // 20, -1 - len(growth) // 20]]
    return Need(goal=goal, growth=float(growth[0]), low=float(low), high=float(high))


def _certify_need(promise: Promise, n_positive: float, *, confidence: float) -> Need:
    """Find the growth at which leads such as these would certify the promise."""
    delta = (1 - confidence) / 2
    least = max(MIN_POSITIVES_CERTIFIED / max(n_positive, 1.0), 1.0)
    n, won = promise.n_leads, promise.n_converted
    low, high = rate_interval(won, n, confidence=0.9) if n else (0.0, 1.0)
    growths = [
        max(least, growth_to_certify(at, n, rate=promise.rate, delta=delta)) for at in (promise.observed, high, low)
    ]
    return Need(goal="certified", growth=growths[0], low=growths[1], high=growths[2])
