from __future__ import annotations

import contextlib
import gzip
import io
import json
import math
import os
import re
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from propensity.cli import run
from propensity.features import with_derived
from propensity.registry import Store, load_model
from propensity.schema import partition
from propensity.storage.configs import load_config, read_tables
from propensity.storage.writing import holding
from propensity.synthetic import invent_leads
from propensity.training import prepare_tables

REPOSITORY = Path(__file__).parents[1]
EARLIER = "earlier scores\n"
# The order that score files are read in by others.
SCORE_COLUMNS = (
    *("Lead ID", "as_of", "probability", "p_low", "p_high", "band", "band_raw", "certified", "scored_by"),
    *("fallback_reason", "override", "points", "fit_pp", "behaviour_pp"),
)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a command left on the terminal."""

    code: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """Standard error without progress."""
        return "\n".join(line for line in self.err.splitlines() if not re.match(r"\s+\d+% ", line))

    @property
    def json(self) -> Any:
        """The one object on standard output."""
        return json.loads(self.out)


@dataclass(frozen=True, kw_only=True)
class Project:
    """A folder with leads.csv, new_leads.csv, propensity.toml and perhaps a trained model."""

    folder: Path
    history: pd.DataFrame
    new: pd.DataFrame

    @property
    def config(self) -> Path:
        return self.folder / "propensity.toml"

    @property
    def bundle(self) -> Path:
        (bundle,) = (self.folder / "models" / "bundles").iterdir()
        return bundle

    def edit(self, old: str, new: str) -> None:
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))

    def copy(self, folder: Path) -> Project:
        """Give a copy to spoil. Models registered before stay where they were."""
        shutil.copytree(self.folder, folder)
        return replace(self, folder=folder)

    def train(self, *more: str) -> Told:
        return tell("train", "-c", str(self.config), "--json", *more)

    def score(self, leads: Path, output: Path, *more: str) -> Told:
        return tell("score", str(leads), "-c", str(self.config), "-o", str(output), *more)

    def n_versions(self) -> int:
        client = mlflow.MlflowClient(f"sqlite:///{self.folder / 'models' / 'mlflow.db'}")
        return len(client.search_model_versions("name='lead-propensity'"))


def tell(*arguments: str) -> Told:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([*arguments])
    return Told(code=code, out=out.getvalue(), err=err.getvalue())


def csv_bytes(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False, lineterminator="\n").encode()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def assert_refused(told: Told, code: int, *says: str, leads: pd.DataFrame | None = None) -> None:
    """One message that says what, where and what to do; no traceback, no cell of a lead."""
    assert told.code == code, told
    assert told.out == ""
    assert told.message.startswith("propensity ")
    assert "Traceback" not in told.err
    assert [what for what in says if what not in told.message] == [], told.message
    if leads is not None:
        cells = {cell for name in leads for cell in leads[name].astype(str) if len(cell) > 3}
        assert [cell for cell in cells if cell in told.message] == []


def enrich(leads: pd.DataFrame) -> pd.DataFrame:
    """Add a column that is seldom filled and one of true and false; write every cell as a CSV has it."""
    rng = np.random.default_rng(len(leads))
    budget = pd.Series(rng.integers(1, 90, len(leads)).astype(str)).where(rng.random(len(leads)) < 0.3, "")
    return leads.astype(str).assign(
        Budget=budget.to_numpy(), **{"Opted in": np.where(rng.random(len(leads)) < 0.4, "true", "false")}
    )


def make_project(
    folder: Path, registry: Path, *, history: pd.DataFrame, new: pd.DataFrame, given: tuple[str, ...] = ()
) -> Project:
    """Write leads, run init, and keep training small."""
    (folder / "models").mkdir(parents=True)
    shutil.copy(registry, folder / "models" / "mlflow.db")
    project = Project(folder=folder, history=history, new=new)
    (folder / "leads.csv").write_bytes(csv_bytes(history))
    (folder / "new_leads.csv").write_bytes(csv_bytes(new))
    told = tell("init", str(folder / "leads.csv"), "--target", "Converted", "-o", str(project.config), *given)
    assert told.code == 0, told.err
    project.edit("origins = 5", "origins = 1")
    project.edit("max_trees = 3000", "max_trees = 20")
    return project


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> tuple[Project, Told]:
    world = invent_leads(n_history=1000, n_new=60)
    project = make_project(
        tmp_path_factory.mktemp("trained") / "project",
        empty_registry,
        history=enrich(world.history),
        new=enrich(world.new),
    )
    return project, project.train()


@pytest.fixture(scope="module")
def project(trained: tuple[Project, Told], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A trained project that has scored before and kept its champion; tests that change it take a copy."""
    project = trained[0]
    assert project.score(project.folder / "new_leads.csv", tmp_path_factory.mktemp("first") / "scores.csv").code == 0
    return project


@pytest.fixture(scope="module")
def scores(project: Project, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The new leads as the champion scores them."""
    output = tmp_path_factory.mktemp("scores") / "scores.csv"
    assert project.score(project.folder / "new_leads.csv", output).code == 0
    return read(output)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Project:
    """A small project that was never trained; its likely leads convert, but for one in twenty."""
    world = invent_leads(n_history=500, n_new=20)
    is_odd = np.arange(500) % 20 == 7
    converted = (world.probability > np.quantile(world.probability, 0.75)) ^ is_odd
    history = world.history.astype(str).assign(Converted=np.where(converted, "Yes", "No"))
    folder = tmp_path_factory.mktemp("untrained") / "project"
    return make_project(folder, empty_registry, history=history, new=world.new.astype(str))


@pytest.fixture
def fresh(untrained: Project, tmp_path: Path) -> Project:
    """A project to train or to spoil."""
    return untrained.copy(tmp_path / "fresh")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stand in an empty folder; afterwards nothing is left in it by accident, nor in the folder for temporary files."""
    folder, scratch = tmp_path / "here", tmp_path / "scratch"
    folder.mkdir()
    scratch.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
    yield folder
    assert [path.name for path in scratch.iterdir()] == []
    assert {path.name for path in folder.iterdir()} <= {
        *("leads.csv", "new_leads.csv", "leads.parquet", "scores.csv", "scores.parquet", "propensity.toml"),
        *("events.csv", "outcomes.csv", "field_history.csv", "plot.png", "bundle", "sample", "sealed"),
        *("cutoffs.csv", "deals.csv", "other.toml"),
    }


# ---- what every command does when it goes well -----------------------------------------------------------------------


def test_an_audit_names_what_training_leaves_out(fresh: Project) -> None:
    leads = pd.read_csv(fresh.folder / "leads.csv", dtype=str, keep_default_na=False)
    leads["Deal size"] = np.where(leads["Converted"] == "Yes", "1200", "")
    (fresh.folder / "leads.csv").write_bytes(csv_bytes(leads))
    fresh.edit("behaviour = [", 'behaviour = [\n    "Deal size",')
    told = tell("audit", "-c", str(fresh.config))
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith("QUARANTINE 1 columns: may know the future, and training leaves them out\n")
    assert "\nQUARANTINE 'Deal size': " in told.out
    as_json = tell("audit", "-c", str(fresh.config), "--json").json
    verdicts = {entry["column"]: entry["verdict"] for entry in as_json["audit"]}
    assert {name for name, verdict in verdicts.items() if verdict == "QUARANTINE"} == {"Deal size"}
    assert {*as_json} == {"audit", "flaws", "dropped", "warnings"}
    assert not (fresh.folder / "models" / "bundles").exists()


def test_sample_init_train_score_explain_go_through_as_the_help_shows(here: Path) -> None:
    assert tell("sample", ".", "--flat").code == 0
    few = pd.concat([read(here / "leads.csv")]).iloc[:500]
    (here / "leads.csv").write_bytes(csv_bytes(few))
    told = tell("init", "leads.csv", "--target", "Converted")
    assert (told.code, told.err) == (0, "")
    assert "'yes' means converted" in told.out
    assert "propensity train" in told.out
    told = tell("score", "new_leads.csv", "-o", "scores.csv")
    assert (told.code, told.err) == (0, "")
    assert "Written: scores.csv" in told.out
    told = tell("explain", "new_leads.csv", "--lead", "L03001")
    assert (told.code, told.err) == (0, "")
    assert "(by the rules)" in told.out


def test_sample_does_not_write_over_leads_of_the_users(here: Path) -> None:
    (here / "new_leads.csv").write_text("mine\n")
    assert_refused(tell("sample", "."), 5, "new_leads.csv exists", "Name another folder")
    assert contents(here) == {"new_leads.csv": b"mine\n"}


@pytest.mark.parametrize("flat", [[], ["--flat"]])
def test_sample_writes_the_same_leads_again(here: Path, flat: list[str]) -> None:
    assert tell("sample", "sample", *flat).code == 0
    before = contents(here)
    assert tell("sample", "sample", *flat).code == 0
    assert contents(here) == before


def test_sample_writes_the_files_of_this_repository_byte_for_byte(here: Path) -> None:
    assert tell("sample", ".").code == 0
    assert contents(here) == contents(REPOSITORY / "data" / "sample")
    assert sum(map(len, contents(here).values())) < 3e6


def test_the_sample_has_enough_ripe_outcomes_for_everything_to_be_fitted() -> None:
    config = load_config(REPOSITORY / "propensity.toml")
    examples = prepare_tables(read_tables(config), config).examples
    buyers = examples.leads["Lead ID"][examples.y == 1].nunique()
    assert buyers > 200
    assert 0.1 < np.average(examples.y, weights=examples.weight) < 0.2


def test_the_sample_s_new_leads_are_young_and_have_not_bought(here: Path) -> None:
    assert tell("sample", ".").code == 0
    new, everyone, sold = (read(here / f"{name}.csv") for name in ("new_leads", "leads", "outcomes"))
    young = everyone[
        pd.to_datetime(everyone["Created"]) >= pd.Timestamp("2026-06-25", tz="UTC") - pd.Timedelta(days=90)
    ]
    assert new["Lead ID"].tolist() == young.loc[~young["Lead ID"].isin(sold["lead_id"]), "Lead ID"].tolist()
    assert [*new] == [*everyone]


def test_init_keeps_a_config_that_stands_there(project: Project, here: Path) -> None:
    (here / "propensity.toml").write_text("mine\n")
    told = tell("init", str(project.folder / "leads.csv"), "--target", "Converted")
    assert_refused(told, 5, "propensity.toml exists", "-o", leads=project.history)
    assert contents(here) == {"propensity.toml": b"mine\n"}


def test_init_asks_for_columns_by_the_names_the_file_has(project: Project, here: Path) -> None:
    told = tell("init", str(project.folder / "leads.csv"), "--target", "Convertd")
    assert_refused(told, 2, "--target names 'Convertd'", "Did you mean 'Converted'?", leads=project.history)
    assert contents(here) == {}


def test_a_file_that_is_given_twice_is_refused_not_dropped(here: Path) -> None:
    told = tell("init", "leads.csv", "--events", "tasks.csv", "--events", "members.csv")
    assert told.code == 2
    assert "argument --events: given twice, takes one value" in told.err
    assert not (here / "propensity.toml").exists()


def test_init_does_not_repeat_the_values_of_a_column_that_is_no_target(project: Project, here: Path) -> None:
    told = tell("init", str(project.folder / "leads.csv"), "--target", "Email")
    assert_refused(told, 2, "Target 'Email' must hold two outcomes, got 1000", leads=project.history)
    assert contents(here) == {}


def test_init_without_leads_takes_those_that_cutoffs_name(small_world: dict[str, pd.DataFrame]) -> None:
    born = pd.to_datetime(small_world["leads"]["Created"])
    cutoffs = pd.DataFrame({"Contact": small_world["leads"]["Lead"], "asof": born + pd.Timedelta(days=3)})
    for name, frame in {**small_world, "cutoffs": cutoffs}.items():
        frame.to_csv(f"{name}.csv", index=False)
    beside = ("--events", "events.csv", "--outcomes", "outcomes.csv")
    assert_refused(tell("init", *beside), 2, "LEADS", "--cutoffs")
    told = tell("init", "--cutoffs", "cutoffs.csv", *beside, "--horizon", "30")
    assert (told.code, told.err) == (0, "")
    settings = load_config("propensity.toml")
    assert settings.data.leads is None
    assert (settings.columns.id, settings.columns.cutoffs.id, settings.columns.cutoffs.cutoff) == (
        *("Contact", "Contact", "asof"),
    )
    assert tell("audit").code == 0


def test_init_refuses_deals_of_which_none_is_won(small_world: dict[str, pd.DataFrame]) -> None:
    small_world["leads"].to_csv("leads.csv", index=False)
    deals = small_world["outcomes"].set_axis(["Lead ID", "Close Date"], axis=1).assign(Stage="Closed Lost")
    deals.to_csv("deals.csv", index=False)
    told = tell("init", "leads.csv", "--outcomes", "deals.csv")
    assert_refused(told, 2, "deals.csv (--outcomes)", "Salesforce opportunities, of which no row counts")


def test_init_says_what_the_query_of_an_export_leaves(here: Path, small_world: dict[str, pd.DataFrame]) -> None:
    small_world["leads"].to_csv("leads.csv", index=False)
    tasks = small_world["events"][["lead_id", "occurred_at"]].set_axis(["WhoId", "CreatedDate"], axis=1)
    tasks.assign(TaskSubtype="Call", Subject="Demo").to_csv("events.csv", index=False)
    deals = small_world["outcomes"].set_axis(["Lead", "Close Date"], axis=1)
    lost = deals.head(3).assign(Stage="Closed Lost")
    pd.concat([deals.assign(Stage="Closed Won"), lost]).to_csv("deals.csv", index=False)
    told = tell("init", "leads.csv", "--events", "events.csv", "--outcomes", "deals.csv", "--id", "Lead")
    assert (told.code, told.err) == (0, "")
    assert here.joinpath("propensity.toml").exists()
    taken = f"takes {len(tasks):,} of the file's {len(tasks):,} rows and does not read 'Subject'"
    assert taken in told.out
    assert f"takes {len(deals):,} of the file's {len(deals) + 3:,} rows" in told.out


def test_init_says_what_the_points_sheet_holds_or_how_to_write_one() -> None:
    leads = pd.DataFrame({"Lead ID": range(60), "Region": ["a", "b"] * 30, "Converted": ["yes", "no", "no"] * 20})
    leads.to_csv("leads.csv", index=False)
    leads.assign(Demo=["yes", "no"] * 30).to_csv("new_leads.csv", index=False)
    assert "No points sheet is proposed" in tell("init", "leads.csv", "-o", "propensity.toml").out
    told = tell("init", "new_leads.csv", "-o", "other.toml")
    assert "Points sheet proposed: 0 lines on who a lead is, 1 on what it did." in told.out
    assert "then run: propensity audit -c other.toml, then: propensity train -c other.toml" in told.out


def test_train_json_is_one_object_with_the_agreed_keys(trained: tuple[Project, Told]) -> None:
    project, told = trained
    assert (told.code, told.err) == (0, "")
    answer = told.json
    keys = {"model", "data", "audit", "learner", "metrics", "thresholds", "verdict", "warnings", "flaws"}
    keys |= {"learning_curve", "agreement_changed", "importance"}
    assert {*answer} == keys
    assert {*answer["model"]} == {"name", "version", "alias", "uri", "path"}
    assert (answer["model"]["version"], answer["model"]["alias"]) == ("1", "champion")
    assert Path(answer["model"]["path"]) == project.bundle
    assert answer["data"] == {"rows": 1000, "positives": 140, "base_rate": 0.14, "matured": 1000, "dropped": {}}
    assert {*answer["audit"][0]} == {"column", "role", "verdict", "evidence", "price"}
    derived = ["Email domain", "Email given", "Job title seniority", "Job title department", "Country code"]
    assert [entry["column"] for entry in answer["audit"]] == [*project.history.columns, *derived]
    figures = {"auc", "average_precision", "log_loss", "constant_log_loss", "brier", "ece", "lift_at_10"}
    for kind in ("time", "random", "rules"):
        assert figures <= {*answer["metrics"][kind]}
        assert {*answer["metrics"][kind]["auc"]} == {"value", "low", "high"}
    assert {*answer["thresholds"]} == {"mql", "sql", "policy", "certified", "promise"}
    assert answer["verdict"] == "skill"


def test_train_leaves_plots_and_a_summary_beside_the_bundle(trained: tuple[Project, Told]) -> None:
    project, told = trained
    reports = project.folder / "models" / "reports" / project.bundle.name
    assert {path.name for path in reports.iterdir()} == {
        *(
            "summary.txt",
            "card.md",
            "report.html",
            "reliability.png",
            "gain.png",
            "scores.png",
            "comparison.png",
            "beeswarm.png",
            "importance.png",
            "importance.csv",
            "dependence.csv",
        ),
        *("frontier.png", "frontier.csv"),
        *("metrics.csv", "reliability.csv", "gain.csv", "bands.csv", "months.csv", "segments.csv"),
        *("scores.csv", "learning_curve.png"),
    }
    summary = (reports / "summary.txt").read_text()
    for figure in ("140 converted (14.0%)", "AUC", "log loss", "constant", "lift in top 10 %", "points sheet"):
        assert figure in summary
    assert f"{told.json['thresholds']['sql']:.4f}" in summary


def test_a_new_agreement_is_a_new_version_and_says_who_moves(fresh: Project) -> None:
    first = fresh.train("--alias", "champion").json
    assert first["agreement_changed"] is None
    fresh.edit("mql_recall = 0.9 ", "mql_recall = 0.6 ")
    told = tell("train", "-c", str(fresh.config))
    assert told.code == 0, told.err
    assert "Agreement  changed since the champion:\n             mql_recall: 0.9 -> 0.6" in told.out
    again = load_model(f"models:/lead-propensity/{fresh.n_versions()}", store=Store(folder=fresh.folder / "models"))
    assert again.agreement["mql_recall"] == 0.6
    assert again.version != load_model(first["model"]["path"]).version
    moves = read(fresh.folder / "models" / "reports" / again.version / "moves.csv")
    counts = moves[["SQL", "MQL", "nurture"]].to_numpy().astype(int)
    n_moved = counts.sum() - counts.trace()
    assert f", {n_moved:,} move:" in told.out
    # Fewer conversions are asked for, so leads leave MQL and none comes in.
    assert counts[1, 2] > 0
    assert counts[2, :2].tolist() == [0, 0]


def test_scores_have_the_agreed_columns_in_their_order(project: Project, scores: pd.DataFrame) -> None:
    reasons = tuple(f"reason_{i}" for i in range(1, 5))
    assert tuple(scores.columns) == (*SCORE_COLUMNS, *reasons, "model_version")
    assert scores["Lead ID"].to_list() == project.new["Lead ID"].to_list()
    assert {*scores["scored_by"]} == {"model"}
    assert {*scores["band"]} <= {"SQL", "MQL", "nurture"}
    assert {*scores["model_version"]} == {project.bundle.name}
    newest = pd.Timestamp(project.new["Created"].max(), tz="UTC").isoformat()
    assert {*scores["as_of"]} == {newest}
    for later in ("override",):
        assert {*scores[later]} == {""}


@pytest.mark.parametrize("n_reasons", [0, 1, 20])
def test_as_many_reason_columns_as_asked_for(project: Project, here: Path, n_reasons: int) -> None:
    told = project.score(project.folder / "new_leads.csv", here / "scores.parquet", "--reasons", str(n_reasons))
    assert told.code == 0
    reasons = tuple(f"reason_{i}" for i in range(1, n_reasons + 1))
    schema = pq.read_schema(here / "scores.parquet")
    assert tuple(schema.names) == (*SCORE_COLUMNS, *reasons, "model_version", "reasons")
    assert str(schema.field("reasons").type) == "list<element: struct<rank: int64, text: string>>"


@pytest.mark.parametrize("n_reasons", ["-1", "21"])
def test_more_than_twenty_reasons_are_refused(project: Project, here: Path, n_reasons: str) -> None:
    told = project.score(project.folder / "new_leads.csv", here / "scores.csv", "--reasons", n_reasons)
    assert_refused(told, 2, f"reasons must be within 0 and 20, got {n_reasons}")
    assert contents(here) == {}


def test_parquet_scores_hold_the_reasons_once_more_as_a_list(project: Project, here: Path) -> None:
    assert project.score(project.folder / "new_leads.csv", here / "scores.parquet").code == 0
    frame = pd.read_parquet(here / "scores.parquet")
    first = frame.iloc[0]
    texts = [first[f"reason_{i}"] for i in range(1, 5) if first[f"reason_{i}"]]
    assert [*first["reasons"]] == [{"rank": i + 1, "text": text} for i, text in enumerate(texts)]


def test_score_json_is_one_object(project: Project, here: Path) -> None:
    told = project.score(project.folder / "new_leads.csv", here / "scores.csv", "--json")
    assert (told.code, told.err) == (0, "")
    answer = told.json
    assert (answer["rows"], answer["scored_by"], answer["degraded"]) == (60, {"model": 60}, 0)
    assert answer["model_version"] == project.bundle.name


@pytest.mark.parametrize("is_calibrated", [True, False])
def test_a_score_by_probabilities_that_were_off_in_the_test_is_warned_of(
    project: Project, here: Path, *, is_calibrated: bool
) -> None:
    from propensity.model import sealed
    from propensity.storage.bundles import save_model

    model = load_model(project.bundle)
    judged = sealed(replace(model, facts={**model.facts, "calibrated": is_calibrated}))
    bundle = save_model(judged, here / "bundle")
    told = project.score(project.folder / "new_leads.csv", here / "scores.csv", "--model", str(bundle))
    assert told.code == 0
    assert ("probabilities were off" in told.out) is not is_calibrated
    shutil.rmtree(bundle)


def test_a_score_as_of_a_time_the_model_learned_from_is_no_test_of_it(project: Project, here: Path) -> None:
    leads = project.folder / "new_leads.csv"
    end = load_model(project.bundle).facts["data_end"]
    for as_of, is_said in (("2020-01-01", True), (end, False)):
        told = project.score(leads, here / "scores.csv", "--as-of", as_of, "--allow-degraded")
        assert told.code == 0
        assert (f"up to {end[:10]}, after 2020-01-01: these scores are no test" in told.out) is is_said


def test_scoring_leaves_the_project_as_it_was(project: Project, here: Path) -> None:
    before = contents(project.folder)
    assert project.score(project.folder / "new_leads.csv", here / "scores.csv").code == 0
    assert contents(project.folder) == before
    assert [*contents(here)] == ["scores.csv"]


def test_scoring_twice_gives_the_same_bytes(project: Project, here: Path) -> None:
    leads = project.folder / "new_leads.csv"
    assert project.score(leads, here / "scores.csv").code == 0
    first = contents(here)
    assert project.score(leads, here / "scores.csv").code == 0
    assert contents(here) == first


def test_an_instant_that_is_none_is_refused(project: Project, here: Path) -> None:
    told = project.score(project.folder / "new_leads.csv", here / "scores.csv", "--as-of", "=tomorrow")
    assert_refused(told, 2, "--as-of must be a date", "YYYY-MM-DD")
    assert contents(here) == {}


def test_ids_come_back_exactly_as_the_csv_wrote_them(project: Project, here: Path) -> None:
    ids = ["007", "7", " 8", "9 ", "1e5", "1.0", "True", "-5"]
    (here / "leads.csv").write_bytes(csv_bytes(project.new.iloc[:8].assign(**{"Lead ID": ids})))
    assert project.score(here / "leads.csv", here / "scores.csv").code == 0
    assert read(here / "scores.csv")["Lead ID"].to_list() == ids


def test_ids_keep_their_type_in_parquet(project: Project, here: Path) -> None:
    ids = [2**60 + 1, 7, 0]
    project.new.iloc[:3].assign(**{"Lead ID": ids}).to_parquet(here / "leads.parquet")
    assert project.score(here / "leads.parquet", here / "scores.parquet").code == 0
    assert pd.read_parquet(here / "scores.parquet")["Lead ID"].to_list() == ids


def test_a_spreadsheet_does_not_run_an_id(project: Project, here: Path) -> None:
    (here / "leads.csv").write_bytes(csv_bytes(project.new.iloc[:1].assign(**{"Lead ID": "=1+1"})))
    assert project.score(here / "leads.csv", here / "scores.csv").code == 0
    assert read(here / "scores.csv")["Lead ID"].to_list() == ["'=1+1"]


# ---- explain ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [0, 7, 33, 59])
def test_contributions_add_up_to_the_log_odds_and_points_to_the_probability(project: Project, row: int) -> None:
    lead = project.new["Lead ID"].iloc[row]
    told = tell("explain", str(project.folder / "new_leads.csv"), "-c", str(project.config), "--lead", lead, "--json")
    assert (told.code, told.err) == (0, "")
    answer = told.json
    model = load_model(project.bundle)
    assert model.learned is not None
    read = partition(with_derived(project.new.iloc[[row]], model.plan), model.schema).read
    (probability,) = model.learned.probability(read)
    log_odds = math.log(probability / (1 - probability))
    parts = answer["contributions"]
    assert answer["reference_log_odds"] + sum(part["log_odds"] for part in parts) == pytest.approx(log_odds, abs=1e-9)
    moved = 100 * (answer["probability"] - answer["reference_probability"])
    assert sum(part["points"] for part in parts) == pytest.approx(moved, abs=1e-9)
    assert answer["fit_pp"] + answer["behaviour_pp"] == pytest.approx(moved, abs=1e-9)
    assert {part["column"] for part in parts} == {*model.schema.names}


def test_explain_says_what_score_says(project: Project, scores: pd.DataFrame) -> None:
    row = scores.iloc[5]
    told = tell(
        *("explain", str(project.folder / "new_leads.csv"), "-c", str(project.config)),
        *("--lead", row["Lead ID"], "--json"),
    )
    answer = told.json
    assert (answer["band"], answer["model_version"]) == (row["band"], row["model_version"])
    assert answer["probability"] == float(row["probability"])
    assert answer["reasons"] == [row[f"reason_{i}"] for i in range(1, 5) if row[f"reason_{i}"]]


def test_explain_draws_a_waterfall(project: Project, here: Path) -> None:
    lead = project.new["Lead ID"].iloc[0]
    leads = str(project.folder / "new_leads.csv")
    told = tell("explain", leads, "-c", str(project.config), "--lead", lead, "--plot", "plot.png")
    assert (told.code, told.err) == (0, "")
    assert (here / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_explain_of_a_lead_that_is_not_in_the_file_is_refused(project: Project) -> None:
    leads = str(project.folder / "new_leads.csv")
    told = tell("explain", leads, "-c", str(project.config), "--lead", "L99999")
    assert_refused(told, 2, "No such lead", "--lead", leads=project.new)


# ---- files that are no table, and columns and rows that cannot be used ----------------------------------------------


def two_delimiters(csv: bytes) -> bytes:
    lines = csv.splitlines(keepends=True)
    return b"".join(lines[:20]) + b"".join(line.replace(b",", b";") for line in lines[20:])


def one_cell_more(csv: bytes) -> bytes:
    lines = csv.split(b"\n")
    return b"\n".join([*lines[:9], lines[9] + b",beyond,all", *lines[10:]])


NO_TABLE: Mapping[str, tuple[Callable[[bytes], bytes], tuple[str, ...]]] = {
    "empty": (lambda _: b"", ("leads.csv is empty", "Give a file")),
    "only a header": (lambda csv: csv.split(b"\n")[0] + b"\n", ("header but no rows", "Give")),
    "a web page": (
        lambda _: b"<!DOCTYPE html>\n<html><body>Sign in, please</body></html>",
        ("leads.csv is not a table", "'<!DOCTYPE html>", "Download the file itself"),
    ),
    "a stub of 20 bytes": (lambda _: b"404: page not found\n", ("leads.csv is not a table", "Give a file")),
    "a workbook": (lambda _: b"PK\x03\x04" + bytes(200), ("leads.csv is not a table", "save it as CSV")),
    "binary": (lambda csv: csv[:200] + bytes(50), ("leads.csv is not a table", "Give CSV or Parquet")),
    "cut gzip": (lambda csv: gzip.compress(csv)[:-100], ("leads.csv is a broken gzip file", "again")),
    "broken Parquet": (lambda _: b"PAR1" + bytes(200), ("is not readable Parquet", "Write it again")),
    "two delimiters": (two_delimiters, ("leads.csv cannot be read as a table", "one delimiter")),
    "cells beyond the header": (one_cell_more, ("leads.csv cannot be read as a table", "Export it again")),
}


@pytest.mark.parametrize("case", NO_TABLE)
def test_a_file_that_is_no_table_is_not_scored(project: Project, here: Path, case: str) -> None:
    spoil, says = NO_TABLE[case]
    (here / "leads.csv").write_bytes(spoil(csv_bytes(project.new)))
    (here / "scores.csv").write_text(EARLIER)
    before = contents(project.folder), contents(here)
    told = project.score(here / "leads.csv", here / "scores.csv")
    assert_refused(told, 2, *says, leads=project.new)
    assert (contents(project.folder), contents(here)) == before


@pytest.mark.parametrize("case", NO_TABLE)
def test_a_file_that_is_no_table_teaches_nothing(project: Project, tmp_path: Path, case: str) -> None:
    spoil, says = NO_TABLE[case]
    mine = project.copy(tmp_path / "mine")
    (mine.folder / "leads.csv").write_bytes(spoil(csv_bytes(project.history)))
    before = contents(mine.folder)
    assert_refused(mine.train(), 2, *says, leads=project.history)
    assert contents(mine.folder) == before


def test_a_file_that_is_not_there_is_named(project: Project, here: Path) -> None:
    told = project.score(here / "nowhere.csv", here / "scores.csv")
    assert_refused(told, 2, "nowhere.csv does not exist", "Name a CSV or Parquet file")
    assert contents(here) == {}


def test_a_folder_without_parquet_is_no_table(project: Project, here: Path) -> None:
    (here / "sample").mkdir()
    told = project.score(here / "sample", here / "scores.csv")
    assert_refused(told, 2, "sample holds no Parquet file", "Name a folder of Parquet")
    assert contents(here) == {}


def repeat_an_id(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame.iloc[[3]].assign(Industry="Aerospace")])


def long_cells(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(Industry=["x" * 65_537, "x" * 65_537, *frame["Industry"].iloc[2:]])


@dataclass(frozen=True, kw_only=True)
class Case:
    """A way to spoil leads, and what is said of it."""

    spoil: Callable[[pd.DataFrame], pd.DataFrame]
    says: tuple[str, ...]
    code: int = 2
    settings: tuple[str, str] = ("", "")


SCORE_CASES: Mapping[str, Case] = {
    "no id column": Case(
        spoil=lambda frame: frame.drop(columns="Lead ID"), says=("columns.id names 'Lead ID'", "The file has:")
    ),
    "an id with two different rows": Case(spoil=repeat_an_id, says=("'Lead ID'", "first data rows 61", "Keep the row")),
    "two names that are one": Case(
        spoil=lambda frame: frame.assign(**{"INDUSTRY ": frame["Industry"]}), says=("INDUSTRY", "Rename or remove")
    ),
    "a feature that training had": Case(
        spoil=lambda frame: frame.drop(columns=["Industry", "Pages viewed"]),
        says=("100% of 60 rows", "SIGNATURE_MISMATCH: 60", "Industry, Pages viewed", "--allow-degraded"),
        code=4,
    ),
    "negative counts in many rows": Case(
        spoil=lambda frame: frame.assign(**{"Pages viewed": ["-3"] * 13 + ["3"] * 47}),
        says=("22% of 60 rows", "INVALID_ROW: 13", "--allow-degraded"),
        code=4,
    ),
    "cells too long in many rows": Case(
        spoil=lambda frame: long_cells(frame.iloc[:5]), says=("40% of 5 rows", "INVALID_ROW: 2"), code=4
    ),
}


@pytest.mark.parametrize("case", SCORE_CASES)
def test_leads_that_cannot_be_scored_change_nothing(project: Project, here: Path, case: str) -> None:
    spoiled = SCORE_CASES[case]
    leads = spoiled.spoil(project.new)
    (here / "leads.csv").write_bytes(csv_bytes(leads))
    (here / "scores.csv").write_text(EARLIER)
    before = contents(project.folder), contents(here)
    told = project.score(here / "leads.csv", here / "scores.csv")
    assert_refused(told, spoiled.code, *spoiled.says, leads=leads)
    assert (contents(project.folder), contents(here)) == before


TRAIN_CASES: Mapping[str, Case] = {
    **{
        f"no {key} column": Case(
            spoil=lambda frame, column=column: frame.drop(columns=column),  # type: ignore[misc]
            says=(f"columns.{key} names '{column}'", "The file has:"),
        )
        for key, column in (("id", "Lead ID"), ("target", "Converted"), ("date", "Created"))
    },
    "no group column": Case(
        spoil=lambda frame: frame,
        settings=('id = "Lead ID"', 'id = "Lead ID"\ngroup = "Account"'),
        says=("columns.group names 'Account'", "The file has:"),
    ),
    "no feature column": Case(
        spoil=lambda frame: frame.drop(columns="Industry"), says=("columns.fit names 'Industry'", "The file has:")
    ),
    "one outcome": Case(
        spoil=lambda frame: frame.assign(Converted="No"),
        settings=('positive = "yes"', ""),
        says=("Target 'Converted' must hold two outcomes, got 1", "Give leads that converted"),
    ),
    "three outcomes": Case(
        spoil=lambda frame: frame.assign(Converted=["a", "b", "c", "d"] * (len(frame) // 4)),
        settings=('positive = "yes"', ""),
        says=("Target 'Converted' must hold two outcomes, got 4", "columns.positive"),
    ),
    "an id with two different rows": Case(
        spoil=repeat_an_id, says=("'Lead ID'", "first data rows 1001", "Keep the row")
    ),
    "an id with two outcomes": Case(
        spoil=lambda frame: pd.concat(
            [frame, frame.iloc[[0]].assign(Converted="Yes"), frame.iloc[[0]].assign(Converted="No")]
        ),
        says=("'Lead ID'", "Keep the row"),
    ),
    "two names that are one": Case(
        spoil=lambda frame: frame.assign(**{"INDUSTRY ": frame["Industry"]}), says=("INDUSTRY", "Rename or remove")
    ),
    "a negative count": Case(
        spoil=lambda frame: frame.assign(**{"Pages viewed": ["-3", *frame["Pages viewed"].iloc[1:]]}),
        says=("'Pages viewed' is declared a count", "1 rows are negative", "Mend them"),
    ),
    "a cell of more than 64 KB": Case(spoil=long_cells, says=("65,536 characters", "Shorten it")),
    "no feature that varies": Case(
        spoil=lambda frame: frame.assign(
            **dict.fromkeys(frame.columns.difference(["Lead ID", "Created", "Converted"]), "7")
        ),
        says=("No usable feature", "Name at least one column"),
    ),
    "dates of two kinds": Case(
        spoil=lambda frame: frame.assign(
            Created=[f"{stamp}Z" if i % 2 else stamp for i, stamp in enumerate(frame["Created"])]
        ),
        says=("'Created' (columns.date) mixes stamps with and without a time zone",),
    ),
}


@pytest.mark.parametrize("case", TRAIN_CASES)
def test_leads_that_cannot_be_learned_from_change_nothing(project: Project, tmp_path: Path, case: str) -> None:
    spoiled = TRAIN_CASES[case]
    mine = project.copy(tmp_path / "mine")
    leads = spoiled.spoil(project.history)
    (mine.folder / "leads.csv").write_bytes(csv_bytes(leads))
    if spoiled.settings[0]:
        mine.edit(*spoiled.settings)
    before = contents(mine.folder)
    assert_refused(mine.train(), spoiled.code, *spoiled.says, leads=leads)
    assert contents(mine.folder) == before


def test_a_setting_that_is_none_is_refused_by_name(project: Project, tmp_path: Path) -> None:
    mine = project.copy(tmp_path / "mine")
    mine.edit("max_depth = 8", "max_depth = 12")
    before = contents(mine.folder)
    assert_refused(mine.train(), 2, "propensity.toml cannot be used", "learner.max_depth", "got 12")
    assert contents(mine.folder) == before


def test_without_a_config_the_next_step_is_named(here: Path) -> None:
    assert_refused(tell("train"), 2, "propensity.toml does not exist", "propensity init LEADS --target COLUMN")
    assert contents(here) == {}


# ---- leads that are odd, and scored all the same --------------------------------------------------------------------


def test_rows_of_one_id_that_are_the_same_are_scored_once(project: Project, here: Path, scores: pd.DataFrame) -> None:
    (here / "leads.csv").write_bytes(csv_bytes(pd.concat([project.new, project.new.iloc[[3, 4, 3]]])))
    told = project.score(here / "leads.csv", here / "scores.csv", "--json")
    assert told.json["notes"]["identical_rows"] == 3
    pd.testing.assert_frame_equal(read(here / "scores.csv"), scores)


def test_a_lead_without_an_id_is_kept_and_not_scored(project: Project, here: Path, scores: pd.DataFrame) -> None:
    leads = project.new.copy()
    leads.loc[[2, 5], "Lead ID"] = ["", "N/A"]
    (here / "leads.csv").write_bytes(csv_bytes(leads))
    told = project.score(here / "leads.csv", here / "scores.csv", "--json")
    assert (told.code, told.json["notes"]["missing_ids"]) == (0, 2)
    written = read(here / "scores.csv")
    assert written.loc[[2, 5], "band"].to_list() == ["unscored", "unscored"]
    assert written.loc[[2, 5], "Lead ID"].to_list() == ["", "N/A"]
    assert {*written.loc[[2, 5], "probability"]} == {""}
    rest = [i for i in range(60) if i not in {2, 5}]
    pd.testing.assert_frame_equal(written.iloc[rest], scores.iloc[rest])


def test_names_padded_in_other_case_and_order_score_the_same(
    project: Project, here: Path, scores: pd.DataFrame
) -> None:
    leads = project.new[[*reversed(project.new.columns)]].assign(Extra="x")
    leads.columns = pd.Index([f" {name.upper()} " for name in leads.columns])
    (here / "leads.csv").write_bytes(csv_bytes(leads))
    told = project.score(here / "leads.csv", here / "scores.csv", "--json")
    assert (told.code, told.json["absent"]) == (0, [])
    pd.testing.assert_frame_equal(read(here / "scores.csv"), scores)


@pytest.mark.parametrize("kind", ["text", "int64", "float64", "Int64", "category", "boolean", "datetime", "arrow"])
def test_a_column_of_another_type_scores_the_same(
    project: Project, here: Path, scores: pd.DataFrame, kind: str
) -> None:
    leads = project.new.copy()
    counts = ["Pages viewed", "Pricing page visits", "Emails opened", "Emails clicked"]
    if kind in {"int64", "float64"}:
        leads = leads.astype(dict.fromkeys(counts, kind))
    elif kind == "Int64":
        sparse = ["Employees", "Budget"]
        leads[sparse] = leads[sparse].replace("", None).astype("float64").astype("Int64")
    elif kind == "category":
        leads = leads.astype(dict.fromkeys(["Industry", "Country", "Lead source", "Job title"], "category"))
    elif kind == "boolean":
        leads["Opted in"] = leads["Opted in"] == "true"
    elif kind == "datetime":
        leads["Created"] = pd.to_datetime(leads["Created"], utc=True)
    elif kind == "arrow":
        leads = leads.convert_dtypes(dtype_backend="pyarrow")
    leads.to_parquet(here / "leads.parquet")
    told = project.score(here / "leads.parquet", here / "scores.csv")
    assert told.code == 0, told.err
    written = read(here / "scores.csv")
    shown = [name for name in scores.columns if not name.startswith("reason_")]
    pd.testing.assert_frame_equal(written[shown], scores[shown])


def test_a_seldom_filled_column_may_be_absent(project: Project, here: Path) -> None:
    (here / "leads.csv").write_bytes(csv_bytes(project.new.drop(columns="Budget")))
    told = project.score(here / "leads.csv", here / "scores.csv", "--json")
    assert (told.code, told.json["scored_by"], told.json["absent"]) == (0, {"model": 60}, ["Budget"])


def test_an_often_filled_column_that_is_absent_leaves_every_row_to_the_rules(project: Project, here: Path) -> None:
    (here / "leads.csv").write_bytes(csv_bytes(project.new.drop(columns="Industry")))
    told = project.score(here / "leads.csv", here / "scores.csv", "--allow-degraded")
    assert told.code == 0
    assert "Columns not in the file, taken as missing: Industry" in told.out
    written = read(here / "scores.csv")
    assert {*zip(written["scored_by"], written["fallback_reason"], strict=True)} == {("rules", "SIGNATURE_MISMATCH")}


def test_levels_and_numbers_nobody_has_seen_are_scored_and_counted(project: Project, here: Path) -> None:
    leads = project.new.assign(
        Industry="Space mining",
        Country="",
        Employees=["inf", "-inf", "1e308", "NaN"] * 15,
        **{"Pages viewed": "7", "Days since visit": ["999999999"] * 60},
    )
    (here / "leads.csv").write_bytes(csv_bytes(leads))
    told = project.score(here / "leads.csv", here / "scores.csv", "--json")
    assert (told.code, told.json["scored_by"]) == (0, {"model": 60})
    assert told.json["notes"] == {"unusable_numbers": 45, "levels_rare_or_unknown": 60}
    probability = read(here / "scores.csv")["probability"].astype(float)
    assert probability.between(0, 1).all()


def test_a_row_with_a_negative_count_is_left_to_the_rules(project: Project, here: Path, scores: pd.DataFrame) -> None:
    leads = project.new.copy()
    leads.loc[4, "Pages viewed"] = "-1"
    (here / "leads.csv").write_bytes(csv_bytes(leads))
    told = project.score(here / "leads.csv", here / "scores.csv", "--json")
    assert (told.code, told.json["degraded"], told.json["notes"]) == (0, 1, {"negative_counts": 1})
    written = read(here / "scores.csv")
    assert (written["scored_by"][4], written["fallback_reason"][4]) == ("rules", "INVALID_ROW")
    pd.testing.assert_frame_equal(written.drop(index=4), scores.drop(index=4))


@pytest.mark.parametrize(("length", "scored_by"), [(65_536, "model"), (65_537, "rules")])
def test_a_cell_of_64_kb_is_the_longest_that_is_read(project: Project, here: Path, length: int, scored_by: str) -> None:
    leads = project.new.copy()
    leads.loc[0, "Industry"] = "x" * length
    (here / "leads.csv").write_bytes(csv_bytes(leads))
    assert project.score(here / "leads.csv", here / "scores.csv").code == 0
    assert read(here / "scores.csv")["scored_by"].to_list() == [scored_by] + ["model"] * 59


# ---- leads that are odd, and learned from all the same --------------------------------------------------------------


def half_known(frame: pd.DataFrame) -> pd.DataFrame:
    """Leave 30 outcomes open, and write the others in five ways."""
    yes, no = ["Yes", "True", "1", "won", "y"], ["No", "False", "0", "lost", "n"]
    words = [(yes if word == "Yes" else no)[i % 5] for i, word in enumerate(frame["Converted"])]
    return frame.assign(Converted=["" if i < 30 else word for i, word in enumerate(words)])


@dataclass(frozen=True, kw_only=True)
class Learned:
    """A way to change leads that training takes, and what it says of it."""

    change: Callable[[pd.DataFrame], pd.DataFrame]
    dropped: Mapping[str, int]
    warns: tuple[str, ...] = ()


LEARNED: Mapping[str, Learned] = {
    "outcomes in many words, some open": Learned(change=half_known, dropped={"target_missing": 30}),
    "identical rows and rows without an id": Learned(
        change=lambda frame: pd.concat(
            [frame, frame.iloc[[3, 3]], frame.iloc[[8, 9]].assign(**{"Lead ID": ["", "-"]})]
        ),
        dropped={"id_missing": 2, "identical": 2},
    ),
    "columns padded, in other case and order, and more of them": Learned(
        change=lambda frame: (
            frame[[*reversed(frame.columns)]].rename(columns=lambda name: f" {name.upper()} ").assign(Extra="x")
        ),
        dropped={},
    ),
    "constant, empty and infinite columns": Learned(
        change=lambda frame: frame.assign(
            Country="Slovenia", Newsletter="unknown", Employees=["inf", "1e308", *frame["Employees"].iloc[2:]]
        ),
        dropped={},
        warns=(
            "Country code: every value is the same",
            "Newsletter: every value is missing",
            "Employees: 2 values that are not usable numbers",
        ),
    ),
}


@pytest.mark.parametrize("case", LEARNED)
def test_odd_leads_are_learned_from_and_what_was_odd_is_said(fresh: Project, case: str) -> None:
    odd = LEARNED[case]
    (fresh.folder / "leads.csv").write_bytes(csv_bytes(odd.change(fresh.history)))
    told = fresh.train()
    assert (told.code, told.err) == (0, "")
    answer = told.json
    assert answer["data"]["dropped"] == odd.dropped
    assert [text for text in odd.warns if not any(text in warning for warning in answer["warnings"])] == []
    assert answer["data"]["rows"] == 500 - odd.dropped.get("target_missing", 0)
    output = fresh.folder / "scores.csv"
    assert fresh.score(fresh.folder / "new_leads.csv", output, "--model", answer["model"]["path"]).code == 0
    assert {*read(output)["scored_by"]} == {"model"}


def test_names_with_formula_and_json_signs_letters_of_the_world_and_500_characters(fresh: Project, here: Path) -> None:
    names = {
        "Industry": 'Panoga [{"a": 1}, "b"]:,',
        "Country": "Država 国 🌍",
        "Job title": r"$x_{$ \frac",
        "Pages viewed": "strani " + "x" * 493,
    }
    history, new = fresh.history.rename(columns=names), fresh.new.rename(columns=names)
    (here / "leads.csv").write_bytes(csv_bytes(history))
    (here / "new_leads.csv").write_bytes(csv_bytes(new))
    assert tell("init", "leads.csv", "--target", "Converted").code == 0
    odd = replace(fresh, folder=here)
    odd.edit("max_trees = 3000", "max_trees = 20")
    odd.edit("origins = 5", "origins = 1")
    (here / "propensity.toml").rename(fresh.folder / "odd.toml")
    shutil.move(here / "leads.csv", fresh.folder / "leads.csv")
    told = tell("train", "-c", str(fresh.folder / "odd.toml"), "--json")
    assert (told.code, told.err) == (0, "")
    assert {*names.values()} <= {entry["column"] for entry in told.json["audit"] if entry["verdict"] == "OK"}
    more = ("-c", str(fresh.folder / "odd.toml"))
    assert tell("score", "new_leads.csv", "-o", "scores.csv", *more).code == 0
    assert {*read(here / "scores.csv")["scored_by"]} == {"model"}
    told = tell("explain", "new_leads.csv", "--lead", new["Lead ID"].iloc[0], "--plot", "plot.png", *more)
    assert (told.code, told.err) == (0, "")


def test_leads_without_an_id_are_known_by_their_row(fresh: Project, here: Path) -> None:
    fresh.edit('id = "Lead ID"', "# no id")
    repeated = pd.concat([fresh.history, fresh.history.iloc[[4, 4]]]).drop(columns="Lead ID")
    (fresh.folder / "leads.csv").write_bytes(csv_bytes(repeated))
    new = pd.concat([fresh.new, fresh.new.iloc[[0]]]).drop(columns="Lead ID")
    (here / "leads.csv").write_bytes(csv_bytes(new))
    told = fresh.train()
    assert (told.code, told.json["data"]["rows"], told.json["data"]["dropped"]) == (0, 502, {})
    told = fresh.score(here / "leads.csv", here / "scores.csv", "--json")
    assert (told.code, told.json["notes"]) == (0, {"duplicate_rows": 1})
    written = read(here / "scores.csv")
    assert written.columns[0] == "row"
    assert written["row"].to_list() == [str(i) for i in range(1, 22)]
    probability = [*written["probability"]]
    assert probability[20] == probability[0]
    told = tell("explain", "leads.csv", "-c", str(fresh.config), "--lead", "21", "--json")
    assert told.json["probability"] == float(probability[20])


# ---- no model, no skill, too few conversions, a model that must not be used -----------------------------------------


def test_without_a_model_anywhere_the_rules_answer_and_every_row_says_so(fresh: Project, here: Path) -> None:
    shutil.rmtree(fresh.folder / "models")
    told = fresh.score(fresh.folder / "new_leads.csv", here / "scores.csv")
    assert (told.code, told.err) == (0, "")
    assert "By the rules, not by a model." in told.out
    assert "propensity train" in told.out
    written = read(here / "scores.csv")
    assert {*zip(written["scored_by"], written["fallback_reason"], strict=True)} == {("rules", "MODEL_MISSING")}
    assert written["model_version"].str.fullmatch("rules-[0-9a-f]{12}").all()
    assert {*written["band"]} <= {"SQL", "MQL", "nurture"}
    assert written["points"].astype(float).max() > 0
    assert written["reason_1"].str.contains("points of the rules").any()
    assert not (fresh.folder / "models").exists()


def test_rules_alone_refuse_an_id_with_two_different_rows_and_keep_equal_ones_once(fresh: Project, here: Path) -> None:
    (here / "leads.csv").write_bytes(csv_bytes(pd.concat([fresh.new, fresh.new.iloc[[3]]])))
    told = fresh.score(here / "leads.csv", here / "scores.csv", "--json")
    assert (told.code, told.json["notes"]) == (0, {"identical_rows": 1})
    before = (here / "scores.csv").read_bytes()
    other = fresh.new.iloc[[3]].assign(**{"Pages viewed": "77"})
    (here / "leads.csv").write_bytes(csv_bytes(pd.concat([fresh.new, other])))
    told = fresh.score(here / "leads.csv", here / "scores.csv")
    assert_refused(told, 2, "'Lead ID'", "first data rows 21", "Keep the row", leads=fresh.new)
    assert (here / "scores.csv").read_bytes() == before


def test_strict_scoring_says_that_the_rules_answered(fresh: Project, here: Path) -> None:
    told = fresh.score(fresh.folder / "new_leads.csv", here / "scores.csv", "--strict")
    assert told.code == 3
    assert "the rules answered for every lead (MODEL_MISSING)" in told.err
    assert len(read(here / "scores.csv")) == 20


UNTAUGHT: Mapping[str, tuple[Callable[[int, str], str], str]] = {
    "rules_only": (lambda i, _: "Yes" if i < 39 else "No", "TOO_FEW_POSITIVES"),
    "no_skill": (lambda i, _: "Yes" if i * 7919 % 10 < 3 else "No", "NO_SKILL"),
}


@pytest.mark.parametrize("verdict", UNTAUGHT)
def test_where_nothing_is_learned_the_rules_answer_and_no_alias_moves(fresh: Project, here: Path, verdict: str) -> None:
    outcome, reason = UNTAUGHT[verdict]
    words = [outcome(i, word) for i, word in enumerate(fresh.history["Converted"])]
    (fresh.folder / "leads.csv").write_bytes(csv_bytes(fresh.history.assign(Converted=words)))
    told = fresh.train()
    assert (told.code, told.err) == (0, "")
    assert (told.json["verdict"], told.json["model"]["alias"]) == (verdict, "")
    leads, output = fresh.folder / "new_leads.csv", here / "scores.csv"
    assert fresh.score(leads, output).code == 0
    assert {*read(output)["fallback_reason"]} == {reason}
    by_bundle = ("--model", told.json["model"]["path"])
    assert fresh.score(leads, output, *by_bundle).code == 0
    written = read(output)
    assert {*zip(written["scored_by"], written["fallback_reason"], strict=True)} == {("rules", reason)}
    told = fresh.score(leads, output, *by_bundle, "--strict")
    assert told.code == 3
    assert f"the rules answered for every lead ({reason})" in told.err
    told = tell("train", "-c", str(fresh.config), "--json", "--strict")
    assert told.code == 3
    assert f"the verdict is {verdict}" in told.err
    assert told.json["verdict"] == verdict


def grow_a_forest(model: Any) -> Any:
    """Give a model half of whose margin is a forest's."""
    from propensity.learners import Blend, Recipe
    from propensity.learners.forest import fit_forest
    from propensity.model import sealed

    learned = model.learned
    rng = np.random.default_rng(1)
    n = len(learned.encoder.names)
    matrix = rng.integers(0, 4, (400, n)).astype(float)
    y = (matrix[:, 0] > matrix[:, 1]).astype(float)
    forest = fit_forest(matrix, y, categorical=learned.encoder.categorical, n_trees=5, max_depth=4, seed=0)
    blend = Blend(
        recipe=Recipe(shares={"small": 0.5, "linear": 0.5}, n_trees={"small": 5}),
        forests={"small": forest},
        linear=learned.blend.linear,
    )
    return sealed(replace(model, learned=replace(learned, blend=blend)))


def move_behind_a_link(path: Path) -> None:
    path.symlink_to(path.rename(path.parent.parent / "sealed"))


BROKEN: Mapping[str, Callable[[Path], object]] = {
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:300]),
    "one sign changed": lambda path: path.write_text(path.read_text().replace("leaf_value=-", "leaf_value=+", 1)),
    "removed": lambda path: path.unlink(),
    "a link": move_behind_a_link,
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_forest_that_was_tampered_with_never_reaches_its_parser(
    project: Project, here: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lightgbm as lgb

    from propensity.storage.bundles import save_model

    bundle = save_model(grow_a_forest(load_model(project.bundle)), here / "bundle")
    forest = bundle / "forest_0.txt"
    parsed: list[str] = []
    was = lgb.Booster.__init__

    def remember(self: Any, *arguments: Any, **more: Any) -> None:
        parsed.append("a forest")
        was(self, *arguments, **more)

    monkeypatch.setattr(lgb.Booster, "__init__", remember)
    leads, output = project.folder / "new_leads.csv", here / "scores.csv"
    told = project.score(leads, output, "--model", str(bundle))
    assert (told.code, {*read(output)["scored_by"]}, parsed) == (0, {"model"}, ["a forest"])
    parsed.clear()
    BROKEN[how](forest)
    told = project.score(leads, output, "--model", str(bundle))
    assert (told.code, told.err, parsed) == (0, "", [])
    assert "forest_0.txt" in told.out
    written = read(output)
    assert {*zip(written["scored_by"], written["fallback_reason"], strict=True)} == {("rules", "HASH_MISMATCH")}


def test_a_champion_whose_file_was_edited_is_not_used(fresh: Project, here: Path) -> None:
    path = fresh.train().json["model"]["path"]
    (edited,) = (fresh.folder / "models" / "artifacts").rglob("thresholds.json")
    assert edited.read_bytes() == (Path(path) / "thresholds.json").read_bytes()
    edited.write_text(edited.read_text().replace("0.", "0.0", 1))
    told = fresh.score(fresh.folder / "new_leads.csv", here / "scores.csv")
    assert told.code == 0
    assert "thresholds.json is not the file the bundle was saved with" in told.out
    assert {*read(here / "scores.csv")["fallback_reason"]} == {"HASH_MISMATCH"}


# ---- outputs and registries that cannot be used ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "code", "says"),
    [
        ("sample/scores.csv", 5, "its folder"),
        ("scores.csv", 5, "it is a folder"),
        ("scores.xlsx", 2, "Scores are written as .csv or .parquet"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_any_work(
    project: Project, here: Path, output: str, code: int, says: str
) -> None:
    if code == 5 and "/" not in output:
        (here / output).mkdir()
    before = contents(project.folder)
    told = project.score(here / "there are no leads", here / output)
    assert_refused(told, code, says, Path(output).name)
    assert (contents(here), contents(project.folder)) == ({}, before)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, where nobody can write")
def test_an_output_in_a_place_that_is_read_only_is_refused(project: Project, here: Path) -> None:
    told = project.score(project.folder / "new_leads.csv", Path("/proc/scores.csv"))
    assert_refused(told, 5, "scores.csv")
    assert contents(here) == {}


def test_the_leads_themselves_are_not_an_output(project: Project, here: Path) -> None:
    leads = csv_bytes(project.new)
    (here / "leads.csv").write_bytes(leads)
    told = project.score(here / "leads.csv", here / "leads.csv")
    assert_refused(told, 2, "leads.csv is one of the files that are read", "Name another output", leads=project.new)
    assert contents(here) == {"leads.csv": leads}


@contextlib.contextmanager
def full_disk(*, after_bytes: int) -> Iterator[None]:
    """Let no file grow beyond a size, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", ["scores.csv", "scores.parquet"])
def test_a_disk_that_fills_up_leaves_the_earlier_scores(project: Project, here: Path, name: str) -> None:
    (here / name).write_text(EARLIER)
    with full_disk(after_bytes=2000):
        told = project.score(project.folder / "new_leads.csv", here / name, "--model", str(project.bundle))
    assert_refused(told, 5, f"Cannot write {name}", "What stood there before is intact", leads=project.new)
    assert contents(here) == {name: EARLIER.encode()}


def test_a_disk_that_fills_up_in_training_leaves_the_registry(project: Project, tmp_path: Path) -> None:
    mine = project.copy(tmp_path / "mine")
    mine.edit("seed = 0", "seed = 1")
    before = contents(mine.folder)
    with full_disk(after_bytes=500):
        told = mine.train()
    assert_refused(told, 5, "Cannot write", leads=project.history)
    assert contents(mine.folder) == before


def test_a_store_that_is_a_file_is_refused_before_training(project: Project, tmp_path: Path) -> None:
    mine = project.copy(tmp_path / "mine")
    shutil.rmtree(mine.folder / "models")
    (mine.folder / "models").write_text("mine\n")
    before = contents(mine.folder)
    assert_refused(mine.train(), 5, "models: it is a file", "Move it", leads=project.history)
    assert contents(mine.folder) == before


def test_the_second_of_two_runs_on_one_output_is_refused(project: Project, here: Path) -> None:
    (here / "scores.csv").write_text(EARLIER)
    with holding(here / "scores.csv"):
        told = project.score(project.folder / "new_leads.csv", here / "scores.csv")
        assert_refused(told, 7, "Another run is writing scores.csv", "Wait for it", leads=project.new)
    assert contents(here) == {"scores.csv": EARLIER.encode()}
    assert project.score(project.folder / "new_leads.csv", here / "scores.csv").code == 0


def test_a_registry_that_does_not_answer_leaves_scoring_to_the_rules(
    project: Project, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    told = project.score(project.folder / "new_leads.csv", here / "scores.csv")
    assert (told.code, told.err) == (0, "")
    assert "The registry" in told.out
    assert {*read(here / "scores.csv")["fallback_reason"]} == {"REGISTRY_UNAVAILABLE"}


def test_tuning_is_told_and_the_model_scores_without_what_searched(
    fresh: Project, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna", reason="optuna is not installed")
    told = fresh.train("--tune", "0.01")
    assert told.code == 0, told.err
    tuned = told.json["learner"]["tuned"]
    assert tuned["n_trials"] >= 1
    assert f"tuned: {tuned['n_trials']} trial" in next(fresh.folder.glob("models/reports/*/summary.txt")).read_text()
    assert json.loads((fresh.bundle / "manifest.json").read_text())["facts"]["tuning"] == tuned
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert fresh.score(fresh.folder / "new_leads.csv", here / "scores.csv").code == 0
    (here / "scores.csv").unlink()


@pytest.mark.parametrize("minutes", ["0", "-3", "nan", "inf", "soon"])
def test_tuning_for_no_time_or_for_ever_is_refused(fresh: Project, minutes: str) -> None:
    told = fresh.train(f"--tune={minutes}")
    assert told.code == 2
    assert "--tune" in told.err
    assert minutes in told.err
    assert not (fresh.folder / "models" / "bundles").exists()


def test_tuning_without_the_library_that_searches_says_what_to_install(
    fresh: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    told = fresh.train("--tune", "1")
    assert (told.code, told.out) == (2, "")
    assert "pip install 'propensity[tune]'" in told.err
    assert not (fresh.folder / "models" / "bundles").exists()


def test_training_needs_its_registry(fresh: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    database = (fresh.folder / "models" / "mlflow.db").read_bytes()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert_refused(fresh.train(), 6, "The registry", "asking whether it is there", "Try again", leads=fresh.history)
    assert (fresh.folder / "models" / "mlflow.db").read_bytes() == database


def test_a_database_that_is_none_leaves_scoring_to_the_rules(fresh: Project, here: Path) -> None:
    (fresh.folder / "models" / "mlflow.db").write_text("no database\n")
    told = fresh.score(fresh.folder / "new_leads.csv", here / "scores.csv")
    assert (told.code, told.err) == (0, "")
    assert {*read(here / "scores.csv")["fallback_reason"]} == {"REGISTRY_UNAVAILABLE"}


@pytest.mark.slow
def test_each_training_registers_one_version_more(fresh: Project) -> None:
    first, second = fresh.train().json["model"], fresh.train().json["model"]
    assert (first["version"], first["alias"]) == ("1", "champion")
    assert (second["version"], second["alias"]) == ("2", "challenger")
    assert first["path"] == second["path"]
    assert fresh.n_versions() == 2


# ---- the same scores without the project ----------------------------------------------------------------------------


def test_a_bundle_alone_scores_as_the_champion_does(project: Project, here: Path, scores: pd.DataFrame) -> None:
    shutil.copytree(project.bundle, here / "bundle")
    (here / "leads.csv").write_bytes(csv_bytes(project.new))
    told = tell("score", "leads.csv", "--model", "bundle", "-o", "scores.csv")
    assert (told.code, told.err) == (0, "")
    pd.testing.assert_frame_equal(read(here / "scores.csv"), scores)


def test_without_a_config_a_bundle_that_is_broken_cannot_be_replaced_by_rules(project: Project, here: Path) -> None:
    shutil.copytree(project.bundle, here / "bundle")
    (here / "bundle" / "rules.json").unlink()
    (here / "leads.csv").write_bytes(csv_bytes(project.new))
    told = tell("score", "leads.csv", "--model", "bundle", "-o", "scores.csv")
    assert_refused(told, 2, "rules.json is missing", "There is no propensity.toml either", leads=project.new)
    assert not (here / "scores.csv").exists()


@pytest.mark.usefixtures("here")
def test_a_second_training_in_one_folder_is_told_to_wait(fresh: Project) -> None:
    (fresh.folder / "models").mkdir(exist_ok=True)
    with holding(fresh.folder / "models" / "mlflow.db"):
        told = fresh.train()
    assert_refused(told, 7, "Another run", leads=fresh.new)


def test_unreadable_dates_leave_the_day_unknown_and_score_all_the_same(project: Project, here: Path) -> None:
    leads = project.new.assign(Created="01/02/2026")
    (here / "leads.csv").write_bytes(csv_bytes(leads))
    assert project.score(here / "leads.csv", here / "scores.csv").code == 0
    written = read(here / "scores.csv")
    assert (len(written), {*written["as_of"]}) == (len(leads), {""})


def test_init_writes_the_config_of_this_repository_byte_for_byte(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    sample = Path("data") / "sample"
    named = [part for name in ("events", "outcomes") for part in (f"--{name}", str(sample / f"{name}.csv"))]
    named += ["--field-history", str(sample / "field_history.csv"), "--horizon", "90"]
    assert tell("init", str(sample / "leads.csv"), *named, "-o", str(here / "propensity.toml")).code == 0
    written = (here / "propensity.toml").read_text(encoding="utf-8")
    # Paths are written relative to the config, which lies elsewhere here.
    relative = os.path.relpath(sample, here)
    assert written.replace(relative, sample.as_posix()) == (REPOSITORY / "propensity.toml").read_text(encoding="utf-8")
