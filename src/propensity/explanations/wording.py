"""The only place where parts become reasons in words: which columns make one reason, and what a lead shows for it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

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
    raw, values : DataFrame, shape (n_leads, n_features)
        Cells as given and as read.
    reference : Reference
    cutoff : Series of stamps or None, shape (n_leads,)
        What each lead is as of; None or NaT where unknown.
    timezone : str
        Of the dates shown.
    """

    groups: tuple[Group, ...]
    raw: pd.DataFrame
    values: pd.DataFrame
    reference: Reference
    cutoff: pd.Series | None = None
    timezone: str = "UTC"

    def text(self, row: int, group: int) -> str:
        """Word what one lead shows, beside what is typical, without points."""
        own = self.groups[group]
        shown, typical = self._shown(row, own)
        last = "" if own.since is None or not own.counts else self._last(own.since)[row]
        usual = f" (typical {typical})" if typical else ""
        return f"{own.name}: {shown}{f', last on {last}' if last else ''}{usual}"

    def brief(self, row: int, group: int) -> str:
        """Give what one lead shows and no more: for an axis."""
        return self._shown(row, self.groups[group])[0]

    def _shown(self, row: int, group: Group) -> tuple[str, str]:
        """Give what one lead shows, and what is typical where that is something else."""
        if not group.counts:
            place = next((i for i in group.columns if self._known[i][row]), group.columns[0])
            shown = show_value(self._cells[place][row] if self._known[place][row] else None)
            typical = self.reference.typical[place]
            return shown, "" if shown.casefold() == typical.casefold() else typical
        # The shortest window that holds any; what is typical is of the same window.
        windows = [*group.counts.items()]
        days, place = next((window for window in windows if self._read[window[1]][row] > 0), windows[-1])
        count, typical = self._read[place][row], self.reference.typical[place]
        shown = show_value(float(count)) if count > 0 else "none"
        return f"{shown} in {days} days", "" if typical == (shown if count > 0 else "0") else typical

    @cached_property
    def _cells(self) -> list[np.ndarray]:
        return [self.raw[name].to_numpy(dtype=object) for name in self.raw.columns]

    @cached_property
    def _known(self) -> list[np.ndarray]:
        return [self.values[name].notna().to_numpy() for name in self.raw.columns]

    @cached_property
    def _read(self) -> dict[int, np.ndarray]:
        counted = {place for group in self.groups for place in group.counts.values()}
        return {place: self.values.iloc[:, place].to_numpy(dtype=float) for place in counted}

    @cached_property
    def _dates(self) -> dict[int, np.ndarray]:
        return {}

    def _last(self, place: int) -> np.ndarray:
        """Give the day of each lead's last event of a kind; empty where there is none or nobody knows."""
        if place not in self._dates:
            self._dates[place] = self._days(self.values.iloc[:, place].to_numpy(dtype=float))
        return self._dates[place]

    def _days(self, since: np.ndarray) -> np.ndarray:
        if self.cutoff is None:
            return np.full(len(since), "", dtype=object)
        at = pd.DatetimeIndex(self.cutoff) - pd.to_timedelta(np.round(since * 86_400), unit="s")
        local = at.tz_convert(self.timezone).tz_localize(None).normalize()
        codes, days = pd.factorize(local)
        return np.array([*(day.strftime("%Y-%m-%d") for day in days), ""], dtype=object)[codes]


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
