"""The model card as people get it: Markdown with its version, and a page on which nothing runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flat_leads import config, leads, run
from propensity.errors import InputError
from propensity.model import PropensityModel
from propensity.reporting import card_page, report_page, whole_card


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


def test_groups_that_were_named_are_on_the_card_and_on_the_page_and_are_no_feature() -> None:
    frame = leads(900)
    frame["Gender"] = np.where(np.arange(900) % 3 == 0, "f", "m")
    model = run(frame, config(learner={"max_trees": 10}, evaluation={"audit_groups": [" GENDER"]})).model
    assert "Gender" not in model.schema.names
    assert "| Gender | f | 300 |" in model.card
    assert "How do groups fare?" in report_page(model)
    plain = run(frame, config(learner={"max_trees": 10})).model
    assert "## Groups" not in plain.card
    assert plain.facts["config_digest"] != model.facts["config_digest"]


def test_a_group_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match=r"evaluation\.audit_groups names 'Age group'"):
        run(leads(300), config(evaluation={"audit_groups": ["Age group"]}))
