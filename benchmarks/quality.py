"""Measure quality on public files beside default learners, on the same splits, in one run.

Usage: OMP_NUM_THREADS=1 PROPENSITY_DATA=folder python benchmarks/quality.py [PROTOCOL ...] [--seeds N]
       [--write DIR | --read DIR]

The folder holds bank_marketing/, online_shoppers/, salvirt_b2b/ and online_retail/ (UCI and CC BY sets). The first
split of a protocol goes the way a user goes: roles guessed by `init` from the rows that teach, `train`, `score`. Its
CPU seconds are ours. Further splits get the same model by the same steps, without the backtest that judges it. The
others get the same rows and columns. Columns that their documentation calls leaks are left out for all. CatBoost takes
part where it is installed.

AutoGluon needs an older pandas. `--write DIR` writes the first split of some protocols before it runs, and what was
answered after. `benchmarks/autogluon_peer.py DIR` answers in an environment of its own, and `--read DIR` runs nothing:
it prints all answers side by side.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import tomllib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import retail
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from propensity.config import MISSING_WORDS, Config, parse_config
from propensity.folds import Split
from propensity.metrics import auc, ece, log_loss, row_log_loss, shift_to_rate
from propensity.reporting import config_text
from propensity.roles import Given, propose_project
from propensity.schema import Tables, validate
from propensity.scoring import score
from propensity.storage.tables import read_leads
from propensity.training import learn, prepare, train
from propensity.training.audit import audit_prepared

try:
    from catboost import CatBoostClassifier
except ImportError:
    CatBoostClassifier = None

SEEDS = range(10)
N_FOLDS = 5
OURS, BOOSTED, LINEAR, PEER = "propensity", "LightGBM default", "logistic regression", "AutoGluon"
# The verdict is against the better of these two, whoever else takes part.
BASELINES = (BOOSTED, LINEAR)
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Rows of a public file, and which of them teach and are scored.

    Parameters
    ----------
    title : str
    leads : DataFrame
    y : array of {0, 1}, shape (n_rows,)
    given : Given
        What a user would say to `init`; its `ignore` names the leaks.
    target : str
    splits : sequence of Split
    groups : array of int or None
        Rows that are no independent witnesses; None for one each.
    is_pooled : bool
        Figures of all test rows together instead of means over splits.
    """

    title: str
    leads: pd.DataFrame
    y: np.ndarray
    given: Given
    target: str
    splits: Sequence[Split]
    groups: np.ndarray | None = None
    is_pooled: bool = False

    @property
    def used(self) -> list[str]:
        """The columns every learner may use."""
        return [name for name in self.leads if name != self.target and name not in self.given.ignore]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a learner says of a split's test rows.

    Parameters
    ----------
    probability : array of float, shape (n_test,)
    seconds : float
        CPU seconds of fitting and predicting.
    fit_seconds : float
        Those of the race and the shipped fit alone.
    verdict : str
        Of the backtest.
    forest_share : float
        What the forests have in our blend.
    """

    probability: np.ndarray
    seconds: float = np.nan
    fit_seconds: float = np.nan
    verdict: str = ""
    forest_share: float = np.nan


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The answers of all learners to all splits of a protocol.

    Parameters
    ----------
    title : str
    y, rows : list of array
        Labels and positions of each split's test rows.
    groups : array of int
        Of all rows.
    answers : mapping of learner to list of Answer
    is_pooled : bool
    """

    title: str
    y: list[np.ndarray]
    rows: list[np.ndarray]
    groups: np.ndarray
    answers: Mapping[str, list[Answer]]
    is_pooled: bool = False


def random_folds(n_rows: int, *, n_seeds: int = 1) -> list[Split]:
    """Deal rows into five folds at random, once a seed."""
    deals = [np.random.default_rng(seed).permutation(n_rows) % N_FOLDS for seed in range(n_seeds)]
    return [split for deal in deals for split in _folds(deal)]


def _folds(fold: np.ndarray) -> list[Split]:
    return [Split(past=np.flatnonzero(fold != k), test=np.flatnonzero(fold == k)) for k in range(N_FOLDS)]


def _bank(folder: Path) -> Protocol:
    leads = read_leads(folder / "bank_marketing" / "bank-additional-full.csv").leads
    y = (leads["y"] == "yes").to_numpy(dtype=float)
    return Protocol(title="", leads=leads, y=y, given=Given(ignore=("duration",)), target="y", splits=())


def bank_folds(folder: Path) -> Protocol:
    """Deal five random folds."""
    bank = _bank(folder)
    return replace(bank, title="bank, five random folds", splits=random_folds(len(bank.y)))


def bank_time(folder: Path) -> Protocol:
    """Score the last 20 % of rows after the first 80 %."""
    bank = _bank(folder)
    cut = int(0.8 * len(bank.y))
    return replace(
        bank,
        title="bank, first 80 % -> last 20 % of rows",
        given=Given(ignore=("duration",), is_ordered=True),
        splits=[Split(past=np.arange(cut), test=np.arange(cut, len(bank.y)))],
    )


def bank_months(folder: Path) -> Protocol:
    """Each of months 8 to 26 after all before it; a month starts where the column `month` changes."""
    bank = _bank(folder)
    month = (bank.leads["month"] != bank.leads["month"].shift()).cumsum().to_numpy()
    return replace(
        bank,
        title="bank, months 8-26, each after all before it, rows pooled",
        given=Given(ignore=("duration",), is_ordered=True),
        splits=[Split(past=np.flatnonzero(month < k), test=np.flatnonzero(month == k)) for k in range(8, 27)],
        is_pooled=True,
    )


def _shoppers(folder: Path) -> Protocol:
    leads = read_leads(folder / "online_shoppers" / "online_shoppers_intention.csv").leads
    y = leads["Revenue"].astype(float).to_numpy()
    return Protocol(title="", leads=leads, y=y, given=Given(ignore=("PageValues",)), target="Revenue", splits=())


def shoppers_folds(folder: Path) -> Protocol:
    """Deal five random folds."""
    shoppers = _shoppers(folder)
    return replace(shoppers, title="shoppers, five random folds", splits=random_folds(len(shoppers.y)))


def shoppers_time(folder: Path) -> Protocol:
    """November and December after February to October, rows sorted by month."""
    shoppers = _shoppers(folder)
    month = np.array([MONTHS.index(name[:3].lower()) for name in shoppers.leads["Month"]])
    order = np.argsort(month, kind="stable")
    late = month[order] >= MONTHS.index("nov")
    return replace(
        shoppers,
        title="shoppers, February-October -> November-December",
        given=Given(ignore=("PageValues",), is_ordered=True),
        splits=[Split(past=order[~late], test=order[late])],
    )


def salvirt(folder: Path) -> Protocol:
    """Ten seeds of five folds, equal feature vectors in one fold."""
    leads = read_leads(folder / "salvirt_b2b" / "B2B_dataset.csv").leads
    vector = pd.factorize(leads.drop(columns="Status").apply(tuple, axis=1))[0]
    deals = [np.random.default_rng(seed).permutation(vector.max() + 1) % N_FOLDS for seed in SEEDS]
    return Protocol(
        title="salvirt, five grouped folds, ten seeds",
        leads=leads,
        y=(leads["Status"] == "Won").to_numpy(dtype=float),
        given=Given(target="Status"),
        target="Status",
        splits=[split for deal in deals for split in _folds(deal[vector])],
        groups=vector,
    )


PROTOCOLS: Mapping[str, Callable[[Path], Protocol]] = {
    "bank-folds": bank_folds,
    "bank-time": bank_time,
    "bank-months": bank_months,
    "shoppers-folds": shoppers_folds,
    "shoppers-time": shoppers_time,
    "salvirt": salvirt,
}
# AutoGluon takes minutes a split: it gets the first one of these.
SHARED = ("bank-folds", "bank-time", "shoppers-folds", "shoppers-time", "salvirt")


def configure(leads: pd.DataFrame, given: Given) -> Config:
    """Guess roles as `init` does and build the config it would write."""
    project = propose_project(Tables(leads=leads), given, missing={"*": MISSING_WORDS})
    sources = {"leads": ("unused", "")}
    text = config_text(project, sources=sources, is_ordered=given.is_ordered, missing_words=MISSING_WORDS)
    return parse_config(tomllib.loads(text))


def ours(first: pd.DataFrame, rest: pd.DataFrame, protocol: Protocol, *, is_whole: bool) -> Answer:
    """Train and score as a user does; or make the same model by the same steps, without the backtest that judges it."""
    config = configure(first, protocol.given)
    began = time.process_time()
    if not is_whole:
        _, prepared = audit_prepared(prepare(first, config), config)
        start = time.process_time()
        learned = learn(prepared.examples, prepared, config)
        fit_seconds = time.process_time() - start
        probability = learned.probability(validate(rest, prepared.schema).read)
        return Answer(probability=probability, fit_seconds=fit_seconds, forest_share=learned.blend.recipe.forest_share)
    at: dict[str, float] = {}
    run = train(Tables(leads=first), config, progress=lambda what, _: at.update({what: time.process_time()}))
    scores = score(rest, model=run.model, n_reasons=0).frame
    seconds = time.process_time() - began
    learned = run.model.learned
    if learned is None:
        msg = f"{protocol.title}: too few conversions, there is no model"
        raise RuntimeError(msg)
    # Without skill the rules answer, and there are none here: the model is measured all the same.
    probability = (
        scores["probability"].to_numpy(dtype=float)
        if run.model.verdict == "skill"
        else learned.probability(validate(rest, run.model.schema).read)
    )
    return Answer(
        probability=probability,
        seconds=seconds,
        verdict=run.model.verdict,
        fit_seconds=at["done"] - at["training on all rows"],
        forest_share=learned.blend.recipe.forest_share,
    )


def others(first: pd.DataFrame, rest: pd.DataFrame, y: np.ndarray) -> dict[str, Answer]:
    """Fit default learners on typed columns: numbers where every cell is one, else categories."""
    n_first = len(first)
    typed = pd.concat([first, rest], ignore_index=True).apply(_typed)
    numbers = [name for name in typed if pd.api.types.is_numeric_dtype(typed[name])]
    words = [name for name in typed if name not in numbers]
    as_category = typed.astype(dict.fromkeys(words, "category"))
    linear = make_pipeline(
        make_column_transformer((StandardScaler(), numbers), (OneHotEncoder(handle_unknown="ignore"), words)),
        LogisticRegression(max_iter=2000),
    )
    learners = {BOOSTED: (lgb.LGBMClassifier(n_jobs=1, verbosity=-1), as_category), LINEAR: (linear, typed)}
    if CatBoostClassifier is not None:
        plain = CatBoostClassifier(cat_features=words, thread_count=1, verbose=0, allow_writing_files=False)
        learners["CatBoost default"] = (plain, typed)
    answers = {}
    for name, (learner, frame) in learners.items():
        began = time.process_time()
        probability = learner.fit(frame.iloc[:n_first], y).predict_proba(frame.iloc[n_first:])[:, 1]
        answers[name] = Answer(probability=probability, seconds=time.process_time() - began)
    return answers


def _typed(column: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    return numbers if numbers.notna().all() else column.astype(str)


def run_protocol(protocol: Protocol) -> Outcome:
    """Let every learner answer every split."""
    answers: dict[str, list[Answer]] = {}
    for i, split in enumerate(protocol.splits):
        first, rest = (protocol.leads.iloc[rows].reset_index(drop=True) for rows in (split.past, split.test))
        found = {OURS: ours(first, rest, protocol, is_whole=i == 0)}
        found |= others(first[protocol.used], rest[protocol.used], protocol.y[split.past])
        for name, answer in found.items():
            answers.setdefault(name, []).append(answer)
    return Outcome(
        title=protocol.title,
        y=[protocol.y[split.test] for split in protocol.splits],
        rows=[split.test for split in protocol.splits],
        groups=np.arange(len(protocol.y)) if protocol.groups is None else protocol.groups,
        answers=answers,
        is_pooled=protocol.is_pooled,
    )


def online_retail(folder: Path) -> Outcome:
    """Take the protocol of `retail.py`; our seconds hold `train`, `score` and the features of both files."""
    began = time.process_time()
    result = retail.run_protocol(
        folder / "online_retail" / "online_retail.parquet", train=retail.TRAIN, origin=retail.ORIGIN
    )
    seconds = time.process_time() - began
    simple = retail.beside(result)
    found = {OURS: Answer(probability=result.probability, seconds=seconds)}
    found |= {name: Answer(probability=simple[name]) for name in BASELINES}
    y = result.test["y"].to_numpy()
    return Outcome(
        title="online_retail, orders within 60 days",
        y=[y],
        rows=[np.arange(len(y))],
        groups=np.arange(len(y)),
        answers={name: [answer] for name, answer in found.items()},
    )


def at_test_rate(outcome: Outcome, name: str) -> list[np.ndarray]:
    """Shift a learner's log-odds so that each split's mean is its conversion rate: what is left is ranking."""
    pairs = zip(outcome.y, outcome.answers[name], strict=True)
    return [shift_to_rate(answer.probability, float(y.mean())) for y, answer in pairs]


def figures(outcome: Outcome, name: str) -> np.ndarray:
    """Measure AUC, log loss, log loss at the test rate and ECE of each split, or of all rows together."""
    y, given, shifted = (
        outcome.y,
        [answer.probability for answer in outcome.answers[name]],
        at_test_rate(outcome, name),
    )
    if outcome.is_pooled:
        y, given, shifted = ([np.concatenate(parts)] for parts in (y, given, shifted))
    return np.array(
        [[auc(t, p), log_loss(t, p), log_loss(t, s), ece(t, p)] for t, p, s in zip(y, given, shifted, strict=True)]
    )


def report(outcome: Outcome) -> None:
    """Print a protocol's table: means and standard errors over splits, CPU seconds of one."""
    heads = ("AUC", "log loss", "at test rate", "ECE")
    print(f"\n{outcome.title}: {len(outcome.y)} splits" if len(outcome.y) > 1 else f"\n{outcome.title}")
    print(f"{'':20}" + "".join(f"{head:>20}" for head in heads) + f"{'CPU s':>9}")
    for name, answers in outcome.answers.items():
        values = figures(outcome, name)
        errors = values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.zeros(len(heads))
        cells = [f"{m:.4f} +- {e:.4f}" if e else f"{m:.4f}" for m, e in zip(values.mean(axis=0), errors, strict=True)]
        seconds = np.nanmean([answer.seconds for answer in answers])
        print(f"{name:20}" + "".join(f"{cell:>20}" for cell in cells) + f"{seconds:>9.1f}", flush=True)
    own = outcome.answers[OURS]
    if own[0].verdict:
        shares = [answer.forest_share for answer in own]
        spent = np.mean([answer.fit_seconds for answer in own])
        print(
            f"  verdict {own[0].verdict}; share of forests {min(shares):.2f}-{max(shares):.2f}; "
            f"race and shipped fit alone {spent:.1f} CPU s",
            flush=True,
        )


def row_gaps(outcome: Outcome, name: str) -> list[np.ndarray]:
    """Give our log loss less another's, a row of each split."""
    pairs = zip(outcome.y, outcome.answers[OURS], outcome.answers[name], strict=True)
    return [row_log_loss(y, own.probability) - row_log_loss(y, their.probability) for y, own, their in pairs]


def mean_by_group(outcome: Outcome, gaps: Sequence[np.ndarray]) -> tuple[float, float]:
    """Give the mean gap over rows and its standard error over groups; a row scored many times counts once."""
    rows = np.concatenate(outcome.rows)
    times = np.bincount(rows)
    there = np.flatnonzero(times)
    gap = np.bincount(rows, weights=np.concatenate(gaps))[there] / times[there]
    of_group = np.bincount(np.unique(outcome.groups[there], return_inverse=True)[1], weights=gap - gap.mean())
    n_groups = len(of_group)
    return float(gap.mean()), float(np.sqrt((of_group**2).sum() * n_groups / (n_groups - 1)) / len(gap))


def verdicts(outcomes: Sequence[Outcome]) -> None:
    """Print ours less the better baseline, a protocol a line; negative log loss and positive AUC are in our favour."""
    print(
        "\nOurs less the better of LightGBM default and logistic regression"
        f"\n{'':58}{'log loss, over rows':>22}{'over splits':>20}{'better on':>11}{'at test rate':>14}{'AUC':>9}"
    )
    for outcome in outcomes:
        mean = {name: figures(outcome, name).mean(axis=0) for name in (OURS, *BASELINES)}
        better = min(BASELINES, key=lambda name: mean[name][1])
        gaps = row_gaps(outcome, better)
        gap, error = mean_by_group(outcome, gaps)
        over = np.array([part.mean() for part in gaps])
        error_over = over.std(ddof=1) / np.sqrt(len(over)) if len(over) > 1 else np.inf
        is_worse = gap > error or over.mean() > error_over
        cells = [
            f"{gap:+.4f} +- {error:.4f}",
            f"{over.mean():+.4f} +- {error_over:.4f}" if len(over) > 1 else "",
            f"{(over < 0).sum()} of {len(over)}",
            f"{mean[OURS][2] - min(mean[name][2] for name in BASELINES):+.4f}",
            f"{mean[OURS][0] - max(mean[name][0] for name in BASELINES):+.4f}",
        ]
        widths = (22, 20, 11, 14, 9)
        said = "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        print(f"{outcome.title[:56]:58}{said}  {'WORSE than ' + better if is_worse else 'than ' + better}", flush=True)


def beside_peer(outcomes: Sequence[Outcome]) -> None:
    """Print ours against AutoGluon's: AUC and log loss relative to its own, and the ratio of CPU seconds."""
    print(f"\nOurs against AutoGluon\n{'':58}{'AUC':>9}{'log loss':>10}{'CPU s':>9}")
    rows = []
    for outcome in outcomes:
        own, theirs = (figures(outcome, name).mean(axis=0) for name in (OURS, PEER))
        seconds = [outcome.answers[name][0].seconds for name in (OURS, PEER)]
        rows.append((own[0] / theirs[0] - 1, own[1] / theirs[1] - 1, seconds[0] / seconds[1]))
        print(f"{outcome.title[:56]:58}{rows[-1][0]:>+9.2%}{rows[-1][1]:>+10.2%}{rows[-1][2]:>8.2f}x", flush=True)
    mean = np.mean(rows, axis=0)
    print(f"{'mean':58}{mean[0]:>+9.2%}{mean[1]:>+10.2%}{mean[2]:>8.2f}x")


def write_split(protocol: Protocol, folder: Path) -> None:
    """Write the first split's rows for another environment, the test labels in a file of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    split = protocol.splits[0]
    label = protocol.y.astype(int)
    protocol.leads[protocol.used].iloc[split.past].assign(target=label[split.past]).to_csv(
        folder / "train.csv", index=False
    )
    protocol.leads[protocol.used].iloc[split.test].to_csv(folder / "test.csv", index=False)
    pd.DataFrame({"target": label[split.test]}).to_csv(folder / "answers.csv", index=False)


def write_answers(outcome: Outcome, folder: Path) -> None:
    """Write what all learners said of the first split."""
    first = {name: answers[0] for name, answers in outcome.answers.items()}
    pd.DataFrame({name: answer.probability for name, answer in first.items()}).to_csv(
        folder / "probabilities.csv", index=False
    )
    facts = {"title": outcome.title, "cpu_seconds": {name: answer.seconds for name, answer in first.items()}}
    (folder / "run.json").write_text(json.dumps(facts, indent=1))


def read_answers(folder: Path) -> Outcome:
    """Read what was said of a split, here and by AutoGluon."""
    y = pd.read_csv(folder / "answers.csv")["target"].to_numpy(dtype=float)
    facts = json.loads((folder / "run.json").read_text())
    said = pd.read_csv(folder / "probabilities.csv")
    answers = {name: [Answer(probability=said[name].to_numpy(), seconds=facts["cpu_seconds"][name])] for name in said}
    peer = json.loads((folder / "autogluon.json").read_text())
    probability = pd.read_csv(folder / "autogluon.csv")["probability"].to_numpy()
    answers[PEER] = [Answer(probability=probability, seconds=peer["cpu_seconds"])]
    rows = np.arange(len(y))
    return Outcome(title=f"{facts['title']}, one split", y=[y], rows=[rows], groups=rows, answers=answers)


def named(names: Sequence[str], folder: Path, *, n_seeds: int) -> dict[str, Protocol]:
    """Build the protocols named, random folds dealt by so many seeds."""
    protocols = {name: PROTOCOLS[name](folder) for name in names if name in PROTOCOLS}
    for name in {"bank-folds", "shoppers-folds"} & {*protocols}:
        folds = random_folds(len(protocols[name].y), n_seeds=n_seeds)
        protocols[name] = replace(protocols[name], splits=folds)
    return protocols


def print_peer(folders: Sequence[Path]) -> None:
    """Print the answers of folders beside AutoGluon's."""
    outcomes = [read_answers(folder) for folder in folders if (folder / "autogluon.csv").exists()]
    if not outcomes:
        sys.exit("No answer of AutoGluon there: run benchmarks/autogluon_peer.py on the folder.")
    for outcome in outcomes:
        report(outcome)
    beside_peer(outcomes)


def main() -> None:
    """Run the protocols named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("protocols", nargs="*", metavar="PROTOCOL", help=f"{', '.join(PROTOCOLS)}, retail; all if none")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="deals of random folds, default: 1")
    files = parser.add_mutually_exclusive_group()
    files.add_argument("--write", type=Path, metavar="DIR", help="also write splits for AutoGluon, and the answers")
    files.add_argument("--read", type=Path, metavar="DIR", help="only print the answers of DIR beside AutoGluon's")
    options = parser.parse_args()
    unknown = sorted({*options.protocols} - {*PROTOCOLS, "retail"})
    if unknown:
        parser.error(f"no such protocol: {', '.join(unknown)}; there are {', '.join(PROTOCOLS)}, retail")
    wanted = options.protocols or [*PROTOCOLS, "retail"]
    if options.read:
        print_peer([options.read / name for name in wanted])
        return
    data = os.environ.get("PROPENSITY_DATA")
    if not data:
        sys.exit("Set PROPENSITY_DATA to the folder that holds the public files.")
    warnings.simplefilter("ignore")
    protocols = named(wanted, Path(data), n_seeds=options.seeds)
    shared = [name for name in protocols if options.write and name in SHARED]
    for name in shared:
        write_split(protocols[name], options.write / name)
    outcomes = []
    for name in wanted:
        outcomes.append(run_protocol(protocols[name]) if name in protocols else online_retail(Path(data)))
        report(outcomes[-1])
        if name in shared:
            write_answers(outcomes[-1], options.write / name)
    verdicts(outcomes)


if __name__ == "__main__":
    main()
