from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.features.fit import (
    KINDS,
    derive,
    derived_names,
    read_department,
    read_domain,
    read_range,
    read_seniority,
)

MISSING = {"*": ["", "unknown", "-"]}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("50", 50),
        ("50-200", 100),
        ("1,000\u20134,000", 2000),
        ("1 to 100", 10),
        ("0-100", 10),
        ("201-500 employees", math.sqrt(201 * 500)),
        ("10,000+", 10_000),
        ("10 000+ ", 10_000),
        (">1000", 1000),
        ("more than 500", 500),
        ("< 50", 50),
        ("$1M-$100M", 10_000_000),
        ("\u20ac2.5m", 2_500_000),
        ("10k", 10_000),
        ("1.5 bn", 1_500_000_000),
        ("", math.nan),
        ("many", math.nan),
        ("500-200", math.nan),
        ("2020-01-05", math.nan),
    ],
)
def test_sizes_and_revenues_are_one_number(text: str, number: float) -> None:
    assert read_range(text) == pytest.approx(number, nan_ok=True)


@pytest.mark.parametrize(
    ("title", "level"),
    [
        ("CEO & Founder", "c-level"),
        ("Chief Marketing Officer", "c-level"),
        ("President", "c-level"),
        ("Vice President Sales", "vp"),
        ("SVP Engineering", "vp"),
        ("Director of Sales", "director"),
        ("Head of Growth", "director"),
        ("Product Manager", "manager"),
        ("Marketing intern", "student"),
        ("International trade specialist", "individual"),
        ("Data analyst", "individual"),
    ],
)
def test_seniority_is_read_from_whole_words(title: str, level: str) -> None:
    assert read_seniority(title) == level


@pytest.mark.parametrize(
    ("title", "department"),
    [
        ("VP Marketing", "marketing"),
        ("Account executive", "sales"),
        ("Software Engineer", "engineering"),
        ("Financial controller", "finance"),
        ("HR partner", "people"),
        ("Founder", "general"),
        ("Gardener", "other"),
    ],
)
def test_departments_are_read_from_whole_words(title: str, department: str) -> None:
    assert read_department(title) == department


@pytest.mark.parametrize(
    ("mail", "kind"),
    [
        ("ana@gmail.com", "free"),
        ("ana@yahoo.co.uk", "free"),
        ("ana@web.de", "free"),
        ("ana@web.example", "corporate"),
        ("ana@mit.edu", "education"),
        ("ana@ox.ac.uk", "education"),
        ("ana@example.com", "corporate"),
        ("ana at example", "invalid"),
        ("ana@example", "invalid"),
    ],
)
def test_an_address_says_whose_mail_it_is(mail: str, kind: str) -> None:
    assert read_domain(mail) == kind


def test_no_part_of_an_address_leaves() -> None:
    given_mails = pd.DataFrame({"Mail": ["luka.novak@acme-corp.example", "unknown", None, "x"]})
    found = derive(given_mails, {"Mail": "email"}, missing=MISSING)
    assert found["Mail domain"].to_list() == ["corporate", None, None, "invalid"]
    assert found["Mail given"].to_list() == ["yes", "no", "no", "yes"]


@pytest.mark.parametrize("dtype", ["object", "str", "category"])
def test_any_dtype_reads_alike(dtype: str) -> None:
    sizes = pd.DataFrame({" SIZE ": pd.Series(["1-100", None, "50"], dtype=dtype)})
    assert derive(sizes, {"Size": "range"}, missing=MISSING)["Size number"].to_list() == pytest.approx(
        [10, np.nan, 50], nan_ok=True
    )


def test_numbers_are_sizes_too() -> None:
    sizes = pd.DataFrame({"Size": pd.array([10, None, 50], dtype="Int64")})
    assert derive(sizes, {"Size": "range"}, missing=MISSING)["Size number"].to_list() == pytest.approx(
        [10, np.nan, 50], nan_ok=True
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_that_is_absent_is_missing_not_an_error(kind: str) -> None:
    found = derive(pd.DataFrame({"a": [1, 2]}), {"b": kind}, missing=MISSING)
    assert tuple(found.columns) == derived_names("b", kind)
    assert found.isna().all(axis=None)


@given(texts=st.lists(st.text(max_size=30) | st.none(), min_size=1, max_size=20), kind=st.sampled_from(KINDS))
def test_a_row_does_not_depend_on_its_batch(texts: list[str | None], kind: str) -> None:
    frame = pd.DataFrame({"a": pd.Series(texts, dtype=object)})
    whole = derive(frame, {"a": kind}, missing=MISSING)
    back = derive(frame.iloc[::-1], {"a": kind}, missing=MISSING).iloc[::-1].reset_index(drop=True)
    pd.testing.assert_frame_equal(whole, back)
    alone = pd.concat([derive(frame.iloc[[i]], {"a": kind}, missing=MISSING) for i in range(len(frame))])
    pd.testing.assert_frame_equal(whole, alone.reset_index(drop=True))
