"""The report: what it says, that it says it of any model, and that nothing in it runs or leads elsewhere."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from flat_leads import DATED, POINTS, config, leads, run, with_conversions
from propensity.model import PropensityModel, rules_model
from propensity.reporting import Card, Cards, report_page
from propensity.rules import build_rules
from propensity.schema import Schema, Tables
from propensity.training import train

NASTY = "<script>alert('x')</script>\"&"
VOID = {"meta", "input", "br", "link", "img", "hr"}


class Reader(HTMLParser):
    """Tags that open and close, ids, links, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [value or "" for name, value in attrs if name in {"href", "src", "xlink:href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if self.open and self.open[-1] not in {"script", "style"} else ""


@pytest.fixture(scope="module")
def model() -> PropensityModel:
    frame = leads(900).replace({"Source": {"web": NASTY}})
    return train(Tables(leads=frame), config(columns={"date": "Created"}, rules=POINTS)).model


def test_it_is_one_whole_page_that_leads_nowhere(model: PropensityModel) -> None:
    page = report_page(model)
    read = Reader(page)
    assert len(read.ids) == len({*read.ids})
    assert {*read.links} <= {f"#{name}" for name in read.ids}
    assert not re.findall(r"https?://(?!www\.w3\.org/(2000/svg|1999/xlink))", page)
    assert len(page) < 2_000_000


def test_every_part_is_there_in_its_order(model: PropensityModel) -> None:
    titles = re.findall(r'<h2 id="(\w+)-title">', report_page(model))
    assert titles == [
        *("agreed", "explorer", "worth", "random", "reliability", "gain", "scores", "months", "segments"),
        *("importance", "dependence", "audit", "leads", "provenance"),
    ]


def test_the_verdict_has_its_numbers(model: PropensityModel) -> None:
    text = " ".join(Reader(report_page(model)).text.split())
    auc = model.record["metrics"]["time"]["auc"]
    assert f"in {auc['value']:.0%} ({auc['low']:.0%} to {auc['high']:.0%}) of pairs" in text
    assert "Worth using" in text or "Worth a trial" in text
    assert "Your points sheet gets" in text


@pytest.mark.parametrize(("certified", "word"), [(True, "Worth using"), (False, "Worth a trial")])
def test_a_promise_that_is_not_proven_is_no_praise(model: PropensityModel, word: str, *, certified: bool) -> None:
    learned = model.learned
    assert learned is not None
    bands = replace(learned.bands, sql_promise=replace(learned.bands.sql_promise, certified=certified))
    text = Reader(report_page(replace(model, learned=replace(learned, bands=bands)))).text
    assert word in text
    assert ("is not proven yet" in text) is not certified


def test_a_model_without_skill_is_not_praised(model: PropensityModel) -> None:
    text = Reader(report_page(replace(model, verdict="no_skill"))).text
    assert "Do not use it yet" in text
    assert "Worth using" not in text
    assert "Worth a trial" not in text


@pytest.mark.parametrize(
    ("low", "says"), [(0.45, "not surely better than guessing"), (0.6, "looks better than guessing, but")]
)
def test_why_a_model_is_not_used_does_not_contradict_its_figures(model: PropensityModel, low: float, says: str) -> None:
    test = {**model.record["metrics"]["time"], "auc": {"value": 0.7, "low": low, "high": 0.8}}
    record = {**model.record, "metrics": {**model.record["metrics"], "time": test}}
    assert says in Reader(report_page(replace(model, verdict="no_skill", record=record))).text


def test_a_model_that_ranks_no_better_than_the_sheet_is_not_praised(model: PropensityModel) -> None:
    rules = {**model.record["metrics"]["rules"], "auc": {"value": 0.99, "low": 0.98, "high": 1.0}}
    metrics = {**model.record["metrics"], "rules": rules}
    text = Reader(report_page(replace(model, record={**model.record, "metrics": metrics}))).text
    assert "Not better than your rules" in text
    assert "Worth using" not in text
    assert "Worth a trial" not in text


@pytest.mark.parametrize(
    ("p", "says"), [(0.4, "That can be chance"), (0.001, "That is more than chance, but so little")]
)
def test_what_is_off_by_more_than_chance_is_not_called_chance(model: PropensityModel, p: float, says: str) -> None:
    tables = model.record["tables"]
    columns = tables["metrics"]["columns"]
    place = [columns.index(name) for name in ("predictor", "figure", "value")]
    data = [
        [p if i == place[2] and [line[j] for j in place[:2]] == ["model", "consistency_p"] else cell
         for i, cell in enumerate(line)]
        for line in tables["metrics"]["data"]
    ]  # fmt: skip
    record = {**model.record, "tables": {**tables, "metrics": {"columns": columns, "data": data}}}
    facts = {**model.facts, "calibrated": True}
    assert says in Reader(report_page(replace(model, record=record, facts=facts))).text


def test_test_rows_of_one_outcome_are_no_measure_of_order() -> None:
    # The newest leads are too young to have bought, and nobody said so.
    frame = leads(900).sort_values("Created", ignore_index=True)
    frame.loc[500:, "Won"] = "0" if frame["Won"].dtype == object else 0
    made = train(
        Tables(leads=frame), config(columns={"date": "Created"}, rules=POINTS, evaluation={"origins": 2})
    ).model
    assert made.record["metrics"]["time"]["auc"]["value"] is None
    text = " ".join(Reader(report_page(made)).text.split())
    assert "all or none converted: that tells nothing of the order of leads" in text
    assert "cannot be held side by side" in text
    assert "nan" not in text.split()
    assert "None" not in text.split()


def test_where_a_call_is_worth_what_a_lead_would_bring_no_threshold_is_moved(model: PropensityModel) -> None:
    agreement = {**model.agreement, "value_column": "Deal size"}
    page = report_page(replace(model, agreement=agreement))
    assert "there is none to be moved here" in Reader(page).text
    assert 'id="frontier"' not in page


def test_markup_in_data_is_shown_and_never_run(model: PropensityModel) -> None:
    page = report_page(
        model, cards=Cards(by_band={band: [card(NASTY)] for band in ("SQL", "MQL", "nurture")}, as_of=NASTY)
    )
    assert "<script>alert" not in page
    assert NASTY.casefold() in Reader(page).text.casefold()
    blocks = re.findall(r'<script id="frontier" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert json.loads(blocks[0])["per"] == "a week"


def card(reason: str) -> Card:
    return Card(code="ab12", probability="40.0%", fit=-3.0, behaviour=12.5, reasons=(reason,), scored_by="model")


def test_cards_are_of_each_band_and_say_where_there_is_none(model: PropensityModel) -> None:
    text = Reader(report_page(model, cards=Cards(by_band={"SQL": [card("why")], "MQL": [], "nurture": []}))).text
    assert text.count("ab12") == 1
    assert text.count("No lead is in this band.") == 2
    assert "-3.0" in text
    assert "+12.5" in text


@pytest.mark.parametrize("what", ["undated", "without rules", "few", "old", "rules alone"])
def test_what_is_missing_is_said_and_no_chart_is_empty(what: str, model: PropensityModel) -> None:
    made = {
        "undated": lambda: run(leads(700), config()).model,
        "without rules": lambda: run(leads(700), DATED).model,
        "few": lambda: run(with_conversions(5), config()).model,
        "old": lambda: replace(model, record={}),
        "rules alone": lambda: rules_model(
            build_rules(config().rules, missing=config().data.missing), Schema(columns=(), id="Lead", missing=())
        ),
    }[what]()
    read = Reader(report_page(made))
    text = " ".join(read.text.split())
    assert {
        "undated": "no dates, so there are no months",
        "without rules": "There is no points sheet",
        "few": "Too few leads have converted to learn from",
        "old": "remembers nothing of its training",
        "rules alone": "There is no model",
    }[what] in text
    assert "nan" not in text.split()
    assert "None" not in text.split()


def test_the_same_model_gives_the_same_page(model: PropensityModel) -> None:
    assert report_page(model) == report_page(model)
