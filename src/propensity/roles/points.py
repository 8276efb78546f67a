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
# Leads that are none, whatever else they did.
_NO_LEADS = frozenset({"competitor", "spam", "hardbounce"})
# What published sheets give an event whose name says so: points, the most of them, days after which half is left.
_EVENTS: tuple[tuple[frozenset[str], int, int, int | None], ...] = (
    (frozenset({"demo", "quote", "handraise"}), 30, 60, 30),
    (frozenset({"trial", "signup"}), 25, 50, 21),
    (frozenset({"pricing"}), 15, 45, 21),
    (frozenset({"unsubscribe", "unsubscribed", "optout"}), -20, 20, None),
    (frozenset({"bounce", "bounced"}), -15, 15, None),
    (frozenset({"careers", "career", "jobs"}), -15, 15, None),
    (frozenset({"webinar", "attended", "meeting", "reply", "replied"}), 15, 30, 14),
    (frozenset({"download", "ebook", "whitepaper", "brochure", "form", "submission"}), 8, 24, 14),
    (frozenset({"click", "clicked"}), 3, 12, 7),
    (frozenset({"visit", "view", "viewed", "session"}), 1, 10, 7),
    (frozenset({"open", "opened"}), 1, 3, 7),
)
# The same signals where a column holds them.
_SIGNALS: tuple[tuple[frozenset[str], int], ...] = (
    (frozenset({"demo", "quote", "trial"}), 30),
    (frozenset({"pricing"}), 15),
    (frozenset({"webinar", "attended", "meeting", "reply"}), 15),
    (frozenset({"download", "ebook", "whitepaper", "brochure", "form", "submission"}), 8),
    (frozenset({"unsubscribe", "unsubscribed", "bounce"}), -20),
    (frozenset({"click", "clicked"}), 5),
)
_SENIORITY = {"c-level": 25, "vp": 20, "director": 15, "manager": 10, "student": -30}
# Each step gives so many more: five for anybody, twenty-five for the largest.
_SIZE_STEPS, _PER_STEP = (1, 11, 51, 201, 1001), 5
_SILENT_DAYS, _SILENT_POINTS = 60, -10


def propose_rules(
    leads: pd.DataFrame,
    guesses: Sequence[Guess],
    *,
    missing: Mapping[str, Sequence[str | float]],
    derive: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Propose a points sheet from names and values; no outcome is looked at.

    The points are what published sheets give such signals.

    Parameters
    ----------
    leads : DataFrame
    guesses : sequence of Guess
    missing : mapping of column (or "*") to words
    derive : mapping of column to kind, or None
        What is made of raw fields: seniority of titles, size of companies, kinds of mail.

    Returns
    -------
    list of dict
        Lines of ``[[rules.points]]``.
    """
    derived = dict(derive or {})
    lines: list[dict[str, Any]] = []
    for guess in guesses:
        if guess.role not in {"fit", "behaviour"} or derived.get(guess.column) == "title":
            continue
        fact = look(leads[guess.column], name=guess.column, missing={**missing, guess.column: guess.missing})
        found = _number_rule(fact, guess) if fact.is_number and fact.n_levels > 2 else _level_rule(fact)
        if found:
            op, value, points, what = found
            line = {"column": guess.column, "op": op, "value": value}
            worth = {"override": "disqualify"} if points is None else {"points": points}
            name = f"{guess.column[:120]}: {what}"
            if any(line["name"] == name for line in lines):  # long names that begin alike
                name = f"{guess.column[:120]} ({len(lines) + 1}): {what}"
            lines.append({"name": name, **line, **worth, "group": guess.role})
    return [*lines, *(line for column, kind in derived.items() for line in _derived_rules(column, kind))]


def _derived_rules(column: str, kind: str) -> list[dict[str, Any]]:
    """Propose lines for what is made of a raw field."""
    fit = {"group": "fit"}
    if kind == "title":
        return [
            {"name": f"{column[:120]}: {level}", "column": f"{column} seniority", "value": level, "points": n, **fit}
            for level, n in _SENIORITY.items()
        ]
    if kind == "email":
        name = f"{column[:120]}: a free address"
        return [{"name": name, "column": f"{column} domain", "value": "free", "points": -10, **fit}]
    if kind == "range" and {*words_of(column)} & {"employee", "employees", "headcount", "size"}:
        return [
            {
                "name": f"{column[:120]}: {step:,} or more",
                "column": f"{column} number",
                "op": ">=",
                "value": step,
                "points": _PER_STEP,
                **fit,
            }
            for step in _SIZE_STEPS
        ]
    return []


def propose_event_rules(kinds: Sequence[str]) -> list[dict[str, Any]]:
    """Propose lines of the sheet for event types whose name says what they are worth, and one for silence.

    Examples
    --------
    >>> [line] = propose_event_rules(["demo request"])[:1]
    >>> line["event"], line["points"], line["cap"], line["decay"], line["half_life_days"]
    ('demo request', 30, 60, 'exponential', 30)
    """
    lines: list[dict[str, Any]] = []
    for kind in kinds:
        words = {*words_of(kind)}
        line: dict[str, Any] = {"name": kind[:150], "event": kind}
        if _is_no_lead(words):
            lines.append({**line, "override": "disqualify", "group": "behaviour"})
            continue
        found = next((worth for signal, *worth in _EVENTS if signal & words), None)
        if found is None:
            continue
        points, cap, half_life = found
        decay = {} if half_life is None else {"decay": "exponential", "half_life_days": half_life}
        lines.append({**line, "points": points, "cap": cap, **decay, "group": "behaviour"})
    if lines:
        silent = {"column": "any event days since", "op": ">", "value": _SILENT_DAYS, "points": _SILENT_POINTS}
        lines.append({"name": f"nothing for {_SILENT_DAYS} days", **silent, "group": "behaviour"})
    return lines


def _is_no_lead(words: set[str]) -> bool:
    return bool(words & _NO_LEADS) or {"hard", "bounce"} <= words or {"hard", "bounced"} <= words


def _signal(words: tuple[str, ...]) -> int | None:
    return next((points for signal, points in _SIGNALS if signal & {*words}), None)


def _number_rule(fact: Facts, guess: Guess) -> tuple[str, Any, int | None, str] | None:
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


def _level_rule(fact: Facts) -> tuple[str, Any, int | None, str] | None:
    points = _signal(fact.words)
    yes = [level for level in fact.sample if level in POSITIVE_WORDS]
    is_yes_no = (
        fact.n_levels == 2 and len(yes) == 1 and all(level in POSITIVE_WORDS | NEGATIVE_WORDS for level in fact.sample)
    )
    if is_yes_no and _is_no_lead({*fact.words}):
        return ("==", yes[0], None, "yes")
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
