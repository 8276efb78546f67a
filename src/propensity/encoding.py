"""The only place where columns become numbers: one float matrix through a fitted encoder.

A number stays itself. A category becomes a code of our own: 0 is any level that is not kept, unseen in
training or too rare, 1 and up are the kept levels; missing is NaN. Rare names are not stored, so training
must read them as scoring will. Nothing here depends on the rows encoded together, so a row's numbers never
depend on its batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from propensity.schema import Schema

OTHER = 0
FIRST_LEVEL = 1
# Fewer leads than this could point at people, and teach little: folded before they reach a model file.
MIN_LEVEL_ROWS = 10
# More levels than this slow the splits and are mostly noise; the rest is folded.
MAX_LEVELS = 100
# A line followed far beyond what it was fitted on costs whole nats out of time, one stopped at the edge loses the
# trend of a moving economy: for the linear part, numbers are followed one more training range and no further.
REACH = 1.0


@dataclass(frozen=True, kw_only=True)
class NumberCode:
    """What is kept of a number column.

    Parameters
    ----------
    low, high : float
        The training range, its width added on both sides.
    typical : float
        The median.
    """

    low: float
    high: float
    typical: float


@dataclass(frozen=True, kw_only=True)
class CategoryCode:
    """What is kept of a category column: its levels, code 1 and up, in alphabetical order."""

    levels: tuple[str, ...]

    @property
    def n_codes(self) -> int:
        """Codes in use, the reserved one included."""
        return FIRST_LEVEL + len(self.levels)


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """Fitted on training rows; turns read values into a float matrix.

    Parameters
    ----------
    names : tuple of str
        Columns of the matrix, in order.
    codes : tuple of NumberCode or CategoryCode
        One a column.
    """

    names: tuple[str, ...]
    codes: tuple[NumberCode | CategoryCode, ...]

    @cached_property
    def categorical(self) -> tuple[int, ...]:
        """Positions of the category columns."""
        return tuple(i for i, code in enumerate(self.codes) if isinstance(code, CategoryCode))

    @cached_property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest number of each column that was seen; infinite where it had fewer than two, or none."""
        ends = [
            (code.low, code.high) if isinstance(code, NumberCode) and code.high > code.low else (-np.inf, np.inf)
            for code in self.codes
        ]
        low, high = np.array(ends, dtype=float).reshape(-1, 2).T
        return low, high

    def encode(self, values: pd.DataFrame) -> np.ndarray:
        """Turn read values into the matrix.

        Parameters
        ----------
        values : DataFrame, shape (n_leads, n_features)
            As `schema.partition` reads them, columns in the encoder's order.

        Returns
        -------
        array of float, shape (n_leads, n_features)
            Missing is NaN. Never infinite.
        """
        matrix = np.empty((len(values), len(self.names)))
        for position, (name, code) in enumerate(zip(self.names, self.codes, strict=True)):
            if isinstance(code, NumberCode):
                matrix[:, position] = values[name].to_numpy(dtype=float)
                continue
            known = self._known[position] or {}
            codes, uniques = pd.factorize(values[name], use_na_sentinel=True)
            table = np.array([known.get(level, OTHER) for level in uniques] + [np.nan], dtype=float)
            matrix[:, position] = table[codes]
        return matrix

    def encode_one(self, values: Sequence[float | str | None]) -> np.ndarray:
        """Turn the read values of one lead into the row that `encode` makes of them.

        Parameters
        ----------
        values : sequence of float, str or None, shape (n_features,)

        Returns
        -------
        array of float, shape (n_features,)
        """
        return np.array(
            [
                value if known is None else np.nan if value is None else known.get(value, OTHER)
                for value, known in zip(values, self._known, strict=True)
            ],
            dtype=float,
        )

    @cached_property
    def _known(self) -> tuple[dict[object, float] | None, ...]:
        """The code of each level of a category; None for a number."""
        return tuple(
            {level: float(FIRST_LEVEL + i) for i, level in enumerate(code.levels)}
            if isinstance(code, CategoryCode)
            else None
            for code in self.codes
        )

    def to_dict(self) -> dict[str, Any]:
        """Give the encoder as plain JSON values."""
        return {
            "names": list(self.names),
            "codes": [
                {"kind": "category" if isinstance(code, CategoryCode) else "number", **asdict(code)}
                for code in self.codes
            ],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Encoder:
        """Restore an encoder from `to_dict`."""
        codes: list[NumberCode | CategoryCode] = []
        for code in values["codes"]:
            if code["kind"] == "category":
                codes.append(CategoryCode(levels=tuple(code["levels"])))
            else:
                codes.append(NumberCode(low=code["low"], high=code["high"], typical=code["typical"]))
        return cls(names=tuple(values["names"]), codes=tuple(codes))


def fit_encoder(values: pd.DataFrame, schema: Schema) -> Encoder:
    """Learn the levels and ranges of training rows.

    Parameters
    ----------
    values : DataFrame, shape (n_leads, n_features)
        As `schema.validate` reads them. Row order does not matter.
    schema : Schema

    Returns
    -------
    Encoder

    Examples
    --------
    >>> from propensity.schema import Column, Schema
    >>> schema = Schema(columns=(Column(name="source", family="fit", kind="category"),), id=None, missing=())
    >>> encoder = fit_encoder(pd.DataFrame({"source": ["web"] * 10 + ["fair"] * 10 + ["fax"]}), schema)
    >>> encoder.encode(pd.DataFrame({"source": ["web", "fax", "owl", None]})).ravel()
    array([ 2.,  0.,  0., nan])
    """
    codes: list[NumberCode | CategoryCode] = []
    for column in schema.columns:
        if column.kind == "number":
            numbers = values[column.name].to_numpy(dtype=float)
            numbers = np.sort(numbers[np.isfinite(numbers)])
            low, typical, high = np.quantile(numbers, [0, 0.5, 1]) if len(numbers) else (0.0, 0.0, 0.0)
            reach = REACH * (high - low)
            codes.append(NumberCode(low=float(low - reach), high=float(high + reach), typical=float(typical)))
            continue
        counts = values[column.name].value_counts()
        frequent = [(-int(n), str(level)) for level, n in counts.items() if n >= MIN_LEVEL_ROWS]
        codes.append(CategoryCode(levels=tuple(sorted(level for _, level in sorted(frequent)[:MAX_LEVELS]))))
    return Encoder(names=schema.names, codes=tuple(codes))
