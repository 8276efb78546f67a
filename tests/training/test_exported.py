from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.config import Config, parse_config
from propensity.schema import Tables
from propensity.training import audit

END = pd.Timestamp("2026-01-01", tz="UTC")


def flat(n: int = 1500) -> pd.DataFrame:
    """Leads of 500 days; the target is empty until somebody closes one, after some 90 days."""
    rng = np.random.default_rng(0)
    age = rng.uniform(0, 500, n)
    is_closed, visits = rng.exponential(90, n) < age, rng.poisson(3, n)
    won = rng.random(n) < 0.1 + 0.07 * np.minimum(visits, 8)
    phone = rng.random(n) < np.where(won, 0.7, 0.5)
    return pd.DataFrame(
        {
            "Created": (END - pd.to_timedelta(age, unit="D")).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "Visits": visits,
            "Phone": np.where(phone, "given", ""),
            "Fax": np.where((rng.random(n) < 0.8) & (age > 25), "given", ""),
            "Chat name": np.where((rng.random(n) < 0.8) & (age < 25), "given", ""),
            # Sales note how they reached a lead once it is closed, whatever came of it.
            "Reached by": np.where(is_closed & (rng.random(n) < 0.95), rng.choice(["phone", "mail"], n), ""),
            "Won": np.where(is_closed, np.where(won, "yes", "no"), ""),
        }
    )


def settings(leads: pd.DataFrame, **more: Any) -> Config:
    names = [name for name in leads if name not in {"Created", "Won", "Lead", "Lost on"}]
    columns = {"target": "Won", "behaviour": names} | more.pop("columns", {"date": "Created"})
    return parse_config({"data": {"leads": "leads.csv"}, "columns": columns, **more})


def verdicts(tables: Tables, config: Config) -> dict[str, Mapping[str, Any]]:
    return {entry["column"]: entry for entry in audit(tables, config).entries}


def flagged(found: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {name: entry["verdict"] for name, entry in found.items() if entry["verdict"] in {"QUARANTINE", "REVIEW"}}


def test_what_is_filled_only_once_a_lead_is_closed_is_left_out_and_nothing_else() -> None:
    """Among them fields that forms have asked for, or have stopped asking for, since 25 days."""
    leads = flat()
    found = verdicts(Tables(leads=leads), settings(leads))
    assert flagged(found) == {"Reached by": "QUARANTINE"}
    assert "0% of open leads of the same age" in found["Reached by"]["evidence"]
    closed = leads[leads["Won"] != ""]  # without the open leads, nobody can tell
    assert flagged(verdicts(Tables(leads=closed), settings(leads))) == {}


def test_a_line_in_the_config_brings_it_back_for_a_person_to_look_at() -> None:
    leads = flat()
    config = settings(leads, availability={"Reached by": "static"})
    assert flagged(verdicts(Tables(leads=leads), config)) == {"Reached by": "REVIEW"}


def test_the_order_of_rows_stands_for_dates_and_without_either_a_person_is_asked() -> None:
    leads = flat().sort_values("Created").reset_index(drop=True)
    ordered = settings(leads, columns={"ordered": True})
    assert flagged(verdicts(Tables(leads=leads), ordered)) == {"Reached by": "QUARANTINE"}
    found = verdicts(Tables(leads=leads), settings(leads, columns={}))
    assert found["Reached by"]["verdict"] == "REVIEW"
    assert "columns.date" in found["Reached by"]["evidence"]


def test_open_leads_with_dates_that_are_none_refuse_nothing() -> None:
    leads = flat()
    leads.loc[leads["Won"] == "", "Created"] = "some day"
    assert flagged(verdicts(Tables(leads=leads), settings(leads))) == {}


def test_leads_too_young_to_teach_are_open_unless_they_converted() -> None:
    """No target is empty: a lead is a "no" from the first day on."""
    leads = flat()
    age = (END - pd.to_datetime(leads["Created"])).dt.days
    is_young = age < 90
    leads["Won"] = np.where(leads["Won"] == "yes", "yes", "no")
    leads["Reached by"] = np.where((leads["Won"] == "yes") | ~is_young, leads["Reached by"].replace("", "mail"), "")
    config = settings(
        leads,
        data={"leads": "leads.csv", "extracted_at": "2026-01-01T00:00:00Z"},
        labels={"horizon_days": 90, "ingest_lag_days": 0},
    )
    found = verdicts(Tables(leads=leads), config)
    assert flagged(found) == {"Reached by": "REVIEW"}
    assert "0% of open leads of the same age, and for 100% of older leads" in found["Reached by"]["evidence"]


@pytest.fixture(scope="module")
def crm() -> dict[str, pd.DataFrame]:
    """2,500 leads of 400 days. Sales set a tier, at random at first, and mend it when a lead buys."""
    rng = np.random.default_rng(0)
    n = 2500
    age = rng.uniform(1, 400, n)
    born = END - pd.to_timedelta(age, unit="D")
    closed_after, is_buyer = rng.exponential(40, n) + 8, rng.random(n) < 0.4
    is_closed = closed_after < age
    closed = born + pd.to_timedelta(closed_after, unit="D")
    won, first = is_closed & is_buyer, rng.choice(["A", "B"], n)
    text = "%Y-%m-%dT%H:%M:%SZ"
    ids = np.array([f"L{i:04d}" for i in range(n)])
    leads = pd.DataFrame(
        {
            "Lead": ids,
            "Created": born.strftime(text),
            "Industry": rng.choice(["Retail", "Steel"], n),
            "Tier": np.where(won, "A", first),
            "Lost on": np.where(is_closed & ~is_buyer, closed.strftime(text), ""),
            "Reached by": np.where(is_closed & (rng.random(n) < 0.95), rng.choice(["phone", "mail"], n), ""),
        }
    )
    kept = np.flatnonzero(won)
    early = {"lead_id": ids, "field": "Tier", "old_value": "", "value": first, "valid_from": leads["Created"]}
    mended = {"lead_id": ids[kept], "field": "Tier", "old_value": first[kept], "value": "A"}
    late = pd.DataFrame(mended | {"valid_from": closed[kept].strftime(text)})
    return {
        "leads": leads,
        "outcomes": pd.DataFrame({"lead_id": ids[kept], "converted_at": closed[kept].strftime(text)}),
        "field_history": pd.concat([pd.DataFrame(early), late], ignore_index=True),
    }


def tables(crm: Mapping[str, pd.DataFrame], **instead: pd.DataFrame) -> Tables:
    given = {**crm, **instead}
    return Tables(leads=given["leads"], outcomes=given["outcomes"], field_history=given["field_history"])


def of_tables(leads: pd.DataFrame, **columns: Any) -> Config:
    given = {"leads": "l", "outcomes": "o", "field_history": "h", "extracted_at": "2026-01-01T00:00:00Z"}
    names = [name for name in leads if name not in {"Lead", "Created", "Lost on", "At"}]
    roles = {"id": "Lead", "date": "Created", "fit": names} | columns
    return parse_config({"data": given, "columns": roles, "labels": {"horizon_days": 60}})


def test_a_field_that_leaks_as_exported_is_used_as_it_was_and_the_audit_says_so(crm: dict[str, pd.DataFrame]) -> None:
    found = verdicts(tables(crm), of_tables(crm["leads"]))
    assert found["Tier"]["verdict"] == "OK"
    said = found["Tier"]["evidence"]
    assert said.startswith("as it was at each cutoff, by its history: as exported it ranks leads with AUC 0.7")
    assert "as known in time with 0.5" in said
    assert "once converted, 100% of" in said
    assert "history" not in found["Industry"]["evidence"]


def test_a_field_that_nobody_wrote_again_is_just_safe(crm: dict[str, pd.DataFrame]) -> None:
    first = crm["field_history"].drop_duplicates("lead_id")
    leads = crm["leads"].assign(Tier=first["value"].to_numpy())
    found = verdicts(tables(crm, leads=leads, field_history=first), of_tables(leads))
    assert (found["Tier"]["verdict"], "safe by construction" in found["Tier"]["evidence"]) == ("OK", True)


def test_what_is_derived_from_a_field_with_a_history_is_held_against_it_too(crm: dict[str, pd.DataFrame]) -> None:
    titles = {"A": "Chief executive officer", "B": "Assistant"}
    history = crm["field_history"].assign(field="Job title", value=lambda log: log["value"].map(titles))
    leads = crm["leads"].assign(**{"Job title": crm["leads"]["Tier"].map(titles)}).drop(columns="Tier")
    config = of_tables(leads, fit=["Industry"])
    config = config.model_copy(
        update={"features": config.features.model_copy(update={"derive": {"Job title": "title"}})}
    )
    found = verdicts(tables(crm, leads=leads, field_history=history), config)
    assert "as exported it ranks leads" in found["Job title seniority"]["evidence"]


def test_a_field_of_closed_leads_alone_is_left_out_of_tables(crm: dict[str, pd.DataFrame]) -> None:
    """Where the lead table says who was lost, whoever neither was nor bought is open."""
    found = verdicts(tables(crm), of_tables(crm["leads"], closed_lost_at="Lost on"))
    assert flagged(found) == {"Reached by": "QUARANTINE"}
    assert "of open leads of the same age" in found["Reached by"]["evidence"]


def test_touches_say_nothing_of_how_their_lead_stands(crm: dict[str, pd.DataFrame]) -> None:
    at = (pd.to_datetime(crm["leads"]["Created"]) + pd.Timedelta(days=2)).dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    leads = crm["leads"].assign(At=at)
    config = of_tables(leads, cutoff="At")
    config = config.model_copy(update={"data": config.data.model_copy(update={"field_history": None})})
    found = verdicts(Tables(leads=leads, outcomes=crm["outcomes"]), config)
    assert "Reached by" in found
    assert "open leads" not in str([entry["evidence"] for entry in found.values()])


def test_the_order_of_the_file_means_nothing(crm: dict[str, pd.DataFrame]) -> None:
    config = of_tables(crm["leads"], closed_lost_at="Lost on")
    shuffled = {name: table.sample(frac=1, random_state=1) for name, table in crm.items()}
    assert audit(tables(crm), config).entries == audit(tables(shuffled), config).entries
