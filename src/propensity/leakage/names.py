"""The only place that asks what a column is called, and what a person declared it to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from propensity.leakage.evidence import Evidence
from propensity.roles import words_of
from propensity.roles.hindsight import strong_word, weak_word

if TYPE_CHECKING:
    from propensity.config import Availability


def ask_name(name: str, declared: Availability | None) -> tuple[Evidence, ...]:
    """Give what a name says, or the declaration in its place.

    Examples
    --------
    >>> [found.code for name in ("Deal stage", "Call duration", "Industry") for found in ask_name(name, None)]
    ['STRONG', 'WEAK']
    >>> ask_name("Industry", "mutable")[0].sentence
    "you declared it 'mutable': not known in time"
    """
    words = words_of(name)
    if declared in {"outcome", "mutable"}:
        sentence = f"you declared it {declared!r}: not known in time"
        return (Evidence(code="DECLARED", calls_for="QUARANTINE", sentence=sentence),)
    if strong := strong_word(words):
        sentence = f"its name says it is written after the fact ({strong})"
        return (Evidence(code="STRONG", calls_for="QUARANTINE", sentence=sentence),)
    if weak := weak_word(words):
        sentence = f"its name is often one of results or judgements ({weak}); that alone proves nothing"
        return (Evidence(code="WEAK", calls_for="OK", sentence=sentence),)
    return ()
