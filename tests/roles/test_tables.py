from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import pandas as pd
import pytest

from propensity.errors import InputError
from propensity.roles import TableGuess, guess_table
from propensity.roles.tables import check_given, looks_like
from propensity.schema import normalise_name

LEADS = {"Lead ID": pd.Series([f"00Q8d00000{i:04d}" for i in range(100)])}
MISSING = {"*": ["", "unknown"]}
DAYS = [f"2026-01-{1 + i % 28:02d} 10:00" for i in range(200)]


def guess(frame: Mapping[str, object], table: str, keys: dict[str, pd.Series] | None = None) -> TableGuess:
    return guess_table(pd.DataFrame(frame), table, keys or LEADS, name="file.csv", missing=MISSING)


def ids(n: int = 200) -> list[str]:
    return [LEADS["Lead ID"][i % 100] for i in range(n)]


def test_whose_a_record_is_is_told_by_values_not_by_the_first_id() -> None:
    """Every table has an id of its own; a visitor is no lead."""
    log = {"id": range(200), "visitor_id": range(200), "prospect_id": ids(), "created_at": DAYS, "type": ["a"] * 200}
    found = guess(log, "events")
    assert found.columns == {"id": "prospect_id", "occurred_at": "created_at", "type": "type"}
    assert (found.lead_column, found.n_rows, found.n_matched) == ("Lead ID", 200, 200)


def test_numbers_that_happen_to_be_leads_too_do_not_win_over_the_leads_own_name() -> None:
    keys = {"Id": pd.Series(range(1, 101))}
    log = {"id": range(1, 101), "leadId": [*range(51, 101), *range(901, 951)], "date": DAYS[:100], "event": ["x"] * 100}
    assert guess(log, "events", keys).columns["id"] == "leadId"


def test_ids_of_fifteen_and_eighteen_characters_are_one() -> None:
    keys = {"Lead ID": pd.Series(["001A0000006Vm9r", "001A0000006Vm9s"])}
    found = guess({"LeadId": ["001A0000006Vm9rIAC"], "ts": ["2026-01-01 10:00"], "event": ["x"]}, "events", keys)
    assert found.n_matched == 1


def test_events_may_be_an_accounts_or_a_persons() -> None:
    keys = LEADS | {"Account": pd.Series([f"A{i // 2}" for i in range(100)])}
    found = guess({"company_id": ["A1", "A2"], "at": DAYS[:2], "event": ["x", "y"]}, "events", keys)
    assert found.columns["group"] == "company_id"
    assert found.lead_column == "Account"


@pytest.mark.parametrize(
    "stamps",
    [
        ["2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z"],
        [1767261600, 1767348000],
        ["1767261600000", "1767348000000"],
        [1767261600000000, 1767348000000000],
        ["01/31/2026 10:00", "02/03/2026 11:00"],
        ["01/02/2026", "02/03/2026"],  # which is the day is asked when it is read, not whether it is one
    ],
)
def test_a_stamp_is_told_in_any_form(stamps: list[object]) -> None:
    found = guess({"lead_id": ids(2), "event_timestamp": stamps, "event_name": ["a", "b"]}, "events")
    assert found.columns["occurred_at"] == "event_timestamp"


def test_when_it_was_known_is_told_from_when_it_happened() -> None:
    log = {"user_id": ids(), "event": ["a", "b"] * 100, "timestamp": DAYS, "received_at": DAYS}
    assert guess(log, "events").columns == {
        "id": "user_id",
        "occurred_at": "timestamp",
        "type": "event",
        "recorded_at": "received_at",
    }


def test_a_value_is_a_number() -> None:
    log = {"lead_id": ids(2), "occurred_at": DAYS[:2], "event_type": ["a", "b"], "value": ["high", "low"]}
    assert "value" not in guess(log, "events").columns
    assert guess(log | {"value": ["12.50", "3"]}, "events").columns["value"] == "value"


def test_the_only_column_that_fits_needs_no_name() -> None:
    assert guess({"lead_id": ids(2), "gewonnen": DAYS[:2]}, "outcomes").columns["converted_at"] == "gewonnen"


def test_a_field_history_has_values_of_any_kind() -> None:
    history = {"LeadId": ids(2), "Field": ["Industry"] * 2, "OldValue": ["", "a"], "NewValue": ["a", "b"]}
    found = guess(history | {"CreatedDate": DAYS[:2]}, "field_history")
    assert found.columns == {
        "id": "LeadId",
        "field": "Field",
        "value": "NewValue",
        "old_value": "OldValue",
        "valid_from": "CreatedDate",
    }


def test_ids_that_a_spreadsheet_shortened_are_refused_with_the_reason() -> None:
    log = {"Lead ID": ["1", "2"], "occurred_at": DAYS[:2], "event_type": ["a", "b"]}
    with pytest.raises(InputError, match="They match when leading zeros are dropped"):
        guess(log, "events", {"Lead ID": pd.Series(["0001", "0002"])})


def test_files_of_other_leads_are_refused_with_the_next_step() -> None:
    with pytest.raises(InputError, match=r"file.csv: no column of it holds keys of leads \('Lead ID'.*--id"):
        guess({"lead_id": ["x", "y"], "occurred_at": DAYS[:2], "event_type": ["a", "b"]}, "events")


@pytest.mark.parametrize(
    ("frame", "role"),
    [
        ({"lead_id": ids(2), "event_type": ["a", "b"]}, "columns.event.occurred_at"),
        ({"lead_id": ids(2), "occurred_at": DAYS[:2]}, "columns.event.type"),
    ],
)
def test_what_a_table_needs_and_lacks_is_said(frame: dict[str, object], role: str) -> None:
    with pytest.raises(InputError) as caught:
        guess(frame, "events")
    assert role in str(caught.value)
    assert not any(normalise_name(lead) in normalise_name(str(caught.value)) for lead in ids(2))


def test_ids_of_the_events_themselves_are_no_leads_although_they_look_alike() -> None:
    keys: dict[str, pd.Series] = {
        "Id": pd.Series(range(1001, 1401)),
        "Email": pd.Series([f"p{i}@x.example" for i in range(400)]),
    }
    log = {"id": range(1001, 1401), "email": [f"p{399 - i}@x.example" for i in range(400)]}
    found = guess(log | {"timestamp": ["2026-01-01 10:00"] * 400, "event": ["x"] * 400}, "events", keys)
    assert found.columns["group"] == "email"


FILES = {
    "leads": pd.DataFrame({"Lead ID": LEADS["Lead ID"], "Created": DAYS[:100], "Type": "new", "Customer": "no"}),
    "events": pd.DataFrame({"lead_id": ids(), "createdAt": DAYS, "Event Type": "visit"}),
    "outcomes": pd.DataFrame({"lead_id": ids(9), "won_on": DAYS[:9]}),
    "cutoffs": pd.DataFrame({"lead_id": ids(), "cutoff": DAYS}),
    "field_history": pd.DataFrame({"lead_id": ids(), "field": "Status", "value": "MQL", "changed_at": DAYS}),
}
OPTIONS = {table: f"--{table.replace('_', '-')}" for table in FILES} | {"leads": "LEADS"}


@pytest.mark.parametrize("table", FILES)
def test_a_file_looks_like_what_it_is(table: str) -> None:
    assert looks_like(FILES[table]) == [table]
    assert looks_like(pd.DataFrame({"what": ["x"], "date": DAYS[:1]})) == []


@pytest.mark.parametrize(("one", "other"), [*combinations(FILES, 2)])
def test_two_files_given_in_each_others_place_are_told(one: str, other: str) -> None:
    swapped = FILES | {one: FILES[other], other: FILES[one]}
    with pytest.raises(InputError, match=rf"did you swap {OPTIONS[one]} and {OPTIONS[other]}\?$") as told:
        check_given(swapped, names={one: "some.csv"})
    assert f"some.csv ({OPTIONS[one]}) looks like" in str(told.value)
    check_given(FILES, names={})


def test_three_files_in_a_round_are_told() -> None:
    turned = {"leads": FILES["events"], "events": FILES["outcomes"], "outcomes": FILES["leads"]}
    with pytest.raises(InputError, match="did you swap LEADS, --events and --outcomes"):
        check_given(turned, names={})


def test_a_file_of_another_kind_than_said_is_told_unless_it_could_be_what_was_said() -> None:
    with pytest.raises(InputError, match=r"won.csv \(--events\) looks like a file of conversions; did you mean --out"):
        check_given({"leads": FILES["leads"], "events": FILES["outcomes"]}, names={"events": "won.csv"})
    # Purchases are told by logs, too; leads of a flat file may be called anything.
    check_given({"leads": FILES["leads"], "outcomes": FILES["events"]}, names={})
    check_given({"leads": FILES["outcomes"]}, names={})
    check_given({"leads": FILES["leads"], "events": FILES["events"], "outcomes": FILES["events"]}, names={})


def test_an_export_of_a_known_system_is_known_where_it_does_not_belong() -> None:
    activities = pd.DataFrame(columns=["marketoGUID", "leadId", "activityDate", "activityTypeId"])
    assert looks_like(activities) == ["events"]
    # Nothing says whether a row is a lead or an event of one.
    assert looks_like(pd.DataFrame(columns=["Create Date", "hs_lead_status", "Activity"])) == ["leads", "events"]
