from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.errors import InputError
from propensity.labels import Target, read_target


def read(values: list[Any], *, positive: str | None = None, missing: tuple[str, ...] = ()) -> Target:
    return read_target(pd.Series(values), positive=positive, missing=missing, name="Status")


@pytest.mark.parametrize(
    "values",
    [
        [1, 0],
        [1.0, 0.0],
        ["1.0", "0.0"],
        [1, -1],
        [True, False],
        ["TRUE", "False"],
        ["yes", "no"],
        [" Y", "n "],
        ["Won", "Lost"],
        ["Closed  Won", "closed lost"],
        ["converted", "open"],
    ],
)
def test_words_that_speak_for_themselves_need_no_setting(values: list[Any]) -> None:
    assert read(values).y.tolist() == [1, 0]


def test_an_unknown_outcome_is_unknown_not_negative() -> None:
    target = read(["won", None, "", "pending", "lost", math.nan], missing=("pending",))
    np.testing.assert_array_equal(target.y, [1, math.nan, math.nan, math.nan, 0, math.nan])


def test_several_words_of_one_meaning_are_one_outcome() -> None:
    target = read(["yes", "won", "no", "lost"])
    assert target.y.tolist() == [1, 1, 0, 0]
    assert (target.positive, target.negative) == (("won", "yes"), ("lost", "no"))


def test_what_was_read_as_what_is_said() -> None:
    assert read(["won", "yes", "lost"]).sentence == "'won', 'yes' means converted, 'lost' means not"


def test_any_two_words_will_do_once_one_is_named() -> None:
    assert read(["buyer", "visitor"], positive=" BUYER ").y.tolist() == [1, 0]


def test_the_named_word_wins_over_what_words_usually_mean() -> None:
    # A churn model: "0" are the leads wanted.
    assert read(["0", "1"], positive="0").y.tolist() == [1, 0]
    assert read(["yes", "paid"], positive="paid").y.tolist() == [0, 1]


def test_naming_one_of_several_positive_words_keeps_the_others() -> None:
    assert read(["yes", "won", "no"], positive="won").y.tolist() == [1, 1, 0]


def test_a_named_word_counts_even_where_it_usually_means_missing() -> None:
    assert read(["unknown", "visitor"], positive="unknown", missing=("unknown",)).y.tolist() == [1, 0]


def test_a_named_word_among_many_refuses_the_undecided() -> None:
    with pytest.raises(
        InputError, match=r"must hold two outcomes, got 3 \('lost', 'won', 1 other values\)\. Leave cells of un"
    ):
        read(["won", "lost", "open"], positive="won")


@pytest.mark.parametrize(
    ("values", "got"),
    [
        ([1, 1], r"got 1 \('1'\)"),
        ([0, 0], r"got 1 \('0'\)"),
        (["open"], r"got 1 \(1 other values\)"),
        ([None, ""], r"got 0 \(nothing\)"),
        (["lost", "no"], r"got 2 \('lost', 'no'\)"),
        (["won", "yes"], r"got 2 \('won', 'yes'\)"),
    ],
)
def test_one_outcome_alone_teaches_nothing(values: list[Any], got: str) -> None:
    with pytest.raises(InputError, match=rf"Target 'Status' must hold two outcomes, {got}\. Give leads that converted"):
        read(values)


@pytest.mark.parametrize("values", [["won", "lost", "open"], ["a", "b", "c"], [0, 1, 2]])
def test_three_outcomes_are_refused(values: list[Any]) -> None:
    with pytest.raises(InputError, match="must hold two outcomes, got 3"):
        read(values)


def test_two_words_nobody_knows_are_refused_until_one_is_named() -> None:
    with pytest.raises(InputError, match=r"2 other values, neither of which is known .* columns\.positive\.$"):
        read(["buyer", "visitor"])


def test_a_named_word_the_column_does_not_hold_is_refused_with_those_it_does() -> None:
    with pytest.raises(InputError, match=r"columns.positive is 'Won', .* 'Status' does not hold. It holds 'no', 'yes'"):
        read(["yes", "no"], positive="Won")
