"""The only place that proposes a points sheet: from names and values, never from outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from propensity.roles.columns import Facts, Guess, look, words_of
from propensity.schema import NEGATIVE_WORDS, POSITIVE_WORDS

_SENIOR = ("chief", "ceo", "cto", "cfo", "cmo", "founder", "owner", "president", "vp", "director", "head")
_SOURCES = ("referral", "reference", "partner", "webinar", "event", "organic")


def propose_rules(
    leads: pd.DataFrame, guesses: Sequence[Guess], *, missing: Mapping[str, Sequence[str | float]]
) -> list[dict[str, Any]]:
    """Propose a points sheet from names and values; no outcome is looked at.

    The points are what published sheets give such signals.

    Returns
    -------
    list of dict
        Lines of ``[[rules.points]]``.
    """
    lines: list[dict[str, Any]] = []
    for guess in guesses:
        if guess.role not in {"fit", "behaviour"}:
            continue
        fact = look(leads[guess.column], name=guess.column, missing={**missing, guess.column: guess.missing})
        found = _number_rule(fact, guess) if fact.is_number and fact.n_levels > 2 else _level_rule(fact)
        if found:
            op, value, points, what = found
            name = f"{guess.column[:120]}: {what}"
            if any(line["name"] == name for line in lines):  # long names that begin alike
                name = f"{guess.column[:120]} ({len(lines) + 1}): {what}"
            lines.append(
                {"name": name, "column": guess.column, "op": op, "value": value, "points": points, "group": guess.role}
            )
    return lines


def propose_event_rules(kinds: Sequence[str], *, days: int) -> list[dict[str, Any]]:
    """Propose lines of the sheet for event types whose name says what they are worth.

    Examples
    --------
    >>> propose_event_rules(["demo request", "page visit"], days=90)[0]["column"]
    'demo request count 90d'
    """
    lines = []
    for kind in kinds:
        points = _signal(words_of(kind))
        if points is not None:
            lines.append(
                {
                    "name": f"{kind[:120]}: within {days} days",
                    "column": f"{kind} count {days}d",
                    "op": ">=",
                    "value": 1,
                    "points": points,
                    "group": "behaviour",
                }
            )
    return lines


_SIGNALS: tuple[tuple[frozenset[str], int], ...] = (
    (frozenset({"demo", "quote", "trial"}), 30),
    (frozenset({"pricing"}), 15),
    (frozenset({"webinar", "attended", "meeting", "reply"}), 15),
    (frozenset({"download", "ebook", "whitepaper", "brochure", "form", "submission"}), 8),
    (frozenset({"unsubscribe", "unsubscribed", "bounce", "spam"}), -20),
    (frozenset({"click", "clicked"}), 5),
)


def _signal(words: tuple[str, ...]) -> int | None:
    return next((points for signal, points in _SIGNALS if signal & {*words}), None)


def _number_rule(fact: Facts, guess: Guess) -> tuple[str, Any, int, str] | None:
    points = _signal(fact.words)
    upper = float(np.quantile(fact.numbers, 0.75)) if len(fact.numbers) else 0.0
    if {*fact.words} & {"since", "recency", "ago", "inactive"}:
        lower = float(np.quantile(fact.numbers, 0.25)) if len(fact.numbers) else 0.0
        return ("<=", lower, 10, "among the most recent quarter")
    if points is not None and guess.is_count:
        return (">=", 1, points, "at least once")
    if guess.role == "behaviour" and guess.is_count:
        return (">=", max(int(upper), 1), 10, "among the most active quarter")
    if {*fact.words} & {"employee", "headcount", "size"}:
        return (">=", upper, 10, "among the larger companies")
    return None


def _level_rule(fact: Facts) -> tuple[str, Any, int, str] | None:
    points = _signal(fact.words)
    yes = [level for level in fact.sample if level in POSITIVE_WORDS]
    is_yes_no = (
        fact.n_levels == 2 and len(yes) == 1 and all(level in POSITIVE_WORDS | NEGATIVE_WORDS for level in fact.sample)
    )
    if is_yes_no and points is not None:
        return ("==", yes[0], points, "yes")
    for words, markers, gain, what in (
        ({"title", "position", "role", "seniority", "job", "occupation"}, _SENIOR, 15, "senior"),
        ({"source", "channel", "origin"}, _SOURCES, 10, "a source that converts well"),
    ):
        if {*fact.words} & words:
            levels = sorted(level for level in fact.frequent if {*words_of(level)} & {*markers})
            if levels:
                return ("in", levels[:20], gain, what)
    return None
