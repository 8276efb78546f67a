"""`explain --lift` says what leads like one, but a band higher, did more or less of."""

from __future__ import annotations

import contextlib
import io
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flat_leads import config, leads, run
from propensity import Tables, cli, load_model, predict, save_model, train
from propensity.bands import NOBODY, Bands, Deal, Promise
from propensity.cli.lift import _next_band
from propensity.config import parse_config
from propensity.features import features_as_of
from propensity.model import PropensityModel

TOML = (Path(__file__).parent / "small_world.toml").read_text().replace('outcomes = "outcomes.csv"\n', "")
NOW = "2026-01-01"


def tell(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.run([*arguments])
    return code, out.getvalue(), err.getvalue()


def lift_of(bundle: Path, lead: str, *more: str) -> dict[str, Any]:
    code, out, err = tell("explain", "leads.csv", "--model", str(bundle), "--lead", lead, "--lift", "--json", *more)
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)["lift"]
    return found


def held(**more: Any) -> PropensityModel:
    return run(leads(700), config(learner={"max_trees": 10, **more})).model


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = held(monotone={"Visits": "increasing"})
    assert model.learned is not None
    assert any(model.learned.directions)
    return save_model(model, tmp_path_factory.mktemp("held") / "bundle")


@pytest.fixture
def scored(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    frame = leads(60, seed=4)
    frame.to_csv("leads.csv", index=False)
    return frame.merge(predict(frame, model=load_model(bundle))[["Lead", "probability", "band"]], on="Lead")


def test_the_least_that_reaches_the_next_band_is_found(scored: pd.DataFrame, bundle: Path) -> None:
    model = load_model(bundle)
    assert model.reference is not None
    most = model.reference.reach[model.schema.names.index("Visits")]
    assert most is not None
    n_found = 0
    for lead in scored[scored["band"] != "SQL"].to_dict("records")[:6]:
        found = lift_of(bundle, lead["Lead"])
        tried = range(lead["Visits"] + 1, int(most[1]) + 1)
        found_by_hand = [n for n in tried if _probability(model, scored, lead["Lead"], n) >= found["threshold"]]
        if found["changes"]:
            n_found += 1
            ((change),) = found["changes"]
            assert change["name"] == "Visits"
            assert found["probability"] == _probability(model, scored, lead["Lead"], change["to"])
            assert found["probability"] >= found["threshold"]
            assert change["to"] <= most[1]
            assert found_by_hand[0] - 1 < change["to"] <= found_by_hand[0]
        else:
            assert not found_by_hand
    assert n_found > 0


def test_a_column_is_known_in_any_case(scored: pd.DataFrame, bundle: Path) -> None:
    lead = scored[scored["band"] != "SQL"]["Lead"].iloc[0]
    before = lift_of(bundle, lead)
    leads(60, seed=4).rename(columns={"Visits": " VISITS"}).to_csv("leads.csv", index=False)
    assert before["looked_at"] == ["Visits"]
    assert lift_of(bundle, lead) == before


def _probability(model: PropensityModel, frame: pd.DataFrame, lead: str, visits: float) -> float:
    row = frame[frame["Lead"] == lead].assign(Visits=visits)
    return float(predict(row, model=model)["probability"].iloc[0])


def test_people_read_what_such_leads_are_like_not_what_would_cause_it(scored: pd.DataFrame, bundle: Path) -> None:
    below = scored[scored["band"] != "SQL"]["Lead"]
    said = [tell("explain", "leads.csv", "--model", str(bundle), "--lead", lead, "--lift")[1] for lead in below[:3]]
    assert any("leads like this one, with Visits " in text or "no one and no two of these" in text for text in said)
    assert all("would bring about" in text or "no one and no two of these" in text for text in said)


def test_the_highest_band_has_none_above(scored: pd.DataFrame, bundle: Path) -> None:
    lead = scored.sort_values("probability")["Lead"].iloc[-1]
    assert scored.set_index("Lead").loc[lead, "band"] == "SQL"
    assert lift_of(bundle, lead)["band"] is None
    assert "No band is higher" in tell("explain", "leads.csv", "--model", str(bundle), "--lead", lead, "--lift")[1]


def test_without_an_agreed_direction_nothing_is_looked_at(scored: pd.DataFrame, tmp_path: Path) -> None:
    free = save_model(held(), tmp_path / "free")
    lead = scored.sort_values("probability")["Lead"].iloc[0]
    found = lift_of(free, lead)
    assert (found["looked_at"], found["changes"]) == ([], [])
    assert "[learner] monotone" in tell("explain", "leads.csv", "--model", str(free), "--lead", lead, "--lift")[1]


def test_more_events_are_scored_by_the_whole_way(
    small_world: dict[str, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = tomllib.loads(TOML)
    settings["learner"]["monotone"] = {"demo": "increasing"}
    settings["data"]["outcomes"] = "outcomes.csv"
    tables = {name: small_world[name] for name in ("leads", "events", "outcomes")}
    read = Tables(leads=tables["leads"], events=tables["events"], outcomes=tables["outcomes"])
    model = train(read, parse_config(settings)).model
    assert model.learned is not None
    if not any(model.learned.directions):
        pytest.skip("the past does not bear the direction")
    bundle = save_model(model, tmp_path / "bundle")
    for name, frame in tables.items():
        frame.to_csv(f"{name}.csv", index=False)
    Path("propensity.toml").write_text(TOML)
    scores = predict(tables["leads"], model=model, events=tables["events"], as_of=NOW).set_index("Lead")
    asked = {*tables["events"].query("event_type == 'demo'")["lead_id"]}
    low = [lead for lead in scores.index if lead not in asked and scores.loc[lead, "band"] == "nurture"]
    found = [lift_of(bundle, lead, "--as-of", NOW) for lead in low[:2]]
    assert all(one["looked_at"] in (["demo"], []) for one in found)
    for lead, one in zip(low, found, strict=False):
        for change in one["changes"]:
            when = [f"2025-12-31T23:59:{59 - i:02}Z" for i in range(int(change["more"]))]
            more = pd.DataFrame({"lead_id": lead, "occurred_at": when, "event_type": "demo"})
            events = pd.concat([tables["events"], more])
            again = predict(tables["leads"], model=model, events=events, as_of=NOW).set_index("Lead")
            assert one["probability"] == again.loc[lead, "probability"]
    assert np.any([one["changes"] for one in found])


@pytest.mark.parametrize(
    ("probability", "more", "goal"),
    [
        (0.1, {}, ("MQL", 0.25)),
        (0.3, {}, ("SQL", 0.5)),
        (0.6, {}, None),
        (0.3, {"sql": NOBODY}, None),
        (0.1, {"sql": NOBODY, "mql": NOBODY}, None),
        (0.6, {"deal": Deal(cost=10, value=100, column="Size")}, ("SQL", 10 / 12)),
        (0.9, {"deal": Deal(cost=10, value=100, column="Size")}, None),
        (0.6, {"deal": Deal(cost=20, value=100, column="Size")}, None),  # no call to it pays
    ],
)
def test_the_next_band_is_one_that_this_very_lead_can_be_in(
    probability: float, more: dict[str, Any], goal: tuple[str, float] | None
) -> None:
    promise = Promise(rate=0.5, certified=True, observed=0.5, low=0.4, n_leads=10, n_converted=5)
    shares: dict[str, Any] = {"sql_share": 0.1, "mql_share": 0.2, "leads_per_week": None, "policy": "promise"}
    bands = Bands(**{"sql": 0.5, "mql": 0.25, "sql_promise": promise, "mql_promise": promise, **shares, **more})
    assert _next_band(probability, pd.DataFrame({"Size": ["12"]}), bands) == goal


def test_the_field_history_is_read_as_for_any_score(
    small_world: dict[str, pd.DataFrame], small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("leads", "events"):
        small_world[name].to_csv(f"{name}.csv", index=False)
    born = small_world["leads"].set_index("Lead")["Created"]
    changed = pd.DataFrame(
        {"lead_id": born.index, "field": "Industry", "value": "Retail", "valid_from": born, "old_value": ""}
    )
    changed.to_csv("history.csv", index=False)
    names = 'field_history = {id = "lead_id", field = "field", value = "value", valid_from = "valid_from"}\n'
    text = TOML.replace("[columns]\n", f"[columns]\n{names}").replace(
        "[data]\n", '[data]\nfield_history = "history.csv"\n'
    )
    Path("propensity.toml").write_text(text)
    given = []

    def noticing(*arguments: Any, **more: Any) -> Any:
        given.append(more.get("field_history"))
        return features_as_of(*arguments, **more)

    monkeypatch.setattr("propensity.features.features_as_of", noticing)
    monkeypatch.setattr("propensity.cli.lift._held", _as_if_held)
    code, _, err = tell(
        *("explain", "leads.csv", "--model", str(small_bundle), "--lead", "L0100", "--as-of", NOW, "--lift")
    )
    assert code == 0, err
    assert len(given) > 1
    assert all(history is not None for history in given)


def _as_if_held(model: PropensityModel) -> list[tuple[Any, int, tuple[float, float]]]:
    return [(column, 1, (0.0, 5.0)) for column in model.schema.columns if column.name.startswith("demo count")]
