"""Let AutoGluon answer the split files that `quality.py --write DIR` wrote; runs in an environment of its own.

Usage: python benchmarks/autogluon_peer.py DIR [--seconds 300] [--cpus 2]

AutoGluon's pandas is older than ours, so it lives elsewhere, installed as
"autogluon.tabular[lightgbm,catboost,xgboost,fastai]". Nothing of this package is imported. Splits that are answered
already are left alone.
"""

import argparse
import importlib.metadata
import json
import os
import tempfile
import time
from pathlib import Path

import pandas as pd
from autogluon.tabular import TabularPredictor


def cpu_seconds() -> float:
    """CPU seconds of this process and of the children it waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def answer(folder: Path, *, seconds: int, n_cpus: int) -> None:
    """Fit on a split's training rows, write probabilities of its test rows, and what they cost."""
    # Words such as "None" are levels of a column here, as they are for the other learners.
    first, rest = (
        pd.read_csv(folder / f"{name}.csv", keep_default_na=False, na_values=[""]) for name in ("train", "test")
    )
    began, wall = cpu_seconds(), time.perf_counter()
    with tempfile.TemporaryDirectory() as models:
        predictor = TabularPredictor(label="target", eval_metric="log_loss", path=models, verbosity=1).fit(
            first, time_limit=seconds, presets="best_quality", num_cpus=n_cpus, num_gpus=0
        )
        probability = predictor.predict_proba(rest)[1]
        facts = {
            "cpu_seconds": cpu_seconds() - began,
            "wall_seconds": time.perf_counter() - wall,
            "time_limit": seconds,
            "version": importlib.metadata.version("autogluon.tabular"),
            "models": predictor.model_names(),
            "best": predictor.model_best,
        }
    (folder / "autogluon.json").write_text(json.dumps(facts, indent=1))
    pd.DataFrame({"probability": probability}).to_csv(folder / "autogluon.csv", index=False)
    print(f"{folder.name}: {facts['cpu_seconds']:.0f} CPU s, {len(facts['models'])} models", flush=True)


def main() -> None:
    """Answer every split of a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--seconds", type=int, default=300, help="time limit of a split")
    parser.add_argument("--cpus", type=int, default=2)
    options = parser.parse_args()
    for folder in sorted(path.parent for path in options.folder.glob("*/train.csv")):
        if not (folder / "autogluon.csv").exists():
            answer(folder, seconds=options.seconds, n_cpus=options.cpus)


if __name__ == "__main__":
    main()
