"""Repeat orders from a real event log: a `propensity.toml` with two queries and a file of cutoffs, nothing else."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from propensity.metrics import auc, log_loss

HOME = Path(__file__).parents[2]
FOLDER = os.environ.get("PROPENSITY_DATA")
# Wholly before the protocol that the benchmark reports, which is to be scored once.
TRAIN, ORIGIN = ("2023-03-01", "2023-05-01"), "2023-07-01"


def _benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("retail_benchmark", HOME / "benchmarks" / "retail.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.skipif(not FOLDER, reason="PROPENSITY_DATA names no folder of public files")
@pytest.mark.filterwarnings("ignore")
def test_a_shop_s_log_is_learned_from_files_alone_and_beats_counting_orders() -> None:
    retail = _benchmark()
    log = Path(str(FOLDER)) / "online_retail" / "online_retail.parquet"
    result = retail.run_protocol(log, train=TRAIN, origin=ORIGIN)
    assert "the model is cross-fitted by lead" in result.said
    # What is known at a cutoff ends with it: the newest order of anyone is older, and the cutoff is the day's start.
    assert {str(at) for at in result.frame["cutoff"]} == {f"{ORIGIN} 00:00:00+00:00"}
    assert result.frame["order days since"].min() > 0
    y = result.test["y"].to_numpy()
    others = retail.beside(result)
    assert auc(y, result.probability) > auc(y, others["order rate alone"]) + 0.02
    assert log_loss(y, result.probability) < log_loss(y, np.full(len(y), y.mean()))
    assert log_loss(y, result.probability) < log_loss(y, others["LightGBM default"])
