from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from propensity.config import RulesConfig
from propensity.errors import InputError
from propensity.roles import read_sheet

COLUMNS = ["Industry", "Employees", "Asked for demo"]
EVENTS = {"demo request", "page visit"}


def read(*lines: dict[str, Any]) -> list[dict[str, Any]]:
    return read_sheet(pd.DataFrame([*lines]), columns=COLUMNS, events=EVENTS, groups={"did"}, name="sheet.csv")


def test_signals_are_event_types_or_columns_with_a_condition() -> None:
    lines = read(
        {
            "Signal": " Demo  Request ",
            "Points": "30",
            "Cap": "60",
            "Decay": "Linear",
            "Half life": "9",
            "Group": "did",
        },
        {"Signal": "industry = Software, IT", "Points": "1,000"},
        {"Signal": "Employees >= 1,000", "Points": "10"},
        {"Signal": "Asked for demo", "Points": "-5"},
        {"Signal": "page visit", "Points": "1", "Decay": "exponential"},
        {"Signal": "Industry != Spam", "Points": "2.5", "Decay": "none"},
        {"Signal": "", "Points": ""},
    )
    assert lines == [
        {
            "name": "Demo  Request",
            "event": "demo request",
            "points": 30,
            "cap": 60,
            "decay": "linear",
            "half_life_days": 9,
            "group": "did",
        },
        {
            "name": "industry = Software, IT",
            "column": "Industry",
            "op": "==",
            "value": "Software, IT",
            "points": 1000,
        },
        {"name": "Employees >= 1,000", "column": "Employees", "op": ">=", "value": 1000, "points": 10},
        {
            "name": "Asked for demo",
            "column": "Asked for demo",
            "op": "in",
            "value": ["yes", "true", "1", "y"],
            "points": -5,
        },
        {"name": "page visit", "event": "page visit", "points": 1, "decay": "exponential", "half_life_days": 30.0},
        {"name": "Industry != Spam", "column": "Industry", "op": "!=", "value": "Spam", "points": 2.5},
    ]
    groups = {"did": {"family": "behaviour"}}
    assert len(RulesConfig.model_validate({"points": lines, "groups": groups}).points) == 6


def test_an_override_needs_no_points() -> None:
    (line,) = read({"signal": "demo request", "points": "", "override": "sql"})
    assert (line["override"], "points" in line) == ("SQL", False)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"signal": "Budget", "points": "3"}, "line 1: 'Budget' is neither an event type nor a lead column"),
        ({"signal": "demo request", "points": "lots"}, "line 1: points must be a number, got 'lots'"),
        ({"signal": "demo request", "points": "1e400"}, "line 1: points must be at most 1,000,000,000 in size"),
        (
            {"signal": "demo request", "points": "3", "half_life": "9"},
            "line 1: a half_life needs a decay: linear, step or exponential",
        ),
        ({"signal": "demo request", "points": ""}, "line 1: points must be a number, got ''"),
        ({"signal": "demo request", "points": "3", "cap": "-3"}, "line 1: cap must be a number above 0, got '-3'"),
        (
            {"signal": "demo request", "points": "3", "decay": "linear", "half_life": "0"},
            "line 1: half_life must be a number above 0, got '0'",
        ),
        ({"signal": "demo request", "points": "3", "decay": "slow"}, "line 1: decay must be one of none, linear"),
        ({"signal": "Employees >= 5", "points": "3", "decay": "step"}, "line 1: only events grow old"),
        (
            {"signal": "Employees > lots", "points": "3"},
            "line 1: the value compared with must be a number, got 'lots'",
        ),
        ({"signal": "demo request", "points": "3", "group": "who"}, "line 1: group 'who' is not under [rules.groups]"),
        (
            {"signal": "demo request", "points": "3", "override": "VIP"},
            "line 1: override must be SQL, MQL or disqualify",
        ),
        ({"signal": "", "points": "3"}, "line 1: the signal is empty"),
        ({"signal": "", "points": ""}, "it holds no signal"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(line: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as error:
        read(line)
    assert says in str(error.value)


def test_all_faults_are_told_at_once_and_names_are_told_once() -> None:
    with pytest.raises(InputError) as error:
        read(
            {"signal": "demo request", "points": "3"},
            {"signal": "Demo request", "points": "4"},
            {"signal": "nothing", "points": "4"},
        )
    assert "line 3:" in str(error.value)
    assert "'Demo request' stands there twice" in str(error.value)


def test_a_file_that_is_no_sheet_says_what_one_has() -> None:
    with pytest.raises(InputError, match="lacks the columns points"):
        read({"signal": "demo request"})
