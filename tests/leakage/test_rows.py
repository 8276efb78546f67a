from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity import metrics
from propensity.leakage import ColumnAudit

Audit = Callable[..., dict[str, ColumnAudit]]
World = Callable[..., tuple[dict[str, Any], np.ndarray, np.random.Generator]]


def codes(found: ColumnAudit) -> set[str]:
    return {evidence.code for evidence in found.evidence}


def texts(values: Any) -> pd.Series:
    return pd.Series(values, dtype=object)


def test_a_column_alone_is_ranked_as_the_metric_ranks(audit: Audit, world: World) -> None:
    columns, y, _ = world()
    copy = np.where(np.random.default_rng(0).random(len(y)) < 0.04, 1 - y, y)
    (told,) = [e for e in audit({**columns, "flag": copy}, y)["flag"].evidence if e.code == "AUC1"]
    assert told.value == pytest.approx(metrics.auc(y, copy), abs=0.003)  # the mean of five folds


def test_rows_of_one_account_are_one_witness(audit: Audit) -> None:
    y = np.repeat([1.0, 0.0], [300, 900])
    tier = texts(np.where(np.arange(1200) < 60, "gold", np.where(np.arange(1200) % 2, "tin", "zinc")))
    alone = audit({"Tier": tier}, y)["Tier"]
    assert codes(alone) == {"PURE", "IMPL"}
    account = np.where(np.arange(1200) < 60, 0, np.arange(1200))
    assert audit({"Tier": tier}, y, groups=account)["Tier"].verdict == "OK"


def test_rows_that_weigh_nothing_say_nothing(audit: Audit, world: World) -> None:
    columns, y, _ = world()
    flag = y.copy()
    flag[::2] = np.random.default_rng(0).integers(0, 2, len(flag[::2]))
    weight = np.tile([0.0, 1.0], len(y) // 2)
    assert "EQUAL" in codes(audit({**columns, "Segment B": flag}, y, weight=weight)["Segment B"])
    assert "EQUAL" not in codes(audit({**columns, "Segment B": flag}, y)["Segment B"])
