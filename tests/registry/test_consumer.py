"""What others do with a model: score it where this package is not installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import propensity
from propensity.config import parse_config
from propensity.model import PropensityModel
from propensity.registry import Store, register
from propensity.schema import Tables
from propensity.synthetic import invent_leads
from propensity.training import train

pytestmark = pytest.mark.slow

SNIPPET = """
import importlib.util, sys
import mlflow, pandas as pd
assert importlib.util.find_spec("propensity") is None
source, leads, scores = sys.argv[1:]
model = mlflow.pyfunc.load_model(source)
model.predict(pd.read_csv(leads)).to_csv(scores, index=False)
assert "lightgbm" in sys.modules
"""
LIBRARIES = ("lightgbm", "pandas", "numpy")


def make_environment(folder: Path, *libraries: str) -> Path:
    """Make a virtual environment with these libraries in the versions used here, and give its Python."""
    uv = shutil.which("uv")
    installer = [uv] if uv else [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else None
    wanted = [f"{library}=={version(library)}" for library in libraries]
    python = folder / "bin" / "python"
    if installer:
        steps = [
            [*installer, "venv", "--quiet", "--python", sys.executable, str(folder)],
            [*installer, "pip", "install", "--quiet", "--python", str(python), *wanted],
        ]
    else:
        steps = [
            [sys.executable, "-m", "venv", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted],
        ]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"an environment of its own cannot be made here: {done.stderr.strip()[-200:]}")
    return python


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, PropensityModel, Path]:
    """A registered champion, and a file of new leads."""
    world = invent_leads(n_history=600, n_new=50)
    is_odd = np.arange(600) % 20 == 7
    converted = (world.probability > np.quantile(world.probability, 0.75)) ^ is_odd
    config = parse_config(
        {
            "data": {"leads": "leads.csv"},
            "columns": {
                "id": "Lead ID",
                "target": "Converted",
                "fit": ["Industry", "Job title", "Employees", "Lead source"],
                "behaviour": ["Pages viewed", "Emails clicked", "Demo requested", "Days since visit"],
            },
            "rules": {
                "points": [{"name": "demo", "column": "Demo requested", "op": "==", "value": "yes", "points": 60}]
            },
        }
    )
    run = train(Tables(leads=world.history.assign(Converted=np.where(converted, "Yes", "No"))), config)
    store = Store(folder=tmp_path_factory.mktemp("champion") / "models")
    assert register(run, config, store=store).alias == "champion"
    leads = store.folder.parent / "new_leads.csv"
    world.new.to_csv(leads, index=False)
    return store, run.model, leads


def assert_scores_the_same(
    python: Path, source: str, champion: tuple[Store, PropensityModel, Path], folder: Path, **environment: str
) -> None:
    _, model, leads = champion
    path = {"PATH": os.environ["PATH"], "HOME": str(folder), "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [str(python), "-c", SNIPPET, source, str(leads), "scores.csv"],
        cwd=folder,
        env={**path, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = propensity.predict(pd.read_csv(leads), model=model)
    assert {*expected["scored_by"]} == {"model"}
    expected.to_csv(folder / "expected.csv", index=False)
    here, there = (pd.read_csv(folder / name, dtype=str) for name in ("expected.csv", "scores.csv"))
    points = ["fit_pp", "behaviour_pp"]
    # Without numba LightGBM explains, and the tables hold 32-bit numbers: all else has the same bytes.
    pd.testing.assert_frame_equal(there.drop(columns=points), here.drop(columns=points))
    np.testing.assert_allclose(there[points].astype(float), here[points].astype(float), rtol=0, atol=1e-5)


def test_the_champion_scores_from_the_registry_where_this_package_is_not_installed(
    champion: tuple[Store, PropensityModel, Path], tmp_path: Path
) -> None:
    python = make_environment(tmp_path / "env", "mlflow", *LIBRARIES)
    store, _, _ = champion
    source = "models:/lead-propensity@champion"
    assert_scores_the_same(python, source, champion, tmp_path, MLFLOW_TRACKING_URI=store.tracking_uri)


def test_a_copied_model_folder_scores_with_mlflow_skinny_alone(
    champion: tuple[Store, PropensityModel, Path], tmp_path: Path
) -> None:
    python = make_environment(tmp_path / "env", "mlflow-skinny", *LIBRARIES)
    store, _, _ = champion
    (stored,) = (path.parent for path in store.folder.rglob("MLmodel"))
    shutil.copytree(stored, tmp_path / "model")
    assert_scores_the_same(python, "model", champion, tmp_path)
    without = subprocess.run([str(python), "-c", "import sklearn"], capture_output=True, check=False)
    assert without.returncode != 0  # the score path needs none of it
