from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from propensity.config import MISSING_WORDS, RulesConfig, parse_config
from propensity.metrics import auc
from propensity.reporting import config_text
from propensity.roles import Given, guess_roles, propose_project, propose_rules
from propensity.roles.points import propose_event_rules
from propensity.schema import Tables
from propensity.synthetic import invent_crm
from propensity.training import prepare_tables

N_LEADS = 200
MISSING: Mapping[str, tuple[str, ...]] = {"*": ("", "select", "unknown")}
YES_NO = ("Yes", "No")


def level(*levels: str) -> np.ndarray:
    return np.random.default_rng(len(levels[0])).choice(levels, N_LEADS)


def count() -> np.ndarray:
    return np.random.default_rng(0).poisson(3, N_LEADS)


def proposed(columns: Mapping[str, object]) -> list[dict[str, Any]]:
    frame = pd.DataFrame(columns)
    return propose_rules(frame, guess_roles(frame, Given(), missing=MISSING), missing=MISSING)


def test_a_points_sheet_is_proposed_from_names_and_values() -> None:
    columns = {
        "Demo requested": level(*YES_NO),
        "Pricing page visits": count(),
        "Job title": level("Chief of staff", "Clerk", "VP Sales"),
        "Lead source": level("Referral", "Paid ads"),
        "Employees": np.arange(N_LEADS),
        "Unsubscribed": level(*YES_NO),
        "Lead status": level("Open", "Closed"),
        "Country": level("Slovenia", "Austria"),
    }
    sheet = {line["column"]: (line["op"], line["value"], line["points"]) for line in proposed(columns)}
    assert sheet == {
        "Demo requested": ("==", "yes", 30),
        "Pricing page visits": (">=", 1, 15),
        "Job title": ("in", ["chief of staff", "vp sales"], 15),
        "Lead source": ("in", ["referral"], 10),
        "Employees": (">=", 149.25, 10),  # the upper quartile of 0 to 199
        "Unsubscribed": ("==", "yes", -20),
    }


def test_no_outcome_is_looked_at_for_the_sheet() -> None:
    columns = {"Demo requested": level(*YES_NO), "Pages": count(), "Converted": level("1", "0")}
    assert proposed(columns) == proposed({**columns, "Converted": columns["Converted"][::-1]})


def test_rules_of_long_names_that_begin_alike_have_names_of_their_own() -> None:
    lines = proposed({f"{'visits ' * 70}{i}": count() for i in range(3)})
    sheet = RulesConfig.model_validate({"points": lines, "groups": {"behaviour": {"family": "behaviour"}}})
    assert len({rule.name for rule in sheet.points}) == 3


def test_days_since_a_visit_score_for_the_recent_not_for_the_cold() -> None:
    (line,) = proposed({"Days since visit": range(N_LEADS)})
    assert (line["op"], line["points"] > 0) == ("<=", True)


def test_a_title_of_one_person_is_no_rule() -> None:
    titles = [f"director of project {i}" for i in range(N_LEADS)]
    assert proposed({"Job title": titles, "Visits": count()}) == proposed({"Visits": count()})


def test_events_score_by_what_their_name_says_grow_old_and_silence_costs() -> None:
    lines = propose_event_rules(["demo request", "email opened", "unsubscribed", "phone rang", "pricing page visit"])
    found = [(line.get("event"), line["points"], line.get("cap"), line.get("half_life_days")) for line in lines]
    assert found == [
        ("demo request", 30, 60, 30),
        ("email opened", 1, 3, 7),
        ("unsubscribed", -20, 20, None),
        ("pricing page visit", 15, 45, 21),
        (None, -10, None, None),
    ]
    assert lines[-1]["column"] == "any event days since"
    groups = {"behaviour": {"family": "behaviour"}}
    assert len(RulesConfig.model_validate({"points": lines, "groups": groups}).points) == 5
    assert propose_event_rules(["phone rang"]) == []


def test_who_is_no_lead_is_disqualified() -> None:
    assert [line["override"] for line in propose_event_rules(["spam report", "hard bounce"])[:2]] == ["disqualify"] * 2
    (line,) = proposed({"Competitor": level(*YES_NO)})
    assert (line["override"], line["value"], "points" in line) == ("disqualify", "yes", False)


def test_derived_fields_score_by_seniority_size_and_mail() -> None:
    frame = pd.DataFrame(
        {
            "Job title": level("Chief of staff", "Clerk", "VP Sales"),
            "Company size": level("1-10", "201-500"),
            "Annual revenue": level("$1M-$10M", "$50M+"),
            "Email": [f"a{i}@gmail.com" for i in range(N_LEADS)],
        }
    )
    kinds = {"Job title": "title", "Company size": "range", "Annual revenue": "range", "Email": "email"}
    lines = propose_rules(frame, guess_roles(frame, Given(), missing=MISSING), missing=MISSING, derive=kinds)
    by_column: dict[str, list[Any]] = {}
    for line in lines:
        by_column.setdefault(line["column"], []).append((line["value"], line["points"]))
    assert by_column == {
        "Job title seniority": [("c-level", 25), ("vp", 20), ("director", 15), ("manager", 10), ("student", -30)],
        "Company size number": [(1, 5), (11, 5), (51, 5), (201, 5), (1001, 5)],
        "Email domain": [("free", -10)],
    }


def test_the_sheet_proposed_for_the_invented_crm_ranks_its_leads_without_any_training() -> None:
    crm = invent_crm(seed=1)
    tables = Tables(leads=crm.leads, events=crm.events, outcomes=crm.outcomes)
    project = propose_project(tables, Given(date="Created"), missing={"*": MISSING_WORDS}, horizon_days=90, names={})
    config = parse_config(
        tomllib.loads(
            config_text(
                project,
                sources={name: (f"{name}.csv", "") for name in ("leads", "events", "outcomes")},
                is_ordered=False,
                missing_words=MISSING_WORDS,
            )
        )
    )
    prepared = prepare_tables(tables, config)
    points = prepared.rules.score(prepared.examples.leads).points
    assert auc(prepared.examples.y, points) > 0.62
