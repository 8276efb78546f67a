from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.leakage import ColumnAudit, Verdict, alone
from propensity.leakage.rows import canonical_rows
from propensity.schema import Column

Audit = Callable[..., dict[str, ColumnAudit]]


def codes(found: ColumnAudit) -> set[str]:
    return {evidence.code for evidence in found.evidence}


def texts(values: Any) -> pd.Series:
    return pd.Series(values, dtype=object)


@pytest.mark.parametrize(("held", "verdict"), [(26, "REVIEW"), (40, "QUARANTINE")])
def test_an_implication_without_exception_asks_and_proves_when_it_holds_a_tenth(
    audit: Audit, held: int, verdict: Verdict
) -> None:
    y = np.repeat([1.0, 0.0], [300, 900])
    rng = np.random.default_rng(0)
    amounts = np.where(np.arange(1200) < held, rng.exponential(9, 1200), 0.0)  # zero is its common value
    found = audit({"Package": amounts, "noise": rng.normal(size=1200)}, y)["Package"]
    assert found.verdict == verdict
    (implied,) = [evidence for evidence in found.evidence if evidence.code == "IMPL"]
    assert implied.value == pytest.approx(held / 300)
    assert implied.n_leads == held


def test_an_implication_needs_25_leads_and_twice_the_base_rate(audit: Audit) -> None:
    rng = np.random.default_rng(0)
    sparse = np.where(np.arange(1200) < 24, rng.exponential(9, 1200), np.nan)
    assert audit({"Package": sparse}, np.repeat([1.0, 0.0], [300, 900]))["Package"].evidence == ()
    more = np.where(np.arange(1200) < 29, rng.exponential(9, 1200), np.nan)
    found = audit({"Package": more}, np.repeat([1.0, 0.0], [700, 500]))["Package"]
    assert (found.verdict, codes(found)) == ("REVIEW", {"FILLED"})
    most = audit({"Package": more}, np.repeat([1.0, 0.0], [1000, 200]))["Package"]
    assert most.evidence == ()


def test_what_chance_brings_in_a_wide_file_is_no_implication() -> None:
    """Half of all leads convert: 25 do together once in 33 million looks."""
    y = np.repeat([1.0, 0.0], [500, 500])
    values = texts(["gold" if i < 25 else f"v{i % 7}" for i in range(1000)])
    rows, read = canonical_rows(pd.DataFrame({"Tier": values}), y, np.arange(1000), seed=0)
    look = alone.look_at(read["Tier"], Column(name="Tier", family="fit", kind="category"), rows)
    assert alone._implies(look, rows, n_columns=1000) is not None  # 42,000 looks
    assert alone._implies(look, rows, n_columns=100_000) is None


def test_what_chance_brings_in_a_wide_file_is_no_ranking() -> None:
    """Three conversions on top of 30 leads: by chance once in 4,060 columns."""
    y = np.repeat([1.0, 0.0], [3, 27])
    rows, read = canonical_rows(pd.DataFrame({"Size": 30.0 - np.arange(30)}), y, np.arange(30), seed=0)
    look = replace(alone.look_at(read["Size"], Column(name="Size", family="fit", kind="number"), rows), auc=1.0)
    assert alone._ranks(look, rows, n_columns=3) is not None
    assert alone._ranks(look, rows, n_columns=100) is None


@pytest.mark.parametrize(("n_level", "is_pure"), [(43, False), (44, True)])
def test_a_level_is_pure_when_its_rate_is_surely_90_percent(audit: Audit, n_level: int, is_pure: bool) -> None:
    """All of n converted: the exact 99 % lower bound is 0.01 ** (1 / n), above 0.90 from 44 on."""
    y = np.repeat([1.0, 0.0], [400, 400])
    levels = np.where(np.arange(800) < n_level, "gold", np.where(np.arange(800) % 2, "tin", "zinc"))
    assert ("PURE" in codes(audit({"Tier": texts(levels)}, y)["Tier"])) == is_pure


def test_where_most_leads_convert_a_level_of_much_conversion_is_nothing(audit: Audit) -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(3000) < 0.93).astype(float)
    assert audit({"Tier": texts(rng.choice(["gold", "tin"], 3000))}, y)["Tier"].verdict == "OK"


def test_cells_filled_for_converted_leads_need_enough_of_them(audit: Audit) -> None:
    few = np.repeat([1.0, 0.0], [4, 40])
    is_filled = np.r_[np.ones(4), np.arange(40) % 2]
    assert audit({"Plan": np.where(is_filled, 1.5, np.nan)}, few)["Plan"].verdict == "OK"
    assert codes(audit({"Plan": np.where(np.tile(is_filled, 9), 1.5, np.nan)}, np.tile(few, 9))["Plan"]) == {"NA"}


def test_cells_filled_for_lost_leads_alone_are_a_hint(audit: Audit) -> None:
    y = np.repeat([1.0, 0.0], [500, 500])
    reason = texts(["price" if i >= 900 else None for i in range(1000)])
    found = audit({"Obstacle": reason, "noise": np.random.default_rng(0).normal(size=1000)}, y)["Obstacle"]
    assert (found.verdict, codes(found)) == ("REVIEW", {"FILLED"})


def test_no_level_that_few_leads_share_is_shown(audit: Audit) -> None:
    y = np.repeat([1.0, 0.0], [400, 900])
    names = [f"person{i // 5}" if i < 400 else "everyone" for i in range(1300)]
    found = audit({"Contact": texts(names)}, y)["Contact"]
    assert found.verdict == "QUARANTINE"
    assert "person" not in " ".join(evidence.sentence for evidence in found.evidence)
