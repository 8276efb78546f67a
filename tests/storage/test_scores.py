from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propensity.errors import InputError, OutputError
from propensity.storage.scores import ScoreFormat, arrow_type, check_output, neutralise


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


def write_scores(frame: pd.DataFrame, path: Path, *, sizes: tuple[int, ...] = (2,)) -> None:
    """Write score rows in parts of such sizes."""
    told = ScoreFormat(suffix=path.suffix.lower())
    folder = path.parent / f"parts of {path.name}"
    folder.mkdir()
    try:
        for i, size in enumerate(sizes):
            start = sum(sizes[:i])
            (folder / str(i)).write_bytes(told.part(frame.iloc[start : start + size]))
        told.join([[folder / str(i)] for i in range(len(sizes))], frame.iloc[:0], path)
    finally:
        shutil.rmtree(folder)


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

    with pytest.raises((ValueError, TypeError)):
        write_scores(scores(**{"Lead ID": np.array(["007", Unwritable()], dtype=object)}), path)
    assert path.read_text() == "older scores"
    with pytest.raises(OutputError, match="What stood there before is intact"):
        ScoreFormat(suffix=path.suffix).join([[tmp_path / "a part that is gone"]], scores().iloc[:0], path)
    assert path.read_text() == "older scores"
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_the_same_scores_are_the_same_bytes(tmp_path: Path) -> None:
    for suffix in ("csv", "parquet"):
        for name in ("a", "b"):
            write_scores(scores(), tmp_path / f"{name}.{suffix}")
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


@pytest.mark.parametrize("name", ["scores.csv", "scores.parquet"])
def test_parts_are_joined_in_order_and_one_of_them_may_be_empty(tmp_path: Path, name: str) -> None:
    write_scores(scores(), tmp_path / f"whole {name}")
    write_scores(scores(), tmp_path / f"parts {name}", sizes=(1, 0, 1))
    read = pd.read_csv if name.endswith("csv") else pd.read_parquet
    pd.testing.assert_frame_equal(read(tmp_path / f"whole {name}"), read(tmp_path / f"parts {name}"))


def test_a_column_has_one_type_in_every_part(tmp_path: Path) -> None:
    frame = scores(as_of=[None, "2026-01-01"], probability=[np.nan, np.nan])
    write_scores(frame, tmp_path / "scores.parquet", sizes=(1, 1))
    assert pq.read_schema(tmp_path / "scores.parquet").field("as_of").type == pa.string()
    assert pq.read_table(tmp_path / "scores.parquet")["as_of"].to_pylist() == [None, "2026-01-01"]


def test_ids_keep_the_type_they_came_in() -> None:
    assert arrow_type(pd.Series([1, None], dtype="Int64")) == pa.int64()
    assert arrow_type(pd.Series(["007", None], dtype=object)) == pa.string()
    assert arrow_type(pd.Series([None], dtype=object)) is None
    part = ScoreFormat(suffix=".parquet", id_type=pa.int64()).part(scores(**{"Lead ID": [1, None]}))
    assert pq.read_table(pa.BufferReader(part))["Lead ID"].to_pylist() == [1, None]
