from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from propensity.roles import Given, guess_roles
from propensity.roles.columns import look_at
from propensity.roles.derived import propose_derived

N = 120


def proposed(name: str, cells: Sequence[object]) -> tuple[str, str]:
    """What is proposed for one column: the kind, and its role after that."""
    frame = pd.DataFrame({name: [*cells] * (N // len(cells)), "Other": np.arange(N)})
    facts = look_at(frame, missing={"*": [""]})
    guesses, kinds = propose_derived(guess_roles(frame, Given(), missing={"*": [""]}, facts=facts), facts)
    return kinds.get(name, ""), guesses[0].role


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("Company size", ["1-10", "11-50", "51-200", "10,000+"]),
        ("Number of Employees", ["1,001\u20135,000", "501 to 1000", "<50"]),
        ("Annual Revenue", ["$1M-$10M", "$10M-$50M", "<$1M", "$50M+"]),
    ],
)
def test_ranges_become_a_number_and_are_no_category_beside_it(name: str, cells: list[str]) -> None:
    assert proposed(name, cells) == ("range", "ignore")


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("Plan", ["plan 1", "plan 2", "plan 3"]),
        ("Visits", [1, 2, 3]),
        ("Version", ["v2", "v3", "v4"]),
        ("Season", ["2024-25", "winter", "summer"]),
        ("Answer", ["yes", "no", "later"]),
    ],
)
def test_a_number_in_a_word_makes_no_range(name: str, cells: list[object]) -> None:
    assert proposed(name, cells)[0] == ""


def test_a_country_is_read_as_its_code() -> None:
    assert proposed("Country/Region", ["Austria", "AT", "Italy"]) == ("country", "ignore")


def test_a_title_says_how_senior_and_stays() -> None:
    assert proposed("Job Title", ["CEO", "Sales manager", "Student"]) == ("title", "fit")


def test_an_address_is_left_out_and_what_its_domain_says_kept() -> None:
    assert proposed("Contact", [f"a{i}@firm{i}.example" for i in range(12)]) == ("email", "ignore")


def test_what_says_what_became_of_a_lead_is_not_derived_from() -> None:
    assert proposed("Last country", ["Austria", "AT", "Italy"]) == ("", "outcome")
