from __future__ import annotations

import datetime as dt
import math
from typing import Any

import pytest
from pydantic import ValidationError

from propensity.config import MISSING_WORDS, Config, LabelsConfig, Source, parse_config
from propensity.errors import ConfigError

LABEL_KEYS = ", ".join(sorted(LabelsConfig.model_fields))


def settings(**sections: Any) -> dict[str, Any]:
    return {"data": {"leads": "leads.csv", **sections.pop("data", {})}, **sections}


def refusal(**sections: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(settings(**sections), source="mine.toml")
    head, *problems = str(caught.value).splitlines()
    assert head == "mine.toml cannot be used:"
    return [problem.strip() for problem in problems]


def rule(**settings: Any) -> dict[str, Any]:
    return {"points": [{"name": "a rule", "column": "Visits", "points": 5, **settings}]}


def test_the_path_to_the_leads_is_enough() -> None:
    assert Config.model_validate({"data": {"leads": "leads.csv"}}) == parse_config(settings())


def test_without_any_section_the_data_are_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"data: must be given"):
        parse_config({})


def test_settings_cannot_be_changed_once_they_are_read() -> None:
    config = parse_config(settings())
    with pytest.raises(ValidationError, match="frozen"):
        config.learner.seed = 1


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        (
            {"lerner": {}},
            "lerner: no such key. Known: agreement, availability, columns, data, evaluation, features, labels, "
            "learner, registry, rules",
        ),
        ({"learner": {"sed": 1}}, "learner.sed: no such key. Known: max_depth, max_trees, monotone, seed"),
        (
            {"agreement": {"sql": {"owner": "s", "action": "a", "who": "x"}}},
            "agreement.sql.who: no such key. Known: action, owner",
        ),
        (
            {"rules": rule(weight=3)},
            "rules.points.1.weight: no such key. Known: cap, column, decay, event, group, half_life_days, name, op, "
            "override, points, value",
        ),
        (
            {"rules": {"groups": {"points": {"family": "fit", "top": 9}}}},
            "rules.groups.points.top: no such key. Known: family, max, min",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_the_known_ones(sections: dict[str, Any], problem: str) -> None:
    assert [problem] == refusal(**sections)


def test_all_problems_are_named_at_once() -> None:
    problems = refusal(columns={"fit": ["Industry", 7]}, learner={"max_depth": 12}, agreement={"sql": {"owner": "s"}})
    assert problems == [
        "columns.fit.2: input should be a valid string; got 7",
        "learner.max_depth: input should be less than or equal to 8; got 12",
        "agreement.sql.action: must be given",
    ]


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        (
            {"rules": rule(event="demo", column="Demo")},
            "rules.points.1: a rule is about a column or about an event type: name one of column and event",
        ),
        (
            {"rules": rule(decay="linear", half_life_days=7)},
            "rules.points.1: only events grow old: decay 'linear' on column 'Visits' has no age to go by",
        ),
        (
            {"rules": rule(column="", event="demo", decay="step")},
            "rules.points.1: decay and half_life_days go together: after so many days an event is worth half",
        ),
        (
            {"rules": rule(column="", event="demo", value=0)},
            "rules.points.1: a rule on events counts them: op '>=' or '>' and a value of 1 or more, got >= 0",
        ),
        (
            {"rules": rule(column="", event="demo")},
            "rules count events (a rule), and the project has none: name data.events, or make them rules on a column",
        ),
        (
            {"rules": rule(cap=-5)},
            "rules.points.1.cap: input should be greater than 0; got -5",
        ),
        (
            {"rules": rule(half_life_days=0)},
            "rules.points.1.half_life_days: input should be greater than 0; got 0",
        ),
        (
            {"rules": rule(points="many")},
            "rules.points.1.points: input should be a valid number, unable to parse string as a number; got 'many'",
        ),
        (
            {"rules": {"points": [*rule(value=1)["points"], *rule(name=" A  Rule ", value=1)["points"]]}},
            "rules: rule names must differ, twice:  A  Rule , a rule",
        ),
        (
            {"agreement": {"policy": "profit"}},
            "agreement: policy 'profit' needs cost_per_contact and value_per_win (or value_column), in one currency",
        ),
        (
            {"agreement": {"value_per_win": 9}},
            "agreement: a call pays or not by both what it costs (cost_per_contact) and what a win brings "
            "(value_per_win, or value_column for a value of each lead's own): give both above 0, or neither",
        ),
        (
            {"agreement": {"value_per_win": 9, "cost_per_contact": 10}},
            "agreement: no call ever pays: cost_per_contact (10) is above value_per_win (9)",
        ),
        (
            {"data": {"timezone": "Mars"}},
            "data.timezone: must be a time zone name such as 'UTC' or 'Europe/Ljubljana'; got 'Mars'",
        ),
        (
            {"data": {"timezone": "/etc/passwd"}},
            "data.timezone: must be a time zone name such as 'UTC' or 'Europe/Ljubljana'; got '/etc/passwd'",
        ),
        ({"data": {"missing": 5}}, "data.missing: input should be a valid dictionary; got 5"),
        ({"data": {"missing": [{}]}}, "data.missing: must be text, a finite number or a list of them"),
        ({"columns": 5}, "columns: input should be a valid dictionary or instance of ColumnsConfig; got 5"),
        ({"columns": {"fit": "Industry"}}, "columns.fit: input should be a valid tuple; got 'Industry'"),
        (
            {"availability": {"Score": "later"}},
            "availability.Score: input should be 'static', 'event', 'mutable' or 'outcome'; got 'later'",
        ),
        ({"evaluation": {"origins": 0}}, "evaluation.origins: input should be greater than or equal to 1; got 0"),
        (
            {"learner": {"monotone": {"Visits": "up"}}},
            "learner.monotone.Visits: input should be 'increasing' or 'decreasing'; got 'up'",
        ),
        (
            {"learner": {"monotone": {"Visits": "increasing", "VISITS": "decreasing"}}},
            "learner.monotone: one name is written in several ways: VISITS, Visits",
        ),
        ({"learner": {"max_trees": 0}}, "learner.max_trees: input should be greater than or equal to 1; got 0"),
        ({"learner": {"seed": -1}}, "learner.seed: input should be greater than or equal to 0; got -1"),
        ({"agreement": {"mql_recall": 1.0}}, "agreement.mql_recall: input should be less than 1; got 1.0"),
        ({"agreement": {"sql_precision": 0}}, "agreement.sql_precision: input should be greater than 0; got 0"),
        ({"agreement": 5}, "agreement: input should be a valid dictionary or instance of AgreementConfig; got 5"),
        (
            {"agreement": {"policy": "capacity"}},
            "agreement: policy 'capacity' needs capacity_per_week, how many leads sales can work in a week",
        ),
        (
            {"agreement": {"capacity_per_week": math.inf}},
            "agreement.capacity_per_week: input should be a finite number; got inf",
        ),
        ({"rules": {"mql": math.nan}}, "rules.mql: input should be a finite number; got nan"),
        ({"rules": {"mql": 50, "sql": 40}}, "rules: sql must be at or above mql, got sql=40 and mql=50"),
        (
            {"rules": {"points": [5]}},
            "rules.points.1: input should be a valid dictionary or instance of RulePoints; got 5",
        ),
        ({"rules": rule(op=">", value="many")}, "rules.points.1: op '>' compares with a number, got 'many'"),
        ({"rules": rule(op="<=", value=True)}, "rules.points.1: op '<=' compares with a number, got True"),
        ({"rules": rule(op="in", value="web")}, "rules.points.1: op 'in' needs a list of values, got 'web'"),
        ({"rules": rule(op="==")}, "rules.points.1: op '==' needs one value, got None"),
        ({"rules": rule(op="!=", value=["a"])}, "rules.points.1: op '!=' needs one value, got ('a',)"),
        ({"rules": rule(op="missing", value=1)}, "rules.points.1: op 'missing' takes no value, got 1"),
        ({"rules": rule(value={})}, "rules.points.1.value: must be text, a finite number or a list of them"),
        ({"rules": rule(op="in", value=[{}])}, "rules.points.1.value: must be text, a finite number or a list of them"),
        (
            {"rules": rule(value=1, group="interest")},
            "rules: rules name groups that are not in [rules.groups]: interest",
        ),
        (
            {"rules": {"points": [rule(value=1)["points"][0], rule(value=2)["points"][0]]}},
            "rules: rule names must differ, twice: a rule",
        ),
        (
            {"registry": {"name": "../up"}},
            "registry.name: string should match pattern '^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$'; got '../up'",
        ),
    ],
)
def test_nonsense_is_refused_with_the_key_what_is_allowed_and_what_was_got(
    sections: dict[str, Any], problem: str
) -> None:
    assert [problem] == refusal(**sections)


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"fit": ["Industry"], "behaviour": ["Industry"]}, "a column is fit or behaviour, not both: Industry"),
        ({"fit": ["Industry"], "behaviour": [" industry"]}, "a column is fit or behaviour, not both:  industry"),
        ({"fit": ["Industry", "INDUSTRY"]}, "a feature is named twice: industry"),
        (
            {"target": "Won", "fit": ["Won"]},
            "a column cannot be id, group, target, date or stage and a feature too: Won",
        ),
        ({"fit": ["Notes"], "ignore": ["notes"]}, "a column cannot be used and ignored: notes"),
        ({"fit": ["Industry"], "count": ["Visits"]}, "count names columns that are neither fit nor behaviour: Visits"),
    ],
)
def test_a_column_has_one_role(columns: dict[str, Any], problem: str) -> None:
    assert [f"columns: {problem}"] == refusal(columns=columns)


@pytest.mark.parametrize("feature", ["converted", " Converted ", "CONVERTED", "\uff23onverted"])
def test_the_target_cannot_come_in_as_a_feature_by_another_spelling_of_its_name(feature: str) -> None:
    # The header is found without case, padding and Unicode forms, so these would all read the answer itself.
    problems = refusal(columns={"target": "Converted", "fit": [feature]})
    assert problems == ["columns: a column cannot be id, group, target, date or stage and a feature too: Converted"]


def test_a_count_may_be_spelt_as_the_header_is_read() -> None:
    assert parse_config(settings(columns={"behaviour": ["Visits"], "count": ["visits "]})).columns.count == ("visits ",)


def test_a_feature_belongs_to_the_family_it_is_listed_under() -> None:
    columns = parse_config(settings(columns={"fit": ["Industry"], "behaviour": ["Visits"]})).columns
    assert [columns.family("Industry"), columns.family("Visits")] == ["fit", "behaviour"]


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        (["Select"], {"*": ("Select",)}),
        ({"*": ["Select"]}, {"*": ("Select",)}),
        ({"pdays": [999]}, {"*": MISSING_WORDS, "pdays": (999,)}),
        ({"*": ["-"], "pdays": [999, "never"]}, {"*": ("-",), "pdays": (999, "never")}),
    ],
)
def test_a_list_of_missing_words_is_for_every_column_and_own_words_are_added(
    missing: Any, expected: dict[str, Any]
) -> None:
    assert expected == parse_config(settings(data={"missing": missing})).data.missing


def test_a_rule_keeps_the_kind_of_its_value() -> None:
    values: list[Any] = ["yes", 3, 2.5, True]
    rules = {"points": [{"name": str(v), "column": "x", "value": v, "points": 1} for v in values]}
    read = [(type(line.value), line.value) for line in parse_config(settings(rules=rules)).rules.points]
    assert [(type(value), value) for value in values] == read


@pytest.mark.parametrize(
    "line",
    [
        {"op": "missing"},
        {"op": "in", "value": ["web", 3]},
        {"op": ">=", "value": 3},
        {"op": "==", "value": "web", "group": "interest"},
    ],
)
def test_a_rule_whose_value_fits_its_op_is_taken(line: dict[str, Any]) -> None:
    groups = {"interest": {"family": "behaviour"}}
    (read,) = parse_config(settings(rules={**rule(**line), "groups": groups})).rules.points
    assert line["op"] == read.op


def test_capacity_with_a_number_of_leads_a_week_is_a_policy() -> None:
    agreement = parse_config(settings(agreement={"policy": "capacity", "capacity_per_week": 42})).agreement
    assert (agreement.policy, agreement.capacity_per_week) == ("capacity", 42)


def test_the_config_digest_sees_neither_paths_nor_the_registry() -> None:
    here = parse_config(settings(registry={"name": "mine"}))
    there = parse_config({"data": {"leads": "/elsewhere/other.csv"}, "registry": {"name": "yours"}})
    assert here.digest_source() == there.digest_source()


@pytest.mark.parametrize(
    "sections",
    [
        {"data": {"timezone": "Europe/Ljubljana"}},
        {"data": {"extracted_at": dt.datetime(2026, 10, 1, tzinfo=dt.UTC)}},
        {"columns": {"fit": ["Industry"]}},
        {"learner": {"seed": 1}},
        {"agreement": {"sql_precision": 0.3}},
    ],
)
def test_the_config_digest_sees_every_setting_that_can_change_a_model(sections: dict[str, Any]) -> None:
    assert parse_config(settings()).digest_source() != parse_config(settings(**sections)).digest_source()


@pytest.mark.parametrize("timezone", ["Europe", "Nope/Zone", "", "../etc"])
def test_what_is_no_time_zone_is_refused(timezone: str) -> None:
    with pytest.raises(ConfigError, match="must be a time zone name"):
        parse_config({"data": {"leads": "leads.csv", "timezone": timezone}})


def test_a_number_no_lead_can_have_is_no_rule() -> None:
    line = {"name": "a", "column": "b", "op": ">", "value": 10**400, "points": 1}
    with pytest.raises(ConfigError, match="value must be within"):
        parse_config({"data": {"leads": "leads.csv"}, "rules": {"points": [line]}})


def test_a_path_alone_is_a_file_without_a_query() -> None:
    data = parse_config(settings(data={"events": "e.csv", "outcomes": {"path": "o.csv", "query": "SELECT 1"}})).data
    assert (data.events, data.outcomes) == (Source(path="e.csv"), Source(path="o.csv", query="SELECT 1"))


def test_leads_may_come_from_the_cutoffs_alone_but_from_somewhere() -> None:
    assert parse_config({"data": {"cutoffs": "c.csv", "events": "e.csv"}}).data.leads is None
    with pytest.raises(ConfigError, match=r"name the lead file \(data.leads\), or a file of cutoffs"):
        parse_config({"data": {"events": "e.csv"}})


@pytest.mark.parametrize(
    ("sections", "has_tables"),
    [
        ({}, False),
        ({"columns": {"target": "Won", "date": "Created"}}, False),
        ({"data": {"events": "e.csv"}}, True),
        ({"columns": {"converted_at": "Won on"}}, True),
        ({"columns": {"cutoff": "Touched"}}, True),
    ],
)
def test_a_project_has_tables_once_something_is_told_by_its_time(sections: dict[str, Any], has_tables: bool) -> None:
    assert parse_config(settings(**sections)).has_tables is has_tables


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        (
            {"columns": {"event": {"id": "a", "group": "b"}}},
            "columns.event: events belong to leads (id) or to accounts (group), not to both: keep one of the two",
        ),
        (
            {"features": {"windows_days": [30, 7]}},
            "features: windows_days must be different and grow, got [30, 7]",
        ),
        (
            {"features": {"windows_days": [7, 400]}},
            "features: lookback_days must be at least the longest window, 400, got 365",
        ),
        ({"data": {"events": {"path": "e", "sql": "x"}}}, "data.events.sql: no such key. Known: path, query"),
        (
            {"labels": {"horizon": 5}},
            f"labels.horizon: no such key. Known: {LABEL_KEYS}",
        ),
        ({"labels": {"horizon_days": 0}}, "labels.horizon_days: input should be greater than or equal to 1; got 0"),
    ],
)
def test_tables_labels_and_features_refuse_nonsense(sections: dict[str, Any], problem: str) -> None:
    assert [problem] == refusal(**sections)


def test_where_files_lie_is_no_part_of_the_digest_but_what_is_read_of_them_is() -> None:
    plain = parse_config(settings(data={"events": {"path": "e.csv", "query": "SELECT 1"}})).digest_source()
    moved = parse_config(settings(data={"events": {"path": "f.csv", "query": "SELECT 1"}})).digest_source()
    other = parse_config(settings(data={"events": {"path": "e.csv", "query": "SELECT 2"}})).digest_source()
    assert plain == moved
    assert plain != other


@pytest.mark.parametrize("table", ["event", "outcome"])
def test_records_of_accounts_need_the_account_of_each_lead(table: str) -> None:
    columns = {table: {"group": "Account"}}
    with pytest.raises(ConfigError, match=rf"{table}\.group says that records belong to accounts: .*columns\.group"):
        parse_config({"data": {"leads": "leads.csv"}, "columns": columns})
    assert parse_config({"data": {"leads": "leads.csv"}, "columns": {**columns, "group": "Account"}})
