"""The only place for what is added to the margins of leads of a segment whose level was off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from propensity.encoding import OTHER, CategoryCode
from propensity.learners.linear import CategoryTerm
from propensity.learners.parts import Parts

if TYPE_CHECKING:
    from propensity.encoding import Encoder


@dataclass(frozen=True, kw_only=True)
class Shifts:
    """One more learner of a blend: a shift a segment, 0 for all others. Its parts are its explanation.

    Parameters
    ----------
    terms : mapping of int to CategoryTerm
        By position of the column in the matrix.
    """

    terms: Mapping[int, CategoryTerm]

    def margin(self, matrix: np.ndarray) -> np.ndarray:
        """Sum the shifts of each row, in log-odds, shape (n_leads,).

        Examples
        --------
        >>> shifts = Shifts(terms={1: CategoryTerm(values=(0.0, -0.5), missing=0.2, mean=-0.1)})
        >>> shifts.margin(np.array([[7.0, 1.0], [7.0, np.nan], [7.0, 0.0]])).tolist()
        [-0.5, 0.2, 0.0]
        """
        total = np.zeros(len(matrix))
        for column, term in sorted(self.terms.items()):
            total += term.apply(matrix[:, column])
        return total

    def explain(self, matrix: np.ndarray) -> Parts:
        """Split each row's shift exactly into one part a feature: the term less its training mean."""
        contributions, base = np.zeros(matrix.shape), 0.0
        for column, term in sorted(self.terms.items()):
            contributions[:, column] = term.apply(matrix[:, column]) - term.mean
            base += term.mean
        return Parts(self.margin(matrix), contributions, base)

    def fits(self, encoder: Encoder) -> bool:
        """Say whether all columns are categories of this encoder and all shifts are numbers."""
        codes = dict(enumerate(encoder.codes))
        return all(
            isinstance(code := codes.get(column), CategoryCode)
            and len(term.values) == code.n_codes
            and bool(np.isfinite([*term.values, term.missing, term.mean]).all())
            for column, term in self.terms.items()
        )

    def by_segment(self, encoder: Encoder) -> dict[str, dict[str | None, float]]:
        """Give the shifts that are not 0 by column and value, None where it is missing.

        Examples
        --------
        >>> from propensity.encoding import Encoder
        >>> encoder = Encoder(names=("source",), codes=(CategoryCode(levels=("fair", "web")),))
        >>> Shifts(terms={0: CategoryTerm(values=(0.0, -0.5, 0.0), missing=0.2, mean=0.0)}).by_segment(encoder)
        {'source': {'fair': -0.5, None: 0.2}}
        """
        found: dict[str, dict[str | None, float]] = {}
        for column, term in sorted(self.terms.items()):
            code = encoder.codes[column]
            if isinstance(code, CategoryCode):
                named = zip((*code.levels, None), (*term.values[OTHER + 1 :], term.missing), strict=True)
                found[encoder.names[column]] = {level: shift for level, shift in named if shift != 0}
        return found

    def to_dict(self) -> dict[str, Any]:
        """Give the shifts as plain JSON values."""
        return {"terms": [{"column": column, **asdict(term)} for column, term in sorted(self.terms.items())]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Shifts:
        """Restore shifts from `to_dict`."""
        return cls(
            terms={
                int(term["column"]): CategoryTerm(
                    values=tuple(term["values"]), missing=term["missing"], mean=term["mean"]
                )
                for term in values["terms"]
            }
        )
