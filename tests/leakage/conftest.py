"""What tests of the audit share: how to audit columns, leads with a wish to buy, and noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.leakage import ColumnAudit, audit_columns
from propensity.schema import Column, Schema


def texts(values: Any) -> pd.Series:
    return pd.Series(values, dtype=object)


@pytest.fixture
def audit() -> Callable[..., dict[str, ColumnAudit]]:
    """Audit columns as a file of single leads would have them; floats are numbers, all else is text."""

    def make(columns: Mapping[str, Any], y: np.ndarray, **settings: Any) -> dict[str, ColumnAudit]:
        read = pd.DataFrame(columns)
        kinds = tuple(
            Column(name=str(name), family="fit", kind="number" if read[name].dtype.kind == "f" else "category")
            for name in read
        )
        plain: dict[str, Any] = {"groups": np.arange(len(y)), "declared": {}, "from_events": (), "seed": 0}
        schema = Schema(columns=kinds, id=None, missing=())
        return {found.column: found for found in audit_columns(read, y, schema=schema, **(plain | settings))}

    return make


World = tuple[dict[str, Any], np.ndarray, np.random.Generator]


@pytest.fixture
def world() -> Callable[..., World]:
    """Leads whose interest and industry make them convert, and two columns of noise."""

    def make(
        rate: float = 0.3, *, n: int = 1200, seed: int = 0
    ) -> tuple[dict[str, Any], np.ndarray, np.random.Generator]:
        rng = np.random.default_rng(seed)
        interest, industry = rng.normal(size=n), rng.choice(["Retail", "Health", "Steel"], n)
        wish = interest + (industry == "Steel") + rng.logistic(size=n)
        y = (wish > np.quantile(wish, 1 - rate)).astype(float)
        columns = {
            "Interest": interest + rng.normal(size=n) / 2,
            "Industry": texts(industry),
            "Size": np.exp(rng.normal(size=n)),
            "Region": texts(rng.choice(["north", "south"], n)),
        }
        return columns, y, rng

    return make


@pytest.fixture
def noise() -> Callable[..., dict[str, Any]]:
    """Noise of many kinds: numbers, amounts with many zeros, few and many levels, nearly full and nearly empty."""

    def make(n_rows: int, names: Sequence[str], *, seed: int) -> dict[str, Any]:
        rng = np.random.default_rng(seed)
        columns: dict[str, Any] = {}
        for i, name in enumerate(names):
            values = (
                pd.Series(rng.normal(size=n_rows)),
                pd.Series(np.where(rng.random(n_rows) < 0.7, 0.0, rng.exponential(size=n_rows))),
                texts(rng.choice(["a", "b", "c"], n_rows)),
                texts([f"v{k}" for k in rng.integers(0, n_rows // 8, n_rows)]),
            )[i % 4]
            columns[name] = values.where(rng.random(n_rows) < rng.choice([1.0, 0.9, 0.4, 0.06]))
        return columns

    return make
