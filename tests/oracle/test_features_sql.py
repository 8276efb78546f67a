"""Behaviour features against SQLite: another engine, another formulation, row by row."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator

import numpy as np
import pytest

from propensity.asof import Events
from propensity.features import FeaturePlan, behaviour_features

DAY = 24 * 3600 * 1_000_000
TYPES = ("click", "demo", "visit")
PLAN = FeaturePlan(
    has_events=True,
    types=TYPES,
    valued=("visit",),
    families={"web": ("click", "visit")},
    windows_days=(7, 30, 90),
    half_life_days=14.0,
    lookback_days=200,
)
N_LEADS, N_EVENTS, N_PAIRS = 60, 6_000, 1_000


def log(seed: int = 0) -> Events:
    rng = np.random.default_rng(seed)
    occurred = rng.integers(0, 400 * DAY, N_EVENTS)
    occurred[:500] = occurred[:500] // DAY * DAY  # many on the very edge of a window
    late = rng.random(N_EVENTS) < 0.3
    return Events(
        key=rng.integers(0, N_LEADS, N_EVENTS).astype(np.int32),
        occurred_at=occurred,
        known_at=occurred + np.where(late, rng.integers(0, 20 * DAY, N_EVENTS), 0),
        kind=rng.integers(0, len(TYPES), N_EVENTS).astype(np.int32),
        value=np.where(rng.random(N_EVENTS) < 0.5, np.round(rng.normal(50, 30, N_EVENTS), 2), np.nan),
        types=TYPES,
        notes={},
    )


def pairs(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    cutoff = rng.integers(0, 420 * DAY, N_PAIRS)
    cutoff[:400] = cutoff[:400] // DAY * DAY
    return rng.integers(0, N_LEADS, N_PAIRS), cutoff


@pytest.fixture
def sqlite() -> Iterator[sqlite3.Connection]:
    events = log()
    connection = sqlite3.connect(":memory:")
    connection.create_function("half", 2, lambda age, life: 0.5 ** (age / life))
    connection.execute("CREATE TABLE events (lead, occurred, known, type, value)")
    rows = zip(
        events.key.tolist(),
        events.occurred_at.tolist(),
        events.known_at.tolist(),
        [TYPES[k] for k in events.kind],
        [None if math.isnan(v) else v for v in events.value if events.value is not None],  # type: ignore[union-attr]
        strict=True,
    )
    connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?)", rows)
    connection.execute("CREATE INDEX by_lead ON events (lead)")
    yield connection
    connection.close()


def asked(
    connection: sqlite3.Connection, terms: dict[str, str], pair: tuple[int, int], types: tuple[str, ...], days: int
) -> dict[str, float]:
    """Give the terms over what was known of a lead before a cutoff and happened at most so many days before it."""
    lead, cutoff = pair
    listed = ", ".join(f"'{name}'" for name in types)
    query = f"""SELECT {", ".join(terms.values())} FROM events WHERE lead = {lead} AND type IN ({listed})
        AND known < {cutoff} AND occurred < {cutoff} AND occurred >= {cutoff - days * DAY}"""
    found = connection.execute(query).fetchone()
    return {name: math.nan if value is None else float(value) for name, value in zip(terms, found, strict=True)}


def test_a_thousand_pairs_equal_the_oracle(sqlite: sqlite3.Connection) -> None:
    lead, cutoff = pairs()
    frame = behaviour_features(log(), PLAN, key=lead, cutoff=cutoff, created_at=np.zeros(N_PAIRS, dtype=np.int64))
    slots = {"any event": TYPES, "all web": ("click", "visit"), **{name: (name,) for name in TYPES}}
    for i, row in enumerate(frame.to_dict("records")):
        who, when = pair = (int(lead[i]), int(cutoff[i]))
        days_there = {"active": f"count(DISTINCT ({when} - occurred - 1) / {DAY})"}
        ever = {"newest": "max(occurred)", "n": "count(*)"}
        ever["decayed"] = f"total(half({when} - occurred, {14.0 * DAY}))"
        for slot, types in slots.items():
            counted = {
                days: asked(sqlite, {"n": "count(*)", "value": "total(value)"}, pair, types, days)
                for days in (7, 30, 60, 90)
            }
            for days in (7, 30, 90):
                assert row[f"{slot} count {days}d"] == counted[days]["n"]
                if "visit" in types:
                    assert row[f"{slot} value {days}d"] == pytest.approx(counted[days]["value"], abs=1e-9)
                else:
                    assert f"{slot} value {days}d" not in row
            whole = asked(sqlite, ever, pair, types, 200)
            since = row[f"{slot} days since"]
            assert math.isnan(since) if math.isnan(whole["newest"]) else since == (when - whole["newest"]) / DAY
            assert row[f"{slot} active days 90d"] == asked(sqlite, days_there, pair, types, 90)["active"]
            assert row[f"{slot} intensity"] == pytest.approx(whole["decayed"], abs=1e-12, rel=1e-12)
            recent, before = counted[30]["n"], counted[60]["n"] - counted[30]["n"]
            assert row[f"{slot} trend 30d"] == pytest.approx(math.log1p(recent) - math.log1p(before), abs=1e-15)
            observed = min(max(when / DAY, 30), 200)  # all leads were created on day 0
            assert row[f"{slot} rate"] == pytest.approx(30 * whole["n"] / observed, rel=1e-15)
        first = sqlite.execute(
            f"SELECT type FROM events WHERE lead = {who} AND known < {when} AND occurred >= {when - 200 * DAY} "
            "ORDER BY occurred, type LIMIT 1"
        ).fetchone()
        assert row["first event"] == (first[0] if first else None)
