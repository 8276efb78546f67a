"""The only place for the penalised logistic regression: one term a feature, so its parts are its explanation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from propensity.encoding import CategoryCode, Encoder
from propensity.learners.parts import Parts

# Wider designs than this solve faster without forming their Hessian.
MAX_NEWTON_WIDTH = 300


@dataclass(frozen=True, kw_only=True)
class NumberTerm:
    """``slope * (clip(x, low, high) - center)``, or ``missing`` where x is NaN; `mean` is its training mean."""

    low: float
    high: float
    center: float
    slope: float
    missing: float
    mean: float

    def apply(self, column: np.ndarray) -> np.ndarray:
        """Give the term's part of the margin for each row."""
        part = self.slope * (np.clip(column, self.low, self.high) - self.center)
        return np.where(np.isnan(column), self.missing, part)


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

    @cached_property
    def numbers(self) -> tuple[list[int], np.ndarray]:
        """Positions of the number terms, and their low, high, center, slope and missing."""
        found = {i: term for i, term in enumerate(self.terms) if isinstance(term, NumberTerm)}
        rows = [(term.low, term.high, term.center, term.slope, term.missing) for term in found.values()]
        return [*found], np.array(rows, dtype=float).reshape(-1, 5).T

    @cached_property
    def categories(self) -> tuple[list[int], np.ndarray, np.ndarray]:
        """Positions of the category terms, how many codes each has, and where its values begin in `_values`."""
        at = [i for i, term in enumerate(self.terms) if isinstance(term, CategoryTerm)]
        sizes = self.sizes[at]
        return at, sizes - 1, np.cumsum([0, *sizes])[:-1].astype(int)

    @cached_property
    def _values(self) -> np.ndarray:
        """The values of all category terms, each term's one for missing behind its others."""
        terms = [term for term in self.terms if isinstance(term, CategoryTerm)]
        return np.array([value for term in terms for value in (*term.values, term.missing)])

    @cached_property
    def sizes(self) -> np.ndarray:
        """How many coefficients each term has: one a code, or a slope, and one for missing."""
        return np.array(
            [len(term.values) + 1 if isinstance(term, CategoryTerm) else 2 for term in self.terms], dtype=int
        )

    def codes(self, matrix: np.ndarray) -> np.ndarray:
        """Give which of its term's values each category meets: the last where it is missing.

        Parameters
        ----------
        matrix : array of float, shape (n_leads, n_features)

        Returns
        -------
        array of int, shape (n_leads, n_categories)
        """
        at, n_codes, _ = self.categories
        cells = matrix[:, at]
        return np.asarray(np.where(np.isnan(cells), n_codes, cells).astype(int))

    def _parts(self, matrix: np.ndarray) -> np.ndarray:
        """Give every term's part, columns one behind the other in memory: so they are added up."""
        parts = np.empty(matrix.shape, order="F")
        at, (low, high, center, slope, missing) = self.numbers
        numbers = matrix[:, at]
        parts[:, at] = np.where(np.isnan(numbers), missing, slope * (np.clip(numbers, low, high) - center))
        at, _, first = self.categories
        parts[:, at] = self._values[first + self.codes(matrix)]
        return parts

    def margin(self, matrix: np.ndarray) -> np.ndarray:
        """Sum the terms for each row, in log-odds, always in the same order so that a row never sees its batch.

        Parameters
        ----------
        matrix : array of float, shape (n_leads, n_features)

        Returns
        -------
        array of float, shape (n_leads,)
        """
        return self._sum(self._parts(matrix))

    def _sum(self, parts: np.ndarray) -> np.ndarray:
        if len(parts) == 1:  # the same sums one after the other, without a step for each column
            return np.cumsum([self.intercept, *parts[0]])[-1:]
        total = np.full(len(parts), self.intercept)
        for part in parts.T:
            total += part
        return total

    def explain(self, matrix: np.ndarray) -> Parts:
        """Split each margin exactly into one part a feature: the term less its training mean.

        These are the Shapley values of a linear model of independent features.

        Parameters
        ----------
        matrix : array of float, shape (n_leads, n_features)

        Returns
        -------
        Parts
        """
        parts, (means, base) = self._parts(matrix), self._means
        return Parts(self._sum(parts), parts - means, base)

    @cached_property
    def _means(self) -> tuple[np.ndarray, float]:
        means = [term.mean for term in self.terms]
        return np.array(means), self.intercept + sum(means)

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
    matrix: np.ndarray,
    y: np.ndarray,
    *,
    encoder: Encoder,
    strength: float,
    weight: np.ndarray | None = None,
    directions: Sequence[int] = (),
) -> LinearModel:
    """Fit a ridge-penalised logistic regression: standardised numbers, a dummy a code, a dummy for missing.

    Slopes against their direction are set to zero, all at once, and the rest is fitted again, until none is left. The
    value for missing stays free.

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
    directions : sequence of {-1, 0, 1}, shape (n_features,) or (0,)
        Which numbers the margin must not fall with (1) or not rise with (-1). See `monotone`.

    Returns
    -------
    LinearModel
    """
    # Imported here: a bundle's consumer scores without scikit-learn.
    from sklearn.linear_model import LogisticRegression

    columns: list[np.ndarray] = []
    scales: list[tuple[float, float]] = []
    ways: list[int] = []  # one a column of the design
    for i, code in enumerate(encoder.codes):
        column = matrix[:, i]
        gone = np.isnan(column)
        if isinstance(code, CategoryCode):
            columns += [(column == k).astype(float) for k in range(code.n_codes)]
            scales.append((0.0, 1.0))
            ways += [0] * code.n_codes
        else:
            clipped = np.clip(column[~gone], code.low, code.high)
            center = float(clipped.mean()) if len(clipped) else 0.0
            scale = (float(clipped.std()) if len(clipped) else 0.0) or 1.0
            scaled = np.zeros(len(column))
            scaled[~gone] = (clipped - center) / scale
            columns.append(scaled)
            scales.append((center, scale))
            ways.append(directions[i] if directions else 0)
        columns.append(gone.astype(float))
        ways.append(0)
    design = np.column_stack(columns)
    solver = "newton-cholesky" if design.shape[1] <= MAX_NEWTON_WIDTH else "lbfgs"
    model = LogisticRegression(C=strength, solver=solver, max_iter=2000)
    fitted = model.fit(design, y, sample_weight=weight)
    slopes, kept = fitted.coef_[0], np.arange(design.shape[1])
    while (is_wrong := slopes * np.array(ways)[kept] < 0).any():
        kept = kept[~is_wrong]
        # In the same layout as the whole design: another would change the last bits.
        fitted = model.fit(np.ascontiguousarray(design[:, kept]), y, sample_weight=weight)
        slopes = fitted.coef_[0]
    spread = np.zeros(design.shape[1])
    spread[kept] = slopes
    coefficients = iter(spread.tolist())
    terms: list[NumberTerm | CategoryTerm] = []
    for i, (code, (center, scale)) in enumerate(zip(encoder.codes, scales, strict=True)):
        term: NumberTerm | CategoryTerm
        if isinstance(code, CategoryCode):
            values = tuple(next(coefficients) for _ in range(code.n_codes))
            term = CategoryTerm(values=values, missing=next(coefficients), mean=0.0)
        else:
            slope, missing = next(coefficients) / scale, next(coefficients)
            term = NumberTerm(low=code.low, high=code.high, center=center, slope=slope, missing=missing, mean=0.0)
        mean = float(term.apply(matrix[:, i]).mean())
        terms.append(replace(term, mean=mean))
    return LinearModel(intercept=float(fitted.intercept_[0]), terms=tuple(terms))
