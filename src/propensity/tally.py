"""The only place that counts what became of scored leads, and says when a batch is too broken to write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd

from propensity.errors import DegradedError
from propensity.features.plan import CONVERTED, CREATED_LATER

# More rows than this share degraded for reasons of the rows is a broken file, not a few odd leads.
MAX_DEGRADED = 0.2
# Rows set aside that speak of no fault of the file.
BLAMELESS = (CREATED_LATER, CONVERTED)

Counts = Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What became of the leads of a batch, or of a part of one; parts add up.

    Parameters
    ----------
    n_rows : int
    n_degraded : int
        Rows scored by rules for reasons of the rows.
    n_untimely : int
        Rows that nobody scores, because they have no cutoff: nothing was known of the lead then. Those set aside
        through no fault of the file are not among them.
    bands, scored_by, fallback_reasons, aside : mapping of str to int
        Rows by what their columns say; `aside` by why nobody scores them.
    not_by_model : mapping of str to mapping of str to int
        Rows that no model scored: by why they were set aside, empty where they were not, then by fallback reason.
    notes : mapping of str to int
        Duplicates, missing ids, unseen levels and the like.
    absent : tuple of str
        Features the input does not have.
    reasons_fault : str
        Why no row has the model's reasons: their own test failed. Empty where it held.

    Examples
    --------
    >>> (Tally(n_rows=2, bands={"SQL": 2}) + Tally(n_rows=1, bands={"SQL": 1})).bands
    {'SQL': 3}
    """

    n_rows: int = 0
    n_degraded: int = 0
    n_untimely: int = 0
    bands: Counts = field(default_factory=dict)
    scored_by: Counts = field(default_factory=dict)
    fallback_reasons: Counts = field(default_factory=dict)
    aside: Counts = field(default_factory=dict)
    not_by_model: Mapping[str, Counts] = field(default_factory=dict)
    notes: Counts = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    reasons_fault: str = ""

    @classmethod
    def of(cls, frame: pd.DataFrame, aside: np.ndarray, **told: Any) -> Self:
        """Count score rows; `aside` says why nobody scores a row, `told` is what rows do not say."""
        not_by_model = (frame["scored_by"] != "model").to_numpy()
        why = pd.Series(aside)[not_by_model]
        reasons = frame["fallback_reason"][not_by_model].to_numpy()
        return cls(
            n_rows=len(frame),
            bands=_counts(frame["band"]),
            scored_by=_counts(frame["scored_by"]),
            fallback_reasons=_counts(frame["fallback_reason"]),
            aside=_counts(pd.Series(aside)),
            not_by_model={str(one): _counts(pd.Series(reasons[(why == one).to_numpy()])) for one in why.unique()},
            **told,
        )

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` gave."""
        return cls(**{**values, "absent": tuple(values["absent"])})

    def to_json(self) -> dict[str, Any]:
        """Give all of it as JSON holds it."""
        return {**asdict(self), "absent": [*self.absent]}

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            n_rows=self.n_rows + other.n_rows,
            n_degraded=self.n_degraded + other.n_degraded,
            n_untimely=self.n_untimely + other.n_untimely,
            bands=_sum(self.bands, other.bands),
            scored_by=_sum(self.scored_by, other.scored_by),
            fallback_reasons=_sum(self.fallback_reasons, other.fallback_reasons),
            aside=_sum(self.aside, other.aside),
            not_by_model={
                why: _sum(self.not_by_model.get(why, {}), other.not_by_model.get(why, {}))
                for why in (*self.not_by_model, *(w for w in other.not_by_model if w not in self.not_by_model))
            },
            notes=_sum(self.notes, other.notes),
            absent=self.absent or other.absent,
            reasons_fault=self.reasons_fault or other.reasons_fault,
        )

    def reasons(self, *, without: Sequence[str]) -> dict[str, int]:
        """Count rows no model scored by fallback reason, without those set aside for such reasons."""
        total: Counts = {}
        for why, counts in self.not_by_model.items():
            total = total if why in without else _sum(total, counts)
        return dict(sorted(total.items(), key=lambda pair: -pair[1]))

    def summary(self) -> dict[str, Any]:
        """Give counts for people and for ``--json``."""
        return {
            "rows": self.n_rows,
            "bands": dict(self.bands),
            "scored_by": dict(self.scored_by),
            "fallback_reasons": dict(self.fallback_reasons),
            "degraded": self.n_degraded,
            "aside": dict(self.aside),
            "notes": dict(self.notes),
            "absent": list(self.absent),
            "reasons_fault": self.reasons_fault,
        }


def _counts(words: pd.Series) -> dict[str, int]:
    return {str(word): int(n) for word, n in words.value_counts().items() if word}


def _sum(one: Counts, other: Counts) -> dict[str, int]:
    total = Counter(one)
    total.update(other)
    return dict(total)


def check_degraded(tally: Tally) -> None:
    """Refuse a batch too many of whose rows the model could not read.

    Rows of leads that were created later than they are scored as of, or had converted by then, are right as they are,
    and not counted.

    Parameters
    ----------
    tally : Tally

    Raises
    ------
    DegradedError
        More than 20 % of the other rows were not scored by the model for reasons of the rows.
    """
    n_rows = tally.n_rows - sum(tally.aside.get(why, 0) for why in BLAMELESS)
    share = (tally.n_degraded + tally.n_untimely) / max(n_rows, 1)
    if share > MAX_DEGRADED:
        absent = (
            f" Columns the file lacks: {', '.join(name[:40] for name in tally.absent[:8])}." if tally.absent else ""
        )
        counted = ", ".join(f"{name}: {n}" for name, n in tally.reasons(without=BLAMELESS).items())
        msg = (
            f"{share:.0%} of {n_rows} rows cannot be scored by the model ({counted}); "
            f"at most {MAX_DEGRADED:.0%} are allowed.{absent} "
            "Mend the file, or write them scored by the rules with --allow-degraded."
        )
        raise DegradedError(msg)
