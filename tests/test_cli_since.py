"""`explain --since` says why a score moved, to the last digit of the change."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flat_leads import config, leads, run
from propensity import cli, load_model, predict, save_model

# Nothing says who converted, so that every lead is scored.
TOML = (Path(__file__).parent / "small_world.toml").read_text().replace('outcomes = "outcomes.csv"\n', "")
THEN, NOW = "2025-12-01", "2026-01-01"
# Asks for a demo between the two.
ASKED = "L0100"


def tell(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.run([*arguments])
    return code, out.getvalue(), err.getvalue()


def told(*arguments: str) -> dict[str, Any]:
    code, out, err = tell("explain", "leads.csv", "--json", *arguments)
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def assert_adds_up(since: dict[str, Any]) -> None:
    change = since["change"]
    moved = 100 * (since["now"]["probability"] - since["then"]["probability"])
    assert change["points"] == pytest.approx(moved, abs=1e-9)
    assert change["of_the_record"] + change["of_the_model"] == pytest.approx(moved, abs=1e-9)
    assert sum(group["points"] for group in change["groups"]) == pytest.approx(change["of_the_record"], abs=1e-9)
    if change["steps"] is not None:
        assert sum(change["steps"].values()) == pytest.approx(change["of_the_record"], abs=1e-9)
        for group in change["groups"]:
            assert sum(group["steps"].values()) == pytest.approx(group["points"], abs=1e-9)


@pytest.fixture
def world(
    small_world: dict[str, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, pd.DataFrame]:
    monkeypatch.chdir(tmp_path)
    late = pd.DataFrame({"lead_id": [ASKED], "occurred_at": ["2025-12-20T10:00:00Z"], "event_type": ["demo"]})
    world = {**small_world, "events": pd.concat([small_world["events"], late], ignore_index=True)}
    for name, frame in world.items():
        frame.to_csv(f"{name}.csv", index=False)
    Path("propensity.toml").write_text(TOML)
    small_world["leads"].to_csv("old.csv", index=False)
    return world


def since_of(bundle: Path, lead: str, *more: str) -> dict[str, Any]:
    answer = told(
        *("--model", str(bundle), "--lead", lead, "--as-of", NOW, "--since", "old.csv", "--since-as-of", THEN, *more)
    )
    found: dict[str, Any] = answer["since"]
    assert found["now"]["probability"] == answer["probability"]
    return found


def test_what_happened_since_is_told_from_time_that_passed(world: dict[str, pd.DataFrame], small_bundle: Path) -> None:
    lead = ASKED
    found = since_of(small_bundle, lead)
    assert_adds_up(found)
    scored = {
        at: predict(world["leads"], model=load_model(small_bundle), events=world["events"], as_of=at).set_index("Lead")
        for at in (THEN, NOW)
    }
    assert found["then"]["probability"] == scored[THEN].loc[lead, "probability"]
    assert found["now"]["probability"] == scored[NOW].loc[lead, "probability"]
    change = found["change"]
    assert change["of_the_model"] == 0
    assert change["steps"]["edited fields"] == 0
    demo = next(group for group in change["groups"] if group["name"] == "demo")
    assert demo["steps"]["what happened"] > 1


def test_a_lead_that_did_nothing_only_grew_older(world: dict[str, pd.DataFrame], small_bundle: Path) -> None:
    active = {*world["events"].query("occurred_at >= @THEN")["lead_id"]}
    born = world["leads"].set_index("Lead")["Created"]
    lead = next(lead for lead in born.index[::-1] if born[lead] < THEN and lead not in active)
    found = since_of(small_bundle, lead)
    assert_adds_up(found)
    assert found["change"]["steps"]["what happened"] == 0
    assert found["change"]["steps"]["time passing"] != 0


def test_an_edited_field_is_told_by_its_name(world: dict[str, pd.DataFrame], small_bundle: Path) -> None:
    old = world["leads"].set_index("Lead")
    lead = next(name for name in old.index if old.loc[name, "Created"] < THEN)
    other = {"Software": "Retail", "Retail": "Software"}[str(old.loc[lead, "Industry"])]
    old.assign(Industry=old["Industry"].where(old.index != lead, other)).reset_index().to_csv("old.csv", index=False)
    found = since_of(small_bundle, lead)
    assert_adds_up(found)
    edited = {group["name"]: group["steps"]["edited fields"] for group in found["change"]["groups"]}
    assert max(edited, key=lambda name: abs(edited[name])) == "Industry"


def test_events_of_then_say_what_was_known_then(world: dict[str, pd.DataFrame], small_bundle: Path) -> None:
    lead = ASKED
    events = world["events"]
    events[events["occurred_at"] < THEN].to_csv("old_events.csv", index=False)
    assert since_of(small_bundle, lead, "--since-events", "old_events.csv") == since_of(small_bundle, lead)
    code, _, err = tell(
        *("explain", "leads.csv", "--model", str(small_bundle), "--lead", lead, "--as-of", NOW, "--since", "old.csv")
    )
    assert (code, "Nothing says as of when OLD_LEADS was scored" in err) == (2, True)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two models of one kind of lead, taught by different ones; the second does not know the age."""
    folder = tmp_path_factory.mktemp("models")
    few = config(columns={"behaviour": ["Visits"], "ignore": ["Age"]}, learner={"max_trees": 10})
    first = run(leads(400), config(learner={"max_trees": 10})).model
    second = run(leads(400, seed=5, strength=1.5), few).model
    return {"first": save_model(first, folder / "first"), "second": save_model(second, folder / "second")}


@pytest.fixture
def flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    frame = leads(50, seed=9)
    frame.to_csv("old.csv", index=False)
    frame.assign(Visits=frame["Visits"] + 3, Age=frame["Age"] + 1).to_csv("leads.csv", index=False)
    return frame


@pytest.mark.parametrize("then", ["first", "second"])
@pytest.mark.parametrize("now", ["first", "second"])
def test_record_and_model_share_the_change(flat: pd.DataFrame, models: dict[str, Path], then: str, now: str) -> None:
    asked = ("--model", str(models[now]), "--since", "old.csv", "--since-model", str(models[then]))
    for lead in flat["Lead"].head(2):
        found = told("--lead", lead, *asked)["since"]
        assert_adds_up(found)
        assert found["change"]["steps"] is None
        assert (found["change"]["of_the_model"] == 0) == (then == now)
        strongest = found["change"]["groups"][0]
        assert strongest["name"] == "Visits"  # three more of them
        thresholds = [found[side]["thresholds"] for side in ("then", "now")]
        assert (thresholds[0] == thresholds[1]) == (then == now)


def test_people_read_it_in_a_few_lines(flat: pd.DataFrame, models: dict[str, Path]) -> None:
    asked = ("--model", str(models["second"]), "--since", "old.csv", "--since-model", str(models["first"]))
    code, out, err = tell("explain", "leads.csv", "--lead", str(flat["Lead"][0]), *asked)
    assert code == 0, err
    said = out.split("\nSince then: ")[1]
    assert " points\n" in said
    assert "  the record of the lead" in said
    assert "    Visits" in said
    assert "  the model" in said
    assert "The threshold of SQL moved from" in said
    assert not np.any(["nan" in said, "{" in said])


def test_a_lead_that_was_not_there_is_said_so(flat: pd.DataFrame, models: dict[str, Path]) -> None:
    flat.iloc[1:].to_csv("old.csv", index=False)
    code, out, err = tell(
        "explain", "leads.csv", "--model", str(models["first"]), "--lead", str(flat["Lead"][0]), "--since", "old.csv"
    )
    assert (code, out) == (2, "")
    assert "No such lead in old.csv (--lead)" in err


def test_a_model_that_is_not_there_has_no_part_in_a_change(flat: pd.DataFrame, models: dict[str, Path]) -> None:
    asked = ("--model", str(models["first"]), "--since", "old.csv", "--since-model", "nowhere")
    code, out, err = tell("explain", "leads.csv", "--lead", str(flat["Lead"][0]), *asked)
    assert (code, out) == (2, "")
    assert "nowhere" in err


def test_a_score_that_no_model_gave_is_not_taken_apart(flat: pd.DataFrame, models: dict[str, Path]) -> None:
    flat.assign(Visits=-1).to_csv("old.csv", index=False)
    lead = str(flat["Lead"][0])
    found = told("--lead", lead, "--model", str(models["first"]), "--since", "old.csv")["since"]
    if found["then"]["scored_by"] != "model":
        assert "change" not in found
    code, out, _ = tell("explain", "leads.csv", "--lead", lead, "--model", str(models["first"]), "--since", "old.csv")
    assert code == 0
    assert "Since then: " in out


def test_a_lead_that_had_converted_by_now_is_scored_by_nobody_and_taken_apart_by_nobody(
    world: dict[str, pd.DataFrame], small_bundle: Path
) -> None:
    Path("propensity.toml").write_text((Path(__file__).parent / "small_world.toml").read_text())
    won = world["outcomes"].set_index("lead_id")["converted_at"]
    born = world["leads"].set_index("Lead")["Created"]
    lead = next(name for name in won.index if born[name] < THEN < won[name])
    answer = told(
        *("--model", str(small_bundle), "--lead", lead, "--as-of", NOW, "--since", "old.csv", "--since-as-of", THEN)
    )
    assert answer["fallback_reason"] == "ALREADY_CONVERTED"
    found = answer["since"]
    assert (found["then"]["scored_by"], found["now"]["band"]) == ("model", "unscored")
    assert "change" not in found


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("--since-as-of", THEN), "--since-as-of is of an earlier score: name the leads of then"),
        (("--since", "old.csv", "--since-as-of", "2026-02-01"), "later than now"),
        (("--plot", "why.pdf"), "Name a file that ends in .png"),
    ],
)
def test_what_cannot_be_meant_is_refused(small_bundle: Path, asked: tuple[str, ...], says: str) -> None:
    code, _, err = tell("explain", "leads.csv", "--model", str(small_bundle), "--lead", ASKED, "--as-of", NOW, *asked)
    assert (code, says in err) == (2, True), err
