"""CSV a chunk at a time is CSV as a whole."""

import io

import pandas as pd
import pytest

from propensity.errors import InputError
from propensity.storage.csvs import csv_chunks, encoding_of, parse_csv, sniff_encoding

ROWS = [f"{i:03};{'x' * (i % 3)};ü {i}" for i in range(25)]
TEXT = "\ufeff\n\n Id ; note;Name\n" + "\n".join(ROWS) + "\n"


def chunks(text: str, n_rows: int, columns: list[str] | None = None) -> list[pd.DataFrame]:
    return [*csv_chunks(lambda: io.StringIO(text, newline=""), name="leads.csv", n_rows=n_rows, columns=columns)]


@pytest.mark.parametrize("n_rows", [1, 7, 25, 100])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_chunks_are_the_whole(n_rows: int, end: str) -> None:
    text = TEXT.replace("\n", end)
    whole = parse_csv(text.encode(), name="leads.csv")
    parts = chunks(text, n_rows)
    assert all(len(part) == n_rows for part in parts[:-1])
    pd.testing.assert_frame_equal(pd.concat(parts), whole)


def test_rows_that_are_one_quoted_cell_come_in_chunks_too() -> None:
    text = '"id,job"\n' + "".join(f'"{i},""job {i}"""\n' for i in range(9))
    parts = chunks(text, 4)
    assert pd.concat(parts)["job"].to_list() == [f"job {i}" for i in range(9)]


@pytest.mark.parametrize("wide_row", [0, 5, 20])
def test_a_row_that_holds_too_much_is_refused_wherever_it_is(wide_row: int) -> None:
    rows = [f"{row};more" if i == wide_row else row for i, row in enumerate(ROWS)]
    with pytest.raises(InputError, match=r"do not agree|no name"):
        chunks("a;b;c\n" + "\n".join(rows), 4)


def test_a_delimiter_at_the_end_of_every_row_is_no_cell() -> None:
    text = "id,job\n" + "".join(f"{i},x,\n" for i in range(9))
    assert [[*part.columns] for part in chunks(text, 4)] == [["id", "job"]] * 3


def test_only_the_columns_asked_for() -> None:
    (part,) = chunks(TEXT, 100, columns=["ID", "name"])
    assert [*part.columns] == ["Id", "Name"]


def test_a_header_alone_is_one_chunk_without_rows() -> None:
    (part,) = chunks("id,job\n", 4)
    assert ([*part.columns], len(part)) == (["id", "job"], 0)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_blocks_tell_the_encoding_as_the_whole_does(encoding: str) -> None:
    content = "id,name\n1,Zoë\n".encode(encoding)
    expected = sniff_encoding(content)
    assert expected == encoding
    assert encoding_of(content[i : i + 1024] for i in range(0, len(content), 1024)) == expected
    if not encoding.startswith("utf-16"):
        # A character may be cut in two.
        assert encoding_of([content[:11], content[11:]]) == expected
