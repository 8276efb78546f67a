"""A run that was stopped goes on where it stopped, and never with what is not its own."""

import json
from pathlib import Path

import pytest

from propensity.errors import OutputError
from propensity.storage.journal import Journal

RUN = {"model": "m1", "inputs": "a1"}


def begun(output: Path, n_parts: int = 3) -> Journal:
    journal = Journal(output, RUN)
    for i in range(n_parts):
        journal.add({".csv": f"part {i}\n".encode(), ".held": b""}, {"rows": i})
    return journal


def joined(journal: Journal) -> str:
    return "".join(path.read_text() for (path,) in journal.files(".csv"))


def test_the_same_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    begun(tmp_path / "scores.csv")
    again = Journal(tmp_path / "scores.csv", RUN)
    assert ([line["rows"] for line in again.lines], again.is_anew) == ([0, 1, 2], False)
    again.add({".csv": b"part 3\n", ".held": b""}, {"rows": 3})
    assert joined(again) == "part 0\npart 1\npart 2\npart 3\n"


def test_parts_of_another_run_are_thrown_away(tmp_path: Path) -> None:
    begun(tmp_path / "scores.csv")
    other = Journal(tmp_path / "scores.csv", {**RUN, "model": "m2"})
    assert (other.lines, other.is_anew) == ([], True)
    assert [path.name for path in other.folder.iterdir()] == ["run.json"]


@pytest.mark.parametrize("left", [0, 5, 40])
def test_a_line_that_was_cut_short_is_no_line(tmp_path: Path, left: int) -> None:
    journal = begun(tmp_path / "scores.csv").folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2]) + lines[2][:left])
    again = Journal(tmp_path / "scores.csv", RUN)
    assert len(again.lines) == 2
    again.add({".csv": b"anew\n", ".held": b""}, {"rows": 2})
    assert joined(Journal(tmp_path / "scores.csv", RUN)) == "part 0\npart 1\nanew\n"


def test_a_part_that_is_not_as_it_was_written_and_all_after_it_are_done_again(tmp_path: Path) -> None:
    journal = begun(tmp_path / "scores.csv")
    journal.files(".csv")[1][0].write_text("part one\n")
    assert len(Journal(tmp_path / "scores.csv", RUN).lines) == 1
    assert len(Journal(tmp_path / "scores.csv", RUN).lines) == 1


def test_a_line_of_another_run_is_not_believed(tmp_path: Path) -> None:
    journal = begun(tmp_path / "scores.csv").folder / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    journal.write_text("".join(json.dumps({**line, "run": "0" * 64}) + "\n" for line in lines))
    assert Journal(tmp_path / "scores.csv", RUN).lines == []


def test_what_else_lies_there_is_gone_on_the_next_start(tmp_path: Path) -> None:
    folder = begun(tmp_path / "scores.csv").folder
    (folder / "000003.csv.tmp").write_text("half")
    (folder / "keys").mkdir()
    Journal(tmp_path / "scores.csv", RUN)
    assert not {"000003.csv.tmp", "keys"} & {path.name for path in folder.iterdir()}


def test_only_the_owner_may_look_and_nothing_is_left_at_the_end(tmp_path: Path) -> None:
    journal = begun(tmp_path / "scores.csv")
    assert journal.folder.stat().st_mode & 0o777 == 0o700
    journal.restart()
    assert (journal.lines, joined(journal)) == ([], "")
    journal.remove()
    assert not [*tmp_path.iterdir()]


def test_a_link_in_the_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").write_text("")
    (tmp_path / ".scores.csv.parts").symlink_to(tmp_path / "elsewhere")
    begun(tmp_path / "scores.csv").remove()
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["kept"]


def test_a_part_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    journal = begun(tmp_path / "scores.csv")
    (journal.folder / "000003.csv.tmp").mkdir()
    with pytest.raises(OutputError, match="What stood there before is intact"):
        journal.add({".csv": b""}, {})
