from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from propensity.errors import LockedError, OutputError
from propensity.storage.writing import check_writable, holding, replacing, write_folder, write_text

fcntl = pytest.importorskip("fcntl", reason="locks need POSIX")

HOLDER = """
import sys, time
from pathlib import Path
from propensity.storage.writing import holding
with holding(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def held_elsewhere(path: Path) -> subprocess.Popen[str]:
    """Another process that holds the output, and says so before this returns."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def entries(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_what_stood_there_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    for text in ("older", "čist\n"):
        write_text(path, text)
    assert path.read_bytes() == "čist\n".encode()
    assert entries(tmp_path) == ["scores.csv"]


def test_a_write_that_fails_half_way_leaves_what_stood_there(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("older")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (path.read_text(), entries(tmp_path)) == ("older", ["scores.csv"])


def test_a_written_file_may_be_read_by_whom_the_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "scores.csv", "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "scores.csv").stat().st_mode) == 0o640


@pytest.fixture
def full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with room for 256 KB, of which `scores.csv` and the bundle in `model` take little."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = os.geteuid() == 0 and shutil.which("mount") is not None
    if mounted:
        options = ["-t", "tmpfs", "-o", "size=256k", "none", str(folder)]
        mounted = subprocess.run(["mount", *options], check=False, capture_output=True).returncode == 0
    (folder / "scores.csv").write_text("older")
    (folder / "model").mkdir()
    (folder / "model" / "card.md").write_text("older")
    if not mounted:

        def fsync(_handle: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", fsync)
    yield folder
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_older_files_and_folders_intact(full_disk: Path) -> None:
    with pytest.raises(OutputError, match=r"scores\.csv: No space left on device. What stood there before is intact"):
        write_text(full_disk / "scores.csv", "x" * 2**20)
    with pytest.raises(OutputError, match="model: No space left on device"):
        write_folder(full_disk / "model", {"card.md": b"new", "forest_0.txt": b"x" * 2**20})
    with pytest.raises(OutputError, match="No space left on device"):
        write_folder(full_disk / "new", {"forest_0.txt": b"x" * 2**20})
    assert (full_disk / "scores.csv").read_text() == "older"
    assert (full_disk / "model" / "card.md").read_text() == "older"
    assert entries(full_disk) == ["model", "scores.csv"]


def test_a_folder_replaces_the_older_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "model"
    write_folder(path, {"a": b"1", "gone": b"2"})
    write_folder(path, {"a": b"3"})
    assert (entries(path), (path / "a").read_bytes(), entries(path.parent)) == (["a"], b"3", ["model"])


def test_a_folder_that_cannot_be_put_in_place_leaves_the_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model"
    write_folder(path, {"a": b"older"})
    rename = Path.rename

    def refuse(source: Path, target: Path) -> Path:
        if target == path and (source / "a").read_bytes() == b"newer":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match="Input/output error"):
        write_folder(path, {"a": b"newer"})
    assert ((path / "a").read_bytes(), entries(tmp_path)) == (b"older", ["model"])


def test_a_file_name_that_cannot_be_leaves_the_older_folder(tmp_path: Path) -> None:
    write_folder(tmp_path / "model", {"a": b"older"})
    with pytest.raises(OutputError, match="Cannot write model"):
        write_folder(tmp_path / "model", {"a": b"newer", "x" * 300: b""})
    assert ((tmp_path / "model" / "a").read_bytes(), entries(tmp_path)) == (b"older", ["model"])


@pytest.mark.parametrize(
    ("name", "why"),
    [("folder", "it is a folder"), ("none/scores.csv", "its folder .* does not exist"), ("file/x.csv", "its folder")],
)
def test_a_place_that_cannot_be_written_is_refused_early(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=why):
        check_writable(tmp_path / name)


def test_a_place_without_permission_is_refused_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(OutputError, match=r"scores\.csv: no permission"):
        check_writable(tmp_path / "scores.csv")


def test_a_second_run_does_not_write_what_the_first_is_writing(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    with holding(path):
        with pytest.raises(LockedError, match=r"Another run is writing scores\.csv"), holding(path):
            pass
        with holding(tmp_path / "others.csv"):
            pass
        # The run that was refused did not take the first one's lock away.
        with pytest.raises(LockedError), holding(path):
            pass
    with holding(path):
        pass
    assert entries(tmp_path) == []


def test_a_run_that_failed_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    with pytest.raises(ZeroDivisionError), holding(path):
        raise ZeroDivisionError
    with holding(path):
        pass


def test_a_run_that_was_killed_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    process = held_elsewhere(path)
    try:
        with pytest.raises(LockedError), holding(path):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    with holding(path):
        pass


@pytest.mark.parametrize("is_taken", [False, True], ids=["free", "taken by a third"])
def test_a_lock_that_ended_while_it_was_opened_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_taken: bool
) -> None:
    path, flock = tmp_path / "scores.csv", fcntl.flock
    lock = tmp_path / ".scores.csv.lock"

    def ending(handle: object, operation: int) -> None:
        lock.unlink()  # the first run ends here, between opening and locking
        if is_taken:
            lock.touch()
        flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", ending)
    with pytest.raises(LockedError), holding(path):
        pass
    assert lock.exists() == is_taken


def test_a_folder_that_is_not_there_cannot_be_held(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"Cannot write beside scores\.csv"), holding(tmp_path / "no" / "scores.csv"):
        pass
