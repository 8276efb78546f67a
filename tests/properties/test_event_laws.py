"""Whatever dtype a log comes in, and however few of its records are looked at together, it says the same."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.asof import DAY, NEVER, Events, read_events, records
from propensity.config import EventColumns

KEYS = pd.Index(["7", "a", "001A0000006Vm9r"], dtype=object)
# What a cell may be, and what it says.
OWNERS = {
    "a": 1,
    " a ": 1,
    "7": 0,
    "7.0": 0,
    "001A0000006Vm9r": 2,
    "001A0000006Vm9rIAC": 2,
    "zz": -1,
    "-": -1,
    None: -1,
}
KINDS = {"Visit": "visit", " VISIT": "visit", "call": "call", "Order": "order", "-": None, None: None}
STAMPS = {f"1970-01-0{day}T00:00": (day - 1) * DAY for day in (2, 3, 4)} | {"-": NEVER, None: NEVER}
VALUES = {"1": 1.0, "1.0": 1.0, "0": 0.0, "-0": 0.0, "2": 2.0, "x": math.nan, "-": math.nan, None: math.nan}

Cells = tuple[str | None, str | None, str | None, str | None, str | None]
cells = [st.sampled_from([*said]) for said in (OWNERS, STAMPS, KINDS, STAMPS, VALUES)]
logs = st.lists(st.tuples(*cells), min_size=1, max_size=30)
forms = st.sampled_from(
    [
        lambda cells: pd.Series(cells, dtype=object),
        lambda cells: pd.Series(cells, dtype=str),
        lambda cells: pd.Series(cells, dtype="category"),
        lambda cells: pd.Series(cells, dtype="category").cat.add_categories(["a type that no record has"]),
        lambda cells: pd.Series(cells, dtype="category").repeat(3).iloc[::3],
        lambda cells: pd.Series(cells, dtype=pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))),
    ]
)
Form = Callable[[Sequence[str | None]], pd.Series]


def read(log: Sequence[Cells], form: Form, *, has_recorded: bool, has_value: bool) -> Events:
    owner, occurred, kind, recorded, value = zip(*log, strict=True)
    table = {"lead_id": form(owner), "occurred_at": pd.Series(occurred, dtype=object), "event_type": form(kind)}
    if has_recorded:
        table["recorded_at"] = pd.Series(recorded, dtype=object)
    if has_value:
        table["value"] = form(value)
    frame = pd.DataFrame({name: column.reset_index(drop=True) for name, column in table.items()})
    return read_events(frame, EventColumns(), key="lead_id", keys=KEYS, timezone="UTC", missing={"*": ["-"]})


def told(log: Sequence[Cells], *, has_recorded: bool, has_value: bool) -> tuple[Counter[object], dict[str, int]]:
    """Give the records of a log and what is left out, a cell at a time."""
    first: dict[tuple[object, ...], int] = {}
    notes: Counter[str] = Counter()
    for owner, occurred, kind, recorded, value in log:
        who, at, what = OWNERS[owner], STAMPS[occurred], KINDS[kind]
        worth = VALUES[value] if has_value else None
        known = max(at, STAMPS[recorded]) if has_recorded and STAMPS[recorded] < NEVER else at
        notes["events_of_unknown_leads"] += who < 0
        notes["events_without_time"] += at == NEVER
        notes["events_without_type"] += what is None
        notes["event_values_unreadable"] += has_value and value == "x"
        if who >= 0 and at < NEVER and what is not None:
            record: tuple[object, ...] = (who, what, at, "nothing" if worth != worth else worth)  # noqa: PLR0124 - NaN
            notes["events_twice"] += record in first
            first[record] = min(known, first.get(record, NEVER))
    return Counter((*record, known) for record, known in first.items()), {name: n for name, n in notes.items() if n}


def content(events: Events) -> Counter[object]:
    values = np.full(len(events), None) if events.value is None else events.value.tolist()
    worth = ["nothing" if value != value else value for value in values]  # noqa: PLR0124 - NaN
    types = [events.types[kind] for kind in events.kind]
    return Counter(
        zip(events.key.tolist(), types, events.occurred_at.tolist(), worth, events.known_at.tolist(), strict=True)
    )


@given(
    log=logs, form=forms, has_recorded=st.booleans(), has_value=st.booleans(), chunk=st.sampled_from([1, 2, 7, 10_000])
)
def test_a_log_says_the_same_in_every_dtype_and_in_chunks_of_any_size(
    log: list[Cells], form: Form, has_recorded: bool, has_value: bool, chunk: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(records, "CHUNK_RECORDS", chunk)
        events = read(log, form, has_recorded=has_recorded, has_value=has_value)
    expected, notes = told(log, has_recorded=has_recorded, has_value=has_value)
    assert content(events) == expected
    assert events.notes == notes
    # Types of other leads' events too, but none that is only a category.
    assert events.types == tuple(sorted({kind for cell in log if (kind := KINDS[cell[2]]) is not None}))


@given(log=logs, form=forms)
def test_where_nothing_says_when_it_was_recorded_the_instants_are_one_array(log: list[Cells], form: Form) -> None:
    events = read(log, form, has_recorded=False, has_value=False)
    assert events.known_at is events.occurred_at
    assert events.seen_at is not None
    assert events.seen_at.tolist() == [STAMPS[cell[1]] for cell in log]


@given(log=logs)
def test_records_that_share_a_hash_are_compared_in_full(log: list[Cells]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pd.util, "hash_array", lambda column: np.zeros(len(column), dtype=np.uint64))
        events = read(log, lambda cells: pd.Series(cells, dtype=str), has_recorded=True, has_value=True)
    assert content(events) == told(log, has_recorded=True, has_value=True)[0]
