"""The list of leads: which are on it, what it says of each, and that nothing in it runs."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest

from propensity.reporting import best_leads, leads_page

AGREEMENT = {"sql": {"owner": "sales", "action": "call"}, "mql": {"owner": "marketing", "action": "nurture"}}
NASTY = "</script><script>alert(1)</script>"


def scores(n: int, *, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    probability = rng.random(n).round(4)
    return pd.DataFrame(
        {
            "Lead": [f"L{i}" for i in range(n)],
            "band": np.where(probability > 0.7, "SQL", np.where(probability > 0.3, "MQL", "nurture")),
            "probability": probability,
            "points": rng.integers(0, 9, n),
            "fit_pp": rng.normal(size=n),
            "behaviour_pp": rng.normal(size=n),
            "scored_by": "model",
            "fallback_reason": "",
            "reason_1": "Visits: 3 (typical 0), +2.0 points",
            "reason_2": "",
        }
    )


@pytest.mark.parametrize("size", [7, 30, 1000])
def test_the_best_are_picked_whatever_the_parts(size: int) -> None:
    whole = scores(100)
    parts = [whole.iloc[start : start + size].astype(str) for start in range(0, 100, size)]
    leads, counts = best_leads(parts, most=40)
    wanted = whole.assign(rank=whole["band"].map({"SQL": 0, "MQL": 1, "nurture": 2}))
    wanted = wanted.sort_values(["rank", "probability"], ascending=[True, False], kind="stable").head(40)
    assert leads["Lead"].to_list() == wanted["Lead"].to_list()
    assert counts == {**whole["band"].value_counts().to_dict(), "unscored": 0}


def test_equal_leads_keep_their_order_and_the_unscored_come_last() -> None:
    rows = scores(4).assign(band=["unscored", "MQL", "MQL", "MQL"], probability=[np.nan, 0.5, 0.5, np.nan], points=1)
    assert best_leads([rows])[0]["Lead"].to_list() == ["L1", "L2", "L3", "L0"]


def test_a_lead_has_its_next_step_and_its_reasons() -> None:
    leads, counts = best_leads([scores(5)])
    page = leads_page(leads, counts, agreement=AGREEMENT, as_of="2026-06-25T00:00:00+00:00")
    assert "<title>Leads as of 2026-06-25</title>" in page
    assert "marketing: nurture" in page
    assert page.count("<li>Visits: 3 (typical 0), +2.0 points</li>") == 5


def test_a_list_that_was_cut_says_so() -> None:
    leads, counts = best_leads([scores(100)], most=10)
    assert "The best 10 of 100 are on this page" in leads_page(leads, counts, agreement={})
    assert "are on this page" not in leads_page(*best_leads([scores(10)]), agreement={})


def test_markup_is_shown_and_never_run() -> None:
    rows = scores(3).assign(Lead=NASTY, reason_1=NASTY)
    page = leads_page(*best_leads([rows]), agreement={"sql": {"owner": NASTY, "action": NASTY}})
    assert "<script>alert" not in page
    (block,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert {row["id"] for row in json.loads(block)["rows"]} == {NASTY}


def test_nobody_scored_is_said() -> None:
    assert "No lead was scored" in leads_page(*best_leads([scores(1).head(0)]), agreement={})
