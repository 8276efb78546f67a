"""The only place that asks small forests what a column is worth beside the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import lightgbm as lgb
import numpy as np

from propensity.encoding import fit_encoder
from propensity.leakage.evidence import Evidence, Price, is_beyond_chance
from propensity.leakage.rows import fold_rows
from propensity.roles import words_of
from propensity.roles.hindsight import weak_word

if TYPE_CHECKING:
    import pandas as pd

    from propensity.leakage.rows import Rows
    from propensity.schema import Schema

MIN_ERROR_RATIO = 2.0
# With a name that already makes one wonder, more than any legitimate column has shown (1.4) is enough.
MIN_WEAK_ERROR_RATIO = 1.5
# A column (with its twins) that brings less of the trees' gain than this cannot carry half of the ranking.
MIN_GAIN = 0.05
# Columns whose rankings agree so well say the same: neither is missed while the other is there.
MIN_TWIN = 0.95
MIN_CONVERTED = 25
N_FOLDS = 3
# What the models may cost: rows they see, and columns left out in turn.
MAX_ROWS, TOP_COLUMNS = 20_000, 8
# Small and quick: who carries the ranking shows early, the last thousandth of AUC does not matter here.
SETTINGS: Mapping[str, object] = {
    "objective": "binary",
    "learning_rate": 0.1,
    "num_leaves": 15,
    "max_bin": 63,
    "lambda_l2": 1.0,
    "cat_smooth": 20.0,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
N_TREES = 60


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A model's ranking of rows it did not see: the AUC, each row's place, and each column's share of the gain."""

    auc: float
    place: np.ndarray
    gain: Mapping[str, float]


class Models:
    """Small forests on subsets of columns, each fitted once."""

    def __init__(self, *, read: pd.DataFrame, rows: Rows, schema: Schema, seed: int) -> None:
        chosen = _sample(rows, seed=seed)
        self.schema, self.seed = schema, seed
        self.read = read.iloc[chosen].reset_index(drop=True)
        self.rows = fold_rows(rows.y[chosen], rows.weight[chosen], rows.group[chosen], n_folds=N_FOLDS, seed=seed)
        self._fits: dict[tuple[str, ...], Fit | None] = {}
        self._codes: dict[str, np.ndarray] = {}

    def fit(self, names: Collection[str]) -> Fit | None:
        """Fit on all folds but one, and rank that one; None where a fold has one outcome only."""
        chosen = {*names}
        key = tuple(name for name in self.schema.names if name in chosen)
        if key not in self._fits:
            self._fits[key] = self._fit(key) if len(self.rows.folds) == N_FOLDS else None
        return self._fits[key]

    def _fit(self, names: tuple[str, ...]) -> Fit:
        rows, margin, gain = self.rows, np.zeros(len(self.rows.y)), np.zeros(len(names))
        if not names:
            return Fit(auc=0.5, place=np.full(len(rows.y), 0.5), gain={})
        kinds = {column.name: column.kind for column in self.schema.columns}
        matrix = np.column_stack([self._column(name) for name in names])
        for inside in rows.folds:
            past = ~inside
            settings = {**SETTINGS, "seed": self.seed, "min_data_in_leaf": max(1, min(20, int(past.sum()) // 20))}
            data = lgb.Dataset(
                matrix[past],
                rows.y[past],
                weight=rows.weight[past],
                feature_name=[f"f{i}" for i in range(len(names))],
                categorical_feature=[i for i, name in enumerate(names) if kinds[name] == "category"],
                params=settings,
            )
            booster = lgb.train(settings, data, num_boost_round=N_TREES)
            margin[inside] = np.asarray(booster.predict(matrix[inside], raw_score=True, num_threads=1))
            gain += booster.feature_importance("gain")
        place = rows.places(margin)
        return Fit(auc=rows.auc(place), place=place, gain=dict(zip(names, gain / (gain.sum() or 1.0), strict=True)))

    def _column(self, name: str) -> np.ndarray:
        if name not in self._codes:
            alone = replace(self.schema, columns=tuple(c for c in self.schema.columns if c.name == name))
            self._codes[name] = fit_encoder(self.read, alone).encode(self.read)[:, 0]
        return self._codes[name]

    def is_better(self, full: Fit, less: Fit, *, n_looks: int) -> bool:
        """Say whether one ranking beats another beyond chance, groups counted once (DeLong 1988)."""
        rows, total, parts = self.rows, 0.0, np.zeros(self.rows.n_groups)
        for inside in rows.folds:
            for outcome in (0, 1):
                part = inside & (rows.y == outcome)
                gap, share = full.place[part] - less.place[part], rows.weight[part] / rows.weight[part].sum()
                mean = float((share * gap).sum())
                total += mean / (2 * N_FOLDS)
                parts += np.bincount(rows.group[part], weights=share * (gap - mean), minlength=rows.n_groups)
        error = float(np.sqrt((parts**2).sum())) / N_FOLDS
        return total > 0 and is_beyond_chance(total / max(error, 1e-12), n_looks=n_looks)


def _sample(rows: Rows, *, seed: int) -> np.ndarray:
    """Choose the rows models see: all, or whole groups drawn, those that converted first as far as half the places."""
    if len(rows.y) <= MAX_ROWS:
        return np.arange(len(rows.y))
    size = np.bincount(rows.group)
    drawn = np.random.default_rng(seed).permutation(rows.n_groups)
    won = np.isin(drawn, rows.group[rows.y == 1])
    first = drawn[won][np.cumsum(size[drawn[won]]) <= MAX_ROWS // 2]
    rest = drawn[~won]
    rest = rest[np.cumsum(size[rest]) <= MAX_ROWS - size[first].sum()]
    return np.flatnonzero(np.isin(rows.group, np.append(first, rest)))


def find_twins(told: Mapping[str, np.ndarray]) -> dict[str, set[str]]:
    """Give each column those others that rank leads as it does: the same thing in minutes, or in another currency.

    Examples
    --------
    >>> find_twins({"s": np.array([60, 90, 300]), "min": np.array([1, 1.5, 5]), "age": np.array([7, 9, 2])})
    {'s': {'min'}, 'min': {'s'}, 'age': set()}
    """
    names = [*told]
    if len(names) < 2:
        return {}
    alike = np.corrcoef([told[name] for name in names]) >= MIN_TWIN
    return {name: {names[j] for j in np.flatnonzero(alike[i]) if j != i} for i, name in enumerate(names)}


def find_dominant(
    models: Models, kept: Sequence[str], *, candidates: Collection[str], twins: Mapping[str, Collection[str]]
) -> dict[str, Evidence]:
    """Find columns without which the model errs at least twice as often.

    Parameters
    ----------
    models : Models
    kept : sequence of str
        The columns of the full model, the strongest first.
    candidates : collection of str
        Those that may be found. The eight with the largest gain and eight with a weak name are tried.
    twins : mapping of column to columns
        Left out together with it.
    """
    rows = models.rows
    full = models.fit(kept) if rows.n_converted >= MIN_CONVERTED else None
    if full is None:
        return {}
    by_gain = sorted(full.gain, key=lambda name: -full.gain[name])[:TOP_COLUMNS]
    weak = [name for name in kept if weak_word(words_of(name))]
    tried = [name for name in dict.fromkeys([*by_gain, *weak[:TOP_COLUMNS]]) if name in candidates]
    least = 1 / max(rows.n_converted * (rows.n_groups - rows.n_converted), 1)  # one wrongly ordered pair
    found: dict[str, Evidence] = {}
    for name in tried:
        enough = MIN_WEAK_ERROR_RATIO if name in weak else MIN_ERROR_RATIO
        same = sorted(twins.get(name, ()))
        # A model without any column is wrong half the time: more than that no column can do.
        if enough * (1 - full.auc) > 0.5 or sum(full.gain[one] for one in (name, *same)) < MIN_GAIN:
            continue
        less = models.fit({*kept} - {name, *same})
        if less is None:
            continue
        ratio = (1 - max(less.auc, 0.5)) / max(1 - full.auc, least)
        if ratio < enough or not models.is_better(full, less, n_looks=len(tried)):
            continue
        also = f" and {', '.join(map(repr, same[:3]))}, which say the same," if same else ""
        sentence = (
            f"without it{also} the model puts the wrong lead first {ratio:.1f} times as often "
            f"(AUC {less.auc:.2f} instead of {full.auc:.2f})"
        )
        found[name] = Evidence(code="DOM", calls_for="REVIEW", value=ratio, n_leads=rows.n_groups, sentence=sentence)
    return found


def find_price(models: Models, name: str, kept: Collection[str]) -> Price | None:
    """Say what a column is worth beside those kept; None where no model can be fitted."""
    with_it, without = models.fit({*kept, name}), models.fit({*kept} - {name})
    return None if with_it is None or without is None else Price(with_auc=with_it.auc, without_auc=without.auc)
