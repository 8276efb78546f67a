from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from propensity.leakage import ColumnAudit
from propensity.leakage.models import Fit, Models
from propensity.leakage.rows import canonical_rows
from propensity.schema import Column, Schema

Audit = Callable[..., dict[str, ColumnAudit]]
World = Callable[..., tuple[dict[str, Any], np.ndarray, np.random.Generator]]


def test_one_model_beats_another_by_more_than_its_leads_differ() -> None:
    y = np.repeat([1.0, 0.0], 30)
    rows, read = canonical_rows(pd.DataFrame({"Size": np.arange(60.0)}), y, np.arange(60), seed=0)
    schema = Schema(columns=(Column(name="Size", family="fit", kind="number"),), id=None, missing=())
    models = Models(read=read, rows=rows, schema=schema, seed=0)
    less = Fit(auc=0.5, place=np.full(60, 0.5), gain={})
    # Half of the leads are placed better by 0.3, the other half worse by 0.2 (and by 0.3 for all).
    mixed = replace(less, place=0.5 + np.where(np.arange(60) % 2, 0.3, -0.2))
    assert not models.is_better(mixed, less, n_looks=8)
    assert models.is_better(replace(less, place=np.full(60, 0.8)), less, n_looks=8)
    assert not models.is_better(less, mixed, n_looks=8)


def test_a_leak_known_twice_is_caught_in_both_forms(audit: Audit, world: World) -> None:
    columns, y, rng = world(0.2, n=4000)
    seconds = rng.normal(np.where(y == 1, 600, 300), 220)
    found = audit({**columns, "Call duration": seconds, "Call duration in minutes": np.round(seconds / 60, 1)}, y)
    assert [one.verdict for one in found.values()][-2:] == ["QUARANTINE"] * 2
    assert "'Call duration', which say the same" in found["Call duration in minutes"].evidence[-1].sentence
