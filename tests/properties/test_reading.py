from __future__ import annotations

import io
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.asof import parse_stamps
from propensity.encoding import fit_encoder
from propensity.schema import (
    Column,
    Schema,
    canonical_text,
    content_digest,
    normalise_name,
    parse_number,
    partition,
    read_numbers,
    read_texts,
    row_hashes,
)

COLUMNS = (
    Column(name="Industry", family="fit", kind="category", missing=("", "select")),
    Column(name="Visits", family="behaviour", kind="number", missing=("", "999")),
    Column(name="Size", family="fit", kind="number", decimal=","),
)
SCHEMA = Schema(columns=COLUMNS, id="Lead Number", missing=("",))

# A spreadsheet's whole numbers stay exact up to here.
whole = st.integers(-(2**53), 2**53)
gappy = st.lists(st.none() | whole, min_size=1, max_size=8)
finite = st.floats(-1e30, 1e30, allow_nan=False)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
cells = st.none() | words | whole | finite | st.booleans() | st.decimals(allow_nan=False, allow_infinity=False)
rows = st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=8)

# How one column of whole numbers with gaps can reach us; a plain file reads "7" and, once floats wrote it, "7.0".
WHOLE_FORMS: dict[str, Any] = {
    "objects": lambda v: pd.Series(v, dtype=object),
    "floats": lambda v: pd.Series(v, dtype=float),
    "nullable integers": lambda v: pd.Series(v, dtype="Int64"),
    "nullable floats": lambda v: pd.Series(v, dtype="Float64"),
    "categories": lambda v: pd.Series(v, dtype="Int64").astype("category"),
    "decimals": lambda v: pd.Series([None if x is None else Decimal(x) for x in v], dtype=object),
    "arrow integers": lambda v: pd.Series(v, dtype=pd.ArrowDtype(pa.int64())),
    "arrow floats": lambda v: pd.Series(v, dtype=pd.ArrowDtype(pa.float64())),
    "arrow decimals": lambda v: pd.Series(
        [None if x is None else Decimal(x) for x in v], dtype=pd.ArrowDtype(pa.decimal128(20, 2))
    ),
    "text": lambda v: pd.Series([None if x is None else f" {x} " for x in v], dtype=object),
    "strings": lambda v: pd.Series([None if x is None else str(x) for x in v], dtype=str),
    "arrow strings": lambda v: pd.Series([None if x is None else str(x) for x in v], dtype=pd.ArrowDtype(pa.string())),
    "text of floats": lambda v: pd.Series([None if x is None else f"{x}.0" for x in v], dtype=object),
    "a CSV file": lambda v: _through_csv(pd.Series(v, dtype="Int64")),
}


def _through_csv(series: pd.Series) -> pd.Series:
    text = series.to_frame("x").to_csv(index=False)
    return pd.read_csv(io.StringIO(text), dtype=str, skip_blank_lines=False)["x"]


@pytest.mark.parametrize("form", WHOLE_FORMS)
@given(values=gappy)
@settings(max_examples=30)
def test_a_whole_number_reads_the_same_in_every_dtype(form: str, values: list[int | None]) -> None:
    series = WHOLE_FORMS[form](values)
    assert read_texts(series, missing=()).to_list() == [None if v is None else str(v) for v in values]
    numbers, n_lost = read_numbers(series, missing=())
    np.testing.assert_array_equal(numbers, [math.nan if v is None else float(v) for v in values])
    assert n_lost == 0


@pytest.mark.parametrize("decimal", [".", ","])
@given(values=st.lists(st.none() | finite, min_size=1, max_size=8))
def test_a_fraction_reads_the_same_in_every_dtype_whatever_the_decimal_mark(
    decimal: str, values: list[float | None]
) -> None:
    expected = [math.nan if v is None else v for v in values]
    texts = [None if v is None else repr(v).replace(".", decimal) for v in values]
    forms = [pd.Series(values, dtype=dtype) for dtype in (float, object, "Float64", pd.ArrowDtype(pa.float64()))]
    forms += [forms[0].astype("category"), pd.Series(texts, dtype=object), pd.Series(texts, dtype=str)]
    for series in forms:
        numbers, n_lost = read_numbers(series, missing=(), decimal=decimal)
        np.testing.assert_array_equal(numbers, expected)
        assert n_lost == 0


@given(values=st.lists(st.none() | st.booleans(), min_size=1, max_size=8))
def test_a_truth_reads_the_same_in_every_dtype(values: list[bool | None]) -> None:
    forms = [pd.Series(values, dtype=dtype) for dtype in (object, "boolean", pd.ArrowDtype(pa.bool_()), "category")]
    forms += [pd.Series([None if v is None else str(v) for v in values], dtype=object)]
    for series in forms:
        assert read_texts(series, missing=()).to_list() == [None if v is None else str(v).lower() for v in values]
        np.testing.assert_array_equal(
            read_numbers(series, missing=())[0], [math.nan if v is None else float(v) for v in values]
        )


@given(values=st.lists(st.none() | words, min_size=1, max_size=8))
def test_a_word_reads_the_same_in_every_dtype(values: list[str | None]) -> None:
    plain = read_texts(pd.Series(values, dtype=object), missing=())
    for dtype in (str, "category", pd.ArrowDtype(pa.string()), pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))):
        assert read_texts(pd.Series(values, dtype=dtype), missing=()).to_list() == plain.to_list()


@given(values=st.lists(cells, min_size=1, max_size=8))
def test_a_cell_reads_alone_as_it_does_among_others(values: list[Any]) -> None:
    series = pd.Series(values, dtype=object)
    texts, (numbers, n_lost) = read_texts(series, missing=()), read_numbers(series, missing=())
    alone = [read_numbers(series.iloc[[i]], missing=()) for i in range(len(values))]
    assert texts.to_list() == [read_texts(series.iloc[[i]], missing=())[0] for i in range(len(values))]
    np.testing.assert_array_equal(numbers, np.concatenate([number for number, _ in alone]))
    assert n_lost == sum(lost for _, lost in alone)


@given(values=st.lists(cells, min_size=1, max_size=8))
def test_a_number_is_never_infinite(values: list[Any]) -> None:
    for decimal in (".", ","):
        numbers, _ = read_numbers(pd.Series(values, dtype=object), missing=(), decimal=decimal)
        assert not np.isinf(numbers).any()


@given(value=cells)
def test_canonical_text_is_canonical_already(value: object) -> None:
    text = canonical_text(value)
    assert text is None or canonical_text(text) == text


@given(text=st.text(st.characters(codec="latin-1"), max_size=12))
def test_case_and_padding_do_not_change_a_name(text: str) -> None:
    assert normalise_name(f"  {text.upper()}\t") == normalise_name(text.upper())
    # In Latin-1 only the micro sign and the y with two dots have capitals outside of it, and they fold back.
    assert normalise_name(text.upper()) == normalise_name(text)


@given(text=st.text("0123456789.,e+-%$ '", max_size=10), decimal=st.sampled_from([".", ","]))
def test_whatever_looks_like_a_number_is_one_or_none(text: str, decimal: str) -> None:
    number = parse_number(text, decimal=decimal)
    assert number is None or not math.isnan(number)


def frame(data: list[tuple[Any, Any, Any]]) -> pd.DataFrame:
    leads = pd.DataFrame(data, columns=["Industry", "Visits", "Size"], dtype=object)
    return leads.assign(**{"Lead Number": [f"lead {i}" for i in range(len(data))]})


@given(data=rows, order=st.permutations([0, 1, 2, 3]), seed=st.randoms())
def test_order_case_and_padding_of_columns_and_order_of_rows_do_not_matter(
    data: list[tuple[Any, Any, Any]], order: list[int], seed: Any
) -> None:
    leads = frame(data)
    plain = partition(leads, SCHEMA)
    place = [*range(len(leads))]
    seed.shuffle(place)
    odd = leads.iloc[place, order].rename(columns=lambda name: f"  {name.upper()} ".replace(" N", "   n"))
    shuffled = partition(odd.assign(**{"Notes nobody asked for": "x"}), SCHEMA)
    pd.testing.assert_frame_equal(shuffled.read, plain.read.iloc[place].reset_index(drop=True))
    assert shuffled.ids.to_list() == plain.ids.iloc[place].to_list()
    assert row_hashes(shuffled.read).tolist() == row_hashes(plain.read)[place].tolist()
    digests = {content_digest(rows.read, order=[*rows.ids]) for rows in (plain, shuffled)}
    assert len(digests) == 1


@given(data=rows)
@settings(max_examples=50)
def test_every_row_is_read_alone_as_it_is_in_its_batch(data: list[tuple[Any, Any, Any]]) -> None:
    leads = frame(data)
    batch = partition(leads, SCHEMA)
    assert len(batch.read) == len(leads)
    encoder = fit_encoder(pd.concat([batch.read] * 10), SCHEMA)
    for i in range(len(leads)):
        alone = partition(leads.iloc[[i]], SCHEMA)
        assert row_hashes(alone.read)[0] == row_hashes(batch.read)[i]
        np.testing.assert_array_equal(encoder.encode(alone.read)[0], encoder.encode(batch.read)[i])


@given(data=rows)
@settings(max_examples=50)
def test_rows_given_twice_are_read_once(data: list[tuple[Any, Any, Any]]) -> None:
    leads = frame(data)
    twice = partition(pd.concat([leads, leads]), SCHEMA)
    pd.testing.assert_frame_equal(twice.read, partition(leads, SCHEMA).read)
    assert twice.notes["identical_rows"] == len(leads)


instants = st.datetimes(
    min_value=pd.Timestamp("1973-04-01").to_pydatetime(), max_value=pd.Timestamp("2200-01-01").to_pydatetime()
).map(lambda at: at.replace(microsecond=0))


@given(values=st.lists(st.none() | instants, min_size=1, max_size=6))
@settings(max_examples=50)
def test_an_instant_reads_the_same_however_it_is_written(values: list[Any]) -> None:
    utc = pd.Series([None if v is None else pd.Timestamp(v, tz="UTC") for v in values], dtype="datetime64[us, UTC]")
    tokyo = utc.dt.tz_convert("Asia/Tokyo")
    seconds = pd.Series(
        [None if v is None else int(pd.Timestamp(v, tz="UTC").timestamp()) for v in values], dtype="Int64"
    )
    known = utc.notna()
    forms = [
        utc,
        tokyo,
        tokyo.astype(object),
        tokyo.dt.tz_localize(None),
        seconds,
        seconds.astype(float),
        seconds * 1_000_000,
        utc.astype(object).map(lambda at: at.isoformat(), na_action="ignore"),
        tokyo.dt.strftime("%Y-%m-%d %H:%M:%S%z").where(known),
        tokyo.dt.strftime("%Y-%m-%d %H:%M:%S").where(known),
        tokyo.dt.strftime("%d %B %Y %I:%M:%S %p").where(known),
        tokyo.dt.strftime("%d.%m.%Y %H:%M:%S").where(known),
    ]
    for series in forms:
        stamps = parse_stamps(series, timezone="Asia/Tokyo", name="Created")
        pd.testing.assert_series_equal(stamps.at, utc)
        assert stamps.unread == 0
