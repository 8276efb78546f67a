"""The report in a real browser: it asks for nothing, its explorer says what Python says, and everyone can use it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accessibility import assert_accessible
from flat_leads import POINTS, config, leads
from propensity.config import parse_config
from propensity.model import PropensityModel
from propensity.reporting import report_page
from propensity.reporting.explorer import Explorer
from propensity.schema import Tables
from propensity.training import train

N_POSITIONS = 200
SHOWN = """() => Object.fromEntries(
  [...document.querySelectorAll("#explorer [id]")].map((e) => [e.id, e.textContent])
)"""


@pytest.fixture(scope="module")
def model() -> PropensityModel:
    return train(Tables(leads=leads(900)), config(columns={"date": "Created"}, rules=POINTS)).model


@pytest.fixture(scope="module")
def path(model: PropensityModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report_page(model), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def explorer(model: PropensityModel) -> Explorer:
    assert model.learned is not None
    assert model.learned.frontier is not None
    return Explorer(frontier=model.learned.frontier)


def fixed(number: float, digits: int) -> str:
    """Round as JavaScript does: the double as it is, halves away from zero."""
    return f"{Decimal(number).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP):,f}"


def percent(share: float) -> str:
    return fixed(100 * share, 1) + "%"


def move(opened: Any, name: str, line: int) -> None:
    opened.page.locator(f"#{name}").evaluate(
        "(input, line) => { input.value = line; input.dispatchEvent(new Event('input')); }", line
    )


@pytest.mark.parametrize("dark", [False, True])
def test_it_opens_in_silence_and_asks_for_nothing(open_page: Callable[..., Any], path: Path, dark: bool) -> None:
    opened = open_page(path, dark=dark)
    assert opened.said == []
    assert opened.asked == [path.as_uri()]


def test_the_explorer_says_what_python_says(open_page: Callable[..., Any], path: Path, explorer: Explorer) -> None:
    opened, rng = open_page(path), np.random.default_rng(0)
    last = len(explorer.frontier.thresholds) - 1
    for _ in range(N_POSITIONS):
        mql, sql = sorted(rng.integers(0, last + 1, 2).tolist())
        move(opened, "mql", 0)
        move(opened, "sql", sql)
        move(opened, "mql", mql)
        wanted = explorer.at(sql, mql)
        at_sql, both = wanted["SQL"], wanted["both"]
        shown = opened.evaluate(
            "Object.fromEntries([...document.querySelectorAll('#explorer [id]')].map(e => [e.id, e.textContent]))"
        )
        assert shown["sql-volume"] == fixed(at_sql["volume"], 1)
        assert shown["mql-volume"] == fixed(wanted["MQL"]["volume"], 1)
        assert shown["nurture-volume"] == fixed(wanted["nurture"]["volume"], 1)
        assert shown["sql-precision"] == (
            f"{percent(at_sql['precision'])} ({percent(at_sql['low'])} to {percent(at_sql['high'])})"
        )
        assert shown["mql-precision"] == percent(wanted["MQL"]["precision"])
        assert shown["sql-won"] == fixed(at_sql["conversions"], 1)
        assert shown["mql-won"] == fixed(wanted["MQL"]["conversions"], 1)
        assert (
            f"{percent(both['recall'])} of all conversions ({percent(both['low'])} to {percent(both['high'])})"
            in shown["found"]
        )
        moved = fixed(wanted["moved"]["volume"], 1)
        assert ("no lead moves" in shown["moves"]) if moved == "0.0" else shown["moves"].startswith(f"{moved} leads")
    assert opened.said == []


def test_what_is_typed_finds_the_threshold_that_python_finds(
    open_page: Callable[..., Any], path: Path, explorer: Explorer
) -> None:
    opened, page = open_page(path), open_page(path).page
    for capacity in (1.0, 3.5, 1000.0):
        opened.page.fill("#capacity", str(capacity))
        assert opened.page.input_value("#sql") == str(explorer.within(capacity))
    opened.page.fill("#capacity", "")
    for precision in (0.1, 0.4):
        opened.page.fill("#precision", str(100 * precision))
        assert opened.page.input_value("#sql") == str(explorer.certified(precision))
    opened.page.fill("#precision", "99.9")
    assert "cannot be promised" in opened.text("feasible")
    assert opened.text("goal").startswith("No threshold promises 99.9%")
    page.fill("#value", "100")
    page.fill("#cost", "20")
    best = explorer.dearest(value=100, cost=20)
    assert page.input_value("#sql") == str(best)
    assert f"brings {fixed(explorer.profit(best, value=100, cost=20), 0)} a week" in page.inner_text("#profit")


def test_untouched_the_terms_are_those_of_today(
    open_page: Callable[..., Any], path: Path, model: PropensityModel
) -> None:
    said = tomllib.loads(open_page(path).text("toml"))["agreement"]
    assert said == {name: model.agreement[name] for name in said}
    assert {"policy", "sql_precision", "mql_recall"} <= {*said}


def test_what_is_copied_is_an_agreement(open_page: Callable[..., Any], path: Path) -> None:
    opened = open_page(path)
    for name, value in (("capacity", "2.5"), ("precision", "35"), ("value", "100"), ("cost", "20")):
        opened.page.fill(f"#{name}", value)
        said = tomllib.loads(opened.text("toml"))
        base = {"data": {"leads": "l.csv"}, "columns": {"id": "Lead", "target": "Won", "fit": ["Source"]}}
        agreed = parse_config({**base, **said}).agreement
        if name == "capacity":
            assert (agreed.policy, agreed.capacity_per_week) == ("capacity", 2.5)
        if name == "precision":
            assert "Not applied: what sales can work." in opened.text("goal")
            assert (agreed.policy, agreed.sql_precision) == ("promise", 0.35)
        if name == "cost":
            assert (agreed.policy, agreed.value_per_win, agreed.cost_per_contact) == ("profit", 100.0, 20.0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"capacity": ""}, ""),
        ({"capacity": "-3"}, "Not understood: what sales can work (a number above 0)."),
        ({"precision": "150"}, "Not understood: what SQLs must convert at (a number above 0, at most 100)."),
        ({"precision": "35", "capacity": ""}, ""),
        ({"value": "100", "cost": "500"}, "A contact that costs more than a win brings never pays"),
    ],
)
def test_what_nobody_can_agree_on_leaves_the_terms_of_today(
    open_page: Callable[..., Any], path: Path, given: dict[str, str], says: str
) -> None:
    opened = open_page(path)
    today = opened.text("toml")
    for name, value in given.items():
        opened.page.fill(f"#{name}", value)
        if value == "35":
            opened.page.fill(f"#{name}", "")
    assert opened.text("toml") == today
    assert opened.text("goal").startswith(says)
    assert "no lead moves" in opened.text("moves")


def test_moving_mql_alone_changes_its_own_term_only(open_page: Callable[..., Any], path: Path) -> None:
    opened = open_page(path)
    today = tomllib.loads(opened.text("toml"))["agreement"]
    move(opened, "mql", int(opened.page.input_value("#sql")) // 2)
    said = tomllib.loads(opened.text("toml"))["agreement"]
    assert {name: today[name] for name in today if name != "mql_recall"} == {
        name: said[name] for name in said if name != "mql_recall"
    }
    assert said["mql_recall"] != today["mql_recall"]


def test_handles_move_by_keys_and_by_dragging(open_page: Callable[..., Any], path: Path) -> None:
    opened = open_page(path)
    opened.page.focus("#sql")
    before = int(opened.page.input_value("#sql"))
    opened.page.keyboard.press("ArrowLeft")
    assert int(opened.page.input_value("#sql")) == before - 1
    assert "leads a week" in (opened.page.get_attribute("#sql", "aria-valuetext") or "")
    handle = opened.page.locator("#chart circle").first
    handle.scroll_into_view_if_needed()
    opened.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    box = handle.bounding_box()
    assert box is not None
    opened.page.mouse.move(box["x"] + 9, box["y"] + 9)
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + 160, box["y"] + 40, steps=4)
    opened.page.mouse.up()
    assert int(opened.page.input_value("#sql")) < before - 1
    opened.page.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement !== document.body")


def test_sql_and_mql_never_cross(open_page: Callable[..., Any], path: Path, explorer: Explorer) -> None:
    opened, last = open_page(path), len(explorer.frontier.thresholds) - 1
    move(opened, "mql", last)
    assert opened.page.input_value("#sql") == str(last)
    move(opened, "sql", 0)
    assert opened.page.input_value("#mql") == "0"


@pytest.mark.slow  # a machine that does other work would fail it
def test_a_move_is_drawn_within_a_frame(open_page: Callable[..., Any], path: Path) -> None:
    opened = open_page(path)
    milliseconds = opened.evaluate(
        """() => {
          const input = document.getElementById("sql"), start = performance.now();
          for (let i = 0; i < 50; i++) { input.value = i % 7; input.dispatchEvent(new Event("input")); }
          return (performance.now() - start) / 50;
        }"""
    )
    assert milliseconds < 16


@pytest.mark.parametrize("width", [360, 1000])
def test_nothing_scrolls_sideways(open_page: Callable[..., Any], path: Path, width: int) -> None:
    opened = open_page(path, width=width)
    assert opened.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("dark", [False, True])
def test_everyone_can_read_it(open_page: Callable[..., Any], path: Path, dark: bool) -> None:
    assert_accessible(open_page(path, dark=dark))
