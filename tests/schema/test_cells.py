from __future__ import annotations

import datetime as dt
import decimal
import math
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from propensity.schema.cells import (
    MAX_CELL_CHARACTERS,
    MAX_LEVEL_CHARACTERS,
    canonical_text,
    count_texts,
    missing_words,
    normalise_name,
    parse_number,
    read_ids,
    read_numbers,
    read_texts,
    too_long,
)


def cells(*values: object, dtype: Any = object) -> pd.Series:
    return pd.Series([*values], dtype=dtype)


@pytest.mark.parametrize(
    "name", ["Lead Number", "  lead number ", "LEAD\tNUMBER", "Lead\u00a0Number", "Lead\n Number", "\uff2cead Number"]
)
def test_names_differ_by_more_than_case_padding_and_unicode_form(name: str) -> None:
    assert normalise_name(name) == "lead number"


def test_a_name_may_be_a_number() -> None:
    assert normalise_name(2026) == "2026"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Web", "web"),
        (" Straße  7 ", "strasse 7"),
        (7, "7"),
        (7.0, "7"),
        ("7.0", "7"),
        ("-7.00", "-7"),
        (-0.0, "0"),
        ("-0.0", "0"),
        (np.float32(7), "7"),
        (np.int64(7), "7"),
        (decimal.Decimal("7.0"), "7"),
        (decimal.Decimal("7.25"), "7.25"),
        (7.25, "7.25"),
        ("007.0", "007.0"),
        ("3.10", "3.10"),
        (2.0**53, "9007199254740992"),
        (2**53, "9007199254740992"),
        (1e16, "1e+16"),
        (True, "true"),
        (np.False_, "false"),
        ("True", "true"),
        (math.inf, "inf"),
        (dt.date(2026, 3, 1), "2026-03-01"),
        (dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC), "2026-03-01 12:00:00+00:00"),
        (pd.Timestamp("2026-03-01T12:00Z"), "2026-03-01 12:00:00+00:00"),
        (["a", "B"], "['a', 'b']"),
        (b"a", "b'a'"),
        (1 + 2j, "(1+2j)"),
    ],
)
def test_a_cell_is_written_the_one_way_it_is_compared(value: object, text: str) -> None:
    assert canonical_text(value) == text


@pytest.mark.parametrize("value", [None, math.nan, np.float32("nan"), pd.NA, pd.NaT])
def test_nothing_has_no_text(value: object) -> None:
    assert canonical_text(value) is None


@pytest.mark.parametrize("kind", [str, lambda text: [text]])
def test_prose_is_kept_as_its_beginning_and_a_digest(kind: Any) -> None:
    one, other = canonical_text(kind("x" * 300 + "1")), canonical_text(kind("x" * 300 + "2"))
    assert one is not None
    assert other is not None
    assert len(one) == len(other) == MAX_LEVEL_CHARACTERS
    assert one[:-8] == other[:-8]
    assert one != other


def test_the_longest_level_is_kept_as_it_is() -> None:
    assert canonical_text("x" * MAX_LEVEL_CHARACTERS) == "x" * MAX_LEVEL_CHARACTERS


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12.0),
        ("-12.5", -12.5),
        ("+3", 3.0),
        (".5", 0.5),
        ("1e5", 1e5),
        ("1,234,567.5", 1234567.5),
        ("1 234.5", 1234.5),
        ("1'234", 1234.0),
        ("€ 12", 12.0),
        ("-$1,200", -1200.0),
        ("$ -5", -5.0),
        ("12 eur", 12.0),
        ("12.5 %", 12.5),
        ("true", 1.0),
        ("false", 0.0),
        ("inf", math.inf),
        ("-infinity", -math.inf),
        ("1e400", math.inf),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, number: float) -> None:
    assert parse_number(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,5", 1.5),
        ("1.234,5", 1234.5),
        ("1.234", 1234.0),
        ("1 234,5 €", 1234.5),
        ("12", 12.0),
        ("infinity", math.inf),
        ("-infinity", -math.inf),
    ],
)
def test_with_a_decimal_comma_the_point_groups_thousands(text: str, number: float) -> None:
    assert parse_number(text, decimal=",") == number


@pytest.mark.parametrize(
    ("text", "decimal_mark"),
    [
        ("", "."),
        ("web", "."),
        ("12 visits", "."),
        ("1-5", "."),
        ("nan", "."),
        ("-nan", "."),
        ("1_000", "."),
        ("1,23", "."),
        ("12,34,567", "."),
        ("1.5", ","),
        ("1,2,3", ","),
        ("eur", "."),
        ("$e5", "."),
        ("1\n2", "."),
    ],
)
def test_what_is_not_a_number_is_none(text: str, decimal_mark: str) -> None:
    assert parse_number(text, decimal=decimal_mark) is None


def test_missing_words_are_everybodys_and_the_columns_own() -> None:
    words: dict[str, list[str | float]] = {"*": ["Select", " N/A "], "pdays": [999], "age": [-1]}
    assert missing_words(words, "pdays") == ("999", "n/a", "select")
    assert missing_words(words, None) == ("n/a", "select")


def test_a_columns_own_words_are_found_however_its_header_is_written() -> None:
    assert missing_words({"pdays": [999]}, " PDays ") == ("999",)


def test_a_missing_word_that_is_no_word_is_left_out() -> None:
    assert missing_words({"*": [math.nan, "-"]}, None) == ("-",)


def test_texts_are_canonical_and_missing_ones_none() -> None:
    read = read_texts(cells(" Web", "WEB", "", "  ", "Select", None, math.nan), missing=["select"])
    assert read.to_list() == ["web", "web", None, None, None, None, None]


def test_reading_forgets_the_index() -> None:
    series = pd.Series(["a", "b"], index=[7, 7])
    assert read_texts(series, missing=()).index.to_list() == [0, 1]
    assert read_numbers(series, missing=())[0].shape == (2,)


def test_a_cell_does_not_change_with_its_neighbours() -> None:
    # True == 1 in Python, so whichever comes first would otherwise speak for both.
    assert read_texts(cells(1, True, 0, False), missing=()).to_list() == ["1", "true", "0", "false"]
    assert read_texts(cells(True, 1, False, 0), missing=()).to_list() == ["true", "1", "false", "0"]


@pytest.mark.parametrize(
    "series",
    [
        cells([1, 2], None),
        cells({"a": 1}, None),
        cells([1, 2], None, dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
        cells({"a": 1}, None, dtype=pd.ArrowDtype(pa.struct([("a", pa.int64())]))),
    ],
)
def test_nested_cells_are_read_as_text_and_are_no_numbers(series: pd.Series) -> None:
    assert read_texts(series, missing=()).notna().to_list() == [True, False]
    values, n_lost = read_numbers(series, missing=())
    assert np.isnan(values).all()
    assert n_lost == 1


@pytest.mark.parametrize(
    ("values", "expected", "n_lost"),
    [
        ([1.5, -2.0], [1.5, -2.0], 0),
        (["1.5", "-2"], [1.5, -2.0], 0),
        (["1.5", "many", None, ""], [1.5, math.nan, math.nan, math.nan], 1),
        ([math.inf, -math.inf, 1e31, 1e30], [math.nan, math.nan, math.nan, 1e30], 3),
        (["inf", "1e308", "$1e29"], [math.nan, math.nan, 1e29], 2),
        ([True, False], [1.0, 0.0], 0),
        (["yes", "no"], [math.nan, math.nan], 2),
    ],
)
def test_unreadable_infinite_and_absurd_numbers_are_missing_and_counted(
    values: list[Any], expected: list[float], n_lost: int
) -> None:
    read, lost = read_numbers(pd.Series(values), missing=())
    np.testing.assert_array_equal(read, expected)
    assert lost == n_lost


def test_reading_numbers_leaves_the_column_as_it_was() -> None:
    series = pd.Series([999.0, math.inf])
    read_numbers(series, missing=["999"])
    assert series.to_list() == [999.0, math.inf]


@pytest.mark.parametrize(
    "series",
    [
        pd.Series([999, 5]),
        pd.Series([999.0, 5.0]),
        pd.Series(["999", "5"]),
        pd.Series(["999.00", "5"]),
        pd.Series(["9.99e2", "5.0"]),
        pd.Series([999, 5], dtype="category"),
    ],
)
def test_a_number_that_means_missing_means_it_in_every_dtype(series: pd.Series) -> None:
    read, n_lost = read_numbers(series, missing=["999"])
    np.testing.assert_array_equal(read, [math.nan, 5.0])
    assert n_lost == 0


@pytest.mark.parametrize("dtype", [object, "category", float, "Float64", pd.ArrowDtype(pa.float64())])
def test_the_decimal_comma_of_texts_does_not_touch_floats(dtype: Any) -> None:
    read, _ = read_numbers(cells(1.234, None, dtype=dtype), missing=(), decimal=",")
    np.testing.assert_array_equal(read, [1.234, math.nan])


def test_only_words_count_as_texts_among_numbers() -> None:
    assert count_texts(cells("1", "inf", "1e308", "many", "", None, "Select"), missing=["select"]) == 1
    assert count_texts(pd.Series([1.0, math.inf]), missing=()) == 0


def test_complex_numbers_are_no_numbers_of_a_lead() -> None:
    assert read_numbers(pd.Series([1 + 2j]), missing=())[1] == 1


def test_ids_are_compared_as_written_but_for_padding() -> None:
    ids = cells("007", " a ", "A", 7, 7.0, "n/a", "", None, math.nan)
    assert read_ids(ids, missing=["n/a"]).to_list() == ["007", "a", "A", "7", "7", None, None, None, None]


def test_sixteen_digit_ids_survive_a_column_of_floats() -> None:
    # A missing id turns a column of integers into floats.
    assert read_ids(pd.Series([1234567890123456.0, math.nan]), missing=()).to_list() == ["1234567890123456", None]


def test_a_row_is_too_long_by_one_character() -> None:
    frame = pd.DataFrame(
        {
            "visits": [1, 2, 3],
            "notes": ["x" * MAX_CELL_CHARACTERS, "x" * (MAX_CELL_CHARACTERS + 1), None],
            "tags": [["x" * 70_000], [], None],
        }
    )
    assert too_long(frame).tolist() == [False, True, False]
