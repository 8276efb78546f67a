"""The only place where parts become reasons in words: which columns make one reason, and what a lead shows for it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from propensity.explanations.additive import MAX_VALUE_CHARACTERS, Explanation, Reference, grouped
from propensity.features.fit import derived_names
from propensity.features.plan import ANY_EVENT

if TYPE_CHECKING:
    from propensity.features.plan import FeaturePlan
    from propensity.schema import Schema

# A part smaller than this many log-odds is no reason for anything.
MIN_REASON = 0.05
DAY = 86_400_000_000  # in microseconds
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
    """

    name: str
    family: str
    columns: tuple[int, ...]
    counts: Mapping[int, int]
    since: int | None = None


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
            )
        )
    return tuple(groups)


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
    cutoff : Series of stamps or None, shape (n_leads,)
        What each lead is as of; None or NaT where unknown.
    timezone : str
        Of the dates shown.
    """

    groups: tuple[Group, ...]
    raw: Sequence[Any]
    values: Sequence[Any]
    reference: Reference
    cutoff: pd.Series | None = None
    timezone: str = "UTC"

    def text(self, row: int, group: int) -> str:
        """Word what one lead shows, beside what is typical, without points."""
        own = self.groups[group]
        shown, typical = self._shown(row, own)
        last = "" if own.since is None or not own.counts else self._column("last", own.since)[row]
        usual = f" (typical {typical})" if typical else ""
        return f"{own.name}: {shown}{f', last on {last}' if last else ''}{usual}"

    def brief(self, row: int, group: int) -> str:
        """Give what one lead shows and no more: for an axis."""
        return self._shown(row, self.groups[group])[0]

    def _shown(self, row: int, group: Group) -> tuple[str, str]:
        """Give what one lead shows, and what is typical where that is something else."""
        if not group.counts:
            place = next((i for i in group.columns if self._column("known", i)[row]), group.columns[0])
            is_known = self._column("known", place)[row]
            shown = show_value(self._column("cells", place)[row] if is_known else None)
            typical = self.reference.typical[place]
            return shown, "" if shown.casefold() == typical.casefold() else typical
        # The shortest window that holds any; what is typical is of the same window.
        windows = [*group.counts.items()]
        days, place = next((window for window in windows if self._column("read", window[1])[row] > 0), windows[-1])
        count, typical = self._column("read", place)[row], self.reference.typical[place]
        shown = show_value(float(count)) if count > 0 else "none"
        return f"{shown} in {days} days", "" if typical == (shown if count > 0 else "0") else typical

    @cached_property
    def _kept(self) -> dict[tuple[str, int], np.ndarray]:
        return {}

    def _column(self, what: str, place: int) -> np.ndarray:
        """Give a column in the form it is asked for in; only a few are, and those for each lead."""
        key = what, place
        if key not in self._kept:
            self._kept[key] = self._made(what, place)
        return self._kept[key]

    def _made(self, what: str, place: int) -> np.ndarray:
        if what == "cells":
            return np.asarray(self.raw[place], dtype=object)
        if what == "known":
            return np.asarray(pd.notna(np.asarray(self.values[place], dtype=object)))
        numbers = np.asarray(self.values[place], dtype=float)
        return numbers if what == "read" else self._days(numbers)

    def _days(self, since: np.ndarray) -> np.ndarray:
        """Give the day of each lead's last event of a kind; empty where there is none or nobody knows."""
        if self._at is None:
            return np.full(len(since), "", dtype=object)
        gone = np.isnan(since)
        ago = np.round(np.where(gone, 0.0, since) * DAY).astype("timedelta64[us]")
        at = np.where(gone, np.datetime64("NaT"), self._at - ago)
        if self.timezone != "UTC":
            at = pd.DatetimeIndex(at, tz="UTC").tz_convert(self.timezone).tz_localize(None).to_numpy()
        days, codes = np.unique(at.astype("datetime64[D]"), return_inverse=True)
        return np.where(np.isnat(days), "", np.datetime_as_string(days)).astype(object)[codes]

    @cached_property
    def _at(self) -> np.ndarray | None:
        return None if self.cutoff is None else self.cutoff.dt.tz_localize(None).to_numpy().astype("datetime64[us]")


def reason_texts(explanation: Explanation, evidence: Evidence, *, n_reasons: int) -> list[list[str]]:
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
    list of list of str
        Strongest first, those for before the one against. A part below 0.05 log-odds is no reason.
    """
    together = grouped(explanation, [group.columns for group in evidence.groups])
    parts, points = together.log_odds_parts, together.points
    n_for = max(n_reasons - 1, 1)
    order = np.argsort(-parts, axis=1, kind="stable")
    texts = []
    for row, ranked in enumerate(order):
        chosen = [group for group in ranked[:n_for] if parts[row, group] >= MIN_REASON]
        worst = ranked[-1]
        if n_reasons > 1 and parts[row, worst] <= -MIN_REASON:
            chosen.append(worst)
        texts.append([f"{evidence.text(row, group)}, {points[row, group]:+.1f} points" for group in chosen])
    return texts


def show_value(value: object) -> str:
    """Write a lead's own value briefly.

    Examples
    --------
    >>> show_value(2.50), show_value("37.0"), show_value(None), show_value(" Referral ")
    ('2.5', '37', 'not given', 'Referral')
    """
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "not given"
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    text = " ".join(str(value).split())
    if _DECIMAL.fullmatch(text):  # the same number reads the same from text and from a float column
        return f"{float(text):.6g}"
    return text if len(text) <= MAX_VALUE_CHARACTERS else f"{text[: MAX_VALUE_CHARACTERS - 1]}…"
