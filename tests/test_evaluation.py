from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from propensity.evaluation import (
    HEADERS,
    Calibration,
    Predictions,
    evaluate,
    measure_predictions,
    pool,
)
from propensity.metrics import Interval, observed_over_expected

FIELDS = ("y", "probability", "constant", "rules", "band", "groups")


def predictions(
    y: np.ndarray,
    probability: np.ndarray,
    *,
    past_rate: float = 0.2,
    rules: np.ndarray | None = None,
    band: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> Predictions:
    return Predictions(
        y=y,
        probability=probability,
        constant=np.full(len(y), past_rate),
        rules=np.full(len(y), np.nan) if rules is None else rules,
        band=np.full(len(y), "nurture", dtype=object) if band is None else band,
        groups=np.arange(len(y)) if groups is None else groups,
    )


def drawn(n_leads: int = 2000, *, seed: int = 0, shift: float = 0.0) -> Predictions:
    """A perfect model of leads whose log-odds spread by one and a half; the world may move by `shift` after it."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(-1.5, 1.5, n_leads)
    y = rng.random(n_leads) < 1 / (1 + np.exp(-log_odds - shift))
    probability = 1 / (1 + np.exp(-log_odds))
    return predictions(y.astype(float), probability, past_rate=float(probability.mean()))


def guesses(n_leads: int = 2000, *, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    return predictions((rng.random(n_leads) < 0.2).astype(float), rng.uniform(0.1, 0.3, n_leads))


def test_the_price_of_an_override_counts_a_lead_once_however_often_it_was_seen() -> None:
    # Three leads, of which the first was seen four times; the rule holds of it and of the second.
    part = replace(
        predictions(
            np.array([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
            np.full(6, 0.2),
            band=np.array(["nurture"] * 5 + ["SQL"], dtype=object),
            groups=np.array([0, 0, 0, 0, 1, 2]),
        ),
        weight=np.array([0.25, 0.25, 0.25, 0.25, 1.0, 1.0]),
        overrides={"talk": ("SQL", np.array([True, True, True, True, True, False]))},
    )
    (row,) = evaluate([part], kind="time", random=None, seed=0).overrides().to_dict("records")
    assert (row["holds"], row["moved"], row["converted"], row["rate"]) == (2.0, 2.0, 1.25, 0.625)


def test_figures_are_those_of_scikit_learn() -> None:
    part = drawn()
    measured = measure_predictions(part, seed=0)
    value = {name: interval.value for name, interval in measured.metrics.items()}
    assert value["auc"] == pytest.approx(roc_auc_score(part.y, part.probability), abs=1e-12)
    assert value["average_precision"] == pytest.approx(average_precision_score(part.y, part.probability), abs=1e-12)
    assert value["log_loss"] == pytest.approx(log_loss(part.y, part.probability), abs=1e-12)
    assert value["brier"] == pytest.approx(brier_score_loss(part.y, part.probability), abs=1e-12)
    assert value["constant_log_loss"] == pytest.approx(log_loss(part.y, part.constant), abs=1e-12)
    assert (measured.n_rows, measured.n_positive) == (2000, part.y.sum())
    assert measured.base_rate == part.y.mean()
    assert measured.past_rate == pytest.approx(part.constant[0], abs=1e-12)
    for interval in measured.metrics.values():
        assert interval.low < interval.value < interval.high


def test_leads_of_one_account_widen_the_interval() -> None:
    part = drawn(500)
    copies: dict[str, Any] = {name: np.tile(getattr(part, name), 9) for name in FIELDS}
    repeated = replace(part, **copies)
    alone = predictions(repeated.y, repeated.probability)  # the same 4,500 rows as if each were a lead of its own
    together = measure_predictions(repeated, seed=0).metrics["auc"]
    apart = measure_predictions(alone, seed=0).metrics["auc"]
    assert together.value == apart.value
    # Nine copies hold the news of one: the interval is three times as wide, give or take its own noise.
    assert (together.high - together.low) / (apart.high - apart.low) == pytest.approx(3, abs=0.6)


def test_the_rules_can_be_measured_instead_of_the_model() -> None:
    part = drawn()
    backwards = predictions(part.y, part.probability, rules=1 - part.probability)
    model, rules = measure_predictions(backwards, seed=0), measure_predictions(backwards, seed=0, rules=True)
    assert rules.metrics["auc"].value == pytest.approx(1 - model.metrics["auc"].value, abs=1e-12)


def test_one_outcome_leaves_ranking_undefined_and_json_says_nothing() -> None:
    nobody = predictions(np.zeros(50), np.linspace(0.1, 0.2, 50))
    figures = measure_predictions(nobody, seed=0).to_dict()
    assert figures["auc"] == {"value": None, "low": None, "high": None}
    assert figures["positives"] == 0
    json.dumps(figures, allow_nan=False)


def test_parts_are_pooled_in_order() -> None:
    first = predictions(np.array([1.0, 0.0]), np.array([0.9, 0.1]), past_rate=0.5)
    second = predictions(np.array([1.0]), np.array([0.3]), past_rate=0.25)
    pooled = pool([first, second])
    assert pooled.y.tolist() == [1.0, 0.0, 1.0]
    assert pooled.probability.tolist() == [0.9, 0.1, 0.3]
    assert pooled.constant.tolist() == [0.5, 0.5, 0.25]


def test_in_time_the_newest_block_is_the_headline_and_folds_are_pooled() -> None:
    parts = [drawn(300, seed=1), drawn(400, seed=2)]
    in_time = evaluate(parts, kind="time", random=None, seed=0)
    in_folds = evaluate(parts, kind="folds", random=None, seed=0)
    assert (in_time.headline.n_rows, in_folds.headline.n_rows) == (400, 700)
    assert in_time.test is parts[1]
    assert [part.n_rows for part in in_time.parts] == [300, 400]
    assert in_time.gain_low == in_folds.gain_low  # skill is judged on all of them either way


def test_figures_are_filed_under_what_judged_them() -> None:
    part, random = drawn(400), drawn(300, seed=3)
    in_time = evaluate([part], kind="time", random=random, seed=0).to_dict()
    in_folds = evaluate([part], kind="folds", random=None, seed=0).to_dict()
    assert set(in_time) == {"time", "random", "rules"}
    assert set(in_folds) == {"folds", "random", "rules"}
    assert len(in_time["time"]["origins"]) == len(in_folds["folds"]["folds"]) == 1
    assert in_time["random"]["rows"] == 300
    assert in_folds["random"] is None
    assert in_time["rules"] is None  # no sheet was mapped to probability
    json.dumps(in_time, allow_nan=False)
    assert "NOT TIME-VALIDATED" in HEADERS["folds"]


def test_rules_are_measured_where_every_row_has_their_word() -> None:
    part = drawn(400)
    with_rules = predictions(part.y, part.probability, rules=part.probability**2)
    evaluation = evaluate([with_rules], kind="time", random=None, seed=0)
    assert evaluation.rules is not None
    assert evaluation.to_dict()["rules"]["auc"]["value"] == pytest.approx(evaluation.headline.metrics["auc"].value)
    some = predictions(part.y, part.probability, rules=np.where(np.arange(400) < 9, np.nan, 0.2))
    assert evaluate([some], kind="time", random=None, seed=0).rules is None


def test_a_perfect_model_gains_and_guesses_do_not() -> None:
    perfect = evaluate([drawn(), drawn(seed=1)], kind="time", random=None, seed=0)
    guessed = evaluate([guesses(), guesses(seed=1)], kind="time", random=None, seed=0)
    assert perfect.gain_low > 0.05
    assert perfect.ranking_gain_low > 0.05
    assert guessed.gain_low < 0
    assert guessed.ranking_gain_low < 0


def test_a_base_rate_that_moved_hides_skill_from_the_plain_gain_alone() -> None:
    moved = evaluate([drawn(seed=0, shift=-3.0), drawn(seed=1, shift=-3.0)], kind="time", random=None, seed=0)
    assert moved.gain_low < 0 < moved.ranking_gain_low


def test_the_gain_bound_is_below_the_mean_gain_by_its_noise() -> None:
    part = drawn()
    evaluation = evaluate([part], kind="time", random=None, seed=0)
    gain = np.where(part.y == 1, np.log(part.probability / part.constant), 0)
    gain += np.where(part.y == 0, np.log((1 - part.probability) / (1 - part.constant)), 0)
    normal = gain.mean() - 1.645 * gain.std() / np.sqrt(len(gain))
    # The bootstrap of 400 draws knows the 5 % point to about a tenth of the standard error, 0.009.
    assert evaluation.gain_low == pytest.approx(normal, abs=0.003)


def test_a_part_of_one_outcome_gains_nothing_and_breaks_nothing() -> None:
    nobody = predictions(np.zeros(200), np.linspace(0.05, 0.3, 200))
    evaluation = evaluate([nobody], kind="time", random=None, seed=0)
    assert evaluation.ranking_gain_low == pytest.approx(0, abs=1e-9)


def test_reliability_of_a_perfect_model_lies_in_its_own_band() -> None:
    table = evaluate([drawn(5000)], kind="time", random=None, seed=0).reliability()
    assert table.columns.to_list() == ["probability", "rate", "low", "high", "leads"]
    assert table["leads"].to_list() == [500] * 10
    assert table["probability"].is_monotonic_increasing
    # Each bin is outside one time in twenty: all ten within, or all but one, 91 times of 100; this seed is one.
    assert table["rate"].between(table["low"], table["high"]).sum() >= 9


def test_reliability_of_two_levels_has_two_rows() -> None:
    y = np.repeat([1.0, 0.0, 1.0, 0.0], [10, 90, 30, 70])
    table = evaluate([predictions(y, np.repeat([0.1, 0.3], 100))], kind="time", random=None, seed=0).reliability()
    assert table["probability"].to_list() == pytest.approx([0.1, 0.3])
    assert table["rate"].to_list() == pytest.approx([0.1, 0.3])
    # 95 % of a hundred draws of 0.1 convert 5 to 16 times; 500 simulations find that to one lead either way.
    assert table["low"][0] == pytest.approx(stats.binom.ppf(0.025, 100, 0.1) / 100, abs=0.011)
    assert table["high"][0] == pytest.approx(stats.binom.ppf(0.975, 100, 0.1) / 100, abs=0.011)


def test_gain_counts_conversions_among_the_best_scored() -> None:
    # Ten leads, two conversions: the best and the fifth.
    y = np.array([1, 0, 0, 0, 1, 0, 0, 0, 0, 0], dtype=float)
    table = evaluate([predictions(y, np.linspace(0.9, 0.1, 10))], kind="time", random=None, seed=0).gain()
    at = table.set_index(table["share"].round(2))
    assert at["found"][[0.1, 0.4, 0.5, 1.0]].to_list() == pytest.approx([0.5, 0.5, 1.0, 1.0])
    assert at["found"][0.05] == pytest.approx(0.25)  # half a lead is half of what it holds
    assert at["lift"][[0.1, 0.5, 1.0]].to_list() == pytest.approx([5.0, 2.0, 1.0])


def test_gain_without_a_conversion_is_zero() -> None:
    table = evaluate([predictions(np.zeros(10), np.linspace(0.1, 0.2, 10))], kind="time", random=None, seed=0).gain()
    assert (table["found"] == 0).all()


def test_bands_are_tabulated_with_exact_intervals() -> None:
    band = np.repeat(np.array(["SQL", "nurture"], dtype=object), [20, 80])
    y = np.concatenate([np.repeat([1.0, 0.0], [8, 12]), np.zeros(80)])
    table = evaluate([predictions(y, np.linspace(0.9, 0.1, 100), band=band)], kind="time", random=None, seed=0).bands()
    assert table["band"].to_list() == ["SQL", "MQL", "nurture"]
    assert table["leads"].to_list() == [20, 0, 80]
    assert table["share"].to_list() == [0.2, 0.0, 0.8]
    assert table["converted"].to_list() == [8, 0, 0]
    exact = stats.binomtest(8, 20).proportion_ci(0.95)
    assert table[["low", "high"]].to_numpy()[0].tolist() == pytest.approx([exact.low, exact.high], abs=1e-9)
    assert np.isnan(table["rate"][1])
    assert table[["low", "high"]].to_numpy()[1].tolist() == [0.0, 1.0]


# ---- whether probabilities came true ---------------------------------------------------------------------------------


def interval(value: float, low: float, high: float) -> Interval:
    return Interval(value=value, low=low, high=high)


TRUE = Calibration(
    expected=120.0,
    converted=131.0,
    oe=interval(1.09, 0.91, 1.2),
    slope=interval(0.94, 0.82, 1.06),
    intercept=interval(0.0, -0.1, 0.1),
    debiased_ce=interval(0.01, 0.0, 0.03),
    consistency_p=0.31,
)
UNKNOWN = interval(float("nan"), float("nan"), float("nan"))
OFF = {
    "debiased_ce": (interval(0.034, 0.01, 0.05), "the calibration error is 0.034 beyond chance"),
    "oe": (interval(1.2, 1.1, 1.3), "more leads convert than expected"),
    "slope": (interval(0.8, 0.7, 0.9), "probabilities are too far from the average"),
}


@pytest.mark.parametrize("name", OFF)
def test_an_error_fails_only_if_it_is_more_than_chance_and_matters(name: str) -> None:
    figure, words = OFF[name]
    changed: dict[str, Any] = {name: figure}
    off = replace(TRUE, **changed)
    assert TRUE.is_calibrated
    assert replace(TRUE, consistency_p=0.001).is_calibrated  # more than chance, and does not matter
    assert off.is_calibrated  # would matter, and may be chance
    assert replace(off, consistency_p=0.01).is_calibrated  # below 0.01, not at it
    both = replace(off, consistency_p=0.009)
    assert not both.is_calibrated
    assert both.reasons == (words,)


def test_reasons_say_in_which_direction_it_is_off() -> None:
    off = replace(TRUE, consistency_p=0.0, oe=interval(0.7, 0.6, 0.79), slope=interval(1.3, 1.1, 1.5))
    assert off.reasons == ("fewer leads convert than expected", "probabilities are too close to the average")


def test_a_figure_that_nobody_can_tell_is_no_reason() -> None:
    assert replace(TRUE, consistency_p=0.0, slope=UNKNOWN, debiased_ce=UNKNOWN).is_calibrated


@pytest.mark.parametrize(
    ("p", "words"), [(0.0, "p < 0.001"), (0.001, "p = 0.001"), (0.307, "p = 0.31"), (1.0, "p = 1")]
)
def test_a_p_value_reads_as_people_print_it(p: float, words: str) -> None:
    assert replace(TRUE, consistency_p=p).p_words == words


def test_a_perfect_model_is_calibrated_and_one_whose_world_moved_is_not() -> None:
    perfect = evaluate([drawn(4000)], kind="time", random=None, seed=0)
    assert perfect.is_calibrated
    found = perfect.headline.calibration
    assert found.converted == perfect.test.y.sum()
    assert found.expected == pytest.approx(perfect.test.probability.sum())
    for name, target in (("oe", 1.0), ("cox_slope", 1.0), ("cox_intercept", 0.0)):
        assert found.figures[name].low < target < found.figures[name].high
    assert found.debiased_ce.low == 0
    moved = evaluate([drawn(4000, shift=1.0)], kind="time", random=None, seed=0)
    assert not moved.is_calibrated
    assert "more leads convert than expected" in moved.headline.calibration.reasons


def test_probabilities_that_are_too_bold_have_a_small_slope() -> None:
    part = drawn(4000)
    odds = (part.probability / (1 - part.probability)) ** 2
    found = measure_predictions(predictions(part.y, odds / (1 + odds)), seed=0).calibration
    assert found.slope.value == pytest.approx(0.5, abs=0.05)  # 4,000 leads know a slope of one to 0.04
    assert "probabilities are too far from the average" in found.reasons


def test_snapshots_of_a_lead_are_measured_as_the_lead_is() -> None:
    part = drawn(500)
    copies: dict[str, Any] = {name: np.repeat(getattr(part, name), 4) for name in FIELDS}
    snapshots = replace(part, **copies, weight=np.full(2000, 0.25))
    once, often = (measure_predictions(rows, seed=0).calibration for rows in (part, snapshots))
    assert [often.expected, often.converted] == pytest.approx([once.expected, once.converted])
    assert [*often.oe.to_dict().values()] == pytest.approx([*once.oe.to_dict().values()])
    assert [*often.slope.to_dict().values()] == pytest.approx([*once.slope.to_dict().values()])
    # Widened draws of quarters are no draws of leads to the digit.
    assert often.consistency_p == pytest.approx(once.consistency_p, abs=0.15)


def test_json_holds_the_calibration_of_every_part() -> None:
    values = evaluate([drawn(300, seed=1), drawn(400)], kind="time", random=drawn(300), seed=0).to_dict()
    for figures in (values["time"], *values["time"]["origins"], values["random"]):
        for name in ("oe", "cox_slope", "cox_intercept", "debiased_ce"):
            assert {*figures[name]} == {"value", "low", "high"}
        assert 0 <= figures["consistency_p"] <= 1
        assert figures["is_calibrated"] is True
        assert figures["miscalibration"] == []
        assert figures["expected"] > 0


def test_scores_are_counted_by_outcome_and_none_is_lost() -> None:
    y, probability = np.array([0.0, 1.0, 1.0, 0.0]), np.array([0.0, 0.2, 0.4, 0.39])
    part = Predictions(
        y=y,
        probability=probability,
        constant=np.full(4, 0.5),
        rules=np.full(4, np.nan),
        band=np.full(4, "MQL", dtype=object),
        groups=np.arange(4),
    )
    table = evaluate([part], kind="time", random=None, seed=0).scores()
    assert len(table) == 40
    assert (table["low"].iloc[0], table["high"].iloc[-1]) == (0.0, 0.4)
    assert table[table["converted"] > 0].index.to_list() == [20, 39]
    assert table[table["not_converted"] > 0].index.to_list() == [0, 39]


def test_a_part_that_nobody_converted_in_is_measured_all_the_same() -> None:
    nobody = predictions(np.zeros(300), np.linspace(0.05, 0.3, 300))
    evaluation = evaluate([nobody], kind="time", random=None, seed=0)
    figures = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))["time"]
    assert figures["cox_slope"] == {"value": None, "low": None, "high": None}
    assert figures["oe"]["value"] == 0
    # Bins of 0.025 from 0.05: the root of the mean square of their middles.
    assert figures["miscalibration"] == [
        "the calibration error is 0.189 beyond chance",
        "fewer leads convert than expected",
    ]
    assert {"metrics", "reliability", "gain", "scores", "bands"} == {*evaluation.tables()}


def test_the_same_rows_give_the_same_tables() -> None:
    first, second = (evaluate([segmented()], kind="time", random=None, seed=0).tables() for _ in range(2))
    for name, table in first.items():
        pd.testing.assert_frame_equal(table, second[name], check_exact=True)


# ---- tables ----------------------------------------------------------------------------------------------------------


def test_the_table_of_figures_holds_model_rules_constant_and_random_split() -> None:
    part = drawn(400)
    with_rules = predictions(part.y, part.probability, rules=np.full(400, 0.3))
    evaluation = evaluate([with_rules], kind="time", random=drawn(300), seed=0)
    table = evaluation.metrics_table()
    assert table.columns.to_list() == ["predictor", "figure", "value", "low", "high"]
    assert [*dict.fromkeys(table["predictor"])] == ["model", "rules", "random split", "constant"]
    at: Any = table.set_index(["predictor", "figure"])
    assert at["value"]["model", "auc"] == evaluation.headline.metrics["auc"].value
    assert at["value"]["constant", "log_loss"] == pytest.approx(log_loss(part.y, with_rules.constant), abs=1e-12)
    constant = observed_over_expected(part.y, with_rules.constant, groups=part.groups)
    assert at.loc[("constant", "oe")].to_list() == [constant.value, constant.low, constant.high]
    assert at["value"]["rules", "oe"] == pytest.approx(part.y.sum() / 120)
    assert np.isnan(at["low"]["model", "consistency_p"])
    assert not at.index.duplicated().any()
    alone = evaluate([part], kind="folds", random=None, seed=0).metrics_table()
    assert [*dict.fromkeys(alone["predictor"])] == ["model", "constant"]


CHANNELS = np.array(["ads", "web", "fair", None], dtype=object)


def segmented(*, seed: int = 0, n_leads: int = 4000) -> Predictions:
    """A perfect model, but for leads of the fair: of those half as many convert."""
    part = drawn(n_leads, seed=seed)
    channel = CHANNELS[np.arange(n_leads) % 4]
    rng = np.random.default_rng(seed)
    y = np.where((channel == "fair") & (rng.random(n_leads) < 0.5), 0.0, part.y)
    size = np.where(np.arange(n_leads) < 7, "tiny", "large").astype(object)
    return replace(
        part,
        y=y,
        slices={"Channel": channel, "Size": size},
        period=np.where(np.arange(n_leads) < n_leads // 2, "2026-01", "2026-02"),
    )


def test_segments_are_held_against_what_was_expected_of_them() -> None:
    part = segmented()
    table: Any = evaluate([part], kind="time", random=None, seed=0).slices().set_index(["column", "segment"])
    assert [*table.index] == [
        ("Channel", "ads"),
        ("Channel", "fair"),
        ("Channel", "missing"),
        ("Channel", "web"),
        ("Size", "large"),
        ("Size", "other"),  # seven leads are told by no name
    ]
    fair = table.loc[("Channel", "fair")]
    inside = part.slices["Channel"] == "fair"
    assert fair["leads"] == 1000
    assert fair["converted"] == part.y[inside].sum()
    assert fair["expected"] == pytest.approx(part.probability[inside].sum())
    assert fair["auc"] == pytest.approx(roc_auc_score(part.y[inside], part.probability[inside]), abs=1e-12)
    exact = stats.poisson.cdf(fair["converted"], fair["high"] * fair["expected"])
    assert exact == pytest.approx(0.025, abs=1e-9)
    # Half the conversions of a quarter of the leads: an eighth of all, which is beyond chance, and bearable.
    assert table["is_off"][table["is_off"]].index.to_list() == [("Channel", "fair"), ("Size", "large")]
    assert table["is_far"][table["is_far"]].index.to_list() == [("Channel", "fair")]


def test_a_segment_too_small_to_be_judged_is_never_off() -> None:
    part = segmented(n_leads=400)  # a hundred leads of the fair, some thirty expected to convert
    fair = evaluate([replace(part, y=np.zeros(400))], kind="time", random=None, seed=0).slices().iloc[1]
    assert fair["segment"] == "fair"
    assert fair["expected"] < 50
    assert fair["p_value"] < 1e-6
    assert not fair["is_off"]
    assert not fair["is_far"]
    assert np.isnan(fair["auc"])


def test_of_many_segments_that_are_right_hardly_any_is_off() -> None:
    named = 0
    evaluation = evaluate([drawn(300)], kind="time", random=None, seed=0)
    for seed in range(60):
        labels = np.arange(6000) % 20  # twenty segments of some eighty conversions
        table = replace(evaluation, test=replace(drawn(6000, seed=seed), slices={"Team": labels})).slices()
        assert (table["expected"] >= 50).all()
        named += int(table["is_off"].any())
    # Where all are right, 5 % of tables name one: 3 of 60, and 9 or more once in 300.
    assert named < 9


def test_without_segments_and_months_there_are_columns_and_no_rows() -> None:
    evaluation = evaluate([drawn(300)], kind="time", random=None, seed=0)
    assert len(evaluation.slices()) == len(evaluation.by_month()) == 0
    assert {"column", "segment", "oe", "is_off"} <= {*evaluation.slices()}
    assert {"month", "leads", "oe", "p_value", "is_off"} <= {*evaluation.by_month()}


def test_months_are_those_of_every_origin_and_segments_those_of_the_headline() -> None:
    older = replace(segmented(seed=1), period=np.full(4000, "2025-12"))
    evaluation = evaluate([older, segmented()], kind="time", random=None, seed=0)
    months = evaluation.by_month().set_index("month")
    assert months["leads"].to_dict() == {"2025-12": 4000, "2026-01": 2000, "2026-02": 2000}
    assert months["converted"]["2025-12"] == older.y.sum()
    assert evaluation.slices()["leads"].sum() == 8000  # each of 4,000 leads once a column
    assert {"segments", "months"} <= {*evaluation.tables()}


def test_parts_keep_only_what_all_of_them_know() -> None:
    full, bare = segmented(), drawn(100)
    channel = replace(full, slices={"Channel": full.slices["Channel"]})
    assert pool([full, bare]).period is None
    assert pool([full, bare]).slices == {}
    pooled = pool([full, channel])
    assert pooled.period is not None
    assert len(pooled.period) == 8000
    assert [*pooled.slices] == ["Channel"]


def test_reliability_of_snapshots_is_that_of_their_leads() -> None:
    y = np.repeat([1.0, 0.0, 1.0, 0.0], [10, 90, 30, 70])
    part = predictions(y, np.repeat([0.1, 0.3], 100))
    copies: dict[str, Any] = {name: np.repeat(getattr(part, name), 4) for name in FIELDS}
    once, often = (
        evaluate([rows], kind="time", random=None, seed=0).reliability()
        for rows in (part, replace(part, **copies, weight=np.full(800, 0.25)))
    )
    assert often["rate"].to_list() == pytest.approx(once["rate"].to_list())
    # Binomial steps of one lead against those of a quarter, doubled: two leads of a hundred apart at most.
    assert often["low"].to_list() == pytest.approx(once["low"].to_list(), abs=0.02)
    assert often["high"].to_list() == pytest.approx(once["high"].to_list(), abs=0.02)


def test_snapshots_of_few_leads_are_no_segment_of_their_own() -> None:
    part = drawn(1000)
    channel = np.where(np.arange(1000) < 20, "rare", "web")
    seen_often = replace(part, slices={"Channel": channel}, groups=np.where(np.arange(1000) < 20, 0, np.arange(1000)))
    assert [*evaluate([seen_often], kind="time", random=None, seed=0).slices()["segment"]] == ["other", "web"]


def test_a_segment_that_is_off_says_the_shift_that_would_mend_it_short_of_a_prior() -> None:
    moved, fair = drawn(3000, seed=1, shift=0.5), drawn(3000, seed=2)
    both = replace(pool([moved, fair]), groups=np.arange(6000), slices={"Team": np.repeat(["moved", "fair"], 3000)})
    table: Any = evaluate([both], kind="time", random=None, seed=0).slices().set_index("segment")
    assert table["is_off"].to_dict() == {"moved": True, "fair": False}
    assert 0.3 < table.loc["moved", "shift"] < 0.55  # the truth is 0.5, the prior draws it in a little
    assert np.isnan(table.loc["fair", "shift"])


def test_what_older_rows_are_worth_counts_only_rows_where_it_was_tried() -> None:
    part = drawn(500)
    tried = replace(part, older_gain=np.full(500, 0.02), groups=np.arange(500, 1000))
    found = evaluate([part, tried], kind="time", random=None, seed=0)
    assert found.older_gain is not None
    assert found.older_gain.value == pytest.approx(0.02, abs=1e-6)
    assert found.to_dict()["time"]["older_gain"]["value"] == pytest.approx(0.02, abs=1e-6)
    assert evaluate([part], kind="time", random=None, seed=0).older_gain is None


def test_groups_are_held_side_by_side_and_small_ones_together() -> None:
    group = np.repeat(np.array(["a", "b", "c", None], dtype=object), [500, 300, 60, 40])
    rng = np.random.default_rng(0)
    probability = np.where(group == "a", 0.5, 0.2)
    part = Predictions(
        y=(rng.random(900) < np.where(group == "b", 0.6, probability)).astype(float),
        probability=probability,
        constant=np.full(900, 0.4),
        rules=np.full(900, np.nan),
        band=np.where((group == "a") & (np.arange(900) % 2 == 0), "SQL", "MQL").astype(object),
        groups=np.arange(900),
        slices={"Gender": group},
    )
    evaluation = evaluate([part], kind="time", random=None, seed=0, audit_groups=("Gender",))
    found = {str(row["group"]): row for row in evaluation.tables()["groups"].to_dict("records")}
    assert {name: row["leads"] for name, row in found.items()} == {"a": 500, "b": 300, "fewer than 100 each": 100}
    assert found["a"]["sql_share"] == 0.5
    assert found["a"]["sql_low"] == pytest.approx(0.455, abs=0.003)  # exact binomial, 250 of 500
    assert found["b"]["low"] > 2  # three times as many as expected
    assert found["a"]["low"] < 1 < found["a"]["high"]
    assert "groups" not in evaluate([part], kind="time", random=None, seed=0).tables()
    # One row that is alone would be told by name, if only as the rest.
    alone = replace(part, slices={"Gender": np.repeat(np.array(["a", "b"], dtype=object), [899, 1])})
    told = evaluate([alone], kind="time", random=None, seed=0, audit_groups=("Gender",)).tables()["groups"]
    assert [*told["group"]] == ["a"]
