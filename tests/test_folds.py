from __future__ import annotations

import numpy as np
import pytest

from propensity.folds import (
    Blocks,
    boundaries,
    eras,
    given_blocks,
    group_blocks,
    time_blocks,
    time_origins,
    without_groups,
)


def test_rows_lose_every_row_of_a_lead_that_others_hold() -> None:
    groups = np.array([7, 8, 7, 9, 8])
    left = without_groups(np.array([0, 1, 2]), np.array([3, 4]), groups)
    assert left.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("share", "cut"),
    [(0.0, 0), (0.1, 2), (0.2, 2), (0.3, 5), (0.5, 5), (0.6, 6), (0.95, 10), (1.0, 10)],
)
def test_a_cut_moves_forward_past_equal_stamps(share: float, cut: int) -> None:
    stamps = np.array([1, 1, 3, 3, 3, 4, 5, 6, 7, 8])
    assert boundaries(stamps, np.array([share])).tolist() == [cut]


def test_the_newest_fifth_judges_the_model_once() -> None:
    (headline,) = time_origins(np.arange(10), np.arange(10), n_origins=1)
    assert headline.past.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert headline.test.tolist() == [8, 9]


def test_further_origins_test_equal_parts_between_two_and_four_fifths() -> None:
    splits = time_origins(np.arange(10), np.arange(10), n_origins=3)
    assert [split.test.tolist() for split in splits] == [[4, 5], [6, 7], [8, 9]]
    assert [len(split.past) for split in splits] == [4, 6, 8]


def test_a_lead_that_the_past_knows_is_not_judged() -> None:
    groups = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 0])
    (headline,) = time_origins(np.arange(10), groups, n_origins=1)
    assert (headline.past.tolist(), headline.test.tolist()) == ([0, 1, 2, 3, 4, 5, 6, 7], [8])


def test_who_teaches_does_not_hang_on_who_comes_later() -> None:
    """Leads still open later did not convert: a past without them would promise too much."""
    is_open_later = time_origins(np.arange(10), np.array([0, 1, 2, 3, 4, 5, 6, 7, 3, 4]), n_origins=3)
    is_gone_later = time_origins(np.arange(10), np.arange(10), n_origins=3)
    assert [split.past.tolist() for split in is_open_later] == [split.past.tolist() for split in is_gone_later[:2]]
    assert [split.test.tolist() for split in is_open_later] == [[4, 5], [6, 7]]


def test_an_instant_at_the_edge_of_the_test_goes_to_the_past() -> None:
    (headline,) = time_origins(np.array([0, 1, 2, 3, 4, 5, 6, 7, 7, 8]), np.arange(10), n_origins=1)
    assert headline.test.tolist() == [9]


@pytest.mark.parametrize(
    ("stamps", "groups"),
    [
        (np.zeros(10), np.arange(10)),  # one instant: nothing is newer than anything
        (np.arange(10), np.zeros(10)),  # one lead: the past knows it
    ],
)
def test_an_origin_without_a_test_or_a_past_is_left_out(stamps: np.ndarray, groups: np.ndarray) -> None:
    assert time_origins(stamps, groups, n_origins=1) == []
    assert time_origins(stamps, groups, n_origins=5) == []


def test_a_label_teaches_from_the_first_instant_of_the_test_at_the_latest() -> None:
    """The test starts at 8; a row of 5 whose label takes 3 is known then, one of 6 is not."""
    (headline,) = time_origins(np.arange(10), np.arange(10), n_origins=1, known=np.arange(10) + 3)
    assert (headline.past.tolist(), headline.test.tolist()) == ([0, 1, 2, 3, 4, 5], [8, 9])


def test_a_block_is_taught_by_labels_known_at_its_first_instant() -> None:
    blocks = time_blocks(np.arange(10), known=np.arange(10) + 2)
    split = blocks.split(2, np.arange(10))
    assert (split.past.tolist(), split.test.tolist()) == ([0, 1, 2, 3, 4], [6])


def test_a_lead_whose_only_past_label_is_open_is_judged() -> None:
    """Row 7 teaches nothing, as its label is not known at 8: nobody has seen the lead of row 9."""
    groups = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 7])
    (headline,) = time_origins(np.arange(10), groups, n_origins=1, known=np.arange(10) + 3)
    assert headline.test.tolist() == [8, 9]


@pytest.mark.parametrize(("is_apart", "judged"), [(True, []), (False, [7])])
def test_customers_who_come_back_are_judged_although_the_past_knows_them(*, is_apart: bool, judged: list[int]) -> None:
    groups = np.array([0, 1, 2, 3, 4, 5, 6, 0, 8, 0])
    blocks = time_blocks(np.arange(10), is_apart=is_apart)
    assert blocks.split(3, groups).test.tolist() == judged
    (headline,) = time_origins(np.arange(10), groups, n_origins=1, is_apart=is_apart)
    assert headline.test.tolist() == ([8] if is_apart else [8, 9])


def test_the_first_two_fifths_of_a_chain_only_teach() -> None:
    blocks = time_blocks(np.arange(20))
    assert blocks.of_row.tolist() == [-1] * 8 + [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert (blocks.n_blocks, blocks.is_time) == (6, True)


def test_blocks_emptied_by_equal_stamps_are_numbered_away() -> None:
    # Five of thirteen rows share an instant: it swallows the cuts from 50 % to 70 %, two share the last.
    blocks = time_blocks(np.array([0, 1, 2, 3, 4, 5, 5, 5, 5, 5, 6, 7, 7]))
    assert blocks.of_row.tolist() == [-1] * 5 + [0] * 5 + [1] * 3


def test_every_past_is_cut_where_the_whole_is_so_that_one_training_serves_all() -> None:
    """What teaches an origin also teaches the block that starts there, in whichever past."""
    order, groups = np.arange(100), np.arange(100)
    era, origins = eras(order), time_origins(order, groups, n_origins=5)
    taught = {len(origin.past) for origin in origins}
    blocks = {}
    for past in (*(origin.past for origin in origins), order):
        chain = time_blocks(order[past], era=era[past])
        blocks[len(past)] = [len(chain.split(block, groups[past]).past) for block in range(chain.n_blocks)]
    assert taught == {40, 50, 60, 70, 80}
    assert blocks == {
        40: [16, 20, 25, 32],
        50: [20, 25, 32, 40],
        60: [25, 32, 40, 50],
        70: [32, 40, 50, 60],
        80: [32, 40, 50, 60, 70],
        100: [40, 50, 60, 70, 80, 90],
    }


def test_a_sliver_of_an_era_joins_the_block_before_it() -> None:
    order = np.arange(100)
    for n_rows, newest in ((78, 8), (74, 14)):  # 8 of 78 rows lie behind the mark at 70, 4 of 74
        blocks = time_blocks(order[:n_rows], era=eras(order)[:n_rows])
        assert (blocks.of_row == blocks.n_blocks - 1).sum() == newest, n_rows


def test_blocks_in_time_are_two_periods_each_and_no_instant_is_divided() -> None:
    blocks = time_blocks(np.array([*range(16), 16, 16, 16, 19]))
    assert blocks.of_row.tolist() == [-1] * 8 + [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4]
    assert blocks.periods is not None
    assert blocks.periods[8:].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 9]
    assert group_blocks(np.zeros(9), np.arange(9), seed=0).periods is None


def test_a_past_of_one_instant_has_no_chain() -> None:
    blocks = time_blocks(np.zeros(5))
    assert (blocks.n_blocks, blocks.of_row.tolist()) == (0, [-1] * 5)


def test_in_time_a_block_is_judged_by_what_came_before_it() -> None:
    blocks = Blocks(of_row=np.array([-1, -1, 0, 1, 2]), is_time=True)
    split = blocks.split(1, np.arange(5))
    assert (split.past.tolist(), split.test.tolist()) == ([0, 1, 2], [3])
    known = blocks.split(1, np.array([0, 1, 2, 0, 4]))
    assert (known.past.tolist(), known.test.tolist()) == ([0, 1, 2], [])


def test_without_time_a_block_is_judged_by_all_others() -> None:
    blocks = Blocks(of_row=np.array([0, 1, 2, 1]), is_time=False)
    split = blocks.split(1, np.arange(4))
    assert (split.past.tolist(), split.test.tolist()) == ([0, 2], [1, 3])


def test_whole_groups_are_dealt_and_their_conversions_evenly() -> None:
    # Ten accounts of three leads; five of them with one conversion each, so each of five folds gets one.
    groups = np.repeat(np.arange(10), 3)
    y = np.isin(np.arange(30), [0, 3, 6, 9, 12]).astype(float)
    blocks = group_blocks(y, groups, seed=0)
    assert np.bincount(blocks.of_row, weights=y).tolist() == [1] * 5
    assert np.bincount(blocks.of_row).tolist() == [6] * 5
    assert all(len({*blocks.of_row[groups == group]}) == 1 for group in range(10))
    assert not blocks.is_time


def test_with_fewer_groups_than_folds_each_group_is_one() -> None:
    blocks = group_blocks(np.array([1, 0, 0, 1]), np.array([5, 5, 9, 2]), seed=0)
    assert blocks.n_blocks == 3
    assert blocks.of_row[0] == blocks.of_row[1]
    assert {*blocks.of_row} == {0, 1, 2}


def test_the_seed_deals_the_folds() -> None:
    y, groups = np.zeros(50), np.arange(50)
    assert group_blocks(y, groups, seed=1).of_row.tolist() == group_blocks(y, groups, seed=1).of_row.tolist()
    assert group_blocks(y, groups, seed=1).of_row.tolist() != group_blocks(y, groups, seed=2).of_row.tolist()


def test_given_folds_are_used_whatever_they_are_called() -> None:
    blocks = given_blocks(np.array(["north", "south", "north", "east"]))
    assert blocks.of_row.tolist() == [1, 2, 1, 0]
    assert (blocks.n_blocks, blocks.is_time) == (3, False)
