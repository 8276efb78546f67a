from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import propensity
from propensity.bands import Bands, Promise
from propensity.calibration import Calibrator
from propensity.config import ColumnsConfig, RulesConfig
from propensity.encoding import CategoryCode, Encoder, NumberCode, fit_encoder
from propensity.errors import DegradedError, InputError
from propensity.explanations import Reference, fit_reference
from propensity.features.plan import CONVERTED, CREATED_LATER
from propensity.hysteresis import Held
from propensity.learners import Blend, Learners, LinearModel, Recipe
from propensity.learners.linear import CategoryTerm, NumberTerm
from propensity.learners.parts import Parts
from propensity.model import Learned, PropensityModel, rules_model
from propensity.rules import Rules, build_rules
from propensity.schema import Column, Schema, infer_schema, validate
from propensity.scoring import (
    FALLBACK_REASONS,
    ONE_LEAD_COLUMNS,
    ROW_REASONS,
    Scores,
    predict,
    predict_one,
    score,
)
from propensity.tally import check_degraded

KEPT = Promise(rate=0.6, certified=True, observed=0.7, low=0.61, n_leads=100, n_converted=70)
BROKEN = Promise(rate=0.9, certified=False, observed=0.9, low=0.8, n_leads=50, n_converted=45)
BANDS = Bands(
    sql=0.7,
    mql=0.3,
    policy="promise",
    sql_promise=KEPT,
    mql_promise=BROKEN,
    sql_share=0.1,
    mql_share=0.2,
    leads_per_week=None,
)
SCHEMA = Schema(
    columns=(
        Column(name="Industry", family="fit", kind="category", filled=0.9),
        Column(name="Visits", family="behaviour", kind="number", is_count=True),
        Column(name="Faxes", family="behaviour", kind="number", filled=0.3),
    ),
    id="Lead",
    missing=("", "n/a"),
)
# Log-odds are -1, with 1 for metals, -0.5 for retail, half a visit above or below two, a tenth of a fax.
LINEAR = LinearModel(
    intercept=-1.0,
    terms=(
        CategoryTerm(values=(0.0, 1.0, -0.5), missing=0.0, mean=0.0),
        NumberTerm(low=-10.0, high=20.0, center=2.0, slope=0.5, missing=0.0, mean=0.0),
        NumberTerm(low=-10.0, high=20.0, center=0.0, slope=0.1, missing=0.0, mean=0.0),
    ),
)
NUMBER = NumberCode(low=-10.0, high=20.0, typical=2.0)
LEARNED = Learned(
    encoder=Encoder(names=SCHEMA.names, codes=(CategoryCode(levels=("metals", "retail")), NUMBER, NUMBER)),
    blend=Blend(recipe=Recipe(shares={"linear": 1.0}, n_trees={}), forests={}, linear=LINEAR),
    calibrator=Calibrator(slope=1.0, intercept=0.0, limit=7.0, n_rows=1000, n_positive=200),
    bands=BANDS,
)


def sheet(**settings: Any) -> Rules:
    lines = [
        {"name": "demo", "column": "Demo", "value": "yes", "points": 80},
        {"name": "bounced", "column": "Bounced", "value": "yes", "points": -15},
    ]
    return build_rules(RulesConfig.model_validate({"points": lines, **settings}), missing={"*": ("",)})


MODEL = PropensityModel(
    schema=SCHEMA,
    rules=sheet(),
    verdict="skill",
    learned=LEARNED,
    reference=Reference(margin_parts=(0.0, 0.0, 0.0), typical=("arms", "2", "0")),
    version="0123456789ab",
)


def leads(**columns: object) -> pd.DataFrame:
    """Three leads: log-odds 1, -1.5 and -0.5, so SQL, nurture and MQL."""
    table = {
        "Lead": ["a", "b", "c"],
        "Industry": ["Metals", "retail", "arms"],
        "Visits": [4, 2, 3],
        "Faxes": [0, 0, 0],
        "Demo": ["yes", "", ""],
        "Bounced": ["", "yes", ""],
    }
    return pd.DataFrame({**table, **columns})


def written(scores: Scores | pd.DataFrame) -> list[str]:
    """Rows as text in which no bit of a float is lost."""
    frame = scores.frame if isinstance(scores, Scores) else scores
    return [repr(tuple(row)) for row in frame.itertuples(index=False)]


def test_reasons_to_fall_back_are_a_closed_list_and_the_code_knows_no_other() -> None:
    with pytest.raises(ValueError, match=r"one of MODEL_MISSING, .* got MOOD"):
        score(leads(), model=MODEL, fallback_reason="MOOD")
    with pytest.raises(ValueError, match="got MOOD"):
        score(leads(), model=MODEL, standin_reason="MOOD")
    package = Path(propensity.__file__).parent
    said = {
        keyword.value.value
        for path in package.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg in {"fallback_reason", "standin_reason"}
        if isinstance(keyword.value, ast.Constant) and keyword.value.value
    }
    assert {"MODEL_MISSING", "HASH_MISMATCH", "CANARY_FAILED", "TIMEOUT"} <= said <= {*FALLBACK_REASONS}
    assert {*ROW_REASONS} < {*FALLBACK_REASONS}


def one_as_predicted(lead: dict[str, Any], model: PropensityModel, **asked: Any) -> dict[str, Any]:
    """What `predict` says of one lead, in the form of `predict_one`."""
    row = predict(pd.DataFrame({name: [cell] for name, cell in lead.items()}), model=model, **asked).iloc[0]
    reasons = [row[name] for name in row.index if str(name).startswith("reason_") and row[name]]
    said = {name: row[name] for name in ONE_LEAD_COLUMNS}
    plain = {name: None if pd.isna(value) or value == "" else value for name, value in said.items()}
    return {**plain, "reasons": reasons, "model_version": row["model_version"]}


ONE = {"Lead": "a", "Industry": " Metals", "Visits": "4", "Faxes": 0, "Demo": "", "Bounced": ""}


@pytest.mark.parametrize(
    "lead",
    [
        pytest.param(ONE, id="as a file has it"),
        pytest.param({**ONE, "Visits": 4.0, "Industry": "unseen"}, id="numbers and a level training did not keep"),
        pytest.param({**ONE, "Visits": None, "Faxes": float("nan"), "Industry": "n/a"}, id="nothing given"),
        pytest.param({" visits ": 3, "INDUSTRY": "Retail", "faxes": "1e3", "lead": "a"}, id="names of another case"),
        pytest.param({key: cell for key, cell in ONE.items() if key != "Visits"}, id="without a feature"),
        pytest.param({**ONE, "Visits": -1}, id="a count below zero"),
        pytest.param({**ONE, "Industry": "x" * 70_000}, id="a cell that is no field"),
    ],
)
def test_one_lead_alone_is_told_what_a_file_is_told(lead: dict[str, Any]) -> None:
    for model in (MODEL, replace(MODEL, verdict="no_skill"), replace(MODEL, rules=sheet(sql=50, mql=10))):
        assert predict_one(lead, model=model, n_reasons=3) == one_as_predicted(lead, model, n_reasons=3)


@pytest.mark.parametrize(
    "lead",
    [
        pytest.param({**ONE, "Lead": None, "cutoff": "2026-01-01"}, id="no id"),
        pytest.param({**ONE, "Lead": " ", "cutoff": "2026-01-01"}, id="an empty id"),
        pytest.param({**ONE, "cutoff": None}, id="no cutoff"),
        pytest.param({**ONE, "CUTOFF": float("nan")}, id="no cutoff, of another case"),
        pytest.param({**ONE, " Cutoff": "2026-01-01"}, id="a cutoff of another case"),
    ],
)
def test_one_lead_that_nobody_scores_is_told_so(lead: dict[str, Any]) -> None:
    dated = replace(MODEL, schema=replace(SCHEMA, cutoff="cutoff"))
    assert predict_one(lead, model=dated, n_reasons=3) == one_as_predicted(lead, dated, n_reasons=3)


@pytest.mark.parametrize(
    "more", [{"Branch": "1-100"}, {" BRANCH": "10,000+"}, {"Branch": ""}, {}, {"branch number": 7}]
)
def test_one_lead_has_its_derived_fields(more: dict[str, Any]) -> None:
    columns = (*SCHEMA.columns[:-1], replace(SCHEMA.columns[1], name="Branch number", is_count=False))
    deriving = replace(
        MODEL,
        schema=replace(SCHEMA, columns=columns),
        learned=replace(LEARNED, encoder=replace(LEARNED.encoder, names=("Industry", "Visits", "Branch number"))),
        plan=replace(MODEL.plan, derive={"Branch": "range"}),
    )
    lead = {name: cell for name, cell in ONE.items() if name != SCHEMA.columns[-1].name} | more
    assert predict_one(lead, model=deriving, n_reasons=3) == one_as_predicted(lead, deriving, n_reasons=3)


def test_one_lead_needs_no_id_and_no_reasons() -> None:
    anonymous = {key: cell for key, cell in ONE.items() if key != "Lead"}
    for model in (MODEL, replace(MODEL, verdict="no_skill")):
        assert predict_one(anonymous, model=model) == predict_one(ONE, model=model)
        assert predict_one(anonymous, model=model, n_reasons=0)["reasons"] == []
    with pytest.raises(InputError, match="reasons must be within"):
        predict_one(ONE, model=MODEL, n_reasons=21)


def test_reasons_that_fail_their_test_are_not_written_and_scores_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    held = score(leads(), model=MODEL)
    whole = Blend.explain_by_learner

    def shifted(blend: Blend, matrix: np.ndarray) -> tuple[Parts, dict[str, tuple[float, np.ndarray]]]:
        parts, members = whole(blend, matrix)
        moved = np.array([0.0, 2e-6, 0.0]) * (matrix[:, [1]] > 3)
        return parts._replace(contributions=parts.contributions + moved), members

    monkeypatch.setattr(Blend, "explain_by_learner", shifted)
    found = score(leads(), model=MODEL)
    assert found.tally.reasons_fault == "parts of 1 of 3 leads do not add up to the score"
    shown = [name for name in map(str, held.frame) if name.startswith("reason_") or name.endswith("_pp")]
    assert found.frame[shown].replace("", None).isna().all(axis=None)
    pd.testing.assert_frame_equal(found.frame.drop(columns=shown), held.frame.drop(columns=shown))


def test_a_large_batch_is_held_against_lightgbm_at_some_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    many = pd.concat([leads().assign(Lead=[f"{i}{lead}" for lead in "abc"]) for i in range(400)], ignore_index=True)
    assert score(many, model=MODEL).tally.reasons_fault == ""
    slow = Blend.lightgbm_contributions
    # Parts that add up, of another column each.
    monkeypatch.setattr(Blend, "lightgbm_contributions", lambda blend, rows: slow(blend, rows)[:, ::-1])
    assert score(many, model=MODEL).tally.reasons_fault.endswith("of 8 leads tried are not LightGBM's")
    assert score(leads(), model=MODEL).tally.reasons_fault == ""


def test_probabilities_bands_and_reasons_are_those_of_the_pen() -> None:
    frame = score(leads(), model=MODEL, as_of="2026-10-01").frame
    # 1 / (1 + e^-1), 1 / (1 + e^1.5), 1 / (1 + e^0.5), to nine decimals
    assert frame["probability"].to_list() == [0.731058579, 0.182425524, 0.377540669]
    assert frame["band"].to_list() == ["SQL", "nurture", "MQL"]
    assert frame["band_raw"].to_list() == frame["band"].to_list()
    assert frame["certified"].to_list() == [True, False, False]
    assert frame["scored_by"].to_list() == ["model"] * 3
    assert frame["fallback_reason"].to_list() == [""] * 3
    assert frame["points"].to_list() == [80.0, -15.0, 0.0]
    # The reference lead is at 1 / (1 + e^1) = 26.894142 %: the first lead is 46.2117 points above, half by each.
    np.testing.assert_allclose(frame["fit_pp"], [23.105858, -8.651590, 0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(frame["behaviour_pp"], [23.105858, 0, 10.859925], rtol=0, atol=1e-6)
    assert frame["reason_1"].to_list() == [
        "Industry: Metals (typical arms), +23.1 points",
        "Industry: retail (typical arms), -8.7 points",
        "Visits: 3 (typical 2), +10.9 points",
    ]
    assert frame["reason_2"].to_list() == ["Visits: 4 (typical 2), +23.1 points", "", ""]
    assert frame["as_of"].to_list() == ["2026-10-01"] * 3
    assert frame["model_version"].to_list() == ["0123456789ab"] * 3


@pytest.mark.parametrize("n_reasons", [0, 1, 4, 20])
def test_columns_stand_in_the_agreed_order_whoever_answers(n_reasons: int) -> None:
    identity = ["Lead", "as_of"]
    chance = ["probability", "p_low", "p_high", "band", "band_raw", "certified"]
    origin = ["scored_by", "fallback_reason", "override"]
    before = [*identity, *chance, *origin, "points", "fit_pp", "behaviour_pp"]
    expected = [*before, *(f"reason_{i + 1}" for i in range(n_reasons)), "model_version"]
    for model in (MODEL, rules_model(sheet(), SCHEMA)):
        assert score(leads(), model=model, n_reasons=n_reasons).frame.columns.to_list() == expected


@pytest.mark.parametrize("n_reasons", [-1, 21])
def test_a_number_of_reasons_out_of_range_is_refused(n_reasons: int) -> None:
    with pytest.raises(InputError, match=f"within 0 and 20, got {n_reasons}"):
        score(leads(), model=MODEL, n_reasons=n_reasons)


def test_an_unknown_instant_is_empty() -> None:
    assert score(leads(), model=MODEL).frame["as_of"].isna().all()


def test_without_an_id_rows_are_numbered_from_one() -> None:
    nameless = replace(MODEL, schema=replace(SCHEMA, id=None))
    frame = score(leads(), model=nameless).frame
    assert frame.columns[0] == "row"
    assert frame["row"].to_list() == [1, 2, 3]


def test_ids_come_back_exactly_as_given() -> None:
    ids = ["  007 ", "=cmd", "é"]
    assert score(leads(Lead=ids), model=MODEL).frame["Lead"].to_list() == ids


def test_leads_without_an_id_are_kept_unscored_and_degrade_nothing() -> None:
    scores = score(leads(Lead=["a", None, "n/a"]), model=MODEL)
    lost = scores.frame.iloc[1:]
    assert set(lost["band"]) == set(lost["band_raw"]) == {"unscored"}
    assert set(lost["scored_by"]) == {""}
    assert set(lost["fallback_reason"]) == {"INVALID_ROW"}
    filled = ["probability", "certified", "points", "fit_pp", "behaviour_pp"]
    assert lost[filled].isna().all(axis=None)
    assert (lost[[f"reason_{i}" for i in range(1, 5)]] == "").all(axis=None)
    assert (scores.tally.n_degraded, scores.tally.notes["missing_ids"]) == (0, 2)
    assert scores.frame["band"].iloc[0] == "SQL"


@pytest.mark.parametrize("reason", ["MODEL_MISSING", "HASH_MISMATCH", "STALE", "REGISTRY_UNAVAILABLE"])
def test_a_reason_from_outside_lets_the_rules_answer_for_every_row(reason: str) -> None:
    scores = score(leads(), model=MODEL, fallback_reason=reason)
    frame = scores.frame
    assert set(frame["scored_by"]) == {"rules"}
    assert set(frame["fallback_reason"]) == {reason}
    assert frame["band"].to_list() == ["SQL", "nurture", "nurture"]  # 80, -15 and 0 points of 40 and 70
    assert frame["probability"].isna().all()
    assert frame["certified"].to_list() == [False] * 3
    assert frame[["fit_pp", "behaviour_pp"]].isna().all(axis=None)
    assert frame["reason_1"].to_list() == ["demo: +80 points of the rules", "bounced: -15 points of the rules", ""]
    assert scores.tally.n_degraded == 0


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        pytest.param(replace(MODEL, verdict="no_skill"), "NO_SKILL", id="a model that does not rank"),
        pytest.param(rules_model(sheet(), SCHEMA), "TOO_FEW_POSITIVES", id="no model at all"),
    ],
)
def test_a_model_without_skill_lets_the_rules_answer(model: PropensityModel, reason: str) -> None:
    scores = score(leads(), model=model)
    assert set(scores.frame["fallback_reason"]) == {reason}
    assert scores.frame["band"].to_list() == ["SQL", "nurture", "nurture"]
    assert scores.tally.n_degraded == 0


AGED = replace(MODEL, facts={"data_end": "2026-01-01T00:00:00+00:00", "max_age_days": 180})


@pytest.mark.parametrize(
    ("as_of", "reason"),
    [
        ("2026-06-30T00:00:00Z", ""),  # 180 days after the data end
        ("2026-06-30", ""),
        ("2026-06-30T00:00:01Z", "STALE"),
        ("2026-06-30T01:00:00+02:00", ""),
        ("2025-01-01", ""),
        ("", ""),
    ],
)
def test_a_model_older_than_agreed_lets_the_rules_answer(as_of: str, reason: str) -> None:
    assert set(score(leads(), model=AGED, as_of=as_of).frame["fallback_reason"]) == {reason}


@pytest.mark.parametrize("fact", ["data_end", "max_age_days"])
def test_a_model_of_unknown_age_is_never_stale(fact: str) -> None:
    ageless = replace(AGED, facts={name: value for name, value in AGED.facts.items() if name != fact})
    assert set(score(leads(), model=ageless, as_of="2099-01-01").frame["scored_by"]) == {"model"}


def test_an_instant_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match=r"as_of must be an ISO date or time.*got 'soon'"):
        score(leads(), model=AGED, as_of="soon")


def test_predict_gives_the_rows_of_score() -> None:
    assert written(predict(leads(), model=MODEL, n_reasons=2)) == written(score(leads(), model=MODEL, n_reasons=2))


def test_predict_without_a_model_asks_the_rules() -> None:
    frame = predict(leads(), rules=sheet())
    assert frame["band"].to_list() == ["SQL", "nurture", "nurture"]
    assert set(frame["fallback_reason"]) == {"MODEL_MISSING"}


@pytest.mark.parametrize(
    ("given", "message"),
    [({"model": MODEL, "events": leads()}, "trained without events"), ({}, "needs a model or rules")],
)
def test_predict_says_what_it_cannot_do(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        predict(leads(), **given)


def test_rules_alone_carry_their_own_version() -> None:
    assert score(leads(), model=rules_model(sheet(), SCHEMA)).frame["model_version"][0].startswith("rules-")


def test_a_file_without_an_expected_column_is_scored_by_rules_and_counted() -> None:
    scores = score(leads().drop(columns="Visits"), model=MODEL)
    assert set(scores.frame["fallback_reason"]) == {"SIGNATURE_MISMATCH"}
    assert (scores.tally.n_degraded, scores.tally.absent) == (3, ("Visits",))


def test_a_file_without_an_optional_column_is_scored_as_if_it_were_empty() -> None:
    scores = score(leads().drop(columns="Faxes"), model=MODEL)
    assert set(scores.frame["scored_by"]) == {"model"}
    assert (scores.tally.n_degraded, scores.tally.absent) == (0, ("Faxes",))
    assert written(scores) == written(score(leads(Faxes=[None, None, None]), model=MODEL))


def test_the_reason_of_the_whole_file_goes_before_that_of_a_row() -> None:
    bad = leads(Visits=[-1, 2, 3])
    assert score(bad, model=MODEL, fallback_reason="STALE").frame["fallback_reason"].to_list() == ["STALE"] * 3
    assert score(bad.drop(columns="Industry"), model=MODEL).frame["fallback_reason"].to_list() == (
        ["SIGNATURE_MISMATCH"] * 3
    )


@pytest.mark.parametrize("bad", [{"Visits": [4, -1, 3]}, {"Industry": ["metals", "x" * 65_537, "arms"]}])
def test_a_row_the_model_cannot_read_is_scored_by_rules(bad: dict[str, object]) -> None:
    scores = score(leads(**bad), model=MODEL)
    assert scores.frame["fallback_reason"].to_list() == ["", "INVALID_ROW", ""]
    assert scores.frame["scored_by"].to_list() == ["model", "rules", "model"]
    assert scores.frame["points"].to_list() == [80.0, -15.0, 0.0]
    assert scores.tally.n_degraded == 1


def test_without_rules_nobody_can_answer_and_the_row_says_so() -> None:
    mute = replace(MODEL, rules=build_rules(RulesConfig(), missing={}))
    scores = score(leads(Visits=[4, -1, 3]), model=mute)
    assert scores.frame["band"].to_list() == ["SQL", "unscored", "MQL"]
    assert scores.frame["scored_by"].to_list() == ["model", "", "model"]
    assert scores.frame["fallback_reason"].to_list() == ["", "INVALID_ROW", ""]
    assert scores.frame["points"].isna().all()
    assert pd.isna(scores.frame["certified"][1])


MAPPED = Calibrator(slope=1.0, intercept=-1.0, limit=7.0, n_rows=1000, n_positive=200)


def test_points_mapped_to_probability_use_the_models_thresholds() -> None:
    mapped = replace(MODEL, points_calibrator=MAPPED)
    frame = score(leads(), model=mapped, fallback_reason="STALE").frame
    # Eighty points are four doublings: odds of 16 / e, or 0.854779; none are 1 / e, or 0.268941.
    np.testing.assert_allclose(frame["probability"], [0.854779, 0.179482, 0.268941], rtol=0, atol=1e-6)
    assert frame["band"].to_list() == ["SQL", "nurture", "nurture"]
    assert frame["certified"].to_list() == [False] * 3


@pytest.mark.parametrize("verdict", ["no_skill", "rules_only"])
def test_thresholds_of_a_model_without_skill_are_not_used(verdict: Any) -> None:
    generous = replace(LEARNED, bands=replace(BANDS, sql=0.2, mql=0.1))
    learned = generous if verdict == "no_skill" else None
    mapped = replace(MODEL, points_calibrator=MAPPED, verdict=verdict, learned=learned)
    frame = score(leads(), model=mapped).frame
    assert frame["band"].to_list() == ["SQL", "nurture", "nurture"]  # by 40 and 70 points
    assert frame["probability"].notna().all()


def test_levels_the_model_did_not_keep_are_counted() -> None:
    assert score(leads(), model=MODEL).tally.notes["levels_rare_or_unknown"] == 1  # arms
    assert "levels_rare_or_unknown" not in score(leads(Industry=["metals"] * 3), model=MODEL).tally.notes


def test_identical_rows_are_scored_once_and_conflicting_ones_refused() -> None:
    twice = pd.concat([leads(), leads()])
    scores = score(twice, model=MODEL)
    assert (len(scores.frame), scores.tally.notes["identical_rows"]) == (3, 3)
    with pytest.raises(InputError, match="repeat an id with other values"):
        score(pd.concat([leads(), leads(Visits=[1, 1, 1])]), model=MODEL)


def test_a_file_without_rows_or_without_the_id_is_refused() -> None:
    with pytest.raises(InputError, match="no rows"):
        score(leads().iloc[:0], model=MODEL)
    with pytest.raises(InputError, match=r"columns\.id"):
        score(leads().drop(columns="Lead"), model=MODEL)


def test_a_summary_counts_bands_who_scored_and_why() -> None:
    scores = score(leads(Visits=[4, -1, 3], Lead=["a", "b", None]), model=MODEL)
    assert scores.tally.summary() == {
        "rows": 3,
        "bands": {"SQL": 1, "nurture": 1, "unscored": 1},
        "scored_by": {"model": 1, "rules": 1},
        "fallback_reasons": {"INVALID_ROW": 2},
        "degraded": 1,
        "aside": {},
        "notes": {"negative_counts": 1, "missing_ids": 1, "levels_rare_or_unknown": 1},
        "absent": [],
        "reasons_fault": "",
    }


def ten_leads(n_bad: int) -> pd.DataFrame:
    visits = np.where(np.arange(10) < n_bad, -1, 3)
    return pd.DataFrame({"Lead": range(10), "Industry": "metals", "Visits": visits, "Faxes": 0})


def test_a_fifth_of_the_rows_may_be_degraded_and_no_more() -> None:
    check_degraded(score(ten_leads(2), model=MODEL).tally)
    with pytest.raises(
        DegradedError, match=r"30% of 10 rows .*INVALID_ROW: 3.*at most 20%.*--allow-degraded"
    ) as caught:
        check_degraded(score(ten_leads(3), model=MODEL).tally)
    assert caught.value.exit_code == 4
    assert "lacks" not in str(caught.value)


def test_a_refusal_names_the_columns_the_file_lacks() -> None:
    with pytest.raises(DegradedError, match=r"100% of 3 rows .*SIGNATURE_MISMATCH: 3.*lacks: Visits\."):
        check_degraded(score(leads().drop(columns="Visits"), model=MODEL).tally)


def test_rows_without_a_cutoff_are_nobodys_to_score() -> None:
    dated = replace(MODEL, schema=replace(SCHEMA, cutoff="cutoff"))
    frame = leads(Visits=[4, 2, -1]).assign(cutoff=pd.to_datetime(["2026-01-01", "", "2026-01-01"], utc=True))
    scores = score(frame, model=dated)
    assert scores.frame["scored_by"].to_list() == ["model", "", "rules"]
    assert scores.frame["fallback_reason"].to_list() == ["", "INVALID_ROW", "INVALID_ROW"]
    assert scores.frame["points"].isna().to_list() == [False, True, False]
    assert (scores.tally.n_degraded, scores.tally.n_untimely) == (1, 1)
    assert score(frame, model=dated, fallback_reason="STALE").frame["scored_by"].to_list() == ["rules", "", "rules"]


@pytest.mark.parametrize("cell", ["soon", "2026-13-45", "31/31/2026"])
def test_a_cutoff_that_is_no_instant_is_refused(cell: str) -> None:
    dated = replace(MODEL, schema=replace(SCHEMA, cutoff="cutoff"))
    with pytest.raises(InputError, match=r"'cutoff' of feature rows must hold instants"):
        score(leads().assign(cutoff=["2026-01-01", cell, ""]), model=dated)
    with pytest.raises(InputError, match=r"'cutoff' of feature rows must hold instants"):
        predict_one({**ONE, "cutoff": cell}, model=dated)


def test_a_part_is_judged_by_the_newest_instant_of_the_whole() -> None:
    facts = {"data_end": "2026-01-01T00:00:00+00:00", "max_age_days": 30}
    dated = replace(MODEL, schema=replace(SCHEMA, cutoff="cutoff"), facts=facts)
    part = leads().assign(cutoff="2026-01-15")
    assert {*score(part, model=dated).frame["scored_by"]} == {"model"}
    assert {*score(part, model=dated, newest="2026-03-15").frame["fallback_reason"]} == {"STALE"}


def test_leads_that_were_not_there_yet_are_no_part_of_the_share() -> None:
    dated = replace(MODEL, schema=replace(SCHEMA, cutoff="cutoff"))
    cutoff = pd.Series(pd.Timestamp("2026-01-01", tz="UTC"), index=range(10)).where(np.arange(10) < 5)
    blameless = np.array([*[""] * 5, *[CREATED_LATER] * 2, *[CONVERTED] * 3], dtype=object)
    leads = ten_leads(2).assign(cutoff=cutoff)
    with pytest.raises(DegradedError, match=r"40% of 5 rows .*\(INVALID_ROW: 2\)"):
        check_degraded(score(leads, model=dated, aside=blameless).tally)
    with pytest.raises(DegradedError, match=r"70% of 10 rows .*\(INVALID_ROW: 7\)"):
        check_degraded(score(leads, model=dated).tally)
    check_degraded(score(ten_leads(1).assign(cutoff=cutoff), model=dated, aside=blameless).tally)


@pytest.mark.parametrize("fallback", ["", "STALE"])
def test_nobody_scores_a_lead_that_had_converted(fallback: str) -> None:
    aside = np.array(["", CONVERTED, ""], dtype=object)
    scores = score(leads(), model=MODEL, aside=aside, fallback_reason=fallback)
    row = scores.frame.iloc[1]
    assert (row["band"], row["scored_by"], row["fallback_reason"]) == ("unscored", "", "ALREADY_CONVERTED")
    assert row[["probability", "points", "certified", "fit_pp", "behaviour_pp"]].isna().all()
    assert [text for name, text in row.items() if str(name).startswith("reason_") and text] == []
    assert (scores.tally.n_degraded, scores.tally.n_untimely, scores.tally.summary()["aside"]) == (0, 0, {CONVERTED: 1})
    others = [0, 2]
    expected = score(leads(), model=MODEL, fallback_reason=fallback).frame.iloc[others]
    pd.testing.assert_frame_equal(scores.frame.iloc[others], expected)


def test_rows_of_one_lead_that_are_set_aside_are_two_where_their_instants_differ() -> None:
    dated = replace(MODEL, schema=replace(SCHEMA, cutoff="cutoff"))
    frame = leads().iloc[[0, 0, 0]].assign(cutoff=pd.Series(dtype="datetime64[us, UTC]"))
    asked = pd.Series(pd.to_datetime(["2026-01-01", "2026-02-01", "2026-02-01"], utc=True))
    assert len(score(frame, model=dated, asked=asked).frame) == 2


def test_a_missing_model_is_no_reason_of_the_rows() -> None:
    check_degraded(score(ten_leads(10), model=MODEL, fallback_reason="MODEL_MISSING").tally)


WIDE = ("Industry", "Region", *(f"n{i}" for i in range(12)))


def wide_leads(n_leads: int, *, seed: int) -> pd.DataFrame:
    """Leads with many columns, so that sums have an order to differ in."""
    rng = np.random.default_rng(seed)
    numbers = {f"n{i}": np.where(rng.random(n_leads) < 0.1, np.nan, rng.normal(size=n_leads)) for i in range(12)}
    frame = pd.DataFrame(
        {
            "Lead": [f"L{i:04d}" for i in range(n_leads)],
            "Industry": rng.choice(["metals", "retail", "arms", "rare"], n_leads, p=[0.4, 0.3, 0.295, 0.005]),
            "Region": rng.choice(["north", "south", ""], n_leads),
            **numbers,
        }
    )
    is_metal = (frame["Industry"] == "metals").to_numpy(dtype=float)
    log_odds = np.nansum([numbers["n0"], numbers["n1"] * numbers["n2"], is_metal - 1], axis=0)
    return frame.assign(Won=(rng.random(n_leads) < 1 / (1 + np.exp(-log_odds))).astype(int))


@pytest.fixture(scope="module")
def wide_model() -> PropensityModel:
    """Forest and line together, calibrated by hand: what a trained model is made of."""
    frame = wide_leads(800, seed=0)
    columns = ColumnsConfig(id="Lead", target="Won", fit=WIDE[:2], behaviour=WIDE[2:])
    schema, _ = infer_schema(frame, columns, availability={}, missing={"*": ("",)})
    rows = validate(frame, schema)
    encoder = fit_encoder(rows.read, schema)
    matrix, y = encoder.encode(rows.read), frame["Won"].to_numpy(dtype=float)
    recipe = Recipe(shares={"small": 0.4, "linear": 0.6}, n_trees={"small": 60})
    blend = Learners(lambda: matrix, y, encoder=encoder, max_trees=3000, max_depth=8, seed=0).blend(recipe)
    contributions = blend.explain(matrix).contributions
    reference = fit_reference(contributions, rows.read, schema, is_nurture=np.ones(len(y), dtype=bool))
    calibrator = Calibrator(slope=1.7, intercept=0.1, limit=2.0, n_rows=800, n_positive=300)
    learned = Learned(encoder=encoder, blend=blend, calibrator=calibrator, bands=BANDS)
    line = {"name": "big", "column": "n0", "op": ">", "value": 0.5, "points": 50}
    rules = build_rules(RulesConfig.model_validate({"points": [line]}), missing={})
    return PropensityModel(schema=schema, rules=rules, verdict="skill", learned=learned, reference=reference)


def test_a_batch_is_its_rows_scored_one_by_one_bit_for_bit(wide_model: PropensityModel) -> None:
    fresh = wide_leads(80, seed=1)
    fresh.loc[[3, 40], "n4"] = np.inf
    batch = written(score(fresh, model=wide_model))
    alone = [written(score(fresh.iloc[[i]], model=wide_model))[0] for i in range(len(fresh))]
    assert batch == alone


def test_permuting_the_file_permutes_the_score_rows(wide_model: PropensityModel) -> None:
    fresh = wide_leads(300, seed=2)
    order = np.random.default_rng(0).permutation(300)
    whole = written(score(fresh, model=wide_model))
    assert written(score(fresh.iloc[order], model=wide_model)) == [whole[i] for i in order]


def test_scoring_twice_gives_the_same_bits_and_leaves_the_leads_alone(wide_model: PropensityModel) -> None:
    fresh = wide_leads(100, seed=3)
    before = fresh.copy(deep=True)
    assert written(score(fresh, model=wide_model)) == written(score(fresh, model=wide_model))
    pd.testing.assert_frame_equal(fresh, before)


def test_family_points_sum_to_the_distance_from_the_reference_lead(wide_model: PropensityModel) -> None:
    frame = score(wide_leads(300, seed=4), model=wide_model).frame
    moved = (frame["fit_pp"] + frame["behaviour_pp"]).to_numpy()
    reference = 100 * frame["probability"].to_numpy() - moved
    np.testing.assert_allclose(reference, reference[0], rtol=0, atol=1e-9)
    # The limit of 2 log-odds holds some leads, 0.8808 at most, and their sums too.
    assert 0 < (frame["probability"] > 0.88).sum() < 300


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype(object).map(
        lambda cell: "" if pd.isna(cell) else repr(cell) if isinstance(cell, float) else cell
    )


def as_decimals(frame: pd.DataFrame) -> pd.DataFrame:
    exact = frame["n0"].astype(object).map(lambda cell: None if pd.isna(cell) else Decimal(repr(cell)))
    return frame.assign(n0=exact)


SAME: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "extra columns": lambda frame: frame.assign(Extra="x", Notes=None),
    "reordered columns": lambda frame: frame[frame.columns[::-1]],
    "upper-case names": lambda frame: frame.rename(columns=str.upper),
    "padded names": lambda frame: frame.rename(columns=lambda name: f"  {name} "),
    "levels in other case and padding": lambda frame: frame.assign(Industry=" " + frame["Industry"].str.upper() + " "),
    "category dtype": lambda frame: frame.astype({"Industry": "category", "Region": "category"}),
    "object dtype": lambda frame: frame.astype(object),
    "nullable numbers": lambda frame: frame.convert_dtypes(),
    "arrow dtypes": lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
    "text": as_text,
    "decimals": as_decimals,
    "another index": lambda frame: frame.set_axis(range(1000, 1000 + len(frame))),
    "an index of one label": lambda frame: frame.set_axis([7] * len(frame)),
}


@pytest.mark.parametrize("change", SAME)
def test_how_a_table_is_written_changes_no_score(wide_model: PropensityModel, change: str) -> None:
    fresh = wide_leads(60, seed=5).drop(columns="Won")
    changed = score(SAME[change](fresh), model=wide_model, n_reasons=0)
    assert written(changed) == written(score(fresh, model=wide_model, n_reasons=0))


def test_id_column_named_like_a_score_column_is_refused_before_it_is_overwritten() -> None:
    schema = Schema(columns=(), id="points", missing=("",))
    model = rules_model(build_rules(RulesConfig(), missing={"*": [""]}), schema)
    with pytest.raises(InputError, match="Rename it"):
        score(pd.DataFrame({"points": ["a"]}), model=model)


def test_a_night_without_thresholds_starts_the_count_of_confirmations_anew() -> None:
    asked = Held(band=np.array(["SQL", "MQL", "SQL"], dtype=object), below=np.array([1, 1, 1]))
    rows = score(leads(), model=replace(MODEL, verdict="no_skill"), held=asked)
    assert rows.held is not None
    assert rows.held.band.tolist() == rows.frame["band_raw"].to_list()
    assert rows.held.below.tolist() == [0, 0, 0]
