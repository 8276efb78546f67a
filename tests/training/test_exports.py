"""One invented CRM, written as seven systems export it: `init` alone makes the same training rows of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from propensity.asof import join_keys
from propensity.cli import run
from propensity.storage.configs import load_config, read_tables
from propensity.synthetic import invent_crm
from propensity.training import Prepared, prepare_tables

Frames = Mapping[str, pd.DataFrame]
KINDS = ("page visit", "email opened", "email clicked", "sales call")


@pytest.fixture(scope="module")
def world() -> Frames:
    """Four types of events, known when they happened; ids are numbers."""
    crm = invent_crm(seed=3, n_leads=300, n_days=330)
    events = crm.events[crm.events["event_type"].isin(KINDS)].drop(columns="recorded_at")
    number = dict(zip(crm.leads["Lead ID"], range(1, len(crm.leads) + 1), strict=True))
    return {
        "leads": crm.leads[["Lead ID", "Created", "Industry"]].replace({"Lead ID": number}),
        "events": events.replace({"lead_id": number}).reset_index(drop=True),
        "outcomes": crm.outcomes.replace({"lead_id": number}),
    }


def won_at(world: Frames) -> pd.Series:
    outcomes = world["outcomes"].set_index("lead_id")["converted_at"]
    return world["leads"]["Lead ID"].map(outcomes).fillna("")


def epoch(stamps: pd.Series, unit: str) -> pd.Series:
    seconds = pd.to_datetime(stamps, utc=True).astype("int64") // 10**6
    return seconds * {"s": 1, "ms": 1000, "us": 10**6}[unit]


def salesforce_id(number: object, *, length: int) -> str:
    """An id whose last three of eighteen signs say which of the first fifteen are capitals: none of the digits is."""
    return f"{int(str(number)):015d}" + ("AAA" if length == 18 else "")


def canonical(world: Frames) -> Frames:
    return dict(world)


def marketo(world: Frames) -> Frames:
    type_ids = {"page visit": 1, "email opened": 10, "email clicked": 11, "sales call": 46}
    leads = world["leads"].set_axis(["id", "createdAt", "industry"], axis=1)
    events = world["events"]
    log = pd.DataFrame(
        {
            "marketoGUID": range(len(events)),
            "leadId": events["lead_id"],
            "activityDate": events["occurred_at"],
            "activityTypeId": events["event_type"].map(type_ids),
            "primaryAttributeValue": "",
            "attributes": "{}",
        }
    )
    changed = pd.DataFrame(
        {
            "marketoGUID": [-1],
            "leadId": leads["id"].iloc[:1],
            "activityDate": events["occurred_at"].iloc[:1],
            "activityTypeId": 13,
            "primaryAttributeValue": "industry",
            "attributes": json.dumps({"New Value": leads["industry"].iloc[0], "Old Value": leads["industry"].iloc[0]}),
        }
    )
    scored = log.iloc[:5].assign(activityTypeId=22)
    leads = leads.assign(leadScore=5, leadStatus="New")
    return {"leads": leads, "events": pd.concat([log, scored, changed]), "outcomes": world["outcomes"]}


def pardot(world: Frames) -> Frames:
    type_ids = {"page visit": 20, "email opened": 11, "email clicked": 1, "sales call": 22}
    leads = world["leads"].set_axis(["id", "created_at", "industry"], axis=1).assign(crm_lead_fid="", score=3)
    own = world["events"].rename(columns={"lead_id": "prospect_id", "occurred_at": "created_at"})
    own = own.assign(type=own["event_type"].map(type_ids))
    sold = world["outcomes"].rename(columns={"lead_id": "prospect_id", "converted_at": "created_at"}).assign(type=9)
    log = pd.concat([own, sold, sold.assign(type=8)])
    log = log.assign(type_name="any", id=range(len(log)))
    return {"leads": leads, "events": log[["id", "prospect_id", "type", "type_name", "created_at"]]}


def eloqua(world: Frames) -> Frames:
    leads = world["leads"].set_axis(["Eloqua Contact ID", "Date Created", "Industry"], axis=1)
    events = world["events"]
    log = pd.DataFrame(
        {
            "ActivityId": range(len(events)),
            "ActivityType": events["event_type"],
            "ActivityDate": epoch(events["occurred_at"], "s"),
            "ContactId": events["lead_id"],
            "AssetName": "",
        }
    )
    return {"leads": leads, "events": log, "outcomes": world["outcomes"]}


def ga4(world: Frames) -> Frames:
    events = world["events"]
    log = pd.DataFrame(
        {
            "event_date": pd.to_datetime(events["occurred_at"]).dt.strftime("%Y%m%d"),
            "event_timestamp": epoch(events["occurred_at"], "us"),
            "event_name": events["event_type"],
            "user_pseudo_id": [f"{i % 97}.{i}" for i in range(len(events))],
            "user_id": events["lead_id"],
        }
    )
    return {"leads": world["leads"], "events": log, "outcomes": world["outcomes"]}


def segment(world: Frames) -> Frames:
    log = world["events"].set_axis(["user_id", "timestamp", "event"], axis=1)
    log = log.assign(anonymous_id=[f"a{i}" for i in range(len(log))], received_at=log["timestamp"])
    return {"leads": world["leads"], "events": log, "outcomes": world["outcomes"]}


def salesforce(world: Frames) -> Frames:
    leads = world["leads"].set_axis(["Lead ID", "Created Date", "Industry"], axis=1)
    leads["Lead ID"] = [salesforce_id(number, length=18) for number in leads["Lead ID"]]
    leads["Converted Date"], leads["Lead Source"], leads["Rating"] = won_at(world), "Web", "Hot"
    events = world["events"]
    tasks = pd.DataFrame(
        {
            "Id": range(len(events)),
            "WhoId": [salesforce_id(number, length=15) for number in events["lead_id"]],
            "TaskSubtype": events["event_type"],
            "ActivityDate": "2026-12-31",  # the day a task is due may be to come
            "CreatedDate": events["occurred_at"],
        }
    )
    return {"leads": leads, "events": tasks}


def salesforce_deals(world: Frames) -> Frames:
    """Conversions are won opportunities; others of converted leads are lost, and some are nobody's here."""
    frames, won = dict(salesforce(world)), won_at(world)
    ids = pd.Series([f"006{i:012d}" for i in range(len(won))])
    is_converted = (won != "") | (won.index % 5 == 0)
    leads = frames["leads"].assign(ConvertedOpportunityId=ids.where(is_converted, ""))
    leads["ConvertedAccountId"] = pd.Series([f"001{i // 2:012d}" for i in range(len(won))]).where(is_converted, "")
    deals = pd.DataFrame({"Id": ids, "StageName": "Closed Won", "IsWon": won != "", "CloseDate": won})[is_converted]
    deals["CloseDate"] = deals["CloseDate"].where(deals["IsWon"], "2025-06-01T10:00:00Z")
    deals["AccountId"] = leads["ConvertedAccountId"]
    return {"leads": leads, "events": frames["events"], "outcomes": deals}


def hubspot(world: Frames) -> Frames:
    """Contacts alone: what they did is known by the stages they entered."""
    leads = world["leads"].set_axis(["Record ID", "Create Date", "Industry"], axis=1)
    leads["Create Date"] = epoch(leads["Create Date"], "ms")
    first = world["events"].groupby("lead_id")["occurred_at"].min()
    stage = leads["Record ID"].map(first).fillna("")
    leads['Date entered "MQL (Lifecycle Stage Pipeline)"'] = stage
    leads['Date entered "Customer (Lifecycle Stage Pipeline)"'] = won_at(world)
    return {"leads": leads.assign(**{"Lifecycle Stage": "lead"})}


def rows_of(frames: Frames, folder: Path) -> Prepared:
    """Write the files, let `init` look at them, make training rows."""
    folder.mkdir()
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    named = [part for name in frames if name != "leads" for part in (f"--{name}", str(folder / f"{name}.csv"))]
    toml = folder / "propensity.toml"
    assert run(["init", str(folder / "leads.csv"), *named, "--horizon", "60", "-o", str(toml)]) == 0
    config = load_config(toml)
    end = pd.Timestamp("2025-11-27", tz="UTC").to_pydatetime()
    # Which snapshots are drawn hangs on a hash of the lead's name, which each system writes its own way: take all.
    labels = config.labels.model_copy(update={"max_snapshots_per_lead": 100})
    data = config.data.model_copy(update={"extracted_at": end})
    config = config.model_copy(update={"data": data, "labels": labels})
    return prepare_tables(read_tables(config), config)


def facts_of(prepared: Prepared) -> pd.DataFrame:
    """What every shape must agree on: whose rows, when, what came of it, what was done before."""
    leads = prepared.examples.leads
    lead = join_keys(leads[str(prepared.schema.id)], missing=()).str.lstrip("0")
    leads = leads.rename(columns=str.casefold)
    counted = leads[["any event count 30d", "email opened count 90d", "any event days since", "industry"]]
    table = counted.set_axis(["events", "emails", "recency", "industry"], axis=1).reset_index(drop=True)
    return table.assign(lead=lead, cutoff=leads["cutoff"], y=prepared.examples.y)


@pytest.fixture(scope="module")
def own(world: Frames, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return facts_of(rows_of(canonical(world), tmp_path_factory.mktemp("own") / "files"))


@pytest.mark.parametrize("export", [marketo, pardot, eloqua, ga4, segment, salesforce, salesforce_deals])
def test_training_rows_are_the_same_whatever_system_wrote_the_files(
    export: Callable[[Frames], Frames], world: Frames, own: pd.DataFrame, tmp_path: Path
) -> None:
    found = facts_of(rows_of(export(world), tmp_path / "files"))
    both = own.merge(found, on=["lead", "cutoff"], suffixes=("", "_found"))
    assert len(found) == len(own) == len(both) > 1000
    for name in ("y", "events", "emails", "recency", "industry"):
        np.testing.assert_array_equal(both[name], both[f"{name}_found"])


def test_contacts_alone_make_rows_in_time_of_the_stages_they_entered(
    world: Frames, own: pd.DataFrame, tmp_path: Path
) -> None:
    prepared = rows_of(hubspot(world), tmp_path / "files")
    leads = prepared.examples.leads
    found = pd.DataFrame({"lead": leads["Record ID"], "cutoff": leads["cutoff"], "y": prepared.examples.y})
    both = own.merge(found, on=["lead", "cutoff"], suffixes=("", "_found"))
    assert len(both) == len(own)
    np.testing.assert_array_equal(both["y"], both["y_found"])
    first = pd.to_datetime(
        leads["Record ID"].map(
            world["events"]
            .assign(lead_id=world["events"]["lead_id"].astype(str))
            .groupby("lead_id")["occurred_at"]
            .min()
        ),
        utc=True,
    )
    was_known = (first < leads["cutoff"]).to_numpy()
    assert 0.1 < was_known.mean() < 1
    np.testing.assert_array_equal(leads["entered mql days since"].notna(), was_known)


@pytest.mark.parametrize(("field", "is_used"), [("Lead Status", True), ("Colour", False)])
def test_a_log_with_changes_of_fields_makes_rows_whether_or_not_the_leads_have_the_field(
    field: str, is_used: bool, world: Frames, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One lead's status was New until its first activity and Open from then on; the lead file says Closed today."""
    frames = dict(marketo(world))
    log = frames["events"]
    is_change = log["activityTypeId"] == 13
    said = json.dumps({"New Value": "Open", "Old Value": "New"})
    frames["events"] = log.assign(
        primaryAttributeValue=log["primaryAttributeValue"].mask(is_change, field),
        attributes=log["attributes"].mask(is_change, said),
    )
    frames["leads"] = frames["leads"].assign(leadStatus="Closed")
    frames["leads"].loc[5:, "leadStatus"] = "New"
    prepared = rows_of(frames, tmp_path / "files")
    out = capsys.readouterr().out
    assert ("The field history is left out: none of its fields ('Colour')" in out) is not is_used
    assert ("leadStatus" in prepared.schema.names) is is_used
    if is_used:
        lead = log.loc[is_change, "leadId"].iloc[0]
        rows = prepared.examples.read["leadStatus"][prepared.examples.leads["id"].astype(str) == str(lead)]
        assert {*rows} <= {"new", "open"}
        assert "open" in {*rows}
