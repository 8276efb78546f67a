"""A lead file in chunks is the file as a whole, in memory that does not grow with it."""

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propensity.errors import InputError
from propensity.schema import canonical_text
from propensity.storage.chunks import LeadFile, fingerprint, open_leads
from propensity.storage.tables import read_leads

N_ROWS = 50
LEADS = pd.DataFrame(
    {
        "Lead": [f"L{i}" for i in range(N_ROWS)],
        "visits": pd.array([None if i % 20 == 0 else i for i in range(N_ROWS)], dtype="Int64"),
        "spent": np.where(np.arange(N_ROWS) % 3 == 0, np.nan, np.arange(N_ROWS) / 4),
        "asked": pd.array([None if i < 30 else i % 2 == 0 for i in range(N_ROWS)], dtype="boolean"),
        "job": pd.Categorical([None if i < 20 else f"job {i % 4}" for i in range(N_ROWS)]),
        "since": pd.date_range("2026-01-01", periods=N_ROWS, tz="Europe/Paris"),
    }
)


def opened(path: Path) -> LeadFile:
    file = open_leads(path)
    assert file is not None
    return file


def texts(frame: pd.DataFrame) -> list[list[str | None]]:
    return [[canonical_text(cell) for cell in row] for row in frame.astype(object).to_numpy()]


def written(folder: Path, kind: str) -> Path:
    path = folder / kind
    if kind == "leads.csv":
        LEADS.to_csv(path, index=False)
    elif kind == "leads.csv.gz":
        path.write_bytes(gzip.compress(LEADS.to_csv(index=False, sep=";").encode("utf-16")))
    elif kind == "leads.parquet":
        LEADS.to_parquet(path, row_group_size=17)
    elif kind == "index.parquet":
        LEADS.set_index("Lead").to_parquet(path)
    else:
        for month, part in LEADS.groupby(LEADS["since"].dt.month):
            (path / f"month={month}").mkdir(parents=True)
            part.to_parquet(path / f"month={month}" / "part.parquet", index=False)
        (path / "_SUCCESS").write_text("")
    return path


KINDS = ["leads.csv", "leads.csv.gz", "leads.parquet", "index.parquet", "folder"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_rows", [7, 17, N_ROWS, 1000])
def test_chunks_say_what_the_whole_says(tmp_path: Path, kind: str, n_rows: int) -> None:
    path = written(tmp_path, kind)
    file, whole = opened(path), read_leads(path).leads
    chunks = [*file.chunks(n_rows)]
    assert [len(chunk) for chunk in chunks[:-1]] == [n_rows] * (len(chunks) - 1)
    assert {*file.columns} == {*whole.columns}
    together = pd.concat(chunks)
    assert together.index.to_list() == [*range(N_ROWS)]
    assert texts(together[whole.columns]) == texts(whole)


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_has_one_type_in_every_chunk(tmp_path: Path, kind: str) -> None:
    chunks = [*opened(written(tmp_path, kind)).chunks(7)]
    assert len({tuple(map(str, chunk.dtypes.where(chunk.dtypes != "category"))) for chunk in chunks}) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_columns_that_are_asked_for(tmp_path: Path, kind: str) -> None:
    (chunk,) = opened(written(tmp_path, kind)).chunks(N_ROWS, columns={" LEAD"})
    assert (chunk.columns.to_list(), chunk["Lead"].to_list()) == (["Lead"], LEADS["Lead"].to_list())


def test_no_rows_are_one_empty_chunk(tmp_path: Path) -> None:
    LEADS.iloc[:0].to_parquet(tmp_path / "leads.parquet")
    (chunk,) = opened(tmp_path / "leads.parquet").chunks(10)
    assert chunk.shape == (0, LEADS.shape[1])


def test_parts_with_other_columns_are_refused_and_other_types_cast_or_refused(tmp_path: Path) -> None:
    folder = tmp_path / "leads"
    folder.mkdir()
    pq.write_table(pa.table({"Lead": ["a"], "visits": [1.0]}), folder / "1.parquet")
    pq.write_table(pa.table({"Lead": ["b"], "visits": [2]}), folder / "2.parquet")
    assert pd.concat(opened(folder).chunks(1))["visits"].to_list() == [1.0, 2.0]
    pq.write_table(pa.table({"Lead": ["b"], "visits": ["two"]}), folder / "2.parquet")
    says = r"2.parquet: column 'visits' holds string, which does not fit the double of the first file"
    with pytest.raises(InputError, match=says):
        list(opened(folder).chunks(1))
    pq.write_table(pa.table({"Lead": ["b"]}), folder / "2.parquet")
    with pytest.raises(InputError, match="other columns"):
        opened(folder)


def test_a_broken_row_group_is_found_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "leads.parquet"
    LEADS.to_parquet(path, row_group_size=25)
    content = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    content[start : start + 40] = b"\xff" * 40
    path.write_bytes(content)
    chunks = opened(path).chunks(10)
    assert len(next(chunks)) == 10
    with pytest.raises(InputError, match="broken, cut short or encrypted"):
        list(chunks)


def test_zipped_parquet_can_only_be_read_whole(tmp_path: Path) -> None:
    LEADS.to_parquet(tmp_path / "leads.parquet")
    (tmp_path / "leads.gz").write_bytes(gzip.compress((tmp_path / "leads.parquet").read_bytes()))
    assert open_leads(tmp_path / "leads.gz") is None
    assert len(read_leads(tmp_path / "leads.gz").leads) == N_ROWS


def test_a_fingerprint_is_of_everything_that_is_there(tmp_path: Path) -> None:
    path, folder = written(tmp_path, "leads.csv"), written(tmp_path, "folder")
    absent = tmp_path / "absent"
    seen = {fingerprint([path]), fingerprint([folder]), fingerprint([path, folder]), fingerprint([path, absent])}
    assert len(seen) == 4
    before = fingerprint([folder])
    (folder / "month=1" / "part.parquet").rename(folder / "month=1" / "other.parquet")
    assert fingerprint([folder]) != before
    assert fingerprint([path]) == fingerprint([path])


MEMORY = """
import resource, sys
from pathlib import Path
from propensity.storage.chunks import open_leads
n = sum(len(chunk) for chunk in open_leads(Path(sys.argv[1])).chunks(2_000))
print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(path: Path) -> tuple[int, int]:
    said = subprocess.run([sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, check=True).stdout
    n_rows, kilobytes = map(int, said.split())
    return n_rows, kilobytes


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_what_is_held_does_not_grow_with_the_file(tmp_path: Path, kind: str) -> None:
    # Of one row group, and of texts that no dictionary makes small.
    rng = np.random.default_rng(0)
    long = pd.DataFrame({f"text {i}": rng.integers(0, 10**12, 100_000).astype(str) for i in range(12)})
    for name, frame in (("short", long[:4_000]), ("long", long)):
        path = tmp_path / f"{name}.{kind}"
        frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    (_, low), (n_rows, high) = peak(tmp_path / f"short.{kind}"), peak(tmp_path / f"long.{kind}")
    assert n_rows == 100_000
    assert high - low < 15_000  # of the 20 MB that it holds
