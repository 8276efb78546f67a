from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd
import pytest

from propensity.config import ColumnsConfig
from propensity.errors import InputError
from propensity.schema import Column, Schema, find_column, infer_schema, resolve_columns
from propensity.schema.columns import infer_column


def infer(values: list[Any], *, missing: tuple[str, ...] = (), is_count: bool = False) -> tuple[Column | None, str]:
    return infer_column(pd.Series(values), name="x", family="fit", is_count=is_count, missing=missing)


def test_names_are_found_by_their_normalised_form() -> None:
    assert resolve_columns([" Lead  Number ", 7]) == {"lead number": " Lead  Number ", "7": 7}


def test_names_that_are_one_after_normalising_are_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"twice in the file: VISITS, visits \. Rename or remove one of each"):
        resolve_columns(["Visits", "VISITS", "visits ", "Industry"])


def test_a_missing_column_is_named_with_the_nearest_ones() -> None:
    frame = pd.DataFrame(columns=["Lead Number", "Industry"])
    with pytest.raises(InputError) as caught:
        find_column(frame, "Lead Nmber", key="columns.id")
    assert str(caught.value) == (
        "columns.id names 'Lead Nmber', which the file does not have. Did you mean 'Lead Number'? "
        "The file has: Lead Number, Industry."
    )


def test_a_missing_column_with_nothing_like_it_is_told_what_there_is() -> None:
    with pytest.raises(InputError, match=r"does not have\. The file has: Industry\.$"):
        find_column(pd.DataFrame(columns=["Industry"]), "zzz", key="columns.id")


@pytest.mark.parametrize(
    ("values", "kind", "decimal"),
    [
        ([1, 2], "number", "."),
        ([True, False], "number", "."),
        (["True", "False"], "number", "."),
        (["1.5", "2,000.5"], "number", "."),
        (["1,5", "2"], "number", ","),
        (["1.234,5", "7"], "number", ","),
        (["1.234", "7"], "number", "."),
        ([1.5, math.inf, math.inf], "number", "."),
        (["1.5", "inf", "1e308"], "number", "."),
        (["web", "fair"], "category", "."),
        (["1", "2", "3+"], "category", "."),
    ],
)
def test_a_column_is_a_number_or_a_category_by_its_cells(values: list[Any], kind: str, decimal: str) -> None:
    column, _ = infer(values)
    assert column is not None
    assert (column.kind, column.decimal) == (kind, decimal)


@pytest.mark.parametrize(("n_words", "kind"), [(1, "number"), (2, "category")])
def test_one_word_in_a_hundred_leaves_a_number_column_one(n_words: int, kind: str) -> None:
    column, note = infer([*map(str, range(100 - n_words)), *["many", "more"][:n_words]])
    assert column is not None
    assert column.kind == kind
    assert note == ("1 values that are not usable numbers were read as missing" if kind == "number" else "")


def test_infinite_values_are_missing_and_said_not_levels_of_a_category() -> None:
    column, note = infer([1.0, 2.0, math.inf, -math.inf])
    assert column is not None
    assert (column.kind, column.filled) == ("number", 0.5)
    assert note == "2 values that are not usable numbers were read as missing"


@pytest.mark.parametrize(
    ("values", "missing", "note"),
    [
        ([None, None], (), "every value is missing"),
        (["Select", ""], ("select",), "every value is missing"),
        ([math.inf, 1e308], (), "no value can be read"),
        (["$999", "999.00"], ("999",), "no value can be read"),
        ([5, 5, 5], (), "every value is the same"),
        (["Web", " web"], (), "every value is the same"),
    ],
)
def test_a_column_that_cannot_teach_is_dropped_with_the_reason(
    values: list[Any], missing: tuple[str, ...], note: str
) -> None:
    assert infer(values, missing=missing) == (None, note)


def test_one_value_and_gaps_teach_by_the_gaps() -> None:
    for values, kind in (([5, None], "number"), (["web", None], "category")):
        column, note = infer(values)
        assert (column and (column.kind, column.filled), note) == ((kind, 0.5), "")


LEADS = pd.DataFrame(
    {
        "Lead Number": ["a", "b", "c"],
        " Industry": ["Steel", "Select", "Paper"],
        "Visits": [0, 3, 999],
        "Score": [1, 2, 3],
        "Empty": [None, None, None],
    }
)


def test_a_schema_is_inferred_in_the_order_of_the_settings() -> None:
    columns = ColumnsConfig(id="lead number", fit=("industry",), behaviour=("visits",), count=("VISITS",))
    missing: dict[str, list[str | float]] = {"*": ["Select"], "visits": [999], "Lead Number": ["c"]}
    schema, notes = infer_schema(LEADS, columns, availability={}, missing=missing)
    assert schema == Schema(
        columns=(
            Column(name=" Industry", family="fit", kind="category", filled=0.666667, missing=("select",)),
            Column(
                name="Visits",
                family="behaviour",
                kind="number",
                is_count=True,
                filled=0.666667,
                missing=("999", "select"),
            ),
        ),
        id="Lead Number",
        missing=("c", "select"),
    )
    assert schema.names == (" Industry", "Visits")
    assert notes == {}


@pytest.mark.parametrize("kind", ["outcome", "mutable"])
def test_a_column_not_known_in_time_is_set_aside(kind: Any) -> None:
    columns = ColumnsConfig(fit=("Industry", "Score"))
    schema, notes = infer_schema(LEADS, columns, availability={"score": kind}, missing={})
    assert schema.names == (" Industry",)
    assert notes == {"Score": f"availability is {kind!r}: not known in time"}


@pytest.mark.parametrize("kind", ["static", "event"])
def test_a_column_known_in_time_is_kept(kind: Any) -> None:
    schema, _ = infer_schema(LEADS, ColumnsConfig(fit=("Score",)), availability={"Score": kind}, missing={})
    assert schema.names == ("Score",)


def test_a_dropped_column_leaves_its_reason() -> None:
    columns = ColumnsConfig(fit=("Industry", "Empty"))
    schema, notes = infer_schema(LEADS, columns, availability={}, missing={})
    assert (schema.names, schema.id) == ((" Industry",), None)
    assert notes == {"Empty": "every value is missing"}


def test_without_a_usable_feature_there_is_nothing_to_learn() -> None:
    with pytest.raises(InputError, match="No usable feature"):
        infer_schema(LEADS, ColumnsConfig(fit=("Empty",)), availability={}, missing={})


def test_a_schema_survives_json() -> None:
    columns = ColumnsConfig(id="Lead Number", fit=("Industry",), behaviour=("Visits",))
    schema, _ = infer_schema(LEADS, columns, availability={}, missing={"*": ["Select"]})
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema


def test_missing_column_of_a_file_without_header_shows_no_value_of_a_lead() -> None:
    frame = pd.DataFrame([["b", "2"]], columns=["ana@example.com", "17"])
    with pytest.raises(InputError, match="holds values, not names") as raised:
        find_column(frame, "Converted", key="columns.target")
    assert "ana" not in str(raised.value)
