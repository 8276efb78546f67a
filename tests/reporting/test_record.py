"""A bundle remembers what training found, so that report and card need nothing else."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from flat_leads import config, leads, run, with_conversions
from propensity.model import bundle_files, model_from_files
from propensity.reporting import recorded_tables
from propensity.training import TrainingRun


@pytest.fixture(scope="module")
def trained() -> TrainingRun:
    return run(leads(700), config(learner={"max_trees": 10}))


def test_the_tables_of_the_evaluation_come_back_from_a_bundle(trained: TrainingRun) -> None:
    assert trained.evaluation is not None
    back = recorded_tables(model_from_files(bundle_files(trained.model)).record)
    tables = {**trained.evaluation.tables(), "dependence": trained.dependence}
    assert {*back} == {*tables}
    for name, table in tables.items():
        pd.testing.assert_frame_equal(back[name], table, check_dtype=False, rtol=1e-5, atol=1e-9)


def test_a_record_is_plain_and_rounded(trained: TrainingRun) -> None:
    record = trained.model.record
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["verdict"] == trained.model.verdict
    assert record["data"]["rows"] == 700
    found = record["metrics"]["time" if "time" in record["metrics"] else "folds"]["auc"]["value"]
    assert trained.evaluation is not None
    assert found == float(f"{trained.evaluation.headline.metrics['auc'].value:.6g}")


def test_no_lead_is_in_it(trained: TrainingRun) -> None:
    text = json.dumps(trained.model.record)
    ids = leads(700)["Lead"].astype(str)
    assert not [lead for lead in ids if f'"{lead}"' in text]


def test_what_is_unknown_is_none() -> None:
    record = run(with_conversions(5), config()).model.record
    assert (record["verdict"], record["tables"], record["metrics"]) == ("rules_only", {}, {})
