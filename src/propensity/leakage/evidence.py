"""The only place that says what evidence is, when chance would bring it too, and how it is weighed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy import special

Verdict = Literal["QUARANTINE", "REVIEW", "OK"]

# A statistic counts when chance would bring it in fewer than one file of a hundred, all looks at the file together.
CHANCE = 0.01


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One finding about a column.

    Parameters
    ----------
    code : str
        ``STRONG``, ``WEAK`` (names), ``EQUAL``, ``AUC1``, ``PURE``, ``IMPL``, ``NA`` (proofs), ``FILLED``, ``ZERO``,
        ``DOM`` (hints), ``ASOF``, ``OPEN`` (other tables), ``DECLARED``.
    calls_for : Verdict
        What it would bring alone.
    value : float
        The statistic; NaN for names.
    n_leads : int
        On how many leads (or accounts) it rests; 0 for names.
    sentence : str
        For people. Holds no value that fewer than ten leads share.
    """

    code: str
    calls_for: Verdict
    value: float = math.nan
    n_leads: int = 0
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a column is worth to the model: AUC over three folds, with it and without it, beside the columns kept."""

    with_auc: float
    without_auc: float

    @property
    def sentence(self) -> str:
        """The price in words."""
        return f"with it AUC {self.with_auc:.2f}, without {self.without_auc:.2f}"


@dataclass(frozen=True, kw_only=True)
class ColumnAudit:
    """What is thought of one feature.

    Parameters
    ----------
    column : str
    verdict : {"QUARANTINE", "REVIEW", "OK"}
        Left out of the model; trained on, but a person must look; nothing found.
    evidence : tuple of Evidence
    round : int
        The round that decided, from 1: a perfect leak hides the rest, so columns are judged again without it.
    price : Price or None
        None where the verdict is OK, and where no model could be fitted.
    """

    column: str
    verdict: Verdict
    evidence: tuple[Evidence, ...]
    round: int
    price: Price | None


def judge(evidence: Sequence[Evidence], *, is_declared: bool = False) -> Verdict:
    """Weigh the evidence on one column.

    A proof alone quarantines. So do a weak name with any statistic, and two different hints: each is rare on
    legitimate columns, and they look at different things. Who declared a column known in time has answered what its
    name asks, and is told what statistics say.

    Parameters
    ----------
    evidence : sequence of Evidence
    is_declared : bool
        Whether a person declared it ``static`` or ``event``.

    Examples
    --------
    >>> weak = Evidence(code="WEAK", calls_for="OK", sentence="its name")
    >>> hint = Evidence(code="DOM", calls_for="REVIEW", value=2.2, n_leads=400, sentence="")
    >>> judge([weak]), judge([hint]), judge([weak, hint]), judge([weak, hint], is_declared=True)
    ('OK', 'REVIEW', 'QUARANTINE', 'REVIEW')
    """
    told = [found for found in evidence if found.code not in {"STRONG", "WEAK"}]
    if is_declared:
        return "REVIEW" if told else "OK"
    hints = {found.code for found in told}
    is_weak = any(found.code == "WEAK" for found in evidence)
    if any(found.calls_for == "QUARANTINE" for found in evidence) or (is_weak and hints) or len(hints) > 1:
        return "QUARANTINE"
    return "REVIEW" if hints else "OK"


def is_beyond_chance(n_errors: float, *, n_looks: int = 1) -> bool:
    """Say whether so many standard errors are more than chance brings in so many looks.

    Examples
    --------
    >>> is_beyond_chance(2.4), is_beyond_chance(2.4, n_looks=2)
    (True, False)
    """
    return bool(special.ndtr(-n_errors) * n_looks <= CHANCE)
