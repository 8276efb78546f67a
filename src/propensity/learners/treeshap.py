"""The only place for exact TreeSHAP by tables: the reasons of every lead at the price of its score.

What is computed is path-dependent TreeSHAP (Lundberg, Erion, Lee: Consistent Individualized Feature Attribution for
Tree Ensembles, arXiv 1802.03888), the very numbers of LightGBM's ``pred_contrib``. How it is computed differs.

**One leaf.** A path to a leaf asks about d distinct features. Let ``z_j`` be the share of training rows that go the
path's way at its splits on feature j, multiplied over them, and ``o_j`` 1 where a lead goes that way at all of these
splits, else 0. A set S of known features reaches the leaf with weight ``prod_{S} o_j prod_{not S} z_j``, so a leaf of
value v plays a game whose Shapley value is, over the orders in which features become known,

    phi_i = v (o_i - z_i) integral_0^1 prod_{j != i} (t o_j + (1 - t) z_j) dt

(t is how much of the order has passed; Owen: Multilinear Extensions of Games, Management Science 18, 1972). The
integrand is a polynomial of degree d - 1, so Gauss-Legendre quadrature with ceil(d / 2) points is exact.

**Tables.** A lead enters through the bits ``o_j`` alone. So each tree is cut into *units*: subtrees so small that what
a lead answers inside, and whether it satisfies each feature on the way there, fits into `MAX_UNIT_BITS` bits. For every
unit and every pattern of its bits, the contributions of all its leaves are added up beforehand, one number a feature.
A lead then costs one look-up a unit and feature; a second table holds the value of the leaf it reaches, if any.

**Blocks.** Rows are read in blocks and everything lies feature by feature, so that each step is the same short
instruction for many rows. Numbers become small integers first: a split asks for ``code <= cut``, a set of categories
for one bit. Where a lead has no number, LightGBM goes by the split's default or by zero: one reading of the column
each.

Every sum is taken in one order, tree by tree, whatever the block: a row never sees its batch, and its margin has
the bytes of LightGBM's own ``predict``. Needs numba; `forest` does without this file where that is not installed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numba
import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])

# Conditions of a unit: more make fewer and larger tables. Eight keep a pattern in one byte; measured, six and ten are
# slower (benchmarks/speed.py --sweep).
MAX_UNIT_BITS = 8
# A single leaf needs a bit for each feature of its path, whatever its depth. Beyond these, LightGBM explains.
MAX_LEAF_BITS = 16
MAX_TABLE_BYTES = 2**30
BLOCK = 512
# Asks for one row alone, whose tables lie by pattern.
ONE_ROW = 0
# Fewer rows than this a thread are not worth one.
THREAD_ROWS = 2_048
# How a split reads its column. LightGBM takes missing numbers for zero, or sends them, or zeros, its default way.
NAN_IS_ZERO, NAN_LEFT, NAN_RIGHT, ZERO_LEFT, ZERO_RIGHT, CATEGORY = range(6)
ALWAYS_LEFT, ALWAYS_RIGHT = -1, 32_767
# What LightGBM takes for zero before it looks at a number: a float of 32 bits.
ZERO = float(np.float32(1e-35))
GROUP = 8
_NO_WEIGHTS = np.empty(0, dtype=np.uint8)


class Tables(NamedTuple):
    """A forest as look-up tables. Everything is numbered through; ``*_start`` holds where each one's own begin.

    Parameters
    ----------
    base : float
        Mean margin over the rows that taught.
    features : array of int
        Those that any split asks about.
    cuts, cut_start : array
        Thresholds of each feature in ascending order.
    n_levels : array of int, shape (n_features,)
        The first category that is in no set.
    column_feature, column_reading : array of int
        The ways of reading features that splits use.
    group_column, group_start, group_bits : array
        Sets of categories of one feature, eight a byte: bit k of ``group_bits[group_start[g] + code]`` is set k's.
    tree_node, tree_unit : array of int, shape (n_trees + 1,)
    node_column, node_cut, node_group : array of int
        A number goes left iff ``code <= cut``; a category iff bit ``cut`` of its group is set. No group: -1.
    unit_bit, bit_condition : array of int
        A bit is set iff all its conditions hold.
    condition_node, condition_left : array of int
        The node, counted within its tree, and the way it must go.
    unit_path : array of int
        The bits that a lead has set iff it reaches the unit.
    unit_slot, slot_feature : array of int
        Features of a unit, by their position in `features`.
    unit_table, unit_value : array of int
    table : array of float32
        Contributions: ``[unit][slot][pattern]``.
    value : array of float
        Leaf values: ``[unit][pattern]``, 0 where the lead is elsewhere in the tree.
    """

    base: float
    features: np.ndarray
    cuts: np.ndarray
    cut_start: np.ndarray
    n_levels: np.ndarray
    column_feature: np.ndarray
    column_reading: np.ndarray
    group_column: np.ndarray
    group_start: np.ndarray
    group_bits: np.ndarray
    tree_node: np.ndarray
    tree_unit: np.ndarray
    node_column: np.ndarray
    node_cut: np.ndarray
    node_group: np.ndarray
    unit_bit: np.ndarray
    bit_condition: np.ndarray
    condition_node: np.ndarray
    condition_left: np.ndarray
    unit_path: np.ndarray
    unit_slot: np.ndarray
    slot_feature: np.ndarray
    unit_table: np.ndarray
    unit_value: np.ndarray
    table: np.ndarray
    value: np.ndarray

    @property
    def n_bytes(self) -> int:
        """How much memory the tables take."""
        return int(self.table.nbytes + self.value.nbytes)


def explain_forest(
    tables: Tables, matrix: np.ndarray, *, block: int = BLOCK, n_threads: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Give each row's margin and one exact part of it a feature.

    Parameters
    ----------
    tables : Tables
        From `build_tables`.
    matrix : array of float, shape (n_rows, n_features)
    block : int
        Rows that are read together; the result is the same with any.
    n_threads : int or None
        None: as many as there are cores for this process. The result is the same with any.

    Returns
    -------
    margin : array of float, shape (n_rows,)
        As LightGBM's ``predict(raw_score=True)``, to the bit.
    contributions : array of float, shape (n_rows, n_features)
        ``tables.base`` + a row's contributions is its margin, to about 1e-7: tables hold 32-bit numbers.
    """
    matrix = np.ascontiguousarray(matrix, dtype=np.float64)
    n_rows = len(matrix)
    margin, contributions = np.zeros(n_rows), np.zeros(matrix.shape)
    most = int(np.diff(tables.unit_bit).max(initial=0))
    weights = np.array([1 << bit for bit in range(most)], dtype=np.uint8 if most <= 8 else np.uint16)
    wanted = numba.config.NUMBA_NUM_THREADS if n_threads is None else n_threads  # type: ignore[attr-defined]
    ends = np.linspace(0, n_rows, max(1, min(wanted, n_rows // THREAD_ROWS)) + 1).astype(int)

    def run(first: int, end: int) -> None:
        _explain(*tables, weights, block, matrix[first:end], margin[first:end], contributions[first:end])

    if len(ends) == 2:
        run(0, n_rows)
    else:
        with ThreadPoolExecutor(len(ends) - 1) as pool:
            list(pool.map(run, ends[:-1], ends[1:]))
    return margin, contributions


def by_pattern(tables: Tables) -> Tables:
    """Lay tables out for one row at a time: what a unit holds for one pattern lies side by side.

    In blocks it is the other way round. A row then misses the cache once a unit instead of once a unit and feature.
    """
    turned = np.empty_like(tables.table)
    _turn(tables.unit_bit, tables.unit_slot, tables.unit_table, tables.table, turned)
    return tables._replace(table=turned)


def explain_row(turned: Tables, row: np.ndarray) -> tuple[float, np.ndarray]:
    """Give one row's margin and parts, with the bytes that `explain_forest` gives it.

    Parameters
    ----------
    turned : Tables
        From `by_pattern`.
    row : array of float, shape (n_features,)

    Returns
    -------
    margin : float
    contributions : array of float, shape (n_features,)
    """
    margin, contributions = np.zeros(1), np.zeros((1, len(row)))
    _explain(*turned, _NO_WEIGHTS, ONE_ROW, row[None, :], margin, contributions)
    return float(margin[0]), contributions[0]


def build_tables(text: str, *, n_features: int, max_unit_bits: int = MAX_UNIT_BITS) -> Tables | None:
    """Work out the tables of a forest.

    Parameters
    ----------
    text : str
        LightGBM's, verified by `forest.check_forest_text` or made here.
    n_features : int
    max_unit_bits : int
        At most 16.

    Returns
    -------
    Tables or None
        None where they would be too large, or the forest is of a kind that tables do not hold: paths that ask about
        more than 16 features, more than 32,000 thresholds a feature, or counts that no training leaves.
    """
    trees = [_read_tree(block) for block in text.split("Tree=")[1:]]
    if not all(tree.is_counted for tree in trees):
        return None
    columns = _Columns(trees, n_features)
    units = _Units()
    for tree in trees:
        units.add(tree, columns, max_bits=max_unit_bits)
        if units.n_cells * 4 + units.n_values * 8 > MAX_TABLE_BYTES or units.most_bits > MAX_LEAF_BITS:
            return None
    if max(columns.n_levels.max(initial=0), max(map(len, columns.cuts), default=0)) >= ALWAYS_RIGHT:
        return None
    return units.tables(columns)


def _compiled(function: Function) -> Function:
    """Compile, and keep what was compiled where that can be kept."""
    try:
        compiled: Any = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # no folder to keep it in: an installation that may not be written
        compiled = numba.njit(nogil=True, error_model="numpy")(function)
    return compiled  # type: ignore[no-any-return]


# --- Reading trees --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Tree:
    """A tree as LightGBM writes it: children below 0 are leaves, numbered ``~child``."""

    values: list[float]
    feature: list[int]
    threshold: list[float]
    decision: list[int]
    children: list[tuple[int, int]]
    leaf_count: list[int]
    node_count: list[int]
    sets: list[np.ndarray]

    @property
    def n_nodes(self) -> int:
        return len(self.feature)

    @property
    def is_counted(self) -> bool:
        """Whether every node was reached by as many rows as its children, and each of them by one at least."""
        return all(
            self.count(left) > 0 and self.count(right) > 0 and self.count(left) + self.count(right) == self.count(node)
            for node, (left, right) in enumerate(self.children)
        )

    def count(self, node: int) -> int:
        return self.leaf_count[~node] if node < 0 else self.node_count[node]

    def share(self, node: int, child: int) -> float:
        return self.count(child) / self.count(node)

    def steps(self, node: int) -> Iterator[tuple[int, bool, float]]:
        """Give each child, whether it lies to the left, and the share of rows that go there."""
        for child, goes_left in zip(self.children[node], (True, False), strict=True):
            yield child, goes_left, self.share(node, child)

    @property
    def mean(self) -> float:
        """Mean value over the rows that taught."""
        if not self.n_nodes:
            return self.values[0]
        total = self.node_count[0]
        return float(sum(n / total * value for n, value in zip(self.leaf_count, self.values, strict=True)))


def _read_tree(block: str) -> _Tree:
    fields = dict(line.split("=", 1) for line in block.split("\n")[1:] if "=" in line)

    def numbers(name: str) -> list[int]:
        return [int(number) for number in fields.get(name, "").split()]

    bounds, words = numbers("cat_boundaries"), np.array(numbers("cat_threshold"), dtype=np.uint32)
    return _Tree(
        values=[float(number) for number in fields["leaf_value"].split()],
        feature=numbers("split_feature"),
        threshold=[float(number) for number in fields.get("threshold", "").split()],
        decision=numbers("decision_type"),
        children=[*zip(numbers("left_child"), numbers("right_child"), strict=True)],
        leaf_count=numbers("leaf_count"),
        node_count=numbers("internal_count"),
        # A set of categories is a bit a category, 32 a word, the lowest first.
        sets=[
            np.unpackbits(words[first:end].astype("<u4").view(np.uint8), bitorder="little")
            for first, end in pairwise(bounds)
        ],
    )


def _reading(decision: int) -> int:
    """Say how a split reads its column: bit 0 is a category, bit 1 the default way, bits 2 and 3 what is missing."""
    if decision & 1:
        return CATEGORY
    goes_left = bool(decision & 2)
    return {
        0: NAN_IS_ZERO,
        1: ZERO_LEFT if goes_left else ZERO_RIGHT,
        2: NAN_LEFT if goes_left else NAN_RIGHT,
    }.get(decision >> 2 & 3, NAN_IS_ZERO)


class _Columns:
    """What splits ask, over all trees: thresholds in order, ways of reading, sets of categories packed eight a byte."""

    def __init__(self, trees: Sequence[_Tree], n_features: int) -> None:
        cuts: list[set[float]] = [set() for _ in range(n_features)]
        self.n_levels = np.zeros(n_features, dtype=np.int64)
        for tree in trees:
            for feature, threshold, decision in zip(tree.feature, tree.threshold, tree.decision, strict=True):
                if decision & 1:
                    self.n_levels[feature] = max(self.n_levels[feature], len(tree.sets[int(threshold)]))
                else:
                    cuts[feature].add(threshold)
        self.cuts = [np.array(sorted(found)) for found in cuts]
        self._rank = [{cut: rank for rank, cut in enumerate(found.tolist())} for found in self.cuts]
        self.found: dict[tuple[int, int], int] = {}
        self.groups: list[tuple[int, np.ndarray]] = []
        self._room: dict[int, tuple[int, int]] = {}
        self.features = sorted({feature for tree in trees for feature in tree.feature})
        self.slot = {feature: i for i, feature in enumerate(self.features)}

    def node(self, feature: int, threshold: float, decision: int, sets: Sequence[np.ndarray]) -> tuple[int, int, int]:
        """Give a split's column, cut and group."""
        reading = _reading(decision)
        column = self.found.setdefault((feature, reading), len(self.found))
        if reading != CATEGORY:
            return column, self._rank[feature][threshold], -1
        group, used = self._room.get(feature, (-1, GROUP))
        if used == GROUP:
            group, used = len(self.groups), 0
            self.groups.append((column, np.zeros(self.n_levels[feature] + 1, dtype=np.uint8)))
        chosen = sets[int(threshold)]
        self.groups[group][1][: len(chosen)] |= chosen << used
        self._room[feature] = group, used + 1
        return column, 1 << used, group


# --- Cutting trees into units ---------------------------------------------------------------------


class _Way(NamedTuple):
    """What a path asks of one feature: the share that goes its way, and bits that must be set, and clear."""

    share: float = 1.0
    must: int = 0
    must_not: int = 0


@dataclass
class _Units:
    """The units of a forest while they are counted; lists are the flat arrays of `Tables` in the making."""

    base: float = 0.0
    n_cells: int = 0
    n_values: int = 0
    most_bits: int = 0
    nodes: list[tuple[int, int, int]] = field(default_factory=list)
    tree_node: list[int] = field(default_factory=lambda: [0])
    tree_unit: list[int] = field(default_factory=lambda: [0])
    unit_bit: list[int] = field(default_factory=lambda: [0])
    bit_condition: list[int] = field(default_factory=lambda: [0])
    conditions: list[tuple[int, bool]] = field(default_factory=list)
    unit_path: list[int] = field(default_factory=list)
    unit_slot: list[int] = field(default_factory=lambda: [0])
    slot_feature: list[int] = field(default_factory=list)
    unit_table: list[int] = field(default_factory=list)
    unit_value: list[int] = field(default_factory=list)
    unit_leaf: list[int] = field(default_factory=lambda: [0])
    leaf_value: list[float] = field(default_factory=list)
    leaf_way: list[int] = field(default_factory=lambda: [0])
    ways: list[tuple[int, float, int, int]] = field(default_factory=list)

    def add(self, tree: _Tree, columns: _Columns, *, max_bits: int) -> None:
        """Cut one tree into the largest subtrees that have few enough bits."""
        self.base += tree.mean
        splits = zip(tree.feature, tree.threshold, tree.decision, strict=True)
        self.nodes += [columns.node(*split, tree.sets) for split in splits]
        self.tree_node.append(len(self.nodes))
        inside = [1] * tree.n_nodes
        for node in reversed(range(tree.n_nodes)):  # a child is numbered after its parent
            inside[node] += sum(inside[child] for child in tree.children[node] if child > 0)
        # Where a unit may begin, with what the path there asks of each feature.
        todo: list[tuple[int, dict[int, tuple[float, list[tuple[int, bool]]]]]] = [(0 if tree.n_nodes else -1, {})]
        while todo:
            node, path = todo.pop()
            if node < 0 or len(path) + inside[node] <= max_bits:
                self._add_unit(tree, columns.slot, node, path)
                continue
            feature = tree.feature[node]
            share, asked = path.get(feature, (1.0, []))
            for child, goes_left, went in tree.steps(node):
                todo.append((child, {**path, feature: (share * went, [*asked, (node, goes_left)])}))
        self.tree_unit.append(len(self.unit_table))

    def _add_unit(
        self,
        tree: _Tree,
        slot: Mapping[int, int],
        root: int,
        path: Mapping[int, tuple[float, list[tuple[int, bool]]]],
    ) -> None:
        inside: list[int] = []
        todo = [root]
        while todo:
            node = todo.pop()
            if node >= 0:
                inside.append(node)
                todo += reversed(tree.children[node])
        for asked in [*(asked for _, asked in path.values()), *([(node, True)] for node in inside)]:
            self.conditions += asked
            self.bit_condition.append(len(self.conditions))
        features = list(dict.fromkeys([*path, *(tree.feature[node] for node in inside)]))
        n_bits = len(path) + len(inside)
        self.unit_bit.append(self.unit_bit[-1] + n_bits)
        self.unit_path.append((1 << len(path)) - 1)
        self.slot_feature += [slot[feature] for feature in features]
        self.unit_slot.append(len(self.slot_feature))
        self.unit_table.append(self.n_cells)
        self.unit_value.append(self.n_values)
        self.n_cells += len(features) << n_bits
        self.n_values += 1 << n_bits
        self.most_bits = max(self.most_bits, n_bits)
        bit_of = {node: 1 << (len(path) + i) for i, node in enumerate(inside)}
        place = {feature: i for i, feature in enumerate(features)}
        start = {feature: _Way(share, must=1 << i) for i, (feature, (share, _)) in enumerate(path.items())}
        for leaf, ways in _leaves(tree, root, start, bit_of):
            self.ways += [(place[feature], *way) for feature, way in ways.items()]
            self.leaf_way.append(len(self.ways))
            self.leaf_value.append(tree.values[leaf])
        self.unit_leaf.append(len(self.leaf_value))

    def tables(self, columns: _Columns) -> Tables:
        """Fill the tables of all units."""

        def ints(values: Iterable[Any], kind: type = np.int64) -> np.ndarray:
            return np.array([*values], dtype=kind)

        node_column, node_cut, node_group = zip(*self.nodes, strict=True) if self.nodes else ((), (), ())
        place, share, must, must_not = zip(*self.ways, strict=True) if self.ways else ((), (), (), ())
        unit_bit, unit_slot = ints(self.unit_bit), ints(self.unit_slot)
        unit_table, unit_value = ints(self.unit_table), ints(self.unit_value)
        table, value = np.zeros(self.n_cells, dtype=np.float32), np.zeros(self.n_values)
        leaves = _Leaves(
            unit_leaf=ints(self.unit_leaf),
            leaf_way=ints(self.leaf_way),
            leaf_value=np.array(self.leaf_value),
            place=ints(place),
            share=np.array(share, dtype=float),
            must=ints(must),
            must_not=ints(must_not),
        )
        _fill(table, value, leaves, _quadrature(MAX_LEAF_BITS), (unit_bit, unit_slot, unit_table, unit_value))
        readings = [*columns.found]
        cuts, groups = columns.cuts, columns.groups
        return Tables(
            base=self.base,
            features=ints(columns.features),
            cuts=np.concatenate([np.empty(0), *cuts]),
            cut_start=ints(np.cumsum([0, *map(len, cuts)])),
            n_levels=columns.n_levels,
            column_feature=ints([feature for feature, _ in readings]),
            column_reading=ints([reading for _, reading in readings]),
            group_column=ints([column for column, _ in groups]),
            group_start=ints(np.cumsum([0, *(len(bits) for _, bits in groups)])),
            group_bits=np.concatenate([np.empty(0, dtype=np.uint8), *(bits for _, bits in groups)]),
            tree_node=ints(self.tree_node),
            tree_unit=ints(self.tree_unit),
            node_column=ints(node_column),
            node_cut=ints(node_cut, np.int16),
            node_group=ints(node_group),
            unit_bit=unit_bit,
            bit_condition=ints(self.bit_condition),
            condition_node=ints([node for node, _ in self.conditions]),
            condition_left=ints([goes_left for _, goes_left in self.conditions], np.uint8),
            unit_path=ints(self.unit_path),
            unit_slot=unit_slot,
            slot_feature=ints(self.slot_feature),
            unit_table=unit_table,
            unit_value=unit_value,
            table=table,
            value=value,
        )


def _leaves(
    tree: _Tree, root: int, start: dict[int, _Way], bit_of: Mapping[int, int]
) -> Iterator[tuple[int, dict[int, _Way]]]:
    """Give every leaf of a unit with what its whole path asks of each feature."""
    todo = [(root, start)]
    while todo:
        node, ways = todo.pop()
        if node < 0:
            yield ~node, ways
            continue
        feature, bit = tree.feature[node], bit_of[node]
        way = ways.get(feature, _Way())
        for child, goes_left, went in tree.steps(node):
            must, must_not = (way.must | bit, way.must_not) if goes_left else (way.must, way.must_not | bit)
            todo.append((child, {**ways, feature: _Way(way.share * went, must, must_not)}))


def _quadrature(most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give Gauss-Legendre points and weights on [0, 1] that are exact for the integrand of d = 0, 1, ... features."""
    points, weights, start = [], [], [0]
    for d in range(most + 1):
        x, w = np.polynomial.legendre.leggauss(max(1, math.ceil(d / 2)))
        points.append((x + 1) / 2)
        weights.append(w / 2)
        start.append(start[-1] + len(x))
    return np.concatenate(points), np.concatenate(weights), np.array(start)


# --- Compiled -------------------------------------------------------------------------------------


class _Room(NamedTuple):
    """Working memory of one block: rows lie side by side."""

    codes: np.ndarray
    packed: np.ndarray
    left: np.ndarray
    pattern: np.ndarray
    bit: np.ndarray
    parts: np.ndarray
    margin: np.ndarray


class _Leaves(NamedTuple):
    """What the leaves of all units ask and say."""

    unit_leaf: np.ndarray
    leaf_way: np.ndarray
    leaf_value: np.ndarray
    place: np.ndarray
    share: np.ndarray
    must: np.ndarray
    must_not: np.ndarray


@_compiled
def _fill(table, value, leaves, quadrature, units) -> None:  # type: ignore[no-untyped-def]
    """Add up, for every unit and pattern, what each of its leaves contributes."""
    unit_bit, unit_slot, unit_table, unit_value = units
    for unit in range(len(unit_table)):
        size, n_slots = 1 << (unit_bit[unit + 1] - unit_bit[unit]), unit_slot[unit + 1] - unit_slot[unit]
        sums = np.zeros((n_slots, size))
        values = value[unit_value[unit] : unit_value[unit] + size]
        for leaf in range(leaves.unit_leaf[unit], leaves.unit_leaf[unit + 1]):
            _fill_leaf(sums, values, leaves, leaf, quadrature)
        start = unit_table[unit]
        for slot in range(n_slots):
            for pattern in range(size):
                table[start + slot * size + pattern] = sums[slot, pattern]


@_compiled
def _fill_leaf(sums, values, leaves, leaf, quadrature) -> None:  # type: ignore[no-untyped-def]
    """Add what one leaf contributes for every pattern. Patterns that meet the same features are worked out once."""
    first, end = leaves.leaf_way[leaf], leaves.leaf_way[leaf + 1]
    d = end - first
    share = leaves.share[first:end]
    points, weights, start = quadrature
    points, weights = points[start[d] : start[d + 1]], weights[start[d] : start[d + 1]]
    known = np.zeros(1 << d, dtype=np.bool_)
    parts = np.empty((1 << d, d))
    for pattern in range(len(values)):
        met = 0
        for j in range(d):
            must, must_not = leaves.must[first + j], leaves.must_not[first + j]
            if pattern & must == must and pattern & must_not == 0:
                met |= 1 << j
        if met == (1 << d) - 1:
            values[pattern] = leaves.leaf_value[leaf]
        if not known[met]:
            known[met] = True
            _leaf_parts(parts[met], met, leaves.leaf_value[leaf], share, points, weights)
        for j in range(d):
            sums[leaves.place[first + j], pattern] += parts[met, j]


@_compiled
def _leaf_parts(parts, met, value, share, points, weights) -> None:  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """Work out the contributions of one leaf, with the features met that have a bit in `met`: the formula above."""
    d = len(share)
    parts[:] = 0.0
    for q in range(len(points)):
        t = points[q]
        product = weights[q] * value
        for j in range(d):
            product *= (t if met >> j & 1 else 0.0) + (1 - t) * share[j]
        for i in range(d):
            parts[i] += product / ((t if met >> i & 1 else 0.0) + (1 - t) * share[i])
    for i in range(d):
        parts[i] *= (1.0 if met >> i & 1 else 0.0) - share[i]


@_compiled
def _read_cell(tables, x, feature, reading) -> Any:  # type: ignore[no-untyped-def]
    """Turn a cell into the small integer that splits compare: a category, or how many thresholds lie below."""
    if reading == CATEGORY:
        # As LightGBM reads it: cut off behind the point; what is missing or below zero is in no set.
        last = tables.n_levels[feature]
        return np.int64(x) if -1.0 < x < last else last
    if np.isnan(x):
        if reading == NAN_LEFT:
            return ALWAYS_LEFT
        if reading == NAN_RIGHT:
            return ALWAYS_RIGHT
        x = 0.0
    if abs(x) <= ZERO:
        if reading == ZERO_LEFT:
            return ALWAYS_LEFT
        if reading == ZERO_RIGHT:
            return ALWAYS_RIGHT
        x = 0.0
    start = tables.cut_start[feature]
    low, high = start, tables.cut_start[feature + 1]
    while low < high:
        middle = (low + high) >> 1
        if tables.cuts[middle] < x:
            low = middle + 1
        else:
            high = middle
    return low - start


@_compiled
def _read_block(tables, room, matrix) -> None:  # type: ignore[no-untyped-def]
    """Read the cells of a block, and the sets of categories they are in."""
    n_rows = len(matrix)
    for column in range(len(tables.column_feature)):
        feature, reading = tables.column_feature[column], tables.column_reading[column]
        codes = room.codes[column]
        for row in range(n_rows):
            codes[row] = _read_cell(tables, matrix[row, feature], feature, reading)
    for group in range(len(tables.group_column)):
        codes, packed = room.codes[tables.group_column[group]], room.packed[group]
        bits = tables.group_bits[tables.group_start[group] : tables.group_start[group + 1]]
        for row in range(n_rows):
            packed[row] = bits[codes[row]]


@_compiled
def _answer(tables, room, tree, nothing, whole) -> None:  # type: ignore[no-untyped-def]
    """Ask every split of a tree, not only those on the way: all bits set where a row goes left."""
    first = tables.tree_node[tree]
    n_rows = len(room.pattern)
    for node in range(first, tables.tree_node[tree + 1]):
        cut, group, left = tables.node_cut[node], tables.node_group[node], room.left[node - first]
        if group < 0:
            codes = room.codes[tables.node_column[node]]
            for row in range(n_rows):
                left[row] = whole if codes[row] <= cut else nothing
        else:
            packed, mask = room.packed[group], np.uint8(cut)
            for row in range(n_rows):
                left[row] = whole if packed[row] & mask != 0 else nothing


@_compiled
def _gather(tables, room, unit, weights, nothing, whole) -> None:  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """Gather the bits of a unit into one pattern a row."""
    n_rows = len(room.pattern)
    pattern, bit = room.pattern, room.bit
    for row in range(n_rows):
        pattern[row] = nothing
    for k in range(tables.unit_bit[unit + 1] - tables.unit_bit[unit]):
        number = tables.unit_bit[unit] + k
        first, end = tables.bit_condition[number], tables.bit_condition[number + 1]
        left, weight = room.left[tables.condition_node[first]], weights[k]
        turned = nothing if tables.condition_left[first] else whole
        if end - first == 1:
            for row in range(n_rows):
                pattern[row] |= (left[row] ^ turned) & weight
            continue
        for row in range(n_rows):
            bit[row] = (left[row] ^ turned) & weight
        for condition in range(first + 1, end):
            left = room.left[tables.condition_node[condition]]
            turned = nothing if tables.condition_left[condition] else whole
            for row in range(n_rows):
                bit[row] &= left[row] ^ turned
        for row in range(n_rows):
            pattern[row] |= bit[row]


@_compiled
def _add(tables, room, unit) -> None:  # type: ignore[no-untyped-def]
    """Add what the tables of a unit hold for each row's pattern."""
    n_rows = len(room.pattern)
    pattern, margin = room.pattern, room.margin
    size = 1 << (tables.unit_bit[unit + 1] - tables.unit_bit[unit])
    values = tables.value[tables.unit_value[unit] : tables.unit_value[unit] + size]
    for row in range(n_rows):
        margin[row] += values[pattern[row]]
    start = tables.unit_table[unit]
    for slot in range(tables.unit_slot[unit], tables.unit_slot[unit + 1]):
        cells, parts = tables.table[start : start + size], room.parts[tables.slot_feature[slot]]
        start += size
        for row in range(n_rows):
            parts[row] += cells[pattern[row]]


@_compiled
def _explain_row(tables, row, contributions) -> Any:  # type: ignore[no-untyped-def]  # noqa: C901
    """Explain one row by tables laid out by pattern: the same sums in the same order, without the loops over rows."""
    codes = np.empty(len(tables.column_feature), dtype=np.int16)
    for column in range(len(codes)):
        feature, reading = tables.column_feature[column], tables.column_reading[column]
        codes[column] = _read_cell(tables, row[feature], feature, reading)
    packed = np.empty(len(tables.group_column), dtype=np.uint8)
    for group in range(len(packed)):
        packed[group] = tables.group_bits[tables.group_start[group] + codes[tables.group_column[group]]]
    # Taken out once: numba counts who holds an array each time it is taken out of a tuple.
    node_column = tables.node_column
    node_cut = tables.node_cut
    node_group = tables.node_group
    tree_node = tables.tree_node
    tree_unit = tables.tree_unit
    unit_bit = tables.unit_bit
    bit_condition = tables.bit_condition
    condition_node = tables.condition_node
    condition_left = tables.condition_left
    unit_path = tables.unit_path
    unit_slot = tables.unit_slot
    unit_table = tables.unit_table
    unit_value = tables.unit_value
    slot_feature = tables.slot_feature
    features = tables.features
    table = tables.table
    value = tables.value
    left = np.empty(len(node_cut), dtype=np.uint8)
    for node in range(len(left)):
        group, cut = node_group[node], node_cut[node]
        left[node] = codes[node_column[node]] <= cut if group < 0 else packed[group] & cut != 0
    cells = np.empty(len(unit_table), dtype=np.int64)
    margin = 0.0
    for tree in range(len(tree_node) - 1):
        origin = tree_node[tree]
        for unit in range(tree_unit[tree], tree_unit[tree + 1]):
            pattern = 0
            first = unit_bit[unit]
            n_bits = unit_bit[unit + 1] - first
            for k in range(n_bits):
                bit = 1
                for condition in range(bit_condition[first + k], bit_condition[first + k + 1]):
                    bit &= left[origin + condition_node[condition]] == condition_left[condition]
                pattern |= bit << k
            if pattern & unit_path[unit] == unit_path[unit]:
                margin += value[unit_value[unit] + pattern]
            cells[unit] = unit_table[unit] + pattern * (unit_slot[unit + 1] - unit_slot[unit])
    # Apart from the patterns: the processor then waits for many units' memory at a time.
    for unit in range(len(cells)):
        first, cell = unit_slot[unit], cells[unit]
        for slot in range(first, unit_slot[unit + 1]):
            contributions[features[slot_feature[slot]]] += table[cell + slot - first]
    return margin


@_compiled
def _turn(unit_bit, unit_slot, unit_table, table, turned) -> None:  # type: ignore[no-untyped-def]
    """Lay the tables out pattern by pattern."""
    for unit in range(len(unit_table)):
        size, n_slots = 1 << (unit_bit[unit + 1] - unit_bit[unit]), unit_slot[unit + 1] - unit_slot[unit]
        start = unit_table[unit]
        for pattern in range(size):
            for slot in range(n_slots):
                turned[start + pattern * n_slots + slot] = table[start + slot * size + pattern]


@_compiled
def _explain_blocks(  # type: ignore[no-untyped-def]  # noqa: PLR0917
    tables, weights, block, matrix, margin, contributions
) -> None:
    """Explain rows block by block."""
    size = max(1, min(block, len(matrix)))
    widest = 0
    for tree in range(len(tables.tree_node) - 1):
        widest = max(widest, tables.tree_node[tree + 1] - tables.tree_node[tree])
    room = _Room(
        np.zeros((len(tables.column_feature), size), dtype=np.int16),
        np.zeros((len(tables.group_column), size), dtype=np.uint8),
        np.zeros((widest, size), dtype=weights.dtype),
        np.zeros(size, dtype=weights.dtype),
        np.zeros(size, dtype=weights.dtype),
        np.zeros((len(tables.features), size)),
        np.zeros(size),
    )
    nothing = room.pattern[0]
    whole = ~nothing
    for first in range(0, len(matrix), size):
        # The last block may be short: its other rows are of the block before, and not written.
        n_rows = min(size, len(matrix) - first)
        _read_block(tables, room, matrix[first : first + n_rows])
        room.parts[:] = 0.0
        room.margin[:] = 0.0
        for tree in range(len(tables.tree_node) - 1):
            _answer(tables, room, tree, nothing, whole)
            for unit in range(tables.tree_unit[tree], tables.tree_unit[tree + 1]):
                _gather(tables, room, unit, weights, nothing, whole)
                _add(tables, room, unit)
        for row in range(n_rows):
            margin[first + row] = room.margin[row]
        for i in range(len(tables.features)):
            for row in range(n_rows):
                contributions[first + row, tables.features[i]] = room.parts[i, row]


@_compiled
def _explain(  # type: ignore[no-untyped-def]  # noqa: PLR0917
    base,
    features,
    cuts,
    cut_start,
    n_levels,
    column_feature,
    column_reading,
    group_column,
    group_start,
    group_bits,
    tree_node,
    tree_unit,
    node_column,
    node_cut,
    node_group,
    unit_bit,
    bit_condition,
    condition_node,
    condition_left,
    unit_path,
    unit_slot,
    slot_feature,
    unit_table,
    unit_value,
    table,
    value,
    weights,
    block,
    matrix,
    margin,
    contributions,
) -> None:
    """Explain rows: the one door from outside.

    The tables come one by one: numba would look at a tuple of them for half a millisecond.
    """
    tables = Tables(
        base,
        features,
        cuts,
        cut_start,
        n_levels,
        column_feature,
        column_reading,
        group_column,
        group_start,
        group_bits,
        tree_node,
        tree_unit,
        node_column,
        node_cut,
        node_group,
        unit_bit,
        bit_condition,
        condition_node,
        condition_left,
        unit_path,
        unit_slot,
        slot_feature,
        unit_table,
        unit_value,
        table,
        value,
    )
    if block == ONE_ROW:
        margin[0] = _explain_row(tables, matrix[0], contributions[0])
    else:
        _explain_blocks(tables, weights, block, matrix, margin, contributions)
