from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.errors import InputError
from propensity.roles import Given, Guess, guess_roles, words_of

N_LEADS = 200
MISSING: Mapping[str, tuple[str, ...]] = {"*": ("", "select", "unknown")}


def level(*levels: str) -> np.ndarray:
    """Levels at random, others for other levels."""
    return np.random.default_rng(zlib.crc32("".join(levels).encode())).choice(levels, N_LEADS)


def outcome(yes: str = "1", no: str = "0") -> np.ndarray:
    return np.where(np.random.default_rng(99).random(N_LEADS) < 0.4, yes, no)


def count(mean: float = 3) -> np.ndarray:
    return np.random.default_rng(0).poisson(mean, N_LEADS)


def day(form: str = "%Y-%m-%d") -> pd.Series:
    days = np.random.default_rng(0).integers(0, 400, N_LEADS)
    return pd.Series(pd.Timestamp("2025-01-01") + pd.to_timedelta(days, unit="D")).dt.strftime(form)


def sparse(cells: object) -> pd.Series:
    """The same in three rows of ten; the others hold nothing."""
    return pd.Series(cells).astype(object).where(np.arange(N_LEADS) % 10 < 3, "")


def sf_ids(prefix: str) -> list[str]:
    return [f"{prefix}8d00000{i:04d}QAC" for i in range(N_LEADS)]


EMAILS = [f"person{i}@firm{i % 40}.example" for i in range(N_LEADS)]
PHONES = [f"+386 40 {100_000 + i}" for i in range(N_LEADS)]
YES_NO = ("Yes", "No")

HUBSPOT: dict[str, tuple[str, object]] = {
    "Record ID": ("id", range(1001, 1001 + N_LEADS)),
    "Email": ("ignore", EMAILS),
    "First Name": ("ignore", level("Ana", "Jan", "Eva")),
    "Last Name": ("ignore", level("Novak", "Kos", "Zajc")),
    "Phone Number": ("ignore", PHONES),
    "Job Title": ("fit", level("CEO", "Manager", "Student")),
    "Company size": ("fit", level("1-10", "51-200", "10,000+")),
    "Number of Employees": ("fit", count(50)),
    "Annual Revenue": ("fit", level("$1M-$10M", "$10M-$50M")),
    "Industry": ("fit", level("Retail", "Health")),
    "Country/Region": ("fit", level("Slovenia", "Austria", "Italy")),
    "IP Country": ("fit", level("si", "at", "it")),
    "City": ("fit", level("Ljubljana", "Maribor", "Celje")),
    "Employment Seniority": ("fit", level("vp", "entry")),
    "Buying Role": ("fit", level("Decision maker", "Blocker")),
    "Create Date": ("date", day("%Y-%m-%d %H:%M")),
    "Lifecycle Stage": ("outcome", level("lead", "mql", "customer")),
    "Lead Status": ("outcome", level("New", "Open")),
    "Original Traffic Source": ("fit", level("Organic", "Paid", "Direct")),
    "Latest Traffic Source": ("outcome", level("Organic", "Paid", "Direct")),
    "Number of Pageviews": ("behaviour", count()),
    "Number of Sessions": ("behaviour", count()),
    "Number of Form Submissions": ("behaviour", count()),
    "Marketing emails opened": ("behaviour", count()),
    "Requested a demo": ("behaviour", level(*YES_NO)),
    "Unsubscribed from all email": ("behaviour", level("true", "false")),
    "First Conversion Date": ("ignore", sparse(day())),
    "Last Activity Date": ("outcome", day()),
    "Last Contacted": ("outcome", day()),
    "Number of times contacted": ("outcome", count()),
    "Contact owner": ("outcome", level("Rep One", "Rep Two")),
    "Close Date": ("outcome", sparse(day())),
    "Days To Close": ("outcome", sparse(count(30))),
    "Latest Disqualified Lead Date": ("outcome", sparse(day())),
    'Date entered "Customer (Lifecycle Stage Pipeline)"': ("outcome", sparse(day())),
    "Converted": ("target", outcome()),
}
HUBSPOT_API: dict[str, tuple[str, object]] = {
    "email": ("ignore", EMAILS),
    "jobtitle": ("fit", level("CEO", "Manager", "Student")),
    "createdate": ("date", 1_735_689_600_000 + 86_400_000 * np.arange(N_LEADS)),
    "lifecyclestage": ("outcome", level("lead", "mql", "customer")),
    "hs_lead_status": ("outcome", level("New", "Open")),
    "hs_analytics_source": ("fit", level("ORGANIC_SEARCH", "PAID_SEARCH", "DIRECT_TRAFFIC")),
    "hs_analytics_num_page_views": ("behaviour", count()),
    "num_conversion_events": ("behaviour", count()),
    "closedate": ("outcome", sparse(day())),
    "lastmodifieddate": ("outcome", 1_735_689_600_000 + 86_400_000 * np.arange(N_LEADS)),
    "notes_last_contacted": ("outcome", day()),
    "hubspot_owner_id": ("outcome", level("11", "12")),
    "dealstage": ("outcome", level("a", "b", "c")),
    "is_won": ("target", outcome("true", "false")),
}
SALESFORCE: dict[str, tuple[str, object]] = {
    "Lead ID": ("id", sf_ids("00Q")),
    "Company / Account": ("fit", level("Acme", "Globex", "Initech")),
    "Title": ("fit", level("CEO", "CTO", "Clerk")),
    "Email": ("ignore", EMAILS),
    "Phone": ("ignore", PHONES),
    "Street": ("ignore", [f"Main street {i}" for i in range(N_LEADS)]),
    "Description": ("ignore", [f"Lead {i} wrote at length about what they need and when" for i in range(N_LEADS)]),
    "Lead Source": ("fit", level("Web", "Event")),
    "Campaign Name": ("behaviour", level("Spring", "Autumn", "Fair")),
    "Rating": ("outcome", level("Hot", "Cold")),
    "Postal Code": ("fit", level("1000", "2000", "3000")),
    "Lead Owner": ("outcome", level("Rep One", "Rep Two")),
    "Created Date": ("date", day("%m/%d/%Y")),
    "Last Activity": ("outcome", sparse(day("%m/%d/%Y"))),
    "Do Not Call": ("behaviour", level("0", "1")),
    "Converted": ("target", outcome()),
    "Converted Date": ("outcome", sparse(day())),
}
SALESFORCE_API: dict[str, tuple[str, object]] = {
    "Id": ("id", sf_ids("00Q")),
    "LeadSource": ("fit", level("Web", "Event")),
    "Status": ("outcome", level("Open", "Closed")),
    "NumberOfEmployees": ("fit", count(50)),
    "OwnerId": ("outcome", level("005a", "005b")),
    "CreatedDate": ("date", day("%Y-%m-%dT%H:%M:%S.000Z")),
    "LastActivityDate": ("outcome", sparse(day())),
    "HasOptedOutOfEmail": ("behaviour", level("true", "false")),
    "Demo_Requested__c": ("behaviour", level("true", "false")),
    "IsConverted": ("target", outcome("true", "false")),
    "ConvertedOpportunityId": ("outcome", sparse(sf_ids("006"))),
    "LastModifiedDate": ("outcome", day()),
    "Stage_Entered_SQL__c": ("outcome", sparse(day())),
    "MQL_Date__c": ("ignore", sparse(day())),
}
PARDOT: dict[str, tuple[str, object]] = {
    "id": ("id", range(5000, 5000 + N_LEADS)),
    "email": ("ignore", EMAILS),
    "job_title": ("fit", level("CEO", "Clerk", "None of it")),
    "department": ("fit", level("it", "hr")),
    "industry": ("fit", level("a", "b")),
    "employees": ("fit", level("1-10", "11-50")),
    "years_in_business": ("fit", count(10)),
    "source": ("fit", level("a", "b")),
    "campaign": ("behaviour", level("a", "b")),
    "last_activity_at": ("outcome", day()),
    "is_do_not_email": ("behaviour", level("0", "1")),
    "opted_out": ("fit", level("0", "1")),
    "crm_lead_fid": ("ignore", sf_ids("00Q")),
    "created_at": ("date", day("%Y-%m-%d %H:%M:%S")),
    "updated_at": ("outcome", day("%Y-%m-%d %H:%M:%S")),
    "won": ("target", outcome()),
}


def guesses(columns: Mapping[str, object], given: Given | None = None) -> dict[str, Guess]:
    found = guess_roles(pd.DataFrame(columns), given or Given(), missing=MISSING)
    assert [guess.column for guess in found] == [*columns]
    return {guess.column: guess for guess in found}


def guess_of(name: str, cells: object, **others: object) -> Guess:
    return guesses({name: cells, **others})[name]


@pytest.mark.parametrize(
    "export",
    [HUBSPOT, HUBSPOT_API, SALESFORCE, SALESFORCE_API, PARDOT],
    ids=["hub", "hub-api", "sf", "sf-api", "pardot"],
)
def test_columns_of_an_export_are_taken_for_what_they_are(export: dict[str, tuple[str, Any]]) -> None:
    found = guesses({name: cells for name, (_, cells) in export.items()})
    assert {name: guess.role for name, guess in found.items()} == {name: role for name, (role, _) in export.items()}
    assert all(guess.reason for guess in found.values())


@pytest.mark.parametrize("name", ["Requested a demo", "demo_request", "DemoRequested", "Demo requests", "demo"])
@pytest.mark.parametrize("agreement", [0.6, 0.95])
def test_a_demo_request_is_never_set_aside_however_well_it_foretells(name: str, agreement: float) -> None:
    won = outcome()
    agrees = np.random.default_rng(7).random(N_LEADS) < agreement
    demo = np.where(agrees == (won == "1"), "Yes", "No")
    assert guess_of(name, demo, Converted=won).role == "behaviour"


@pytest.mark.parametrize(
    "name",
    [
        "Industry",
        "Deal_type",
        "Marital_Status",
        "ProductRelated_Duration",
        "NumWebPurchases",
        "Lead Origin",
        "Company size",
        "Plan name",
        "Product name",
        "Event region",
        "Interest",
        "First touch",
        "Classification",
        "Coworkers",
    ],
)
def test_what_is_known_when_a_lead_comes_in_is_used(name: str) -> None:
    assert guess_of(name, level("a", "b", "c"), Converted=outcome()).role in {"fit", "behaviour"}


@pytest.mark.parametrize(
    ("yes", "no"), [("won", "open"), ("Y", "N"), ("1.0", "0.0"), ("A", "B")], ids=["words", "letters", "numbers", "any"]
)
def test_the_target_in_other_words_is_set_aside(yes: str, no: str) -> None:
    won = outcome()
    guess = guess_of("Result of call", np.where(won == "1", yes, no), Converted=won)
    assert (guess.role, guess.reason) == ("outcome", "it is the target in other words")


def test_one_lead_that_differs_makes_a_column_its_own() -> None:
    won = outcome()
    almost = np.where(won == "1", "yes", "no")
    almost[0] = "no" if almost[0] == "yes" else "yes"
    assert guess_of("Wants a call", almost, Converted=won).role == "behaviour"


def test_what_the_user_says_stands() -> None:
    columns = {"Lead ID": sf_ids("00Q"), "Key": sf_ids("003"), "Won": outcome(), "Hot": outcome()}
    given = Given(id="key", target=" HOT ", ignore=("lead  id",))
    found = guesses(columns, given)
    assert {name: guess.role for name, guess in found.items()} == {
        "Lead ID": "ignore",
        "Key": "id",
        "Won": "outcome",
        "Hot": "target",
    }
    assert found["Key"].reason == "you said so"


@pytest.mark.parametrize(
    ("given", "key"),
    [
        (Given(id="Nope"), "id"),
        (Given(target="Nope"), "target"),
        (Given(date="Nope"), "date"),
        (Given(group="Nope"), "group"),
        (Given(ignore=("a", "Nope")), "ignore"),
    ],
)
def test_a_column_the_user_names_must_be_there(given: Given, key: str) -> None:
    with pytest.raises(InputError, match=rf"--{key} names 'Nope', which the file does not have"):
        guesses({"a": ["1"], "b": ["2"]}, given)


def test_names_that_differ_by_case_alone_are_refused() -> None:
    frame = pd.DataFrame([["1", "2"]], columns=["Visits", "visits "])
    with pytest.raises(InputError, match="must differ by more than case"):
        guess_roles(frame, Given(), missing=MISSING)


def test_no_date_is_looked_for_where_row_order_is_time_order() -> None:
    columns = {"Created": day(), "Won": outcome()}
    assert guesses(columns)["Created"].role == "date"
    assert guesses(columns, Given(is_ordered=True))["Created"].role == "ignore"


def test_an_id_is_told_from_an_account_by_being_different_in_every_row() -> None:
    found = guesses({"Lead ID": sf_ids("00Q"), "Account ID": level("1", "2", "3"), "Won": outcome()})
    assert {name: guess.role for name, guess in found.items()} == {
        "Lead ID": "id",
        "Account ID": "group",
        "Won": "target",
    }


@pytest.mark.parametrize(
    ("cells", "what"),
    [
        (EMAILS, "e-mail addresses"),
        (["a word"] * 180 + EMAILS[:20], "e-mail addresses"),
        (PHONES, "phone numbers"),
        ([f"(01) 471-{1000 + i}" for i in range(N_LEADS)], "phone numbers"),
        ([f"10.0.{i % 9}.{i}" for i in range(N_LEADS)], "IP addresses"),
        ([f"SI56 1910 0000 0123 {i:03d}" for i in range(N_LEADS)], "bank accounts"),
        ([f"https://shop.example/?user={i}" for i in range(N_LEADS)], "addresses of visited pages"),
    ],
)
def test_personal_data_is_found_by_its_values(cells: list[str], what: str) -> None:
    guess = guess_of("Field 7", [*cells[: N_LEADS - 1], "text"])
    assert (guess.role, guess.reason) == ("ignore", f"personal data: {what}")


@pytest.mark.parametrize(
    "name",
    [
        "Name",
        "Lead name",
        "Kontakt name",
        "Surname",
        "mobile",
        "Fax",
        "DOB",
        "IP",
        "signup_ip",
        "LinkedIn",
    ],
)
def test_personal_data_is_found_by_its_name(name: str) -> None:
    guess = guess_of(name, level("a", "b", "c"))
    assert guess.role == "ignore"
    assert guess.reason.startswith("personal data: its name says")


def test_no_reason_holds_a_cell_of_a_lead() -> None:
    columns = {name: cells for export in (HUBSPOT, SALESFORCE) for name, (_, cells) in export.items()}
    for guess in guesses(columns).values():
        assert not any(private in guess.reason for private in ("person", "firm", "386", "Novak", "Ana")) or (
            guess.reason.startswith("personal data")
        )
        assert "example" not in guess.reason


@pytest.mark.parametrize("name", ["Age", "Gender", "nationality", "Zip", "Postal Code", "MaritalStatus", "Religion"])
def test_what_is_near_a_protected_trait_is_used_and_flagged(name: str) -> None:
    guess = guess_of(name, level("1", "2", "3"))
    assert (guess.role, guess.is_sensitive) == ("fit", True)


@pytest.mark.parametrize("name", ["Page", "Stage fright index", "Language", "Manager"])
def test_a_word_that_only_holds_another_is_not_flagged(name: str) -> None:
    assert not guess_of(name, level("1", "2", "3")).is_sensitive


@pytest.mark.parametrize(
    ("cells", "is_count"),
    [
        (count(), True),
        (count() - 1, True),  # -1 among counts is a mark for missing
        (count() - 5, False),
        (count() + 0.5, False),
        (level("0", "1"), False),
        (level("few", "many", "none"), False),
        (np.where(np.arange(N_LEADS) % 5 == 0, 999, count()), True),
    ],
    ids=["whole", "minus one", "negative", "fractions", "flag", "words", "sentinel"],
)
def test_a_count_is_a_whole_number_never_negative(cells: object, is_count: bool) -> None:
    assert guess_of("Visits", cells).is_count == is_count


@pytest.mark.parametrize(
    ("sentinel", "others", "missing"),
    [
        (999, range(31), (999.0,)),  # days since the last contact, where there was none
        (-1, range(31), (-1.0,)),
        (-99, range(31), (-99.0,)),
        (99, range(98), ()),  # an age may be 99
        (999, range(0, 900, 5), ()),
        (-1, range(-20, 20), ()),
    ],
)
def test_a_number_that_stands_far_outside_and_is_common_means_missing(
    sentinel: int, others: range, missing: tuple[float, ...]
) -> None:
    own = np.resize(np.array(others), N_LEADS)
    own[::4] = sentinel
    assert guess_of("pdays", own).missing == missing


def test_a_number_that_stands_outside_once_is_a_value() -> None:
    own = np.resize(np.arange(31), N_LEADS)
    own[0] = 999
    assert guess_of("pdays", own).missing == ()


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ([""] * N_LEADS, "empty"),
        (["Select"] * N_LEADS, "empty"),
        (["yes"] * N_LEADS, "every value is the same"),
        ([f"k{i}" for i in range(N_LEADS)], "different in almost every row: it names leads, it does not describe them"),
    ],
)
def test_what_teaches_nothing_is_not_used(cells: list[str], reason: str) -> None:
    guess = guess_of("Field 7", cells)
    assert (guess.role, guess.reason) == ("ignore", reason)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("Days To Close", ("day", "to", "close")),
        ("hs_analytics_num_page_views", ("hs", "analytic", "num", "page", "view")),
        ("IsConverted", ("is", "converted")),
        ("IPAddress", ("ip", "address")),
        ("MQL_Date__c", ("mql", "date", "c")),
        ("Status", ("status",)),
        ("!?", ()),
    ],
)
def test_a_header_is_read_word_by_word(header: str, words: tuple[str, ...]) -> None:
    assert words_of(header) == words


def test_a_column_filled_for_one_outcome_only_is_set_aside() -> None:
    won = outcome() == "1"
    columns = {"Deal size": np.where(won, "12", ""), "Budget": np.where(won | (np.arange(N_LEADS) % 3 == 0), "12", "")}
    found = guesses({**columns, "Won": outcome()})
    assert (found["Deal size"].role, found["Deal size"].reason) == ("outcome", "it is filled for one outcome only")
    assert found["Budget"].role == "fit"


def test_a_column_has_one_role() -> None:
    with pytest.raises(InputError, match="named as --target and as --ignore"):
        guesses({"Won": outcome()}, Given(target="Won", ignore=("Won",)))


@pytest.mark.parametrize("name", ["month", "day_of_week", "Weekday", "is_weekend", "week number"])
def test_a_date_of_the_calendar_is_neither_what_a_lead_did_nor_left_out(name: str) -> None:
    guess = guess_of(name, level("may", "june", "july"), Converted=outcome())
    assert (guess.role, guess.is_count) == ("fit", False)
    assert guess.reason.startswith("a date on the calendar")


def test_a_calendar_word_beside_an_activity_is_what_a_lead_did() -> None:
    assert guess_of("Visits in 30 days", count(), Converted=outcome()).role == "behaviour"
    assert guess_of("Email clicks of the month", count(), Converted=outcome()).role == "behaviour"
