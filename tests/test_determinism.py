"""The same leads, config and seed give the same bytes: at any number of threads, in any order of the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from propensity.config import Config, parse_config
from propensity.model import bundle_files
from propensity.schema import Tables
from propensity.training import TrainingRun, train

TRAIN_AND_SCORE = """
import sys
from pathlib import Path
from propensity import load_config, load_model, predict, read_tables, save_model, train
config = load_config("propensity.toml")
out = Path(sys.argv[1])
run = train(read_tables(config), config)
save_model(run.model, out / "bundle")
leads = read_tables(config).leads
predict(leads, model=load_model(out / "bundle")).to_csv(out / "scores.csv", index=False)
"""
TOML = """
[data]
leads = "leads.csv"
[columns]
id = "Lead ID"
target = "Converted"
date = "Created"
fit = ["Size", "Industry"]
behaviour = ["Visits", "Days"]
[evaluation]
origins = 1
[learner]
max_trees = 100
[[rules.points]]
name = "visits"
column = "Visits"
op = ">="
value = 5
points = 60
"""


@pytest.fixture(scope="module")
def config() -> Config:
    return parse_config(tomllib.loads(TOML))


@pytest.fixture(scope="module")
def leads() -> pd.DataFrame:
    """Leads of middling companies with some visits, not many, convert: a line cannot tell, trees can."""
    rng = np.random.default_rng(3)
    n = 1500
    visits, size = rng.integers(0, 10, n), rng.integers(1, 500, n)
    likely = (visits >= 3) & (visits <= 6) & (size > 100) & (size < 400)
    created = pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 200, n), unit="D")  # days are shared
    return pd.DataFrame(
        {
            "Lead ID": [f"{i:04d}" for i in rng.permutation(n)],
            "Created": created.strftime("%Y-%m-%d 09:00"),
            "Size": np.where(rng.random(n) < 0.1, "", size.astype(str)),
            "Industry": rng.choice(["steel", "paper", "glass"], n),
            "Visits": visits.astype(str),
            "Days": rng.integers(0, 30, n).astype(str),
            "Converted": np.where(rng.random(n) < np.where(likely, 0.6, 0.05), "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def trained(leads: pd.DataFrame, config: Config) -> TrainingRun:
    run = train(Tables(leads=leads), config)
    assert run.model.learned is not None
    assert run.model.learned.blend.recipe.forest_share > 0  # else there is no forest to compare
    return run


def test_one_thread_and_two_give_the_same_bundle_and_scores(leads: pd.DataFrame, tmp_path: Path) -> None:
    leads.to_csv(tmp_path / "leads.csv", index=False)
    (tmp_path / "propensity.toml").write_text(TOML)
    running = {}
    for threads in ("1", "2"):
        out = tmp_path / threads
        out.mkdir()
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
        # Another hash seed too: no set or dict order may show.
        environment = {**os.environ, **dict.fromkeys(names, threads), "PYTHONHASHSEED": threads}
        command = [sys.executable, "-c", TRAIN_AND_SCORE, str(out)]
        running[threads] = subprocess.Popen(command, cwd=tmp_path, env=environment)
    assert [process.wait() for process in running.values()] == [0, 0]
    written = {
        threads: {
            str(path.relative_to(tmp_path / threads)): path.read_bytes()
            for path in (tmp_path / threads).rglob("*")
            if path.is_file()
        }
        for threads in running
    }
    assert "bundle/forest_0.txt" in written["1"]
    assert json.loads(written["1"]["bundle/blend.json"])["shares"]["linear"] < 1
    assert "scores.csv" in written["1"]
    assert written["1"] == written["2"]


@pytest.mark.parametrize("order", ["backwards", "shuffled", "by another column"])
def test_the_order_of_rows_in_a_file_with_ids_and_dates_does_not_show(
    leads: pd.DataFrame, config: Config, trained: TrainingRun, order: str
) -> None:
    ordered = {
        "backwards": leads.iloc[::-1],
        "shuffled": leads.sample(frac=1, random_state=5),
        "by another column": leads.sort_values("Size"),
    }[order]
    again = train(Tables(leads=ordered.reset_index(drop=True)), config)
    assert bundle_files(again.model) == bundle_files(trained.model)


def test_another_seed_gives_another_model(leads: pd.DataFrame, config: Config, trained: TrainingRun) -> None:
    other = config.model_copy(update={"learner": config.learner.model_copy(update={"seed": 1})})
    assert train(Tables(leads=leads), other).model.version != trained.model.version


def test_row_order_that_means_time_does_show(leads: pd.DataFrame, config: Config) -> None:
    columns = config.columns.model_copy(update={"date": None, "ordered": True})
    in_order = config.model_copy(update={"columns": columns})
    forwards, backwards = (train(Tables(leads=rows), in_order) for rows in (leads, leads.iloc[::-1]))
    assert bundle_files(forwards.model) != bundle_files(backwards.model)
