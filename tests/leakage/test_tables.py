from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from propensity.leakage import ColumnAudit, Evidence, compare_as_of, compare_open
from propensity.schema import Column

Audit = Callable[..., dict[str, ColumnAudit]]


def codes(found: ColumnAudit) -> set[str]:
    return {evidence.code for evidence in found.evidence}


def texts(values: Any) -> pd.Series:
    return pd.Series(values, dtype=object)


def test_a_field_that_ranks_better_as_exported_than_as_known_was_written_later(audit: Audit) -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(1200) < 0.3).astype(float)
    then = rng.normal(y)
    column = Column(name="Engagement", family="fit", kind="number")
    told = compare_as_of(pd.Series(then + y), pd.Series(then), y, column=column, groups=np.arange(1200), seed=0)
    assert told is not None
    assert told.calls_for == "QUARANTINE"
    assert 0.05 < told.value < 0.25
    assert compare_as_of(pd.Series(then), pd.Series(then), y, column=column, groups=np.arange(1200), seed=0) is None
    found = audit({"Engagement": then}, y, beside={"Engagement": [told]})["Engagement"]
    assert (found.verdict, codes(found)) == ("QUARANTINE", {"ASOF"})


def test_a_field_written_again_after_a_fifth_of_the_conversions_was_written_later() -> None:
    y = np.repeat([1.0, 0.0], [100, 200])
    level = texts(np.where(np.arange(300) % 2, "a", "b"))
    column = Column(name="Tier", family="fit", kind="category")

    def told(n: int) -> Evidence | None:
        after = np.arange(300) < n
        return compare_as_of(level, level, y, column=column, groups=np.arange(300), seed=0, is_changed_after=after)

    assert told(19) is None
    found = told(20)
    assert found is not None
    assert found.sentence == "it was written again after 20% of 100 conversions"


def test_a_field_filled_when_the_outcome_is_known_is_asked_about_and_quarantined() -> None:
    is_open = np.repeat([False, True], [400, 200])

    def told(done: float, still: float, age: np.ndarray | None = None) -> Evidence | None:
        share = np.where(is_open, still, done)
        within = np.where(is_open, np.arange(600) - 400, np.arange(600)) / np.where(is_open, 200, 400)
        return compare_open(within < share, is_open, age=age)

    assert told(0.5, 0.25) is None
    asked, proved = told(0.6, 0.2), told(0.9, 0.2)
    assert asked is not None
    assert (asked.calls_for, round(asked.value, 6)) == ("REVIEW", 0.4)
    assert proved is not None
    assert proved.calls_for == "QUARANTINE"


def test_open_leads_are_held_against_leads_of_their_own_age() -> None:
    """Old leads are filled, young ones are not; open leads are young. Nothing was written after the outcome."""
    age = np.r_[np.repeat([0, 9], [50, 350]), np.repeat([0, 9], [190, 10])]
    is_open = np.repeat([False, True], [400, 200])
    assert compare_open(age == 9, is_open) is not None
    assert compare_open(age == 9, is_open, age=age) is None
    assert compare_open(age == 9, is_open, age=np.where(is_open, 1, 2)) is None  # no age that both have
    assert compare_open(np.ones(3, dtype=bool), np.zeros(3, dtype=bool)) is None


def test_four_open_leads_prove_nothing() -> None:
    is_open = np.arange(8) >= 4
    assert compare_open(np.isin(np.arange(8), [0, 1]), is_open) is None
