"""Ids that do not meet: what is said, and which ways of writing are told."""

from __future__ import annotations

import pandas as pd
import pytest

from propensity.asof import LeadKey, check_joined
from propensity.asof.joins import way_of_writing
from propensity.errors import InputError


@pytest.mark.parametrize(
    ("theirs", "ours", "says"),
    [
        (["7", "12"], ["007", "012"], "leading zeros"),
        (["AB1", "AB2"], ["ab1", "ab2"], "letter case"),
        (["007.0"], ["007"], "decimals of nothing"),
        (["001A0000006Vm9rXXX"], ["001A0000006Vm9r"], "18 characters"),
        (["001a0000006vm9riac"], ["001A0000006Vm9r"], "letter case is ignored, and ids of 18 characters"),
        (["x", "y"], ["a"], ""),
    ],
)
def test_the_way_of_writing_that_keeps_ids_apart_is_named(theirs: list[str], ours: list[str], says: str) -> None:
    said = way_of_writing(pd.Index(theirs), pd.Index(ours))
    assert says in said
    assert bool(said) == bool(says)


def test_letter_case_that_tells_ids_apart_is_no_way_of_writing() -> None:
    assert way_of_writing(pd.Index(["0Aa", "0AA", "0aa"]), pd.Index(["0aA"])) == ""


def test_ids_are_counted_and_never_shown() -> None:
    leads = LeadKey(column="Lead", key="columns.id", may_miss=True)
    names = {"what": "events", "column": "who", "key": "columns.event.id"}
    check_joined(pd.Series(["secret1"]), pd.Index(["secret2"]), leads, **names)
    check_joined(pd.Series([None], dtype=object), pd.Index(["secret2"]), leads, **names)
    with pytest.raises(InputError) as caught:
        check_joined(pd.Series(["SECRET2", "secret3"]), pd.Index(["secret2"]), leads, **names)
    assert str(caught.value) == (
        "None of the 2 different ids in column 'who' of the events (columns.event.id) is among the 1 in column 'Lead' "
        "of the leads (columns.id). They match when letter case is ignored. Write them alike in both files."
    )
