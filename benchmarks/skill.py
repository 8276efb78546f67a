"""See whether training tells skill from noise, and gets the level right, on invented leads whose truth is known.

Usage: python benchmarks/skill.py [--runs 100] [--worlds noise weak calibration cost]

* noise: conversions hang on nothing; how often is the verdict `no_skill`?
* weak: true AUC 0.60, 10,000 leads, base rate 0.2; how often is the verdict `skill`?
* calibration: 20,000 leads; O/E of fresh leads against outcomes and against the truth, and the debiased error.
* cost: CPU seconds of the race with the shipped fit, and of the whole default `train`, on one core.
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd
from scipy import special

from propensity.config import Config, parse_config
from propensity.metrics import auc
from propensity.schema import Tables
from propensity.scoring import score
from propensity.training import TrainingRun, learn, prepare, train


def invent(n_leads: int, *, seed: int, strength: float, n_columns: int = 10) -> tuple[pd.DataFrame, np.ndarray]:
    """Leads in time order with numbers, categories and gaps, and their true probability (base rate about 0.2)."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(n_leads, n_columns - n_columns // 3))
    words = rng.integers(0, 6, size=(n_leads, n_columns // 3))
    effect = 0.8 * numbers[:, 0] + 0.6 * np.abs(numbers[:, 1]) + 0.5 * (words[:, 0] == 2) - 0.4 * (words[:, -1] == 1)
    effect = (effect - effect.mean()) / effect.std()
    probability = special.expit(strength * effect - 1.45)
    frame = pd.DataFrame(np.round(numbers, 3), columns=[f"n{i}" for i in range(numbers.shape[1])]).astype(str)
    frame = frame.mask(rng.random(frame.shape) < 0.05, "")
    for i in range(words.shape[1]):
        frame[f"c{i}"] = np.char.add("level ", words[:, i].astype(str))
    frame.insert(0, "id", [f"L{i:06d}" for i in range(n_leads)])
    frame["won"] = (rng.random(n_leads) < probability).astype(int).astype(str)
    return frame, probability


def configure(frame: pd.DataFrame) -> Config:
    """Every column a feature, rows in time order, all else by default."""
    columns = {
        "id": "id",
        "target": "won",
        "ordered": True,
        "fit": [name for name in frame if name not in {"id", "won"}],
    }
    return parse_config({"data": {"leads": "unused"}, "columns": columns})


def trained(frame: pd.DataFrame) -> TrainingRun:
    return train(Tables(leads=frame), configure(frame))


def share(name: str, verdict: str, runs: int, *, n_leads: int, strength: float) -> None:
    """Print how often the verdict is the right one."""
    found = []
    for seed in range(runs):
        frame, _ = invent(n_leads, seed=seed, strength=strength)
        found.append(trained(frame).model.verdict == verdict)
    print(f"{name:12} {sum(found)} of {runs} runs say {verdict} ({n_leads:,} leads)", flush=True)


def calibration(runs: int) -> None:
    """Print O/E and the debiased calibration error of fresh leads, scored by models of 20,000."""
    rows = []
    for seed in range(runs):
        frame, _ = invent(20_000, seed=seed, strength=1.0)
        fresh, truth = invent(20_000, seed=10_000 + seed, strength=1.0)
        p = score(fresh, model=trained(frame).model, n_reasons=0).frame["probability"].to_numpy(dtype=float)
        y = fresh["won"].to_numpy(dtype=float)
        bins = np.searchsorted(np.quantile(p, np.linspace(0, 1, 11)[1:-1]), p)
        gaps = []
        for b in range(10):
            inside = bins == b
            n, rate = inside.sum(), y[inside].mean()
            gaps.append(n / len(y) * ((rate - p[inside].mean()) ** 2 - rate * (1 - rate) / (n - 1)))
        rows.append((y.sum() / p.sum(), truth.sum() / p.sum(), np.sqrt(max(sum(gaps), 0.0)), auc(y, p), auc(y, truth)))
    mean, low, high = (f(np.array(rows), axis=0) for f in (np.mean, np.min, np.max))
    for i, name in enumerate(("O/E", "true E/E", "debiased error", "AUC", "AUC of the truth")):
        print(f"calibration  {name:18} {mean[i]:.4f} ({low[i]:.4f} to {high[i]:.4f} over {runs} runs)", flush=True)


def cost() -> None:
    """Print CPU seconds at two sizes."""
    for n_leads in (10_000, 50_000):
        frame, _ = invent(n_leads, seed=0, strength=1.0, n_columns=30)
        config = configure(frame)
        started = time.process_time()
        prepared = prepare(frame, config)
        learn(prepared.examples, prepared, config)
        race = time.process_time() - started
        started = time.process_time()
        train(Tables(leads=frame), config)
        print(
            f"cost         {n_leads:,} x 30: race and shipped fit {race:.0f} s, whole train "
            f"{time.process_time() - started:.0f} s of CPU",
            flush=True,
        )


def main() -> None:
    """Run the worlds named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    every = ("noise", "weak", "calibration", "cost")
    parser.add_argument("--worlds", nargs="+", choices=every, default=every)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if "cost" in options.worlds:
        cost()
    if "calibration" in options.worlds:
        calibration(max(options.runs // 10, 1))
    if "noise" in options.worlds:
        share("noise", "no_skill", options.runs, n_leads=5_000, strength=0.0)
    if "weak" in options.worlds:
        # A spread of 0.36 in log-odds at this base rate is a true AUC of 0.60.
        share("weak", "skill", options.runs, n_leads=10_000, strength=0.36)


if __name__ == "__main__":
    main()
