"""A batch is scored part by part: the same bytes however it is cut, killed, or shared among processes."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from flat_leads import config, leads, run
from propensity import cli, save_model
from propensity.cli import batch
from propensity.features import ScoringRows
from propensity.storage.journal import Journal

N_LEADS, N_ROWS = 230, 40
pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    trained = run(leads(300), config(learner={"max_trees": 10})).model
    return save_model(trained, tmp_path_factory.mktemp("flat") / "bundle")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(batch, "MAX_CHUNK_ROWS", N_ROWS)
    monkeypatch.setattr(batch, "MIN_CHUNK_ROWS", 1)
    monkeypatch.setattr(batch, "MIN_SLICE_ROWS", 15)
    monkeypatch.setattr(batch, "_n_cores", lambda: 1)
    leads(N_LEADS, seed=1).to_csv("leads.csv", index=False)
    leads(N_LEADS, seed=1).to_parquet("leads.parquet", row_group_size=33)
    return tmp_path


def tell(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.run([*arguments])
    return code, out.getvalue(), err.getvalue()


def scored(bundle: Path, source: str, output: str, *more: str) -> dict[str, object]:
    code, out, err = tell("score", source, "--model", str(bundle), "-o", output, "--json", *more)
    assert code == 0, err
    answer = json.loads(out)
    assert not (Path(output).parent / f".{output}.parts").exists()
    return {name: value for name, value in answer.items() if name != "output"}


def in_one_go(bundle: Path, source: str, output: str, monkeypatch: pytest.MonkeyPatch, *more: str) -> dict[str, object]:
    with monkeypatch.context() as patch:
        patch.setattr(batch, "MAX_CHUNK_ROWS", 10_000)
        patch.setattr(batch, "MIN_SLICE_ROWS", 10_000)
        return scored(bundle, source, output, *more)


@pytest.mark.parametrize("source", ["leads.csv", "leads.parquet"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_parts_are_the_whole(bundle: Path, monkeypatch: pytest.MonkeyPatch, source: str, suffix: str) -> None:
    whole = in_one_go(bundle, source, f"whole.{suffix}", monkeypatch)
    assert scored(bundle, source, f"parts.{suffix}") == whole
    read = pd.read_csv if suffix == "csv" else pd.read_parquet
    pd.testing.assert_frame_equal(read(f"parts.{suffix}"), read(f"whole.{suffix}"))
    assert whole["rows"] == N_LEADS


def test_csv_and_parquet_say_the_same(bundle: Path) -> None:
    assert scored(bundle, "leads.csv", "a.csv") == scored(bundle, "leads.parquet", "b.csv")
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()


@pytest.mark.slow
def test_any_number_of_processes_writes_the_same_bytes(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored(bundle, "leads.csv", "one.parquet")
    monkeypatch.setattr(batch, "_n_cores", lambda: 2)
    # Models that MLflow loaded for other tests leave their own part of the package on the path.
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not (Path(path) / "propensity").is_dir()])
    monkeypatch.syspath_prepend(Path(batch.__file__).parents[2])
    scored(bundle, "leads.csv", "two.parquet")
    assert Path("one.parquet").read_bytes() == Path("two.parquet").read_bytes()


def test_rows_of_one_lead_are_found_across_parts(bundle: Path) -> None:
    frame = leads(N_LEADS, seed=1)
    pd.concat([frame, frame.iloc[[3, 100, 3]]]).to_csv("again.csv", index=False)
    told = scored(bundle, "again.csv", "scores.csv")
    assert (told["rows"], told["notes"]["identical_rows"]) == (N_LEADS, 3)  # type: ignore[index]
    changed = frame.iloc[[3]].assign(Visits=77)
    pd.concat([frame, changed, frame.iloc[[4]], changed.assign(Visits=78)]).to_csv("again.csv", index=False)
    code, _, err = tell("score", "again.csv", "--model", str(bundle), "-o", "scores.csv")
    assert code == 2
    assert f"2 rows repeat an id with other values (column 'Lead', first data rows {N_LEADS + 1}, {N_LEADS + 3})" in err


def test_rows_without_ids_are_called_by_their_number(tmp_path: Path) -> None:
    model = run(leads(300).drop(columns="Lead"), config(columns={"id": None}, learner={"max_trees": 10})).model
    save_model(model, tmp_path / "nameless")
    frame = leads(N_LEADS, seed=1).drop(columns="Lead")
    pd.concat([frame, frame.iloc[[0]]]).to_csv("nameless.csv", index=False)
    told = scored(tmp_path / "nameless", "nameless.csv", "scores.parquet")
    assert pd.read_parquet("scores.parquet")["row"].to_list() == [*range(1, N_LEADS + 2)]
    assert told["notes"]["duplicate_rows"] >= 1  # type: ignore[index]


def test_an_empty_file_and_one_of_a_header_alone_are_refused(here: Path, bundle: Path) -> None:
    Path("leads.csv").write_text("Lead,Source,Visits,Age\n")
    code, _, err = tell("score", "leads.csv", "--model", str(bundle), "-o", "scores.csv")
    assert (code, "header but no rows" in err) == (2, True)
    assert {path.name for path in here.iterdir()} == {"leads.csv", "leads.parquet"}


class Killed(BaseException):
    """Nothing in the program looks for it: it ends as a killed process does."""


@contextlib.contextmanager
def killed_after(monkeypatch: pytest.MonkeyPatch, n_parts: int) -> Iterator[None]:
    """End a run once so many parts are kept."""
    counter = itertools.count(1)
    add = Journal.add

    def counted(self: Journal, *arguments: object) -> None:
        if next(counter) > n_parts:
            raise Killed
        add(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr(Journal, "add", counted)
        yield
        pytest.fail("it ended before it could be killed")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("n_parts", [0, 4])
def test_a_run_that_was_killed_goes_on_and_ends_with_the_same_bytes(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, n_parts: int, suffix: str
) -> None:
    whole = scored(bundle, "leads.csv", f"whole.{suffix}")
    Path(f"scores.{suffix}").write_text("of last night")
    with killed_after(monkeypatch, n_parts):
        tell("score", "leads.csv", "--model", str(bundle), "-o", f"scores.{suffix}")
    assert Path(f"scores.{suffix}").read_text() == "of last night"
    sliced, score_slice = [], batch._score_slice

    def counting(asked: batch.Asked, part: batch._Slice) -> object:
        sliced.append(len(part.rows.frame))
        return score_slice(asked, part)

    monkeypatch.setattr(batch, "_score_slice", counting)
    told = scored(bundle, "leads.csv", f"scores.{suffix}")
    assert Path(f"scores.{suffix}").read_bytes() == Path(f"whole.{suffix}").read_bytes()
    assert sum(sliced) == N_LEADS - n_parts * N_ROWS  # what was kept is not done again
    said = [f"an earlier run that was stopped had done {n_parts * N_ROWS} rows: they were taken from it"]
    assert told.pop("warnings") == (said if n_parts else [])
    assert told == {name: value for name, value in whole.items() if name != "warnings"}


@pytest.mark.parametrize("other", ["input", "reasons", "as of"])
def test_what_another_run_left_is_not_gone_on_with(bundle: Path, monkeypatch: pytest.MonkeyPatch, other: str) -> None:
    with killed_after(monkeypatch, 3):
        tell("score", "leads.csv", "--model", str(bundle), "-o", "scores.csv")
    more = {"reasons": ["--reasons", "1"], "as of": ["--as-of", "2026-01-01"]}.get(other, [])
    if other == "input":
        leads(N_LEADS, seed=2).to_csv("leads.csv", index=False)
    told = scored(bundle, "leads.csv", "scores.csv", *more)
    assert told["warnings"] == [
        "what a stopped run had left was of other files, another model or other options: thrown away"
    ]
    scored(bundle, "leads.csv", "anew.csv", *more)
    assert Path("scores.csv").read_bytes() == Path("anew.csv").read_bytes()


def test_an_input_that_changes_while_it_is_read_is_refused(
    here: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Journal.add

    def changing(self: Journal, *arguments: object) -> None:
        add(self, *arguments)  # type: ignore[arg-type]
        with Path("leads.csv").open("a") as file:
            file.write("L99999,web,3,30\n")

    monkeypatch.setattr(Journal, "add", changing)
    code, _, err = tell("score", "leads.csv", "--model", str(bundle), "-o", "scores.csv")
    assert (code, "changed while they were read" in err) == (2, True)
    assert {path.name for path in here.iterdir()} == {"leads.csv", "leads.parquet"}


def test_reasons_that_fail_in_one_part_are_given_in_none(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from propensity import scoring

    counter = itertools.count()
    monkeypatch.setattr(scoring, "fault_of_parts", lambda *_: "they do not add up" if next(counter) == 7 else "")
    code, out, err = tell("score", "leads.csv", "--model", str(bundle), "-o", "scores.csv", "--json")
    assert (code, "without reasons: they do not add up" in err) == (3, True)
    assert pd.read_csv("scores.csv").filter(like="reason_").isna().all().all()
    assert json.loads(out)["rows"] == N_LEADS


def test_a_link_stays_and_what_it_leads_to_is_replaced(here: Path, bundle: Path) -> None:
    (here / "elsewhere").mkdir()
    Path("scores.csv").symlink_to(here / "elsewhere" / "scores.csv")
    scored(bundle, "leads.csv", "scores.csv")
    assert Path("scores.csv").is_symlink()
    assert len(pd.read_csv(here / "elsewhere" / "scores.csv")) == N_LEADS
    assert {path.name for path in (here / "elsewhere").iterdir()} == {"scores.csv"}


SCRIPT = """
import sys, time
import propensity.cli.batch as batch
from propensity.cli import run
from propensity.features import ScoringRows
from propensity.storage.journal import Journal
batch.MAX_CHUNK_ROWS, batch.MIN_SLICE_ROWS, batch._n_cores = 40, 15, lambda: 2
add = Journal.add
def slow(self, *arguments):
    add(self, *arguments)
    print(len(self.lines), flush=True)
    time.sleep(float(sys.argv[1]))
Journal.add = slow
sys.exit(run(sys.argv[2:]))
"""


@pytest.fixture
def started(here: Path, bundle: Path) -> Iterator[subprocess.Popen[str]]:
    """A run of its own, one of whose parts is kept."""
    command = [sys.executable, "-c", SCRIPT, "30", "score", "leads.csv", "--model", str(bundle), "-o", "scores.csv"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=here)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n", process.communicate()
    yield process
    process.kill()
    process.communicate()


def children(process: subprocess.Popen[str]) -> list[int]:
    tasks = Path(f"/proc/{process.pid}/task")
    return [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc to see the processes it started")
@pytest.mark.parametrize(
    "how", [signal.SIGTERM, *(pytest.param(how, marks=pytest.mark.slow) for how in (signal.SIGINT, signal.SIGKILL))]
)
def test_a_run_that_is_ended_leaves_no_process_and_what_it_did(
    started: subprocess.Popen[str], bundle: Path, how: signal.Signals
) -> None:
    workers = children(started)
    assert len(workers) >= 2
    started.send_signal(how)
    _, err = started.communicate(timeout=60)
    assert started.returncode == {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGKILL: -9}[how]
    if how != signal.SIGKILL:
        assert "stopped; 40 of 230 leads are done and kept: the same command goes on." in err
        assert "Traceback" not in err
    for _ in range(100):
        if not any(Path(f"/proc/{pid}").exists() for pid in workers):
            break
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    told = scored(bundle, "leads.csv", "scores.csv")
    assert told["warnings"] == ["an earlier run that was stopped had done 40 rows: they were taken from it"]
    scored(bundle, "leads.csv", "anew.csv")
    assert Path("scores.csv").read_bytes() == Path("anew.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc to see the processes it started")
def test_a_process_that_is_killed_for_its_memory_ends_the_run_with_words(bundle: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, "1", "score", "leads.csv", "--model", str(bundle), "-o", "scores.csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        for pid in children(process):
            name = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"spawn_main" in name:
                os.kill(pid, signal.SIGKILL)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 5
    assert "most often, memory ran out. What is done is kept" in err
    assert "Traceback" not in err


@pytest.mark.slow
@pytest.mark.usefixtures("started")
def test_two_runs_on_one_output_are_one_too_many(bundle: Path) -> None:
    code, _, err = tell("score", "leads.csv", "--model", str(bundle), "-o", "scores.csv")
    assert (code, "Another run is writing scores.csv" in err) == (7, True)


def test_a_part_tells_what_it_is_of(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with killed_after(monkeypatch, 2):
        tell("score", "leads.csv", "--model", str(bundle), "-o", "scores.csv")
    said = json.loads(Path(".scores.csv.parts/run.json").read_text())
    assert {"model", "inputs", "versions", "reasons", "chunk_rows"} <= {*said}
    lines = [json.loads(line) for line in Path(".scores.csv.parts/journal.jsonl").read_text().splitlines()]
    assert [(line["part"], line["rows"]) for line in lines] == [(0, N_ROWS), (1, N_ROWS)]
    assert lines[0]["run"] == lines[1]["run"]
    assert all(len(sha) == 64 for line in lines for sha in line["sha256"].values())


def test_a_state_is_kept_once_all_parts_are_done(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROPENSITY_STATE_KEY", "k" * 32)
    asked = ("--as-of", "2026-01-01", "--state")
    in_one_go(bundle, "leads.csv", "whole.csv", monkeypatch, *asked, "whole.json")
    with killed_after(monkeypatch, 3):
        tell("score", "leads.csv", "--model", str(bundle), "-o", "scores.csv", *asked, "state.json")
    assert not Path("state.json").exists()
    scored(bundle, "leads.csv", "scores.csv", *asked, "state.json")
    assert Path("state.json").read_bytes() == Path("whole.json").read_bytes()


def test_people_who_objected_are_in_no_part(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = leads(N_LEADS, seed=1)["Lead"].iloc[[0, 39, 40, 200]]
    Path("objected.txt").write_text("\n".join(gone))
    with killed_after(monkeypatch, 4):
        tell("score", "leads.csv", "--model", str(bundle), "-o", "scores.csv", "--suppress", "objected.txt")
    kept = b"".join(path.read_bytes() for path in Path(".scores.csv.parts").iterdir())
    assert not any(name.encode() in kept for name in gone)
    told = scored(bundle, "leads.csv", "scores.csv", "--suppress", "objected.txt")
    assert (told["rows"], told["notes"]["suppressed"]) == (N_LEADS - 4, 4)  # type: ignore[index]


def test_how_many_rows_a_slice_has_hangs_on_its_chunk_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "MIN_SLICE_ROWS", 10)
    rows = ScoringRows(frame=pd.DataFrame({"x": range(95)}))
    slices = batch._slices(rows, None, 1000, "")
    assert [len(part.rows.frame) for part in slices] == [23, 24, 24, 24]
    assert [part.n_before for part in slices] == [1000, 1023, 1047, 1071]
    assert [len(part.rows.frame) for part in batch._slices(replace(rows, frame=rows.frame[:15]), None, 0, "")] == [7, 8]
    assert batch._slices(replace(rows, frame=rows.frame[:0]), None, 0, "") == []


def test_another_key_of_the_state_scores_all_anew(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("--as-of", "2026-01-01", "--state")
    monkeypatch.setenv("PROPENSITY_STATE_KEY", "n" * 32)
    scored(bundle, "leads.csv", "whole.csv", *asked, "whole.json")
    with killed_after(monkeypatch, 3), monkeypatch.context() as patch:
        patch.setenv("PROPENSITY_STATE_KEY", "o" * 32)
        tell("score", "leads.csv", "--model", str(bundle), "-o", "scores.csv", *asked, "state.json")
    scored(bundle, "leads.csv", "scores.csv", *asked, "state.json")
    assert Path("state.json").read_bytes() == Path("whole.json").read_bytes()


def test_an_output_among_what_is_read_is_refused_at_once(here: Path, bundle: Path) -> None:
    (here / "daily").mkdir()
    leads(N_LEADS, seed=1).to_parquet("daily/part-0.parquet")
    for output in ("daily/scores.parquet", "daily/part-0.parquet"):
        code, _, err = tell("score", "daily", "--model", str(bundle), "-o", output)
        assert (code, "a folder that is read. Name an output elsewhere" in err) == (2, True), err
    assert [path.name for path in (here / "daily").iterdir()] == ["part-0.parquet"]
    scored(bundle, "daily", "scores.parquet")


def test_a_batch_that_degrades_leaves_nothing(here: Path, bundle: Path) -> None:
    leads(N_LEADS, seed=1).drop(columns="Visits").to_csv("leads.csv", index=False)
    code, _, err = tell("score", "leads.csv", "--model", str(bundle), "-o", "scores.csv")
    assert (code, "--allow-degraded" in err) == (4, True)
    assert {path.name for path in here.iterdir()} - {".scores.csv.lock"} == {"leads.csv", "leads.parquet"}


def stopping(*_arguments: object, **_more: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("where", "name", "says", "is_written"),
    [
        ("propensity.storage.scores.ScoreFormat", "join", "230 of 230 leads are done and kept", False),
        ("propensity.cli.nightly.KeptBands", "keep", "the scores are written; what goes beside them may not be", True),
        ("propensity.cli.survey.Repeats", "sets", "nothing was written", False),
    ],
)
def test_who_stops_a_run_is_told_what_there_is(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, where: str, name: str, says: str, *, is_written: bool
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(f"{where}.{name}", stopping)
        code, _, err = tell("score", "leads.csv", "--model", str(bundle), "-o", "scores.csv")
    assert (code, says in err) == (130, True), err
    assert Path("scores.csv").exists() == is_written
    scored(bundle, "leads.csv", "scores.csv")


def test_a_kill_while_parts_are_joined_leaves_nothing_for_good(
    here: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_arguments: object, **_more: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr("propensity.storage.scores.shutil.copyfileobj", killed)
        patch.setattr(Path, "unlink", lambda *_a, **_k: None)  # who is killed tidies nothing away
        tell("score", "leads.csv", "--model", str(bundle), "-o", "scores.csv")
    assert [*here.glob(".scores.csv.parts/*.tmp")]
    scored(bundle, "leads.csv", "scores.csv")
    left = {path.name for path in here.iterdir()} - {".scores.csv.lock"}
    assert left == {"leads.csv", "leads.parquet", "scores.csv"}
