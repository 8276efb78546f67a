from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.errors import InputError
from propensity.roles import Given, Project, propose_project
from propensity.schema import Tables

MISSING = {"*": ["", "unknown"]}
N = 120
RNG = np.random.default_rng(0)
IDS = [f"L{i:04d}" for i in range(N)]
BORN = pd.Timestamp("2025-01-01") + pd.to_timedelta(RNG.uniform(0, 300, N), unit="D")
TEXT = "%Y-%m-%d %H:%M"
LEADS = pd.DataFrame(
    {
        "Lead ID": IDS,
        "Created": BORN.strftime(TEXT),
        "Industry": RNG.choice(["Retail", "Health"], N),
        "Company size": RNG.choice(["1-10", "11-50", "51-200", "10,000+"], N),
        "Country": RNG.choice(["Austria", "AT", "Italy"], N),
        "Job title": RNG.choice(["CEO", "Student", "Sales manager"], N),
        "Work email": [f"person{i}@company{i % 9}.example" for i in range(N)],
        "Number of page visits": RNG.poisson(4, N),
        "Lead score": RNG.integers(0, 100, N),
        "Original source": RNG.choice(["Web", "Fair"], N),
    }
)
WON = pd.DataFrame({"lead_id": IDS[::4], "converted_at": (BORN[::4] + pd.Timedelta(days=25)).strftime(TEXT)})
EVENTS = pd.DataFrame(
    {
        "lead_id": RNG.choice(IDS, 600),
        "occurred_at": (pd.Timestamp("2025-02-01") + pd.to_timedelta(RNG.uniform(0, 250, 600), unit="D")).strftime(
            TEXT
        ),
        "event_type": RNG.choice(["Email opened", "Email clicked", "Page visit", "Pricing page visit", "Demo"], 600),
    }
)


def propose(leads: pd.DataFrame = LEADS, given: Given | None = None, **more: Any) -> Project:
    days = more.pop("horizon_days", None)
    return propose_project(Tables(leads=leads, **more), given or Given(), missing=MISSING, horizon_days=days)


def roles(project: Project) -> dict[str, str]:
    return {guess.column: guess.role for guess in project.guesses}


def test_leads_events_and_outcomes_make_a_project_of_tables() -> None:
    project = propose(events=EVENTS, outcomes=WON)
    assert project.has_tables
    assert project.tables["events"].columns == {
        "id": "lead_id",
        "occurred_at": "occurred_at",
        "type": "event_type",
    }
    assert project.tables["outcomes"].n_matched == len(WON)
    assert project.families == {
        "email": ("email clicked", "email opened"),
        "web": ("page visit", "pricing page visit"),
    }
    assert {rule["column"] for rule in project.rules if rule["group"] == "behaviour"} == {
        *("demo count 90d", "email clicked count 90d", "pricing page visit count 90d")
    }


def test_what_stands_in_the_lead_table_today_is_not_used_where_events_say_when() -> None:
    assert roles(propose(events=EVENTS, outcomes=WON)) == {
        "Lead ID": "id",
        "Created": "date",
        "Industry": "fit",
        "Company size": "ignore",
        "Country": "ignore",
        "Job title": "fit",
        "Work email": "ignore",
        "Number of page visits": "ignore",
        "Lead score": "ignore",
        "Original source": "fit",
    }


def test_what_is_made_of_raw_fields_is_proposed() -> None:
    expected = {"Company size": "range", "Country": "country", "Job title": "title", "Work email": "email"}
    assert propose(events=EVENTS, outcomes=WON).derive == expected
    flat = LEADS.assign(Converted=np.where(np.arange(N) % 4 == 0, "yes", "no"))
    assert propose(flat).derive == expected


def test_a_field_with_a_history_is_used_as_it_was() -> None:
    history = pd.DataFrame({"lead_id": IDS[:3], "field": "Lead score", "value": "70", "valid_from": "2025-06-01 10:00"})
    project = propose(events=EVENTS, outcomes=WON, field_history=history)
    assert roles(project)["Lead score"] == "fit"


def test_a_horizon_is_proposed_and_said_and_the_users_own_stands_beside_it() -> None:
    """All convert 25 days after they came in."""
    project = propose(events=EVENTS, outcomes=WON, horizon_days=45)
    assert project.horizon is not None
    assert (project.horizon.days, project.horizon_days) == (30, 45)


def hubspot() -> pd.DataFrame:
    entered = (BORN + pd.Timedelta(days=5)).strftime("%Y-%m-%d")
    return LEADS.assign(
        **{
            'Date entered "MQL (Lifecycle Stage Pipeline)"': np.where(np.arange(N) % 2 == 0, entered, ""),
            'Date entered "Customer (Lifecycle Stage Pipeline)"': np.where(
                np.arange(N) % 4 == 0, (BORN + pd.Timedelta(days=25)).strftime("%Y-%m-%d"), ""
            ),
            'Date entered "Closed lost (Lifecycle Stage Pipeline)"': np.where(np.arange(N) % 4 == 1, entered, ""),
            "Converted": np.where(np.arange(N) % 4 == 0, "yes", "no"),
        }
    )


def test_a_lead_file_that_says_when_leads_converted_is_enough_and_its_stages_are_events() -> None:
    project = propose(hubspot())
    assert project.has_tables
    assert project.column("converted_at") == 'Date entered "Customer (Lifecycle Stage Pipeline)"'
    assert project.column("closed_lost_at") == 'Date entered "Closed lost (Lifecycle Stage Pipeline)"'
    assert project.stages == {"entered mql": 'Date entered "MQL (Lifecycle Stage Pipeline)"'}
    assert roles(project)["Converted"] == "outcome"


def test_a_target_the_user_names_keeps_the_file_flat() -> None:
    project = propose(hubspot(), Given(target="Converted"))
    assert not project.has_tables
    assert project.base_rate == 0.25


def test_outcomes_in_a_file_of_their_own_stand_above_the_lead_tables_date() -> None:
    project = propose(hubspot(), outcomes=WON)
    assert project.column("converted_at") is None
    assert "outcomes" in project.tables


def test_a_target_beside_outcomes_is_what_came_of_it_not_a_feature() -> None:
    leads = LEADS.assign(Bought=np.where(np.arange(N) % 4 == 0, "1", "0"))
    project = propose(leads, Given(target="Bought"), outcomes=WON)
    assert roles(project)["Bought"] == "ignore"


def test_a_column_filled_for_those_who_converted_alone_is_set_aside() -> None:
    leads = LEADS.assign(Plan=np.where(np.arange(N) % 4 == 0, "gold", ""))
    assert roles(propose(leads, outcomes=WON))["Plan"] == "outcome"


@pytest.mark.parametrize("said", ["Firm", " firm"])
def test_events_of_accounts_make_the_account_the_group(said: str) -> None:
    leads = LEADS.assign(Firm=[f"F{i // 2}" for i in range(N)])
    events = EVENTS.drop(columns="lead_id").assign(company_id=[f"F{i % 60}" for i in range(len(EVENTS))])
    project = propose(leads, Given(group=said), events=events, outcomes=WON)
    assert project.tables["events"].columns["group"] == "company_id"
    assert project.column("group") == "Firm"


def test_events_by_e_mail_are_joined_on_it_and_it_is_no_feature() -> None:
    events = EVENTS.drop(columns="lead_id").assign(email=RNG.choice(LEADS["Work email"], len(EVENTS)))
    project = propose(events=events, outcomes=WON)
    assert project.tables["events"].columns["group"] == "email"
    assert project.column("group") == "Work email"


def test_two_keys_that_are_not_the_same_account_are_refused() -> None:
    leads = LEADS.assign(Account=[f"A{i // 2}" for i in range(N)])
    events = EVENTS.drop(columns="lead_id").assign(email=RNG.choice(LEADS["Work email"], len(EVENTS)))
    outcomes = WON.drop(columns="lead_id").assign(account=[f"A{i}" for i in range(len(WON))])
    with pytest.raises(InputError, match="name leads by different columns \\('Account', 'Work email'\\)"):
        propose(leads, events=events, outcomes=outcomes)


def test_leads_who_convert_again_are_pointed_out() -> None:
    again = pd.concat([WON, WON.assign(converted_at="2026-01-05 10:00")])
    assert any("labels.repeat" in note for note in propose(outcomes=again).notes)
    assert propose(outcomes=WON).notes == ()


@pytest.mark.parametrize(
    ("leads", "tables", "words"),
    [
        (LEADS, {"events": EVENTS}, "Nothing says when leads converted"),
        (LEADS.drop(columns="Created"), {"outcomes": WON}, "Nothing says when leads came in"),
        (LEADS.drop(columns="Lead ID"), {"outcomes": WON}, "Name it with --id"),
    ],
)
def test_what_is_lacking_is_said_with_the_next_step(leads: pd.DataFrame, tables: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        propose(leads, **tables)


def test_what_a_person_says_of_a_column_stands_above_its_looking_like_a_stage() -> None:
    mql, customer = (
        'Date entered "MQL (Lifecycle Stage Pipeline)"',
        'Date entered "Customer (Lifecycle Stage Pipeline)"',
    )
    assert propose(hubspot(), Given(ignore=(mql.lower(),))).stages == {}
    assert roles(propose(hubspot().drop(columns="Created"), Given(date=mql), outcomes=WON))[mql] == "date"
    with pytest.raises(InputError, match="Nothing says when leads converted"):
        propose(hubspot(), Given(ignore=(customer,)), events=EVENTS)
