"""The points sheet judged on history whose truth is known."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.config import Config, parse_config
from propensity.errors import InputError
from propensity.reporting import sheet_json, sheet_lines
from propensity.schema import Tables
from propensity.training.sheet import SheetAudit, audit_sheet

RULES: list[dict[str, Any]] = [
    {"name": "asked", "column": "Asked", "value": "yes", "points": 5},
    {"name": "asked again", "column": "Asked too", "value": "yes", "points": 5},
    {"name": "competitor", "column": "Rival", "value": "yes", "points": 20},
    {"name": "coin", "column": "Coin", "value": "heads", "points": 10},
    {"name": "nobody", "column": "Coin", "value": "edge", "points": 10},
    {"name": "talk", "column": "Asked", "value": "yes", "override": "SQL"},
]


def history(n: int = 1500) -> pd.DataFrame:
    """Who asked converts often, rivals hardly ever, and a coin says nothing."""
    rng = np.random.default_rng(0)
    asked, rival = rng.random(n) < 0.3, rng.random(n) < 0.2
    chance = 1 / (1 + np.exp(-(-1.5 + 2.0 * asked - 1.5 * rival)))
    words = np.where(asked, "yes", "no")
    return pd.DataFrame(
        {
            "Lead": [f"L{i}" for i in range(n)],
            "Asked": words,
            "Asked too": words,
            "Rival": np.where(rival, "yes", "no"),
            "Coin": np.where(rng.random(n) < 0.5, "heads", "tails"),
            "Won": np.where(rng.random(n) < chance, "yes", "no"),
        }
    )


def config(rules: list[dict[str, Any]] = RULES) -> Config:
    columns = {"id": "Lead", "target": "Won", "ordered": True, "fit": ["Asked", "Rival", "Coin"]}
    small = {"learner": {"max_trees": 10, "max_depth": 2}, "rules": {"points": rules, "mql": 5, "sql": 20}}
    return parse_config({"data": {"leads": "a.csv"}, "columns": columns, **small})


@pytest.fixture(scope="module")
def audit() -> SheetAudit:
    return audit_sheet(Tables(leads=history()), config())


def test_each_rule_is_told_what_history_says_of_it(audit: SheetAudit) -> None:
    flags = {rule.name: rule.flags for rule in audit.rules}
    assert flags["asked"] == ()
    assert flags["asked again"] == ("redundant with asked",)
    assert flags["competitor"] == ("wrong sign",)
    assert flags["coin"] == ("dead",)
    assert flags["nobody"] == ("never fired",)
    asked = next(rule for rule in audit.rules if rule.name == "asked")
    leads = history()
    held = leads["Asked"] == "yes"
    assert asked.n_leads == held.sum()
    assert asked.lift == pytest.approx((leads["Won"][held] == "yes").mean() / (leads["Won"] == "yes").mean())
    assert asked.low < asked.lift < asked.high


def test_proposed_points_keep_their_sign_and_rank_as_the_linear_model_does(audit: SheetAudit) -> None:
    points = audit.proposed
    assert points["asked"] + points["asked again"] == pytest.approx(2.0 * 20 / np.log(2), abs=15)
    assert points["competitor"] == 0  # it may not turn
    assert points["nobody"] == 0
    assert abs(points["coin"]) <= 8
    assert "talk" not in points
    assert audit.fitted is not None
    assert audit.sheet is not None
    assert audit.linear_auc is not None
    assert audit.fitted.metrics["auc"].value > audit.sheet.metrics["auc"].value
    turned = audit_sheet(Tables(leads=history()), config([*RULES[:2], {**RULES[2], "points": -20}, *RULES[3:]]))
    assert turned.fitted is not None
    assert turned.linear_auc is not None
    assert turned.fitted.metrics["auc"].value > turned.linear_auc - 0.03
    assert turned.proposed["competitor"] < -20


def test_tiers_hold_all_test_leads_and_what_was_promised_is_near_what_came(audit: SheetAudit) -> None:
    assert audit.is_time
    assert audit.tiers["leads"].sum() == audit.n_test
    told = audit.tiers[audit.tiers["leads"] > 0]
    assert ((told["low"] - 0.1 <= told["promised"]) & (told["promised"] <= told["high"] + 0.1)).all()


def test_the_audit_is_worded_and_plain(audit: SheetAudit) -> None:
    text = "\n".join(sheet_lines(audit))
    assert "redundant with asked" in text
    assert "never fired" in text
    assert len(sheet_json(audit)["rules"]) == len(RULES)
    sheet_lines(dataclasses.replace(audit, sheet=None, fitted=None, linear_auc=None))


def test_without_a_sheet_or_without_history_there_is_nothing_to_judge() -> None:
    with pytest.raises(InputError, match="no points sheet"):
        audit_sheet(Tables(leads=history()), config([]))
    with pytest.raises(InputError, match="a sheet is judged from"):
        audit_sheet(Tables(leads=history(60)), config())
