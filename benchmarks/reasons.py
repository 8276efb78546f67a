"""See whether a model trained again on other leads of the same past gives the same reasons.

Usage: OMP_NUM_THREADS=1 PROPENSITY_DATA=folder python benchmarks/reasons.py [PROBLEM ...] [--retrains 4]

Problems are those of `stability.py`. Each retraining is the whole of `learn` on leads drawn with replacement, with a
typical nurture lead of its own. Over leads that teach in none and over all pairs of retrainings: how often the
strongest reason is the same, how often it is of the same family, and the overlap (Jaccard) of the three strongest;
beside them, the same by raw contributions of single columns, as `pred_contrib` gives them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import quality
from stability import problem_of, run

from propensity.explanations import explain, fit_reference, grouped, reason_groups
from propensity.explanations.wording import MIN_AGREEMENT
from propensity.features import FeaturePlan
from propensity.model import Learned
from propensity.schema import NURTURE, Schema, validate
from propensity.training import learn, prepare
from propensity.training.audit import audit_prepared

PROBLEMS = ("shoppers-10000", "bank-20000", "bank-time-8000")


def strength(
    learned: Learned, schema: Schema, plan: FeaturePlan, past: pd.DataFrame, scored: pd.DataFrame
) -> np.ndarray:
    """Give how strong each reason of each lead is: nothing for those that the learners do not agree on."""
    (margin, parts, _), members = learned.blend.explain_by_learner(learned.encoder.encode(past[[*schema.names]]))
    nurture = learned.bands.assign(learned.calibrator.probability(margin)) == NURTURE
    reference = fit_reference(
        parts,
        past,
        schema,
        is_nurture=nurture,
        members={name: own for name, (_, own) in members.items()},
    )
    matrix = learned.encoder.encode(scored[[*schema.names]])
    (margin, parts, base), members = learned.blend.explain_by_learner(matrix)
    probability = learned.calibrator.probability(margin)
    whole = explain(
        parts, base, margin, probability, calibrator=learned.calibrator, reference=reference, members=members
    )
    found = grouped(whole, tuple(group.columns for group in reason_groups(schema, plan)))
    return np.where(found.agreement() >= MIN_AGREEMENT, np.abs(found.log_odds_parts), 0.0)


def strongest(sizes: np.ndarray, own: Sequence[str], every: Sequence[str]) -> np.ndarray:
    """Rank by size, strongest first, among all names; a training may have left some out."""
    placed = np.zeros((len(sizes), len(every)))
    placed[:, [every.index(name) for name in own]] = sizes
    return np.argsort(-placed, axis=1, kind="stable")


def alike(rankings: Sequence[np.ndarray], family: np.ndarray) -> list[float]:
    """Give the share of leads with the same first, with the same family of the first, and the overlap of three."""
    told = []
    for one, other in combinations(rankings, 2):
        shared = np.array([len({*a} & {*b}) for a, b in zip(one[:, :3], other[:, :3], strict=True)])
        first, second = one[:, 0], other[:, 0]
        same, same_family = (first == second).mean(), (family[first] == family[second]).mean()
        told.append([same, same_family, (shared / (6 - shared)).mean()])
    return [float(mean) for mean in np.mean(told, axis=0)]


def measure(name: str, *, n_retrains: int) -> None:
    problem = problem_of(name)
    config = quality.configure(problem.history, problem.given)
    _, prepared = audit_prepared(prepare(problem.history, config), config)
    examples, read = prepared.examples, validate(problem.scored, prepared.schema).read
    _, lead = np.unique(examples.groups, return_inverse=True)
    groups = reason_groups(prepared.schema, prepared.plan)
    names = [group.name for group in groups]
    n_leads, ours, raw = int(lead.max()) + 1, [], []
    for k in range(n_retrains):
        times = np.bincount(np.random.default_rng(k).integers(0, n_leads, n_leads), minlength=n_leads)
        drawn = examples.take(np.repeat(np.arange(len(lead)), times[lead]))
        learned = learn(drawn, prepared, config)
        columns = tuple(c for c in prepared.schema.columns if c.name in {*learned.encoder.names})
        schema = Schema(columns=columns, id=None, missing=prepared.schema.missing)
        sizes = strength(learned, schema, prepared.plan, drawn.read, read)
        ours.append(strongest(sizes, [group.name for group in reason_groups(schema, prepared.plan)], names))
        contributions = learned.blend.explain(learned.encoder.encode(read[[*schema.names]])).contributions
        raw.append(strongest(np.abs(contributions), schema.names, prepared.schema.names))
    families = np.array([group.family for group in groups])
    of_columns = np.array([column.family for column in prepared.schema.columns])
    figures = " | ".join(f"{share:.2f}" for share in (*alike(ours, families), *alike(raw, of_columns)))
    print(f"| {name} | {len(read):,} | {learned.blend.recipe.forest_share:.2f} | {figures} |", flush=True)


COLUMNS = "| problem | leads | forests | same top | family | top three | raw columns: same top | family | three |"

if __name__ == "__main__":
    run(measure, COLUMNS, words=__doc__, problems=PROBLEMS, n=4)
