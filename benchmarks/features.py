"""Time behaviour features beside pandas on the same invented events, each run in a process of its own.

Usage: python benchmarks/features.py [--events 10000000] [--pairs 200000] [--rounds 5]
       [--alone | --from-file]

Both make the same table, for 20 event types and all of them together: counts in 7, 30 and 90 days, rates, active days,
recency, decayed sums and trends, the first event and the days observed; column by column their sums must agree.
Prints wall seconds (making up the events not counted) and peak memory, medians over alternating rounds. `--alone`
leaves pandas out. `--from-file` writes the events as Parquet first, leads and types as text, and holds the features of
that file against those of the events in memory; reading it counts, writing it does not.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from propensity.asof import Events, read_events
from propensity.features import FeaturePlan, behaviour_features, few_texts
from propensity.storage.tables import read_table

DAY = 24 * 3600 * 1_000_000
N_TYPES, N_DAYS, CUTOFFS = 20, 365, (120, 200, 280, 360)
WINDOWS = (7, 30, 90)
HALF_LIFE = 14.0
ROW_GROUP = 1_000_000


def invent(n_events: int, n_pairs: int) -> tuple[Events, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    n_leads = n_pairs // len(CUTOFFS)
    at = (rng.random(n_events) * N_DAYS * DAY).astype(np.int64)
    events = Events(
        key=rng.integers(0, n_leads, n_events, dtype=np.int32),
        occurred_at=at,
        known_at=at,
        kind=rng.integers(0, N_TYPES, n_events, dtype=np.int32),
        value=None,
        types=tuple(f"type {i:02d}" for i in range(N_TYPES)),
        notes={},
    )
    return events, np.repeat(np.arange(n_leads), len(CUTOFFS)), np.tile(np.array(CUTOFFS) * DAY, n_leads)


def names_of(n_pairs: int) -> pd.Index:
    return pd.Index([f"L{i:07d}" for i in range(n_pairs // len(CUTOFFS))], dtype=object)


def write(path: Path, n_events: int, n_pairs: int) -> None:
    """Write the invented events as a tool would that knows nothing of categories: every id and type as text."""
    events, _, _ = invent(n_events, n_pairs)
    leads, types = pa.array(names_of(n_pairs), pa.string()), pa.array(events.types, pa.string())
    schema = pa.schema({"lead_id": pa.string(), "occurred_at": pa.timestamp("us"), "event_type": pa.string()})
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, n_events, ROW_GROUP):
            rows = slice(start, start + ROW_GROUP)
            at = pa.array(events.occurred_at[rows], pa.int64()).cast(pa.timestamp("us"))
            columns = [leads.take(pa.array(events.key[rows])), at, types.take(pa.array(events.kind[rows]))]
            writer.write_table(pa.table(columns, schema=schema))


def read(path: Path, n_pairs: int) -> tuple[pd.DataFrame, Events]:
    """Read the file as `propensity train` does, which holds the table too."""
    plan = FeaturePlan(has_events=True, id="lead_id")
    table = read_table(path, categories=few_texts(plan))
    where = {"key": "lead_id", "timezone": "UTC", "missing": {"*": ["", "-", "n/a"]}}
    return table, read_events(table, plan.event, keys=names_of(n_pairs), **where)


def ours(events: Events, key: np.ndarray, cutoff: np.ndarray) -> pd.DataFrame:
    plan = FeaturePlan(has_events=True, types=events.types, windows_days=WINDOWS, half_life_days=HALF_LIFE)
    return behaviour_features(events, plan, key=key, cutoff=cutoff, created_at=np.zeros(len(key), dtype=np.int64))


def by_pandas(events: Events, key: np.ndarray, cutoff: np.ndarray) -> pd.DataFrame:
    log = pd.DataFrame({"key": events.key, "at": events.occurred_at, "kind": events.kind})
    pairs = pd.DataFrame({"row": np.arange(len(key), dtype=np.int32), "key": key.astype(np.int32), "cutoff": cutoff})
    joined = pairs.merge(log, on="key")
    joined = joined[(joined["at"] < joined["cutoff"]) & (joined["at"] >= joined["cutoff"] - N_DAYS * DAY)]
    age = joined["cutoff"] - joined["at"]
    joined = joined[["row", "kind"]].assign(age=age, decayed=0.5 ** (age / (HALF_LIFE * DAY)))
    for days in (*WINDOWS, 60):
        joined[f"n_{days}"] = age <= days * DAY
    sums = {name: (name, "sum") for name in ("decayed", *(f"n_{days}" for days in (*WINDOWS, 60)))}
    by_type = joined.groupby(["row", "kind"], sort=False).agg(
        n=("age", "size"), newest=("age", "min"), oldest=("age", "max"), **sums
    )
    recent = joined.loc[joined["n_90"], ["row", "kind"]].assign(day=(age[joined["n_90"]] - 1) // DAY)
    recent = recent.drop_duplicates()
    by_type["active"] = recent.groupby(["row", "kind"], sort=False).size()
    merged = {"newest": "min", "oldest": "max"}
    together = by_type.groupby("row").agg({name: merged.get(name, "sum") for name in by_type.columns})
    together["active"] = recent[["row", "day"]].drop_duplicates().groupby("row").size()
    every = pd.RangeIndex(len(key))
    first = by_type["oldest"].unstack("kind").idxmax(axis=1).reindex(every)  # noqa: PD010 - one value a cell
    observed = cutoff / DAY
    columns = {"first event": np.array(events.types, dtype=object)[first.fillna(0).astype(int)]}
    columns["days since created"] = observed
    exposure = np.clip(observed, 30, 365)
    wide = by_type.unstack("kind").reindex(every)  # noqa: PD010
    parts = {"any event": together.reindex(every)}
    parts |= {name: wide.xs(i, axis=1, level="kind") for i, name in enumerate(events.types)}
    for name, part in parts.items():
        filled = part.fillna(0)
        columns |= {f"{name} count {days}d": filled[f"n_{days}"].to_numpy(dtype=float) for days in WINDOWS}
        columns[f"{name} rate"] = 30 * filled["n"].to_numpy() / exposure
        columns[f"{name} active days 90d"] = filled["active"].to_numpy(dtype=float)
        columns[f"{name} days since"] = part["newest"].to_numpy() / DAY
        columns[f"{name} intensity"] = filled["decayed"].to_numpy()
        columns[f"{name} trend 30d"] = (np.log1p(filled["n_30"]) - np.log1p(filled["n_60"] - filled["n_30"])).to_numpy()
    return pd.DataFrame(columns)


def measure(options: argparse.Namespace) -> None:
    """Run one engine in this process and print what it took."""
    if options.engine == "file":
        # As the pairs of the other engines are made, without its events.
        _, key, cutoff = invent(0, options.pairs)
        before = time.perf_counter()
        table, events = read(options.path, options.pairs)
        was_read = time.perf_counter()
        frame = ours(events, key, cutoff)
        assert len(table) == options.events  # noqa: S101
    else:
        events, key, cutoff = invent(options.events, options.pairs)
        before = was_read = time.perf_counter()
        frame = (ours if options.engine == "ours" else by_pandas)(events, key, cutoff)
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    sums = {name: float(frame[name].sum()) for name in frame.columns if name != "first event"}
    check = {**sums, **{f"first {name}": int(n) for name, n in frame["first event"].value_counts().items()}}
    print(json.dumps({"seconds": done - before, "reading": was_read - before, "peak_gb": peak, "check": check}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--pairs", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--from-file", action="store_true")
    parser.add_argument("--engine", choices=("ours", "pandas", "file", "write"), help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine == "write":
        write(options.path, options.events, options.pairs)
    elif options.engine:
        measure(options)
    else:
        with tempfile.TemporaryDirectory() as folder:
            compare(options, Path(folder) / "events.parquet")


def compare(options: argparse.Namespace, path: Path) -> None:
    """Run the engines in turn, each in a process of its own, and print medians."""

    def run(engine: str) -> bytes:
        size = ["--events", str(options.events), "--pairs", str(options.pairs), "--path", str(path)]
        command = [sys.executable, str(Path(__file__)), "--engine", engine, *size]
        return subprocess.run(command, check=True, capture_output=True).stdout

    engines = ["ours"] if options.alone else ["ours", "file"] if options.from_file else ["ours", "pandas"]
    if options.from_file:
        run("write")
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in engines}
    for _ in range(options.rounds):
        for name in engines:
            runs[name].append(json.loads(run(name)))
    checks = pd.DataFrame([run["check"] for found in runs.values() for run in found])
    # From a file every bit must be the same; pandas adds floats up in another order.
    tolerance = {"rtol": 0, "atol": 0} if options.from_file else {"rtol": 1e-9, "atol": 1e-6}
    assert np.allclose(checks, checks.iloc[:1], **tolerance), "the engines disagree"  # noqa: S101
    print(f"{options.events:,} events, {options.pairs:,} pairs, {N_TYPES} types, {options.rounds} rounds")
    for name, found in runs.items():
        seconds, reading, peak = (
            float(np.median([run[what] for run in found])) for what in ("seconds", "reading", "peak_gb")
        )
        of_reading = f"   ({reading:.2f} s of it reading {path.stat().st_size / 1e9:.2f} GB)" if reading else ""
        print(f"  {name:8} {seconds:7.2f} s   {peak:5.2f} GB{of_reading}")
    if "pandas" in runs:
        ratio = np.median([a["seconds"] / b["seconds"] for a, b in zip(runs["ours"], runs["pandas"], strict=True)])
        print(f"  ours / pandas: {ratio:.2f}")


if __name__ == "__main__":
    main()
