from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from flat_leads import DATED, POINTS, SMALL, config, leads, run, with_conversions
from propensity.config import Config
from propensity.errors import InputError
from propensity.reporting import training_summary
from propensity.schema import Tables, partition
from propensity.scoring import score
from propensity.training import TrainingRun, fit_points_calibrator, prepare, train


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


def test_leads_without_a_fold_are_refused() -> None:
    frame = leads().assign(Fold=["a", "b", ""] * 200)
    with pytest.raises(InputError, match=r"'Fold' \(evaluation\.fold_column\) is empty in 200 rows"):
        run(frame, config(evaluation={"fold_column": "Fold"}))


def test_too_little_history_is_judged_on_folds_and_said() -> None:
    # All conversions are in the newest fifth, so the past of the headline knows none.
    frame = leads(300).assign(Won=(np.arange(300) >= 240).astype(int))
    judged = run(frame, config(columns={"ordered": True}))
    assert judged.evaluation is not None
    assert judged.evaluation.kind == "folds"
    assert "Too little history to test in time order; folds were used instead." in judged.warnings


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
        "Age": ("ignored", "UNUSED", "the config names it nowhere"),
        "Account": ("group", "OK", ""),
        "Created": ("date", "OK", ""),
        "Demo": ("ignored", "UNUSED", "the config names it nowhere"),
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
    assert agreed.model.learned is not None
    best = agreed.model.learned.bands.sql_promise.certifiable
    assert best is not None
    assert 0.2 < best < 0.95
    assert [sentence for sentence in agreed.warnings if "SQL promise" in sentence] == [
        "The SQL promise (95% convert) could not be certified; the top 5% of leads are called SQL, marked uncertified. "
        f"Two ways out: agree on a lower agreement.sql_precision (about {best:.0%} is what the same leads would "
        'certify), or on what sales can work (agreement.policy = "capacity").'
    ]


def test_sql_is_who_pays_lead_by_lead_and_the_frontier_tells_what_else_there_was() -> None:
    history = leads()
    history["Deal size"] = np.where(np.arange(len(history)) % 2, "1,000", "10")
    agreement = {"policy": "profit", "cost_per_contact": 50, "value_column": "deal size", "leads_per_rep": 5}
    trained = run(history, config(agreement=agreement))
    learned = trained.model.learned
    assert learned is not None
    assert learned.frontier is not None
    small = history["Deal size"] == "10"
    probability = learned.probability(partition(history, trained.model.schema).read)
    band = learned.bands.assign(probability, leads=history)
    assert not (band[small] == "SQL").any()  # ten never pays for fifty
    assert (band[~small] == "SQL").tolist() == (probability[~small].round(9) * 1000 >= 50).tolist()
    assert {"near_best", "next_rep"} <= {*learned.frontier.table()}
    assert trained.model.agreement["horizon_days"] == 90
    with pytest.raises(InputError, match=r"agreement\.value_column names 'Worth', which the file does not have"):
        run(history, config(agreement={**agreement, "value_column": "Worth"}))


def test_a_capacity_is_kept_and_its_precision_may_stay_uncertified() -> None:
    agreement = {"policy": "capacity", "capacity_per_week": 1, "sql_precision": 0.9}
    by_capacity = run(leads(), config(columns={"date": "Created"}, agreement=agreement))
    assert "A precision of 90% of the SQL band that fits the capacity could not be certified." in by_capacity.warnings
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


def test_rules_that_no_lead_met_and_rules_over_capacity_are_said() -> None:
    sheet = [
        {"name": "asked", "column": "Demo", "value": "yes", "override": "SQL"},
        {"name": "typo", "column": "Demo", "value": "yess", "points": 5},
    ]
    agreement = {"policy": "capacity", "capacity_per_week": 1}
    rules = {"points": sheet, "mql": 3, "sql": 9}
    found = run(leads(), config(columns={"date": "Created"}, agreement=agreement, rules=rules))
    assert any("Rules that no past lead met: 'typo'" in warning for warning in found.warnings)
    told = "\n".join(training_summary(found))
    assert "more than the 1 that sales can work" in told
    assert "test leads to SQL, of which" in told


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
