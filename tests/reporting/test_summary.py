from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from propensity.config import Config, parse_config
from propensity.encoding import CategoryCode
from propensity.evaluation import HEADERS, Calibration
from propensity.features import FeaturePlan
from propensity.learners import CategoryTerm, Recipe, Shifts, Tuned
from propensity.metrics import Interval
from propensity.reporting import (
    VERDICTS,
    band_lines,
    model_card,
    training_json,
    training_summary,
)
from propensity.reporting.summary import calibration_lines, curve_lines, level_lines, older_line, tuned_lines
from propensity.schema import Tables
from propensity.synthetic import World, invent_leads
from propensity.training import TrainingRun, train
from propensity.training.curve import Curve, Need

FIT = ["Job title", "Industry", "Employees", "Country", "Lead source"]
BEHAVIOUR = ["Pages viewed", "Pricing page visits", "Emails clicked", "Demo requested", "Days since visit"]
RULE = {"name": "asked for a demo", "column": "Demo requested", "value": "yes", "points": 30}
STORED = {"name": "lead-propensity", "version": "1", "alias": "champion", "uri": "models:/x/1", "path": "models/x"}


@pytest.fixture(scope="module")
def world() -> World:
    return invent_leads(n_history=1200, n_new=5)


@pytest.fixture(scope="module")
def config() -> Config:
    return parse_config(
        {
            "data": {"leads": "leads.csv"},
            "columns": {"id": "Lead ID", "target": "Converted", "date": "Created", "fit": FIT, "behaviour": BEHAVIOUR},
            "availability": {"Country": "outcome"},
            "evaluation": {"origins": 1},
            "learner": {"max_trees": 20, "max_depth": 3},
            "rules": {"points": [RULE]},
        }
    )


@pytest.fixture(scope="module")
def run(world: World, config: Config) -> TrainingRun:
    with threadpool_limits(1):  # threads that wait for each other cost more than they save on so few leads
        return train(Tables(leads=world.history), config)


@pytest.fixture(scope="module")
def run_without_model(world: World, config: Config) -> TrainingRun:
    return train(Tables(leads=world.history.head(100)), config)


def judged(run: TrainingRun, **changes: Any) -> TrainingRun:
    return replace(run, model=replace(run.model, **changes))


def with_share(run: TrainingRun, share: float) -> TrainingRun:
    learned = run.model.learned
    assert learned is not None
    recipe = Recipe(shares={"small": share, "linear": 1 - share}, n_trees={"small": 20})
    return judged(run, learned=replace(learned, blend=replace(learned.blend, recipe=recipe)))


def with_bands(run: TrainingRun, *, is_certified: bool, leads_per_week: float | None) -> TrainingRun:
    learned = run.model.learned
    assert learned is not None
    sql = replace(learned.bands.sql_promise, certified=is_certified, rate=0.3, observed=0.35, low=0.31)
    bands = replace(learned.bands, sql_promise=sql, sql_share=0.05, leads_per_week=leads_per_week)
    return judged(run, learned=replace(learned, bands=bands))


# --- what training did, in words


def test_a_summary_says_how_many_leads_there_were_and_what_converted_means(run: TrainingRun, world: World) -> None:
    n = int((world.history["Converted"] == "Yes").sum())
    first, second, *_ = training_summary(run)
    assert first == f"Leads      1,200 with a known outcome, {n} converted ({n / 1200:.1%})"
    assert second.strip() == "'yes' means converted, 'no' means not"


def test_a_summary_compares_the_model_with_the_points_sheet_and_a_random_split(run: TrainingRun) -> None:
    evaluation = run.evaluation
    assert evaluation is not None
    assert evaluation.rules is not None
    assert evaluation.random is not None
    lines = training_summary(run)
    assert f"{HEADERS['time']}, then refitted on all rows." in lines
    for name, measured in (
        ("model   ", evaluation.headline),
        ("points sheet, same leads", evaluation.rules),
        ("model on a random split", evaluation.random),
    ):
        (line,) = (line for line in lines if line.startswith(name))
        auc, loss = measured.metrics["auc"], measured.metrics["log_loss"]
        assert f" {auc.value:.3f} ({auc.low:.3f}-{auc.high:.3f}) " in line
        assert f" {loss.value:.4f} " in line
    text = "\n".join(lines)
    assert f"Test leads {evaluation.headline.n_rows:,}, base rate {evaluation.headline.base_rate:.1%}" in text
    assert "Smaller log loss is better" in text
    assert "the first line is the one to believe" in text


TRUE = Calibration(
    expected=120.4,
    converted=131.0,
    oe=Interval(value=1.088, low=0.91, high=1.291),
    slope=Interval(value=0.94, low=0.82, high=1.06),
    intercept=Interval(value=0.0, low=-0.1, high=0.1),
    debiased_ce=Interval(value=0.034, low=0.0, high=0.05),
    consistency_p=0.31,
)
UNKNOWN = Interval(value=float("nan"), low=float("nan"), high=float("nan"))


def words(found: Calibration, *, unit: str = "leads") -> str:
    return " ".join(line.strip() for line in calibration_lines(found, unit=unit) if line)


def test_probabilities_that_came_true_are_told_with_expected_and_converted() -> None:
    assert words(TRUE) == (
        "calibrated for these leads: expected 120, converted 131 (O/E 1.09, 0.91-1.29); "
        "slope 0.94 (0.82-1.06); consistent with chance (p = 0.31)"
    )
    assert words(TRUE, unit="rows").startswith("calibrated for the leads of these rows: expected 120")


def test_an_error_beyond_chance_that_can_be_borne_is_told_as_one() -> None:
    little = replace(TRUE, consistency_p=0.004, debiased_ce=Interval(value=0.01, low=0.0, high=0.02))
    borne = replace(little, oe=Interval(value=1.05, low=1.02, high=1.08))
    assert words(borne).endswith("off by more than chance (p = 0.004), and by little, but more converted than expected")


@pytest.mark.parametrize(("low", "high", "more"), [(1.02, 1.4, "more"), (0.7, 0.98, "fewer"), (0.9, 1.1, "")])
def test_a_level_that_is_off_is_said_though_ten_bins_could_be_chance(low: float, high: float, more: str) -> None:
    said = words(replace(TRUE, oe=Interval(value=(low + high) / 2, low=low, high=high)))
    assert said.endswith(f", but {more} converted than expected" if more else "consistent with chance (p = 0.31)")


def test_probabilities_that_did_not_come_true_are_not_to_be_trusted() -> None:
    off = replace(TRUE, consistency_p=0.0, slope=Interval(value=-0.1, low=-0.3, high=0.1))
    assert words(off) == (
        "NOT CALIBRATED for these leads: expected 120, converted 131 (O/E 1.09, 0.91-1.29); "
        "slope -0.10 (-0.30 to 0.10); more than chance (p < 0.001): the calibration error is 0.034 beyond chance, "
        "more leads convert than expected, probabilities are too far from the average. "
        "Trust the order of leads, not the probabilities."
    )


def test_a_slope_that_nobody_can_tell_is_said_to_be_unknown() -> None:
    assert "; slope unknown; consistent with chance" in words(replace(TRUE, slope=UNKNOWN))


def test_summary_and_card_say_whether_probabilities_came_true(run: TrainingRun) -> None:
    assert run.evaluation is not None
    found = run.evaluation.headline.calibration
    lines = training_summary(run)
    for line in calibration_lines(found):
        assert line in lines
    assert max(map(len, calibration_lines(found))) <= 120
    assert f"\n| oe | {found.oe.value:.3f} | {found.oe.low:.3f} to {found.oe.high:.3f} |\n" in run.model.card
    assert f"\n| consistency_p | {found.consistency_p:.3f} | |\n" in run.model.card
    assert f"\n{words(found)[0].upper()}{words(found)[1:]}".removesuffix(".") + ".\n" in run.model.card


def test_a_summary_counts_what_was_not_used(run: TrainingRun) -> None:
    assert "not used:" not in "\n".join(training_summary(run))
    dropped = replace(run, data={**run.data, "dropped": {"target_missing": 1234, "identical": 2}})
    assert "           not used: target missing 1,234, identical 2" in training_summary(dropped)


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "logistic regression alone: boosted trees did not beat it by more than the standard error"),
        (0.3, "70% logistic regression, 30% boosted trees (20 small)"),
        (1.0, "boosted trees (20 small)"),
    ],
)
def test_a_summary_names_the_learner(run: TrainingRun, share: float, words: str) -> None:
    assert f"Learner    {words}" in training_summary(with_share(run, share))


FOUND = Tuned(settings={"num_leaves": 9, "learning_rate": 0.08, "extra_trees": True}, n_trials=7, gain=0.0123)


@pytest.mark.parametrize(
    ("tuned", "words"),
    [
        (None, None),
        (Tuned(settings={}, n_trials=0), "no trial was made, for want of time or of rows"),
        (Tuned(settings={}, n_trials=1), "1 trial, none better than the kinds that run anyway"),
        (
            FOUND,
            "7 trials; on rows they never saw, the best changed the blend's log loss by -0.0123: not surely better",
        ),
        (replace(FOUND, is_used=True), "log loss by -0.0123: surely better, so it takes part"),
    ],
)
def test_summary_json_and_card_say_what_tuning_found_and_what_became_of_it(
    run: TrainingRun, tuned: Tuned | None, words: str | None
) -> None:
    learned, evaluation = run.model.learned, run.evaluation
    assert learned is not None
    recipe = replace(learned.blend.recipe, tuned=tuned)
    of = judged(run, learned=replace(learned, blend=replace(learned.blend, recipe=recipe)))
    summary, card = "\n".join(training_summary(of)), model_card(of.model, evaluation, run.audit)
    told = training_json(of, STORED)["learner"]
    if tuned is None:
        assert "tuned" not in told
        assert "tuned" not in summary
        assert "Tuning" not in card
    else:
        assert told["tuned"] == tuned.to_dict()
        assert words is not None
        assert words in summary
        assert words in card
        assert ("all is as without tuning" in summary) is not tuned.is_used
        assert ("num_leaves 9, learning_rate 0.08, extra_trees true" in summary) is bool(tuned.settings)
    assert tuned_lines(None) == []


def test_a_summary_says_when_older_leads_count_less(run: TrainingRun) -> None:
    learned = run.model.learned
    assert learned is not None
    assert not any("older leads" in line for line in training_summary(run))
    recipe = replace(learned.blend.recipe, half_life=0.25)
    aged = judged(run, learned=replace(learned, blend=replace(learned.blend, recipe=recipe)))
    assert any("older leads count less: by half for each 25% of all" in line for line in training_summary(aged))


@pytest.mark.parametrize("verdict", ["skill", "no_skill"])
def test_a_summary_ends_with_the_verdict_and_what_to_note(run: TrainingRun, verdict: str) -> None:
    lines = training_summary(replace(judged(run, verdict=verdict), warnings=("First.", "Second.")))
    assert lines[-5:] == [VERDICTS[verdict], "", "Please note", "  - First.", "  - Second."]
    assert training_summary(replace(run, warnings=()))[-1] == VERDICTS["skill"]


def test_too_few_conversions_are_said_without_figures(run_without_model: TrainingRun) -> None:
    text = "\n".join(training_summary(run_without_model))
    assert VERDICTS["rules_only"] in text
    assert "AUC" not in text
    assert "a model needs at least 40 that did and 40 that did not" in text


@pytest.mark.parametrize(
    ("leads_per_week", "volume"), [(40.0, "about 2.0 a week (5.0%)"), (None, "about 50 of 1,000 leads (5.0%)")]
)
@pytest.mark.parametrize(
    ("is_certified", "stand"),
    [
        (True, "certified (observed 35.0%, at least 31.0%)"),
        (False, "NOT CERTIFIED (observed 35.0% on {n_leads} leads)"),
    ],
)
def test_a_band_says_its_volume_its_promise_and_what_it_held(
    run: TrainingRun, leads_per_week: float | None, volume: str, is_certified: bool, stand: str
) -> None:
    learned = with_bands(run, is_certified=is_certified, leads_per_week=leads_per_week).model.learned
    assert learned is not None
    assert run.evaluation is not None
    head, threshold, promise, held, *mql = band_lines(learned.bands, run.evaluation)
    assert head == "Bands"
    assert threshold == f"  SQL      probability >= {learned.bands.sql:.4f}: {volume}"
    assert promise.strip() == f"promise: 30% convert - {stand.format(n_leads=learned.bands.sql_promise.n_leads)}"
    tested = run.evaluation.bands().iloc[0]
    assert held.strip().startswith(
        f"test leads, at the threshold set before them: {tested['leads']} leads, converted {tested['rate']:.1%}"
    )
    assert mql[0].startswith("  MQL      probability >= ")


@pytest.mark.parametrize("is_off", [True, False])
def test_bands_say_where_probabilities_were_off_on_the_test_leads(run: TrainingRun, is_off: bool) -> None:
    learned, evaluation = run.model.learned, run.evaluation
    assert learned is not None
    assert evaluation is not None
    oe = Interval(value=2.0, low=1.8, high=2.2) if is_off else Interval(value=1.0, low=0.9, high=1.1)
    calibration = replace(evaluation.headline.calibration, oe=oe, consistency_p=0.001 if is_off else 0.5)
    judged = replace(evaluation, headline=replace(evaluation.headline, calibration=calibration))
    assert judged.is_calibrated is not is_off
    assert ("The probabilities were off on the test leads" in band_lines(learned.bands, judged)[-1]) is is_off


def test_a_band_that_held_no_test_lead_says_none(run: TrainingRun) -> None:
    learned, evaluation = run.model.learned, run.evaluation
    assert learned is not None
    assert evaluation is not None
    band = evaluation.test.band.copy()
    band[:] = "nurture"
    lines = band_lines(learned.bands, replace(evaluation, test=replace(evaluation.test, band=band)))
    assert sum("test leads, at the threshold set before them: 0 leads, converted none" in line for line in lines) == 2


def test_the_json_of_a_run_holds_the_agreed_keys(run: TrainingRun) -> None:
    values = json.loads(json.dumps(training_json(run, STORED), allow_nan=False))
    agreed = ["model", "data", "audit", "learner", "metrics", "thresholds", "verdict", "warnings"]
    assert [*values] == [*agreed, "flaws", "learning_curve", "importance"]
    assert values["model"] == STORED
    assert {*values["data"]} == {"rows", "positives", "base_rate", "matured", "dropped"}
    assert {*values["audit"][0]} == {"column", "role", "verdict", "evidence", "price"}
    assert {*values["metrics"]} == {"time", "random", "rules"}
    figures = {"auc", "average_precision", "log_loss", "constant_log_loss", "brier", "ece", "lift_at_10"}
    for name in figures:
        assert {*values["metrics"]["time"][name]} >= {"value", "low", "high"}
    assert {*values["thresholds"]} == {"mql", "sql", "policy", "certified", "promise"}
    assert values["verdict"] == "skill"


def test_the_json_of_a_run_without_a_model_is_whole_too(run_without_model: TrainingRun) -> None:
    values = json.loads(json.dumps(training_json(run_without_model, STORED), allow_nan=False))
    assert (values["learner"], values["metrics"], values["thresholds"]) == ({}, {}, {})
    assert values["verdict"] == "rules_only"


def test_corrected_segments_are_told_as_what_they_make_of_an_average_lead(run: TrainingRun) -> None:
    learned = run.model.learned
    assert learned is not None
    assert training_json(run, STORED)["learner"]["corrected_segments"] == []
    assert not any("corrected" in line for line in training_summary(run))
    column = learned.encoder.names.index("Lead source")
    code = learned.encoder.codes[column]
    assert isinstance(code, CategoryCode)
    slope = learned.calibrator.slope
    half = CategoryTerm(
        values=tuple(np.log(0.5) / slope if k == 1 else 0.0 for k in range(code.n_codes)),
        missing=np.log(1.25) / slope,
        mean=0.0,
    )
    shifts = Shifts(terms={column: half})
    corrected = judged(run, learned=replace(learned, blend=replace(learned.blend, shifts=shifts)))
    assert training_json(corrected, STORED)["learner"]["corrected_segments"] == [
        {"column": "Lead source", "segment": code.levels[0], "odds_ratio": 0.5},
        {"column": "Lead source", "segment": None, "odds_ratio": 1.25},
    ]
    rate = run.data["base_rate"]
    told = f"Lead source = {code.levels[0]}: odds times 0.50; what would be {rate:.1%} is {rate / (2 - rate):.1%}"
    assert any(line.strip() == told for line in training_summary(corrected))
    card = model_card(corrected.model, None, ())
    assert "## Segments" in card
    assert f"- {told}." in card


# --- the model card


def test_the_card_holds_no_value_of_a_lead(run: TrainingRun, world: World) -> None:
    card = run.model.card
    assert "| Industry | fit | category |" in card
    for name in ("Lead ID", "Email", "First name", "Job title", "Industry", "Country", "Lead source", "Lead status"):
        for value in world.history[name].unique():
            # "Student", say: no word of the card itself.
            assert not re.search(rf"\b{re.escape(str(value))}\b", card), (name, value)


def test_the_card_says_what_the_model_is_for_and_who_decides(run: TrainingRun) -> None:
    assert "Human review is required." in run.model.card
    assert "Not for: pricing, credit, insurance, hiring" in run.model.card
    assert VERDICTS["skill"] in run.model.card
    assert "\n- Lead status: the config names it nowhere\n" in run.model.card


def test_the_card_of_rules_alone_has_no_figures(run_without_model: TrainingRun) -> None:
    assert VERDICTS["rules_only"] in run_without_model.model.card
    assert "## Evaluation" not in run_without_model.model.card
    assert "## Bands" not in run_without_model.model.card


def test_a_column_name_cannot_break_out_of_its_cell(run: TrainingRun) -> None:
    column = replace(run.model.schema.columns[0], name="a|b\n## Use\n" + "x" * 500)
    schema = replace(run.model.schema, columns=(column,))
    audit = [{"column": "c|d\n# Title", "verdict": "UNUSED", "evidence": "named\nnowhere"}]
    card = model_card(replace(run.model, schema=schema, plan=FeaturePlan()), None, audit)
    assert "| a\\|b ## Use xxx" in card
    assert "\n- c\\|d # Title: named nowhere\n" in card
    assert card.count("\n## Use\n") == 1


def test_older_leads_help_or_hurt_only_where_the_interval_says_so() -> None:
    assert older_line(Interval(value=0.02, low=0.01, high=0.03)).startswith("Older leads help: ")
    assert older_line(Interval(value=-0.02, low=-0.03, high=-0.01)).startswith("Older leads hurt: ")
    assert "no difference that can be told" in older_line(Interval(value=0.01, low=-0.01, high=0.03))


def test_a_month_that_is_off_is_named_and_others_are_not(run: TrainingRun) -> None:
    assert run.evaluation is not None
    test = run.evaluation.test
    n = len(test.y)
    month = np.where(np.arange(n) % 2, "2026-01", "2026-02")
    off = replace(test, period=month, slices={}, probability=np.where(month == "2026-01", 0.9, float(test.y.mean())))
    lines = level_lines(replace(run.evaluation, test=replace(test, slices={}), judged=off))
    assert [line.split()[1] for line in lines if " off: " in line] == ["2026-01:"]


def test_the_learning_curve_is_a_sentence_a_person_can_plan_with() -> None:
    gain = Interval(value=0.004, low=0.001, high=0.009)
    need = Need(goal="skill", growth=1.5, low=1.2, high=float("inf"))
    never = Need(goal="certified", growth=float("inf"), low=2.0, high=float("inf"))
    curve = Curve(positives=200, months=12.0, next_gain=gain, next_error=0.002, needs=(need, never))
    first, second, third = curve_lines(curve)
    assert first == "More leads twice the history is expected to lower the log loss by 0.0040 (0.0010 to 0.0090)"
    assert second.strip() == (
        "about 100 more conversions (at least 40) until the model can be shown to beat the base rate; "
        "at the present pace about 6 months"
    )
    assert "will not certify" in third


def test_too_few_conversions_say_how_many_more_until_a_model_is_tried(run_without_model: TrainingRun) -> None:
    missing = 40 - run_without_model.data["positives"]
    told = "\n".join(training_summary(run_without_model))
    assert f"about {missing} more conversions until a model is tried; at the present pace about " in told
    needs = training_json(run_without_model, STORED)["learning_curve"]["needs"]
    assert needs["model"]["conversions"] == missing
