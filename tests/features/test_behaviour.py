from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.asof import NEVER, Events
from propensity.features import FeaturePlan, behaviour_features

DAY = 24 * 3600 * 1_000_000
PLAN = FeaturePlan(
    has_events=True,
    types=("call", "visit"),
    valued=("visit",),
    windows_days=(7, 30),
    half_life_days=10.0,
    lookback_days=90,
)
Record = tuple[int, int, int, int, float]  # lead, occurred, delay, kind, value

records = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 120 * 24).map(lambda hour: hour * DAY // 24),
        st.sampled_from([0, 0, DAY // 2, 3 * DAY]),
        st.integers(0, 2),
        st.floats(-1e6, 1e6),
    ),
    max_size=30,
)


def log(rows: list[Record]) -> Events:
    key, occurred, delay, kind, value = (np.array(part) for part in zip(*rows, strict=True)) if rows else ([],) * 5
    return Events(
        key=np.asarray(key, dtype=np.int32),
        occurred_at=np.asarray(occurred, dtype=np.int64),
        known_at=np.asarray(occurred, dtype=np.int64) + np.asarray(delay, dtype=np.int64),
        kind=np.asarray(kind, dtype=np.int32),
        value=np.asarray(value, dtype=float),
        types=("call", "visit", "webinar"),
        notes={},
    )


def features(rows: list[Record], cutoffs: list[tuple[int, int]], **choices: int) -> pd.DataFrame:
    key, cutoff = (np.array(part) for part in zip(*cutoffs, strict=True))
    created = np.zeros(len(key), dtype=np.int64)
    return behaviour_features(log(rows), PLAN, key=key, cutoff=cutoff, created_at=created, **choices)


def same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    """Bit for bit."""
    pd.testing.assert_frame_equal(left, right, check_exact=True)


@given(rows=records, day=st.integers(1, 130), data=st.data())
@settings(max_examples=30, deadline=None)
def test_nothing_known_at_or_after_the_cutoff_moves_a_bit(rows: list[Record], day: int, data: st.DataObject) -> None:
    cutoff = day * DAY
    later = [i for i, (_, occurred, delay, _, _) in enumerate(rows) if occurred + delay >= cutoff]
    kept = [row for i, row in enumerate(rows) if i not in later or data.draw(st.booleans())]
    changed = [(who, max(at, cutoff), wait, 1 - kind % 2, -value) for who, at, wait, kind, value in rows[:5]]
    seen = [(lead, cutoff) for lead in (0, 1, 2)]
    same(features(rows, seen), features([*kept, *changed], seen))


@given(rows=records, seed=st.integers(0, 99))
@settings(max_examples=12, deadline=None)
def test_order_and_chunks_of_anything_mean_nothing(rows: list[Record], seed: int) -> None:
    seen = [(lead, day * DAY) for lead in (0, 1, 2) for day in (10, 40, 125)]
    shuffled = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]
    whole = features(rows, seen)
    same(whole, features(shuffled, seen, chunk_events=2))
    order = np.random.default_rng(seed).permutation(len(seen))
    same(whole.iloc[order].reset_index(drop=True), features(rows, [seen[i] for i in order]))
    apart = pd.concat([features(rows, [pair]) for pair in seen], ignore_index=True)
    same(whole, apart.astype(whole.dtypes))


def test_a_window_holds_its_old_end_and_not_the_cutoff() -> None:
    edge = [(0, 3 * DAY, 0, 1, 1.0), (0, 10 * DAY, 0, 1, 1.0)]
    assert features(edge, [(0, 10 * DAY)])["visit count 7d"].to_list() == [1.0]
    assert features(edge, [(0, 10 * DAY + 1)])["visit count 7d"].to_list() == [1.0]
    assert features(edge, [(0, 10 * DAY + 1)])["visit count 30d"].to_list() == [2.0]


def test_an_event_counts_from_when_it_was_recorded_and_is_as_old_as_it_is() -> None:
    late = [(0, 1 * DAY, 3 * DAY, 1, 1.0)]
    assert features(late, [(0, 4 * DAY), (0, 5 * DAY)])["visit days since"].fillna(-1).to_list() == [-1.0, 4.0]


def test_a_lead_without_events_has_zeros_and_no_recency() -> None:
    row = features([(0, DAY, 0, 1, 5.0)], [(1, 20 * DAY)]).iloc[0]
    assert (row["visit count 30d"], row["visit intensity"], row["visit value 30d"]) == (0.0, 0.0, 0.0)
    assert np.isnan(row["visit days since"])
    assert row["first event"] is None
    assert row["days since created"] == 20.0


def test_types_outside_the_plan_count_as_any_event_only() -> None:
    row = features([(0, DAY, 0, 2, 7.0), (0, 2 * DAY, 0, 0, 0.0)], [(0, 5 * DAY)]).iloc[0]
    assert row["any event count 7d"] == 2.0
    assert row["call count 7d"] == 1.0
    assert row["first event"] == "another"
    assert not [name for name in row.index if "webinar" in name]


def test_two_events_of_one_day_are_one_active_day() -> None:
    rows: list[Record] = [
        (0, 9 * DAY + DAY // 2, 0, 1, 0.0),
        (0, 9 * DAY + DAY // 4, 0, 1, 0.0),
        (0, 2 * DAY, 0, 0, 0.0),
    ]
    row = features(rows, [(0, 10 * DAY)]).iloc[0]
    assert (row["visit active days 30d"], row["any event active days 30d"]) == (1.0, 2.0)


def test_a_rate_is_a_month_s_events_over_the_time_observed() -> None:
    rows: list[Record] = [(0, day * DAY, 0, 1, 0.0) for day in range(30, 90, 10)]
    # 6 visits in 60 days since creation on day 30; a lead of one day is taken as 30 days old.
    created = np.array([30 * DAY])
    seen = behaviour_features(log(rows), PLAN, key=np.array([0]), cutoff=np.array([90 * DAY]), created_at=created)
    assert seen["visit rate"].to_list() == [3.0]
    young = behaviour_features(
        log(rows[:1]), PLAN, key=np.array([0]), cutoff=np.array([31 * DAY]), created_at=np.array([NEVER])
    )
    assert young["visit rate"].to_list() == [1.0]


def test_a_thousand_events_of_one_moment_add_up_exactly() -> None:
    rows: list[Record] = [(0, 10 * DAY, 0, 1, 0.1)] * 1000
    row = features(rows, [(0, 20 * DAY)]).iloc[0]
    assert (row["visit intensity"], row["visit value 30d"], row["visit count 30d"]) == (500.0, 100.0, 1000.0)


def test_a_row_of_nobody_looks_at_nothing() -> None:
    rows: list[Record] = [(0, DAY, 0, 1, 1.0), (2, DAY, 0, 1, 1.0)]
    assert features(rows, [(-1, 20 * DAY), (3, 20 * DAY)])["any event count 30d"].to_list() == [0.0, 0.0]


def test_values_add_up_whatever_their_size() -> None:
    rows: list[Record] = [(0, DAY, 0, 1, 1e15), (0, DAY, 0, 1, 0.1), (0, DAY, 0, 1, -1e15)]
    assert features(rows, [(0, 2 * DAY)])["visit value 7d"].to_list() == [0.1]


@pytest.mark.parametrize("windows", [(7,), (1, 64), (30, 365), (7, 128, 200)])
def test_any_length_of_window_counts_its_days(windows: tuple[int, ...]) -> None:
    plan = replace(PLAN, windows_days=windows, lookback_days=400)
    rows: list[Record] = [(0, day * DAY, 0, 1, 0.0) for day in range(400)]
    seen = behaviour_features(
        log(rows), plan, key=np.array([0]), cutoff=np.array([400 * DAY]), created_at=np.zeros(1, dtype=np.int64)
    )
    for days in windows:
        assert seen[f"visit count {days}d"].to_list() == [days]
    assert seen[f"visit active days {windows[-1]}d"].to_list() == [windows[-1]]
