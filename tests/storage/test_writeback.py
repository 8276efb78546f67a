from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from propensity.errors import InputError
from propensity.storage.writeback import MAX_TEXT, make_export, write_export


def scores(**changes: list[object]) -> pd.DataFrame:
    rows: dict[str, list[object]] = {
        "Lead": ["00Q000000000001", "00Q000000000002AAA"],
        "as_of": ["2026-01-05T00:00:00+00:00", "2026-01-05T12:30:00+02:00"],
        "probability": ["0.3456", "0.9"],
        "band": ["MQL", "SQL"],
        "scored_by": ["model", "rules"],
        "reason_1": ["visits: 3 (typical 0), +5.0 points", ""],
        "reason_2": ["-1 of them", "x"],
        "model_version": ["abc", "abc"],
    }
    return pd.DataFrame(rows | changes)


def test_salesforce_takes_api_names_and_utc() -> None:
    frame = make_export(scores(), to="salesforce", n_reasons=1).frame
    assert [*frame.columns] == [
        *("Id", "Propensity_Score__c", "Propensity_Band__c", "Propensity_Reason_1__c"),
        *("Propensity_Scored_By__c", "Propensity_Scored_At__c", "Propensity_Model__c"),
    ]
    assert frame["Id"].tolist() == ["00Q000000000001", "00Q000000000002AAA"]
    assert frame["Propensity_Score__c"].tolist() == ["34.6", "90.0"]
    assert frame["Propensity_Scored_At__c"].tolist() == ["2026-01-05T00:00:00Z", "2026-01-05T10:30:00Z"]


def test_hubspot_takes_labels_and_days_and_knows_addresses() -> None:
    frame = make_export(scores(Lead=["17", "18"]), to="hubspot").frame
    assert [*frame.columns[:3]] == ["Record ID", "Propensity score", "Propensity band"]
    assert frame["Propensity scored at"].tolist() == ["2026-01-05", "2026-01-05"]
    addresses = make_export(scores(Lead=["a@b.example", "c@d.example"]), to="hubspot").frame
    assert addresses.columns[0] == "Email"


@pytest.mark.parametrize("ids", [["17", "L18"], ["a@b.example", "18"], ["a@b.example", "none"]])
def test_ids_that_are_none_of_hubspot_need_a_property(ids: list[object]) -> None:
    with pytest.raises(InputError, match="no Record ID of HubSpot"):
        make_export(scores(Lead=ids), to="hubspot")
    assert make_export(scores(Lead=ids), to="hubspot", external_id="Lead ID").frame.columns[0] == "Lead ID"


def test_unscored_leads_and_older_rows_are_left_out_and_counted() -> None:
    rows = pd.concat([scores(), scores(as_of=["2026-01-06", "2026-01-01"], probability=["0.1", "0.2"])])
    rows = pd.concat([rows, scores(band=["unscored", "unscored"], probability=["", ""])], ignore_index=True)
    found = make_export(rows, to="salesforce")
    assert (found.n_unscored, found.n_older) == (2, 2)
    assert dict(zip(found.frame["Id"], found.frame["Propensity_Score__c"], strict=True)) == {
        "00Q000000000001": "10.0",
        "00Q000000000002AAA": "90.0",
    }


def test_rows_by_rules_without_a_probability_have_an_empty_score() -> None:
    assert make_export(scores(Lead=["1", "2"], probability=["", "0.5"]), to="hubspot").frame[
        "Propensity score"
    ].tolist() == ["", "50.0"]


def test_ids_that_are_none_of_salesforce_need_a_field() -> None:
    strange = scores(Lead=["00Q000000000001", "L-17"])
    with pytest.raises(InputError, match="data row 2 of the scores is no Salesforce id") as error:
        make_export(strange, to="salesforce")
    assert "L-17" not in str(error.value)
    assert make_export(strange, to="salesforce", external_id="Our_Id__c").frame.columns[0] == "Our_Id__c"


@pytest.mark.parametrize("bad", ["=1+1", "@a", ""])
def test_an_id_that_a_spreadsheet_would_change_is_refused(bad: str) -> None:
    with pytest.raises(InputError, match="data row 2"):
        make_export(scores(Lead=["17", bad]), to="hubspot")


def test_no_scores_are_refused() -> None:
    with pytest.raises(InputError, match="columns band, scored_by are absent"):
        make_export(scores().drop(columns=["band", "scored_by"]), to="hubspot")
    with pytest.raises(InputError, match="no ids"):
        make_export(scores().rename(columns={"Lead": "row"}), to="hubspot")


def test_the_file_is_neutral_and_texts_fit_their_field(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    found = make_export(scores(Lead=["1", "2"], reason_1=["word " * 80, "b"]), to="hubspot")
    write_export(found, path)
    back = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert len(back["Propensity reason 1"][0]) <= MAX_TEXT
    assert back["Propensity reason 1"][0].endswith("word…")
    assert back["Propensity reason 2"][0] == "'-1 of them"
    assert back["Record ID"].tolist() == ["1", "2"]
