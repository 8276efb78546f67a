from __future__ import annotations

import pandas as pd
import pytest

from propensity.roles import words_of
from propensity.roles.hindsight import is_relabelling, strong_word, tells_by_being_filled, weak_word


@pytest.mark.parametrize(
    "name",
    [
        *("Is Converted", "ConvertedDate", "converted_account_id", "Close Date", "closed_reason", "Days To Close"),
        *("LostReason", "Opportunity ID", "contract_signed_at", "Invoice no", "Became customer", "churned", "Won"),
        *("Disqualification reason", "Last activity", "latestSource", "Lead Status", "lifecyclestage", "deal_stage"),
        *("Stage", "Disposition", "Next Step", "Lead Owner", "LastModifiedDate", "updatedAt", "times contacted"),
        *("Rating", "Status", "statecode", "statuscode"),
    ],
)
def test_a_name_that_only_a_result_can_have_is_strong(name: str) -> None:
    assert strong_word(words_of(name))


@pytest.mark.parametrize(
    "name",
    [
        *("Call duration", "Deal type", "NumWebPurchases", "Lead Score", "Heat index", "Grade", "Reason", "Notes"),
        *("poll outcome", "MaritalStatus", "first conversion", "Ad spend", "AnnualRevenue", "Amount", "OrderCount"),
        *("Paid", "assigned_to", "next_event", "Profile"),
    ],
)
def test_a_name_that_may_be_a_result_is_weak_and_not_strong(name: str) -> None:
    assert weak_word(words_of(name))
    assert not strong_word(words_of(name))


@pytest.mark.parametrize("name", ["Industry", "Last Name", "LastName", "Lead Source", "Employment seniority", "Border"])
def test_other_names_say_nothing(name: str) -> None:
    assert strong_word(words_of(name)) == weak_word(words_of(name)) == ""


def test_a_surname_excuses_no_other_word() -> None:
    assert strong_word(words_of("Last name of lead owner")) == "owner"
    assert strong_word(words_of("Last name updated")) == "updated"


def test_a_whole_name_is_strong_only_alone() -> None:
    assert strong_word(words_of("State Code")) == ""  # of an address; the CRM's own is written in one word
    assert strong_word(words_of("status")) == "status"
    assert strong_word(words_of("Employment status")) == ""


def test_a_relabelling_goes_both_ways_and_covers_most_rows() -> None:
    answer = pd.Series(["yes", "no", "yes", "no"])
    assert is_relabelling(pd.Series(["a", "b", "a", None]), answer)
    assert not is_relabelling(pd.Series(["a", "b", "c", "b"]), answer)  # two words for one outcome
    assert not is_relabelling(pd.Series(["a", "a", "a", "b"]), answer)
    assert not is_relabelling(pd.Series(["a", "b", None, None]), answer)  # half the rows are too few


def test_a_column_tells_by_being_filled_from_25_cells_on() -> None:
    answer = pd.Series(["won"] * 60 + ["lost"] * 60)

    def filled(n: int, *, first: int = 0) -> pd.Series:
        return pd.Series([1.0 if first <= i < first + n else None for i in range(120)], dtype=float)

    assert tells_by_being_filled(filled(25), answer)
    assert tells_by_being_filled(filled(25, first=60), answer)  # of those who were lost, too
    assert not tells_by_being_filled(filled(24), answer)
    assert not tells_by_being_filled(filled(25, first=40), answer)  # of both
    assert not tells_by_being_filled(filled(25), pd.Series(["won"] * 96 + ["lost"] * 24))  # four in five are won
