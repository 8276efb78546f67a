"""What all tests share."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

# How long an example takes says more about the machine than about the law.
settings.register_profile("propensity", deadline=None)
settings.load_profile("propensity")


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite registry nothing was written to: making one takes seconds, copying it none."""
    import mlflow

    database = tmp_path_factory.mktemp("registry") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{database}").search_registered_models()
    return database


@pytest.fixture(scope="session")
def small_world() -> dict[str, pd.DataFrame]:
    """160 leads of 300 days until 2026, what they did, and who of them converted; every cell as a CSV has it.

    Who asks for a demo converts most of the time, some ten days and more after it came in.
    """
    rng = np.random.default_rng(0)
    n, end = 160, pd.Timestamp("2026-01-01", tz="UTC")
    born = pd.DatetimeIndex(end - pd.to_timedelta(np.sort(rng.uniform(1, 300, n))[::-1], unit="D")).floor("s")
    ids = np.array([f"L{i:04d}" for i in range(n)])
    asked = rng.random(n) < 0.5
    buys = rng.random(n) < np.where(asked, 0.95, 0.05)
    won = born + pd.to_timedelta(10 + rng.exponential(8, n), unit="D").floor("s")
    who = np.repeat(np.arange(n), 4)
    visited = born[who] + pd.to_timedelta(rng.exponential(20, len(who)), unit="D").floor("s")
    demos = pd.DataFrame({"lead_id": ids, "occurred_at": born + pd.Timedelta(hours=30), "event_type": "demo"})[asked]
    visits = pd.DataFrame({"lead_id": ids[who], "occurred_at": visited, "event_type": "visit"})
    events = pd.concat([demos, visits])
    industry = rng.choice(["Software", "Retail"], n)
    tables = {
        "leads": pd.DataFrame(
            {"Lead": ids, "Created": born, "Industry": industry, "Account": [f"A{i // 2}" for i in range(n)]}
        ),
        "events": events[events["occurred_at"] < end],
        "outcomes": pd.DataFrame({"lead_id": ids, "converted_at": won})[buys & (won < end)],
    }
    for name, column in (("leads", "Created"), ("events", "occurred_at"), ("outcomes", "converted_at")):
        written = tables[name][column].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        tables[name] = tables[name].assign(**{column: written}).reset_index(drop=True)
    return tables


@pytest.fixture(scope="session")
def small_bundle(small_world: dict[str, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of `small_world`, as `small_world.toml` says; to be read, not changed."""
    from propensity import Tables, save_model, train
    from propensity.config import parse_config

    config = parse_config(tomllib.loads((Path(__file__).parent / "small_world.toml").read_text()))
    tables = Tables(leads=small_world["leads"], events=small_world["events"], outcomes=small_world["outcomes"])
    result = train(tables, config)
    assert result.model.verdict == "skill"
    return save_model(result.model, tmp_path_factory.mktemp("small") / "bundle")
