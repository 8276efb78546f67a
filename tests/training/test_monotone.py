from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.config import Config, parse_config
from propensity.errors import ConfigError
from propensity.features import FeaturePlan
from propensity.model import bundle_files
from propensity.reporting import training_json, training_summary
from propensity.schema import Column, Schema, Tables
from propensity.storage.bundles import load_bundle, save_model
from propensity.training import TrainingRun, prepare, prepare_tables, train
from propensity.training.monotone import feature_directions


def leads(n_leads: int = 600, *, fall: float = 0.0) -> pd.DataFrame:
    """Leads that convert the more the more they visit, up to six visits; from there on `fall` log-odds less a visit."""
    rng = np.random.default_rng(0)
    visits = rng.integers(0, 13, n_leads)
    idle = rng.exponential(10, n_leads).round(1)
    log_odds = 0.5 * (np.minimum(visits, 6) - 3) - fall * np.maximum(visits - 6, 0) - 0.05 * idle - 0.3
    return pd.DataFrame(
        {
            "Lead": [f"L{i:05d}" for i in range(n_leads)],
            "Source": rng.choice(["fair", "referral", "web"], n_leads),
            "Visits": visits,
            "Days idle": pd.Series(idle).where(rng.random(n_leads) < 0.8),
            "Age": rng.integers(20, 60, n_leads),
            "Employees": rng.choice(["1-10", "11-50", "51-200"], n_leads),
            "Won": (rng.random(n_leads) < 1 / (1 + np.exp(-log_odds))).astype(int),
        }
    )


def config(monotone: dict[str, str] | None = None, **learner: Any) -> Config:
    asked = {} if monotone is None else {"monotone": monotone}
    return parse_config(
        {
            "data": {"leads": "leads.csv"},
            "columns": {
                "id": "Lead",
                "target": "Won",
                "fit": ["Source", "Employees"],
                "behaviour": ["Visits", "Days idle", "Age"],
            },
            "features": {"derive": {"Employees": "range"}},
            "learner": {"max_trees": 30, "max_depth": 3, **asked, **learner},
        }
    )


UP = {"Visits": "increasing", "days idle": "decreasing"}


@pytest.fixture(scope="module")
def held() -> TrainingRun:
    return train(Tables(leads=leads()), config(UP))


@pytest.fixture(scope="module")
def falling() -> dict[str, TrainingRun]:
    """Many visits are a bad sign here, whatever a person believes."""
    table = Tables(leads=leads(fall=1.0))
    return {"asked": train(table, config({"Visits": "increasing"})), "free": train(table, config())}


def test_more_of_what_is_held_never_lowers_a_probability_and_is_told(held: TrainingRun) -> None:
    found = held.model.learned
    assert found is not None
    assert found.monotone is not None
    assert found.monotone.is_held
    assert found.monotone.directions == {"Visits": 1, "Days idle": -1}
    read = prepare(leads(), config()).examples.read[[*held.model.schema.names]]
    for column, way, values in (("Visits", 1, np.arange(14.0)), ("Days idle", -1, np.linspace(0, 60, 25))):
        ladder = np.array([found.probability(read.assign(**{column: value})) for value in values])
        assert (np.diff(ladder, axis=0) * way).min() >= 0
        assert np.ptp(ladder) > 0.1
    assert not [said for said in held.warnings if "onotone" in said]
    told = [line.strip() for line in training_summary(held) if "monotone" in line]
    assert len(told) == 1
    assert told[0].startswith(
        "monotone: with all else equal, scores never fall with Visits and never rise with Days idle;"
    )
    assert "- Visits: the score never falls as this rises" in held.model.card
    assert "Held by all learners" in held.model.card
    assert training_json(held, {})["learner"]["monotone"]["directions"] == {"Visits": 1, "Days idle": -1}


def test_directions_that_leads_contradict_are_left_out_and_said(falling: dict[str, TrainingRun]) -> None:
    asked, free = falling["asked"].model.learned, falling["free"].model.learned
    assert asked is not None
    assert free is not None
    assert asked.monotone is not None
    assert not asked.monotone.is_held
    assert asked.monotone.cost > asked.monotone.error > 0
    # What ships is what would have shipped unasked, to the bit.
    assert replace(asked, monotone=None) == free
    (said,) = (said for said in falling["asked"].warnings if said.startswith("Monotone constraints cost log loss"))
    assert f"{asked.monotone.cost:.4f} ± {asked.monotone.error:.4f}" in said
    assert "left out" in said
    assert "Asked for and left out" in falling["asked"].model.card
    assert any(
        "not monotone: that scores never fall with Visits was asked" in t for t in training_summary(falling["asked"])
    )


def test_unasked_nothing_of_it_is_in_the_bundle(falling: dict[str, TrainingRun]) -> None:
    model = falling["free"].model
    files = bundle_files(model)
    assert "monotone.json" not in files
    assert not [name for name, content in files.items() if b"onotone" in content]
    assert "monotone" not in config().digest_source()["learner"]
    assert config(UP).digest_source()["learner"]["monotone"] == UP
    assert config({}).digest_source() == config().digest_source()


def test_the_same_rows_and_directions_teach_the_same_model_which_survives_its_bundle(
    held: TrainingRun, tmp_path: Path
) -> None:
    again = train(Tables(leads=leads().sample(frac=1, random_state=3)), config(UP))
    assert again.model == held.model
    assert load_bundle(save_model(held.model, tmp_path / held.model.version)) == held.model


@pytest.mark.parametrize(
    ("asked", "wrong", "allowed"),
    [
        ({"Vists": "increasing"}, "'Vists', which is neither a feature nor an event type", "Did you mean 'Visits'?"),
        ({"Lead": "increasing"}, "'Lead', which is neither", "'Visits', 'Days idle', 'Age', 'Employees'"),
        ({"Source": "decreasing"}, "'Source', which is read as categories", "event types (there are none)"),
    ],
)
def test_names_that_cannot_be_held_are_refused_with_those_that_can(
    asked: dict[str, str], wrong: str, allowed: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        train(Tables(leads=leads(200)), config(asked))
    assert wrong in str(refused.value)
    assert allowed in str(refused.value)
    assert refused.value.exit_code == 2


def test_a_raw_field_is_held_by_the_number_derived_from_it() -> None:
    assert prepare(leads(200), config({"employees": "increasing"})).directions == {"Employees number": 1}


def test_a_feature_that_is_left_out_holds_nothing_and_that_is_said() -> None:
    prepared = prepare(leads(200).assign(Age=7), config({"Age": "increasing"}))
    assert prepared.directions == {}
    assert [said for said in prepared.said if "'Age'" in said and "nothing is held" in said]


def test_of_an_event_type_counts_go_its_way_days_since_the_other_and_the_trend_is_free() -> None:
    plan = FeaturePlan(has_events=True, types=("demo", "visit"), valued=("demo",), windows_days=(7, 30))
    columns = tuple(Column(name=name, family="behaviour", kind="number") for name in plan.behaviour_names[1:])
    schema = Schema(columns=columns, id=None, missing=())
    found, said = feature_directions({"Demo": "increasing", "demo count 30d": "decreasing"}, schema, plan, left_out={})
    assert found == {
        "demo count 7d": 1,
        "demo count 30d": -1,  # its own name goes before that of its type
        "demo rate": 1,
        "demo active days 30d": 1,
        "demo days since": -1,
        "demo intensity": 1,
        "demo value 7d": 1,
        "demo value 30d": 1,
    }
    assert said == ()
    turned, _ = feature_directions({"any event": "decreasing"}, schema, plan, left_out={})
    assert (turned["any event count 7d"], turned["any event days since"]) == (-1, 1)


def test_event_types_of_the_log_can_be_named_and_rare_ones_hold_nothing(small_world: dict[str, pd.DataFrame]) -> None:
    rare = small_world["events"].head(1).assign(event_type="fax")
    tables = Tables(
        leads=small_world["leads"],
        events=pd.concat([small_world["events"], rare]),
        outcomes=small_world["outcomes"],
    )
    settings: dict[str, Any] = {
        "data": {"leads": "l.csv", "events": "e.csv", "outcomes": "o.csv"},
        "columns": {"id": "Lead", "date": "Created", "fit": ["Industry"]},
        "labels": {"horizon_days": 30},
    }
    prepared = prepare_tables(
        tables, parse_config({**settings, "learner": {"monotone": {"demo": "increasing", "fax": "increasing"}}})
    )
    assert prepared.directions["demo count 7d"] == 1
    assert prepared.directions["demo days since"] == -1
    assert {name.partition(" ")[0] for name in prepared.directions} == {"demo"}
    assert [said for said in prepared.said if "'fax'" in said]
    with pytest.raises(ConfigError, match=r"event types \('any event', 'demo', 'visit'\)"):
        prepare_tables(tables, parse_config({**settings, "learner": {"monotone": {"call": "increasing"}}}))
