from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propensity.errors import InputError, OutputError
from propensity.storage.scores import check_output, neutralise, write_scores


def scores(**columns: Any) -> pd.DataFrame:
    """Two leads as scoring gives them."""
    return pd.DataFrame(
        {
            "Lead ID": ["007", "008"],
            "probability": [0.25, np.nan],
            "certified": pd.array([True, None], dtype="boolean"),
            "points": [-5.0, 30.0],
            "reason_1": ["Pages: 7 (typical 2), +3.1 points", ""],
            "reason_2": ["Job: clerk, -1.0 points", ""],
            **columns,
        }
    )


def cells(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [*csv.reader(file)]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\0", "＝", "＋", "－", "＠"])  # noqa: RUF001
def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe(start: str) -> None:
    safe = neutralise(pd.DataFrame({"id": [f"{start}cmd|' /C calc'!A0", f"a{start}b", None]}))
    assert safe["id"].to_list()[:2] == [f"'{start}cmd|' /C calc'!A0", f"a{start}b"]
    assert safe["id"].isna().to_list() == [False, False, True]


@pytest.mark.parametrize("name", ['=HYPERLINK("x")', "@id", "-id"])
def test_a_column_name_that_a_spreadsheet_would_run_gets_one_too(name: str) -> None:
    assert neutralise(pd.DataFrame({name: ["a"]})).columns.to_list() == [f"'{name}"]


def test_numbers_stay_numbers() -> None:
    frame = pd.DataFrame({"points": [-5.0, 30.0], "n": [-1, 2], "at": pd.to_datetime(pd.Series(["2024-01-02", None]))})
    pd.testing.assert_frame_equal(neutralise(frame), frame)


@pytest.mark.parametrize(
    ("text", "written"),
    [("-5", "-5"), ("+5.25", "+5.25"), ("-5+1", "'-5+1"), ("--5", "'--5"), ("-", "'-"), ("-1e5()", "'-1e5()")],
)
def test_a_signed_number_written_as_text_stays_and_a_sum_does_not(text: str, written: str) -> None:
    assert neutralise(pd.DataFrame({"id": [text]}))["id"].to_list() == [written]


def test_levels_of_a_categorical_column_are_neutralised() -> None:
    frame = pd.DataFrame({"source": pd.Categorical(["=1+1", "web", "=1+1"])})
    assert neutralise(frame)["source"].to_list() == ["'=1+1", "web", "'=1+1"]


def test_the_frame_that_is_given_is_left_as_it_is() -> None:
    frame = pd.DataFrame({"id": ["=1+1"]})
    neutralise(frame)
    assert frame["id"].to_list() == ["=1+1"]


def test_a_csv_holds_every_lead_in_order(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    write_scores(scores(**{"Lead ID": ["=007", 'š, "x"\ny']}), path)
    assert cells(path) == [
        ["Lead ID", "probability", "certified", "points", "reason_1", "reason_2"],
        ["'=007", "0.25", "True", "-5.0", "Pages: 7 (typical 2), +3.1 points", "Job: clerk, -1.0 points"],
        ['š, "x"\ny', "", "", "30.0", "", ""],
    ]
    assert b"\r" not in path.read_bytes()


def test_ids_are_not_touched_in_parquet(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    write_scores(scores(**{"Lead ID": ["=007", "-x"]}), path)
    assert pd.read_parquet(path)["Lead ID"].to_list() == ["=007", "-x"]


def test_parquet_ends_with_the_reasons_as_structs(tmp_path: Path) -> None:
    path = tmp_path / "scores.PARQUET"
    write_scores(scores(), path)
    table = pq.read_table(path)
    assert table.column_names == [*scores().columns, "reasons"]
    assert table["reasons"].to_pylist() == [
        [{"rank": 1, "text": "Pages: 7 (typical 2), +3.1 points"}, {"rank": 2, "text": "Job: clerk, -1.0 points"}],
        [],
    ]


@pytest.mark.parametrize("n_reasons", [0, 1, 2])
def test_reasons_have_one_type_even_where_no_lead_has_any(tmp_path: Path, n_reasons: int) -> None:
    frame = scores(reason_1=["", ""], reason_2=["", ""])
    frame = frame.drop(columns=["reason_1", "reason_2"][n_reasons:])
    write_scores(frame, tmp_path / "scores.parquet")
    kind = pq.read_schema(tmp_path / "scores.parquet").field("reasons").type
    assert kind.value_type == pa.struct([("rank", pa.int64()), ("text", pa.string())])


@pytest.mark.parametrize("name", ["scores", "scores.xlsx", "scores.csv.gz", ".csv"])
def test_another_form_of_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"written as \.csv or \.parquet"):
        check_output(tmp_path / name)


def test_a_place_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OutputError, match=r"folder\.csv: it is a folder"):
        check_output(tmp_path / "folder.csv")
    with pytest.raises(OutputError, match=r"does not exist\. Make it first"):
        check_output(tmp_path / "none" / "scores.csv")


@pytest.mark.parametrize("name", ["scores.csv", "scores.parquet"])
def test_a_write_that_fails_leaves_the_older_scores_alone(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("older scores")

    class Unwritable:
        def __str__(self) -> str:
            raise ValueError

    # The CSV writer fails in the middle of the file, after the first lead; Parquet before it.
    with pytest.raises((ValueError, TypeError)):
        write_scores(scores(**{"Lead ID": np.array(["007", Unwritable()], dtype=object)}), path)
    assert path.read_text() == "older scores"
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_the_same_scores_are_the_same_bytes(tmp_path: Path) -> None:
    for suffix in ("csv", "parquet"):
        for name in ("a", "b"):
            write_scores(scores(), tmp_path / f"{name}.{suffix}")
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
