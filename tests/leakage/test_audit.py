from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.leakage import ColumnAudit

Audit = Callable[..., dict[str, ColumnAudit]]
World = Callable[..., tuple[dict[str, Any], np.ndarray, np.random.Generator]]
Noise = Callable[..., dict[str, Any]]


def codes(found: ColumnAudit) -> set[str]:
    return {evidence.code for evidence in found.evidence}


def texts(values: Any) -> pd.Series:
    return pd.Series(values, dtype=object)


def plant(kind: str, y: np.ndarray, rng: np.random.Generator) -> Any:
    """Give a column written after the outcome was known."""
    won, chance = y == 1, rng.random(len(y))
    planted: dict[str, Any] = {
        "exact copy": texts(np.where(won, "ja", "nein")),
        "copy with 5 % noise": np.where(chance < 0.05, 1 - y, y),
        "filled only if won": np.where(won & (chance < 0.5), rng.exponential(9, len(y)), np.nan),
        "mutable status": texts(np.where(won & (chance < 0.6), "welcomed", rng.choice(["new", "open"], len(y)))),
        "like a duration": rng.gamma(2, np.where(won, 280, 90)),
    }
    return planted[kind]


# Names by which nobody would suspect them, but for the duration, which CRMs call by its name.
PLANTED = {
    "exact copy": "Segment B",
    "copy with 5 % noise": "flag_7",
    "filled only if won": "Package",
    "mutable status": "Queue",
    "like a duration": "Call duration",
}


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize("kind", PLANTED)
def test_a_column_written_after_the_outcome_is_quarantined(audit: Audit, world: World, kind: str, rate: float) -> None:
    columns, y, rng = world(rate)
    found = audit({**columns, PLANTED[kind]: plant(kind, y, rng)}, y)
    assert {name for name, one in found.items() if one.verdict != "OK"} == {PLANTED[kind]}
    assert found[PLANTED[kind]].verdict == "QUARANTINE"
    price = found[PLANTED[kind]].price
    assert price is not None
    assert price.with_auc > price.without_auc + 0.02


def test_a_perfect_leak_does_not_hide_the_others(audit: Audit, world: World) -> None:
    columns, y, rng = world()
    planted = {name: plant(kind, y, rng) for kind, name in PLANTED.items()}
    found = audit({**columns, **planted}, y)
    assert {name for name, one in found.items() if one.verdict == "QUARANTINE"} == {*planted}


def test_a_leak_known_only_by_what_it_does_to_the_model_falls_in_a_later_round(audit: Audit, world: World) -> None:
    columns, y, _ = world(0.2, n=3000)
    # Alone it ranks no better than a legitimate column can.
    late = np.random.default_rng(1).normal(np.where(y == 1, 1.3, 0.0))
    found = audit({**columns, "Segment B": plant("exact copy", y, np.random.default_rng(2)), "Talk score": late}, y)
    assert (found["Segment B"].round, found["Talk score"].round) == (1, 2)
    assert codes(found["Talk score"]) == {"WEAK", "DOM"}


def test_models_see_the_strongest_columns_of_a_wide_file(audit: Audit, noise: Noise) -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(1500) < 0.2).astype(float)
    columns = {
        **noise(1500, [f"c{i}" for i in range(50)], seed=0),
        "Talk score": rng.normal(np.where(y == 1, 1.3, 0.0)),
    }
    assert codes(audit(columns, y)["Talk score"]) == {"WEAK", "DOM"}  # the last of 51; models see 40


@pytest.mark.parametrize(("n_rows", "rate"), [(448, 0.5), (448, 0.01), (1000, 0.85)])
def test_columns_of_noise_are_not_quarantined(audit: Audit, noise: Noise, n_rows: int, rate: float) -> None:
    flagged = 0
    for seed in range(2):
        y = (np.random.default_rng(100 + seed).random(n_rows) < rate).astype(float)
        found = audit(noise(n_rows, [f"c{i}" for i in range(40)], seed=seed), y)
        flagged += sum(one.verdict != "OK" for one in found.values())
    assert flagged <= 1  # of 80


@pytest.mark.parametrize("buys_after_demo", [0.2, 0.35, 0.6])
def test_a_strong_wish_to_buy_is_not_quarantined_by_statistics(
    audit: Audit, world: World, buys_after_demo: float
) -> None:
    columns, _, rng = world(n=3000)
    demo = rng.random(3000) < 0.15
    y = (rng.random(3000) < np.where(demo, buys_after_demo, 0.05)).astype(float)
    found = audit({**columns, "Demo requested": texts(np.where(demo, "yes", "no"))}, y)
    assert found["Demo requested"].verdict != "QUARANTINE"
    counted = audit({**columns, "Demo requests": demo * rng.integers(1, 4, 3000).astype(float)}, y)
    assert counted["Demo requests"].verdict != "QUARANTINE"


def test_two_hints_of_different_kinds_prove_and_the_zeros_of_a_count_are_none(audit: Audit, world: World) -> None:
    columns, y, rng = world(0.15, n=4000)
    spent = rng.random(4000) < np.where(y == 1, 0.85, 0.1)
    amounts = np.where(spent, np.exp(rng.normal(np.where(y == 1, 3.4, 2.6), 1)), 0.0)
    found = audit({**columns, "Basket": amounts}, y)["Basket"]
    assert (found.verdict, codes(found)) == ("QUARANTINE", {"ZERO", "DOM"})
    assert "ZERO" not in codes(audit({**columns, "Baskets": np.ceil(amounts)}, y)["Baskets"])


def test_what_is_made_of_events_is_safe_by_construction(audit: Audit, world: World) -> None:
    columns, y, _ = world()
    found = audit({**columns, "last demo count 90d": y.copy()}, y, from_events={"last demo count 90d"})
    assert found["last demo count 90d"].verdict == "OK"
    assert found["last demo count 90d"].evidence == ()


def test_a_declared_column_is_never_quarantined_and_its_name_asks_nothing(audit: Audit, world: World) -> None:
    columns, y, _ = world()
    columns |= {"Lead owner": texts(np.where(np.arange(len(y)) % 3, "ann", "bob")), "Segment B": y.copy()}
    assert {n for n, one in audit(columns, y).items() if one.verdict == "QUARANTINE"} == {"Lead owner", "Segment B"}
    found = audit(columns, y, declared={"lead OWNER": "static", "Segment B": "event"})
    assert (found["Lead owner"].verdict, found["Segment B"].verdict) == ("OK", "REVIEW")


def test_a_column_declared_to_be_an_outcome_is_quarantined_and_priced(audit: Audit, world: World) -> None:
    columns, y, _ = world()
    found = audit(columns, y, declared={"Interest": "outcome"})["Interest"]
    assert (found.verdict, codes(found), found.round) == ("QUARANTINE", {"DECLARED"}, 1)
    assert found.price is not None
    assert found.price.sentence.startswith("with it AUC 0.")


def test_the_order_of_rows_changes_nothing(audit: Audit, world: World) -> None:
    columns, y, rng = world(n=700)
    columns |= {"Call duration": plant("like a duration", y, rng), "Queue": plant("mutable status", y, rng)}
    groups, weight = rng.integers(0, 400, 700), rng.random(700)
    order = rng.permutation(700)
    moved = {name: pd.Series(values).iloc[order].reset_index(drop=True) for name, values in columns.items()}
    again = audit(moved, y[order], groups=groups[order], weight=weight[order])
    assert str(again) == str(audit(columns, y, groups=groups, weight=weight))


@pytest.mark.parametrize(
    "y", [np.zeros(80), np.ones(80), np.empty(0)], ids=["none converted", "all converted", "no rows"]
)
def test_without_both_outcomes_names_are_all_there_is(audit: Audit, y: np.ndarray) -> None:
    columns = {
        "Lead owner": texts(["ann"] * len(y)),
        "Deal size": np.arange(len(y), dtype=float),
        "x": texts([None] * len(y)),
    }
    found = audit(columns, y)
    assert [one.verdict for one in found.values()] == ["QUARANTINE", "OK", "OK"]
    assert all(one.price is None for one in found.values())


def test_odd_files_have_defined_results(audit: Audit) -> None:
    y = np.zeros(120)
    y[:2] = 1.0  # fewer than the folds
    columns = {
        "empty": np.full(120, np.nan),
        "constant": np.ones(120),
        "ids": texts([f"v{i}" for i in range(120)]),
        "huge": np.where(y == 1, 1e30, -1e30),
    }
    found = audit(columns, y)
    assert found["empty"].verdict == found["constant"].verdict == found["ids"].verdict == "OK"
    assert audit(columns, y, weight=np.zeros(120))["huge"].verdict == "OK"


def test_many_levels_and_many_columns_are_looked_through(audit: Audit) -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(400) < 0.3).astype(float)
    columns: dict[str, Any] = {f"c{i}": rng.normal(size=400) for i in range(200)}
    columns["late"] = np.where(rng.random(400) < 0.03, 1 - y, y)
    found = audit(columns, y)
    assert [name for name, one in found.items() if one.verdict != "OK"] == ["late"]
    many = (rng.random(20_000) < 0.3).astype(float)
    levels = texts([f"v{i}" for i in rng.integers(0, 15_000, 20_000)])
    assert audit({"Company": levels}, many)["Company"].verdict == "OK"
