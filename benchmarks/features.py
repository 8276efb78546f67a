"""Time behaviour features beside pandas on the same invented events, each run in a process of its own.

Usage: python benchmarks/features.py [--events 10000000] [--pairs 200000] [--rounds 5] [--alone]

Both compute, for 20 event types: counts in 7, 30 and 90 days, recency, active days and decayed sums. Prints wall
seconds (reading the events not counted) and peak memory, medians over alternating rounds. `--alone` leaves pandas out.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from propensity.asof import Events
from propensity.features import FeaturePlan, behaviour_features

DAY = 24 * 3600 * 1_000_000
N_TYPES, N_DAYS, CUTOFFS = 20, 365, (120, 200, 280, 360)
WINDOWS = (7, 30, 90)
HALF_LIFE = 14.0


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


def ours(events: Events, key: np.ndarray, cutoff: np.ndarray) -> np.ndarray:
    plan = FeaturePlan(has_events=True, types=events.types, windows_days=WINDOWS, half_life_days=HALF_LIFE)
    created = np.zeros(len(key), dtype=np.int64)
    frame = behaviour_features(events, plan, key=key, cutoff=cutoff, created_at=created)
    return frame[[f"{name} count 90d" for name in events.types]].to_numpy()


def by_pandas(events: Events, key: np.ndarray, cutoff: np.ndarray) -> np.ndarray:
    log = pd.DataFrame({"key": events.key, "at": events.occurred_at, "kind": events.kind})
    pairs = pd.DataFrame({"row": np.arange(len(key)), "key": key.astype(np.int32), "cutoff": cutoff})
    joined = pairs.merge(log, on="key")
    joined = joined[joined["at"] < joined["cutoff"]]
    age = joined["cutoff"] - joined["at"]
    joined = joined.assign(age=age, decayed=0.5 ** (age / (HALF_LIFE * DAY)), day=(age - 1) // DAY)
    for days in WINDOWS:
        joined[f"n_{days}"] = age <= days * DAY
    grouped = joined.groupby(["row", "kind"])
    table = grouped.agg(
        newest=("age", "min"), decayed=("decayed", "sum"), **{f"n_{days}": (f"n_{days}", "sum") for days in WINDOWS}
    )
    recent = joined[joined["n_90"]].drop_duplicates(["row", "kind", "day"])
    table["active"] = recent.groupby(["row", "kind"]).size()
    wide = table.unstack("kind").reindex(np.arange(len(key)))  # noqa: PD010 - one value a cell
    return wide["n_90"].reindex(columns=range(N_TYPES)).fillna(0).to_numpy(dtype=float)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--pairs", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--engine", choices=("ours", "pandas"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        events, key, cutoff = invent(options.events, options.pairs)
        before = time.perf_counter()
        counts = (ours if options.engine == "ours" else by_pandas)(events, key, cutoff)
        took = time.perf_counter() - before
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(json.dumps({"seconds": took, "peak_gb": peak, "check": float(counts.sum())}))
        return
    engines = ("ours",) if options.alone else ("ours", "pandas")
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in engines}
    for _ in range(options.rounds):
        for name in engines:
            size = ["--events", str(options.events), "--pairs", str(options.pairs)]
            command = [sys.executable, str(Path(__file__)), "--engine", name, *size]
            runs[name].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    assert len({run["check"] for found in runs.values() for run in found}) == 1, "the engines disagree"  # noqa: S101
    print(f"{options.events:,} events, {options.pairs:,} pairs, {N_TYPES} types, {options.rounds} rounds")
    for name, found in runs.items():
        seconds, peak = (float(np.median([run[what] for run in found])) for what in ("seconds", "peak_gb"))
        print(f"  {name:8} {seconds:7.2f} s   {peak:5.2f} GB")
    if not options.alone:
        ratio = np.median([a["seconds"] / b["seconds"] for a, b in zip(runs["ours"], runs["pandas"], strict=True)])
        print(f"  ours / pandas: {ratio:.2f}")


if __name__ == "__main__":
    main()
