from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from propensity.asof import (
    NEVER,
    Conversions,
    as_known,
    check_not_after,
    join_keys,
    joined,
    microseconds,
    newest_record,
    read_conversions,
    read_events,
    read_history,
    read_stages,
    to_stamps,
)
from propensity.config import EventColumns, FieldHistoryColumns
from propensity.errors import InputError

SECOND = 1_000_000
DAY = 24 * 3600 * SECOND
KEYS = pd.Index(["a", "b"], dtype=object)


def events(frame: dict[str, list[object]], **names: str) -> object:
    return read_events(
        pd.DataFrame(frame), EventColumns(**names), key="lead_id", keys=KEYS, timezone="UTC", missing={"*": ["-"]}
    )


def day(text: str) -> int:
    return int(pd.Timestamp(text, tz="UTC").value // 1000)


def test_an_event_is_known_when_it_was_recorded_never_before_it_happened() -> None:
    found = events(
        {
            "lead_id": ["a", "a", "b"],
            "occurred_at": ["2026-01-01T10:00", "2026-01-02T10:00", "2026-01-03T10:00"],
            "event_type": ["Visit", "visit ", "Call"],
            "recorded_at": ["2026-01-05T00:00", "2026-01-01T00:00", None],
        }
    )
    known = dict(zip(found.occurred_at.tolist(), found.known_at.tolist(), strict=True))  # type: ignore[attr-defined]
    assert known == {
        day("2026-01-01T10:00"): day("2026-01-05"),
        day("2026-01-02T10:00"): day("2026-01-02T10:00"),
        day("2026-01-03T10:00"): day("2026-01-03T10:00"),
    }
    assert found.types == ("call", "visit")  # type: ignore[attr-defined]


def test_an_event_loaded_twice_was_known_from_the_first_time_on() -> None:
    found = events(
        {
            "lead_id": ["a", "a"],
            "occurred_at": ["2026-01-01T10:00"] * 2,
            "event_type": ["visit"] * 2,
            "recorded_at": ["2026-01-09T00:00", "2026-01-03T00:00"],
        }
    )
    assert found.known_at.tolist() == [day("2026-01-03")]  # type: ignore[attr-defined]
    assert found.notes == {"events_twice": 1}  # type: ignore[attr-defined]


def test_two_purchases_of_one_moment_that_differ_in_value_are_two() -> None:
    table: dict[str, list[object]] = {
        "lead_id": ["a", "a", "a"],
        "occurred_at": ["2026-01-01T10:00"] * 3,
        "event_type": ["order"] * 3,
        "value": ["10", "20", "20"],
    }
    found = events(table)
    assert sorted(found.value.tolist()) == [10.0, 20.0]  # type: ignore[attr-defined]


def test_what_cannot_be_placed_is_left_out_and_counted() -> None:
    found = events(
        {
            "lead_id": ["a", "zz", "b", "b", None],
            "occurred_at": ["2026-01-01T10:00", "2026-01-01T10:00", "-", "2026-01-01T10:00", "2026-01-01T10:00"],
            "event_type": ["visit", "visit", "visit", "", "visit"],
        }
    )
    assert len(found) == 1  # type: ignore[arg-type]
    counted = {"events_of_unknown_leads": 2, "events_without_time": 1, "events_without_type": 1}
    assert found.notes == counted  # type: ignore[attr-defined]


def test_a_column_that_is_named_must_be_there_and_one_that_is_usual_need_not() -> None:
    table: dict[str, list[object]] = {"lead_id": ["a"], "occurred_at": ["2026-01-01T10:00"], "event_type": ["visit"]}
    assert events(table).value is None  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"columns.event.value names 'amount'"):
        events(table, value="amount")


def test_zones_that_are_mixed_are_refused() -> None:
    stamps: list[object] = ["2026-01-01T10:00", "2026-01-01T10:00Z"]
    with pytest.raises(InputError, match="mixes stamps with and without a time zone"):
        events({"lead_id": ["a", "b"], "occurred_at": stamps, "event_type": ["x", "x"]})


def test_conversions_come_in_order_once_each() -> None:
    frame = pd.DataFrame(
        {"lead_id": ["b", "a", "b", "b", "x"], "won": ["2026-03-01", "2026-01-01", *["2026-02-01"] * 3]}
    )
    found = read_conversions(frame, key="lead_id", converted_at="won", keys=KEYS, timezone="UTC", missing={"*": []})
    assert found.key.tolist() == [0, 1, 1]
    # A sale of a day may have come at its first moment: a later row of that day must not look open.
    assert [stamp.isoformat()[:10] for stamp in to_stamps(found.at)] == ["2026-01-01", "2026-02-01", "2026-03-01"]
    assert found.notes == {"outcomes_of_unknown_leads": 1, "outcomes_twice": 1}
    assert found.first(3).tolist() == [*found.at.tolist()[:2], NEVER]


def test_the_conversion_that_follows_a_cutoff_may_fall_on_it() -> None:
    won = Conversions(key=np.array([0, 0, 1]), at=np.array([5, 9, 7]), notes={})
    found = won.following(np.array([0, 0, 0, 0, 1, 2]), np.array([4, 5, 6, 10, 8, 0]))
    assert found.tolist() == [5, 5, 9, NEVER, NEVER, NEVER]


def test_large_instants_lose_no_microsecond() -> None:
    at = np.array([9_007_199_254_740_993], dtype=np.int64)  # the first whole number that a float cannot hold
    assert Conversions(key=np.array([0]), at=at, notes={}).following(np.array([0, 5]), np.array([0, 0]))[0] == at[0]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("001A0000006Vm9rIAC", "001A0000006Vm9r"),
        ("001A0000006Vm9rIAD", "001A0000006Vm9rIAD"),  # the check does not fit: another system's id
        ("001A0000006Vm9r", "001A0000006Vm9r"),
        (17850.0, "17850"),
        ("17850.0", "17850"),
        ("007", "007"),
        ("1.10", "1.10"),
        (" x ", "x"),
    ],
)
def test_ids_are_compared_as_tables_write_them(given: object, expected: str) -> None:
    assert join_keys(pd.Series([given], dtype=object), missing=()).to_list() == [expected]


def changes() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "lead_id": ["a", "a", "zz"],
            "field": ["Industry", "industry ", "Industry"],
            "value": ["Retail", "Health", "x"],
            "old_value": ["Software", "Retail", "y"],
            "valid_from": ["2026-01-10T00:00", "2026-01-20T00:00", "2026-01-01T00:00"],
        }
    )


@pytest.mark.parametrize(
    ("cutoff", "known"),
    [
        ("2026-01-09", "Software"),
        ("2026-01-10", "Software"),  # known before the cutoff, not on it
        ("2026-01-11", "Retail"),
        ("2026-02-01", "Health"),
    ],
)
def test_a_field_is_as_it_was_at_the_cutoff(cutoff: str, known: str) -> None:
    history = read_history(changes(), FieldHistoryColumns(), keys=KEYS, timezone="UTC", missing={"*": []})
    today = pd.Series(["Today", "Other"], dtype=object)
    at = np.array([day(cutoff)] * 2)
    found = as_known(today, history, field="Industry", key=np.array([0, 1]), cutoff=at)
    assert found.to_list() == [known, "Other"]  # the second never changed
    assert history.notes == {"field_changes_of_unknown_leads": 1}


def history_of(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """Field changes of one lead's industry: old value, value, since when."""
    frame = pd.DataFrame([*rows], columns=["old_value", "value", "valid_from"])
    return frame.assign(lead_id="a", field="Industry")


DAY_1, DAY_2 = "2026-01-10T00:00", "2026-01-20T00:00"


@pytest.mark.parametrize(
    ("rows", "first", "last"),
    [
        # By its text "Energy" would be the last.
        ([("Retail", "Energy", DAY_1), ("Energy", "Arms", DAY_1)], "Retail", "Arms"),
        ([("Energy", "Arms", DAY_1), ("Retail", "Energy", DAY_1), ("Arms", "Banks", DAY_1)], "Retail", "Banks"),
        # Nothing, however it is written, is one value; so is a word in another case.
        ([("ENERGY", "-", DAY_1), ("", "Arms", DAY_1), ("Retail", "energy", DAY_1)], "Retail", "Arms"),
        # What the field was before says where a round trip began.
        ([("Retail", "Energy", DAY_1), ("Energy", "Arms", DAY_2), ("Arms", "Energy", DAY_2)], "Retail", "Energy"),
        ([("Retail", "Arms", DAY_1), ("Energy", "Arms", DAY_2), ("Arms", "Energy", DAY_2)], "Retail", "Arms"),
        # A change that was loaded twice happened once; one that follows from no other falls back to text.
        ([("Retail", "Energy", DAY_1), ("Energy", "Arms", DAY_1), ("Retail", "Energy", DAY_1)], "Retail", "Arms"),
        ([("Retail", "Energy", DAY_1), ("Retail", "Arms", DAY_1)], "Retail", "Energy"),
    ],
)
def test_changes_of_one_instant_follow_from_each_other(rows: list[tuple[str, str, str]], first: str, last: str) -> None:
    cutoffs = np.array([day("2026-01-01"), day("2026-02-01")])
    for order in (rows, rows[::-1]):
        history = read_history(
            history_of(*order), FieldHistoryColumns(), keys=KEYS, timezone="UTC", missing={"*": ["-"]}
        )
        today = pd.Series(["Today"] * 2, dtype=object)
        found = as_known(today, history, field="Industry", key=np.array([0, 0]), cutoff=cutoffs)
        assert found.to_list() == [first, last]


def test_changes_of_one_instant_without_old_values_are_in_order_of_their_text() -> None:
    frame = history_of(("Retail", "Energy", DAY_1), ("Energy", "Arms", DAY_1)).drop(columns="old_value")
    history = read_history(frame, FieldHistoryColumns(), keys=KEYS, timezone="UTC", missing={"*": []})
    assert history.frame["value"].to_list() == ["Arms", "Energy"]


def test_before_its_first_change_a_field_without_old_values_is_unknown() -> None:
    frame = changes().drop(columns="old_value")
    history = read_history(frame, FieldHistoryColumns(), keys=KEYS, timezone="UTC", missing={"*": []})
    early = as_known(
        pd.Series(["Today"], dtype=object),
        history,
        field="Industry",
        key=np.array([0]),
        cutoff=np.array([day("2026-01-01")]),
    )
    assert early.isna().to_list() == [True]


def test_records_of_the_future_are_refused_by_number_and_day() -> None:
    check_not_after(np.array([6 * DAY, NEVER]), 5 * DAY, what="events")  # a date alone is known at its midnight
    with pytest.raises(InputError, match=r"1 events are later than the end of the data \(1970-01-06"):
        check_not_after(np.array([6 * DAY + 1, 0]), 5 * DAY, what="events")


def test_stamps_go_to_numbers_and_back() -> None:
    stamps = pd.Series(pd.to_datetime(["2026-01-01T00:00:00.000001Z", "NaT"], utc=True))
    pd.testing.assert_series_equal(to_stamps(microseconds(stamps)), stamps.dt.as_unit("us"), check_names=False)


def test_a_stage_that_the_log_tells_too_is_one_event() -> None:
    leads = pd.DataFrame({"MQL": ["2026-01-05", "2026-01-07"]})
    stages = read_stages(leads, {"entered mql": "MQL"}, key=np.arange(2), timezone="UTC", missing={"*": []})
    log = pd.DataFrame({"lead_id": ["a"], "occurred_at": ["2026-01-05"], "event_type": ["Entered MQL"]})
    keys = pd.Index(["a", "b"])
    told = read_events(log, EventColumns(), key="lead_id", keys=keys, timezone="UTC", missing={"*": []})
    both = joined(told, stages)
    assert (both.key.tolist(), both.types) == ([0, 1], ("entered mql",))
    # What day it is, stages say too.
    assert both.seen_at is not None
    assert both.seen_at.max() == microseconds(pd.Series(pd.to_datetime(["2026-01-08"], utc=True)))[0]


@pytest.mark.parametrize(
    ("parts", "strays"),
    [
        # A day each for 200 days, and a straggler after 30 days of silence or less: it says when the data ends.
        ([np.arange(200) * DAY, np.array([229 * DAY])], 0),
        ([np.arange(200) * DAY, np.array([230 * DAY])], 1),
        # One in a hundred of one table, or a table alone of another time.
        ([np.array([*range(200), 500]) * DAY], 1),
        ([np.arange(150) * DAY, np.arange(500, 600) * DAY], 100),
        # A table that goes on where another stopped is no stray.
        ([np.arange(100) * DAY, np.arange(50, 300) * DAY], 0),
        # Two tables of a later time are data, and a handful of records are too few to know any better.
        ([np.array([*range(100), *range(500, 600)]) * DAY] * 2, 0),
        ([np.array([0, 1, 2, 500]) * DAY], 0),
        ([np.array([NEVER]), np.arange(200) * DAY], 0),
    ],
)
def test_records_after_a_long_silence_do_not_say_when_the_data_ends(parts: list[np.ndarray], strays: int) -> None:
    if strays:
        with pytest.raises(InputError, match=rf"^{strays} of \d+ records are later than all others .* Mend them\.$"):
            newest_record(parts, quiet_days=30, next_step="Mend them.")
    else:
        known = np.concatenate(parts)
        assert newest_record(parts, quiet_days=30, next_step="") == known[known < NEVER].max()


def test_no_record_has_no_newest() -> None:
    assert newest_record([np.array([NEVER]), np.empty(0, np.int64)], quiet_days=30, next_step="") is None


def test_a_named_value_column_must_hold_numbers() -> None:
    row: dict[str, list[object]] = {"lead_id": ["a"], "occurred_at": ["2026-01-01T10:00"], "event_type": ["visit"]}
    with pytest.raises(InputError, match=r"'url' \(columns.event.value\) must hold numbers: 1 of 1"):
        events({**row, "url": ["/pricing"]}, value="url")
    assert events({**row, "value": ["/pricing"]}).notes == {"event_values_unreadable": 1}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("read", "what"),
    [
        (lambda frame: events({name: [] for name in frame}), "events"),
        (
            lambda frame: read_conversions(
                frame, key="lead_id", converted_at="won", keys=KEYS, timezone="UTC", missing={"*": []}
            ),
            "outcomes",
        ),
        (
            lambda frame: read_history(frame, FieldHistoryColumns(), keys=KEYS, timezone="UTC", missing={"*": []}),
            "field changes",
        ),
    ],
)
def test_a_table_without_rows_is_refused(read: Callable[[pd.DataFrame], object], what: str) -> None:
    with pytest.raises(InputError, match=rf"The table of {what} \(data\..*\) has a header but no rows"):
        read(pd.DataFrame(columns=["lead_id", "won"]))
