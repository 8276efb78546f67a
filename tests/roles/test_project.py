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
    assert {rule.get("event") for rule in project.rules if rule["group"] == "behaviour"} == {
        *("demo", "email clicked", "email opened", "page visit", "pricing page visit", None)
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


def text_of(project: Project) -> str:
    return "\n".join(project.notes)


def firms(n: int = 40) -> list[str]:
    return [f"Firm {i % n}" for i in range(N)]


@pytest.mark.parametrize("name", ["Company", "Account Name", "Associated Company", "company_id", "AccountId"])
@pytest.mark.parametrize("is_flat", [True, False])
def test_a_company_that_leads_share_keeps_them_together_and_is_no_feature(name: str, is_flat: bool) -> None:
    flat = LEADS.assign(**{name: firms()}, Converted=np.where(np.arange(N) % 4 == 0, "yes", "no"))
    project = propose(flat, Given(target="Converted")) if is_flat else propose(flat, events=EVENTS, outcomes=WON)
    assert project.column("group") == name
    assert f"Accounts by {name!r}: 40 of 120 leads, 3.0 leads an account, at most 3" in text_of(project)


def test_an_id_stands_above_the_name_of_the_account_and_the_name_is_no_feature() -> None:
    project = propose(LEADS.assign(Company=firms(), AccountId=firms(60)), events=EVENTS, outcomes=WON)
    assert project.column("group") == "AccountId"
    assert roles(project)["Company"] == "ignore"


def test_words_that_name_nobody_are_missing_for_the_group() -> None:
    company = ["Self employed" if i % 3 == 0 else firm for i, firm in enumerate(firms())]
    project = propose(LEADS.assign(Company=company), events=EVENTS, outcomes=WON)
    (group,) = [guess for guess in project.guesses if guess.role == "group"]
    assert group.missing == ("self employed",)
    assert "40 leads name nobody there" in text_of(project)


def test_a_column_of_a_few_brands_says_what_a_lead_is() -> None:
    project = propose(LEADS.assign(Company=RNG.choice(["North", "South", "East"], N)), events=EVENTS, outcomes=WON)
    assert (project.column("group"), roles(project)["Company"]) == (None, "fit")


def test_an_address_joins_events_before_a_companys_name_does() -> None:
    leads = LEADS.assign(Company=firms())
    who = RNG.integers(0, N, len(EVENTS))
    events = EVENTS.drop(columns="lead_id").assign(
        email=leads["Work email"].to_numpy()[who], company=leads["Company"].to_numpy()[who]
    )
    project = propose(leads, events=events, outcomes=WON)
    assert project.column("group") == "Work email"
    assert "Leads of one 'Company' may be on both sides of a split" in text_of(project)


def converted_to(prefix: str, *, per: int = 1) -> list[str]:
    """A key that only leads who converted have."""
    return [f"{prefix}{i // (4 * per)}" if i % 4 == 0 else "" for i in range(N)]


def deals(**keys: Any) -> pd.DataFrame:
    """What a query leaves of won opportunities: those of the leads that converted."""
    frame = {"IsWon": "true", "CloseDate": (BORN[::4] + pd.Timedelta(days=25)).strftime("%Y-%m-%d")}
    return pd.DataFrame({**{name: values[::4] for name, values in keys.items()}, **frame})


def test_won_deals_join_by_the_deal_before_the_account() -> None:
    leads = LEADS.assign(ConvertedOpportunityId=converted_to("006"), ConvertedAccountId=converted_to("001", per=2))
    outcomes = deals(Id=leads["ConvertedOpportunityId"], AccountId=leads["ConvertedAccountId"])
    project = propose(leads, events=EVENTS, outcomes=outcomes)
    assert project.tables["outcomes"].columns == {"group": "Id", "converted_at": "CloseDate"}
    assert project.column("group") == "ConvertedOpportunityId"
    assert roles(project)["ConvertedAccountId"] == "outcome"
    said = text_of(project)
    assert "Outcomes name leads by ConvertedOpportunityId = Id: 30 of 30 rows match" in said
    assert "(others: ConvertedAccountId = AccountId: 30;" in said
    assert "is filled when a lead converts" in said


def test_deals_without_their_own_id_join_by_account_and_what_that_costs_is_said() -> None:
    leads = LEADS.assign(ConvertedAccountId=converted_to("001", per=2), Company=firms())
    project = propose(leads, events=EVENTS, outcomes=deals(AccountId=leads["ConvertedAccountId"]))
    assert project.column("group") == "ConvertedAccountId"
    said = text_of(project)
    assert "Any won deal of the account counts for each of its leads" in said
    assert "Leads of one 'Company' may be on both sides of a split" in said


def test_deals_that_name_the_lead_join_by_it_and_the_group_stays_the_company() -> None:
    leads = LEADS.assign(ConvertedOpportunityId=converted_to("006"), Company=firms())
    outcomes = deals(Id=leads["ConvertedOpportunityId"]).assign(**{"Lead ID": IDS[::4]})
    project = propose(leads, events=EVENTS, outcomes=outcomes)
    assert project.tables["outcomes"].columns["id"] == "Lead ID"
    assert (project.column("group"), roles(project)["ConvertedOpportunityId"]) == ("Company", "outcome")


def test_events_never_join_by_what_a_lead_became() -> None:
    """Only leads who converted would have any."""
    leads = LEADS.assign(ConvertedAccountId=converted_to("001"))
    events = EVENTS.drop(columns="lead_id").assign(account_id=RNG.choice(leads["ConvertedAccountId"], len(EVENTS)))
    with pytest.raises(InputError, match="no column of it holds keys of leads"):
        propose(leads, events=events, outcomes=WON)


def test_outcomes_that_do_not_all_say_won_are_pointed_out() -> None:
    won = WON.assign(Stage=["Closed Won"] * 20 + ["Closed Lost"] * 10)
    assert "10 of 30 do not say won in 'Stage'" in text_of(propose(outcomes=won))
    assert "say won" not in text_of(propose(outcomes=won.iloc[:20]))


def changed(field: str) -> pd.DataFrame:
    return pd.DataFrame({"lead_id": IDS[:3], "field": field, "value": "70", "valid_from": "2025-06-01 10:00"})


def test_a_field_is_the_column_it_is_spelled_like() -> None:
    project = propose(events=EVENTS, outcomes=WON, field_history=changed("leadScore__c"))
    assert project.fields == {"leadScore__c": "Lead score"}
    assert roles(project)["Lead score"] == "fit"


def test_a_history_of_no_column_of_the_leads_is_left_out_and_said() -> None:
    project = propose(events=EVENTS, outcomes=WON, field_history=changed("Colour"))
    assert "field_history" not in project.tables
    assert roles(project)["Lead score"] == "ignore"
    said = (
        "The field history is left out: none of its fields ('Colour') is a column of the leads ('Lead ID', 'Created',"
    )
    assert said in text_of(project)


def test_leads_of_whom_only_cutoffs_are_known_are_watched_from_their_first_one() -> None:
    """All convert 25 days after they came in: 15 after the cutoff."""
    cutoffs = pd.DataFrame({"who": IDS, "cutoff": (BORN + pd.Timedelta(days=10)).strftime(TEXT)})
    later = cutoffs.assign(cutoff=(BORN + pd.Timedelta(days=20)).strftime(TEXT))
    project = propose(pd.DataFrame({"who": IDS}), events=EVENTS, outcomes=WON, cutoffs=pd.concat([later, cutoffs]))
    assert roles(project) == {"who": "id"}
    assert project.horizon is not None
    assert (project.horizon.days, project.horizon.n_conversions) == (30, 30)
