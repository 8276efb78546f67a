from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from propensity.roles import recognise
from propensity.roles.exports import COLUMNS, EXPORTS, is_bought, is_lost, plain, stage_of
from propensity.storage.tables import read_table

# Headers as the systems write them.
FILES: Mapping[tuple[str, str], str] = {
    ("leads", "HubSpot contacts"): "Record ID,First Name,Email,Job Title,Create Date,Lifecycle Stage,Lead Status",
    ("leads", "Salesforce leads"): "Lead ID,Company,Title,Lead Source,Lead Status,Rating,Created Date,Converted Date",
    ("leads", "Pardot prospects"): "id,email,company,job_title,score,grade,crm_lead_fid,created_at,updated_at",
    ("leads", "Marketo leads"): "id,email,firstName,leadSource,leadStatus,leadScore,createdAt,updatedAt",
    ("leads", "Eloqua contacts"): "Eloqua Contact ID,Email Address,Company,Date Created",
    ("events", "Marketo activities"): "marketoGUID,leadId,activityDate,activityTypeId,campaignId,"
    "primaryAttributeValueId,primaryAttributeValue,attributes",
    ("events", "Pardot visitor activities"): "id,prospect_id,visitor_id,type,type_name,details,created_at",
    ("events", "Eloqua activities"): "ActivityId,ActivityType,ActivityDate,ContactId,EmailAddress,AssetType,AssetName",
    ("events", "GA4 events"): "event_date,event_timestamp,event_name,user_pseudo_id,user_id,event_params,device",
    ("events", "Segment events"): "anonymous_id,user_id,event,timestamp,received_at,context_page_url",
    ("events", "Salesforce tasks"): "Id,WhoId,TaskSubtype,Subject,Status,ActivityDate,CreatedDate",
    ("events", "Salesforce campaign members"): "LeadId,CampaignId,Status,HasResponded,FirstRespondedDate,CreatedDate",
    ("field_history", "Salesforce lead history"): "LeadId,Field,OldValue,NewValue,CreatedDate",
    ("outcomes", "Salesforce opportunities"): "AccountId,StageName,IsWon,IsClosed,CloseDate,Amount",
    ("outcomes", "HubSpot deals"): "Record ID,Deal Name,Deal Stage,Close Date,Amount",
}


@pytest.mark.parametrize(("table", "name"), FILES)
@pytest.mark.parametrize("spelling", [str, str.upper, lambda text: text.replace("_", " ")])
def test_an_export_is_known_by_its_headers_however_they_are_spelled(table: str, name: str, spelling: object) -> None:
    known = recognise([spelling(header) for header in FILES[table, name].split(",")], table)  # type: ignore[operator]
    assert known is not None
    assert known.name == name


def test_every_known_export_is_tried_here() -> None:
    assert {(export.table, export.name) for export in EXPORTS} == {*FILES}


def test_a_task_happened_when_it_was_created_not_when_it_is_due(tmp_path: Path) -> None:
    for header, row, kind in (
        ("Id,WhoId,Subject,ActivityDate,CreatedDate", "1,00Q1,Call,2026-12-31,2026-01-02", "task"),
        ("Id,WhoId,TaskSubtype,ActivityDate,CreatedDate", "1,00Q1,Call,2026-12-31,2026-01-02", "Call"),
    ):
        events = made(tmp_path, f"{header}\n{row}", "events")["events"]
        assert events.astype(str).to_dict("records") == [
            {"lead_id": "00Q1", "occurred_at": "2026-01-02", "event_type": kind}
        ]


def test_a_table_of_ones_own_is_no_known_export() -> None:
    assert recognise(["lead_id", "occurred_at", "event_type"], "events") is None
    assert recognise(["Lead", "Created", "Industry"], "leads") is None


def made(tmp_path: Path, text: str, table: str) -> dict[str, pd.DataFrame]:
    """Write a file, recognise it, run what its queries make."""
    path = tmp_path / "export.csv"
    path.write_text(text, encoding="utf-8")
    known = recognise(read_table(path).columns, table)
    assert known is not None
    return {name: read_table(path, query=query) for name, query in known.queries.items()}


def test_marketo_activities_are_events_and_a_field_history(tmp_path: Path) -> None:
    """Rows of type 13 say what a field was changed to; those of type 12 and 22 are no behaviour."""
    header = FILES["events", "Marketo activities"]
    rows = [
        "g1,7,2026-01-02T10:00:00Z,1,,5,/pricing,{}",
        "g2,7,2026-01-03T10:00:00Z,13,,6,Industry,"
        '"{""New Value"":""Retail"",""Old Value"":""Health"",""Reason"":""x""}"',
        "g3,8,2026-01-03T11:00:00Z,22,,6,Lead Score,{}",
        "g4,8,2026-01-01T11:00:00Z,12,,6,,{}",
        "g5,8,2026-01-04T11:00:00Z,46,,6,,{}",
    ]
    tables = made(tmp_path, "\n".join([header, *rows]), "events")
    assert tables["events"].to_dict("list") == {
        "lead_id": ["7", "8"],
        "occurred_at": ["2026-01-02T10:00:00Z", "2026-01-04T11:00:00Z"],
        "event_type": ["page visit", "activity 46"],
    }
    assert tables["field_history"].to_dict("records") == [
        {
            "lead_id": "7",
            "field": "Industry",
            "value": "Retail",
            "old_value": "Health",
            "valid_from": "2026-01-03T10:00:00Z",
        }
    ]


def test_what_became_of_a_pardot_opportunity_is_an_outcome_not_behaviour(tmp_path: Path) -> None:
    header = FILES["events", "Pardot visitor activities"]
    rows = ["1,70,5,2,Form,,2026-01-02 10:00", "2,70,5,8,Opportunity,,2026-02-02 10:00"]
    rows += ["3,70,5,9,Opportunity,,2026-03-02 10:00", "4,71,5,10,Opportunity,,2026-03-02 11:00"]
    tables = made(tmp_path, "\n".join([header, *rows]), "events")
    assert tables["events"]["event_type"].to_list() == ["view"]
    assert tables["outcomes"].to_dict("list") == {"lead_id": ["70"], "converted_at": ["2026-03-02 10:00"]}


def test_a_campaign_member_tells_what_happened_when_not_todays_status(tmp_path: Path) -> None:
    header = FILES["events", "Salesforce campaign members"]
    rows = ["a,c1,Responded,true,2026-01-09,2026-01-02", "b,c1,Sent,false,,2026-01-03"]
    events = made(tmp_path, "\n".join([header, *rows]), "events")["events"]
    assert sorted(events[["lead_id", "event_type"]].itertuples(index=False, name=None)) == [
        ("a", "campaign joined"),
        ("a", "campaign responded"),
        ("b", "campaign joined"),
    ]


def test_won_opportunities_are_conversions_of_their_account(tmp_path: Path) -> None:
    header = FILES["outcomes", "Salesforce opportunities"]
    rows = ["A1,Closed Won,true,true,2026-01-09,100", "A2,Negotiation,false,false,2026-09-09,100"]
    outcomes = made(tmp_path, "\n".join([header, *rows]), "outcomes")["outcomes"]
    assert outcomes[["AccountId", "CloseDate"]].to_dict("list") == {"AccountId": ["A1"], "CloseDate": ["2026-01-09"]}


@pytest.mark.parametrize(
    ("told", "won", "lost"),
    [("Won", "1", "0"), ("Stage", "Closed Won", "Closed Lost"), ("Deal Stage", "closedwon", "decisionmakerboughtin")],
)
def test_where_no_flag_says_which_deals_are_won_their_stage_does(
    tmp_path: Path, told: str, won: str, lost: str
) -> None:
    text = f"Account ID,{told},Close Date\nA1,{won},2026-01-09\nA2,{lost},2026-01-10\n"
    assert made(tmp_path, text, "outcomes")["outcomes"]["Account ID"].to_list() == ["A1"]


def test_a_query_that_needs_a_column_the_file_lacks_is_left_out() -> None:
    known = recognise(["marketoGUID", "leadId", "activityDate", "activityTypeId"], "events")
    assert known is not None
    assert {*known.queries} == {"events"}


@pytest.mark.parametrize(
    ("header", "stage"),
    [
        ('Date entered "Marketing Qualified Lead (Lifecycle Stage Pipeline)"', "Marketing Qualified Lead"),
        ("Date entered 'SQL'", "SQL"),
        ("hs_lifecyclestage_opportunity_date", "opportunity"),
        ("hs_v2_date_entered_salesqualifiedlead", "salesqualifiedlead"),
        ("Became a Sales Qualified Lead Date", "Sales Qualified Lead"),
        ("Became an Opportunity Date", "Opportunity"),
        ("Stage_Entered_Demo__c", "Demo"),
        ("MQL_Date__c", "MQL"),
        ("SQL Date", "SQL"),
        ("Create Date", None),
        ("Close Date", None),
        ("Last Activity Date", None),
        ("Date of birth", None),
    ],
)
def test_a_column_that_says_when_a_stage_was_entered(header: str, stage: str | None) -> None:
    assert stage_of(header) == stage


def test_the_purchase_and_the_loss_are_no_stages() -> None:
    assert [is_bought(stage) for stage in ("Customer", "Closed Won", "Opportunity")] == [True, True, False]
    assert [is_lost(stage) for stage in ("Closed Lost", "Customer")] == [True, False]


def test_aliases_are_plain_and_never_stand_twice_for_one_role() -> None:
    for roles in COLUMNS.values():
        for aliases in roles.values():
            assert [plain(alias) for alias in aliases] == [*aliases]
            assert len({*aliases}) == len(aliases)
