from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.errors import InputError
from propensity.schema import Column, Schema, content_digest, partition, row_hashes, validate
from propensity.schema.cells import MAX_CELL_CHARACTERS

INDUSTRY = Column(name="Industry", family="fit", kind="category", missing=("", "select"))
VISITS = Column(name="Visits", family="behaviour", kind="number", is_count=True)
SCHEMA = Schema(columns=(INDUSTRY, VISITS), id="Id", missing=("", "n/a"))
WITHOUT_ID = Schema(columns=(INDUSTRY, VISITS), id=None, missing=("",))


def leads(*rows: tuple[Any, Any, Any]) -> pd.DataFrame:
    return pd.DataFrame([*rows], columns=["Id", "Industry", "Visits"])


def test_good_rows_are_read_and_their_ids_given_back_as_written() -> None:
    rows = partition(leads((" A1", "Steel ", "1,200"), ("a1", "SELECT", None)), SCHEMA)
    assert rows.ids.to_list() == [" A1", "a1"]
    assert rows.read["Industry"].to_list() == ["steel", None]
    np.testing.assert_array_equal(rows.read["Visits"], [1200, math.nan])
    assert rows.raw["Industry"].to_list() == ["Steel ", "SELECT"]
    assert rows.fault.tolist() == ["", ""]
    assert (rows.absent, rows.notes) == ((), {})


def test_the_frames_index_does_not_matter() -> None:
    frame = leads(("a", "Steel", 1), ("b", "Paper", 2))
    plain, odd = partition(frame, SCHEMA), partition(frame.set_axis([9, 9]), SCHEMA)
    pd.testing.assert_frame_equal(plain.read, odd.read)
    pd.testing.assert_series_equal(plain.ids, odd.ids)


def test_a_header_without_rows_is_refused() -> None:
    with pytest.raises(InputError, match="a header but no rows"):
        partition(leads(), SCHEMA)


def test_a_file_without_the_id_column_is_refused() -> None:
    with pytest.raises(InputError, match=r"columns.id names 'Id'"):
        partition(leads(("a", "Steel", 1)).drop(columns="Id"), SCHEMA)


def test_names_that_are_one_after_normalising_are_refused() -> None:
    frame = leads(("a", "Steel", 1)).assign(**{"INDUSTRY ": "Paper"})
    with pytest.raises(InputError, match="differ by more than case"):
        partition(frame, SCHEMA)


def test_an_absent_feature_is_missing_in_every_row() -> None:
    rows = partition(leads(("a", "Steel", 1)).drop(columns=["Industry", "Visits"]), SCHEMA)
    assert rows.absent == ("Industry", "Visits")
    assert rows.read.isna().to_numpy().tolist() == [[True, True]]
    assert rows.raw.columns.to_list() == ["Industry", "Visits"]


def test_without_an_id_rows_are_numbered_and_equal_ones_kept_and_counted() -> None:
    rows = partition(leads(("x", "Steel", 1), ("y", " steel", "1.0"), ("z", "Paper", 1)), WITHOUT_ID)
    assert (rows.ids.name, rows.ids.to_list()) == ("row", [1, 2, 3])
    assert rows.notes == {"duplicate_rows": 1}


def test_identical_rows_of_one_id_are_kept_once_and_counted() -> None:
    rows = partition(leads(("a", "Steel", 1), ("b", "Steel", 1), (" a", "STEEL", "1"), ("a", "Steel", 1.0)), SCHEMA)
    assert rows.ids.to_list() == ["a", "b"]
    assert rows.position.tolist() == [0, 1]
    assert rows.notes == {"identical_rows": 2}


def test_rows_of_one_id_that_differ_are_refused_by_row_number_and_never_by_value() -> None:
    frame = leads(("secret", "Steel", 1), ("b", "Steel", 1), ("secret", "Steel", 2))
    with pytest.raises(
        InputError, match=r"1 rows repeat an id with other values \(column 'Id', first data rows 3\)"
    ) as e:
        partition(frame, SCHEMA)
    assert "secret" not in str(e.value)


def test_identical_rows_must_agree_on_the_target_too() -> None:
    frame = leads(("a", "Steel", 1), ("a", "Steel", 1)).assign(Converted=["no", "yes"])
    assert partition(frame, SCHEMA).notes == {"identical_rows": 1}
    with pytest.raises(InputError, match="repeat an id with other values"):
        partition(frame, SCHEMA, also=["converted"])


def test_a_row_without_an_id_is_kept_and_marked() -> None:
    rows = partition(leads(("N/A", "Steel", 1), (None, "Steel", 1), ("a", "Steel", 1)), SCHEMA)
    assert rows.fault.tolist() == ["NO_ID", "NO_ID", ""]
    assert rows.notes == {"missing_ids": 2}


def test_a_negative_count_makes_the_row_bad_and_no_other() -> None:
    rows = partition(leads(("a", "Steel", -1), ("b", "Steel", 0)), SCHEMA)
    assert rows.fault.tolist() == ["INVALID_ROW", ""]
    assert rows.notes == {"negative_counts": 1}


def test_a_category_cannot_be_a_negative_count() -> None:
    schema = Schema(columns=(Column(name="Visits", family="fit", kind="category", is_count=True),), id=None, missing=())
    assert partition(leads(("a", "Steel", "-1")), schema).fault.tolist() == [""]
    assert validate(leads(("a", "Steel", "-1")), schema).fault.tolist() == [""]


def test_a_cell_longer_than_any_lead_field_makes_the_row_bad() -> None:
    rows = partition(leads(("a", "x" * (MAX_CELL_CHARACTERS + 1), 1), ("b", "Steel", 1)), SCHEMA)
    assert rows.fault.tolist() == ["INVALID_ROW", ""]
    assert rows.notes == {"too_long": 1}


def test_numbers_that_cannot_be_used_are_counted() -> None:
    assert partition(leads(("a", "Steel", "many"), ("b", "Steel", "inf")), SCHEMA).notes == {"unusable_numbers": 2}


def test_training_refuses_all_bad_rows_at_once() -> None:
    frame = leads(("a", "Steel", 1), ("b", "x" * (MAX_CELL_CHARACTERS + 1), 1), ("c", "Steel", -2), ("d", "Steel", -1))
    with pytest.raises(InputError) as caught:
        validate(frame, SCHEMA)
    assert str(caught.value).splitlines() == [
        "'Visits' is declared a count, but 2 rows are negative (first data rows 3, 4). "
        "Mend them, or take it out of columns.count.",
        "1 rows hold a cell of more than 65,536 characters (first data rows 2). Shorten it, or ignore the column.",
    ]


def test_training_drops_rows_without_an_id_and_says_where_the_others_stood() -> None:
    frame = leads((None, "Steel", 1), ("a", "Steel", 1), ("a", "Steel", 1), ("b", "Paper", 2))
    rows = validate(frame, SCHEMA)
    assert rows.ids.to_list() == ["a", "b"]
    assert rows.position.tolist() == [1, 3]
    assert rows.read["Industry"].to_list() == rows.raw["Industry"].str.lower().to_list() == ["steel", "paper"]
    assert rows.fault.tolist() == ["", ""]
    assert rows.notes == {"missing_ids": 1, "identical_rows": 1}


def test_rows_that_read_the_same_have_the_same_hash() -> None:
    # NumPy's 0/0 gives a NaN with its sign bit set.
    values = pd.DataFrame(
        {"n": [0.0, -0.0, math.nan, np.copysign(math.nan, -1), 1.0], "c": ["a", "a", None, None, "a"]}
    )
    hashes = row_hashes(values)
    assert hashes[0] == hashes[1]
    assert hashes[2] == hashes[3]
    assert len({*hashes}) == 3


def test_a_rows_hash_does_not_depend_on_the_other_rows() -> None:
    values = pd.DataFrame({"n": [1.0, 2.0, 3.0], "c": ["a", None, "b"]})
    alone = [row_hashes(values.iloc[[i]])[0] for i in range(3)]
    assert row_hashes(values).tolist() == alone


def test_the_hash_sees_which_column_a_value_is_in() -> None:
    one, other = row_hashes(pd.DataFrame({"a": ["x", "y"], "b": ["y", "x"]}))
    assert one != other


def test_the_digest_of_the_data_follows_keys_not_file_order() -> None:
    values = pd.DataFrame({"n": [1.0, 2.0], "c": ["a", None]})
    digest = content_digest(values, order=["k1", "k2"])
    assert content_digest(values.iloc[::-1], order=["k2", "k1"]) == digest
    assert content_digest(values.iloc[::-1], order=["k1", "k2"]) != digest


def test_the_digest_without_keys_keeps_the_given_order() -> None:
    values = pd.DataFrame({"n": [1.0, 2.0]})
    assert content_digest(values, order=None) != content_digest(values.iloc[::-1], order=None)


@pytest.mark.parametrize(
    "changed",
    [
        pd.DataFrame({"n": [1.0, math.nan], "c": ["a", 'b"\u2028,']}),
        pd.DataFrame({"n": [1.0, 2.5], "c": ["a", None]}),
        pd.DataFrame({"m": [1.0, math.nan], "c": ["a", None]}),
    ],
)
def test_the_digest_sees_every_value_and_name(changed: pd.DataFrame) -> None:
    values = pd.DataFrame({"n": [1.0, math.nan], "c": ["a", None]})
    assert content_digest(changed, order=None) != content_digest(values, order=None)


def test_a_row_in_which_nothing_is_known_has_its_line_in_the_digest() -> None:
    values = pd.DataFrame({"n": [math.nan, 1.0]})
    assert content_digest(values, order=["b", "a"]) == content_digest(values.iloc[::-1], order=["a", "b"])
