from __future__ import annotations

import numpy as np
import pandas as pd

from propensity.explanations import Explanation, dependence
from propensity.schema import Column, Schema

SCHEMA = Schema(
    columns=(
        Column(name="Visits", family="behaviour", kind="number"),
        Column(name="Industry", family="fit", kind="category"),
        Column(name="Idle", family="behaviour", kind="number"),
    ),
    id=None,
    missing=(),
)


def told(points: np.ndarray) -> Explanation:
    return Explanation(log_odds_parts=points, points=points, reference_log_odds=0.0, reference_probability=0.5)


def world(n: int = 400) -> tuple[Explanation, pd.DataFrame]:
    rng = np.random.default_rng(0)
    visits = rng.integers(0, 50, n).astype(float)
    visits[:30] = np.nan
    industry = np.where(np.arange(n) < 4, "rare", rng.choice(["arms", "retail"], n)).astype(object)
    industry[4:20] = None
    values = pd.DataFrame({"Visits": visits, "Industry": industry, "Idle": np.zeros(n)})
    points = np.column_stack(
        [np.nan_to_num(visits, nan=-7.0), np.where(industry == "arms", 2.0, -1.0), np.zeros(n)]
    ).astype(float)
    return told(points), values


def test_numbers_go_in_steps_of_as_many_leads_and_no_lead_is_told_twice() -> None:
    explanation, values = world()
    table = dependence(explanation, values, SCHEMA)
    visits = table[table["column"] == "Visits"]
    assert visits["leads"].sum() == 400
    assert len(visits) == 9
    known = visits[visits["value"] != "not given"]
    assert (known["points"].diff().dropna() > 0).all()
    assert ((known["leads"] >= 30) & (known["leads"] <= 65)).all()
    assert visits[visits["value"] == "not given"][["leads", "points"]].to_numpy().tolist() == [[30, -7.0]]
    assert (known["low"] <= known["points"]).all()


def test_rare_levels_are_not_named_and_what_few_have_is_not_told() -> None:
    explanation, values = world()
    table = dependence(explanation, values, SCHEMA)
    industry = table[table["column"] == "Industry"].set_index("value")
    assert {*industry.index} == {"arms", "retail", "not given"}  # "rare" has four leads
    assert industry.loc["arms", "points"] == 2.0
    assert industry.loc["not given", "leads"] == 16


def test_what_moves_nothing_has_no_line_and_the_strongest_comes_first() -> None:
    explanation, values = world()
    assert [*dependence(explanation, values, SCHEMA)["column"].unique()] == ["Visits", "Industry"]
    nothing = dependence(told(np.zeros((400, 3))), values, SCHEMA)
    assert (len(nothing), [*nothing]) == (0, ["column", "family", "value", "leads", "points", "low", "high"])
