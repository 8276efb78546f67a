from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from propensity.config import parse_config
from propensity.schema import Tables
from propensity.scoring import score
from propensity.training import train
from propensity.training.timebound import time_share


def test_series_counters_and_seasons_tell_the_time_and_fields_of_leads_do_not() -> None:
    rng = np.random.default_rng(0)
    day = np.sort(rng.integers(0, 365, 20_000))
    level = np.interp(day, [0, 100, 200, 365], [5.0, 4.0, 1.0, 0.5])
    columns = np.column_stack([day, level, day // 30, day % 7, rng.normal(size=20_000), rng.integers(0, 90, 20_000)])
    shares = time_share(columns, day)
    assert (shares[:3] > 0.95).all()
    assert (np.abs(shares[3:]) < 0.02).all()


def test_missing_is_a_value_like_any_other() -> None:
    day = np.arange(1000)
    since = np.where(day < 500, np.nan, 7.0)
    assert time_share(since[:, None], day)[0] == pytest.approx(0.75, abs=0.01)


def test_one_instant_and_a_constant_explain_nothing() -> None:
    assert time_share(np.arange(9.0)[:, None], np.zeros(9))[0] == 0.0
    assert time_share(np.ones((9, 1)), np.arange(9))[0] == pytest.approx(0.0)


def test_a_column_of_as_many_values_as_rows_is_not_taken_to_know_the_time_by_chance() -> None:
    values = np.random.default_rng(1).permutation(400).astype(float)
    assert abs(time_share(values[:, None], np.arange(400))[0]) < 0.15


def drifting(*, is_real: bool, n_leads: int = 3000) -> pd.DataFrame:
    """Conversions hang on visits; `Rate` falls with time, and conversions with it, or up and down without it."""
    rng = np.random.default_rng(3)
    time = np.arange(n_leads) / n_leads
    visits = rng.poisson(3, n_leads)
    rate = np.round(5 - 4 * time + np.sin(20 * time) / 3, 1)
    swing = np.where((time * 10).astype(int) % 2 == 0, 1.5, -1.5)
    log_odds = 0.6 * (visits - 3) - 1.5 + (rate - 3 if is_real else swing)
    won = (rng.random(n_leads) < 1 / (1 + np.exp(-log_odds))).astype(int)
    return pd.DataFrame({"Lead": [f"L{i}" for i in range(n_leads)], "Visits": visits, "Rate": rate, "Won": won})


@pytest.mark.parametrize("is_left_out", [True, False])
def test_a_series_that_misled_past_origins_is_left_out_and_said(*, is_left_out: bool) -> None:
    leads = drifting(is_real=not is_left_out)
    config = parse_config(
        {
            "data": {"leads": "leads.csv"},
            "columns": {"id": "Lead", "target": "Won", "fit": ["Rate"], "behaviour": ["Visits"], "ordered": True},
            "learner": {"max_trees": 60, "max_depth": 3},
            "evaluation": {"origins": 2},
        }
    )
    run = train(Tables(leads=leads), config)
    said = [sentence for sentence in run.warnings if "tell when a lead came" in sentence]
    assert len(said) == 1
    assert "'Rate'" in said[0]
    assert ("left out" in said[0]) is is_left_out
    assert ("Rate" in run.model.schema.names) is not is_left_out
    fresh = leads.head(50).drop(columns="Rate") if is_left_out else leads.head(50)
    assert {*score(fresh, model=run.model).frame["scored_by"]} == {"model"}
