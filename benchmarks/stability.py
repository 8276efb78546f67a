"""Hold the ranges of scores against models that were really trained again.

Usage: OMP_NUM_THREADS=1 PROPENSITY_DATA=folder python benchmarks/stability.py [PROBLEM ...] [--retrains 24]

A problem is a name and a number of rows: invented leads (`invent-3000`), web sessions dealt at random
(`shoppers-10000`), a bank's calls dealt at random (`bank-20000`) or in their order (`bank-time-8000`); with `-apart`
behind, as in `shoppers-5000-apart`, every two retrainings share no lead, which needs twice the rows. Else a retraining
is the whole of `learn` on leads drawn with replacement. Prints, over leads that teach in none: the mean standard
deviation of calibrated log-odds over retrainings and as estimated, their ratio and correlation, the share of retrained
log-odds within the range, that share when ranges lie around the retrainings' mean, and the CPU seconds and kB it costs.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import quality
from threadpoolctl import threadpool_limits

from propensity.learners import REACH
from propensity.model import Learned
from propensity.roles import Given
from propensity.schema import validate
from propensity.synthetic import invent_leads
from propensity.training import learn, prepare
from propensity.training.audit import audit_prepared

PROBLEMS = ("invent-700", "invent-3000", "invent-7000", "shoppers-5000-apart", "shoppers-10000", "bank-time-8000")
N_SCORED = 800


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Rows to draw from, rows to score, and how many teach."""

    history: pd.DataFrame
    scored: pd.DataFrame
    given: Given
    n_rows: int
    is_apart: bool


def problem_of(name: str) -> Problem:
    kind, _, n = name.removesuffix("-apart").rpartition("-")
    is_apart = name.endswith("-apart")
    n_rows, n_history = int(n), int(n) * (1 + is_apart)
    if kind == "invent":
        world = invent_leads(seed=5, n_history=n_history, n_new=N_SCORED)
        history, scored, given = world.history, world.new, Given(target="Converted")
    else:
        folder = Path(os.environ["PROPENSITY_DATA"])
        protocol = quality.shoppers_folds(folder) if kind == "shoppers" else quality.bank_folds(folder)
        is_time = kind == "bank-time"
        order = np.arange(len(protocol.y)) if is_time else np.random.default_rng(1).permutation(len(protocol.y))
        history, scored = (
            protocol.leads.iloc[rows].reset_index(drop=True)
            for rows in (order[:n_history], order[n_history : n_history + N_SCORED])
        )
        given = Given(ignore=protocol.given.ignore, is_ordered=is_time)
    return Problem(history=history, scored=scored, given=given, n_rows=n_rows, is_apart=is_apart)


def log_odds(learned: Learned, read: pd.DataFrame) -> np.ndarray:
    return learned.calibrator.log_odds(learned.blend.margin(learned.encoder.encode(read)))


def measure(name: str, *, n_retrains: int) -> None:
    problem = problem_of(name)
    config = quality.configure(problem.history, problem.given)
    _, prepared = audit_prepared(prepare(problem.history, config), config)
    examples, read = prepared.examples, validate(problem.scored, prepared.schema).read
    _, lead = np.unique(examples.groups, return_inverse=True)
    n_leads, drawn, models = int(lead.max()) + 1, [], []
    for k in range(n_retrains):
        rng = np.random.default_rng(1000 + (k // 2 if problem.is_apart else k))
        if problem.is_apart:
            drawn.append(np.flatnonzero(rng.permutation(n_leads)[lead] % 2 == k % 2))
        else:
            times = np.bincount(rng.integers(0, n_leads, n_leads), minlength=n_leads)
            drawn.append(np.repeat(np.arange(len(lead)), times[lead]))
        models.append(log_odds(learn(examples.take(drawn[-1]), prepared, config), read))
    retrained = np.array(models)
    if problem.is_apart:
        # The difference of two models on leads apart has twice the variance of one.
        reference = np.sqrt(((retrained[::2] - retrained[1::2]) ** 2).mean(axis=0) / 2)
        # The model that gives the ranges is one of a pair; the others are retrainings.
        shipped, others = examples.take(drawn[0]), retrained[1:2]
    else:
        reference, shipped, others = retrained.std(axis=0, ddof=1), examples, retrained
    seconds = []
    for with_ranges in (False, True):
        began = time.process_time()
        learned = learn(shipped, prepared, config, with_ranges=with_ranges)
        seconds.append(time.process_time() - began)
    if learned.stability is None:
        return
    matrix = learned.encoder.encode(read)
    estimate, center = learned.spread(matrix, learned.blend.margin(matrix)), log_odds(learned, read)
    inside = np.mean(np.abs(others - center) <= REACH * estimate)
    around = np.mean(np.abs(retrained - retrained.mean(axis=0)) <= REACH * estimate)
    n_bytes = len(json.dumps(learned.stability.to_dict(), indent=1))
    print(
        f"| {name} | {learned.blend.recipe.forest_share:.2f} | {reference.mean():.3f} | {estimate.mean():.3f} "
        f"| {estimate.mean() / reference.mean():.2f} | {np.corrcoef(estimate, reference)[0, 1]:.2f} | {inside:.0%} "
        f"| {around:.0%} | {seconds[1] - seconds[0]:.1f} of {seconds[0]:.1f} | {n_bytes / 1000:.0f} |",
        flush=True,
    )


def run(measure: Callable[..., None], columns: str, *, words: str | None, problems: Sequence[str], n: int) -> None:
    """Measure the problems named on the command line, a row of the table each."""
    parser = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", nargs="*")
    parser.add_argument("--retrains", type=int, default=n)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{columns}\n{'|---' * (columns.count('|') - 1)}|")
    with threadpool_limits(1):
        for name in options.problems or problems:
            measure(name, n_retrains=options.retrains)


COLUMNS = "| problem | forests | SD retrained | estimated | ratio | r | inside | around mean | CPU s more | kB |"

if __name__ == "__main__":
    run(measure, COLUMNS, words=__doc__, problems=PROBLEMS, n=24)
