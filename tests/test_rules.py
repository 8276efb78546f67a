from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.config import RulesConfig
from propensity.rules import Rule, Rules, build_rules
from propensity.schema import Column, Schema

MISSING = {"*": ("", "unknown", "n/a"), "Age": (999,)}


def sheet(*lines: dict[str, Any], schema: Schema | None = None, **settings: Any) -> Rules:
    named = [{"name": f"rule {i}", "points": 10, **line} for i, line in enumerate(lines)]
    return build_rules(RulesConfig.model_validate({"points": named, **settings}), missing=MISSING, schema=schema)


def points(rules: Rules, **columns: object) -> list[float]:
    return [float(gained) for gained in rules.score(pd.DataFrame(columns)).points]


@pytest.mark.parametrize(
    ("op", "value", "cells", "holds"),
    [
        ("==", "Yes", ["yes", " YES ", "no", None, "unknown"], [1, 1, 0, 0, 0]),
        ("==", 1, [1, 1.0, "1", True, "one"], [1, 1, 1, 0, 0]),
        ("==", True, [True, "TRUE", False, 2], [1, 1, 0, 0]),
        ("!=", "yes", ["yes", "no", None, "n/a", ""], [0, 1, 0, 0, 0]),
        ("in", ["CEO", "CTO"], ["ceo", "cfo", None, "Cto"], [1, 0, 0, 1]),
        (">", 3, [3, 4, "5", None, "many"], [0, 1, 1, 0, 0]),
        (">=", 3, [3, 2.999, "3.0", "1,000", np.nan], [1, 0, 1, 1, 0]),
        ("<", 3, [3, 2, -1, None], [0, 1, 1, 0]),
        ("<=", 3, [3, 4, float("inf"), float("-inf")], [1, 0, 0, 0]),
        ("missing", None, [None, "unknown", "", "x", np.nan], [1, 1, 1, 0, 1]),
    ],
)
def test_a_condition_holds_for_these_cells(op: str, value: object, cells: list[object], holds: list[int]) -> None:
    rules = sheet({"column": "c", "op": op, "value": value} if op != "missing" else {"column": "c", "op": op})
    # Each cell by itself: pandas would call 1 and True one value if they stood together.
    scored = [points(rules, c=pd.Series([cell], dtype=object))[0] for cell in cells]
    assert scored == [10.0 * held for held in holds]


def test_a_columns_own_word_for_missing_meets_only_missing() -> None:
    rules = sheet({"column": "Age", "op": ">", "value": 100}, {"column": "Age", "op": "missing", "points": 3})
    assert points(rules, Age=[999, 120, 30]) == [3.0, 10.0, 0.0]


@pytest.mark.parametrize(
    ("given", "cap", "worth"), [(30, 20, 20), (-30, 20, -20), (10, 20, 10), (-10, 20, -10), (30, None, 30), (0, 5, 0)]
)
def test_a_rule_gives_or_takes_no_more_than_its_cap(given: float, cap: float | None, worth: float) -> None:
    line = {"column": "c", "value": "x", "points": given, "cap": cap}
    assert points(sheet(line), c=["x", "y"]) == [worth, 0.0]


def test_groups_stay_within_their_range_and_rules_without_a_group_have_none() -> None:
    rules = sheet(
        {"column": "a", "value": "x", "points": 40, "group": "asked"},
        {"column": "b", "value": "x", "points": 40, "group": "asked"},
        {"column": "c", "value": "x", "points": -50, "group": "silent"},
        {"column": "d", "value": "x", "points": 100},
        groups={"asked": {"family": "behaviour", "max": 60}, "silent": {"family": "behaviour", "min": -30}},
    )
    assert points(rules, a=["x", "x", "x"], b=["", "x", "x"], c=["", "", "x"], d=["", "", "x"]) == [40, 60, 130]


def test_columns_are_found_by_name_whatever_their_case_and_padding() -> None:
    assert points(sheet({"column": "Job Title", "value": "ceo"}), **{" job  TITLE ": ["CEO"]}) == [10.0]


@pytest.mark.parametrize("op", ["==", "!=", ">", "in"])
def test_a_column_the_file_lacks_counts_as_missing(op: str) -> None:
    value: object = {"==": "x", "!=": "x", ">": 0, "in": ["x"]}[op]
    rules = sheet({"column": "gone", "op": op, "value": value}, {"column": "gone", "op": "missing", "points": 1})
    assert points(rules, here=["x", "y"]) == [1.0, 1.0]


def test_text_numbers_take_the_decimal_mark_of_the_schema() -> None:
    column = Column(name="Spend", family="behaviour", kind="number", decimal=",")
    european = Schema(columns=(column,), id=None, missing=("",))
    line = {"column": "spend", "op": ">", "value": 100}
    assert points(sheet(line, schema=european), Spend=["1.234,5", "12,5"]) == [10.0, 0.0]
    assert points(sheet(line), Spend=["1234.5", "12.5"]) == [10.0, 0.0]


def test_a_sheet_without_lines_gives_no_points() -> None:
    rules = sheet()
    scores = rules.score(pd.DataFrame({"c": [1, 2]}))
    assert scores.points.tolist() == [0.0, 0.0]
    assert (rules.reason_texts(scores.gained, n_reasons=4) == "").all()


@pytest.mark.parametrize(
    ("total", "band"), [(70, "SQL"), (69.99, "MQL"), (40, "MQL"), (39.99, "nurture"), (-5, "nurture")]
)
def test_bands_by_points_start_at_their_threshold(total: float, band: str) -> None:
    assert sheet().assign(np.array([total])).tolist() == [band]


def test_so_many_points_double_the_odds() -> None:
    odds = np.exp(sheet(points_to_double_odds=20).margin(np.array([0.0, 20.0, 60.0])))
    np.testing.assert_allclose(odds, [1, 2, 8], rtol=1e-12)


@pytest.mark.parametrize(
    ("n_reasons", "expected"),
    [
        (4, ["demo: +30 points of the rules", "role: +10 points of the rules", "silent: -20.5 points of the rules"]),
        (2, ["demo: +30 points of the rules", "silent: -20.5 points of the rules"]),
        (1, ["demo: +30 points of the rules"]),
    ],
)
def test_reasons_name_the_rules_that_gave_most_and_the_one_that_took_most(n_reasons: int, expected: list[str]) -> None:
    rules = sheet(
        {"name": "silent", "column": "a", "value": "x", "points": -20.5},
        {"name": "role", "column": "b", "value": "x", "points": 10},
        {"name": "demo", "column": "c", "value": "x", "points": 30},
        {"name": "bounce", "column": "d", "value": "x", "points": -5},
    )
    scores = rules.score(pd.DataFrame({"a": ["x"], "b": ["x"], "c": ["x"], "d": ["x"]}))
    found = [*rules.reason_texts(scores.gained, n_reasons=n_reasons)[0]]
    assert found == expected + [""] * (n_reasons - len(expected))


def test_a_lead_that_meets_no_rule_has_no_reason() -> None:
    rules = sheet({"column": "a", "value": "x"})
    assert rules.reason_texts(rules.score(pd.DataFrame({"a": ["y"]})).gained, n_reasons=4).tolist() == [[""] * 4]


def test_row_order_only_permutes_points() -> None:
    rules = sheet({"column": "a", "op": ">", "value": 2}, {"column": "b", "op": "missing", "points": -1})
    frame = pd.DataFrame({"a": [1, 2, 3, 4], "b": ["x", None, "x", None]})
    shuffled = frame.iloc[[2, 0, 3, 1]]
    np.testing.assert_array_equal(rules.score(shuffled).points, rules.score(frame).points[[2, 0, 3, 1]])


def test_sheet_survives_json_and_keeps_its_digest() -> None:
    rules = sheet(
        {"column": "a", "op": "in", "value": ["x", "y"], "cap": 5, "group": "g"},
        {"column": "b", "op": ">", "value": 2},
        {"column": "c", "op": "missing"},
        groups={"g": {"family": "fit"}},
    )
    again = Rules.from_dict(json.loads(json.dumps(rules.to_dict())))
    assert again == rules
    assert again.digest == rules.digest


def test_another_sheet_has_another_digest() -> None:
    assert sheet({"column": "a", "value": "x"}).digest != sheet({"column": "a", "value": "y"}).digest


def test_a_rule_written_in_code_reads_cells_as_they_are() -> None:
    rule = Rule(name="demo", column="Demo", op="==", value="yes", points=30)
    assert rule.holds(pd.Series([" Yes", "no", ""])).tolist() == [True, False, False]


SIGNAL = "demo events, exponential 30d"
EVENTS = {"demo events": [0.0, 1.0, 3.0], SIGNAL: [0.0, 0.5, 2.2]}
DECAYING = {"event": "Demo", "decay": "exponential", "half_life_days": 30, "points": 20}


def test_each_event_gives_what_is_left_of_its_points_up_to_the_cap() -> None:
    assert points(sheet(DECAYING), **EVENTS) == [0.0, 10.0, 44.0]
    assert points(sheet({**DECAYING, "cap": 30}), **EVENTS) == [0.0, 10.0, 30.0]
    assert points(sheet({**DECAYING, "points": -20, "cap": 30}), **EVENTS) == [0.0, -10.0, -30.0]


def test_fewer_events_than_asked_for_give_nothing_however_fresh() -> None:
    assert points(sheet({**DECAYING, "value": 2}), **EVENTS) == [0.0, 0.0, 44.0]
    assert points(sheet({**DECAYING, "op": ">", "value": 1}), **EVENTS) == [0.0, 0.0, 44.0]


def test_without_the_events_no_event_gives_points() -> None:
    assert points(sheet(DECAYING), other=[1, 2]) == [0.0, 0.0]


def test_a_sheet_says_what_feature_rows_must_count() -> None:
    rules = sheet(DECAYING, {"event": "demo"}, {"column": "Demo events", "value": 1})
    assert rules.columns == ("demo events, exponential 30d", "demo events", "Demo events")
    assert [signal.decay for signal in rules.signals] == ["exponential", "none"]


GROUPS = {
    "who": {"family": "fit", "min": -20, "max": 40},
    "did": {"family": "behaviour", "min": -30, "max": 60},
}


def graded(**columns: list[object]) -> list[str]:
    rules = sheet(
        {"column": "Title", "value": "ceo", "points": 30, "group": "who"},
        {"column": "Size", "op": ">=", "value": 100, "points": 20, "group": "who"},
        {**DECAYING, "cap": 80, "group": "did"},
        groups=GROUPS,
    )
    frame = pd.DataFrame(columns)
    return [str(one) for one in rules.grades(rules.score(frame))]


def test_grades_are_quarters_of_what_each_family_can_give() -> None:
    found = graded(
        Title=["ceo", "ceo", "cto", "cto"],
        Size=[500, 1, 500, 1],
        **dict[str, list[object]]({"demo events": [9, 1, 1, 0], SIGNAL: [9.0, 0.75, 1.5, 0.0]}),
    )
    # Of 40 points of fit: 40, 30, 20, 0; of 60 points of engagement: 60, 15, 30, 0.
    assert found == ["A1", "A3", "B2", "D4"]


OVERRIDES = (
    {"column": "Asked", "value": "yes", "override": "SQL"},
    {"column": "Webinar", "value": "yes", "override": "MQL"},
    {"column": "Competitor", "value": "yes", "override": "disqualify"},
)


def test_overrides_lift_or_keep_out_and_a_disqualified_lead_stays_out() -> None:
    rules = sheet(*({"points": 0, **line} for line in OVERRIDES))
    frame = pd.DataFrame(
        {
            "Asked": ["yes", "no", "no", "yes", "yes", "no"],
            "Webinar": ["no", "yes", "yes", "no", "no", "no"],
            "Competitor": ["no", "no", "no", "yes", "no", "yes"],
        }
    )
    band = np.array(["nurture", "nurture", "SQL", "MQL", "unscored", "nurture"], dtype=object)
    decided, name = rules.overridden(band, rules.score(frame))
    assert decided.tolist() == ["SQL", "MQL", "SQL", "nurture", "unscored", "nurture"]
    assert name.tolist() == ["rule 0", "rule 1", "", "rule 2", "", ""]
    assert band.tolist()[0] == "nurture"  # the bands given are as they were


def test_an_override_needs_no_points() -> None:
    rules = build_rules(RulesConfig.model_validate({"points": [{"name": "asks", **OVERRIDES[0]}]}), missing=MISSING)
    assert rules.score(pd.DataFrame({"Asked": ["yes"]})).points.tolist() == [0.0]


def test_points_without_history_mean_what_the_scorecard_says() -> None:
    rules = sheet({"column": "c", "value": 1}, base_rate=0.1, mql=40, points_to_double_odds=20)
    prior = rules.prior(np.array([20.0, 40.0, 60.0]))
    assert prior is not None
    assert (prior / (1 - prior)).tolist() == pytest.approx([0.5 / 9, 1 / 9, 2 / 9])
    assert sheet({"column": "c", "value": 1}).prior(np.array([40.0])) is None


def test_sheets_of_older_bundles_have_no_events_and_no_overrides() -> None:
    old = json.loads(json.dumps(sheet({"column": "c", "value": 1}).to_dict()))
    del old["base_rate"]
    for rule in old["rules"]:
        for name in ("event", "decay", "half_life_days", "override"):
            del rule[name]
    assert Rules.from_dict(old) == sheet({"column": "c", "value": 1})
