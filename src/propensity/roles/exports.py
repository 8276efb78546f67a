"""The only place that knows how exports of known systems name their columns: data, not programs.

A header is compared by its letters and digits alone: "Lead ID", "leadId" and "LEAD_ID" are one. An export is known by
headers that it always has; a query then makes the columns of a table from it, where names alone do not suffice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# What columns of each table are called, most telling first.
LEAD_IDS = (
    *("leadid", "prospectid", "contactid", "recordid", "whoid", "customerid", "userid", "personid", "visitorid"),
    *("userpseudoid", "anonymousid", "eloquacontactid", "lead", "contact", "prospect", "customer"),
)
# Whose lead it is, as an id and in words, most telling first.
ACCOUNT_IDS = (
    *("accountid", "companyid", "organizationid", "organisationid", "householdid", "associatedcompanyid"),
    *("associatedcompanyids", "primaryassociatedcompanyid"),
)
ACCOUNT_NAMES = (
    *(
        "companydomainname",
        "companydomain",
        "account",
        "accountname",
        "companyname",
        "companyaccount",
        "associatedcompany",
    ),
    *("primaryassociatedcompany", "company", "organizationname", "organisationname", "organization", "organisation"),
)
PERSON_KEYS = ("email", "emailaddress", "mail", *ACCOUNT_IDS, *ACCOUNT_NAMES)
# What a lead became, by columns that conversion fills, and what another table calls it. Such a column names a deal or
# an account and joins outcomes to it; it is never a feature.
BECAME: Mapping[str, tuple[str, ...]] = {
    "convertedopportunityid": ("opportunityid", "id"),
    "convertedaccountid": ("accountid",),
    "convertedcontactid": ("contactid",),
}
# Most tables have an id of their own records under this name.
OWN_ID = "id"
_HAPPENED = (
    *("occurredat", "occurred", "eventtimestamp", "timestamp", "eventtime", "activitydate", "eventdate", "ts"),
    *("datetime", "date", "time", "at", "enteredat", "createdat", "createddate", "createdate"),
)
CONVERTED = (
    *("convertedat", "converteddate", "conversiondate", "conversiontime", "wonat", "wondate", "wonon"),
    *("closedwonat", "closedwondate", "becameacustomerdate", "customersince", "purchasedat", "purchasedate"),
)
COLUMNS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "leads": {
        "converted_at": CONVERTED,
        "closed_lost_at": ("closedlostat", "closedlostdate", "lostat", "lostdate", "loston"),
    },
    "events": {
        "occurred_at": _HAPPENED,
        "type": ("eventtype", "activitytype", "eventname", "event", "stage", "typename", "type", "action", "activity"),
        "value": ("value", "amount", "revenue", "price", "eventvalue"),
        "recorded_at": ("recordedat", "receivedat", "loadedat", "ingestedat", "insertedat", "syncedat"),
    },
    "outcomes": {"converted_at": (*CONVERTED, "closedate", "closedat", "orderdate", *_HAPPENED)},
    "cutoffs": {"cutoff": ("cutoff", "cutoffat", "asof", "snapshotdate", "scoringdate", "date", "at")},
    "field_history": {
        "field": ("field", "fieldname", "property", "attribute", "attributename", "column"),
        "value": ("value", "newvalue", "tovalue"),
        "old_value": ("oldvalue", "fromvalue", "previousvalue"),
        "valid_from": ("validfrom", "changedat", "createddate", "createdat", "activitydate", "timestamp", "date", "at"),
    },
}

# Fields that have a label and another name beneath it, or two labels: each to the one it is compared by.
SAME_FIELDS: Mapping[str, str] = {
    name: names[0]
    for names in (
        ("leadstatus", "status"),
        ("numberofemployees", "employees"),
        ("leadowner", "owner", "ownerid", "contactowner", "hubspotownerid"),
        ("originalsource", "originaltrafficsource", "analyticssource"),
        ("country", "countryregion"),
        ("state", "stateregion"),
        ("title", "jobtitle"),
        ("company", "companyname"),
    )
    for name in names
}

# Stage columns: when a lead entered a stage, as HubSpot, and Salesforce's usual custom fields, name it.
_STAGES = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        r"date entered \W*(?P<stage>[^\"'(]+?)\W*(?:\(.*\).*)?$",
        r"(?:hs_)?(?:v2_)?date_entered_(?P<stage>\w+?)(?:_\d+)?$",
        r"hs_lifecyclestage_(?P<stage>\w+)_date$",
        r"became an? (?P<stage>.+?) date$",
        r"stage_entered_(?P<stage>\w+?)(?:__c)?$",
        r"(?P<stage>mql|sql|sal|sao|sqo)[ _]?date(?:__c)?$",
    )
)
_BOUGHT = {"customer", "closedwon", "won"}
_LOST = {"closedlost", "lost"}


@dataclass(frozen=True, kw_only=True)
class Export:
    """One kind of file of one system.

    Parameters
    ----------
    name : str
    table : str
        What it is given as.
    headers : tuple of str
        Plain headers it always has.
    queries : dict of table to str
        DuckDB SQL that makes these tables from the file, ``{header}`` standing for a column; empty where the columns
        speak for themselves.
    """

    name: str
    table: str
    headers: tuple[str, ...]
    queries: Mapping[str, str]


def _labels(column: str, labels: Mapping[int, str]) -> str:
    """Write how numbers of a column become words; a number that is not known stays."""
    cases = " ".join(f"WHEN '{number}' THEN '{label}'" for number, label in labels.items())
    return f"CASE CAST({{{column}}} AS VARCHAR) {cases} ELSE 'activity ' || CAST({{{column}}} AS VARCHAR) END"


# Which deals are won, most telling first.
_SALESFORCE_WON, _HUBSPOT_WON = ("iswon", "won", "stagename", "stage"), ("isclosedwon", "dealstage")
TELLS_WON = (*_SALESFORCE_WON[:2], _HUBSPOT_WON[0], *_SALESFORCE_WON[2:], _HUBSPOT_WON[1])


def _won(told: str) -> dict[str, str]:
    """Write how won deals are found, by a flag or a stage; values tell which of their keys names a lead."""
    words = f"replace(replace(lower(CAST({{{told}}} AS VARCHAR)), ' ', ''), '_', '')"
    return {"outcomes": f"SELECT * FROM source WHERE {words} IN ('true', '1', 'yes', 'closedwon')"}


_MARKETO = {1: "page visit", 2: "form filled", 3: "link clicked", 6: "email sent", 7: "email delivered"}
_MARKETO |= {8: "email bounced", 9: "unsubscribed", 10: "email opened", 11: "email clicked", 104: "program status"}
_PARDOT = {1: "click", 2: "view", 3: "form error", 4: "form success", 5: "session", 6: "email sent", 7: "site search"}
_PARDOT |= {11: "email opened", 12: "unsubscribe page", 13: "email bounced", 14: "spam complaint", 16: "resubscribed"}
_PARDOT |= {17: "link clicked", 20: "page visit", 21: "link clicked", 22: "chat", 23: "webinar invited"}
_PARDOT |= {24: "webinar attended", 25: "webinar registered", 27: "video viewed", 28: "event registered"}
_PARDOT |= {29: "event attended", 34: "video watched"}

EXPORTS: tuple[Export, ...] = (
    Export(name="HubSpot contacts", table="leads", headers=("recordid", "createdate", "lifecyclestage"), queries={}),
    Export(name="HubSpot contacts", table="leads", headers=("contactid", "createdate", "lifecyclestage"), queries={}),
    Export(name="HubSpot contacts", table="leads", headers=("createdate", "hsleadstatus"), queries={}),
    Export(name="Salesforce leads", table="leads", headers=("leadsource", "createddate", "rating"), queries={}),
    Export(name="Salesforce leads", table="leads", headers=("leadid", "leadsource", "createddate"), queries={}),
    Export(name="Salesforce leads", table="leads", headers=("isconverted", "createddate"), queries={}),
    Export(name="Pardot prospects", table="leads", headers=("crmleadfid", "createdat"), queries={}),
    Export(name="Marketo leads", table="leads", headers=("leadstatus", "createdat", "leadscore"), queries={}),
    Export(name="Eloqua contacts", table="leads", headers=("eloquacontactid",), queries={}),
    Export(
        name="Marketo activities",
        table="events",
        headers=("marketoguid", "leadid", "activitydate", "activitytypeid"),
        # 12 made the lead, 13 changed a field, 22 a score of Marketo's own.
        queries={
            "events": "SELECT {leadid} AS lead_id, {activitydate} AS occurred_at, "
            + _labels("activitytypeid", _MARKETO)
            + " AS event_type FROM source WHERE CAST({activitytypeid} AS VARCHAR) NOT IN ('12', '13', '22')",
            "field_history": "SELECT {leadid} AS lead_id, {primaryattributevalue} AS field, "
            "json_extract_string({attributes}, '$.\"New Value\"') AS value, "
            "json_extract_string({attributes}, '$.\"Old Value\"') AS old_value, {activitydate} AS valid_from "
            "FROM source WHERE CAST({activitytypeid} AS VARCHAR) = '13'",
        },
    ),
    Export(
        name="Pardot visitor activities",
        table="events",
        headers=("prospectid", "type", "typename", "createdat"),
        # 8, 9, 10, 18 and 19 are what became of opportunities.
        queries={
            "events": "SELECT {prospectid} AS lead_id, {createdat} AS occurred_at, "
            + _labels("type", _PARDOT)
            + " AS event_type FROM source WHERE CAST({type} AS VARCHAR) NOT IN ('8', '9', '10', '18', '19')",
            "outcomes": "SELECT {prospectid} AS lead_id, {createdat} AS converted_at FROM source "
            "WHERE CAST({type} AS VARCHAR) = '9'",
        },
    ),
    Export(
        name="Eloqua activities",
        table="events",
        headers=("activityid", "activitytype", "activitydate", "contactid"),
        queries={},
    ),
    Export(
        name="GA4 events",
        table="events",
        headers=("eventtimestamp", "eventname", "userpseudoid"),
        queries={},
    ),
    Export(
        name="Segment events",
        table="events",
        headers=("anonymousid", "userid", "event", "timestamp", "receivedat"),
        queries={},
    ),
    # ActivityDate is the day a task is due, which may be to come.
    Export(
        name="Salesforce tasks",
        table="events",
        headers=("whoid", "tasksubtype", "createddate"),
        queries={
            "events": "SELECT {whoid} AS lead_id, {createddate} AS occurred_at, "
            "coalesce(nullif(CAST({tasksubtype} AS VARCHAR), ''), 'task') AS event_type FROM source",
        },
    ),
    Export(
        name="Salesforce tasks",
        table="events",
        headers=("whoid", "activitydate", "createddate"),
        queries={
            "events": "SELECT {whoid} AS lead_id, {createddate} AS occurred_at, 'task' AS event_type FROM source",
        },
    ),
    Export(
        name="Salesforce campaign members",
        table="events",
        headers=("leadid", "campaignid", "createddate", "firstrespondeddate"),
        # Status is today's; the two dates say what happened when.
        queries={
            "events": "SELECT {leadid} AS lead_id, CAST({createddate} AS VARCHAR) AS occurred_at, "
            "'campaign joined' AS event_type FROM source UNION ALL SELECT {leadid}, "
            "CAST({firstrespondeddate} AS VARCHAR), 'campaign responded' FROM source "
            "WHERE CAST({firstrespondeddate} AS VARCHAR) <> ''",
        },
    ),
    Export(
        name="Salesforce lead history",
        table="field_history",
        headers=("leadid", "field", "oldvalue", "newvalue", "createddate"),
        queries={},
    ),
    # Who is won says a flag, else the stage; open and lost deals have a date of closing too.
    *(
        Export(name="Salesforce opportunities", table="outcomes", headers=(told, "closedate"), queries=_won(told))
        for told in _SALESFORCE_WON
    ),
    *(
        Export(name="HubSpot deals", table="outcomes", headers=(told, "closedate"), queries=_won(told))
        for told in _HUBSPOT_WON
    ),
)


@dataclass(frozen=True, kw_only=True)
class Known:
    """A file that was recognised.

    Parameters
    ----------
    name : str
        Of the export.
    queries : dict of table to str
        Ready to run over the file; empty for the columns as they are.
    """

    name: str
    queries: Mapping[str, str]


def plain(header: object) -> str:
    """Give a header's letters and digits.

    Examples
    --------
    >>> plain("Lead ID"), plain("activity_date")
    ('leadid', 'activitydate')
    """
    return re.sub(r"[\W_]", "", str(header).casefold())


def recognise(headers: Iterable[object], table: str) -> Known | None:
    """Recognise a file by its headers.

    Parameters
    ----------
    headers : iterable of column names
    table : str
        What the file was given as.

    Returns
    -------
    Known or None
        A query that needs a column the file lacks is left out; an export without its own table is not known.

    Examples
    --------
    >>> known = recognise(["Type", "Type Name", "Prospect ID", "Created At"], "events")
    >>> known.name, known.queries["outcomes"][:49]
    ('Pardot visitor activities', 'SELECT "Prospect ID" AS lead_id, "Created At" AS ')
    """
    written = {plain(header): '"' + str(header).replace('"', '""') + '"' for header in headers}
    for export in EXPORTS:
        if export.table != table or not {*export.headers} <= {*written}:
            continue
        queries: dict[str, str] = {}
        for made, query in export.queries.items():
            wanted = re.findall(r"\{(\w+)\}", query)
            if {*wanted} <= {*written}:
                queries[made] = re.sub(r"\{(\w+)\}", lambda found: written[found[1]], query)
        if not export.queries or table in queries:
            return Known(name=export.name, queries=queries)
    return None


def stage_of(header: str) -> str | None:
    """Give the stage that a column says the date of entering of; None where it does not.

    Examples
    --------
    >>> stage_of('Date entered "MQL (Lifecycle Stage Pipeline)"'), stage_of("MQL_Date__c"), stage_of("Create Date")
    ('MQL', 'MQL', None)
    """
    for form in _STAGES:
        found = form.match(header.strip())
        if found:
            return found["stage"].replace("_", " ").strip()
    return None


def is_bought(stage: str) -> bool:
    """Say whether entering a stage is the purchase itself."""
    return plain(stage) in _BOUGHT


def is_lost(stage: str) -> bool:
    """Say whether entering a stage closes a lead as lost."""
    return plain(stage) in _LOST
