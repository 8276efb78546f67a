from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from propensity.evaluation import HEADERS, Predictions, evaluate, measure_predictions, pool

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
    repeated = replace(part, **{name: np.tile(getattr(part, name), 9) for name in FIELDS})
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
