from __future__ import annotations

import numpy as np
import pytest

from propensity.learners import choose_half_life, recency_weights

Y = np.tile([1.0, 1.0, 0.0, 0.0], 100)
RIGHT = 2 * Y - 1
BLOCK = np.arange(400) // 100


def test_a_row_counts_half_for_each_half_life_of_newer_rows() -> None:
    weights = recency_weights(np.arange(8), 0.25)
    np.testing.assert_allclose(weights[2:] / weights[:-2], 2.0)


def test_rows_of_one_instant_weigh_alike_in_any_order() -> None:
    order = np.array([1, 1, 1, 2, 2, 5])
    weights = recency_weights(order, 0.5)
    assert len({*weights[:3]}) == len({*weights[3:5]}) == 1
    assert weights[0] < weights[3] < weights[5]


@pytest.mark.parametrize("own", [None, np.array([0.25, 0.25, 0.5, 1.0])])
def test_rows_weigh_on_average_what_they_weighed(own: np.ndarray | None) -> None:
    weights = recency_weights(np.arange(4), 0.1, weight=own)
    assert weights.sum() == pytest.approx(4 if own is None else own.sum())


def test_a_row_that_weighs_nothing_goes_on_weighing_nothing() -> None:
    assert recency_weights(np.arange(3), 0.5, weight=np.array([1.0, 0.0, 1.0]))[1] == 0


def test_the_half_life_that_is_better_in_every_block_is_chosen() -> None:
    margins = {None: 0 * RIGHT, 0.5: RIGHT, 0.1: 2 * RIGHT}
    assert choose_half_life(margins, Y, block=BLOCK) == 0.1


def test_a_half_life_that_pays_in_one_block_only_is_not_chosen() -> None:
    margins = {None: RIGHT, 0.5: np.where(BLOCK == 0, 9 * RIGHT, 0.9 * RIGHT)}
    assert choose_half_life(margins, Y, block=BLOCK) is None


def test_of_equals_the_longer_half_life_is_chosen() -> None:
    margins = {None: 0 * RIGHT, 0.1: RIGHT, 0.5: RIGHT}
    assert choose_half_life(margins, Y, block=BLOCK) == 0.5


def test_snapshots_of_one_lead_count_by_their_weight() -> None:
    margins = {None: RIGHT, 0.5: np.where(BLOCK < 2, 2 * RIGHT, -RIGHT)}
    weight = np.where(BLOCK < 2, 1.0, 1e-9)
    assert choose_half_life(margins, Y, block=BLOCK * 0, weight=weight) == 0.5
    assert choose_half_life(margins, Y, block=BLOCK * 0) is None
