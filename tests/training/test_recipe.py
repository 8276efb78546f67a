from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.config import Config, parse_config
from propensity.errors import InputError
from propensity.folds import Split
from propensity.learners import Tuned
from propensity.model import Learned, bundle_files, model_from_files
from propensity.schema import Tables
from propensity.scoring import score
from propensity.training import TrainingRun, fit_points_calibrator, learn, out_of_fold_blocks, prepare, splits, train
from propensity.training.tuning import _parted

SMALL = {"max_trees": 20, "max_depth": 4}


def leads(n_leads: int = 600, *, seed: int = 0, strength: float = 1.0) -> pd.DataFrame:
    """A lead file whose conversions hang on visits and source, as strongly as asked; oldest row first."""
    rng = np.random.default_rng(seed)
    visits = rng.poisson(3, n_leads)
    source = rng.choice(["fair", "referral", "web"], n_leads)
    log_odds = strength * (0.7 * (visits - 3) + np.where(source == "referral", 1.0, -0.5)) - 0.8
    day = np.datetime64("2025-01-01") + np.sort(rng.integers(0, 365, n_leads))
    return pd.DataFrame(
        {
            "Lead": [f"L{i:05d}" for i in rng.permutation(n_leads)],
            "Source": source,
            "Visits": visits,
            "Age": rng.integers(20, 60, n_leads),
            "Account": [f"acme {i}" for i in rng.integers(0, n_leads // 3, n_leads)],
            "Created": day.astype(str),
            "Demo": np.where(visits > 4, "yes", ""),
            "Won": (rng.random(n_leads) < 1 / (1 + np.exp(-log_odds))).astype(int),
        }
    )


def config(**sections: dict[str, Any]) -> Config:
    """Settings of a flat project; sections given are laid over them."""
    settings: dict[str, dict[str, Any]] = {
        "data": {"leads": "leads.csv"},
        "columns": {"id": "Lead", "target": "Won", "fit": ["Source"], "behaviour": ["Visits", "Age"]},
        "evaluation": {"origins": 2},
        "learner": SMALL,
    }
    for name, values in sections.items():
        settings[name] = {**settings.get(name, {}), **values}
    return parse_config(settings)


DATED = config(columns={"date": "Created"})
POINTS = {"points": [{"name": "demo", "column": "Demo", "value": "yes", "points": 40}]}


def run(frame: pd.DataFrame, settings: Config | None = None) -> TrainingRun:
    return train(Tables(leads=frame), settings or config())


@pytest.fixture(scope="module")
def trained() -> TrainingRun:
    """One run in time, with rules, on a thousand leads."""
    return run(leads(1000), config(columns={"date": "Created"}, rules=POINTS))


def test_signal_is_skill_and_the_model_ranks_leads_it_never_saw(trained: TrainingRun) -> None:
    assert trained.model.verdict == "skill"
    assert trained.evaluation is not None
    auc = trained.evaluation.headline.metrics["auc"]
    assert auc.low > 0.6
    fresh = leads(2000, seed=9)
    scored = score(fresh, model=trained.model).frame
    won = scored["probability"][fresh["Won"] == 1].mean()
    lost = scored["probability"][fresh["Won"] == 0].mean()
    assert won - lost > 0.15
    assert scored["probability"].mean() == pytest.approx(fresh["Won"].mean(), abs=0.05)


def test_noise_is_no_skill_and_the_rules_answer() -> None:
    """The bound errs on one file of noise in twenty: two of six are more than that."""
    files = [leads(600, seed=seed, strength=0.0) for seed in range(6)]
    runs = [run(noise, config(columns={"ordered": True}, rules=POINTS)) for noise in files]
    without = [i for i, noisy in enumerate(runs) if noisy.model.verdict == "no_skill"]
    assert len(without) >= 5
    assert {*score(files[without[0]], model=runs[without[0]].model).frame["scored_by"]} == {"rules"}


def with_conversions(n_converted: int, n_leads: int = 300) -> pd.DataFrame:
    """So many convert, mostly those of many visits: a column that decides it all would be taken for a leak."""
    frame = leads(n_leads)
    liking = frame["Visits"] + np.random.default_rng(1).normal(scale=2.0, size=n_leads)
    return frame.assign(Won=(liking.rank() > n_leads - n_converted).astype(int))


@pytest.mark.parametrize(
    ("n_converted", "verdict"), [(39, "rules_only"), (40, "skill"), (260, "skill"), (261, "rules_only")]
)
def test_fewer_than_40_leads_of_one_outcome_teach_nothing(n_converted: int, verdict: str) -> None:
    assert run(with_conversions(n_converted)).model.verdict == verdict


def test_rules_alone_say_why_and_measure_nothing() -> None:
    alone = run(with_conversions(39), config(rules=POINTS))
    assert alone.evaluation is None
    assert (alone.model.learned, alone.model.reference, alone.model.points_calibrator) == (None, None, None)
    assert alone.warnings == (
        "39 of 300 leads converted; a model needs at least 40 that did and 40 that did not. "
        "Until then the rules answer.",
    )
    assert alone.data["positives"] == 39
    frame = score(leads(), model=alone.model).frame
    assert set(frame["fallback_reason"]) == {"TOO_FEW_POSITIVES"}
    assert set(frame["band"]) == {"MQL", "nurture"}  # 40 points reach MQL


def same(first: TrainingRun, second: TrainingRun) -> bool:
    return first.model == second.model and first.data == second.data


@pytest.mark.parametrize(
    "columns",
    [{}, {"date": "Created"}, {"group": "Account"}, {"date": "Created", "group": "Account"}],
    ids=["folds", "dates", "accounts", "dates and accounts"],
)
def test_rows_with_ids_teach_the_same_model_in_any_order(columns: dict[str, str]) -> None:
    frame = leads()
    frame.loc[::7, "Account"] = None  # leads without an account stand alone
    settings = config(columns=columns, rules=POINTS)
    assert same(run(frame, settings), run(frame.sample(frac=1, random_state=3), settings))


def test_leads_whose_account_is_written_as_not_known_stand_alone() -> None:
    frame = leads(200)
    frame.loc[::2, "Account"] = "n/a"
    frame.loc[1::4, "Account"] = "self employed"
    settings = config(columns={"group": "Account"}, data={"missing": {"Account": ["Self employed"]}})
    groups = prepare(frame, settings).examples.groups
    n_accounts = frame.loc[3::4, "Account"].nunique()
    assert len(set(groups)) == n_accounts + 150


def test_the_same_rows_and_seed_teach_the_same_model_and_another_seed_another() -> None:
    frame = leads()
    assert same(run(frame), run(frame.copy()))
    assert run(frame).model.learned != run(frame, config(learner={**SMALL, "seed": 1})).model.learned


def test_order_in_the_file_is_time_where_it_is_said_to_be() -> None:
    ordered = config(columns={"ordered": True})
    frame = leads()
    examples = prepare(frame, ordered).examples
    assert examples.leads["Lead"].to_list() == frame["Lead"].to_list()
    found, is_time = splits(examples, ordered)
    assert is_time
    newest = found[-1]
    assert newest.test.tolist() == list(range(480, 600))  # the newest fifth
    assert newest.past.max() == 479
    assert run(frame, ordered).evaluation.kind == "time"  # type: ignore[union-attr]


def test_dates_order_rows_and_one_day_is_never_divided() -> None:
    frame = leads().sample(frac=1, random_state=0)
    examples = prepare(frame, DATED).examples
    created = pd.to_datetime(examples.leads["Created"])
    assert created.is_monotonic_increasing
    found, is_time = splits(examples, DATED)
    assert is_time
    for split in found:
        assert created.iloc[split.past].max() < created.iloc[split.test].min()


def test_without_time_folds_judge_and_every_lead_is_judged_once() -> None:
    examples = prepare(leads(), config()).examples
    assert examples.order is None
    found, is_time = splits(examples, config())
    assert not is_time
    assert np.sort(np.concatenate([split.test for split in found])).tolist() == list(range(600))
    folds = run(leads())
    assert folds.evaluation is not None
    assert (folds.evaluation.kind, folds.evaluation.random) == ("folds", None)
    assert folds.evaluation.headline.n_rows == 600


def test_accounts_stay_on_one_side_of_every_split() -> None:
    for settings in (config(columns={"group": "Account"}), config(columns={"group": "Account", "date": "Created"})):
        examples = prepare(leads(), settings).examples
        for split in splits(examples, settings)[0]:
            accounts = examples.leads["Account"].to_numpy()
            assert not {*accounts[split.past]} & {*accounts[split.test]}


def test_the_users_folds_judge_whatever_the_dates_say() -> None:
    frame = leads().assign(Fold=[f"fold {i % 3}" for i in range(600)])
    settings = config(columns={"date": "Created"}, evaluation={"fold_column": "Fold"})
    examples = prepare(frame, settings).examples
    found, is_time = splits(examples, settings)
    assert not is_time
    assert [{*examples.leads["Fold"].iloc[split.test]} for split in found] == [{"fold 0"}, {"fold 1"}, {"fold 2"}]
    blocks = out_of_fold_blocks(examples, seed=0)
    assert (blocks.n_blocks, blocks.is_time) == (3, False)
    assert run(frame, settings).model.verdict == "skill"


def test_one_fold_for_all_is_as_good_as_none() -> None:
    settings = config(evaluation={"fold_column": "Fold"})
    examples = prepare(leads().assign(Fold="a"), settings).examples
    assert len(splits(examples, settings)[0]) == 5
    assert out_of_fold_blocks(examples, seed=0).n_blocks == 5


def test_leads_without_a_fold_are_refused() -> None:
    frame = leads().assign(Fold=["a", "b", ""] * 200)
    with pytest.raises(InputError, match=r"'Fold' \(evaluation\.fold_column\) is empty in 200 rows"):
        run(frame, config(evaluation={"fold_column": "Fold"}))


def test_folds_that_hold_one_outcome_are_refused() -> None:
    frame = leads()
    with pytest.raises(InputError, match="too few leads of one outcome"):
        run(frame.assign(Fold=np.where(frame["Won"] == 1, "a", "b")), config(evaluation={"fold_column": "Fold"}))


def test_one_account_for_all_leads_is_refused() -> None:
    with pytest.raises(InputError, match="too few leads of one outcome"):
        run(leads().assign(Account="acme"), config(columns={"group": "Account"}))


def test_too_little_history_is_judged_on_folds_and_said() -> None:
    # All conversions are in the newest fifth, so the past of the headline knows none.
    frame = leads(300).assign(Won=(np.arange(300) >= 240).astype(int))
    judged = run(frame, config(columns={"ordered": True}))
    assert judged.evaluation is not None
    assert judged.evaluation.kind == "folds"
    assert "Too little history to test in time order; folds were used instead." in judged.warnings


def test_one_instant_for_all_is_no_order() -> None:
    judged = run(leads().assign(Created="2025-06-01"), DATED)
    assert judged.evaluation is not None
    assert judged.evaluation.kind == "folds"
    assert judged.model.learned is not None


def test_an_origin_too_early_to_learn_from_is_left_out() -> None:
    # Five origins start at 40, 50, 60, 70 and 80 % of 500 rows; conversions begin at row 230.
    frame = leads(500)
    frame.loc[:229, "Won"] = 0
    settings = config(columns={"ordered": True}, evaluation={"origins": 5})
    found, is_time = splits(prepare(frame, settings).examples, settings)
    assert is_time
    assert [split.test[0] for split in found] == [300, 350, 400]


def test_a_random_split_that_cannot_be_learned_from_is_left_out() -> None:
    # One old account holds all conversions of the past but ten; dealt first, it is the random split's test fold.
    frame = leads(500).sort_values("Visits", ignore_index=True)
    frame["Account"] = [f"acme {i}" for i in range(500)]
    frame["Won"] = 0
    giant = np.arange(0, 200, 2)
    frame.loc[giant, "Account"] = "giant"
    frame.loc[[*giant, *range(200, 220, 2)], "Won"] = 1
    judged = run(frame, config(columns={"ordered": True, "group": "Account"}, evaluation={"origins": 1}))
    assert judged.evaluation is not None
    assert (judged.evaluation.kind, judged.evaluation.random) == ("time", None)


def test_a_random_split_is_measured_beside_time(trained: TrainingRun) -> None:
    assert trained.evaluation is not None
    assert trained.evaluation.kind == "time"
    assert trained.evaluation.random is not None
    assert trained.evaluation.random.n_rows == 200  # a fifth
    assert trained.evaluation.headline.n_rows == pytest.approx(200, abs=10)  # a day is never divided


def test_unknown_outcomes_and_nameless_and_repeated_and_undated_leads_are_dropped_and_counted() -> None:
    frame = leads().astype({"Won": object})
    frame.loc[:9, "Won"] = None
    frame.loc[20:24, "Lead"] = "n/a"
    frame.loc[30:32, "Created"] = None
    frame = pd.concat([frame, frame.iloc[100:107]], ignore_index=True)
    data = run(frame, DATED).data
    assert data["dropped"] == {"target_missing": 10, "date_missing": 3, "id_missing": 5, "identical": 7}
    assert data["rows"] == data["matured"] == 600 - 10 - 3 - 5
    assert (
        data["positives"] == frame["Won"].iloc[33:600].sum() + frame["Won"].iloc[[*range(10, 20), *range(25, 30)]].sum()
    )
    assert data["base_rate"] == data["positives"] / data["rows"]


def test_nothing_dropped_is_nothing_said(trained: TrainingRun) -> None:
    assert trained.data["dropped"] == {}


@pytest.mark.parametrize("column", ["Visits", "Won", "Created", "Account"])
def test_one_id_with_two_stories_is_refused(column: str) -> None:
    frame = leads()
    other = frame.iloc[[5]].assign(Visits=99, Won=1 - frame["Won"][5], Created="2025-12-31", Account="other")
    twice = pd.concat([frame, frame.iloc[[5]].assign(**{column: other[column]})])
    with pytest.raises(
        InputError, match=r"1 rows repeat an id with other values \(column 'Lead', first data rows 601\)"
    ):
        run(twice, config(columns={"date": "Created", "group": "Account"}))


@pytest.mark.parametrize(
    ("frame", "settings", "message"),
    [
        pytest.param(leads(), config(columns={"target": None}), r"columns\.target must name", id="no target named"),
        pytest.param(leads().iloc[:0], config(), "a header but no rows", id="no rows"),
        pytest.param(leads(), config(columns={"target": "Sold"}), r"columns\.target names 'Sold'", id="no such target"),
        pytest.param(leads(), config(columns={"date": "Born"}), r"columns\.date names 'Born'", id="no such date"),
        pytest.param(leads(), config(columns={"group": "Firm"}), r"columns\.group names 'Firm'", id="no such group"),
        pytest.param(
            leads(),
            config(evaluation={"fold_column": "K"}),
            r"evaluation\.fold_column names 'K'",
            id="no such fold column",
        ),
        pytest.param(
            leads(), config(availability={"Late": "outcome"}), "availability names 'Late'", id="no such availability"
        ),
        pytest.param(
            leads(), config(data={"missing": {"pdays": [999]}}), r"data\.missing names 'pdays'", id="no such missing"
        ),
        pytest.param(leads().assign(Created=None), DATED, "is empty in every row", id="no date at all"),
        pytest.param(leads().assign(Won=0), config(), "must hold two outcomes, got 1", id="one outcome"),
        pytest.param(leads().assign(Source="web", Visits=1, Age=None), config(), "No usable feature", id="no feature"),
        pytest.param(leads().assign(WON=1), config(), "twice in the file", id="two columns of one name"),
        pytest.param(
            leads().assign(Visits=-1 - leads()["Visits"]),
            config(columns={"count": ["Visits"]}),
            r"'Visits' is declared a count, but 600 rows are negative \(first data rows 1, 2, 3, 4, 5\)",
            id="negative counts",
        ),
    ],
)
def test_a_file_that_cannot_be_learned_from_is_refused_with_the_next_step(
    frame: pd.DataFrame, settings: Config, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(frame, settings)


def test_errors_never_hold_a_cell_of_a_lead() -> None:
    secret = "Xq7secret"  # noqa: S105 - a mark to look for
    frame = leads().assign(Lead=secret, Source=secret, Created=secret, Account=secret)
    settings = (
        config(),
        config(columns={"id": None, "fit": ["Source"], "behaviour": []}),
        config(columns={"date": "Created"}),
        config(columns={"group": "Account", "id": None}),
        config(columns={"id": None, "fit": [], "behaviour": ["Visits"], "count": ["Visits"]}),
    )
    frame.loc[3, "Visits"] = -5
    for each in settings:
        with pytest.raises(InputError) as caught:
            run(frame, each)
        assert secret not in str(caught.value)


def test_every_column_is_accounted_for_however_its_name_is_written() -> None:
    frame = leads().assign(Constant=1, Later="x", Notes="y")
    settings = config(
        columns={
            "id": "LEAD",
            "target": " won ",
            "date": "created",
            "group": "ACCOUNT",
            "fit": ["source", "CONSTANT"],
            "behaviour": ["visits", "later"],
            "ignore": ["notes"],
        },
        availability={"Later": "outcome"},
    )
    audit = {
        entry["column"]: (entry["role"], entry["verdict"], entry["evidence"]) for entry in run(frame, settings).audit
    }
    assert audit == {
        "Lead": ("id", "OK", ""),
        "Source": ("fit", "OK", ""),
        "Visits": ("behaviour", "OK", ""),
        "Age": ("ignored", "UNUSED", "named nowhere in [columns]"),
        "Account": ("group", "OK", ""),
        "Created": ("date", "OK", ""),
        "Demo": ("ignored", "UNUSED", "named nowhere in [columns]"),
        "Won": ("target", "OK", ""),
        "Constant": ("fit", "UNUSED", "every value is the same"),
        "Later": ("behaviour", "UNUSED", "availability is 'outcome': not known in time"),
        "Notes": ("ignored", "UNUSED", "under columns.ignore"),
    }


def test_facts_say_what_it_was_learned_from(trained: TrainingRun) -> None:
    facts = trained.model.facts
    assert (facts["rows"], facts["target"], facts["evaluated"]) == (1000, "Won", "time")
    assert trained.evaluation is not None
    assert facts["calibrated"] is trained.evaluation.is_calibrated
    assert facts["target_means"] == "'1' means converted, '0' means not"
    newest = pd.to_datetime(leads(1000)["Created"]).max() + dt.timedelta(days=1)  # a day is known at its end
    assert facts["data_end"] == newest.tz_localize("UTC").isoformat()
    assert facts["base_rate"] == pytest.approx(facts["positives"] / 1000)


def test_the_data_ends_where_the_config_says() -> None:
    said = config(columns={"date": "Created"}, data={"extracted_at": "2026-03-01T12:00:00+02:00"})
    assert prepare(leads(), said).data_end == "2026-03-01T10:00:00+00:00"
    assert prepare(leads(), config()).data_end == ""


def test_digests_follow_rows_and_settings_and_nothing_else() -> None:
    frame = leads()
    facts = (
        prepare(frame, config()),
        prepare(frame.iloc[::-1], config()),
        prepare(frame.assign(Age=30 + frame.index % 9), config()),
    )
    assert facts[0].digest == facts[1].digest != facts[2].digest
    base = run(frame).model.facts["config_digest"]
    assert base == run(frame, config(data={"leads": "elsewhere.csv"})).model.facts["config_digest"]
    assert base != run(frame, config(learner={**SMALL, "seed": 1})).model.facts["config_digest"]


def test_volume_is_the_mean_of_the_newest_eight_weeks() -> None:
    # One lead a day for two hundred days, then two a day for eight weeks.
    days = pd.to_datetime("2025-01-01") + pd.to_timedelta([*range(200), *np.repeat(np.arange(200, 256), 2)], unit="D")
    frame = leads(len(days)).assign(Created=days.astype(str))
    assert prepare(frame, DATED).leads_per_week == 14.0
    assert prepare(frame, config()).leads_per_week is None


def test_a_short_history_has_a_volume_of_its_own_length() -> None:
    frame = leads(300).assign(Created=[f"2025-01-{1 + i % 15:02d}" for i in range(300)])
    # Twenty a day over two weeks; the oldest instant itself is outside of them.
    assert prepare(frame, DATED).leads_per_week == 140.0


def test_progress_ends_at_one_and_never_goes_back() -> None:
    told: list[tuple[str, float]] = []
    train(Tables(leads=leads()), DATED, progress=lambda what, share: told.append((what, share)))
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert (shares[0], told[-1]) == (0.0, ("done", 1.0))
    assert [what for what, _ in told if what.startswith("judging on origin")] == [
        "judging on origin 1 of 2",
        "judging on origin 2 of 2",
    ]


def test_what_was_promised_and_what_was_assumed_is_said() -> None:
    assumed = run(leads())
    rate = assumed.model.agreement["sql_precision"]
    assert rate == round(min(3 * leads()["Won"].mean(), 0.8), 2)
    assert any(f"{rate:.0%} was aimed at: three times the base rate" in sentence for sentence in assumed.warnings)
    agreed = run(leads(), config(agreement={"sql_precision": 0.95}))
    assert agreed.model.agreement["sql_precision"] == 0.95
    assert [sentence for sentence in agreed.warnings if "SQL promise" in sentence] == [
        "The SQL promise (95% convert) could not be certified; the top 5% of leads are called SQL, marked uncertified."
    ]


def test_a_capacity_is_kept_and_its_precision_may_stay_uncertified() -> None:
    agreement = {"policy": "capacity", "capacity_per_week": 1, "sql_precision": 0.9}
    by_capacity = run(leads(), config(columns={"date": "Created"}, agreement=agreement))
    assert "The precision of the SQL band that fits the capacity could not be certified." in by_capacity.warnings
    learned = by_capacity.model.learned
    assert learned is not None
    assert learned.bands.policy == "capacity"
    assert learned.bands.sql_share * (learned.bands.leads_per_week or 0) < 1


def test_a_precision_so_low_that_it_leaves_no_mql_is_said() -> None:
    modest = run(leads(), config(agreement={"sql_precision": 0.05}))
    assert modest.model.learned is not None
    assert modest.model.learned.bands.mql_share == 0
    assert any("Every lead that would be MQL is SQL already" in sentence for sentence in modest.warnings)


@pytest.mark.parametrize(("recall", "is_said"), [(0.99, True), (0.5, False)])
def test_bands_that_hold_nearly_all_leads_are_said(recall: float, *, is_said: bool) -> None:
    wide = run(leads(1500), config(columns={"ordered": True}, agreement={"mql_recall": recall}))
    assert wide.model.learned is not None
    bands = wide.model.learned.bands
    assert (bands.sql_share + bands.mql_share > 0.8) is is_said
    assert any("SQL and MQL together are" in sentence for sentence in wide.warnings) is is_said


def test_a_certified_promise_needs_no_warning() -> None:
    certified = run(leads(2000, strength=2.0), config(agreement={"sql_precision": 0.75}))
    assert certified.model.learned is not None
    assert certified.model.learned.bands.sql_promise.certified
    assert certified.warnings == ()


def test_values_lost_in_reading_are_said() -> None:
    frame = leads().astype({"Age": float})
    frame.loc[[1, 2], "Age"] = np.inf
    assert "Age: 2 values that are not usable numbers were read as missing" in run(frame).warnings


def test_points_are_mapped_on_history_where_it_holds_40_conversions(trained: TrainingRun) -> None:
    assert trained.model.points_calibrator is not None
    assert trained.evaluation is not None
    assert trained.evaluation.rules is not None
    frame = score(leads(), model=trained.model, fallback_reason="STALE").frame
    demo = leads()["Demo"] == "yes"
    assert frame["probability"][demo].min() > frame["probability"][~demo].max()
    few = prepare(with_conversions(39), config(rules=POINTS))
    assert fit_points_calibrator(few.rules, few.examples) is None
    without = prepare(leads(), config())
    assert fit_points_calibrator(without.rules, without.examples) is None


def test_a_row_is_never_judged_by_what_it_taught() -> None:
    # The target of the test rows is turned round: a model that had seen them would rank them the other way.
    frame = leads(1000)
    newest = np.arange(1000) >= 800
    turned = frame.assign(Won=np.where(newest, 1 - frame["Won"], frame["Won"]))
    settings = config(columns={"ordered": True}, evaluation={"origins": 1})
    straight, reverse = run(frame, settings).evaluation, run(turned, settings).evaluation
    assert straight is not None
    assert reverse is not None
    np.testing.assert_array_equal(straight.test.probability, reverse.test.probability)
    assert reverse.headline.metrics["auc"].value == pytest.approx(1 - straight.headline.metrics["auc"].value, abs=1e-12)


def test_bands_are_certified_on_leads_that_chose_nothing() -> None:
    frame, settings = leads(1000), config(columns={"ordered": True})
    turned = frame.assign(Won=np.where(np.arange(1000) >= 900, 1 - frame["Won"], frame["Won"]))
    learned, otherwise = (
        learn(prepared.examples, prepared, settings)
        for prepared in (prepare(given, settings) for given in (frame, turned))
    )
    # The chain starts at 40 %: blocks of 100 rows, five to choose and the last to certify; all six calibrate.
    assert learned.calibrator.n_rows == 600
    assert learned.bands.mql_promise.n_leads == frame["Won"].iloc[900:].sum()
    assert learned.blend.recipe == otherwise.blend.recipe
    assert learned.bands != otherwise.bands


def test_without_ids_rows_are_numbered_and_equal_rows_stay_on_one_side() -> None:
    anonymous = config(columns={"id": None})
    frame = pd.concat([leads(400), leads(400)], ignore_index=True)
    examples = prepare(frame, anonymous).examples
    assert len(examples.y) == 800  # equal rows are kept
    for split in splits(examples, anonymous)[0]:
        rows = [tuple(row) for row in examples.read.itertuples(index=False)]
        assert not {rows[i] for i in split.past} & {rows[i] for i in split.test}
    assert run(frame, anonymous).model.schema.id is None


def test_a_result_too_good_for_leads_is_doubted_by_the_name_of_the_column_behind_it() -> None:
    frame = leads(800)
    frame["Amount"] = np.where(frame["Won"] == 1, 100 + frame["Age"], 0)
    settings = config(columns={"behaviour": ["Visits", "Age", "Amount"]}, availability={"Amount": "static"})
    told = run(frame, settings).warnings
    assert any("more than leads usually give away" in sentence and "'Amount'" in sentence for sentence in told)
    assert not any("give away" in sentence for sentence in run(leads(800)).warnings)


def test_more_folds_than_can_be_judged_are_refused() -> None:
    with pytest.raises(InputError, match="at most 50 are judged"):
        run(leads(), config(evaluation={"fold_column": "Lead"}))


def test_rows_of_one_id_that_only_the_sheet_tells_apart_are_refused() -> None:
    frame = leads()
    twice = pd.concat([frame, frame.iloc[[0]].assign(Demo="other")])
    with pytest.raises(InputError, match="Ids must name one lead each"):
        run(twice, config(rules=POINTS))


def test_months_segments_and_the_worth_of_older_rows_are_told_in_time(trained: TrainingRun) -> None:
    found = trained.evaluation
    assert found is not None
    assert found.judged.period is not None
    assert {month[:5] for month in found.judged.period} == {"2025-"}
    assert [*found.test.slices] == ["Source"]
    assert found.older_gain is not None
    assert found.older_gain.low < found.older_gain.value < found.older_gain.high


# --- tuning


def trials(n_trials: int) -> Callable[[float], Callable[[int], bool]]:
    """Allow every training so many trials, whatever its share of the time."""
    return lambda _share: lambda n: n < n_trials


# So few trees at the rates of the kinds that are raced hardly move: what is found is surely better, or is not there.
FEW_TREES = config(columns={"ordered": True}, learner={"max_trees": 60, "max_depth": 4})


def crossed(n_leads: int = 2000) -> pd.DataFrame:
    """Visits speak for a lead from one source and against one from the other, which no line can say."""
    frame, rng = leads(n_leads), np.random.default_rng(5)
    log_odds = (frame["Visits"] - 3) * np.where(frame["Source"] == "web", -1.5, 1.5) - 0.5
    return frame.assign(Won=(rng.random(n_leads) < 1 / (1 + np.exp(-log_odds))).astype(int))


def tuned_on(frame: pd.DataFrame, n_trials: int, settings: Config = FEW_TREES) -> Learned:
    prepared = prepare(frame, settings)
    return learn(prepared.examples, prepared, settings, tune=lambda: trials(n_trials)(1.0))


def test_a_tuned_forest_that_is_surely_better_takes_part_within_the_trees_allowed() -> None:
    recipe = tuned_on(crossed(), 10).blend.recipe
    assert recipe.tuned is not None
    assert recipe.tuned.n_trials == 10
    assert recipe.tuned.is_used
    assert recipe.tuned.gain is not None
    assert recipe.tuned.gain > 0
    assert recipe.shares["tuned"] > 0
    assert {*recipe.n_trees} == {"small", "extra", "on_linear", "tuned"}
    assert sum(recipe.n_trees.values()) <= 60


@pytest.mark.parametrize("n_trials", [0, 3, 6])
def test_where_tuning_finds_nothing_surely_better_the_model_is_as_without_it(n_trials: int) -> None:
    """A line says all there is to say of these leads. The first three trials are the kinds that run anyway."""
    frame = leads(1000)
    prepared = prepare(frame, DATED)
    without = learn(prepared.examples, prepared, DATED)
    tuned = tuned_on(frame, n_trials, DATED)
    assert tuned.blend.recipe.tuned is not None
    assert not tuned.blend.recipe.tuned.is_used
    assert tuned.blend.recipe.tuned.n_trials == n_trials
    assert replace(tuned.blend.recipe, tuned=None) == without.blend.recipe
    assert (tuned.calibrator, tuned.bands, tuned.blend.linear, tuned.blend.forests) == (
        without.calibrator,
        without.bands,
        without.blend.linear,
        without.blend.forests,
    )


def test_the_block_that_certifies_has_no_say_in_what_tuning_finds() -> None:
    frame = crossed()
    newest = frame.index >= 1800  # within the newest fifth of what the chain judges
    turned = frame.assign(Won=np.where(newest, 1 - frame["Won"], frame["Won"]))
    assert tuned_on(frame, 6).blend.recipe == tuned_on(turned, 6).blend.recipe


@pytest.mark.parametrize("is_ahead", [False, True])
def test_no_row_that_judges_what_tuning_found_was_searched_on(is_ahead: bool) -> None:
    chain = [Split(past=np.arange(10 * k), test=np.arange(10 * k, 10 * k + 10)) for k in range(1, 5)]
    ahead = Split(past=np.arange(30), test=np.arange(40, 50)) if is_ahead else None
    searched, judges = _parted(chain, ahead)
    judged = np.concatenate([split.test for split in judges])
    for split in searched:
        assert not {*judged} & {*split.past, *split.test}
    assert [*np.concatenate([split.test for split in searched])] == [*range(10, 30)]
    assert [*judged] == ([*range(40, 50)] if is_ahead else [*range(30, 50)])


def test_where_the_newest_instant_chooses_it_judges_what_tuning_found_on_the_rows_before() -> None:
    """Two instants make no blocks in time: the newer one chooses the recipe."""
    prepared = prepare(crossed(), FEW_TREES)
    instant = np.repeat([0, 1], 1000)
    examples = replace(prepared.examples, order=instant, known=instant + 1)
    turned = replace(examples, y=np.where(instant == 1, 1 - examples.y, examples.y))
    one, other = (
        learn(given, prepared, FEW_TREES, tune=lambda: trials(10)(1.0)).blend.recipe for given in (examples, turned)
    )
    assert one.tuned is not None
    assert other.tuned is not None
    assert one.tuned.settings == other.tuned.settings
    assert one.tuned.is_used
    assert one.shares["tuned"] > 0
    assert not other.tuned.is_used


def test_tuning_where_rows_cannot_be_parted_tries_nothing() -> None:
    """Of two folds one certifies and one chooses: none is left to judge what was found."""
    frame = leads(600).assign(Half=np.arange(600) % 2)
    recipe = tuned_on(frame, 5, config(evaluation={"fold_column": "Half"})).blend.recipe
    assert recipe.tuned == Tuned(settings={}, n_trials=0)


def test_trials_share_the_time_evenly_and_a_run_says_what_tuning_found_the_same_each_time() -> None:
    shares: list[float] = []

    def allow(share: float) -> Callable[[int], bool]:
        shares.append(share)
        return lambda n: n < 4

    told: list[str] = []
    frame = Tables(leads=crossed(800))
    settings = config(columns={"date": "Created"}, evaluation={"origins": 1})
    first = train(frame, settings, tune=allow, progress=lambda what, _share: told.append(what))
    assert shares == [pytest.approx(1 / 3)] * 3  # an origin, the random split, all rows
    assert "tuning and judging on origin 1 of 1" in told
    assert first.model == train(frame, settings, tune=trials(4)).model
    assert first.model.learned is not None
    tuned = first.model.learned.blend.recipe.tuned
    assert tuned is not None
    assert first.model.facts["tuning"] == tuned.to_dict()
    assert first.model.facts["tuning"]["n_trials"] == 4
    assert "## Tuning" in first.model.card
    files = bundle_files(first.model)
    assert model_from_files(files) == first.model
