"""The only place that trains, reads and runs LightGBM: boosted trees kept as their text."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

import lightgbm as lgb
import numpy as np

from propensity.errors import BundleError
from propensity.learners.parts import Parts

if TYPE_CHECKING:
    from types import ModuleType

    from propensity.learners.treeshap import Tables

SETTINGS: Mapping[str, object] = {
    "objective": "binary",
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "cat_smooth": 20.0,
    "cat_l2": 20.0,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
ON_LINEAR = "on_linear"
EXTRA: Mapping[str, object] = {"learning_rate": 0.05, "num_leaves": 31, "extra_trees": True, "feature_fraction": 0.8}
# No setting of boosting wins on every table, so a few that differ are raced. All hold back: on noisy leads, trees with
# LightGBM's 31 leaves at rate 0.1 learn the noise, and out of time they are worse than none.
KINDS: Mapping[str, Mapping[str, object]] = {
    # Each tree sees part of rows and columns: close to the best single setting on small tables.
    "small": {"learning_rate": 0.03, "num_leaves": 12, "feature_fraction": 0.6},
    # Two questions a tree: pairs of features and no more. Steadiest where there are few conversions or much drift.
    "shallow": {"learning_rate": 0.05, "num_leaves": 4, "max_depth": 2, "feature_fraction": 0.5},
    # Thresholds drawn at random (extremely randomised trees, Machine Learning 63, 2006): smooth in numbers.
    "extra": EXTRA,
    # The same, started from the linear model's margins: trees only learn what a line cannot say.
    ON_LINEAR: EXTRA,
}
# LightGBM's other two methods, "intermediate" and "advanced", let trees through that break the constraint (measured in
# docs/adr/0016; LightGBM issues 5358 and 6155). This one parts at every split what either side may say.
MONOTONE_METHOD = "basic"
MIN_LEAF_ROWS = 40
# Exact contributions cost the square of the depth in time and memory.
MAX_DEPTH = 8
# Below this many cells one thread is as fast, and on a busy machine thirty times faster: threads wait for each other.
THREADED_CELLS = 2_000_000
# LightGBM's 255 bins a number up to 200 columns. Every split looks at every bin of every column, so the numbers of
# wider files get fewer: 2,000 leads of 500 columns train three times as fast, and their log loss is the same.
MAX_BINS = 255
MIN_BINS = 15
BINS_IN_ALL = 200 * MAX_BINS
_END = "end of trees\n"
# Python reads "1_0", " 1" and digits of every script as numbers; LightGBM's parser does not.
# Stands for an infinite threshold while a tree's numbers are checked; no category set has this number.
NO_UPPER_END = "1e300"
_NUMBER = re.compile(r"-?\d+(?:\.\d*)?(?:e[-+]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Forest:
    """A boosted forest as its text.

    Parameters
    ----------
    text : str
        LightGBM's own format, up to the end of the trees.
    """

    text: str

    def __reduce__(self) -> tuple[type[Forest], tuple[str]]:
        # Another process parses the text by itself: what was parsed here is of this one.
        return Forest, (self.text,)

    @cached_property
    def booster(self) -> lgb.Booster:
        """The parsed forest. The text must be trusted: it was made here or passed `check_forest_text`."""
        return lgb.Booster(model_str=self.text)

    @property
    def n_trees(self) -> int:
        """How many trees there are."""
        return self.booster.num_trees()

    def first(self, n_trees: int) -> Forest:
        """Give the forest of the first so many trees, as if no more had been trained."""
        return self if n_trees >= self.n_trees else Forest(_trees(self.booster, n_trees))

    def margin(self, matrix: np.ndarray, *, n_trees: int | None = None) -> np.ndarray:
        """Sum the trees' leaves for each row, in log-odds.

        Parameters
        ----------
        matrix : array of float, shape (n_leads, n_features)
        n_trees : int or None
            The first so many trees; None for all.

        Returns
        -------
        array of float, shape (n_leads,)
        """
        if len(matrix) == 0:
            return np.empty(0)
        threads = _n_threads(matrix)
        return np.asarray(
            self.booster.predict(matrix, raw_score=True, num_iteration=n_trees or -1, num_threads=threads)
        )

    def explain(self, matrix: np.ndarray) -> Parts:
        """Split each margin exactly into one part a feature (path-dependent TreeSHAP, arXiv 1802.03888).

        By tables where numba is installed and they hold the forest, else by LightGBM, a hundred times as slow: never by
        how many rows there are. The margin is the same to the bit, contributions to about 1e-7.

        Parameters
        ----------
        matrix : array of float, shape (n_leads, n_features)

        Returns
        -------
        Parts
        """
        if self._engine is None:
            contributions, base = self.lightgbm_contributions(matrix)
            return Parts(self.margin(matrix), contributions, base)
        engine, tables = self._engine
        if len(matrix) == 1:
            margin, contributions = engine.explain_row(self._turned, np.asarray(matrix[0], dtype=float))
            return Parts(np.array([margin]), contributions[None, :], tables.base)
        margin, contributions = engine.explain_forest(tables, matrix)
        return Parts(margin, contributions, tables.base)

    def lightgbm_contributions(self, matrix: np.ndarray) -> tuple[np.ndarray, float]:
        """Give contributions and base as LightGBM works them out: what the tables are held against."""
        if len(matrix) == 0:
            return np.empty((0, matrix.shape[1])), 0.0
        # One thread: LightGBM's threaded contributions have crash reports (LightGBM issue 5482).
        parts = np.asarray(self.booster.predict(matrix, pred_contrib=True, num_threads=1))
        return parts[:, :-1], float(parts[0, -1])

    @cached_property
    def _engine(self) -> tuple[ModuleType, Tables] | None:
        engine = table_engine()
        tables = None if engine is None else engine.build_tables(self.text, n_features=self.booster.num_feature())
        return None if engine is None or tables is None else (engine, tables)

    @cached_property
    def _turned(self) -> Tables:
        assert self._engine is not None  # noqa: S101 - asked for by the engine alone
        engine, tables = self._engine
        return engine.by_pattern(tables)  # type: ignore[no-any-return]


@cache
def table_engine() -> ModuleType | None:
    """Give what explains by tables; None where numba is not installed."""
    try:
        from propensity.learners import treeshap
    except ImportError:
        return None
    return treeshap


def fit_forest(
    matrix: np.ndarray,
    y: np.ndarray,
    *,
    categorical: tuple[int, ...],
    n_trees: int,
    max_depth: int,
    seed: int,
    kind: str = "small",
    settings: Mapping[str, object] | None = None,
    weight: np.ndarray | None = None,
    start: np.ndarray | None = None,
    directions: Sequence[int] = (),
) -> Forest:
    """Train a forest.

    Parameters
    ----------
    matrix : array of float, shape (n_leads, n_features)
    y : array of {0, 1}, shape (n_leads,)
    categorical : tuple of int
        Columns that hold codes.
    n_trees, max_depth, seed : int
    kind : str
        Which of `KINDS`.
    settings : mapping or None
        In place of the kind's, as a search found them.
    weight : array of float or None, shape (n_leads,)
    start : array of float or None, shape (n_leads,)
        Margins the trees start from and correct; theirs alone do not hold it.
    directions : sequence of {-1, 0, 1}, shape (n_features,) or (0,)
        Which numbers the margin must rise with (1) or fall with (-1); 0 for categories. See `monotone`.

    Returns
    -------
    Forest
        The same bytes for the same input and seed at any number of threads.
    """
    names = _names(matrix.shape[1])  # real names may hold what LightGBM refuses
    own = KINDS[kind] if settings is None else settings
    leaf_rows = int(str(own.get("min_data_in_leaf", MIN_LEAF_ROWS)))
    params = {
        **SETTINGS,
        **own,
        "max_depth": min(max_depth, int(str(own.get("max_depth", max_depth)))),
        "seed": seed,
        "num_threads": _n_threads(matrix),
        "min_data_in_leaf": max(1, min(leaf_rows, len(y) // 20)),
        "min_data_in_bin": 1 if len(y) < 100 else 3,
    }
    bins = max(MIN_BINS, BINS_IN_ALL // matrix.shape[1])
    if bins < MAX_BINS:
        coded = {*categorical}
        params["max_bin_by_feature"] = [MAX_BINS if i in coded else bins for i in range(matrix.shape[1])]
    if any(directions):
        params |= {"monotone_constraints": [*directions], "monotone_constraints_method": MONOTONE_METHOD}
    data = lgb.Dataset(
        matrix,
        y,
        weight=weight,
        init_score=start,
        feature_name=names,
        categorical_feature=list(categorical),
        params=params,
    )
    return Forest(_trees(lgb.train(params, data, num_boost_round=n_trees), n_trees))


def _trees(booster: lgb.Booster, n_trees: int) -> str:
    """Give the text of the first so many trees; what LightGBM writes behind them echoes its settings."""
    text = booster.model_to_string(num_iteration=n_trees)
    return text[: text.index(_END) + len(_END)]


def _n_threads(matrix: np.ndarray) -> int:
    """Give how many threads a matrix is worth; 0 is all of them. The result is the same with any."""
    return 0 if matrix.size >= THREADED_CELLS else 1


def check_forest_text(text: str, *, n_features: int) -> None:
    """Verify a forest's text before LightGBM's parser sees it: truncated or edited text can kill the process.

    Every line stands where LightGBM writes it, every array has its declared length, every number is finite, every
    node and leaf is reached exactly once and not too deep, every feature exists and every tree fills the bytes the
    header gives it.

    Parameters
    ----------
    text : str
    n_features : int
        Columns of the matrix the forest was trained on.

    Raises
    ------
    BundleError
        The text is not such a forest.
    """
    try:
        _require(text.endswith(_END), "it ends early")
        _require(text.startswith("tree\nversion=v4\n"), "it is not LightGBM text, version 4")
        _require(text.isascii() and text.replace("\n", "").isprintable(), "it holds signs that LightGBM never writes")
        head, *blocks = text.removesuffix(_END).split("Tree=")
        header = _fields(head.removeprefix("tree\n"), after="\n\n")
        _require(header["num_class"] == "1" == header["num_tree_per_iteration"], "it has several classes")
        _require(_ints(header["max_feature_idx"], 1) == [n_features - 1], "it was trained on other features")
        _require(header["feature_names"].split(" ") == _names(n_features), "feature names are others")
        infos = header["feature_infos"].split(" ")
        _require(len(infos) == n_features and all(infos), "feature ranges are missing")
        _require(header["objective"] == "binary sigmoid:1", "its objective is not binary")
        _ints(header["label_index"], 1)
        if "monotone_constraints" in header:
            ways = _ints(header["monotone_constraints"], n_features)
            _require({*ways} <= {-1, 0, 1}, "a constraint has no direction")
        _require(len(header["tree_sizes"].split(" ")) == len(blocks), "trees are missing")
        for number, (block, size) in enumerate(zip(blocks, _ints(header["tree_sizes"], len(blocks)), strict=True)):
            _require(len(f"Tree={block}") == size, f"tree {number} has another size")
            first, _, rest = block.partition("\n")
            _require(first == str(number), f"tree {number} is out of order")
            _check_tree(_fields(rest, after="\n\n\n"), n_features)
    except (KeyError, ValueError) as error:
        msg = f"The model's trees cannot be trusted: {error}."
        raise BundleError(msg, fallback_reason="HASH_MISMATCH") from error


def _names(n_features: int) -> list[str]:
    return [f"f{i}" for i in range(n_features)]


def _fields(block: str, *, after: str) -> dict[str, str]:
    """Read lines of name=value, ended by blank lines and holding none."""
    pairs = [line.partition("=") for line in block.removesuffix(after).split("\n")]
    names = [name for name, _, _ in pairs]
    whole = all(name and equals and "=" not in value for name, equals, value in pairs)
    _require(block.endswith(after) and whole, "a line is not a field")
    _require(len(names) == len(set(names)), "a field stands twice")
    return {name: value for name, _, value in pairs}


def _check_tree(tree: dict[str, str], n_features: int) -> None:
    (n_leaves,), (n_cat,) = _ints(tree["num_leaves"], 1), _ints(tree["num_cat"], 1)
    n_nodes = n_leaves - 1
    _require(n_leaves >= 1 and n_cat >= 0, "a tree has no leaf")
    _require(tree["is_linear"] == "0", "a tree is linear")
    _floats(tree["leaf_value"], n_leaves)
    _floats(tree["shrinkage"], 1)
    if n_nodes == 0:
        return
    _floats(tree["leaf_weight"], n_leaves)
    _ints(tree["leaf_count"], n_leaves)
    for name in ("split_gain", "internal_value", "internal_weight"):
        _floats(tree[name], n_nodes)
    _ints(tree["internal_count"], n_nodes)
    _require(all(0 <= f < n_features for f in _ints(tree["split_feature"], n_nodes)), "a split has no feature")
    children = [*zip(_ints(tree["left_child"], n_nodes), _ints(tree["right_child"], n_nodes), strict=True)]
    reached = sorted(child for pair in children for child in pair)
    _require(reached == sorted([*range(1, n_nodes), *range(-n_leaves, 0)]), "a node is not reached once")
    depth = [1] * n_nodes
    for parent, pair in enumerate(children):
        for child in pair:
            # LightGBM numbers a child after its parent, so reached once and numbered later means no circle.
            _require(child < 0 or child > parent, "a node is its own ancestor")
            if child > 0:
                depth[child] = depth[parent] + 1
    _require(max(depth) <= MAX_DEPTH, f"a tree is deeper than {MAX_DEPTH}")
    # A split of missing from all others has no upper end, and says so.
    thresholds = _floats(re.sub(r"(?<![^ ])inf(?![^ ])", NO_UPPER_END, tree["threshold"]), n_nodes)
    kinds = _ints(tree["decision_type"], n_nodes)
    _require(all(0 <= kind < 16 for kind in kinds), "a decision is of no known kind")
    bounds = _ints(tree["cat_boundaries"], n_cat + 1) if n_cat else [0]
    _require(bounds[0] == 0 and bounds == sorted(bounds), "category sets overlap")
    if n_cat:
        _require(all(0 <= s < 2**32 for s in _ints(tree["cat_threshold"], bounds[-1])), "a category set is broken")
    sets = [t for t, kind in zip(thresholds, kinds, strict=True) if kind & 1]
    _require(all(t.is_integer() and 0 <= t < n_cat for t in sets), "a category split has no set")


def _floats(text: str, n: int) -> list[float]:
    values = [float(value) for value in _numbers(text, n)]
    _require(all(map(math.isfinite, values)), "a number is not finite")
    return values


def _ints(text: str, n: int) -> list[int]:
    return [int(value) for value in _numbers(text, n)]


def _numbers(text: str, n: int) -> list[str]:
    values = text.split(" ")
    _require(len(values) == n, "an array has another length")
    _require(all(map(_NUMBER.fullmatch, values)), "a number is not one")
    return values


def _require(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not holds:
        raise ValueError(otherwise)
