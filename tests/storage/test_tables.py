from __future__ import annotations

import csv
import gzip
import io
import os
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propensity.errors import InputError
from propensity.storage import tables
from propensity.storage.csvs import parse_csv, sniff_dialect, sniff_encoding
from propensity.storage.tables import read_leads, read_table

HEADER = ["Lead ID", "Opomba", "Revenue"]
ROWS = [["007", "čist; zadeva", "1,5"], ["008", "two\nlines | \t here", ""], ["009", 'says "hi"', "0"]]
CLEAN = pd.DataFrame(ROWS, columns=pd.Index(HEADER, dtype=object), dtype=str)


def as_csv(rows: list[list[str]], *, delimiter: str = ",", newline: str = "\n") -> str:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator=newline).writerows([HEADER, *rows])
    return out.getvalue()


def reading(content: bytes | str) -> pd.DataFrame:
    return parse_csv(content.encode() if isinstance(content, str) else content, name="leads.csv")


def refusal(content: bytes | str) -> str:
    with pytest.raises(InputError) as caught:
        reading(content)
    return str(caught.value)


def stored(folder: Path, content: bytes, name: str = "leads.csv") -> pd.DataFrame:
    path = folder / name
    path.write_bytes(content)
    return read_leads(path).leads


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_same_leads_read_the_same_whatever_delimiter_and_line_end(delimiter: str, newline: str) -> None:
    pd.testing.assert_frame_equal(reading(as_csv(ROWS, delimiter=delimiter, newline=newline)), CLEAN)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "bom utf-16-be", "two marks"]
)
def test_the_same_leads_read_the_same_whatever_unicode_encoding(encoding: str) -> None:
    text = as_csv(ROWS)
    written = {
        "bom utf-16-be": b"\xfe\xff" + text.encode("utf-16-be"),
        "two marks": b"\xef\xbb\xbf" * 2 + text.encode(),  # saved twice by an editor that adds a mark
    }
    content = written.get(encoding) or text.encode(encoding)
    pd.testing.assert_frame_equal(reading(content), CLEAN)


def test_what_is_no_utf_8_is_read_as_cp1252() -> None:
    content = 'id;note\n1;"café €"\n'.encode("cp1252")
    assert sniff_encoding(content) == "cp1252"
    assert reading(content).to_dict("records") == [{"id": "1", "note": "café €"}]


def test_bytes_that_cp1252_lacks_are_read_as_latin_1() -> None:
    assert sniff_encoding(b"id,note\n1,\x81\xe9\n") == "latin-1"


def test_text_of_odd_length_after_a_utf_16_mark_still_reads() -> None:
    assert reading("id,a\n1,2\n".encode("utf-16") + b"\x31").iloc[0].to_list() == ["1", "2"]


@pytest.mark.parametrize(
    "text",
    [
        "id,a,\n1,2,\n3,4,\n",  # a delimiter at the end of every line
        "id,a\n1,2,\n3,4,\n",  # of every line but the header
        "id,a,\n1,2\n3,4\n",  # of the header alone
        "id,a,\n1,2,\n3,4\n",  # of some
        '"id,a"\n"1,2"\n"3,4"\n',  # whole rows in quotes, as one text column
        '"id,""a"""\n"1,""2"""\n"3,4"\n',
        "\n \r\nid,a\n1,2\n\n3,4\n\n",  # blank lines above, between and below
        "id,a\r1,2\r3,4\r",  # line ends of old Macs
        " id , a \n1,2\n3,4",  # padded names, no last line end
    ],
)
def test_two_leads_of_two_columns_are_found(text: str) -> None:
    assert reading(text).to_dict("records") == [{"id": "1", "a": "2"}, {"id": "3", "a": "4"}]


def test_cells_stay_the_text_they_are() -> None:
    cells = ["007", "1e5", "NA", "nan", "None", "TRUE", " padded ", "#1", "2024-01-02", "9007199254740993"]
    frame = reading("id,a\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells)))
    assert frame["a"].to_list() == cells
    assert [str(dtype) for dtype in frame.dtypes] == ["str", "str"]


def test_cells_that_a_row_lacks_at_its_end_are_empty() -> None:
    assert reading("id,a,b\n1,2,3\n4,5\n6\n").to_numpy().tolist() == [["1", "2", "3"], ["4", "5", ""], ["6", "", ""]]


def test_decimal_commas_do_not_split_a_semicolon_file() -> None:
    assert reading("id;a\n1;2,5\n2;3,5\n").to_numpy().tolist() == [["1", "2,5"], ["2", "3,5"]]


def test_most_columns_win_where_two_delimiters_agree_in_every_line() -> None:
    dialect = sniff_dialect("id;Revenue, EUR;b\n1;2,5;x\n", encoding="utf-8")
    assert dialect is not None
    assert (dialect.delimiter, dialect.is_row_quoted) == (";", False)


def test_names_that_stand_twice_are_kept_apart() -> None:
    frame = reading("id,Visits,Visits\n1,2,3\n")
    assert frame.columns.to_list() == ["id", "Visits", "Visits"]
    assert frame.iloc[0].to_list() == ["1", "2", "3"]


@pytest.mark.parametrize("name", ["x" * 500, "država/regija 🦉", '{"a": [1, 2]}', "a\nb", "=1+1", "'", "[x].y"])
def test_names_are_kept_whatever_they_hold(name: str) -> None:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([["id", name], ["1", "2"]])
    assert reading(out.getvalue()).columns.to_list() == ["id", name]


@pytest.mark.parametrize("size", [64 * 1024, 200_000])
@pytest.mark.parametrize("row", ['7,"{}"\n8,b\n', '"7,{}"\n"8,b"\n'])
def test_a_huge_cell_is_read_whole(size: int, row: str) -> None:
    header = '"id,note"\n' if row.startswith('"') else "id,note\n"
    before = csv.field_size_limit(131_072)  # Python's default, which another read may have raised
    try:
        frame = reading(header + row.format("x" * size))
    finally:
        csv.field_size_limit(before)
    assert frame["id"].to_list() == ["7", "8"]
    assert len(frame["note"].iloc[0]) == size


def test_a_header_alone_gives_no_lead() -> None:
    frame = reading("id,a\n")
    assert (frame.columns.to_list(), len(frame)) == (["id", "a"], 0)


def test_five_thousand_columns_are_read() -> None:
    names = [f"column number {i}" for i in range(5000)]
    frame = reading(",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
    assert frame.columns.to_list() == names


@pytest.mark.parametrize("page", ["<!DOCTYPE html><html>", "\n  <HTML><body>", '<?xml version="1.0"?>'])
def test_a_web_page_is_no_table(page: str) -> None:
    assert f"it starts with '{page.strip()[:12]}" in refusal(f"{page}\n<p>404, not found, sorry</p>\n")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \r\n\t\n", "is empty"),
        (b"not found: 404\nsorry", "is not a table: no line of it splits"),
        (b"id\n1\n2\n", "is not a table: no line of it splits"),
        (b"id,a\n1,2\x00,3\n", "is not a table: it holds binary data"),
        (np.random.default_rng(0).bytes(5000), "is not a table: it holds binary data"),
        (struct.pack("<200d", *range(200)), "is not a table: it holds binary data"),
    ],
)
def test_what_is_no_table_is_refused_with_a_reason(content: bytes, why: str) -> None:
    assert f"leads.csv {why}" in refusal(content)


def test_a_web_address_saved_for_a_file_is_no_table() -> None:
    assert "is not a table" in refusal(b"version https://a.b\n")  # 20 bytes


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("id,a\n1,2\n3,4,5\n", r"do not agree on their columns (line 3)"),
        ("id,a\n" + "1,2\n" * 5 + "3,4,5\n", r"do not agree on their columns (line 7)"),
        ("id,a\n1,2,3,4\n5,6,7,8\n", "do not agree on their columns"),
        ("id,a\n1,2,3\n5,6,7\n", "a column with values but no name (column 3)"),
        ("id,,a\n1,2,3\n", "a column with values but no name (column 2)"),
        ('id,a\n1,"2\n3,4\n5,6\n', "do not agree on their columns"),
        ("id,a\n1,2\n3;4\n5;6\n", "2 rows are split by ';', the header by ',' (first data row 2)"),
    ],
)
def test_rows_that_do_not_fit_the_header_are_refused(text: str, why: str) -> None:
    assert why in refusal(text)


@pytest.mark.parametrize(
    ("magic", "what"),
    [
        (b"PK\x03\x04", "an Excel workbook"),
        (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
        (b"%PDF-1.7", "a PDF"),
        (b"\x89PNG", "a picture"),
    ],
)
def test_other_kinds_of_file_are_named(tmp_path: Path, magic: bytes, what: str) -> None:
    for content in (magic + b"id,a\n1,2\n", gzip.compress(magic + b"id,a\n1,2\n")):
        with pytest.raises(InputError, match=rf"leads\.csv is not a table: it is {what}"):
            stored(tmp_path, content)


def test_gzip_is_told_by_its_bytes_not_its_name(tmp_path: Path) -> None:
    for content in (as_csv(ROWS).encode(), as_csv(ROWS, delimiter="\t").encode("utf-16")):
        pd.testing.assert_frame_equal(stored(tmp_path, gzip.compress(content)), CLEAN)


def test_parquet_holds_the_same_leads_zipped_or_not_alone_or_in_parts(tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    CLEAN.to_parquet(whole)
    parts = tmp_path / "parts"
    parts.mkdir()
    CLEAN.iloc[:2].to_parquet(parts / "0.parquet")
    CLEAN.iloc[2:].to_parquet(parts / "1.parquet")
    (parts / "_SUCCESS").touch()
    assert read_leads(whole).source == "whole.parquet"
    for frame in (
        read_leads(whole).leads,
        read_leads(parts).leads,
        stored(tmp_path, gzip.compress(whole.read_bytes())),
        stored(tmp_path, whole.read_bytes(), "wrongly_named.csv"),
    ):
        pd.testing.assert_frame_equal(frame, CLEAN)


def test_parquet_columns_keep_their_types(tmp_path: Path) -> None:
    typed = pd.DataFrame(
        {
            "id": [1, 2],
            "seen": pd.to_datetime(pd.Series(["2024-01-02", None])),
            "visits": [1.5, None],
            "demo": [True, False],
        }
    )
    typed.to_parquet(tmp_path / "leads.parquet")
    pd.testing.assert_frame_equal(read_leads(tmp_path / "leads.parquet").leads, typed, check_column_type=False)


def test_an_id_that_was_the_index_of_the_frame_is_a_column(tmp_path: Path) -> None:
    CLEAN.set_index("Lead ID").to_parquet(tmp_path / "leads.parquet")
    pd.testing.assert_frame_equal(read_leads(tmp_path / "leads.parquet").leads, CLEAN)


def test_row_numbers_that_a_filter_left_are_no_column(tmp_path: Path) -> None:
    CLEAN.iloc[1:].to_parquet(tmp_path / "leads.parquet")
    pd.testing.assert_frame_equal(read_leads(tmp_path / "leads.parquet").leads, CLEAN.iloc[1:].reset_index(drop=True))


def test_column_names_of_parquet_are_text(tmp_path: Path) -> None:
    pd.DataFrame({0: ["a"], 1: ["b"]}).to_parquet(tmp_path / "leads.parquet")
    assert read_leads(tmp_path / "leads.parquet").leads.columns.to_list() == ["0", "1"]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_parquet_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    CLEAN.to_parquet(tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    cut = content[: max(4, int(share * len(content)))]
    with pytest.raises(InputError, match=r"leads\.csv is not readable Parquet"):
        stored(tmp_path, cut)
    with pytest.raises(InputError, match="is not readable Parquet"):
        stored(tmp_path, gzip.compress(cut))


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no Parquet file"):
        read_leads(tmp_path)
    (tmp_path / "README.txt").write_text("nothing here")
    with pytest.raises(InputError, match="is not readable Parquet"):
        read_leads(tmp_path)


@pytest.mark.parametrize("kept", [2, 10, -9, -1])
def test_gzip_cut_short_is_refused(tmp_path: Path, kept: int) -> None:
    with pytest.raises(InputError, match=r"leads\.csv is a broken gzip file"):
        stored(tmp_path, gzip.compress(b"id,a\n1,2\n")[:kept])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv does not exist"):
        read_leads(tmp_path / "none.csv")


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_path_that_cannot_be_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_leads(tmp_path / name)


def test_no_cell_of_a_lead_is_in_a_refusal(tmp_path: Path) -> None:
    secret = "ana@example.com"  # noqa: S105 - a lead's e-mail
    for text in (f"{secret}\n{secret}\n", f"id,a\n1,{secret}\n2,{secret},{secret}\n", f"id,\n1,{secret}\n"):
        assert secret not in refusal(text)
    with pytest.raises(InputError) as caught:
        stored(tmp_path, gzip.compress(secret.encode())[:-4])
    assert secret not in str(caught.value)


def test_parquet_index_that_is_a_column_too_is_read_once(tmp_path: Path) -> None:
    frame = pd.DataFrame({"Lead": ["a", "b"], "Visits": [1, 2]})
    frame.set_index("Lead", drop=False).to_parquet(tmp_path / "leads.parquet")
    assert [*read_leads(tmp_path / "leads.parquet").leads.columns] == ["Lead", "Visits"]


LOG = pd.DataFrame(
    {
        "Lead ID": [None, "a", "b", "a", "c"] * 1000,
        "when": pd.to_datetime(["2026-01-01 10:00"] * 5000),
        "what": ["visit", None, "call", "visit", "call"] * 1000,
        "n": pd.array([1, None, 3, 4, 5] * 1000, dtype="Int64"),
        "note": [f"note {i}" for i in range(5000)],
    }
).astype({"Lead ID": "str", "what": "str", "note": "str"})


def log_file(folder: Path, form: str) -> Path:
    path = folder / form
    plain = pa.Table.from_pandas(LOG)
    if form == "of pandas":
        LOG.to_parquet(path, row_group_size=700)
    elif form == "of pandas, the id its index":
        LOG.set_index("Lead ID").to_parquet(path)
    elif form == "of another tool":
        fields = [
            field.with_type(pa.string()) if pa.types.is_large_string(field.type) else field for field in plain.schema
        ]
        pq.write_table(plain.cast(pa.schema(fields)).replace_schema_metadata(None), path, row_group_size=700)
    elif form == "of categories":
        LOG.astype({"Lead ID": "category", "what": "category"}).to_parquet(path)
    elif form == "zipped":
        path.write_bytes(gzip.compress(log_file(folder, "of pandas").read_bytes()))
    elif form == "in parts":
        path.mkdir()
        # No part knows all leads or types.
        for name in ("a", "b"):
            LOG[LOG["Lead ID"] == name].reset_index(drop=True).to_parquet(path / f"{name}.parquet")
    else:
        LOG.to_csv(path, index=False)
    return path


FORMS = ["of pandas", "of pandas, the id its index", "of another tool", "of categories", "zipped", "in parts", "csv"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("query", ["", "SELECT * FROM source"])
def test_texts_asked_for_as_categories_say_the_same(
    tmp_path: Path, form: str, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "CHUNK_VECTORS", 1)
    path = log_file(tmp_path, form)
    if query and form == "zipped":
        query = ""  # queries are over plain Parquet
    plain = read_table(path, query=query)
    coded = read_table(path, query=query, categories=["lead id", "WHAT", "when", "n", "not there"])
    assert {name for name in coded if coded[name].dtype == "category"} >= {"Lead ID", "what"}
    assert coded["note"].dtype == plain["note"].dtype
    as_text = {"Lead ID": "str", "what": "str"} | ({"when": "str", "n": "str"} if form == "csv" else {})
    pd.testing.assert_frame_equal(coded.astype(as_text), plain.astype(as_text))


@pytest.mark.parametrize("where", ["FALSE", '"Lead ID" IS NULL'])
def test_what_a_query_gives_without_a_text_can_be_categories(tmp_path: Path, where: str) -> None:
    query = f'SELECT "Lead ID", n FROM source WHERE {where}'
    frame = read_table(log_file(tmp_path, "of pandas"), query=query, categories=["Lead ID"])
    assert frame["Lead ID"].dtype == "category"
    assert frame["Lead ID"].isna().all()
    assert len(frame) == (0 if where == "FALSE" else 1000)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "leads.csv")
    with pytest.raises(InputError, match="is no file: what comes through a pipe cannot be read more than once"):
        read_leads(tmp_path / "leads.csv")


def test_lines_without_ends_are_no_columns(tmp_path: Path) -> None:
    (tmp_path / "leads.csv").write_text("a,b," * 40_000)
    with pytest.raises(InputError, match=r"has 80,001 columns; at most 50,000 are read\. Does it lack"):
        read_leads(tmp_path / "leads.csv")
