"""What is left of events, against the formula, and whatever the order of records."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.asof import DAY, Events
from propensity.features.plan import Signal
from propensity.features.points import decayed, signal_features

SIGNALS = [
    Signal(type="demo", decay="exponential", half_life_days=30.0),
    Signal(type="demo", decay="linear", half_life_days=10.0),
    Signal(type="demo", decay="step", half_life_days=7.0),
    Signal(type="demo"),
    Signal(type="visit"),
]


def log(records: list[tuple[int, int, int]], *, late: int = 0) -> Events:
    key, at, kind = (np.array([record[i] for record in records], dtype=np.int64) for i in range(3))
    return Events(key=key, occurred_at=at, known_at=at + late, kind=kind, value=None, types=("demo", "visit"), notes={})


def left(events: Events, *, key: list[int], cutoff: list[int], **options: int) -> dict[str, list[float]]:
    given_options = {"lookback_days": 365} | options
    frame = signal_features(events, SIGNALS, key=np.array(key), cutoff=np.array(cutoff), **given_options)
    return frame.to_dict("list")  # type: ignore[return-value]


def test_every_decay_leaves_half_after_its_half_life() -> None:
    for decay in ("linear", "step", "exponential"):
        assert decayed(np.array([21.0]), decay, 21.0).tolist() == [0.5]


def test_events_count_from_before_the_cutoff_and_within_the_lookback() -> None:
    day = DAY
    events = log([(0, 10 * day, 0), (0, 20 * day, 0), (0, 400 * day, 0), (1, 10 * day, 0)])
    assert left(events, key=[0, 0, 0], cutoff=[20 * day, 20 * day + 1, 376 * day])["demo events"] == [1.0, 2.0, 1.0]
    late = log([(0, 10 * day, 0)], late=day)
    assert left(late, key=[0, 0], cutoff=[11 * day, 11 * day + 1])["demo events"] == [0.0, 1.0]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 300), st.integers(0, 1)), max_size=60),
    st.randoms(use_true_random=False),
    st.integers(1, 40),
)
def test_no_order_of_records_and_no_chunk_changes_a_bit(
    records: list[tuple[int, int, int]], random: object, chunk: int
) -> None:
    hours = [(key, hour * DAY // 24 + key, kind) for key, hour, kind in records]
    shuffled = [*hours]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    key, cutoff = [0, 1, 2, 3, 2, 9], [12 * DAY, 9 * DAY, 300 * DAY // 24, 40 * DAY, DAY, DAY]
    assert left(log(shuffled), key=key, cutoff=cutoff, chunk_events=chunk) == left(log(hours), key=key, cutoff=cutoff)
    # What comes after the cutoff is as if it were not there.
    past = [record for record in hours if record[1] < 9 * DAY]
    assert left(log(past), key=[1], cutoff=[9 * DAY]) == left(log(hours), key=[1], cutoff=[9 * DAY])


def test_half_lives_are_exact_to_the_twelfth_digit() -> None:
    rng = np.random.default_rng(0)
    at = np.sort(rng.integers(0, 200 * DAY, 500))
    events = log([(0, int(one), 0) for one in at])
    found = left(events, key=[0], cutoff=[200 * DAY])["demo events, exponential 30d"][0]
    truth = math.fsum(2.0 ** (-(200 * DAY - int(one)) / (30 * DAY)) for one in at)
    assert found == pytest.approx(truth, rel=1e-12)
