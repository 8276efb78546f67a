"""The only place where event, outcome and field history tables become records: whose, what, and when it was known.

Instants are int64 microseconds since 1970, UTC. A record counts at a cutoff iff it was known before it.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pandas as pd

from propensity.asof.chains import in_chain
from propensity.asof.joins import LeadKey, check_joined
from propensity.asof.stamps import Stamps, parse_stamps
from propensity.errors import InputError
from propensity.schema import (
    MAX_CELL_CHARACTERS,
    distinct,
    find_column,
    missing_words,
    normalise_name,
    read_ids,
    read_numbers,
    read_texts,
    resolve_columns,
)

Words = Mapping[str, Sequence[str | float]]

# Later than every cutoff: the instant of what never happened.
NEVER = int(np.iinfo(np.int64).max)
# Beyond this no amount that anybody paid; sums of such stay exact.
MAX_VALUE = 1e15
# At least this share of named values must read as numbers.
VALUE_SHARE = 0.99
# No more than this share of records, later than all others by long, are strays: a year mistyped, a wrong clock.
STRAY_SHARE = 0.01
DAY = 24 * 3600 * 1_000_000
# Records looked at together where there are many, so that what is made of them on the way takes little memory.
CHUNK_RECORDS = 4_000_000
# What the last three signs of an 18-character Salesforce id stand for: which of the first 15 are capitals.
_CHECK = string.ascii_uppercase + "012345"


class EventNames(Protocol):
    """What the columns of an event table are called."""

    @property
    def occurred_at(self) -> str: ...  # noqa: D102
    @property
    def type(self) -> str: ...  # noqa: D102
    @property
    def value(self) -> str: ...  # noqa: D102
    @property
    def recorded_at(self) -> str: ...  # noqa: D102


class HistoryNames(Protocol):
    """What the columns of a field history are called."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def field(self) -> str: ...  # noqa: D102
    @property
    def value(self) -> str: ...  # noqa: D102
    @property
    def valid_from(self) -> str: ...  # noqa: D102
    @property
    def old_value(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class Events:
    """What leads did, one record an event; the order of records means nothing.

    Parameters
    ----------
    key : array of int, shape (n_events,)
        Whose: position in the join keys.
    occurred_at, known_at : array of int64, shape (n_events,)
        When it happened, and from when on it was known: never before it happened.
    kind : array of int, shape (n_events,)
        Position in `types`.
    value : array of float or None, shape (n_events,)
    types : tuple of str
        Canonical names of event types, in alphabetical order.
    notes : dict of str to int
        Records left out, by reason.
    seen_at : array of int64 or None
        When each record of the whole file was known, those of other leads among them; None: of these alone.
    """

    key: np.ndarray
    occurred_at: np.ndarray
    known_at: np.ndarray
    kind: np.ndarray
    value: np.ndarray | None
    types: tuple[str, ...]
    notes: Mapping[str, int]
    seen_at: np.ndarray | None = None

    def __len__(self) -> int:
        """How many records there are."""
        return len(self.key)


@dataclass(frozen=True, kw_only=True)
class Conversions:
    """Who converted when, in order of key and time.

    Parameters
    ----------
    key : array of int, shape (n_conversions,)
        Position in the join keys.
    at : array of int64, shape (n_conversions,)
    notes : dict of str to int
    """

    key: np.ndarray
    at: np.ndarray
    notes: Mapping[str, int]

    def first(self, n_keys: int) -> np.ndarray:
        """Give the first conversion of each key; NEVER where there is none."""
        at = np.full(n_keys, NEVER)
        np.minimum.at(at, self.key, self.at)
        return at

    def following(self, key: np.ndarray, cutoff: np.ndarray) -> np.ndarray:
        """Give the first conversion at or after each cutoff; NEVER where there is none.

        Examples
        --------
        >>> won = Conversions(key=np.array([0, 0]), at=np.array([10, 20]), notes={})
        >>> won.following(np.array([0, 0, 1]), np.array([10, 11, 0])) == [10, 20, NEVER]
        array([ True,  True,  True])
        """
        wanted = pd.DataFrame({"key": key.astype(np.int64), "cutoff": cutoff, "row": np.arange(len(key))})
        there = pd.DataFrame({"key": self.key.astype(np.int64), "cutoff": self.at, "nth": np.arange(len(self.at))})
        found = pd.merge_asof(
            wanted.sort_values("cutoff", kind="stable"),
            there.sort_values("cutoff", kind="stable"),
            on="cutoff",
            by="key",
            direction="forward",
        )
        at = np.full(len(key), NEVER)
        found = found[found["nth"].notna()]  # positions, not instants, pass through floats without loss
        at[found["row"].to_numpy()] = self.at[found["nth"].to_numpy(dtype=int)]
        return at


@dataclass(frozen=True, kw_only=True)
class History:
    """Values that fields of a lead had, and from when on.

    Parameters
    ----------
    frame : DataFrame
        Columns ``key`` (position in the join keys), ``field`` (normalised name), ``value`` (as given),
        ``old_value`` (as given; None where unknown), ``at`` (int64); in order of key, field and time.
    notes : dict of str to int
    """

    frame: pd.DataFrame
    notes: Mapping[str, int]


def microseconds(stamps: pd.Series) -> np.ndarray:
    """Give instants as int64; NEVER where missing.

    Examples
    --------
    >>> microseconds(pd.Series(pd.to_datetime(["1970-01-01 00:00:01", None], utc=True))) == [1_000_000, NEVER]
    array([ True,  True])
    """
    plain = np.array(stamps.dt.tz_convert("UTC").dt.tz_localize(None), dtype="datetime64[us]")
    is_missing, at = np.isnat(plain), plain.view(np.int64)
    at[is_missing] = NEVER
    return at


def to_stamps(at: np.ndarray) -> pd.Series:
    """Give int64 instants as aware stamps; NEVER becomes NaT."""
    plain = np.where(at == NEVER, np.int64(np.iinfo(np.int64).min), at).astype("datetime64[us]")
    return pd.Series(plain).dt.tz_localize("UTC")


def read_stamps(
    frame: pd.DataFrame, name: str, *, key: str, timezone: str, missing: Words, date_is_start: bool = False
) -> Stamps:
    """Read a column of stamps, its words for missing among them.

    Parameters
    ----------
    frame : DataFrame
    name : str
        The column, as configured.
    key : str
        The config key that names it, for messages.
    timezone : str
    missing : mapping of column (or "*") to words
    date_is_start : bool
        As for `parse_stamps`.

    Raises
    ------
    InputError
        No such column, or cells that are no stamps.
    """
    found = find_column(frame, name, key=key)
    series = frame[found]
    if not pd.api.types.is_datetime64_any_dtype(series.dtype):
        filled = read_texts(series, missing=missing_words(missing, str(found))).notna().to_numpy()
        series = series.reset_index(drop=True).where(filled)
    return parse_stamps(series, timezone=timezone, name=str(found), key=key, date_is_start=date_is_start)


def join_keys(ids: pd.Series, *, missing: Sequence[str]) -> pd.Series:
    """Give ids as they are compared between tables: as text, an 18-character Salesforce id by its first 15.

    Only an id whose last three signs are right for the others is taken for one. A whole number that a tool wrote
    with decimals, because its column had gaps, is that number.

    Examples
    --------
    >>> join_keys(pd.Series(["001A0000006Vm9r", "001A0000006Vm9rIAC", "7.0", 7]), missing=()).to_list()
    ['001A0000006Vm9r', '001A0000006Vm9r', '7', '7']
    """
    keys = read_ids(ids, missing=missing)
    long = keys.str.len() == 18
    if long.any():
        keys = keys.where(~long, keys[long].map(_short))
    whole = keys.str.fullmatch(r"-?(?:0|[1-9]\d*)\.0+", na=False).astype(bool)
    return keys.where(~whole, keys.str.replace(r"\.0+$", "", regex=True)) if whole.any() else keys


def _short(text: str) -> str:
    if not (text.isascii() and text.isalnum()):
        return text
    capitals = ([sign.isupper() for sign in text[i : i + 5]] for i in (0, 5, 10))
    check = "".join(_CHECK[sum(1 << i for i, is_upper in enumerate(part) if is_upper)] for part in capitals)
    return text[:15] if text[15:].upper() == check else text


def _codes(
    frame: pd.DataFrame, name: str, keys: pd.Index, *, missing: Words, what: str, key: str, leads: LeadKey | None
) -> np.ndarray:
    """Give for each record the position of its key; -1 where it is nobody's that we know."""
    column = find_column(frame, name, key=key)
    codes, cells = distinct(frame[column])
    found = join_keys(pd.Series(cells, dtype=object), missing=missing_words(missing, str(column)))
    if leads is not None:
        check_joined(found, keys, leads, what=what, column=column, key=key)
    return _picked(keys.get_indexer(pd.Index(found)), codes)


def _picked(positions: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Give each record the position that its distinct cell has; -1 where it has none."""
    table = np.append(positions, -1).astype(np.int32)
    picked = np.empty(len(codes), dtype=np.int32)
    for start in range(0, len(codes), CHUNK_RECORDS):  # numpy makes wide numbers of narrow codes on the way
        rows = slice(start, start + CHUNK_RECORDS)
        picked[rows] = table[codes[rows]]
    return picked


def _kinds(frame: pd.DataFrame, column: object, *, missing: Words) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
    """Give each record's position of its type, -1 where it has none; the types that occur; whose type is too long."""
    codes, cells = distinct(frame[column])
    names = read_texts(pd.Series(cells, dtype=object), missing=missing_words(missing, str(column)))
    is_long = np.array([isinstance(cell, str) and len(cell) > MAX_CELL_CHARACTERS for cell in cells], dtype=bool)
    names = names.where(~is_long)
    # A category that is no record's is no type.
    occurs = np.zeros(len(cells) + 1, dtype=bool)
    for start in range(0, len(codes), CHUNK_RECORDS):
        occurs[codes[start : start + CHUNK_RECORDS]] = True
    place, types = pd.factorize(names.where(occurs[:-1]), sort=True)
    long = _picked(np.where(is_long, 0, -1), codes) == 0 if is_long.any() else np.zeros(len(codes), dtype=bool)
    return _picked(place, codes), tuple(map(str, types)), long


def _optional(frame: pd.DataFrame, name: str, usual: str, *, key: str) -> object | None:
    """Find a column that must be there where it is named, and may be where it has its usual name."""
    if name:
        return find_column(frame, name, key=key)
    return resolve_columns(frame.columns).get(usual)


def read_events(
    frame: pd.DataFrame,
    columns: EventNames,
    *,
    key: str,
    keys: pd.Index,
    timezone: str,
    missing: Words,
    named_by: str = "columns.event.id",
    leads: LeadKey | None = None,
) -> Events:
    """Read an event table.

    Records of unknown leads, without a stamp or a type are left out and counted; so are those whose type is no name
    but a text longer than any cell may be, and those that say the same (lead, type, time and value) twice, the first
    known of them kept.

    Parameters
    ----------
    frame : DataFrame
        As read.
    columns : EventNames
    key : str
        The column of `frame` that says whose an event is.
    keys : Index
        Join keys of the leads (or accounts), all different.
    timezone : str
    missing : mapping of column (or "*") to words
    named_by : str
        The config key that names the column `key`, for messages.
    leads : LeadKey or None
        What the keys are, for a message where none is met; None: no matter.

    Returns
    -------
    Events

    Raises
    ------
    InputError
        There is no row, a column is absent, or its cells cannot be read.
    """
    _refuse_empty(frame, "events", key="data.events, --events")
    owner = _codes(frame, key, keys, missing=missing, what="events", key=named_by, leads=leads)
    occurred, known, n_unclear = _when(frame, columns, timezone=timezone, missing=missing)
    type_column = find_column(frame, columns.type, key="columns.event.type")
    kind, types, is_long = _kinds(frame, type_column, missing=missing)
    value_column = _optional(frame, columns.value, "value", key="columns.event.value")
    value = None
    notes = {"events_of_unknown_leads": int((owner < 0).sum()), "events_without_time": int((occurred == NEVER).sum())}
    notes["events_without_type"] = int(((kind < 0) & ~is_long).sum())
    notes["events_too_long"] = int((is_long & (owner >= 0)).sum())
    notes["event_times_in_clock_change"] = n_unclear
    if value_column is not None:
        value, lost = read_numbers(frame[value_column], missing=missing_words(missing, str(value_column)))
        value[np.abs(value) > MAX_VALUE] = np.nan
        notes["event_values_unreadable"] = lost
        n_filled = lost + int(np.isfinite(value).sum())
        # A column that is merely called "value" may hold anything; one that was named must hold numbers.
        if columns.value and lost > (1 - VALUE_SHARE) * n_filled:
            msg = (
                f"Column {str(value_column)!r} (columns.event.value) must hold numbers: {lost:,} of {n_filled:,} "
                "filled cells are none. Name another column, or take the line out."
            )
            raise InputError(msg)
    log = Events(
        key=owner, occurred_at=occurred, known_at=known, kind=kind, value=value, types=types, notes={}, seen_at=known
    )
    log = _kept(log, (owner >= 0) & (occurred != NEVER) & (kind >= 0))
    is_new = _is_new(log)
    notes["events_twice"] = len(log) - int(is_new.sum())
    return replace(_kept(log, is_new), notes={name: n for name, n in notes.items() if n})


def _when(
    frame: pd.DataFrame, columns: EventNames, *, timezone: str, missing: Words
) -> tuple[np.ndarray, np.ndarray, int]:
    """Give when events occurred and were known, and how many stamps stand in a change of clocks."""
    where = {"timezone": timezone, "missing": missing}
    stamps = read_stamps(frame, columns.occurred_at, key="columns.event.occurred_at", **where)  # type: ignore[arg-type]
    occurred, n_unclear = microseconds(stamps.at), stamps.in_clock_change
    recorded_column = _optional(frame, columns.recorded_at, "recorded_at", key="columns.event.recorded_at")
    if recorded_column is None:
        return occurred, occurred, n_unclear
    read = read_stamps(frame, str(recorded_column), key="columns.event.recorded_at", **where)  # type: ignore[arg-type]
    known = microseconds(read.at)
    np.copyto(known, occurred, where=known == NEVER)
    np.maximum(known, occurred, out=known)
    return occurred, known, n_unclear + read.in_clock_change


def known_before(
    frame: pd.DataFrame, columns: EventNames, instant: int, *, timezone: str, missing: Words
) -> pd.DataFrame:
    """Give the rows of an event table that were known before an instant, in microseconds."""
    return frame[_when(frame, columns, timezone=timezone, missing=missing)[1] < instant]


def _kept(log: Events, keep: np.ndarray) -> Events:
    """Give the records to keep. Nothing is copied where all are, and instants that are one array stay one."""
    if keep.all():
        return log
    occurred = log.occurred_at[keep]
    return replace(
        log,
        key=log.key[keep],
        occurred_at=occurred,
        known_at=occurred if log.known_at is log.occurred_at else log.known_at[keep],
        kind=log.kind[keep],
        value=None if log.value is None else log.value[keep],
    )


def _is_new(log: Events) -> np.ndarray:
    """Say which records say what no other one said that was known before, or as early and stands above.

    A few owners at a time. A record whose hash no other one has is new; only the rest are compared.
    """
    is_new = np.ones(len(log), dtype=bool)
    n_parts = min(len(log) // CHUNK_RECORDS + 1, 255)
    part = (log.key % n_parts).astype(np.uint8)
    for i in range(n_parts):
        rows = np.flatnonzero(part == i)
        whose, occurred = log.key[rows] * np.int64(len(log.types)) + log.kind[rows], log.occurred_at[rows]
        table = {"whose and what": whose, "occurred": occurred}
        hashes = pd.util.hash_array(occurred) + whose.view(np.uint64)
        if log.value is not None:
            table["value"] = log.value[rows] + 0.0  # of two zeros, one
            hashes = pd.util.hash_array(hashes) + pd.util.hash_array(table["value"])
        in_order = np.sort(hashes)
        shared = in_order[1:][in_order[1:] == in_order[:-1]]
        if len(shared):
            alike = np.flatnonzero(np.isin(hashes, shared))
            # Where one event was loaded twice, it was known from the first time on.
            alike = alike[np.argsort(log.known_at[rows[alike]], kind="stable")]
            again = pd.DataFrame({name: column[alike] for name, column in table.items()}).duplicated()
            is_new[rows[alike[again.to_numpy()]]] = False
    return is_new


def read_stages(
    leads: pd.DataFrame, stages: Mapping[str, str], *, key: np.ndarray, timezone: str, missing: Words
) -> Events:
    """Read the stages that leads entered as events, from the lead table's own columns of dates.

    Parameters
    ----------
    leads : DataFrame, shape (n_leads, any)
    stages : mapping of event type to column
        A stage that a lead never entered has no stamp.
    key : array of int, shape (n_leads,)
        Whose events each lead's are; -1 for nobody's.
    timezone : str
    missing : mapping of column (or "*") to words

    Examples
    --------
    >>> leads = pd.DataFrame({"MQL Date": ["2026-01-05", ""]})
    >>> log = read_stages(leads, {"entered MQL": "MQL Date"}, key=np.arange(2), timezone="UTC", missing={"*": [""]})
    >>> log.types, log.key.tolist(), to_stamps(log.known_at)[0].isoformat()
    (('entered mql',), [0], '2026-01-06T00:00:00+00:00')
    """
    names = {normalise_name(name): column for name, column in stages.items()}
    parts = []
    for kind, name in enumerate(sorted(names)):
        stamps = read_stamps(leads, names[name], key="columns.stages", timezone=timezone, missing=missing)
        at = microseconds(stamps.at)
        there = (key >= 0) & (at != NEVER)
        parts.append(np.stack([key[there], at[there], np.full(int(there.sum()), kind)]))
    who, at, kinds = np.concatenate(parts, axis=1).astype(np.int64)
    return Events(key=who, occurred_at=at, known_at=at, kind=kinds, value=None, types=tuple(sorted(names)), notes={})


def joined(log: Events, other: Events) -> Events:
    """Put two logs of the same owners together; what the other says again is left out."""
    types = tuple(sorted({*log.types, *other.types}))
    place = {name: i for i, name in enumerate(types)}
    kinds = [np.array([place[name] for name in part.types], dtype=int)[part.kind] for part in (log, other)]
    values = [np.full(len(part), np.nan) if part.value is None else part.value for part in (log, other)]
    both = np.flatnonzero(np.isin(kinds[0], kinds[1]))
    said = pd.MultiIndex.from_arrays([log.key[both], kinds[0][both], log.occurred_at[both]])
    is_new = ~pd.MultiIndex.from_arrays([other.key, kinds[1], other.occurred_at]).isin(said)
    return Events(
        key=np.concatenate([log.key, other.key[is_new]]),
        occurred_at=np.concatenate([log.occurred_at, other.occurred_at[is_new]]),
        known_at=np.concatenate([log.known_at, other.known_at[is_new]]),
        kind=np.concatenate([kinds[0], kinds[1][is_new]]),
        value=None if log.value is other.value is None else np.concatenate([values[0], values[1][is_new]]),
        types=types,
        notes={**log.notes, **other.notes},
        seen_at=None if log.seen_at is None else np.concatenate([log.seen_at, other.known_at]),
    )


def read_conversions(
    frame: pd.DataFrame,
    *,
    key: str,
    converted_at: str,
    keys: pd.Index,
    timezone: str,
    missing: Words,
    named_by: str = "columns.outcome",
    leads: LeadKey | None = None,
) -> Conversions:
    """Read who converted when; rows without a stamp or of unknown leads are counted and left out.

    Parameters
    ----------
    frame : DataFrame
    key, converted_at : str
        Its columns.
    keys : Index
        Join keys, all different.
    timezone : str
    missing : mapping of column (or "*") to words
    named_by : str
        The config section that names the columns, for messages.
    leads : LeadKey or None
        As for `read_events`.

    Raises
    ------
    InputError
        There is no row, a column is absent, or its cells are no stamps.
    """
    _refuse_empty(frame, "outcomes", key="data.outcomes")
    owner = _codes(frame, key, keys, missing=missing, what="outcomes", key=f"{named_by}.id", leads=leads)
    # A sale of that day may have come at its first moment: no row of a later one may be called a row before it.
    stamps = read_stamps(
        frame, converted_at, key=f"{named_by}.converted_at", timezone=timezone, missing=missing, date_is_start=True
    )
    at = microseconds(stamps.at)
    good = (owner >= 0) & (at != NEVER)
    table = pd.DataFrame({"key": owner[good], "at": at[good]}).drop_duplicates().sort_values(["key", "at"])
    notes = {
        "outcomes_of_unknown_leads": int((owner < 0).sum()),
        "outcomes_without_time": int((at == NEVER).sum()),
        "outcomes_twice": int(good.sum() - len(table)),
        "outcome_times_in_clock_change": stamps.in_clock_change,
    }
    return Conversions(
        key=table["key"].to_numpy(), at=table["at"].to_numpy(), notes={name: n for name, n in notes.items() if n}
    )


def read_history(
    frame: pd.DataFrame,
    columns: HistoryNames,
    *,
    keys: pd.Index,
    timezone: str,
    missing: Words,
    leads: LeadKey | None = None,
) -> History:
    """Read the history of mutable fields; records of unknown leads or without a stamp are counted and left out.

    Changes of one field at one instant follow from each other by their old values; where they do not, or there are
    none, they are in order of their text.

    Raises
    ------
    InputError
        There is no row, a column is absent, or its cells are no stamps.
    """
    _refuse_empty(frame, "field changes", key="data.field_history")
    key = "columns.field_history.id"
    owner = _codes(frame, columns.id, keys, missing=missing, what="field history", key=key, leads=leads)
    name = "columns.field_history.valid_from"
    stamps = read_stamps(frame, columns.valid_from, key=name, timezone=timezone, missing=missing)
    at = microseconds(stamps.at)
    fields = frame[find_column(frame, columns.field, key="columns.field_history.field")]
    value = find_column(frame, columns.value, key="columns.field_history.value")
    old = _optional(frame, columns.old_value, "old_value", key="columns.field_history.old_value")
    table = pd.DataFrame(
        {
            "key": owner,
            "field": [normalise_name(field) for field in fields],
            "value": frame[value].to_numpy(dtype=object),
            "old_value": None if old is None else frame[old].to_numpy(dtype=object),
            "at": at,
        }
    )
    good = (owner >= 0) & (at != NEVER)
    table = table.assign(text=table["value"].map(str), old_text=table["old_value"].map(str))
    table = table[good].sort_values(["key", "field", "at", "text", "old_text"], kind="stable")
    if old is not None:
        table = _in_order(table, missing=missing_words(missing, str(value)))
    notes = {
        "field_changes_of_unknown_leads": int((owner < 0).sum()),
        "field_changes_without_time": int((at == NEVER).sum()),
        "field_change_times_in_clock_change": stamps.in_clock_change,
    }
    return History(
        frame=table.drop(columns=["text", "old_text"]).reset_index(drop=True),
        notes={name: n for name, n in notes.items() if n},
    )


def _in_order(table: pd.DataFrame, *, missing: Sequence[str]) -> pd.DataFrame:
    """Give changes, which come in order of time and text, in the order in which those of one instant were made."""
    where = table[["key", "field"]].to_numpy(dtype=object)
    # Whatever stands for "nothing" is the same nothing.
    new, old = (read_texts(table[name], missing=missing).fillna("").to_numpy() for name in ("value", "old_value"))
    order = np.arange(len(table))
    at_once = pd.Series(order).groupby([table[name].to_numpy() for name in ("key", "field", "at")], sort=False)
    starts, sizes = at_once.first().to_numpy(), at_once.size().to_numpy()
    for start, n in zip(starts[sizes > 1], sizes[sizes > 1], strict=True):
        has_before = start > 0 and (where[start - 1] == where[start]).all()
        before = new[order[start - 1]] if has_before else None
        chain = in_chain([*zip(old[start : start + n], new[start : start + n], strict=True)], before=before)
        if chain is not None:
            order[start : start + n] = start + np.array(chain)
    return table.iloc[order]


def as_known(series: pd.Series, history: History, *, field: str, key: np.ndarray, cutoff: np.ndarray) -> pd.Series:
    """Give the value that a field had at each cutoff, in place of the one it has today.

    A lead whose field has no history never changed it. Before its first change the value is the old one, where the
    history says it, else unknown.

    Parameters
    ----------
    series : Series, shape (n_rows,)
        Today's values.
    history : History
    field : str
        The column.
    key : array of int, shape (n_rows,)
    cutoff : array of int64, shape (n_rows,)

    Returns
    -------
    Series of object, shape (n_rows,)
    """
    changes = history.frame[history.frame["field"] == normalise_name(field)]
    if len(changes) == 0:
        return series
    result = np.array([*series.astype(object)], dtype=object)
    rows = np.flatnonzero(np.isin(key, changes["key"]))
    # The change before a cutoff is the one just left of it in (key, time) order.
    order = changes[["key", "at"]].to_numpy(dtype=np.int64)
    first = pd.Series(np.arange(len(changes))).groupby(order[:, 0]).min()
    wanted = pd.DataFrame({"key": key[rows].astype(np.int64), "at": cutoff[rows], "row": rows})
    there = pd.DataFrame({"key": order[:, 0], "at": order[:, 1], "change": np.arange(len(changes))})
    found = pd.merge_asof(
        wanted.sort_values("at", kind="stable"),
        there.sort_values("at", kind="stable"),
        on="at",
        by="key",
        allow_exact_matches=False,
    )
    values, old = changes["value"].to_numpy(), changes["old_value"].to_numpy()
    for row, lead, change in zip(found["row"], found["key"], found["change"], strict=True):
        result[row] = old[first[lead]] if change != change else values[int(change)]  # noqa: PLR0124 - NaN
    return pd.Series(result, dtype=object, name=series.name)


def _refuse_empty(frame: pd.DataFrame, what: str, *, key: str) -> None:
    if len(frame) == 0:
        msg = f"The table of {what} ({key}) has a header but no rows. Give it with rows, or take the line out."
        raise InputError(msg)


def newest_record(parts: Sequence[np.ndarray], *, quiet_days: int, next_step: str) -> int | None:
    """Give the newest instant of all tables; None without any.

    No clock is asked what the future is: strays are known by the silence before them. Fewer than 100 records are
    too few to know any.

    Parameters
    ----------
    parts : sequence of arrays of int64
        One a table. NEVER is passed over.
    quiet_days : int
        Records that come after more than so many days without any do not say when the data ends, where they are at
        most 1 % of all, or of one table alone.
    next_step : str
        What a person should do about such records; {day_after} stands for the day after all others.

    Raises
    ------
    InputError
        The newest records are such strays.

    Examples
    --------
    >>> newest_record([np.arange(200) * DAY], quiet_days=30, next_step="") == 199 * DAY
    True
    >>> newest_record([np.arange(99) * DAY, np.array([900 * DAY])], quiet_days=30, next_step="Mend it.")
    Traceback (most recent call last):
    propensity.errors.InputError: 1 of 100 records are later than all others (1970-04-09) by 802 days or more. Mend it.
    """
    known = [part[part < NEVER] for part in parts]
    at = np.concatenate(known)
    if len(at) == 0:
        return None
    for before, later in _strays(known, at) if len(at) * STRAY_SHARE >= 1 else ():
        if len(later) and later.min() - before > quiet_days * DAY:
            msg = (
                f"{len(later):,} of {len(at):,} records are later than all others "
                f"({to_stamps(np.array([before]))[0]:%Y-%m-%d}) by {(later.min() - before) // DAY:,} days or more. "
                f"{next_step.format(day_after=f'{to_stamps(np.array([before + DAY]))[0]:%Y-%m-%d}')}"
            )
            raise InputError(msg)
    return int(at.max())


def _strays(parts: Sequence[np.ndarray], at: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Give the records that could be strays, and the newest of all others: the newest few, and each table's own."""
    n_newest = int(len(at) * STRAY_SHARE) + 1
    newest = np.sort(np.partition(at, len(at) - n_newest)[len(at) - n_newest :])
    widest = int(np.diff(newest).argmax())
    yield newest[widest], newest[widest + 1 :]
    for i, part in enumerate(parts):
        others = [other.max() for j, other in enumerate(parts) if j != i and len(other)]
        if others:
            yield max(others), part[part > max(others)]


def check_not_after(at: np.ndarray, extracted_at: int, *, what: str) -> None:
    """Refuse records of the future: a wrong clock, zone or day-month order would teach nonsense.

    A record of the last day may be a date alone, which is known at the next midnight.

    Raises
    ------
    InputError
        Some are more than a day later than the data's end.
    """
    n_later = int(((at > extracted_at + DAY) & (at != NEVER)).sum())
    if n_later:
        end = to_stamps(np.array([extracted_at]))[0].isoformat()
        msg = (
            f"{n_later:,} {what} are later than the end of the data ({end}). "
            "Mend their dates or time zone, or set data.extracted_at to when the files were exported."
        )
        raise InputError(msg)
