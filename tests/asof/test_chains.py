"""What the order of changes of one instant promises."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from propensity.asof.chains import in_chain


@given(st.lists(st.sampled_from("abcd"), min_size=2, max_size=9), st.randoms(use_true_random=False))
def test_a_shuffled_chain_is_put_together_again(values: list[str], rng: object) -> None:
    """From the steps of any walk a walk over all of them is found, that begins where it began."""
    changes = [*pairwise(values)]
    shuffled = changes.copy()
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    order = in_chain(shuffled, before=values[0])
    assert order is not None
    assert sorted(order) == [*range(len(changes))]
    walked = [shuffled[i] for i in order]
    assert all(one[1] == other[0] for one, other in pairwise(walked))
    assert (walked[0][0], walked[-1][1]) == (values[0], values[-1])


def test_changes_that_do_not_follow_from_each_other_make_no_chain() -> None:
    assert in_chain([("a", "b"), ("c", "d")]) is None
    assert in_chain([("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")]) is None
    assert in_chain([("a", "b"), ("a", "c"), ("b", "c")]) is None


def test_a_change_that_was_written_twice_stays_beside_itself() -> None:
    assert in_chain([("a", "b"), ("b", "c"), ("a", "b")]) == [0, 2, 1]
    assert in_chain([("a", "b"), ("b", "a"), ("a", "b")]) == [0, 1, 2]
