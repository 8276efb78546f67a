"""The only place that guesses which columns of an event, outcome, cutoff or history table are which, and says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from propensity.asof import join_keys, way_of_writing
from propensity.errors import InputError
from propensity.roles.columns import CREATED_NAMES, Facts, look
from propensity.roles.exports import BECAME, COLUMNS, CONVERTED, LEAD_IDS, OWN_ID, PERSON_KEYS, plain, recognise
from propensity.schema import missing_words, resolve_columns

# A look at so many rows tells a column of stamps or of words; keys are looked at whole.
LOOK_ROWS = 5000
# More different words than this name things, not kinds of events.
MAX_TYPES = 2000
OPTIONAL = {"value": {"events"}, "recorded_at": {"events"}, "old_value": {"field_history"}}
# Where `propensity.toml` says what a table's columns are, below ``columns``.
SECTIONS = {"events": "event", "outcomes": "outcome", "cutoffs": "cutoffs", "field_history": "field_history"}
_STAMPS = {"occurred_at", "recorded_at", "converted_at", "cutoff", "valid_from"}
_WHAT = {
    "occurred_at": "when it happened",
    "type": "what happened",
    "value": "what it was worth",
    "recorded_at": "when it was known",
    "converted_at": "when the lead converted",
    "cutoff": "as of when to look at a lead",
    "field": "which field changed",
    "valid_from": "from when on",
    "old_value": "what it was before",
}
# The names by which a table is known from afar: one of each.
_TELLING: Mapping[str, tuple[Sequence[str], ...]] = {
    "leads": ((*LEAD_IDS, OWN_ID), [plain(name) for name in CREATED_NAMES]),
    "events": (COLUMNS["events"]["occurred_at"], COLUMNS["events"]["type"]),
    "outcomes": (CONVERTED,),
    "cutoffs": (("cutoff", "cutoffat", "asof", "snapshotdate", "scoringdate"),),
    "field_history": tuple(COLUMNS["field_history"][role] for role in ("field", "value", "valid_from")),
}
_LOOKS = {
    "leads": "a lead file",
    "events": "an event log",
    "outcomes": "a file of conversions",
    "cutoffs": "a file of cutoffs",
    "field_history": "a history of fields",
}
# A file that names this share of its rows apart has one row a lead.
_DISTINCT_SHARE = 0.9


@dataclass(frozen=True, kw_only=True)
class TableGuess:
    """What a table beside the leads is taken for.

    Parameters
    ----------
    columns : dict of role to column
        ``id`` or ``group``, and what the table needs, as the file writes them.
    lead_column : str
        The lead table's column that ``id`` or ``group`` names.
    n_rows, n_matched : int
        Rows, and those that belong to a lead of the lead table.
    others : tuple of (str, str, int)
        Other pairs of columns that would join them: the lead table's, the table's own, and rows that match.
    """

    columns: Mapping[str, str]
    lead_column: str
    n_rows: int
    n_matched: int
    others: tuple[tuple[str, str, int], ...] = ()


def guess_table(
    frame: pd.DataFrame,
    table: str,
    keys: Mapping[str, pd.Series],
    *,
    name: str,
    missing: Mapping[str, Sequence[str | float]],
) -> TableGuess:
    """Guess the columns of one table.

    Whose a record is, is told by values: the column whose keys are the leads'. The rest is told by names, and held
    against the values.

    Parameters
    ----------
    frame : DataFrame
        As read.
    table : str
    keys : mapping of lead column to Series
        Columns of the lead table by which records may name a lead, the id first.
    name : str
        The file, for messages.
    missing : mapping of column (or "*") to words

    Returns
    -------
    TableGuess

    Raises
    ------
    InputError
        No column names leads, or a column that the table needs is not found.

    Examples
    --------
    >>> log = pd.DataFrame({"contactId": [7, 9], "ts": ["2026-01-01 10:00", "2026-01-02 11:00"], "action": ["a", "b"]})
    >>> guess = guess_table(log, "events", {"Lead": pd.Series(["7", "8"])}, name="log.csv", missing={})
    >>> guess.columns, guess.n_matched
    ({'id': 'contactId', 'occurred_at': 'ts', 'type': 'action'}, 1)
    """
    resolve_columns(frame.columns)
    (lead_column, own, matched), *others = _joins(frame, keys, name=name, missing=missing)
    taken = {own}
    columns = {"id" if lead_column == next(iter(keys)) else "group": own}
    facts = {
        str(column): look(frame[column].iloc[:LOOK_ROWS], name=str(column), missing=missing) for column in frame.columns
    }
    for role, aliases in COLUMNS[table].items():
        fitting = {name: fact for name, fact in facts.items() if name not in taken and _fits(fact, table, role)}
        found = _find(fitting, role, aliases)
        if found is None and table in OPTIONAL.get(role, ()):
            continue
        if found is None:
            shown = ", ".join(str(column)[:40] for column in list(frame.columns)[:12])
            msg = (
                f"{name}: no column of it says {_WHAT.get(role, role)} (columns.{SECTIONS[table]}.{role}). "
                f"It has: {shown}. Call it {aliases[0]!r}, or write the config by hand and name it there."
            )
            raise InputError(msg)
        columns[role] = found
        taken.add(found)
    return TableGuess(
        columns=columns, lead_column=lead_column, n_rows=len(frame), n_matched=matched, others=tuple(others)
    )


def lead_id_of(frame: pd.DataFrame, *, name: str) -> str:
    """Give the column of a table that names leads, where there is no lead table to hold it against.

    Raises
    ------
    InputError
        None is called so.

    Examples
    --------
    >>> lead_id_of(pd.DataFrame(columns=["cutoff", "Contact ID"]), name="cutoffs.csv")
    'Contact ID'
    """
    headers = {plain(column): str(column) for column in frame.columns}
    found = next((headers[alias] for alias in (*LEAD_IDS, OWN_ID) if alias in headers), None)
    if found is None:
        shown = ", ".join(str(column)[:40] for column in list(frame.columns)[:12])
        msg = f"{name}: no column of it is called as one that names leads. It has: {shown}. Name it with --id."
        raise InputError(msg)
    return found


def check_given(frames: Mapping[str, pd.DataFrame], *, names: Mapping[str, str]) -> None:
    """Refuse files that were plainly given in each other's place.

    Parameters
    ----------
    frames : mapping of table to DataFrame
        As read.
    names : mapping of table to file name

    Raises
    ------
    InputError
        Files look like each other's tables, or one like a table that was not given.

    Examples
    --------
    >>> log = pd.DataFrame(columns=["lead_id", "occurred_at", "event_type"])
    >>> won = pd.DataFrame(columns=["lead_id", "converted_at"])
    >>> check_given({"events": won, "outcomes": log}, names={"events": "won.csv", "outcomes": "log.csv"})
    Traceback (most recent call last):
    propensity.errors.InputError: won.csv (--events) looks like a file of conversions, log.csv (--outcomes) looks like
    an event log; did you swap --events and --outcomes?
    """
    looks = {table: looks_like(frame) for table, frame in frames.items()}
    wrong = {table: found[0] for table, found in looks.items() if found and table not in found}
    for table, kind in wrong.items():
        swapped = _swapped(table, wrong)
        # Conversions may be told by a log, and leads by anything.
        if not swapped and (kind in frames or table in {"leads", "outcomes"}):
            continue
        said = ", ".join(f"{names.get(t, t)} ({_option(t)}) looks like {_LOOKS[wrong[t]]}" for t in swapped or [table])
        *rest, last = (_option(t) for t in swapped or [kind])
        swap = f"swap {', '.join(rest)} and" if swapped else "mean"
        msg = f"{said}; did you {swap} {last}?"
        raise InputError(msg)


def _swapped(table: str, wrong: Mapping[str, str]) -> list[str]:
    """Give the tables that stand in each other's place, this one first; none where another has its place."""
    found = [table]
    while (kind := wrong.get(found[-1])) is not None:
        if kind == table:
            return found
        if kind in found:
            break
        found.append(kind)
    return []


def looks_like(frame: pd.DataFrame) -> list[str]:
    """Give the tables that a file could be, by what its columns are called; none where that tells nothing.

    Examples
    --------
    >>> looks_like(pd.DataFrame(columns=["Lead ID", "Created", "Event"]))
    ['leads']
    """
    headers = {plain(column): column for column in frame.columns}
    found = [
        table
        for table, roles in _TELLING.items()
        if all({*aliases} & {*headers} for aliases in roles) or recognise(frame.columns, table)
    ]
    named = [headers[alias] for alias in (*LEAD_IDS, OWN_ID) if alias in headers]
    if {"leads", "events"} <= {*found} and named:
        # Both have a date and may have a type; a log says more than one thing of a lead.
        ids = frame[named[0]]
        found.remove("events" if ids.nunique() >= _DISTINCT_SHARE * len(ids) else "leads")
    return found


def _option(table: str) -> str:
    return "LEADS" if table == "leads" else f"--{table.replace('_', '-')}"


def _joins(
    frame: pd.DataFrame, keys: Mapping[str, pd.Series], *, name: str, missing: Mapping[str, Sequence[str | float]]
) -> list[tuple[str, str, int]]:
    """Find the columns whose values are the leads' keys: the lead table's, its own, rows that match; the best first."""
    headers = {plain(column): column for column in frame.columns}
    found: list[tuple[float, tuple[str, str, int]]] = []
    best = 0
    unmet: list[tuple[pd.Index, pd.Index]] = []
    is_last_resort = not ({*LEAD_IDS, *PERSON_KEYS, *map(plain, keys)} - {OWN_ID}) & {*headers}
    for lead_column, values in keys.items():
        there = pd.Index(join_keys(values, missing=missing_words(missing, lead_column)).dropna().unique())
        became = BECAME.get(plain(lead_column))
        for alias in became or dict.fromkeys((plain(lead_column), *LEAD_IDS, *PERSON_KEYS, OWN_ID)):
            # A table's own ids, counted from 1 as the leads' are, would match them all.
            if alias not in headers or (alias == OWN_ID and not is_last_resort and not became):
                continue
            column = str(headers[alias])
            theirs = join_keys(frame[headers[alias]], missing=missing_words(missing, column))
            n_matched = int((there.get_indexer(pd.Index(theirs.dropna())) >= 0).sum())
            if not n_matched:
                unmet.append((pd.Index(theirs.dropna().unique()), there))
                continue
            found.append((n_matched / int(theirs.notna().sum()), (lead_column, column, n_matched)))
            # Names come in order of how telling they are: a later one must match far better.
            if found[-1][0] > 2 * found[best][0]:
                best = len(found) - 1
    if not found:
        remedy = next(filter(None, (way_of_writing(own, there) for own, there in unmet)), "")
        next_step = (
            f"They match when {remedy}. Write them alike in both files."
            if remedy
            else "Name the lead file's column with --id, or give files of the same leads."
        )
        msg = (
            f"{name}: no column of it holds keys of leads ({', '.join(repr(column[:40]) for column in keys)} of the "
            f"lead file). {next_step}"
        )
        raise InputError(msg)
    return [join for _, join in (found[best], *found[:best], *found[best + 1 :])]


def _find(fitting: Mapping[str, Facts], role: str, aliases: Sequence[str]) -> str | None:
    """Find a column by its name among those whose values fit. The only one that fits does without a name."""
    headers = {plain(name): name for name in fitting}
    for alias in aliases:
        if alias in headers:
            return headers[alias]
    if role in _STAMPS - {"recorded_at"} and len(fitting) == 1:
        return next(iter(fitting))
    return None


def _fits(fact: Facts, table: str, role: str) -> bool:
    if role in _STAMPS:
        # A number under a stamp's name is an epoch.
        return fact.is_date or (fact.is_number and len(fact.numbers) > 0 and bool(np.min(fact.numbers) >= 1e8))
    if (table, role) == ("events", "value"):
        return fact.is_number
    if role == "type":
        return not fact.is_date and 0 < fact.n_levels <= MAX_TYPES
    return True
