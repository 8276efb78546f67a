from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.asof import DAY, NEVER
from propensity.config import parse_config
from propensity.errors import InputError
from propensity.labels import first_immature, propose_horizon
from propensity.training import prepare


def leads(delay_days: float, *, n: int = 4000, share: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Leads over 500 days, a share of whom convert after an exponential delay; seen on day 500."""
    rng = np.random.default_rng(seed)
    created = (rng.uniform(0, 500, n) * DAY).astype(np.int64)
    at = created + (rng.exponential(delay_days, n) * DAY).astype(np.int64)
    return created, np.where((rng.random(n) < share) & (at <= 500 * DAY), at, NEVER)


@pytest.mark.parametrize(("delay", "days"), [(8, 30), (20, 60), (35, 90), (65, 180)])
def test_the_shortest_horizon_that_sees_nine_in_ten_conversions(delay: float, days: int) -> None:
    """An exponential delay has come to 90 % after 2.3 means: 18, 46, 81 and 150 days."""
    created, sold = leads(delay)
    found = propose_horizon(created, sold, extracted_at=500 * DAY)
    assert found.days == days
    assert found.share == pytest.approx(1 - math.exp(-days / delay), abs=0.03)


def test_young_leads_are_censored_not_lost() -> None:
    """Most leads of a growing company are too young to have converted; the delay is the same."""
    rng = np.random.default_rng(1)
    created = (500 * DAY * np.sqrt(np.sqrt(rng.uniform(0, 1, 20_000)))).astype(np.int64)
    at = created + (rng.exponential(35, 20_000) * DAY).astype(np.int64)
    sold = np.where((rng.random(20_000) < 0.3) & (at <= 500 * DAY), at, NEVER)
    assert propose_horizon(created, sold, extracted_at=500 * DAY).days == 90


def test_long_delays_and_few_conversions_are_said() -> None:
    created, sold = leads(400)
    assert "leads here take long" in propose_horizon(created, sold, extracted_at=500 * DAY).sentence
    few = propose_horizon(created[:30], sold[:30], extracted_at=500 * DAY)
    assert (few.days, "too few to tell" in few.sentence) == (90, True)


def test_conversions_before_creation_tell_no_delay() -> None:
    created, sold = leads(20)
    odd = propose_horizon(np.r_[created, 100 * DAY], np.r_[sold, 50 * DAY], extracted_at=500 * DAY)
    assert odd == propose_horizon(created, sold, extracted_at=500 * DAY)


def test_a_calm_file_has_no_immature_leads_but_one_time_in_a_hundred() -> None:
    rng = np.random.default_rng(0)
    found = [first_immature((rng.random(2000) < 0.15).astype(float), np.arange(2000)) for _ in range(300)]
    assert sum(at is not None for at in found) <= 8


def test_leads_that_had_no_time_to_convert_are_found_where_they_begin() -> None:
    rng = np.random.default_rng(0)
    order = np.arange(4000)
    mature = order < 3600
    y = (rng.random(4000) < np.where(mature, 0.2, 0.02)).astype(float)
    assert first_immature(y, order) == 3600


def test_a_dip_before_a_normal_newest_cohort_is_business() -> None:
    rng = np.random.default_rng(0)
    order = np.arange(4000)
    y = (rng.random(4000) < np.where((order >= 3400) & (order < 3600), 0.0, 0.2)).astype(float)
    assert first_immature(y, order) is None


@given(seed=st.integers(0, 100), n=st.integers(0, 300), ties=st.integers(1, 50))
def test_any_order_of_rows_gives_the_same_answer(seed: int, n: int, ties: int) -> None:
    rng = np.random.default_rng(seed)
    y, order = (rng.random(n) < 0.5).astype(float), np.arange(n) // ties
    y[order > order.max(initial=0) * 0.8] = 0
    mixed = rng.permutation(n)
    assert first_immature(y, order) == first_immature(y[mixed], order[mixed])


def test_a_flat_file_is_cut_where_its_leads_are_too_young_and_it_is_said() -> None:
    rng = np.random.default_rng(0)
    n = 2000
    day = pd.Timestamp("2025-01-01") + pd.to_timedelta(np.arange(n) // 5, unit="D")
    y = rng.random(n) < np.where(np.arange(n) < 1800, 0.3, 0.01)
    frame = pd.DataFrame({"id": range(n), "day": day, "x": rng.normal(size=n), "won": np.where(y, "yes", "no")})
    settings = {"id": "id", "date": "day", "target": "won", "fit": ["x"]}
    prepared = prepare(frame, parse_config({"data": {"leads": "l.csv"}, "columns": settings}))
    assert prepared.dropped == {"immature": 200}
    assert len(prepared.examples.y) == 1800
    assert prepared.said[0].startswith("200 leads since 2025-12-27 convert at 2.0%, older ones at ")


def test_a_flat_file_that_says_when_it_was_exported_is_cut_by_the_horizon_instead() -> None:
    """Leads of 100 days, exported at their end: with 30 days to convert and 2 to be told, days 0 to 67 are ripe."""
    days = np.repeat(np.arange(100), 10)
    frame = pd.DataFrame(
        {
            "id": range(1000),
            "day": pd.Timestamp("2025-01-01 12:00") + pd.to_timedelta(days, unit="D"),
            "x": np.arange(1000) % 7,
            "won": np.where((np.arange(1000) % 3 == 0) & (days < 90), "yes", "no"),
        }
    )
    settings = {"id": "id", "date": "day", "target": "won", "fit": ["x"]}
    data = {"leads": "l.csv", "extracted_at": "2025-04-11T00:00:00Z"}
    prepared = prepare(frame, parse_config({"data": data, "columns": settings, "labels": {"horizon_days": 30}}))
    assert prepared.dropped == {"immature": 320}
    assert prepared.said[0].startswith("320 leads came in less than 32 days before data.extracted_at")
    with pytest.raises(InputError, match="no outcome is known yet"):
        prepare(frame, parse_config({"data": data, "columns": settings, "labels": {"horizon_days": 700}}))
