"""The only place for the penalised logistic regression: one term a feature, so its parts are its explanation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from propensity.encoding import CategoryCode, Encoder

# Wider designs than this solve faster without forming their Hessian.
MAX_NEWTON_WIDTH = 300
# Beyond this skewness (an exponential distribution has 2) a few large values would bend a straight line to themselves.
MAX_SKEWNESS = 1.0
# A bend has to take this share of the skewness away: where it mends less, the tail is not that of counts or amounts.
MENDED_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class NumberTerm:
    """``slope * (bent(clip(x, low, high), scale) - center)``, or ``missing`` where x is NaN.

    `mean` is its mean over training rows.
    """

    low: float
    high: float
    center: float
    slope: float
    missing: float
    mean: float
    scale: float = 0.0

    def apply(self, column: np.ndarray) -> np.ndarray:
        """Give the term's part of the margin for each row."""
        part = self.slope * (bent(np.clip(column, self.low, self.high), self.scale) - self.center)
        return np.where(np.isnan(column), self.missing, part)


def bent(numbers: np.ndarray, scale: float) -> np.ndarray:
    """Give numbers as they are where the scale is 0, else on a logarithmic scale that keeps sign and zero.

    Below the scale steps count nearly as they are; above it what counts is how many times larger a number is: from
    the first order to the second says more than from the 30th to the 31st.

    Parameters
    ----------
    numbers : array of float
    scale : float, at least 0

    Examples
    --------
    >>> bent(np.array([-3.0, 0.0, 1.0, 3.0]), 1.0) / np.log(2)
    array([-2.,  0.,  1.,  2.])
    """
    if scale == 0:
        return numbers
    return np.asarray(np.copysign(np.log1p(np.abs(numbers) / scale), numbers))


def choose_scale(numbers: np.ndarray) -> float:
    """Choose the scale `bent` takes: the median size of numbers that are not 0, where that mends a skewed column.

    Parameters
    ----------
    numbers : array of float
        Finite.

    Returns
    -------
    float
        0 where the numbers are not skewed, or bending takes less than half of it away.
    """
    sizes = np.abs(numbers[numbers != 0])
    straight = _skewness(numbers)
    if len(sizes) == 0 or straight <= MAX_SKEWNESS:
        return 0.0
    scale = float(np.median(sizes))
    return scale if _skewness(bent(numbers, scale)) <= (1 - MENDED_SHARE) * straight else 0.0


def _skewness(numbers: np.ndarray) -> float:
    """Give the absolute third standardised moment; 0 for a constant."""
    spread = numbers.std()
    return float(abs(np.mean(((numbers - numbers.mean()) / spread) ** 3))) if spread > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class CategoryTerm:
    """One value a code, or ``missing`` where the code is NaN; `mean` is its training mean."""

    values: tuple[float, ...]
    missing: float
    mean: float

    def apply(self, column: np.ndarray) -> np.ndarray:
        """Give the term's part of the margin for each row."""
        table = np.array([*self.values, self.missing])
        return np.asarray(table[np.where(np.isnan(column), len(self.values), column).astype(int)])


@dataclass(frozen=True, kw_only=True)
class LinearModel:
    """A logistic regression as one term a feature.

    Parameters
    ----------
    intercept : float
    terms : tuple of NumberTerm or CategoryTerm
        In matrix order.
    """

    intercept: float
    terms: tuple[NumberTerm | CategoryTerm, ...]

    def _parts(self, matrix: np.ndarray) -> list[np.ndarray]:
        return [term.apply(matrix[:, i]) for i, term in enumerate(self.terms)]

    def margin(self, matrix: np.ndarray) -> np.ndarray:
        """Sum the terms for each row, in log-odds, always in the same order so that a row never sees its batch.

        Parameters
        ----------
        matrix : array of float, shape (n_leads, n_features)

        Returns
        -------
        array of float, shape (n_leads,)
        """
        total = np.full(len(matrix), self.intercept)
        for part in self._parts(matrix):
            total += part
        return total

    def contributions(self, matrix: np.ndarray) -> tuple[np.ndarray, float]:
        """Split each margin exactly into one part a feature: the term less its training mean.

        These are the Shapley values of a linear model of independent features.

        Parameters
        ----------
        matrix : array of float, shape (n_leads, n_features)

        Returns
        -------
        contributions : array of float, shape (n_leads, n_features)
        base : float
        """
        means = [term.mean for term in self.terms]
        parts = np.column_stack([part - mean for part, mean in zip(self._parts(matrix), means, strict=True)])
        return parts, self.intercept + sum(means)

    def to_dict(self) -> dict[str, Any]:
        """Give the model as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LinearModel:
        """Restore a model from `to_dict`."""
        terms = tuple(
            CategoryTerm(**{**term, "values": tuple(term["values"])}) if "values" in term else NumberTerm(**term)
            for term in values["terms"]
        )
        return cls(intercept=values["intercept"], terms=terms)


def fit_linear(
    matrix: np.ndarray, y: np.ndarray, *, encoder: Encoder, strength: float, weight: np.ndarray | None = None
) -> LinearModel:
    """Fit a ridge-penalised logistic regression: standardised numbers, a dummy a code, a dummy for missing.

    Numbers with a heavy tail, as counts and amounts have, are bent to a logarithmic scale first.

    Parameters
    ----------
    matrix : array of float, shape (n_leads, n_features)
        From `encoder`.
    y : array of {0, 1}, shape (n_leads,)
        Both outcomes present.
    encoder : Encoder
    strength : float
        Inverse of the penalty, scikit-learn's ``C``.
    weight : array of float or None, shape (n_leads,)

    Returns
    -------
    LinearModel
    """
    # Imported here: a bundle's consumer scores without scikit-learn.
    from sklearn.linear_model import LogisticRegression

    columns: list[np.ndarray] = []
    shapes: list[tuple[float, float, float]] = []
    for i, code in enumerate(encoder.codes):
        column = matrix[:, i]
        gone = np.isnan(column)
        if isinstance(code, CategoryCode):
            columns += [(column == k).astype(float) for k in range(code.n_codes)]
            shapes.append((0.0, 0.0, 1.0))
        else:
            known = np.clip(column[~gone], code.low, code.high)
            scale = choose_scale(known) if len(known) else 0.0
            known = bent(known, scale)
            center = float(known.mean()) if len(known) else 0.0
            spread = (float(known.std()) if len(known) else 0.0) or 1.0
            standard = np.zeros(len(column))
            standard[~gone] = (known - center) / spread
            columns.append(standard)
            shapes.append((scale, center, spread))
        columns.append(gone.astype(float))
    design = np.column_stack(columns)
    solver = "newton-cholesky" if design.shape[1] <= MAX_NEWTON_WIDTH else "lbfgs"
    fitted = LogisticRegression(C=strength, solver=solver, max_iter=2000).fit(design, y, sample_weight=weight)
    coefficients = iter(fitted.coef_[0].tolist())
    terms: list[NumberTerm | CategoryTerm] = []
    for i, (code, (scale, center, spread)) in enumerate(zip(encoder.codes, shapes, strict=True)):
        term: NumberTerm | CategoryTerm
        if isinstance(code, CategoryCode):
            values = tuple(next(coefficients) for _ in range(code.n_codes))
            term = CategoryTerm(values=values, missing=next(coefficients), mean=0.0)
        else:
            slope, missing = next(coefficients) / spread, next(coefficients)
            limits = {"low": code.low, "high": code.high}
            term = NumberTerm(**limits, center=center, slope=slope, missing=missing, mean=0.0, scale=scale)
        mean = float(term.apply(matrix[:, i]).mean())
        terms.append(replace(term, mean=mean))
    return LinearModel(intercept=float(fitted.intercept_[0]), terms=tuple(terms))
