"""Each policy by hand, and the promises they make by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from propensity.bands import (
    NOBODY,
    Certifying,
    capacity_threshold,
    precision_threshold,
    recall_threshold,
    top_threshold,
)
from propensity.bands.policies import certifiable_precision, threshold_grid


def world(n_leads: int, *, seed: int, mean: float = -2.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probability = (1 / (1 + np.exp(-rng.normal(mean, 1.5, n_leads)))).round(9)
    return probability, (rng.random(n_leads) < probability).astype(float)


def test_a_precision_promise_is_broken_no_more_often_than_said() -> None:
    chosen, _ = world(2_000, seed=0)
    truth, _ = world(200_000, seed=1)
    broken = certified = naive = 0
    for seed in range(200):
        probability, y = world(2_000, seed=100 + seed)
        found = precision_threshold(chosen, Certifying(probability=probability, y=y), rate=0.4, delta=0.05)
        if found is not None:
            certified += 1
            broken += truth[truth >= found].mean() < 0.4
        # The usual way: the lowest threshold that held on these leads.
        held = [t for t in threshold_grid(chosen) if y[probability >= t].mean() >= 0.4]
        naive += truth[truth >= min(held)].mean() < 0.4
    assert certified > 150
    assert stats.binomtest(broken, 200, 0.05, alternative="greater").pvalue > 0.01
    assert naive > 60


def test_no_threshold_below_the_bound_of_other_policies_is_certified() -> None:
    probability, y = world(5_000, seed=3)
    sure = Certifying(probability=probability, y=y)
    free = precision_threshold(probability, sure, rate=0.3, delta=0.05)
    assert free is not None
    assert precision_threshold(probability, sure, rate=0.3, delta=0.05, least=free / 2) == pytest.approx(free, rel=0.2)
    bound = free + 0.1
    assert precision_threshold(probability, sure, rate=0.3, delta=0.05, least=bound) == bound
    assert precision_threshold(probability, sure, rate=0.3, delta=0.05, least=NOBODY) is None


def test_leads_not_to_be_called_are_in_no_band_and_count_as_none_of_its_conversions() -> None:
    probability = np.repeat([-1.0, 0.9, 0.1], [100, 100, 100])
    y = np.repeat([0.0, 1.0, 0.0], [100, 100, 100])
    assert precision_threshold(probability, Certifying(probability=probability, y=y), rate=0.8, delta=0.05) == 0.9


def test_what_could_be_certified_is_below_what_could_not() -> None:
    probability, y = world(3_000, seed=5)
    sure = Certifying(probability=probability, y=y)
    assert precision_threshold(probability, sure, rate=0.97, delta=0.05) is None
    best = certifiable_precision(probability, sure, rate=0.97, delta=0.05)
    assert best is not None
    assert 0.3 < best < 0.97
    assert precision_threshold(probability, sure, rate=best, delta=0.05) is not None


def test_nothing_can_be_certified_where_nobody_converts() -> None:
    probability, _ = world(300, seed=6)
    nobody = Certifying(probability=probability, y=np.zeros(300))
    assert certifiable_precision(probability, nobody, rate=0.3, delta=0.05) is None


@given(st.lists(st.floats(0, 1, allow_nan=False), min_size=1, max_size=60), st.floats(0.01, 0.99))
def test_the_top_share_holds_that_share_and_its_threshold_is_a_leads_own(ps: list[float], share: float) -> None:
    probability = np.array(ps)
    found = top_threshold(probability, share)
    assert found in probability
    assert (probability >= found).sum() >= np.floor(share * (len(ps) - 1))


@given(st.floats(1, 500), st.floats(1, 2000))
def test_more_capacity_never_raises_the_threshold(capacity: float, leads_per_week: float) -> None:
    probability, _ = world(500, seed=7)
    tight, wide = (
        capacity_threshold(probability, capacity=k, leads_per_week=leads_per_week) for k in (capacity, 2 * capacity)
    )
    assert wide <= tight
    if tight <= 1:
        reached = leads_per_week * (probability >= tight).mean()
        assert stats.poisson.cdf(np.floor(capacity), reached) >= 0.9


def test_a_lead_that_pays_nothing_leaves_room_for_another() -> None:
    probability = np.repeat([0.9, 0.8, 0.7, 0.6], 100)
    masked = np.repeat([0.9, -1.0, 0.7, 0.6], 100)
    assert capacity_threshold(probability, capacity=12, leads_per_week=16) == 0.8
    assert capacity_threshold(masked, capacity=12, leads_per_week=16) == 0.7


def test_recall_is_certified_by_the_first_threshold_from_above_that_passes() -> None:
    probability, y = world(6_000, seed=8)
    found, certified = recall_threshold(probability, Certifying(probability=probability, y=y), rate=0.8, delta=0.05)
    assert certified
    assert y[probability >= found].sum() / y.sum() > 0.8
    higher = threshold_grid(probability)[threshold_grid(probability) > found][-1]
    n, k = int(y.sum()), int(y[probability >= higher].sum())
    assert stats.binomtest(k, n, alternative="greater").proportion_ci(confidence_level=0.95).low < 0.8
