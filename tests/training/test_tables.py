from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity import Tables, predict, read_tables, save_model, train
from propensity.cli import run
from propensity.config import Config, parse_config
from propensity.errors import InputError
from propensity.storage.configs import load_config
from propensity.training import Examples, prepare_tables
from propensity.training.splitting import forward_split

END = pd.Timestamp("2026-01-01", tz="UTC")


def world(n_leads: int = 900, *, seed: int = 0) -> Tables:
    """Leads who convert soon where they ask for a demo in their first days; visits mean nothing."""
    rng = np.random.default_rng(seed)
    born = END - pd.to_timedelta(np.sort(rng.uniform(1, 400, n_leads))[::-1], unit="D")
    ids = [f"L{i:04d}" for i in range(n_leads)]
    asked = rng.random(n_leads) < 0.4
    industry = rng.choice(["Software", "Retail"], n_leads)
    chance = 1 / (1 + np.exp(-(-2.2 + 2.0 * asked + 0.8 * (industry == "Software"))))
    buys = rng.random(n_leads) < chance
    delay = pd.to_timedelta(10 + rng.exponential(10, n_leads), unit="D")
    won = born + delay
    demo = pd.DataFrame({"lead_id": ids, "occurred_at": born + pd.Timedelta(hours=30), "event_type": "demo"})[asked]
    n_visits = rng.poisson(4, n_leads)
    who = np.repeat(np.arange(n_leads), n_visits)
    when = born[who] + pd.to_timedelta(rng.exponential(20, len(who)), unit="D")
    visits = pd.DataFrame({"lead_id": np.array(ids)[who], "occurred_at": when, "event_type": "visit"})
    log = pd.concat([demo, visits])
    leads = pd.DataFrame(
        {"Lead": ids, "Created": born, "Industry": industry, "Account": [f"A{i // 2}" for i in range(n_leads)]}
    )
    outcomes = pd.DataFrame({"lead_id": ids, "converted_at": won})[buys & (won < END)]
    return Tables(leads=leads, events=log[log["occurred_at"] < END].reset_index(drop=True), outcomes=outcomes)


def beside(tables: Tables) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Events and outcomes, which this world always has."""
    assert tables.events is not None
    assert tables.outcomes is not None
    return tables.events, tables.outcomes


def config(**sections: Any) -> Config:
    settings = {
        "data": {"leads": "l.parquet", "events": "e.parquet", "outcomes": "o.parquet", **sections.pop("data", {})},
        "columns": {"id": "Lead", "date": "Created", "fit": ["Industry"], **sections.pop("columns", {})},
        "labels": {"horizon_days": 30, **sections.pop("labels", {})},
        "learner": {"max_trees": 20, "max_depth": 4},
        "evaluation": {"origins": 2},
        **sections,
    }
    return parse_config(settings)


@pytest.fixture(scope="module")
def tables() -> Tables:
    return world()


@pytest.fixture(scope="module")
def trained(tables: Tables) -> Any:
    return train(tables, config())


def test_it_learns_in_time_what_was_planted(trained: Any) -> None:
    assert trained.evaluation.kind == "time"
    assert trained.model.verdict == "skill"
    assert trained.evaluation.headline.metrics["auc"].value > 0.65


def test_rows_are_matured_snapshots_that_weigh_a_lead_each(tables: Tables) -> None:
    prepared = prepare_tables(tables, config())
    examples = prepared.examples
    assert examples.order is not None
    end = int(tables.events["occurred_at"].max().value // 1000)  # type: ignore[index]
    assert (examples.order + 32 * 24 * 3600 * 10**6 <= end).all()
    weights = pd.Series(examples.weights).groupby(examples.groups).sum().to_numpy()
    assert (weights <= 1 + 1e-9).all()
    assert (weights > 1 - 1e-9).mean() > 0.5  # less where some of its snapshots came after it converted
    assert {"demo count 7d", "any event rate", "first event", "days since created", "Industry"} <= {
        *prepared.schema.names
    }


def test_a_label_is_known_after_its_window_and_customers_who_come_back_are_judged(tables: Tables) -> None:
    once, again = (prepare_tables(tables, config(labels={"repeat": repeat})).examples for repeat in (False, True))
    assert once.order is not None
    assert once.known is not None
    assert {*(once.known - once.order)} == {30 * 24 * 3600 * 1_000_000}
    assert (once.is_apart, again.is_apart) == (True, False)


def test_leads_of_one_account_are_one_group(tables: Tables) -> None:
    examples = prepare_tables(tables, config(columns={"group": "Account"})).examples
    assert len(pd.DataFrame({"a": examples.leads["Account"], "g": examples.groups}).drop_duplicates()) == len(
        {*examples.groups}
    )
    assert len({*examples.groups}) < examples.leads["Lead"].nunique()


def test_the_same_model_in_any_order_of_any_table(tables: Tables, trained: Any) -> None:
    shuffled = {
        name: getattr(tables, name).sample(frac=1, random_state=3).reset_index(drop=True)
        for name in ("leads", "events", "outcomes")
    }
    assert train(Tables(**shuffled), config()).model.version == trained.model.version


def test_scores_as_of_an_instant_see_nothing_later(tables: Tables, trained: Any) -> None:
    at = "2025-10-01T00:00:00+00:00"
    leads = tables.leads.iloc[400:430]
    plain = predict(leads, model=trained.model, events=tables.events, as_of=at)
    past = tables.events[tables.events["occurred_at"] < at]  # type: ignore[index]
    pd.testing.assert_frame_equal(plain, predict(leads, model=trained.model, events=past, as_of=at))
    assert {*plain["as_of"]} == {at}
    assert {*plain["scored_by"]} == {"model"}
    assert plain["Lead"].to_list() == leads["Lead"].to_list()


def test_a_batch_equals_its_leads_scored_one_by_one(tables: Tables, trained: Any) -> None:
    at, leads = "2025-10-01", tables.leads.iloc[100:106]
    whole = predict(leads, model=trained.model, events=tables.events, as_of=at)
    alone = [predict(leads.iloc[[i]], model=trained.model, events=tables.events, as_of=at) for i in range(len(leads))]
    pd.testing.assert_frame_equal(whole, pd.concat(alone, ignore_index=True))


def test_leads_without_events_and_without_ids_stay_in_the_answer(tables: Tables, trained: Any) -> None:
    leads = pd.DataFrame({"Lead": ["new", None], "Created": ["2025-09-01T00:00Z"] * 2, "Industry": ["Retail"] * 2})
    scored = predict(leads, model=trained.model, events=tables.events, as_of="2025-10-01")
    assert scored["scored_by"].to_list() == ["model", ""]
    assert scored["band"].to_list()[1] == "unscored"


def test_a_lead_that_did_not_exist_yet_is_answered_by_the_rules_and_counted(tables: Tables, trained: Any) -> None:
    leads = pd.DataFrame(
        {"Lead": ["old", "young"], "Created": ["2025-09-01T00:00Z", "2025-11-01T00:00Z"], "Industry": ["Retail"] * 2}
    )
    scored = predict(leads, model=trained.model, events=tables.events, as_of="2025-10-01")
    assert scored["fallback_reason"].to_list() == ["", "INVALID_ROW"]
    assert scored["Lead"].to_list() == ["old", "young"]


def test_two_cutoffs_are_cross_fitted_by_lead_and_it_is_said() -> None:
    tables = world(4000)
    stamps = ["2025-08-01T00:00Z", "2025-10-01T00:00Z"]
    chosen = pd.concat([pd.DataFrame({"lead_id": tables.leads["Lead"], "cutoff": at}) for at in stamps])
    given = Tables(leads=tables.leads, events=tables.events, outcomes=tables.outcomes, cutoffs=chosen)
    run = train(given, config(data={"cutoffs": "c.csv"}, labels={"horizon_days": 30, "repeat": True}))
    assert run.evaluation is not None
    assert run.evaluation.kind == "folds"
    assert "2 different cutoffs are too few for blocks in time: the model is cross-fitted by lead." in run.warnings


def test_labels_are_counted_before_they_teach(tables: Tables) -> None:
    dropped = prepare_tables(tables, config()).dropped
    young = (tables.leads["Created"] > END - pd.Timedelta(days=25)).sum()
    assert dropped["immature"] >= young - 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outcomes": None}, "Nothing says who converted"),
        (
            {"outcomes": pd.DataFrame({"lead_id": ["zz"], "converted_at": ["2025-05-01T00:00Z"]})},
            "None of the 1 different ids in column 'lead_id' of the outcomes",
        ),
        (
            {"events": pd.DataFrame({"lead_id": ["zz"], "occurred_at": ["2025-05-01T00:00Z"], "event_type": ["x"]})},
            "None of the 1 different ids in column 'lead_id' of the events",
        ),
    ],
)
def test_tables_that_do_not_meet_say_so(tables: Tables, change: dict[str, Any], message: str) -> None:
    parts = {"leads": tables.leads, "events": tables.events, "outcomes": tables.outcomes, **change}
    with pytest.raises(InputError, match=message):
        prepare_tables(Tables(**parts), config())


def test_records_after_the_stated_end_are_refused(tables: Tables) -> None:
    with pytest.raises(InputError, match="later than the end of the data"):
        prepare_tables(tables, config(data={"extracted_at": "2025-06-01T00:00:00Z"}))


def test_a_short_history_says_what_would_mature(tables: Tables) -> None:
    with pytest.raises(InputError, match="No lead has a matured outcome"):
        prepare_tables(tables, config(labels={"horizon_days": 700}))


def test_from_files_to_scores_by_the_command_line(
    tables: Tables, empty_registry: Path, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    shutil.copy(empty_registry, "models/mlflow.db")
    tables.leads.to_csv("leads.csv", index=False)
    tables.events.to_parquet("events.parquet")  # type: ignore[union-attr]
    tables.outcomes.to_csv("outcomes.csv", index=False)  # type: ignore[union-attr]
    Path("propensity.toml").write_text(
        """
[data]
leads = "leads.csv"
events = {path = "events.parquet", query = "SELECT lead_id AS who, occurred_at, event_type FROM source"}
outcomes = "outcomes.csv"
[columns]
id = "Lead"
date = "Created"
fit = ["Industry"]
event = {id = "who"}
[labels]
horizon_days = 30
[evaluation]
origins = 1
[learner]
max_trees = 20
"""
    )
    assert run(["train", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "skill"
    assert run(["score", "--as-of", "2025-12-01", "-o", "scores.csv"]) == 0
    assert len(pd.read_csv("scores.csv")) == len(tables.leads)
    # The feature rows score the same as the tables they were made of.
    assert run(["features", "--as-of", "2025-12-01", "-o", "rows.parquet"]) == 0
    assert "Account" not in pd.read_parquet("rows.parquet")
    assert run(["score", "rows.parquet", "-o", "again.csv"]) == 0
    first, again = pd.read_csv("scores.csv"), pd.read_csv("again.csv").set_index("Lead")
    assert again.loc[first["Lead"], "probability"].fillna(-1).to_list() == first["probability"].fillna(-1).to_list()
    is_born = tables.leads["Created"] <= "2025-12-01"
    assert ((first["fallback_reason"] != "INVALID_ROW") == is_born).all()
    assert again["fallback_reason"].to_list() == first["fallback_reason"].to_list()
    assert {*first["as_of"].dropna()} == {"2025-12-01T00:00:00+00:00"}
    # Of a lead that never converted.
    open_lead = first["Lead"][is_born & ~first["Lead"].isin(tables.outcomes["lead_id"])].iloc[0]  # type: ignore[index]
    born = tables.leads.set_index("Lead")["Created"][open_lead]
    assert born < pd.Timestamp("2025-06-01", tz="UTC")
    pd.DataFrame({"lead_id": [open_lead] * 2, "cutoff": ["2025-06-01T00:00Z", "2025-12-01T00:00Z"]}).to_csv(
        "c.csv", index=False
    )
    assert run(["score", "--cutoffs", "c.csv", "-o", "at.csv"]) == 0
    at = pd.read_csv("at.csv")
    assert at["as_of"].to_list() == ["2025-06-01T00:00:00+00:00", "2025-12-01T00:00:00+00:00"]
    assert at["probability"].iloc[1] == again.loc[open_lead, "probability"]
    assert run(["explain", "leads.csv", "--lead", "L0100", "--as-of", "2025-12-01"]) == 0
    assert "Lead L0100" in capsys.readouterr().out


def test_a_bundle_knows_its_features(tables: Tables, trained: Any, tmp_path: Path) -> None:
    from propensity.storage.bundles import load_bundle

    again = load_bundle(save_model(trained.model, tmp_path / "bundle"))
    assert again.plan == trained.model.plan
    leads = tables.leads.iloc[:5]
    first, second = (
        predict(leads, model=model, events=tables.events, as_of="2025-12-01") for model in (trained.model, again)
    )
    pd.testing.assert_frame_equal(first, second)


def test_a_query_reads_its_own_file_alone(tables: Tables, tmp_path: Path) -> None:
    tables.leads.to_parquet(tmp_path / "leads.parquet")
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    query = f"SELECT * FROM read_csv('{tmp_path / 'secret.csv'}')"
    text = f'[data]\nleads = {{path = "leads.parquet", query = "{query}"}}\n[columns]\nid = "Lead"\n'
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(InputError, match=r"query over leads.parquet failed \(PermissionException\)"):
        read_tables(load_config(tmp_path / "mine.toml"))


def test_dates_of_stages_are_events_at_training_and_at_scoring(tables: Tables) -> None:
    """Leads whose table alone says what they did: when they asked for a demo."""
    events, _ = beside(tables)
    asked = events[events["event_type"] == "demo"].set_index("lead_id")["occurred_at"]
    leads = tables.leads.assign(Asked=tables.leads["Lead"].map(asked))
    only = {"columns": {"stages": {"entered demo": "Asked"}}, "data": {"extracted_at": END.isoformat()}}
    settings = config(**only).model_dump()
    settings["data"]["events"] = None
    run_ = train(Tables(leads=leads, outcomes=tables.outcomes), parse_config(settings))
    assert "entered demo days since" in run_.model.schema.names
    assert run_.evaluation is not None
    assert run_.evaluation.headline.metrics["auc"].value > 0.65
    at = "2025-10-01T00:00:00+00:00"
    some = leads.iloc[300:400]
    known = some["Asked"] < at
    scores = predict(some, model=run_.model, as_of=at)
    hidden = predict(some.assign(Asked=some["Asked"].where(known)), model=run_.model, as_of=at)
    pd.testing.assert_frame_equal(scores, hidden)
    assert not known.all()
    assert {*scores["scored_by"]} == {"model"}


def test_stages_and_a_log_are_one_history(tables: Tables) -> None:
    leads = tables.leads.assign(Called=tables.leads["Created"] + pd.Timedelta(days=3))
    prepared = prepare_tables(
        Tables(leads=leads, events=tables.events, outcomes=tables.outcomes),
        config(columns={"stages": {"called": "Called"}}),
    )
    rows = prepared.examples.leads
    age = rows["cutoff"] - rows["Created"]
    np.testing.assert_array_equal(rows["called count 90d"], (age > "3D") & (age <= "93D"))
    assert {"visit count 90d", "demo count 90d"} <= {*rows}


def test_a_touch_is_scored_by_its_own_values(
    empty_registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lead table with a row a touch: each touch is as of its own cutoff and has values of its own."""
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    shutil.copy(empty_registry, "models/mlflow.db")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    whole = world(300)
    rng = np.random.default_rng(1)
    twice = pd.concat([whole.leads, whole.leads], ignore_index=True)
    twice["Touched"] = twice["Created"] + pd.to_timedelta(rng.uniform(1, 40, len(twice)), unit="D")
    twice["Mood"] = rng.choice(["good", "bad"], len(twice))
    twice.to_parquet("touches.parquet")
    events, outcomes = beside(whole)
    events.to_parquet("events.parquet")
    outcomes.to_csv("outcomes.csv", index=False)
    Path("propensity.toml").write_text(
        '[data]\nleads = "touches.parquet"\nevents = "events.parquet"\noutcomes = "outcomes.csv"\n'
        '[columns]\nid = "Lead"\ndate = "Created"\ncutoff = "Touched"\nfit = ["Industry", "Mood"]\n'
        "[labels]\nhorizon_days = 30\n[learner]\nmax_trees = 20\n[evaluation]\norigins = 1\n"
    )
    assert run(["train"]) == 0
    assert run(["features", "-o", "rows.parquet"]) == 0
    rows = pd.read_parquet("rows.parquet")
    assert rows["Mood"].to_list() == twice["Mood"].to_list()
    won = twice["Lead"].map(outcomes.groupby("lead_id")["converted_at"].min())
    touched = twice["Touched"].dt.floor("us")
    is_over = pd.to_datetime(won, utc=True) < touched
    assert 0 < is_over.sum() < len(twice) / 2
    assert rows["cutoff"].isna().to_list() == is_over.to_list()
    assert (rows["cutoff"] == touched)[~is_over].all()


@pytest.mark.parametrize(("column", "key"), [("Created", "date"), ("Account", "group"), ("Won", "converted_at")])
def test_touches_of_one_lead_that_differ_in_what_is_the_leads_own_are_refused(
    tables: Tables, column: str, key: str
) -> None:
    """Else the touch that stands first in the file would count, and its order would decide."""
    leads = tables.leads.merge(beside(tables)[1].rename(columns={"lead_id": "Lead", "converted_at": "Won"}), how="left")
    twice = pd.concat([leads, leads], ignore_index=True)
    twice["Touched"] = twice["Created"] + pd.to_timedelta(np.arange(len(twice)) // len(leads) + 1, unit="D")
    touched = config(columns={"cutoff": "Touched", key: column})
    assert len(prepare_tables(replace(tables, leads=twice), touched).examples.y) > len(leads)
    odd = twice.astype(object)
    odd.loc[905, column] = odd[column].dropna().iloc[-1]
    with pytest.raises(InputError, match=rf"column '{column}' \(columns\.{key}\): 1 differ .* rows 906\)"):
        prepare_tables(replace(tables, leads=odd), touched)


def test_the_sheet_reads_what_leads_did_where_there_is_no_model(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    tables.leads.to_csv("leads.csv", index=False)
    events, outcomes = beside(tables)
    events.to_parquet("events.parquet")
    outcomes.to_csv("outcomes.csv", index=False)
    Path("propensity.toml").write_text(
        '[data]\nleads = "leads.csv"\nevents = "events.parquet"\noutcomes = "outcomes.csv"\n'
        '[columns]\nid = "Lead"\ndate = "Created"\nfit = ["Industry"]\n'
        '[[rules.points]]\nname = "asked"\ncolumn = "demo count 90d"\nop = ">="\nvalue = 1\npoints = 30\n'
    )
    at = "2025-11-01T00:00:00+00:00"
    assert run(["score", "-o", "scores.csv", "--as-of", at]) == 0
    scores = pd.read_csv("scores.csv").set_index("Lead")
    log = events[events["event_type"] == "demo"].set_index("lead_id")["occurred_at"]
    born = tables.leads.set_index("Lead")["Created"] <= at
    asked = (log < at) & (log >= pd.Timestamp(at) - pd.Timedelta(days=90))
    expected = 30.0 * asked.reindex(scores.index, fill_value=False)
    won = outcomes[pd.to_datetime(outcomes["converted_at"], utc=True) < pd.Timestamp(at)]["lead_id"]
    born &= ~born.index.isin(won)
    pd.testing.assert_series_equal(scores["points"][born], expected[born], check_names=False)
    assert {*scores["fallback_reason"][born]} == {"MODEL_MISSING"}
    assert {*scores["fallback_reason"][won]} == {"ALREADY_CONVERTED"}


def test_two_cutoffs_choose_the_blend_by_the_one_origin_they_hold() -> None:
    """Labels of the first are known at the second 40 days later, not at one 20 days later."""
    tables = world(3000)
    first = pd.Timestamp("2025-08-01", tz="UTC")

    def chosen(days: int) -> Examples:
        cutoffs = pd.DataFrame({"lead_id": tables.leads["Lead"]}).merge(
            pd.DataFrame({"cutoff": [first, first + pd.Timedelta(days=days)]}), how="cross"
        )
        mine = replace(tables, cutoffs=cutoffs)
        settings = config(data={"cutoffs": "c.csv"}, labels={"repeat": True})
        return prepare_tables(mine, settings).examples

    apart = chosen(40)
    split = forward_split(apart)
    assert split is not None
    assert {*apart.leads["cutoff"].iloc[split.past]} == {first}
    assert {*apart.leads["cutoff"].iloc[split.test]} == {first + pd.Timedelta(days=40)}
    assert forward_split(chosen(20)) is None


def test_a_date_to_look_at_is_its_first_moment(tables: Tables, trained: Any) -> None:
    """As `--as-of` takes it; what happens on that day is what is to be foretold."""
    from propensity.features import features_as_of

    leads = tables.leads.iloc[300:330]
    at = features_as_of(leads, trained.model.plan, events=tables.events, as_of="2025-11-01").frame
    cutoffs = pd.DataFrame({"lead_id": tables.leads["Lead"], "cutoff": "2025-11-01"})
    chosen = prepare_tables(
        Tables(leads=tables.leads, events=tables.events, outcomes=tables.outcomes, cutoffs=cutoffs),
        config(data={"cutoffs": "c.csv"}, labels={"repeat": True}),
    ).examples.leads
    assert {*chosen["cutoff"]} == {*at["cutoff"]} == {pd.Timestamp("2025-11-01", tz="UTC")}


def test_a_lead_alone_is_scored_as_of_the_day_the_whole_log_says(tables: Tables, trained: Any) -> None:
    whole = predict(tables.leads.iloc[100:104], model=trained.model, events=tables.events)
    alone = predict(tables.leads.iloc[[100]], model=trained.model, events=tables.events)
    pd.testing.assert_frame_equal(whole.iloc[[0]], alone)


def test_a_row_that_is_not_there_yet_changes_no_number_of_the_others(tables: Tables, trained: Any) -> None:
    from propensity.features import features_as_of

    leads = tables.leads.iloc[[0, 1, 899]].assign(code=[2**60 + 1, 7, 8])
    frame = features_as_of(leads, trained.model.plan, events=tables.events, as_of="2025-09-01").frame
    assert frame["cutoff"].isna().to_list() == [False, False, True]
    assert frame["code"].to_list() == [2**60 + 1, 7, 8]


def test_events_of_other_leads_teach_nothing_although_stages_do(tables: Tables) -> None:
    events, outcomes = beside(tables)
    leads = tables.leads.assign(Called=tables.leads["Created"] + pd.Timedelta(days=3))
    strange = events.assign(lead_id="X" + events["lead_id"].astype(str))
    with pytest.raises(InputError, match=r"None of the 891 different ids in column 'lead_id' of the events"):
        prepare_tables(
            Tables(leads=leads, events=strange, outcomes=outcomes), config(columns={"stages": {"called": "Called"}})
        )
