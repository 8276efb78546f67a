from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.config import LearnerConfig
from propensity.folds import time_origins
from propensity.learners import ON_LINEAR, Forest, blend
from propensity.learners.forest import fit_forest
from propensity.schema import Column, Schema
from propensity.training.pasts import Pasts
from propensity.training.rows import Examples

SCHEMA = Schema(
    columns=(
        Column(name="visits", family="behaviour", kind="number"),
        Column(name="source", family="fit", kind="category"),
    ),
    id=None,
    missing=(),
)


def leads(n: int = 400) -> Examples:
    rng = np.random.default_rng(0)
    visits, source = rng.poisson(3, n).astype(float), rng.choice(["fair", "web"], n)
    y = (rng.random(n) < 1 / (1 + np.exp(3 - visits))).astype(float)
    read = pd.DataFrame({"visits": visits, "source": source})
    return Examples(leads=read, read=read, y=y, groups=np.arange(n), order=np.arange(n), fold=None)


def test_learners_of_a_past_are_those_of_its_rows_alone() -> None:
    whole = leads()
    past, alone = whole.take(np.arange(200)), leads()
    alone = replace(alone, read=alone.read[:200], y=alone.y[:200], order=np.arange(200))
    matrix = Pasts(whole, LearnerConfig()).learners(past, SCHEMA, half_life=0.5).encoder.encode(whole.read)
    for half_life in (None, 0.5):
        kept = Pasts(whole, LearnerConfig()).learners(past, SCHEMA, half_life=half_life)
        own = Pasts(alone, LearnerConfig()).learners(alone, SCHEMA, half_life=half_life)
        assert kept.forest("small", 20).text == own.forest("small", 20).text
        np.testing.assert_array_equal(kept.linear.margin(matrix), own.linear.margin(matrix))


def test_what_another_origin_asked_for_is_not_fitted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, fitted = leads(), []

    def counted(*args: Any, **options: Any) -> Forest:
        fitted.append(options["kind"])
        return fit_forest(*args, **options)

    monkeypatch.setattr(blend, "fit_forest", counted)
    pasts = Pasts(whole, LearnerConfig())
    first, *_, last = time_origins(np.arange(400), whole.groups, n_origins=3)
    for rows in (first.past, first.past, last.past):
        pasts.learners(whole.take(rows), SCHEMA, half_life=None).forest("extra", 10)
    # A past of a past is known by its rows of the whole.
    inside = whole.take(last.past).take(np.arange(len(first.past)))
    assert pasts.learners(inside, SCHEMA, half_life=None).forest("extra", 10).n_trees == 10
    assert len(fitted) == 2
    # Other weights and other columns are other learners.
    pasts.learners(inside, SCHEMA, half_life=0.25).forest("extra", 10)
    fewer = Schema(columns=SCHEMA.columns[:1], id=None, missing=())
    pasts.learners(inside, fewer, half_life=None).forest("extra", 10)
    assert len(fitted) == 4


@pytest.mark.parametrize("kind", ["small", "shallow", "extra", ON_LINEAR])
def test_the_first_trees_of_a_larger_forest_are_the_smaller_forest_to_the_bit(kind: str) -> None:
    whole = leads()
    both, small = (Pasts(whole, LearnerConfig()).learners(whole, SCHEMA, half_life=None) for _ in range(2))
    both.forest(kind, 40)
    assert both.forest(kind, 15).text == small.forest(kind, 15).text


def test_without_order_rows_do_not_lose_weight() -> None:
    whole = Examples(**{**vars(leads()), "order": None})
    pasts = Pasts(whole, LearnerConfig())
    assert pasts.learners(whole, SCHEMA, half_life=0.1) is pasts.learners(whole, SCHEMA, half_life=None)
