"""The only place for how far log-odds would move if the model were trained again on other leads of its past."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from propensity.learners.linear import CategoryTerm, LinearModel

# Nine in ten draws of a normal law lie within so many standard deviations.
REACH = 1.64
# Directions in which coefficients move together that are kept; of the others only how far each coefficient moves.
RANK = 24
# Parts of the leads left out in turn to see how the calibrator moves.
N_LEFT_OUT = 12
# Numbers worked on at a time: what a cache holds.
CHUNK_CELLS = 60_000
# Significant digits kept: the range is an estimate, the bundle is text.
DIGITS = 5


@dataclass(frozen=True, kw_only=True)
class Stability:
    """Variance of a retrained model's log-odds, from the covariance of coefficients and of the calibrator.

    Parameters
    ----------
    scale : float
        Variance of the blend's margin, in that of the linear model's.
    directions : tuple of tuple of float, shape (n_coefficients, rank)
        A root of the coefficients' covariance, cut short. Coefficients are the intercept, then term by term one a
        code, or a slope, and one for missing.
    rest : tuple of float, shape (n_coefficients,)
        Variances that the cut left out.
    calibration : tuple of float
        Variance of slope, covariance of both, variance of intercept.
    """

    scale: float
    directions: tuple[tuple[float, ...], ...]
    rest: tuple[float, ...]
    calibration: tuple[float, float, float]

    def fits(self, linear: LinearModel) -> bool:
        """Say whether all shapes are those of this linear model and all numbers make variances."""
        width, ranks = 1 + int(linear.sizes.sum()), {len(row) for row in self.directions}
        numbers = np.array([self.scale, *self.rest, *self.calibration, *(x for row in self.directions for x in row)])
        is_whole = len(self.directions) == len(self.rest) == width and len(ranks) == 1
        slope, _, intercept = self.calibration
        return bool(is_whole and np.isfinite(numbers).all() and min(self.scale, slope, intercept, *self.rest) >= 0)

    def margin_variance(self, matrix: np.ndarray, linear: LinearModel) -> np.ndarray:
        """Give the variance of each margin, always added up in the same order, so that a row never sees its batch.

        Parameters
        ----------
        matrix : array of float, shape (n_leads, n_features)
        linear : LinearModel
            The one the coefficients are of.

        Returns
        -------
        array of float, shape (n_leads,)
        """
        directions, rest = self._arrays
        code, x = _met(matrix, linear)
        apart = rest[0] + (x**2 * rest[code]).sum(axis=1)
        # As many rows at a time as fit into a cache; each row's own sum is the same in any company.
        rows = max(1, CHUNK_CELLS // max(1, code.shape[1] * directions.shape[1]))
        for first in range(0, len(matrix), rows):
            some = slice(first, first + rows)
            moved = directions[0] + (x[some, :, None] * directions[code[some]]).sum(axis=1)
            apart[some] += (moved**2).sum(axis=1)
        return np.asarray(self.scale * apart)

    @cached_property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return np.array(self.directions), np.array(self.rest)

    def spread(self, matrix: np.ndarray, margin: np.ndarray, *, linear: LinearModel, slope: float) -> np.ndarray:
        """Give the standard deviation of each row's calibrated log-odds over retrained models.

        The delta method for ``slope * margin + intercept``, model and calibrator taken as independent.

        Parameters
        ----------
        matrix : array of float, shape (n_leads, n_features)
        margin : array of float, shape (n_leads,)
        linear : LinearModel
        slope : float
            The calibrator's.

        Returns
        -------
        array of float, shape (n_leads,)
        """
        of_slope, both, of_intercept = self.calibration
        calibrator = np.maximum(0.0, of_slope * margin**2 + 2 * both * margin + of_intercept)
        return np.asarray(np.sqrt(slope**2 * self.margin_variance(matrix, linear) + calibrator))

    def to_dict(self) -> dict[str, Any]:
        """Give the stability as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Stability:
        """Restore a stability from `to_dict`."""
        slope, both, intercept = values["calibration"]
        return cls(
            scale=values["scale"],
            directions=tuple(tuple(row) for row in values["directions"]),
            rest=tuple(values["rest"]),
            calibration=(slope, both, intercept),
        )


def _met(matrix: np.ndarray, linear: LinearModel) -> tuple[np.ndarray, np.ndarray]:
    """Give which coefficient each cell meets, and what it is multiplied by, both of shape (n_leads, n_features)."""
    first = np.cumsum([1, *linear.sizes])[:-1]
    gone = np.isnan(matrix)
    code, x = first + gone, np.ones(matrix.shape)
    numbers, (low, high, center, _, _) = linear.numbers
    own = matrix[:, numbers]
    x[:, numbers] = np.where(gone[:, numbers], 1.0, np.clip(own, low, high) - center)
    at, _, _ = linear.categories
    code[:, at] = first[at] + linear.codes(matrix)
    return code, x


def fit_stability(
    matrix: np.ndarray,
    y: np.ndarray,
    *,
    linear: LinearModel,
    strength: float,
    groups: np.ndarray,
    weight: np.ndarray | None,
    scale: float,
    calibration: tuple[float, float, float],
) -> Stability:
    """Take the coefficients' covariance from the sandwich of the ridge regression, leads as clusters.

    ``H^-1 S H^-1``, where H is the penalised Hessian and S sums the squared scores of whole groups (Liang and Zeger,
    Biometrika 73, 1986).

    Parameters
    ----------
    matrix : array of float, shape (n_rows, n_features)
        What `linear` was fitted on.
    y : array of {0, 1}, shape (n_rows,)
    linear : LinearModel
    strength : float
        Inverse of the penalty it was fitted with.
    groups : array of int, shape (n_rows,)
        Rows of one lead or account.
    weight : array of float or None, shape (n_rows,)
    scale : float
        See `scale_of`.
    calibration : tuple of float
        See `calibrator_moves`.

    Returns
    -------
    Stability

    Examples
    --------
    Of 400 leads alike a quarter converts; the log-odds have the variance 1 / (400 x 0.25 x 0.75), a little more by the
    count of clusters:

    >>> y = np.tile([1.0, 0.0, 0.0, 0.0], 100)
    >>> found = fit_stability(
    ...     np.empty((400, 0)), y, linear=LinearModel(intercept=-np.log(3), terms=()), strength=0.1,
    ...     groups=np.arange(400), weight=None, scale=1.0, calibration=(0.0, 0.0, 0.0),
    ... )
    >>> found.margin_variance(np.empty((1, 0)), LinearModel(intercept=-np.log(3), terms=())).round(4).tolist()
    [0.0134]
    """
    design, scales = _design(matrix, linear)
    # What never occurs moves nothing: of numbers that are never missing, half of the columns.
    occurs = design.any(axis=0)
    root = _root(design[:, occurs], y, linear.margin(matrix), strength=strength, groups=groups, weight=weight)
    axes, lengths, _ = np.linalg.svd(root, full_matrices=False)
    largest = axes[:, :RANK] * lengths[:RANK]
    directions, rest = np.zeros((len(scales), largest.shape[1])), np.zeros(len(scales))
    directions[occurs] = largest
    rest[occurs] = np.maximum((root**2).sum(axis=1) - (largest**2).sum(axis=1), 0.0)
    return Stability(
        scale=_short(scale),
        directions=tuple(tuple(map(_short, row)) for row in (directions / scales[:, None]).tolist()),
        rest=tuple(map(_short, (rest / scales**2).tolist())),
        calibration=(_short(calibration[0]), _short(calibration[1]), _short(calibration[2])),
    )


def _root(
    design: np.ndarray,
    y: np.ndarray,
    margin: np.ndarray,
    *,
    strength: float,
    groups: np.ndarray,
    weight: np.ndarray | None,
) -> np.ndarray:
    """Give a root of the sandwich, as wide as there are coefficients or groups, whichever are fewer.

    It is ``H^-1`` times a root of S: of the scores' QR decomposition, the R has the same squares.
    """
    weight = np.ones(len(y)) if weight is None else weight
    p = 1 / (1 + np.exp(-np.clip(margin, -500, 500)))
    penalty = np.full(design.shape[1], 1 / strength)
    penalty[0] = 0.0
    hessian = (design * (weight * p * (1 - p))[:, None]).T @ design + np.diag(penalty)
    _, cluster = np.unique(groups, return_inverse=True)
    n_clusters = int(cluster.max()) + 1
    scores = np.zeros((n_clusters, design.shape[1]))
    np.add.at(scores, cluster, design * (weight * (y - p))[:, None])
    few = np.asarray(np.linalg.qr(scores, mode="r"))
    return np.asarray(np.sqrt(n_clusters / max(n_clusters - 1, 1)) * np.linalg.solve(hessian, few.T))


def scale_of(blend: tuple[np.ndarray, np.ndarray], linear: tuple[np.ndarray, np.ndarray]) -> float:
    """Give how much more a blend's margins vary than its linear model's: both trained twice, on leads apart.

    Parameters
    ----------
    blend, linear : tuple of two arrays of float, shape (n_rows,)
        Margins of rows that neither training saw.

    Examples
    --------
    >>> scale_of((np.array([1.0, 2.0]), np.array([3.0, 0.0])), (np.array([1.0, 0.0]), np.array([0.0, 1.0])))
    4.0
    """
    moved, base = (float(np.mean((one - other) ** 2)) for one, other in (blend, linear))
    return moved / base if base > 0 else 1.0


def calibrator_moves(
    refit: Callable[[np.ndarray], tuple[float, float]], groups: np.ndarray, *, seed: int
) -> tuple[float, float, float]:
    """Give variances and covariance of slope and intercept by the jackknife: parts of the leads left out in turn.

    Parameters
    ----------
    refit : callable
        Of row weights, which are 0 for leads left out; gives slope and intercept.
    groups : array of int, shape (n_rows,)
    seed : int

    Returns
    -------
    tuple of float
        Variance of slope, covariance of both, variance of intercept.
    """
    part = deal(groups, N_LEFT_OUT, seed=seed)
    n_parts = int(part.max()) + 1
    if n_parts < 2:
        return 0.0, 0.0, 0.0
    # The others weigh more, so that what counts rows finds as many.
    pairs = np.array([refit((part != k) * (n_parts / (n_parts - 1))) for k in range(n_parts)])
    moves = pairs - pairs.mean(axis=0)
    covariance = (n_parts - 1) / n_parts * (moves.T @ moves)
    return float(covariance[0, 0]), float(covariance[0, 1]), float(covariance[1, 1])


def deal(groups: np.ndarray, n_parts: int, *, seed: int) -> np.ndarray:
    """Deal groups at random into parts of about as many groups; gives the part of each row."""
    names, which = np.unique(groups, return_inverse=True)
    return np.asarray(np.random.default_rng(seed).permutation(len(names)) % n_parts)[which]


def _design(matrix: np.ndarray, linear: LinearModel) -> tuple[np.ndarray, np.ndarray]:
    """Give the columns that the coefficients multiply, and by what each was divided, as the penalty saw them."""
    columns, scales = [np.ones(len(matrix))], [1.0]
    for column, term in zip(matrix.T, linear.terms, strict=True):
        gone = np.isnan(column)
        if isinstance(term, CategoryTerm):
            columns += [(column == k).astype(float) for k in range(len(term.values))]
            scales += [1.0] * len(term.values)
        else:
            x = np.clip(column, term.low, term.high) - term.center
            scale = (float(x[~gone].std()) if not gone.all() else 0.0) or 1.0
            columns.append(np.where(gone, 0.0, x / scale))
            scales.append(scale)
        columns.append(gone.astype(float))
        scales.append(1.0)
    return np.column_stack(columns), np.array(scales)


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
