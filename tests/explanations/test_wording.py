from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from propensity.explanations import (
    Evidence,
    Explanation,
    Reference,
    reason_groups,
    reason_texts,
    show_value,
)
from propensity.features.plan import FeaturePlan
from propensity.schema import Column, Schema

SCHEMA = Schema(
    columns=(
        Column(name="Industry", family="fit", kind="category"),
        Column(name="Visits", family="behaviour", kind="number"),
        Column(name="Clicks", family="behaviour", kind="number"),
    ),
    id="Lead",
    missing=("",),
)
REFERENCE = Reference(margin_parts=(0.1, -0.3, 0.0), typical=("retail", "2", "0"))
PLAN = FeaturePlan(
    has_events=True,
    types=("demo",),
    families={"web": ("page visit",)},
    windows_days=(7, 30),
    derive={"Job title": "title", "Country": "country"},
)


def explanation_of(parts: np.ndarray) -> Explanation:
    """Ten points a log-odds."""
    return Explanation(log_odds_parts=parts, points=10 * parts, reference_log_odds=0.0, reference_probability=0.5)


def texts(parts: list[float], *, n_reasons: int) -> list[str]:
    evidence = Evidence(
        groups=reason_groups(SCHEMA, FeaturePlan()),
        raw=[["Metals "], ["unknown"], [7.0]],
        values=[["metals"], [np.nan], [7.0]],
        reference=REFERENCE,
    )
    return [*reason_texts(explanation_of(np.array([parts])), evidence, n_reasons=n_reasons)[0]]


INDUSTRY, VISITS, CLICKS = "Industry: Metals (typical retail)", "Visits: not given (typical 2)", "Clicks: 7 (typical 0)"


@pytest.mark.parametrize(
    ("parts", "n_reasons", "expected"),
    [
        pytest.param(
            [0.5, -0.4, 1.0],
            4,
            [f"{CLICKS}, +10.0 points", f"{INDUSTRY}, +5.0 points", f"{VISITS}, -4.0 points"],
            id="for before against, strongest first",
        ),
        pytest.param([0.5, 0.6, 1.0], 2, [f"{CLICKS}, +10.0 points"], id="one for, none against"),
        pytest.param([0.5, -0.4, 1.0], 1, [f"{CLICKS}, +10.0 points"], id="one reason is one for"),
        pytest.param([-0.5, -0.4, -1.0], 4, [f"{CLICKS}, -10.0 points"], id="one against, however many there are"),
        pytest.param([-0.5, -0.4, -1.0], 1, [], id="none for, so no reason"),
        pytest.param([0.05, -0.05, 0.0], 4, [f"{INDUSTRY}, +0.5 points", f"{VISITS}, -0.5 points"], id="just enough"),
        pytest.param([0.0499, -0.0499, 0.0], 4, [], id="too small to be a reason"),
    ],
)
def test_reasons_are_up_to_n_less_one_for_and_one_against(
    parts: list[float], n_reasons: int, expected: list[str]
) -> None:
    assert texts(parts, n_reasons=n_reasons) == expected + [""] * (n_reasons - len(expected))


def test_what_learners_do_not_agree_on_is_no_reason() -> None:
    evidence = Evidence(
        groups=reason_groups(SCHEMA, FeaturePlan()),
        raw=[["Metals "], ["unknown"], [7.0]],
        values=[["metals"], [np.nan], [7.0]],
        reference=REFERENCE,
    )
    parts = np.array([[0.5, -0.4, 1.0]])
    split = replace(explanation_of(parts), members=((0.79, parts), (0.21, parts * [-1.0, 1.0, 1.0])))
    (found,) = reason_texts(split, evidence, n_reasons=4)
    assert found.tolist() == [f"{CLICKS}, +10.0 points", f"{VISITS}, -4.0 points", "", ""]
    agreed = replace(split, members=((0.8, parts), (0.2, parts * [-1.0, 1.0, 1.0])))
    assert [*reason_texts(agreed, evidence, n_reasons=4)[0]] == texts([0.5, -0.4, 1.0], n_reasons=4)


def schema_of(*names: str) -> Schema:
    own = {name for name in names if name.startswith(("demo", "all", "any", "page"))}
    columns = tuple(
        Column(name=name, family="behaviour" if name in own else "fit", kind="number" if name in own else "category")
        for name in names
    )
    return Schema(columns=columns, id=None, missing=())


def test_what_is_made_of_one_field_or_one_kind_of_event_is_one_group() -> None:
    names = (
        "Country code",
        "all web count 30d",
        "Job title",
        "any event rate",
        "demo days since",
        "Job title seniority",
    )
    groups = reason_groups(schema_of(*names, "demo count 30d", "demo count 7d", "all web intensity", "all"), PLAN)
    assert [(group.name, group.family, group.columns) for group in groups] == [
        ("Country", "fit", (0,)),
        ("all web activity", "behaviour", (1, 8)),
        ("Job title", "fit", (2, 5)),
        ("all activity", "behaviour", (3,)),
        ("demo", "behaviour", (4, 6, 7)),
        ("all", "behaviour", (9,)),
    ]
    demo = groups[4]
    assert ([*demo.counts.items()], demo.since) == ([(7, 7), (30, 6)], 4)
    assert (groups[1].since, groups[3].counts) == (None, {})


def test_parts_of_a_group_that_cancel_are_no_reason() -> None:
    schema = schema_of("demo count 7d", "demo rate", "Industry")
    evidence = Evidence(
        groups=reason_groups(schema, PLAN),
        raw=[[1.0], [0.5], ["arms"]],
        values=[[1.0], [0.5], ["arms"]],
        reference=Reference(margin_parts=(0.0, 0.0, 0.0), typical=("0", "0", "metals")),
    )
    (found,) = reason_texts(explanation_of(np.array([[2.0, -1.98, 0.5]])), evidence, n_reasons=4)
    assert found.tolist() == ["Industry: arms (typical metals), +5.0 points", "", "", ""]
    (found,) = reason_texts(explanation_of(np.array([[2.0, -1.0, 0.5]])), evidence, n_reasons=4)
    assert found[0] == "demo: 1 in 7 days (typical 0), +10.0 points"


def test_of_two_parts_about_the_same_events_only_the_stronger_side_is_told() -> None:
    schema = schema_of("any event count 7d", "demo count 7d", "page visit count 7d", "all web count 7d")
    plan = replace(PLAN, types=("demo", "page visit"))
    row = [[3.0], [1.0], [2.0], [2.0]]
    evidence = Evidence(
        groups=reason_groups(schema, plan),
        raw=row,
        values=row,
        reference=Reference(margin_parts=(0.0,) * 4, typical=("0",) * 4),
    )

    def told(*parts: float) -> list[str]:
        (found,) = reason_texts(explanation_of(np.array([parts])), evidence, n_reasons=4)
        return [text.split(":")[0] for text in found if text]

    assert told(2.0, -1.0, 0.0, 0.0) == ["all activity"]
    assert told(1.0, -2.0, 0.0, 0.0) == ["demo"]
    assert told(2.0, 1.0, 0.5, 0.0) == ["all activity", "demo", "page visit"]
    assert told(0.0, -2.0, 1.0, 3.0) == ["all web activity", "page visit", "demo"]  # no event is both
    assert told(0.0, 0.0, 1.0, -3.0) == ["all web activity"]


def test_a_total_names_the_kinds_it_is_made_of_in_the_window_that_is_shown() -> None:
    plan = FeaturePlan(
        has_events=True, types=("call", "demo"), families={"web": ("demo", "visit")}, windows_days=(7, 30)
    )
    names = [f"{slot} count {days}d" for slot in ("any event", "all web", "call", "demo") for days in (7, 30)]
    groups = reason_groups(schema_of(*names), plan)
    cells = np.array(
        [
            [5.0, 9.0, 2.0, 3.0, 2.0, 5.0, 2.0, 2.0],
            [0.0, 4.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            [0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        ]
    ).T
    evidence = Evidence(
        groups=groups,
        raw=[*cells],
        values=[*cells],
        reference=Reference(margin_parts=(0.0,) * len(names), typical=("0",) * len(names)),
    )
    assert [group.name for group in groups] == ["all activity", "all web activity", "call", "demo"]
    assert evidence.texts(range(4), 0) == [
        "all activity: 5 in 7 days (call 2, demo 2, others 1) (typical 0)",
        "all activity: 4 in 30 days (demo 1, others 3) (typical 0)",
        "all activity: 3 in 30 days (typical 0)",  # of kinds that are not told apart
        "all activity: none in 30 days",
    ]
    # Visits are web activity too, but have no count of their own.
    assert evidence.texts([0, 1], 1) == [
        "all web activity: 2 in 7 days (demo) (typical 0)",
        "all web activity: 1 in 30 days (demo) (typical 0)",
    ]
    assert evidence.texts([0], 3) == ["demo: 2 in 7 days (typical 0)"]
    assert evidence.brief(0, 0) == "5 in 7 days"


def demo_text(
    seven: float, thirty: float, since: float, *, cutoff: str | None = "2026-06-10T12:00", **asked: str
) -> str:
    names = ["demo count 7d", "demo count 30d", "demo days since"]
    row = [[seven], [thirty], [since]]
    evidence = Evidence(
        groups=reason_groups(schema_of(*names), PLAN),
        raw=row,
        values=row,
        reference=Reference(margin_parts=(0.0,) * 3, typical=("0", "1", "12")),
        cutoff=None if cutoff is None else np.array([cutoff], dtype="datetime64[us]"),
        **asked,
    )
    return evidence.texts([0], 0)[0]


@pytest.mark.parametrize(
    ("seven", "thirty", "since", "says"),
    [
        pytest.param(2, 5, 1.5, "demo: 2 in 7 days, last on 2026-06-09 (typical 0)", id="the shortest window it is in"),
        pytest.param(0, 5, 9.5, "demo: 5 in 30 days, last on 2026-06-01 (typical 1)", id="else the next"),
        pytest.param(0, 1, 9.5, "demo: 1 in 30 days, last on 2026-06-01", id="as typical"),
        pytest.param(0, 0, 70.0, "demo: none in 30 days, last on 2026-04-01 (typical 1)", id="long ago"),
        pytest.param(0, 0, np.nan, "demo: none in 30 days (typical 1)", id="never"),
        pytest.param(np.nan, np.nan, np.nan, "demo: none in 30 days (typical 1)", id="nobody knows"),
    ],
)
def test_events_are_told_by_number_window_and_last_day(seven: float, thirty: float, since: float, says: str) -> None:
    assert demo_text(seven, thirty, since) == says


def test_days_are_those_of_the_timezone_and_left_out_where_the_instant_is_unknown() -> None:
    assert "last on 2026-06-10" in demo_text(1, 1, 0.5, cutoff="2026-06-10T12:00")
    assert "last on 2026-06-09" in demo_text(1, 1, 0.5, cutoff="2026-06-10T12:00", timezone="America/New_York")
    assert demo_text(1, 1, 0.5, cutoff=None) == "demo: 1 in 7 days (typical 0)"


def test_a_field_shows_what_is_given_of_it() -> None:
    schema = schema_of("Job title seniority", "Job title department")
    row = [[None, None], ["Sales", None]]
    evidence = Evidence(
        groups=reason_groups(schema, PLAN),
        raw=row,
        values=row,
        reference=Reference(margin_parts=(0.0, 0.0), typical=("student", "other")),
    )
    assert evidence.texts([0, 1], 0) == [
        "Job title: Sales (typical other)",
        "Job title: not given (typical student)",
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (3, "3"),
        (np.int64(3), "3"),
        (3.0, "3"),
        (np.float64(0.1234567), "0.1235"),
        (1e20, "1e+20"),
        (1234567.0, "1234567"),
        ("1234567.0", "1234567"),
        (-0.0, "0"),
        (True, "True"),
        ("  two \n words ", "two words"),
        ("x" * 40, "x" * 40),
        ("x" * 41, "x" * 39 + "…"),
        (None, "not given"),
        (float("nan"), "not given"),
        (pd.NA, "not given"),
    ],
)
def test_values_are_shown_briefly(value: object, shown: str) -> None:
    assert show_value(value) == shown
