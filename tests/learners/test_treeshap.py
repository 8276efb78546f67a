from __future__ import annotations

from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.learners import Forest, forest, treeshap
from propensity.learners.treeshap import Tables, build_tables, by_pattern, explain_forest, explain_row

N_NUMBERS, N_CATEGORIES = 4, 2
N_FEATURES = N_NUMBERS + N_CATEGORIES


def some_rows(n_rows: int, *, seed: int, n_levels: int = 40) -> np.ndarray:
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(n_rows, N_NUMBERS)).round(1)
    numbers[rng.random(numbers.shape) < 0.2] = 0.0
    numbers[rng.random(numbers.shape) < 0.2] = np.nan
    categories = rng.integers(0, n_levels, (n_rows, N_CATEGORIES)).astype(float)
    categories[rng.random(categories.shape) < 0.1] = np.nan
    return np.column_stack([numbers, categories])


def grow(*, n_trees: int = 6, seed: int = 0, n_rows: int = 400, **asked: object) -> lgb.Booster:
    matrix = some_rows(n_rows, seed=seed)
    filled = np.nan_to_num(matrix)
    noise = np.random.default_rng(seed).normal(size=n_rows)
    y = (filled[:, 0] * filled[:, 1] + np.sin(filled[:, 4]) + (filled[:, 5] % 3) + noise > 1).astype(float)
    params = {
        "objective": "binary",
        "learning_rate": 0.3,
        "min_data_in_leaf": 3,
        "verbosity": -1,
        "cat_smooth": 1.0,
        "num_threads": 1,
        "seed": seed,
        **asked,
    }
    data = lgb.Dataset(matrix, y, categorical_feature=[*range(N_NUMBERS, N_FEATURES)], params=params)
    return lgb.train(params, data, num_boost_round=n_trees)


def tables_of(booster: lgb.Booster, **asked: int) -> Tables:
    tables = build_tables(booster.model_to_string(), n_features=N_FEATURES, **asked)
    assert tables is not None
    return tables


def odd_rows(booster: lgb.Booster, *, seed: int) -> np.ndarray:
    """Rows on the thresholds and beside them, of unseen and broken levels, of no number and of too large ones."""
    rng = np.random.default_rng(seed)
    matrix = some_rows(300, seed=seed + 1, n_levels=70)
    frame = booster.trees_to_dataframe()
    frame = frame[frame["decision_type"] == "<="]
    for name, cut in zip(frame["split_feature"], frame["threshold"], strict=True):
        row, column = rng.integers(len(matrix)), int(str(name).removeprefix("Column_"))
        matrix[row, column] = rng.choice([cut, np.nextafter(cut, np.inf), np.nextafter(cut, -np.inf)])
    matrix[:7, 0] = [np.inf, -np.inf, -0.0, 1e-35, -1.0000000180025095e-35, 1e300, 1e-34]
    matrix[:8, N_NUMBERS] = [-1.0, -0.5, 0.5, 1e6, 1e18, np.inf, -np.inf, 31.999]
    return matrix


FORESTS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10_000),
        "max_depth": st.integers(1, 16),
        "num_leaves": st.integers(2, 40),
        "zero_as_missing": st.booleans(),
        "use_missing": st.booleans(),
        "extra_trees": st.booleans(),
        "max_cat_to_onehot": st.sampled_from([1, 4, 100]),
    }
)


@settings(max_examples=60, deadline=None)
@given(asked=FORESTS, unit_bits=st.integers(1, 10))
def test_parts_are_lightgbms_own_and_margins_its_bits(asked: dict[str, Any], unit_bits: int) -> None:
    booster = grow(**asked)
    tables, matrix = tables_of(booster, max_unit_bits=unit_bits), odd_rows(booster, seed=asked["seed"])
    margin, parts = explain_forest(tables, matrix)
    np.testing.assert_array_equal(margin, booster.predict(matrix, raw_score=True))
    slow = np.asarray(booster.predict(matrix, pred_contrib=True))
    np.testing.assert_allclose(parts, slow[:, :-1], rtol=0, atol=1e-6)
    assert tables.base == pytest.approx(slow[0, -1], abs=1e-12)
    turned = by_pattern(tables)
    for i in range(0, len(matrix), 13):
        alone = explain_row(turned, matrix[i])
        assert alone[0] == margin[i]
        np.testing.assert_array_equal(alone[1], parts[i])


def test_a_row_never_sees_its_block_or_its_thread() -> None:
    booster = grow(n_trees=20, num_leaves=31, max_depth=8)
    tables, matrix = tables_of(booster), some_rows(9_001, seed=3)
    margin, parts = explain_forest(tables, matrix, n_threads=1)
    for block, n_threads in [(1, 1), (7, 2), (512, 4), (20_000, 1)]:
        again, others = explain_forest(tables, matrix, block=block, n_threads=n_threads)
        np.testing.assert_array_equal(again, margin)
        np.testing.assert_array_equal(others, parts)


def test_patterns_of_more_than_a_byte() -> None:
    # A chain of splits on as many features as there are; a single leaf then has more bits than a unit may.
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(6_000, 14))
    y = (matrix > -0.7).all(axis=1).astype(float)
    params = {"objective": "binary", "num_leaves": 40, "min_data_in_leaf": 2, "verbosity": -1, "num_threads": 1}
    booster = lgb.train(params, lgb.Dataset(matrix, y), num_boost_round=5)
    tables = build_tables(booster.model_to_string(), n_features=14)
    assert tables is not None
    assert np.diff(tables.unit_bit).max() > 8
    margin, parts = explain_forest(tables, matrix[:500])
    np.testing.assert_array_equal(margin, booster.predict(matrix[:500], raw_score=True))
    slow = np.asarray(booster.predict(matrix[:500], pred_contrib=True))
    np.testing.assert_allclose(parts, slow[:, :-1], rtol=0, atol=1e-6)


def test_constant_trees_give_a_margin_and_no_parts() -> None:
    matrix = np.random.default_rng(0).normal(size=(50, 2))
    data = lgb.Dataset(matrix, np.arange(50) % 2)
    params = {"objective": "binary", "min_data_in_leaf": 40, "verbosity": -1}
    booster = lgb.train(params, data, num_boost_round=3)
    tables = build_tables(booster.model_to_string(), n_features=2)
    assert tables is not None
    margin, parts = explain_forest(tables, matrix)
    np.testing.assert_array_equal(margin, booster.predict(matrix, raw_score=True))
    assert not parts.any()
    assert explain_row(by_pattern(tables), matrix[0])[0] == margin[0]


def test_what_tables_cannot_hold_is_left_to_lightgbm(monkeypatch: pytest.MonkeyPatch) -> None:
    text = grow(num_leaves=20, max_depth=6).model_to_string()
    monkeypatch.setattr(treeshap, "MAX_LEAF_BITS", 3)
    assert build_tables(text, n_features=N_FEATURES) is None
    monkeypatch.undo()
    monkeypatch.setattr(treeshap, "MAX_TABLE_BYTES", 1_000)
    assert build_tables(text, n_features=N_FEATURES) is None
    monkeypatch.undo()
    counts = next(line for line in text.split("\n") if line.startswith("leaf_count="))
    nobody = " ".join(["leaf_count=0", *counts.split(" ")[1:]])
    assert build_tables(text.replace(counts, nobody), n_features=N_FEATURES) is None


def test_without_numba_lightgbm_explains_and_the_margin_keeps_its_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    text = grow(num_leaves=20, max_depth=6).model_to_string()
    matrix = some_rows(50, seed=5)
    fast = Forest(text).explain(matrix)
    monkeypatch.setattr(forest, "table_engine", lambda: None)
    slow = Forest(text).explain(matrix)
    np.testing.assert_array_equal(fast.margin, slow.margin)
    assert (fast.contributions != slow.contributions).any()
    np.testing.assert_allclose(fast.contributions, slow.contributions, rtol=0, atol=1e-6)
    assert fast.base == pytest.approx(slow.base, abs=1e-12)
