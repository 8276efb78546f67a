from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.config import Config, parse_config
from propensity.errors import InputError
from propensity.schema import Tables
from propensity.training import TrainingRun, audit, prepare_tables, train
from propensity.training.audit import audit_prepared

OTHER = ["Visits", "Region"]


def leads(n_leads: int = 800) -> pd.DataFrame:
    """Visits matter; sales mostly fill a field when a deal closes; a grade copies the outcome."""
    rng = np.random.default_rng(3)
    visits = rng.poisson(3, n_leads)
    won = rng.random(n_leads) < 1 / (1 + np.exp(1.5 - 0.5 * (visits - 3)))
    return pd.DataFrame(
        {
            "Visits": visits,
            "Region": rng.choice(["north", "south"], n_leads),
            "Contract form": np.where(won & (rng.random(n_leads) < 0.9), "signed", ""),
            "Fit grade": np.where(won ^ (rng.random(n_leads) < 0.02), "A", "B"),
            "Won": won.astype(int),
        }
    )


def settings(behaviour: list[str], **more: Any) -> Config:
    return parse_config(
        {
            "data": {"leads": "leads.csv"},
            "columns": {"target": "Won", "behaviour": behaviour},
            "learner": {"max_trees": 15},
            "evaluation": {"origins": 1},
            **more,
        }
    )


def entry_of(run: TrainingRun, column: str) -> dict[str, Any]:
    (entry,) = [dict(entry) for entry in run.audit if entry["column"] == column]
    return entry


@pytest.fixture(scope="module")
def run() -> TrainingRun:
    return train(Tables(leads=leads()), settings([*OTHER, "Contract form", "Fit grade"]))


@pytest.mark.parametrize("column", ["Contract form", "Fit grade"])
def test_what_knows_the_future_is_left_out_with_evidence_and_price(run: TrainingRun, column: str) -> None:
    entry = entry_of(run, column)
    assert (entry["role"], entry["verdict"]) == ("behaviour", "QUARANTINE")
    assert entry["evidence"]
    assert entry["price"]["auc_with"] > 0.9
    assert entry["price"]["auc_without"] < 0.75
    assert run.model.schema.names == tuple(OTHER)
    assert run.evaluation is not None
    assert run.evaluation.headline.metrics["auc"].value < 0.8


def test_what_was_known_in_time_stays(run: TrainingRun) -> None:
    for column in OTHER:
        assert (entry_of(run, column)["verdict"], entry_of(run, column)["price"]) == ("OK", None)


def test_a_line_in_the_config_brings_a_column_back() -> None:
    config = settings([*OTHER, "Fit grade"], availability={"fit grade": "static"})
    restored = train(Tables(leads=leads()), config)
    assert "Fit grade" in restored.model.schema.names
    assert entry_of(restored, "Fit grade")["verdict"] == "REVIEW"


def test_where_every_feature_knows_the_future_the_next_step_is_said() -> None:
    with pytest.raises(InputError, match=r"Every feature .*'Contract form'.* under \[availability\]"):
        train(Tables(leads=leads()), settings(["Contract form"]))


def test_the_audit_alone_says_what_training_says(run: TrainingRun) -> None:
    found = audit(Tables(leads=leads()), settings([*OTHER, "Contract form", "Fit grade"]))
    assert (found.entries, found.flaws) == (run.audit, run.flaws)


def test_duplicates_are_told_beside(run: TrainingRun) -> None:
    assert {"DUPLICATE", "BOTH_OUTCOMES"} <= {flaw.code for flaw in run.flaws}


def test_behaviour_from_events_is_kept_whatever_it_is_called_and_however_strong(
    small_world: dict[str, pd.DataFrame],
) -> None:
    """Who asks for a demo mostly buys, and its name sounds like an outcome: recorded in time, it is no leak."""
    events = small_world["events"].assign(
        event_type=lambda log: log["event_type"].replace({"demo": "deal stage: won over"})
    )
    config = parse_config(
        {
            "data": {"leads": "l", "events": "e", "outcomes": "o", "extracted_at": "2026-01-01T00:00:00Z"},
            "columns": {"id": "Lead", "date": "Created", "fit": ["Industry"]},
            "labels": {"horizon_days": 30},
        }
    )
    prepared = prepare_tables(
        Tables(leads=small_world["leads"], events=events, outcomes=small_world["outcomes"]), config
    )
    found, kept = audit_prepared(prepared, config)
    assert {entry["verdict"] for entry in found.entries} <= {"OK", "UNUSED"}
    assert "cutoff" not in {entry["column"] for entry in found.entries}
    assert kept.schema.names == prepared.schema.names
    assert any("won over" in name for name in kept.schema.names)


def test_a_field_as_it_was_at_the_cutoff_is_kept_and_the_same_field_as_of_today_is_not(
    small_world: dict[str, pd.DataFrame],
) -> None:
    frame = small_world["leads"].copy()
    changes = pd.DataFrame(
        {
            "lead_id": frame["Lead"],
            "field": "Lead status",
            "value": np.tile(["open", "working"], 80),
            "valid_from": "2025-01-01T00:00:00Z",
        }
    )
    frame["Lead status"] = changes["value"]
    files = {"leads": "l", "events": "e", "outcomes": "o", "extracted_at": "2026-01-01T00:00:00Z"}
    columns = {"id": "Lead", "date": "Created", "fit": ["Industry", "Lead status"]}
    verdicts = []
    for given in ({}, {"field_history": "h"}):
        config = parse_config({"data": {**files, **given}, "columns": columns, "labels": {"horizon_days": 30}})
        tables = Tables(
            leads=frame,
            events=small_world["events"],
            outcomes=small_world["outcomes"],
            field_history=changes if given else None,
        )
        verdicts += [entry["verdict"] for entry in audit(tables, config).entries if entry["column"] == "Lead status"]
    assert verdicts == ["QUARANTINE", "OK"]
