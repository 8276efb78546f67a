"""Flat lead files whose conversions hang on visits and source, and the settings they are trained by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from propensity.config import Config, parse_config
from propensity.schema import Tables
from propensity.training import TrainingRun, train

SMALL = {"max_trees": 20, "max_depth": 4}


def leads(n_leads: int = 600, *, seed: int = 0, strength: float = 1.0) -> pd.DataFrame:
    """A lead file whose conversions hang on visits and source, as strongly as asked; oldest row first."""
    rng = np.random.default_rng(seed)
    visits = rng.poisson(3, n_leads)
    source = rng.choice(["fair", "referral", "web"], n_leads)
    log_odds = strength * (0.7 * (visits - 3) + np.where(source == "referral", 1.0, -0.5)) - 0.8
    day = np.datetime64("2025-01-01") + np.sort(rng.integers(0, 365, n_leads))
    return pd.DataFrame(
        {
            "Lead": [f"L{i:05d}" for i in rng.permutation(n_leads)],
            "Source": source,
            "Visits": visits,
            "Age": rng.integers(20, 60, n_leads),
            "Account": [f"acme {i}" for i in rng.integers(0, n_leads // 3, n_leads)],
            "Created": day.astype(str),
            "Demo": np.where(visits > 4, "yes", ""),
            "Won": (rng.random(n_leads) < 1 / (1 + np.exp(-log_odds))).astype(int),
        }
    )


def config(**sections: dict[str, Any]) -> Config:
    """Settings of a flat project; sections given are laid over them."""
    settings: dict[str, dict[str, Any]] = {
        "data": {"leads": "leads.csv"},
        "columns": {"id": "Lead", "target": "Won", "fit": ["Source"], "behaviour": ["Visits", "Age"]},
        "evaluation": {"origins": 2},
        "learner": SMALL,
    }
    for name, values in sections.items():
        settings[name] = {**settings.get(name, {}), **values}
    return parse_config(settings)


DATED = config(columns={"date": "Created"})
POINTS = {"points": [{"name": "demo", "column": "Demo", "value": "yes", "points": 40}]}


def run(frame: pd.DataFrame, settings: Config | None = None) -> TrainingRun:
    return train(Tables(leads=frame), settings or config())


def with_conversions(n_converted: int, n_leads: int = 300) -> pd.DataFrame:
    """So many convert, mostly those of many visits: a column that decides it all would be taken for a leak."""
    frame = leads(n_leads)
    liking = frame["Visits"] + np.random.default_rng(1).normal(scale=2.0, size=n_leads)
    return frame.assign(Won=(liking.rank() > n_leads - n_converted).astype(int))
