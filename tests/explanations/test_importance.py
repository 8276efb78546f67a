from __future__ import annotations

import numpy as np
import pandas as pd

from propensity.explanations import Explanation, Group, importance

GROUPS = (
    Group(name="Industry", family="fit", columns=(0,), counts={}),
    Group(name="demo", family="behaviour", columns=(1, 2), counts={}),
)


def explanation_of(points: np.ndarray) -> Explanation:
    return Explanation(log_odds_parts=points, points=points, reference_log_odds=0.0, reference_probability=0.5)


def test_what_belongs_together_counts_together_whatever_its_sign() -> None:
    table = importance(explanation_of(np.array([[1.0, 5.0, -1.0], [-2.0, -4.0, 4.0]])), GROUPS, seed=0)
    assert table["group"].to_list() == ["demo", "Industry"]
    assert table["family"].to_list() == ["behaviour", "fit"]
    assert table["points"].to_list() == [2.0, 1.5]
    assert table["share"].sum() == 1


def test_the_interval_is_that_of_the_mean_over_leads() -> None:
    points = np.random.default_rng(0).normal(size=(400, 3))
    table = importance(explanation_of(points), GROUPS, seed=0).set_index("group")
    # The mean of |x| of a normal number is 0.798, its standard deviation 0.603: 1.645 standard errors are 0.050.
    row = table.loc["Industry"]
    assert row["low"] < row["points"] < row["high"]
    assert abs(row["high"] - row["low"] - 2 * 1.645 * 0.603 / 20) < 0.03


def test_the_same_seed_gives_the_same_table_and_nothing_moved_has_no_share() -> None:
    points = np.random.default_rng(0).normal(size=(50, 3))
    one, two = (importance(explanation_of(points), GROUPS, seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)
    assert importance(explanation_of(np.zeros((5, 3))), GROUPS, seed=0)["share"].to_list() == [0.0, 0.0]
