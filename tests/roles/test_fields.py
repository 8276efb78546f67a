from __future__ import annotations

from pathlib import Path

import pytest

from propensity.roles import renaming_query
from propensity.roles.exports import SAME_FIELDS, plain
from propensity.roles.fields import MAX_FIELDS, columns_of_fields, shown
from propensity.storage.tables import read_table


@pytest.mark.parametrize(
    ("field", "column"),
    [
        ("Lead Status", "leadStatus"),
        ("lifecyclestage", "Lifecycle Stage"),
        ("Status__c", "Status"),
        ("Lead_Tier__c", "Lead Tier"),
        ("hs_lead_status", "Lead Status"),
        ("Status", "Lead Status"),
        ("numberofemployees", "Number of Employees"),
        ("NumberOfEmployees", "Employees"),
        ("hs_analytics_source", "Original Source"),
    ],
)
def test_a_field_is_a_column_however_systems_spell_the_two(field: str, column: str) -> None:
    assert columns_of_fields([field], ["Created", column, "Industry"]) == {field: column}
    assert columns_of_fields([column], ["Created", field, "Industry"]) == {column: field}


def test_the_closest_spelling_wins_and_a_column_is_taken_by_it_alone() -> None:
    assert columns_of_fields(["Status"], ["Lead Status", "Status__c", "status"]) == {"Status": "status"}
    assert columns_of_fields(["Lead Status", "Status"], ["leadStatus"]) == {"Lead Status": "leadStatus"}


def test_a_field_that_two_columns_are_equally_like_is_none_of_them() -> None:
    assert columns_of_fields(["Lead Status"], ["leadStatus", "lead_status", "Status"]) == {}
    assert columns_of_fields(["Company size", "--"], ["Company", "?"]) == {}


def test_names_that_mean_one_field_are_plain() -> None:
    assert [plain(name) for name in SAME_FIELDS] == [*SAME_FIELDS]


def test_the_query_calls_fields_as_the_leads_do_and_leaves_all_else(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text('Lead,The "Field",Value\n1,O\'s tier,a\n1,Industry,b\n2,Other,c\n', encoding="utf-8")
    names = {"O's tier": 'o_s "tier"', "Industry": "industry"}
    query = renaming_query("", 'The "Field"', names)
    assert read_table(path, query=query)['The "Field"'].to_list() == ['o_s "tier"', "Industry", "Other"]
    over = renaming_query("SELECT * FROM source WHERE Lead = '1'", 'The "Field"', names)
    assert read_table(path, query=over)["Value"].to_list() == ["a", "b"]


def test_no_query_is_written_where_names_are_the_same_but_for_case() -> None:
    assert renaming_query("", "field", {"Industry": "industry"}) == ""


def test_names_are_listed_for_people_and_values_are_not() -> None:
    assert shown([]) == "none"
    assert shown(f"field {letter}" for letter in "abcdefghijklmn").endswith("'field l' and 2 more")
    for values in (
        ["Ana", "ana@firm.example"],
        ["2026-01-02"],
        ["x", "12.5"],
        [f"v{i}x" for i in range(MAX_FIELDS + 1)],
    ):
        assert shown(values) == f"{len(values)} that read like values, not names"
