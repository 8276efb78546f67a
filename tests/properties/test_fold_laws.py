from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from propensity.folds import Blocks, boundaries, group_blocks, time_blocks, time_origins

# Few distinct stamps and leads, so that ties and repeats are common.
tables = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 15), st.booleans()), min_size=1, max_size=40)


def ordered(table: list[tuple[int, int, bool]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    stamps, groups, y = zip(*sorted(table), strict=True)
    return np.array(stamps), np.array(groups), np.array(y, dtype=float)


def check_split(past: np.ndarray, test: np.ndarray, groups: np.ndarray) -> None:
    assert not {*past} & {*test}
    assert not {*groups[past]} & {*groups[test]}


@given(table=tables, shares=st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_no_cut_divides_an_instant_or_gives_the_past_too_little(
    table: list[tuple[int, int, bool]], shares: list[float]
) -> None:
    stamps, _, _ = ordered(table)
    for share, cut in zip(shares, boundaries(stamps, np.array(shares)), strict=True):
        assert round(share * len(stamps)) <= cut <= len(stamps)
        assert cut in {0, len(stamps)} or stamps[cut - 1] < stamps[cut]


@given(table=tables, n_origins=st.integers(1, 6))
def test_every_origin_learns_from_older_stamps_and_other_leads(
    table: list[tuple[int, int, bool]], n_origins: int
) -> None:
    stamps, groups, _ = ordered(table)
    splits = time_origins(stamps, groups, n_origins=n_origins)
    assert len(splits) <= n_origins
    for split in splits:
        check_split(split.past, split.test, groups)
        assert stamps[split.past].max() < stamps[split.test].min()
        # All that is older teaches, and of what follows nothing is passed over but leads that the past knows.
        n_past = len(split.past)
        assert split.past.tolist() == [*range(n_past)]
        unjudged = {*range(n_past, split.test.max() + 1)} - {*split.test.tolist()}
        assert {*groups[[*unjudged]]} <= {*groups[:n_past]} if unjudged else True


@given(table=tables, n_origins=st.integers(1, 6))
def test_no_row_is_tested_twice_and_origins_go_forward(table: list[tuple[int, int, bool]], n_origins: int) -> None:
    stamps, groups, _ = ordered(table)
    tested = [row for split in time_origins(stamps, groups, n_origins=n_origins) for row in split.test]
    assert tested == sorted({*tested})


@given(table=tables)
def test_the_headline_does_not_depend_on_how_many_origins_come_before_it(table: list[tuple[int, int, bool]]) -> None:
    stamps, groups, _ = ordered(table)
    for headline in time_origins(stamps, groups, n_origins=1):
        last = time_origins(stamps, groups, n_origins=5)[-1]
        assert (last.past.tolist(), last.test.tolist()) == (headline.past.tolist(), headline.test.tolist())
        # More only where they share one instant, which is never divided.
        assert len(headline.test) <= round(0.2 * len(stamps)) + 1 or len({*stamps[headline.test]}) == 1


def check_blocks(blocks: Blocks, groups: np.ndarray) -> None:
    assert {*blocks.of_row} - {-1} == {*range(blocks.n_blocks)}
    for block in range(blocks.n_blocks):
        split = blocks.split(block, groups)
        check_split(split.past, split.test, groups)
        inside = np.flatnonzero(blocks.of_row == block)
        known = groups[split.past] if blocks.is_time else []
        assert split.test.tolist() == [row for row in inside if groups[row] not in known]


@given(table=tables)
def test_a_chain_goes_forward_and_divides_no_instant(table: list[tuple[int, int, bool]]) -> None:
    stamps, groups, _ = ordered(table)
    blocks = time_blocks(stamps)
    check_blocks(blocks, groups)
    assert (np.diff(blocks.of_row) >= 0).all()
    assert all(len({*blocks.of_row[stamps == stamp]}) == 1 for stamp in stamps)
    assert (blocks.of_row[: int(0.396 * len(stamps))] == -1).all()
    for block in range(blocks.n_blocks):
        split = blocks.split(block, groups)
        assert not len(split.past) or not len(split.test) or stamps[split.past].max() < stamps[split.test].min()


@given(table=tables, seed=st.integers(0, 99), n_blocks=st.integers(2, 6))
def test_folds_hold_whole_leads_and_share_out_conversions(
    table: list[tuple[int, int, bool]], seed: int, n_blocks: int
) -> None:
    _, groups, y = ordered(table)
    blocks = group_blocks(y, groups, seed=seed, n_blocks=n_blocks)
    check_blocks(blocks, groups)
    assert blocks.n_blocks == min(n_blocks, len({*groups}))
    assert all(len({*blocks.of_row[groups == group]}) == 1 for group in groups)
    # Leads that converted are dealt like cards: no fold is more than one ahead of another.
    converted = {group for group in groups if y[groups == group].any()}
    dealt = [sum(blocks.of_row[groups == group][0] == block for group in converted) for block in range(blocks.n_blocks)]
    assert max(dealt) - min(dealt) <= 1


@given(table=tables, seed=st.integers(0, 99))
def test_folds_do_not_depend_on_what_leads_are_called(table: list[tuple[int, int, bool]], seed: int) -> None:
    _, groups, y = ordered(table)
    assert (
        group_blocks(y, groups, seed=seed).of_row.tolist() == group_blocks(y, groups * 7 + 3, seed=seed).of_row.tolist()
    )
