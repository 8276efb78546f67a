"""The only place that reads a points sheet as people keep it: signals and points, one a line."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd

from propensity.errors import InputError
from propensity.schema import canonical_text, normalise_name, parse_number

_CONDITION = re.compile(r"^(?P<column>.+?)\s*(?P<op>>=|<=|!=|==|=|>|<)\s*(?P<value>.+)$")
COLUMNS = ("signal", "points", "cap", "decay", "half_life", "group", "override")
DECAYS = ("none", "linear", "step", "exponential")
USUAL_HALF_LIFE = 30.0
MAX_NUMBER = 1_000_000_000


def read_sheet(
    sheet: pd.DataFrame, *, columns: Sequence[str], events: Collection[str], groups: Collection[str], name: str
) -> list[dict[str, Any]]:
    """Read a sheet into lines of ``[[rules.points]]``.

    A signal is an event type, or a lead column with a condition (``Industry = Software``, ``Employees >= 50``), or a
    lead column alone, which then must say yes.

    Parameters
    ----------
    sheet : DataFrame
        Columns ``signal`` and ``points``; optional ``cap, decay, half_life, group, override``.
    columns : sequence of str
        Of the lead table.
    events : collection of str
        Canonical event types.
    groups : collection of str
        Those the config has.
    name : str
        What errors call the file.

    Returns
    -------
    list of dict

    Raises
    ------
    InputError
        Lines that cannot be read, all at once, by their number.

    Examples
    --------
    >>> sheet = pd.DataFrame({"signal": ["Demo request", "Size >= 50"], "points": ["30", "10"]})
    >>> lines = read_sheet(sheet, columns=["Size"], events={"demo request"}, groups=(), name="sheet.csv")
    >>> lines[0]["event"], lines[1]["column"], lines[1]["op"], lines[1]["value"], lines[1]["points"]
    ('demo request', 'Size', '>=', 50, 10)
    """
    own = {normalise_name(column).replace(" ", "_"): column for column in sheet.columns}
    absent = [column for column in ("signal", "points") if column not in own]
    if absent:
        msg = f"{name} lacks the columns {', '.join(absent)}. A sheet has {', '.join(COLUMNS)}: the first two at least."
        raise InputError(msg)
    there = {normalise_name(column): column for column in columns}
    lines, faults = [], []
    for i, row in enumerate(sheet.to_dict("records"), start=1):
        cells = {key: str(row[column]).strip() for key, column in own.items() if not pd.isna(row[column])}
        if not any(cells.values()):
            continue
        try:
            lines.append(_line(cells, there=there, events=events, groups=groups))
        except ValueError as fault:
            faults.append(f"line {i}: {fault}")
    names = [normalise_name(line["name"]) for line in lines]
    faults += [f"{line['name'][:60]!r} stands there twice" for i, line in enumerate(lines) if names[i] in names[:i]]
    if not lines and not faults:
        faults.append("it holds no signal")
    if faults:
        more = [f"and {len(faults) - 20:,} more"] * (len(faults) > 20)
        there_are = [f"{what}: {_few(names)}" for what, names in (("events", sorted(events)), ("columns", columns))]
        msg = "\n  ".join([f"{name} cannot be used:", *faults[:20], *more, f"Signals are {'; '.join(there_are)}."])
        raise InputError(msg)
    return lines


def _few(names: Sequence[str], most: int = 15) -> str:
    """List what there is, as far as anyone reads."""
    if not names:
        return "none"
    return ", ".join([*names[:most], *(["..."] * (len(names) > most))])


def _line(
    cells: dict[str, str], *, there: dict[str, str], events: Collection[str], groups: Collection[str]
) -> dict[str, Any]:
    signal = cells.get("signal", "")
    line: dict[str, Any] = {"name": signal[:200], **_condition(signal, there=there, events=events)}
    override = cells.get("override", "")
    if override:
        if override.casefold() not in {"sql", "mql", "disqualify"}:
            msg = f"override must be SQL, MQL or disqualify, got {override[:30]!r}"
            raise ValueError(msg)
        line["override"] = override.casefold() if override.casefold() == "disqualify" else override.upper()
    if cells.get("points") or not override:
        line["points"] = _number(cells.get("points", ""), "points")
    if cells.get("cap"):
        line["cap"] = _number(cells["cap"], "cap", above=0)
    line |= _aged(cells, signal, is_event="event" in line)
    group = cells.get("group", "")
    if group:
        if group not in groups:
            msg = f"group {group[:60]!r} is not under [rules.groups]; there are: {', '.join(sorted(groups)) or 'none'}"
            raise ValueError(msg)
        line["group"] = group
    return line


def _aged(cells: dict[str, str], signal: str, *, is_event: bool) -> dict[str, Any]:
    """Read how points of events grow old."""
    decay = cells.get("decay", "").casefold()
    if decay and decay not in DECAYS:
        msg = f"decay must be one of {', '.join(DECAYS)}, got {decay[:30]!r}"
        raise ValueError(msg)
    if cells.get("half_life") and decay in {"", "none"}:
        msg = "a half_life needs a decay: linear, step or exponential"
        raise ValueError(msg)
    if decay not in {"", "none"}:
        if not is_event:
            msg = f"only events grow old, and {signal[:60]!r} is a column"
            raise ValueError(msg)
        half_life = cells.get("half_life", "")
        return {
            "decay": decay,
            "half_life_days": _number(half_life, "half_life", above=0) if half_life else USUAL_HALF_LIFE,
        }
    return {}


def _condition(signal: str, *, there: dict[str, str], events: Collection[str]) -> dict[str, Any]:
    """Read what a signal is about."""
    if not signal:
        msg = "the signal is empty"
        raise ValueError(msg)
    kind = canonical_text(signal)
    if kind in events:
        return {"event": kind}
    if normalise_name(signal) in there:
        return {"column": there[normalise_name(signal)], "op": "in", "value": ["yes", "true", "1", "y"]}
    found = _CONDITION.match(signal)
    if found and normalise_name(found["column"]) in there:
        op = "==" if found["op"] == "=" else found["op"]
        value = found["value"].strip().strip("\"'")
        column = there[normalise_name(found["column"])]
        if op in {">", ">=", "<", "<="}:
            return {"column": column, "op": op, "value": _number(value, "the value compared with")}
        return {"column": column, "op": op, "value": value}
    msg = f"{signal[:60]!r} is neither an event type nor a lead column (with = or >= and a value)"
    raise ValueError(msg)


def _number(text: str, what: str, *, above: float | None = None) -> float:
    number = parse_number(text.casefold())
    if number is None or number != number or (above is not None and number <= above):  # noqa: PLR0124 - NaN
        allowed = "a number" if above is None else f"a number above {above:g}"
        msg = f"{what} must be {allowed}, got {text[:30]!r}"
        raise ValueError(msg)
    if abs(number) > MAX_NUMBER:
        msg = f"{what} must be at most {MAX_NUMBER:,} in size, got {text[:30]!r}"
        raise ValueError(msg)
    return int(number) if number == int(number) else number
