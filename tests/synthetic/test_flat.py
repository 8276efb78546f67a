from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from propensity.synthetic import World, invent_leads


@pytest.fixture(scope="module")
def world() -> World:
    return invent_leads(seed=3, n_history=4000, n_new=100)


@pytest.fixture(scope="module")
def y(world: World) -> np.ndarray:
    return (world.history["Converted"] == "Yes").to_numpy(dtype=float)


def test_the_same_seed_invents_the_same_leads() -> None:
    first, again, other = (invent_leads(seed=seed, n_history=50, n_new=5) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first.history, again.history)
    pd.testing.assert_frame_equal(first.new, again.new)
    np.testing.assert_array_equal(first.probability, again.probability)
    assert not first.history["Employees"].equals(other.history["Employees"])


def test_history_comes_before_the_new_leads_and_both_are_as_many_as_asked(world: World) -> None:
    assert (len(world.history), len(world.new), world.probability.shape) == (4000, 100, (4000,))
    stamps = pd.to_datetime(pd.concat([world.history["Created"], world.new["Created"]]))
    assert stamps.is_monotonic_increasing
    assert (stamps.min() >= pd.Timestamp("2025-01-01"), stamps.max() < pd.Timestamp("2026-06-26")) == (True, True)


def test_ids_name_one_lead_each(world: World) -> None:
    assert pd.concat([world.history["Lead ID"], world.new["Lead ID"]]).is_unique


def test_new_leads_do_not_tell_their_outcome(world: World) -> None:
    assert [*world.new] == [name for name in world.history if name != "Converted"]
    assert world.new["Lead status"].unique().tolist() == ["Open"]


def test_the_status_gives_the_outcome_away_and_nothing_else_does(world: World, y: np.ndarray) -> None:
    assert ((world.history["Lead status"] == "Closed - won") == (y == 1)).all()
    for name in world.history.columns.difference(["Lead status", "Converted", "Lead ID", "Email", "Created"]):
        rates = pd.Series(y).groupby(world.history[name].astype(str).to_numpy()).agg(["mean", "size"])
        common = rates[rates["size"] >= 40]["mean"]
        assert common.between(0, 0.9).all()


def test_the_true_probability_is_a_chance_that_comes_true(world: World, y: np.ndarray) -> None:
    assert ((world.probability > 0) & (world.probability < 1)).all()
    order = np.argsort(world.probability)
    for part in np.array_split(order, 10):
        expected = world.probability[part]
        # Four standard errors of a sum of independent chances: ten tenths fail once in 1,500 seeds.
        assert abs(y[part].sum() - expected.sum()) < 4 * np.sqrt((expected * (1 - expected)).sum())


def test_nothing_that_is_known_of_a_lead_ranks_better_than_its_true_probability(world: World, y: np.ndarray) -> None:
    ceiling = roc_auc_score(y, world.probability)
    assert 0.75 < ceiling < 0.95  # neither hopeless nor given away
    numbers = world.history.select_dtypes("number")
    assert {"Pages viewed", "Pricing page visits", "Days since visit"} <= {*numbers}
    for name in numbers:
        auc = roc_auc_score(y, numbers[name])
        assert max(auc, 1 - auc) < ceiling - 0.05


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 2.0])
@pytest.mark.parametrize("shift", [-0.5, 0.0, 0.5])
def test_no_bent_probability_has_a_smaller_log_loss_than_the_true_one(
    world: World, y: np.ndarray, factor: float, shift: float
) -> None:
    log_odds = np.log(world.probability / (1 - world.probability))
    bent = 1 / (1 + np.exp(-(factor * log_odds + shift)))
    assert log_loss(y, world.probability) < log_loss(y, bent)


def test_noise_on_the_true_probability_costs_ranking(world: World, y: np.ndarray) -> None:
    noise = np.random.default_rng(0).normal(0, 1, len(y))
    log_odds = np.log(world.probability / (1 - world.probability))
    aucs = [roc_auc_score(y, log_odds + size * noise) for size in (0, 1, 4)]
    assert aucs == sorted(aucs, reverse=True)


def test_the_base_rate_rises_over_time(world: World) -> None:
    assert world.probability[2000:].mean() > world.probability[:2000].mean()


def test_some_cells_are_missing_in_the_ways_people_write_it(world: World) -> None:
    # Each lead's company size is unknown with chance 0.12: 480 of 4,000 leads, give or take four times 21.
    assert abs((world.history["Employees"] == "").sum() - 480) < 84
    assert "unknown" in set(world.history["Newsletter"])


def test_nobody_real_is_meant(world: World) -> None:
    assert world.history["Email"].str.endswith("@example.com").all()


def test_a_history_without_new_leads_may_be_had() -> None:
    world = invent_leads(n_history=20, n_new=0)
    assert (len(world.history), len(world.new)) == (20, 0)
