"""Measure quality on public files beside default learners, on the same splits, in one run.

Usage: PROPENSITY_DATA=folder python benchmarks/quality.py [bank] [shoppers] [salvirt]

The folder holds bank_marketing/, online_shoppers/ and salvirt_b2b/ (UCI and CC BY sets). Every set goes the way a
user goes: roles guessed by `init`, `train`, `score`; the baselines get the same rows and columns.
"""

import os
import sys
import tomllib
import warnings
from collections.abc import Sequence
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from propensity.config import MISSING_WORDS, Config, parse_config
from propensity.metrics import ece
from propensity.reporting import config_text
from propensity.roles import Given, propose_project
from propensity.schema import Tables
from propensity.scoring import score
from propensity.storage.tables import read_leads
from propensity.training import train

SEEDS = range(10)
N_FOLDS = 5
Figures = tuple[float, float, float]


def configure(leads: pd.DataFrame, given: Given, *, fold_column: str = "") -> Config:
    """Guess roles as `init` does and build the config it would write."""
    project = propose_project(Tables(leads=leads), given, missing={"*": MISSING_WORDS})
    sources = {"leads": ("unused", "")}
    text = config_text(project, sources=sources, is_ordered=given.is_ordered, missing_words=MISSING_WORDS)
    config = parse_config(tomllib.loads(text))
    return config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"fold_column": fold_column})})


def figures(y: np.ndarray, probability: np.ndarray) -> Figures:
    """AUC, log loss, calibration error."""
    return roc_auc_score(y, probability), log_loss(y, probability), ece(y, np.asarray(probability))


def baselines(train_rows: pd.DataFrame, test_rows: pd.DataFrame, y: np.ndarray) -> dict[str, np.ndarray]:
    """Fit default LightGBM and plain logistic regression on typed columns; give their probabilities."""
    typed = pd.concat([train_rows, test_rows]).apply(_typed)
    first, rest = typed.iloc[: len(train_rows)], typed.iloc[len(train_rows) :]
    numbers = [name for name in typed if pd.api.types.is_numeric_dtype(typed[name])]
    words = [name for name in typed if name not in numbers]
    boosted = lgb.LGBMClassifier(verbosity=-1)
    as_category = dict.fromkeys(words, "category")
    boosted.fit(typed.astype(as_category).iloc[: len(first)], y)
    linear = make_pipeline(
        make_column_transformer((StandardScaler(), numbers), (OneHotEncoder(handle_unknown="ignore"), words)),
        LogisticRegression(max_iter=2000),
    ).fit(first, y)
    return {
        "LightGBM default": boosted.predict_proba(typed.astype(as_category).iloc[len(first) :])[:, 1],
        "logistic regression": linear.predict_proba(rest)[:, 1],
    }


def _typed(column: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    return numbers if numbers.notna().all() else column.astype(str)


def report(title: str, results: dict[str, list[Figures]]) -> None:
    """Print a table: mean and standard error over splits."""
    print(f"\n{title}\n{'':24}{'AUC':>18}{'log loss':>18}{'ECE':>18}")
    for name, found in results.items():
        values = np.array(found)
        error = values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.zeros(3)
        cells = [f"{m:.4f} +- {e:.4f}" if e else f"{m:.4f}" for m, e in zip(values.mean(axis=0), error, strict=True)]
        print(f"{name:24}" + "".join(f"{cell:>18}" for cell in cells), flush=True)


def bank(folder: Path) -> None:
    """Train on the first 80 % of rows, score the last 20 %."""
    leads = read_leads(folder / "bank_marketing" / "bank-additional-full.csv").leads
    cut = int(0.8 * len(leads))
    first, rest = leads.iloc[:cut], leads.iloc[cut:].reset_index(drop=True)
    config = configure(first, Given(ignore=("duration",), is_ordered=True))
    run = train(Tables(leads=first), config)
    scores = score(rest, model=run.model, n_reasons=0).frame
    y, y_first = ((part["y"] == "yes").to_numpy(dtype=float) for part in (rest, first))
    used = [name for name in leads if name not in {"y", "duration"}]
    results = {"propensity": [figures(y, scores["probability"].to_numpy())]}
    for name, probability in baselines(first[used], rest[used], y_first).items():
        results[name] = [figures(y, probability)]
    report(f"bank, first 80 % -> last 20 % of rows ({run.model.verdict})", results)


def shoppers(folder: Path) -> None:
    """Ten random 70/30 splits without PageValues."""
    leads = read_leads(folder / "online_shoppers" / "online_shoppers_intention.csv").leads
    used = [name for name in leads if name not in {"Revenue", "PageValues"}]
    results: dict[str, list[Figures]] = {}
    for seed in SEEDS:
        order = np.random.default_rng(seed).permutation(len(leads))
        cut = int(0.7 * len(leads))
        first, rest = (leads.iloc[part].reset_index(drop=True) for part in (order[:cut], order[cut:]))
        y, y_first = (part["Revenue"].astype(float).to_numpy() for part in (rest, first))
        run = train(Tables(leads=first), configure(first, Given(ignore=("PageValues",))))
        scores = score(rest, model=run.model, n_reasons=0).frame
        results.setdefault("propensity", []).append(figures(y, scores["probability"].to_numpy()))
        for name, probability in baselines(first[used], rest[used], y_first).items():
            results.setdefault(name, []).append(figures(y, probability))
    report("shoppers, ten random 70/30 splits without PageValues", results)


def salvirt(folder: Path) -> None:
    """Ten seeds of five folds, equal feature vectors in one fold, given through `fold_column`."""
    leads = read_leads(folder / "salvirt_b2b" / "B2B_dataset.csv").leads
    used = [name for name in leads if name != "Status"]
    y = (leads["Status"] == "Won").to_numpy(dtype=float)
    vector = pd.factorize(leads[used].apply(tuple, axis=1))[0]
    results: dict[str, list[Figures]] = {}
    for seed in SEEDS:
        fold = (np.random.default_rng(seed).permutation(vector.max() + 1) % N_FOLDS)[vector]
        given = Given(target="Status", ignore=("Fold",))
        config = configure(leads.assign(Fold=fold.astype(str)), given, fold_column="Fold")
        run = train(Tables(leads=leads.assign(Fold=fold.astype(str))), config)
        if run.evaluation is None:
            msg = "salvirt was not learned from"
            raise RuntimeError(msg)
        by_fold = [
            tuple(part.metrics[name].value for name in ("auc", "log_loss", "ece")) for part in run.evaluation.parts
        ]
        results.setdefault("propensity", []).append(tuple(np.mean(by_fold, axis=0)))
        found: dict[str, list[Figures]] = {}
        for k in range(N_FOLDS):
            first, rest = leads.loc[fold != k, used], leads.loc[fold == k, used]
            for name, probability in baselines(first, rest, y[fold != k]).items():
                found.setdefault(name, []).append(figures(y[fold == k], probability))
        for name, parts in found.items():
            results.setdefault(name, []).append(tuple(np.mean(parts, axis=0)))
    report("salvirt, five grouped folds, ten seeds (mean over folds)", results)


def main(names: Sequence[str]) -> None:
    """Run the sets named, or all."""
    folder = os.environ.get("PROPENSITY_DATA")
    if not folder:
        sys.exit("Set PROPENSITY_DATA to the folder that holds the public files.")
    warnings.simplefilter("ignore")
    for run in (bank, shoppers, salvirt):
        if not names or run.__name__ in names:
            run(Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
