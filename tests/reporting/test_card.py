"""The model card as people get it: Markdown with its version, and a page on which nothing runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flat_leads import config, leads, run
from propensity.model import PropensityModel
from propensity.reporting import card_page, whole_card


@pytest.fixture(scope="module")
def model() -> PropensityModel:
    return run(leads(700), config(learner={"max_trees": 10})).model


def test_the_card_has_the_parts_that_people_ask_for(model: PropensityModel) -> None:
    card = whole_card(model)
    titles = [line[3:] for line in card.splitlines() if line.startswith("## ")]
    assert titles == ["Use", "Data", "Features", "Evaluation", "Bands", "Limits", "Version"]
    assert f"`{model.version}`" in card
    assert "Human review is required" in card
    assert "Nothing says how it does on newer leads" in card  # no dates


def test_the_page_has_its_tables_and_runs_nothing(model: PropensityModel) -> None:
    nasty = replace(model, card=f"{model.card}\n\n<script>alert(1)</script>\n[x](javascript:alert(2))\n")
    page = card_page(whole_card(nasty), model.version)
    assert "<h1>Model card</h1>" in page
    assert page.count("<table>") == 2
    assert "<script" not in page
    assert "javascript:" not in page.replace("(javascript:alert(2))", "")
