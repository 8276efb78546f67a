"""The only place that decides which rows may see which: blocks in time, folds of whole leads."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

# The newest share of rows that judges the model once.
TEST_SHARE = 0.2
# Other origins test equal parts between these shares of the rows.
ORIGINS_FROM, ORIGINS_TO = 0.4, 0.8
# Inside any past, out-of-fold blocks start after this share: a shorter start misjudges learners badly under drift.
CHAIN_START = 0.4
# Where a history is cut into eras. Origins and blocks start where eras do, whichever past they are of, so that one
# training on all before such a cut serves them all.
MARKS = (0.16, 0.2, 0.25, 0.32, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
# A newest block of a smaller share of a past, left where an origin lies between two marks, joins the block before it.
MIN_NEWEST = 0.08
N_FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class Split:
    """Rows to learn from and rows to judge on; no lead on both sides.

    In time, a lead that would be on both is not judged. To take it out of the past instead would let the future choose
    who teaches: leads still open at the split are those that did not convert, and a past without them promises too
    much.

    Parameters
    ----------
    past, test : array of int
        Row positions.
    """

    past: np.ndarray
    test: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """Which rows get out-of-fold margins from which others.

    Parameters
    ----------
    of_row : array of int, shape (n_rows,)
        Block of each row, from 0; -1 where a row only ever teaches.
    is_time : bool
        True: a block's learner sees earlier rows only. False: it sees all other blocks.
    order, known : array or None, shape (n_rows,)
        Where rows are in time: their cutoff, and from when on their label is known.
    is_apart : bool
        Whether leads that teach a block are left out of it. Not for customers who come back: a later block scores
        people whose earlier behaviour is known.
    """

    of_row: np.ndarray
    is_time: bool
    order: np.ndarray | None = None
    known: np.ndarray | None = None
    is_apart: bool = True

    @property
    def n_blocks(self) -> int:
        """How many blocks get margins."""
        return int(self.of_row.max()) + 1

    @cached_property
    def periods(self) -> np.ndarray | None:
        """Which half of which block each row is of, in time order; no instant is divided. None without time."""
        if self.order is None:
            return None
        period = 2 * self.of_row
        for rows in (np.flatnonzero(self.of_row == block) for block in range(self.n_blocks)):
            period[rows[boundaries(self.order[rows], np.array([0.5]))[0] :]] += 1
        return period

    def split(self, block: int, groups: np.ndarray) -> Split:
        """Give the rows that teach a block's learner, and the block.

        Parameters
        ----------
        block : int
        groups : array of int, shape (n_rows,)
            Rows of one group stay on one side. In time, those in the block that the past knows are not judged;
            without, they do not teach.
        """
        test = np.flatnonzero(self.of_row == block)
        past = np.flatnonzero(self.of_row < block if self.is_time else self.of_row != block)
        if self.is_time and self.order is not None and self.known is not None and len(test):
            past = past[self.known[past] <= self.order[test].min()]
        if not self.is_time:
            return Split(past=without_groups(past, test, groups), test=test)
        return Split(past=past, test=without_groups(test, past, groups) if self.is_apart else test)


def without_groups(rows: np.ndarray, others: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Drop the rows of leads that others have rows of.

    Examples
    --------
    >>> without_groups(np.array([2, 3]), np.array([0, 1]), np.array([7, 8, 7, 9]))
    array([3])
    """
    return rows[~np.isin(groups[rows], groups[others])]


def boundaries(order: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Give the positions that cut ordered rows at these shares, moved forward so that equal stamps stay together.

    Parameters
    ----------
    order : array, shape (n_rows,)
        Non-decreasing; equal values are one instant.
    shares : array of float in [0, 1]

    Examples
    --------
    >>> boundaries(np.array([1, 1, 2, 2, 2, 3]), np.array([0.5, 1.0]))
    array([5, 6])
    """
    n_rows = len(order)
    cuts = []
    for share in shares:
        cut = round(share * n_rows)
        cuts.append(
            n_rows if cut >= n_rows else int(np.searchsorted(order, order[cut - 1], side="right")) if cut else 0
        )
    return np.array(cuts)


def time_origins(
    order: np.ndarray,
    groups: np.ndarray,
    *,
    n_origins: int,
    known: np.ndarray | None = None,
    is_apart: bool = True,
) -> list[Split]:
    """Split ordered rows at each origin; the newest 20 % is the last one, the headline.

    Where one instant holds more rows than that, they are the headline together.

    Parameters
    ----------
    order : array, shape (n_rows,)
        Non-decreasing.
    groups : array of int, shape (n_rows,)
    n_origins : int
        1 for the headline alone.
    known : array or None, shape (n_rows,)
        From when on a row's label is known: rows whose label window reaches into the test teach nothing (purge).
        None: at once.
    is_apart : bool
        Whether leads of the past are left out of the test.

    Returns
    -------
    list of Split
        Oldest first. Origins whose test or past would be empty are left out.
    """
    shares = np.append(np.linspace(ORIGINS_FROM, ORIGINS_TO, n_origins), [1 - TEST_SHARE, 1.0])
    shares = np.unique(np.round(shares, 12)) if n_origins > 1 else np.array([1 - TEST_SHARE, 1.0])
    cuts = boundaries(order, shares)
    if cuts[-2] == len(order):
        cuts[-2] = np.searchsorted(order, order[-1], side="left")
        cuts[:-1] = np.minimum(cuts[:-1], cuts[-2])
    splits = []
    for start, stop in itertools.pairwise(cuts):
        test = np.arange(start, stop)
        past = np.arange(start)
        if known is not None and len(test):
            past = past[known[past] <= order[start]]
        test = without_groups(test, past, groups) if is_apart else test
        if len(test) and len(past):
            splits.append(Split(past=past, test=test))
    return splits


def eras(order: np.ndarray) -> np.ndarray:
    """Give the era of each row of a history: in which stretch between two marks it lies.

    Parameters
    ----------
    order : array, shape (n_rows,)
        Non-decreasing; rows of one instant are of one era.

    Examples
    --------
    >>> eras(np.arange(10)).tolist()
    [0, 0, 3, 4, 5, 6, 7, 8, 9, 10]
    """
    return np.searchsorted(boundaries(order, np.array(MARKS)), np.arange(len(order)), side="right")


def time_blocks(
    order: np.ndarray, *, era: np.ndarray | None = None, known: np.ndarray | None = None, is_apart: bool = True
) -> Blocks:
    """Cut a past into its forward chain: the first 40 % only teach, then each era is a block.

    Parameters
    ----------
    order : array, shape (n_rows,)
        Non-decreasing.
    era : array of int or None, shape (n_rows,)
        Of the whole history that this past is of; None where it is the whole.
    known : array or None, shape (n_rows,)
    is_apart : bool
    """
    era, n_rows = eras(order) if era is None else era, len(order)
    starts = np.searchsorted(era, np.unique(era))
    # A hundredth less, as the cuts of the whole and those of its pasts are rounded to whole rows.
    first = min(0.99 * CHAIN_START * n_rows, round(CHAIN_START * n_rows))
    starts = starts[(starts >= first) & (starts > 0)]
    if len(starts) > 1 and n_rows - starts[-1] < MIN_NEWEST * n_rows:
        starts = starts[:-1]
    of_row = np.searchsorted(starts, np.arange(n_rows), side="right") - 1
    return Blocks(of_row=of_row, is_time=True, order=order, known=known, is_apart=is_apart)


def group_blocks(y: np.ndarray, groups: np.ndarray, *, seed: int, n_blocks: int = N_FOLDS) -> Blocks:
    """Deal whole groups into folds at random, those with conversions evenly.

    Parameters
    ----------
    y : array of {0, 1}, shape (n_rows,)
    groups : array of int, shape (n_rows,)
    seed : int
    n_blocks : int

    Returns
    -------
    Blocks
        As many as there are groups where there are fewer than `n_blocks`.
    """
    _, group = np.unique(groups, return_inverse=True)
    n_positive = np.bincount(group, weights=y)
    shuffled = np.random.default_rng(seed).permutation(len(n_positive))
    dealt = shuffled[np.argsort(-n_positive[shuffled], kind="stable")]
    fold = np.empty(len(dealt), dtype=int)
    fold[dealt] = np.arange(len(dealt)) % n_blocks
    return Blocks(of_row=_renumbered(fold[group]), is_time=False)


def given_blocks(fold: np.ndarray) -> Blocks:
    """Use the folds a user gave, whatever their labels."""
    return Blocks(of_row=_renumbered(np.unique(fold, return_inverse=True)[1]), is_time=False)


def _renumbered(of_row: np.ndarray) -> np.ndarray:
    """Give blocks numbers from 0 without gaps; -1 stays."""
    used = np.unique(of_row[of_row >= 0])
    return np.where(of_row < 0, -1, np.searchsorted(used, of_row))
