"""The only place where parts become reasons in words: which columns make one reason, and what a lead shows for it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from propensity.explanations.additive import MAX_VALUE_CHARACTERS, Explanation, Reference, grouped, show_number
from propensity.features.fit import derived_names
from propensity.features.plan import ANY_EVENT

if TYPE_CHECKING:
    from propensity.features.plan import FeaturePlan
    from propensity.schema import Schema

# A part smaller than this many log-odds is no reason for anything.
MIN_REASON = 0.05
MIN_AGREEMENT = 0.8 - 1e-9
MAX_KINDS = 3  # named of a total, at most
DAY = 86_400_000_000  # in microseconds
NOT_GIVEN = "not given"
_DECIMAL = re.compile(r"-?\d+\.\d+")


@dataclass(frozen=True, kw_only=True)
class Group:
    """Columns that make one reason: all that is counted of one kind of event, all that is made of one raw field.

    Parameters
    ----------
    name : str
        What people call it.
    family : {"fit", "behaviour"}
    columns : tuple of int
        Positions in the schema.
    counts : mapping of int to int
        Of a kind of event: days of a window to the position of its count, shortest window first.
    since : int or None
        Position of the days since the last such event.
    kinds : frozenset of str
        The kinds of events counted; none for a field.
    within : mapping of int to tuple of (str, int)
        Of a total over kinds: days of a window to the kinds in it, each with the position of its own count.
    """

    name: str
    family: str
    columns: tuple[int, ...]
    counts: Mapping[int, int]
    since: int | None = None
    kinds: frozenset[str] = frozenset()
    within: Mapping[int, tuple[tuple[str, int], ...]] = field(default_factory=dict)


def reason_groups(schema: Schema, plan: FeaturePlan) -> tuple[Group, ...]:
    """Say which columns belong together.

    Parameters
    ----------
    schema : Schema
    plan : FeaturePlan

    Returns
    -------
    tuple of Group
        Each column of the schema is in one of them; in the order of their first columns.

    Examples
    --------
    >>> from propensity.features.plan import FeaturePlan
    >>> from propensity.schema import Column, Schema
    >>> names = ("Job title", "demo count 7d", "Job title seniority", "demo rate", "demo days since", "Visits")
    >>> columns = tuple(Column(name=name, family="fit", kind="number") for name in names)
    >>> plan = FeaturePlan(has_events=True, types=("demo",), derive={"Job title": "title"})
    >>> found = reason_groups(Schema(columns=columns, id=None, missing=()), plan)
    >>> [(group.name, group.columns, dict(group.counts), group.since) for group in found]
    [('Job title', (0, 2), {}, None), ('demo', (1, 3, 4), {7: 1}, 4), ('Visits', (5,), {}, None)]
    """
    slots = {
        name: (slot, end)
        for slot, _, has_value in plan.slots
        for name, end in zip(
            plan.slot_names(slot, has_value=has_value), plan.slot_names("", has_value=has_value), strict=True
        )
    }
    every = frozenset(kind for _, types, _ in plan.slots for kind in types or ())
    kinds = {slot: every if types is None else frozenset(types) for slot, types, _ in plan.slots}
    made_of = {name: column for column, kind in plan.derive.items() for name in derived_names(column, kind)}
    found: dict[tuple[str, str], list[int]] = {}
    for i, column in enumerate(schema.columns):
        if column.name in slots:
            key = ("events", slots[column.name][0])
        else:
            key = ("field", made_of.get(column.name, column.name))
        found.setdefault(key, []).append(i)
    groups = []
    for (kind, name), positions in found.items():
        ends = {slots[schema.columns[i].name][1]: i for i in positions} if kind == "events" else {}
        windows = {days: ends.get(f" count {days}d") for days in sorted(plan.windows_days)}
        groups.append(
            Group(
                name=_called(name, plan) if kind == "events" else name,
                family=schema.columns[positions[0]].family,
                columns=tuple(positions),
                counts={days: place for days, place in windows.items() if place is not None},
                since=ends.get(" days since"),
                kinds=kinds[name] if kind == "events" else frozenset(),
            )
        )
    single = [group for group in groups if len(group.kinds) == 1 and group.name in group.kinds]
    return tuple(replace(group, within=_within(group, single)) for group in groups)


def _within(total: Group, single: Sequence[Group]) -> dict[int, tuple[tuple[str, int], ...]]:
    """Say what kinds are in a total, for each of its windows; nothing where a group is no total."""
    if total in single:
        return {}
    own = [group for group in single if group.kinds <= total.kinds]
    found = {
        days: tuple((each.name, each.counts[days]) for each in own if days in each.counts) for days in total.counts
    }
    return {days: kinds for days, kinds in found.items() if kinds}


def _called(slot: str, plan: FeaturePlan) -> str:
    if slot == ANY_EVENT:
        return "all activity"
    return f"{slot} activity" if slot.removeprefix("all ") in plan.families and slot.startswith("all ") else slot


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What leads show for each group.

    Parameters
    ----------
    groups : tuple of Group
    raw, values : sequence of arrays or Series, shape (n_features,) of (n_leads,)
        Cells as given and as read, column by column.
    reference : Reference
    cutoff : array of datetime64[us] or None, shape (n_leads,)
        What each lead is as of, in UTC; None or NaT where unknown.
    timezone : str
        Of the dates shown.
    """

    groups: tuple[Group, ...]
    raw: Sequence[Any]
    values: Sequence[Any]
    reference: Reference
    cutoff: np.ndarray | None = None
    timezone: str = "UTC"

    def texts(self, rows: np.ndarray | Sequence[int], group: int) -> list[str]:
        """Word what some leads show, beside what is typical, without points.

        Parameters
        ----------
        rows : array of int, shape (n_rows,)
        group : int
            Position in `groups`.
        """
        own, rows = self.groups[group], np.asarray(rows)
        shown, typical = self._of_events(rows, own) if own.counts else self._of_field(rows, own)
        last = [""] * len(rows)
        if own.since is not None and own.counts and self.cutoff is not None:
            since = np.asarray(self.values[own.since], dtype=float)[rows]
            last = [f", last on {day}" if day else "" for day in self._days(since, self.cutoff[rows])]
        return [
            f"{own.name}: {word}{day}{f' (typical {usual})' if usual else ''}"
            for word, day, usual in zip(shown, last, typical, strict=True)
        ]

    def brief(self, row: int, group: int) -> str:
        """Give what one lead shows and no more: for an axis."""
        rows, own = np.array([row]), replace(self.groups[group], within={})
        return (self._of_events(rows, own) if own.counts else self._of_field(rows, own))[0][0]

    def _of_field(self, rows: np.ndarray, group: Group) -> tuple[list[str], list[str]]:
        """Show the first of a group's columns that is known of a lead."""
        known = np.array([pd.notna(np.asarray(self.values[place])[rows]) for place in group.columns])
        first = known.argmax(axis=0)
        shown, typical = [""] * len(rows), [""] * len(rows)
        for number, place in enumerate(group.columns):
            here = np.flatnonzero(first == number)
            if not len(here):
                continue
            usual = self.reference.typical[place]
            folded = usual.casefold()
            words = _words(_cells(self.raw[place], rows[here]), known[number, here])
            for i, word in zip(here.tolist(), words, strict=True):
                shown[i] = word
                typical[i] = "" if word.casefold() == folded else usual
        return shown, typical

    def _of_events(self, rows: np.ndarray, group: Group) -> tuple[list[str], list[str]]:
        """Show the shortest window that holds any event, else the longest; what is typical is of the same window."""
        windows = [*group.counts.items()]
        counts = np.array([np.asarray(self.values[place], dtype=float)[rows] for _, place in windows])
        holds = counts > 0
        which = np.where(holds.any(axis=0), holds.argmax(axis=0), len(windows) - 1)
        totals = counts[which, np.arange(len(rows))].tolist()
        kinds = self._of_kinds(rows, group, which, totals) if group.within else [""] * len(rows)
        shown, typical = [], []
        for window, count, of in zip(which.tolist(), totals, kinds, strict=True):
            days, place = windows[window]
            number = show_value(count) if count > 0 else "0"
            shown.append(f"{number if count > 0 else 'none'} in {days} days{of}")
            typical.append("" if self.reference.typical[place] == number else self.reference.typical[place])
        return shown, typical

    def _of_kinds(self, rows: np.ndarray, group: Group, which: np.ndarray, totals: Sequence[float]) -> list[str]:
        """Name what totals are made of, most first: who calls wants to know what a lead did, not how much."""
        texts = [""] * len(rows)
        for window, days in enumerate(group.counts):
            here = np.flatnonzero(which == window)
            kinds = group.within.get(days)
            if kinds is None or not len(here):
                continue
            cells = [np.asarray(self.values[place], dtype=float)[rows[here]].tolist() for _, place in kinds]
            seen: dict[tuple[float, ...], str] = {}
            for i, counts in zip(here.tolist(), zip(*cells, strict=True), strict=True):
                key = (totals[i], *counts)
                if key not in seen:
                    seen[key] = _named([name for name, _ in kinds], counts, totals[i])
                texts[i] = seen[key]
        return texts

    def _days(self, since: np.ndarray, at: np.ndarray) -> list[str]:
        """Give the day of each lead's last event of a kind; empty where there is none or nobody knows."""
        gone = np.isnan(since)
        ago = np.round(np.where(gone, 0.0, since) * DAY).astype("timedelta64[us]")
        then = np.where(gone, np.datetime64("NaT"), at - ago)
        if self.timezone != "UTC":
            then = pd.DatetimeIndex(then, tz="UTC").tz_convert(self.timezone).tz_localize(None).to_numpy()
        days = then.astype("datetime64[D]")
        return ["" if day == "NaT" else day for day in np.datetime_as_string(days).tolist()]


def _named(names: Sequence[str], counts: Sequence[float], total: float) -> str:
    """Name the kinds that make up a total.

    Examples
    --------
    >>> kinds = ["demo", "visit"]
    >>> _named(kinds, [1.0, 3.0], 5.0), _named(kinds, [2.0, 0.0], 2.0), _named(kinds, [0.0, 0.0], 1.0)
    (' (visit 3, demo 1, others 1)', ' (demo)', '')
    """
    order = sorted((place for place, count in enumerate(counts) if count > 0), key=lambda place: -counts[place])
    told = order[:MAX_KINDS]
    left = total - sum(counts[place] for place in told)
    if not told:
        return ""
    if len(told) == 1 and left <= 0:
        return f" ({show_value(names[told[0]])})"
    words = [f"{show_value(names[place])} {show_value(counts[place])}" for place in told]
    return f" ({', '.join([*words, *([f'others {show_value(left)}'] if left > 0 else [])])})"


def _cells(column: Any, rows: np.ndarray) -> list[object]:
    if isinstance(column, pd.Series):
        return column.iloc[rows].to_numpy(dtype=object).tolist()
    return [column[row] for row in rows]


def _words(cells: Sequence[object], known: np.ndarray) -> list[str]:
    """Show cells; texts that are said many times are looked at once."""
    seen: dict[str, str] = {}
    words = []
    for cell, is_known in zip(cells, known.tolist(), strict=True):
        if not is_known:
            words.append(NOT_GIVEN)
        elif type(cell) is str:
            word = seen.get(cell)
            if word is None:
                word = seen[cell] = show_value(cell)
            words.append(word)
        else:
            words.append(show_value(cell))
    return words


def reason_texts(explanation: Explanation, evidence: Evidence, *, n_reasons: int) -> np.ndarray:
    """Word the strongest reasons of each lead: up to `n_reasons` - 1 for, up to 1 against.

    Parameters
    ----------
    explanation : Explanation
        Of columns; those of one group are one reason.
    evidence : Evidence
    n_reasons : int
        At least 1.

    Returns
    -------
    array of str, shape (n_leads, n_reasons)
        Strongest first, those for before the one against, then empty texts. No reason is a part below 0.05 log-odds,
        nor one that learners of less than 0.8 of the blend put on the side it is on, nor one about events that a
        stronger part on the other side counts too.
    """
    together = grouped(explanation, tuple(group.columns for group in evidence.groups))
    # Where the learners do not agree which way something moves a lead, nobody should be told.
    is_sure = together.agreement() >= MIN_AGREEMENT
    parts = np.where(is_sure, together.log_odds_parts, 0.0)
    chosen = _chosen(_uncontradicted(parts, tuple(group.kinds for group in evidence.groups)), n_reasons)
    texts = np.full(chosen.shape, "", dtype=object)
    rows, ranks = np.nonzero(chosen >= 0)
    groups = chosen[rows, ranks]
    order = np.argsort(groups, kind="stable")
    ends = np.searchsorted(groups[order], np.arange(len(evidence.groups) + 1))
    for group in np.unique(groups).tolist():
        here = order[ends[group] : ends[group + 1]]
        words = evidence.texts(rows[here], group)
        points = together.points[rows[here], group].tolist()
        texts[rows[here], ranks[here]] = [f"{word}, {n:+.1f} points" for word, n in zip(words, points, strict=True)]
    return texts


def _uncontradicted(parts: np.ndarray, kinds: tuple[frozenset[str], ...]) -> np.ndarray:
    """Drop the weaker of two parts that count some of the same events and pull opposite ways: few would believe both.

    Examples
    --------
    All activity counts demos too; whether a lead is in retail has nothing to do with them:

    >>> kinds = (frozenset({"demo", "visit"}), frozenset({"demo"}), frozenset())
    >>> _uncontradicted(np.array([[3.0, -1.0, -2.0], [-1.0, 3.0, -2.0], [1.0, 3.0, -2.0]]), kinds).tolist()
    [[3.0, 0.0, -2.0], [0.0, 3.0, -2.0], [1.0, 3.0, -2.0]]
    """
    sides, is_first, is_second = _pairs(kinds)
    one, other = parts[:, sides[0]], parts[:, sides[1]]
    is_opposed = one * other < 0
    is_weaker = np.abs(one) < np.abs(other)
    n_stronger = (is_opposed & is_weaker) @ is_first + (is_opposed & ~is_weaker) @ is_second
    return np.where(n_stronger > 0, 0.0, parts)


@cache
def _pairs(kinds: tuple[frozenset[str], ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """List the pairs of groups that count some of the same events, and which group is a pair's first, and second."""
    pairs = [(i, j) for j in range(len(kinds)) for i in range(j) if kinds[i] & kinds[j]]
    sides = np.array(pairs, dtype=int).reshape(-1, 2).T
    is_first, is_second = (np.eye(len(kinds))[side] for side in sides)
    return sides, is_first, is_second


def _chosen(parts: np.ndarray, n_reasons: int) -> np.ndarray:
    """Give which groups are each lead's reasons, in order and then -1; of equal parts the first group is for first."""
    n_leads, n_groups = parts.shape
    every = np.arange(n_leads)
    chosen = np.full((n_leads, n_reasons), -1)
    n_for = np.zeros(n_leads, dtype=int)
    left = parts.copy()
    for rank in range(min(max(n_reasons - 1, 1), n_groups)):
        best = left.argmax(axis=1)
        is_for = left[every, best] >= MIN_REASON
        chosen[is_for, rank] = best[is_for]
        n_for += is_for
        left[every, best] = -np.inf
    if n_reasons > 1:
        worst = n_groups - 1 - parts[:, ::-1].argmin(axis=1)
        is_against = parts[every, worst] <= -MIN_REASON
        chosen[is_against, n_for[is_against]] = worst[is_against]
    return chosen


def show_value(value: object) -> str:
    """Write a lead's own value briefly.

    Examples
    --------
    >>> show_value(2.50), show_value("37.0"), show_value(None), show_value(" Referral ")
    ('2.5', '37', 'not given', 'Referral')
    """
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return NOT_GIVEN
    if isinstance(value, float):  # numpy's float64 is one
        return show_number(value)
    if isinstance(value, np.floating):
        return show_number(float(value))
    text = " ".join(str(value).split())
    if _DECIMAL.fullmatch(text):  # the same number reads the same from text and from a float column
        return show_number(float(text))
    return text if len(text) <= MAX_VALUE_CHARACTERS else f"{text[: MAX_VALUE_CHARACTERS - 1]}…"
