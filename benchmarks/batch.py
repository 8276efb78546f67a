"""Score large files as a nightly job does: how fast, in how much memory, and what is lost when it is killed.

Usage: python benchmarks/batch.py FOLDER [--rows N] [--kills N] [--memory N ...] [--seed N]

In FOLDER a project of 60 mixed columns is trained once (12,000 leads, the shipped settings) and found again by later
calls. Then

- ``--rows`` leads (200,000), as CSV and as Parquet, are scored with reasons on one core and on all of them;
- with ``--kills`` the Parquet run is killed (SIGKILL) that many times, every other time at any moment and else at any
  moment after it has kept its first chunk, is started again each time, and its scores are held against those of a run
  that was left alone;
- with ``--memory`` so many leads are scored, and the proportional memory of all its processes is watched.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from speed import N_CATEGORIES, N_NUMBERS, invent

COMMAND = [sys.executable, "-m", "propensity"]
WRITTEN_AT_ONCE = 100_000


def leads(n_rows: int, *, seed: int) -> pd.DataFrame:
    """Invent leads of mixed columns, with ids and outcomes."""
    matrix, y = invent(n_rows, seed=seed)
    columns: dict[str, object] = {"Lead ID": [f"L{seed:03}{i:07}" for i in range(n_rows)]}
    columns |= {f"number {i}": matrix[:, i] for i in range(N_NUMBERS)}
    for i in range(N_CATEGORIES):
        level = matrix[:, N_NUMBERS + i]
        names = np.array([f"level {j}" for j in range(200)], dtype=object)
        columns[f"category {i}"] = np.where(np.isnan(level), None, names[np.nan_to_num(level).astype(int)])
    return pd.DataFrame(columns).assign(Converted=np.where(y > 0, "yes", "no"))


def write(path: Path, n_rows: int) -> Path:
    """Write leads to be scored, some at a time: Parquet of one row group where they fit, which is hardest to read."""
    if path.exists():
        return path
    parts = range(0, n_rows, WRITTEN_AT_ONCE)
    frames = (
        leads(min(WRITTEN_AT_ONCE, n_rows - start), seed=1 + i).drop(columns="Converted")
        for i, start in enumerate(parts)
    )
    if path.suffix == ".csv":
        for i, frame in enumerate(frames):
            frame.to_csv(path, index=False, header=i == 0, mode="a")
        return path
    first = pa.Table.from_pandas(next(frames), preserve_index=False)
    with pq.ParquetWriter(path, first.schema) as writer:
        if n_rows <= 2 * WRITTEN_AT_ONCE:
            rest = [pa.Table.from_pandas(frame, schema=first.schema, preserve_index=False) for frame in frames]
            writer.write_table(pa.concat_tables([first, *rest]), row_group_size=n_rows)
        else:
            writer.write_table(first)
            for frame in frames:
                writer.write_table(pa.Table.from_pandas(frame, schema=first.schema, preserve_index=False))
    return path


def project(folder: Path) -> None:
    """Train a project once."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "models").exists():
        return
    leads(12_000, seed=0).to_parquet(folder / "train.parquet")
    for more in (["init", "train.parquet", "--target", "Converted"], ["train"]):
        subprocess.run([*COMMAND, *more], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def tree(pid: int) -> list[int]:
    """Name a process and all it started."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [inner for child in (task / "children").read_text().split() for inner in tree(int(child))]
    return found


def memory_of(pid: int) -> int:
    """Give the proportional set size of a process and all it started, in kB."""
    total = 0
    for one in tree(pid):
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            total += int(line.split()[1]) if line.startswith("Pss:") else 0
    return total


def score(folder: Path, source: Path, output: Path, *, cores: int | None = None) -> tuple[float, int]:
    """Score a file; give seconds and the peak of memory in kB."""
    command = [*COMMAND, "score", str(source), "-o", str(output), "--json"]
    start, peak, is_done = time.monotonic(), 0, threading.Event()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    os.sched_setaffinity(process.pid, [*os.sched_getaffinity(0)][:cores])

    def watch() -> None:
        nonlocal peak
        while not is_done.wait(0.2):
            try:
                peak = max(peak, memory_of(process.pid))
            except (OSError, ValueError):
                continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    seconds = time.monotonic() - start
    is_done.set()
    watcher.join()
    if code:
        raise SystemExit(code)
    return seconds, peak


def sha(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def speed(folder: Path, n_rows: int) -> None:
    print(f"\n{n_rows:,} leads of 60 columns with four reasons each, the whole command from start to end:")
    n_cores = len(os.sched_getaffinity(0))
    for suffix in ("parquet", "csv"):
        source = write(folder / f"leads{n_rows}.{suffix}", n_rows)
        taken = {}
        for cores in (1, n_cores):
            seconds, peak = score(folder, source, folder / f"scores{cores}.csv", cores=cores)
            taken[cores] = seconds
            rate = n_rows / seconds
            print(f"  {suffix:8} {cores} cores  {seconds:6.1f} s  {rate:7,.0f} leads a second  {peak / 1e6:.2f} GB")
        same = sha(folder / "scores1.csv") == sha(folder / f"scores{n_cores}.csv")
        print(f"  {suffix:8} {taken[1] / taken[n_cores]:.2f} times as fast on {n_cores}; the same bytes: {same}")


def kills(folder: Path, n_rows: int, n_kills: int, seed: int) -> None:
    source = write(folder / f"leads{n_rows}.parquet", n_rows)
    seconds, _ = score(folder, source, folder / "whole.csv")
    wanted, rng = sha(folder / "whole.csv"), np.random.default_rng(seed)
    output, parts = folder / "killed.csv", folder / ".killed.csv.parts"
    told = {"other bytes": 0, "left over": 0, "kept more than none": 0, "older scores lost": 0}
    redone = []
    for i in range(n_kills):
        shutil.rmtree(parts, ignore_errors=True)
        output.write_text("of last night")
        process = subprocess.Popen(
            [*COMMAND, "score", str(source), "-o", str(output)],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        began = time.monotonic()
        while i % 2 and process.poll() is None and not list(parts.glob("journal.jsonl")):
            time.sleep(0.02)
        left = max(seconds - (time.monotonic() - began), 0.0)
        time.sleep(float(rng.uniform(0, left)))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        journal = parts / "journal.jsonl"
        kept = sum(json.loads(line)["rows"] for line in journal.read_text().splitlines()) if journal.exists() else 0
        begun = len({path.name[:6] for path in parts.glob("0*")}) if parts.exists() else 0
        n_parts = len(journal.read_text().splitlines()) if journal.exists() else 0
        redone.append(begun - n_parts)
        told["older scores lost"] += output.read_text() != "of last night" and sha(output) != wanted
        score(folder, source, output)
        told["other bytes"] += sha(output) != wanted
        told["left over"] += parts.exists()
        told["kept more than none"] += kept > 0
        print(f"  kill {i + 1}: {kept:,} of {n_rows:,} leads were kept", flush=True)
    print(f"\n{n_kills} kills of a batch of {n_rows:,} leads that takes {seconds:.0f} s, each started again:")
    print("  " + ", ".join(f"{name}: {n}" for name, n in told.items()))
    print(f"  chunks with a file and no line in the journal: at most {max(redone)}")


def memory(folder: Path, sizes: list[int]) -> None:
    print("\nPeak of memory, all processes together:")
    for n_rows in sizes:
        source = write(folder / f"leads{n_rows}.parquet", n_rows)
        seconds, peak = score(folder, source, folder / "large.parquet")
        print(f"  {n_rows:,} leads: {peak / 1e6:.2f} GB, {seconds:,.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--memory", type=int, nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = options.folder.resolve()
    project(folder)
    if options.kills:
        kills(folder, options.rows, options.kills, options.seed)
    elif options.memory:
        memory(folder, options.memory)
    else:
        speed(folder, options.rows)


if __name__ == "__main__":
    main()
