from __future__ import annotations

import importlib.util
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

import propensity
from propensity.config import Config, parse_config
from propensity.errors import BundleError, RegistryError
from propensity.metrics import Interval
from propensity.model import Verdict, sealed
from propensity.registry import Registered, Store, load_model, register
from propensity.registry.store import _metrics
from propensity.schema import Tables
from propensity.storage.bundles import save_model
from propensity.synthetic import World, invent_leads
from propensity.training import TrainingRun, train

NAME = "lead-propensity"


@pytest.fixture(scope="module")
def world() -> World:
    return invent_leads(n_history=500, n_new=40)


@pytest.fixture(scope="module")
def config() -> Config:
    return parse_config(
        {
            "data": {"leads": "leads.csv"},
            "columns": {
                "id": "Lead ID",
                "target": "Converted",
                "fit": ["Industry", "Job title", "Employees", "Lead source"],
                "behaviour": ["Pages viewed", "Emails clicked", "Demo requested", "Days since visit"],
                "count": ["Pages viewed"],
            },
            "learner": {"max_trees": 10},
            "rules": {
                "points": [{"name": "demo", "column": "Demo requested", "op": "==", "value": "yes", "points": 60}]
            },
        }
    )


@pytest.fixture(scope="module")
def trained(world: World, config: Config) -> TrainingRun:
    """A run with skill: likely leads convert, but for one in twenty."""
    is_odd = np.arange(500) % 20 == 7
    converted = (world.probability > np.quantile(world.probability, 0.75)) ^ is_odd
    history = world.history.astype(str).assign(Converted=np.where(converted, "Yes", "No"))
    run = train(Tables(leads=history), config)
    assert run.model.verdict == "skill"
    return run


@pytest.fixture
def store(tmp_path: Path, empty_registry: Path) -> Store:
    (tmp_path / "models").mkdir()
    shutil.copy(empty_registry, tmp_path / "models" / "mlflow.db")
    return Store(folder=tmp_path / "models")


@pytest.fixture(scope="module")
def served(
    trained: TrainingRun, config: Config, empty_registry: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Store, Registered]:
    """A registry with one champion; tests that change it take one of their own."""
    folder = tmp_path_factory.mktemp("served") / "models"
    folder.mkdir()
    shutil.copy(empty_registry, folder / "mlflow.db")
    store = Store(folder=folder)
    return store, register(trained, config, store=store)


@pytest.fixture(scope="module")
def pyfunc(served: tuple[Store, Registered]) -> Any:
    """The champion as a consumer loads it, pickles forbidden."""
    store, _ = served
    was = os.environ.get("MLFLOW_ALLOW_PICKLE_DESERIALIZATION")
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    try:
        mlflow.set_tracking_uri(store.tracking_uri)
        return mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    finally:
        mlflow.set_tracking_uri("")
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        os.environ.pop("MLFLOW_ALLOW_PICKLE_DESERIALIZATION")
        if was is not None:
            os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = was


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stand in an empty folder with an environment of nobody's; both are afterwards as they were."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    yield folder
    assert [*folder.iterdir()] == []  # neither mlruns nor mlflow.db


def client(store: Store) -> Any:
    return mlflow.MlflowClient(store.tracking_uri)


def aliases(store: Store) -> dict[str, str]:
    return {name: str(number) for name, number in client(store).get_registered_model(NAME).aliases.items()}


def with_verdict(run: TrainingRun, verdict: Verdict) -> TrainingRun:
    return replace(run, model=sealed(replace(run.model, verdict=verdict)))


# ---- registering -----------------------------------------------------------------------------------------------------


def test_the_first_model_with_skill_is_champion_and_the_next_challenger(
    store: Store, trained: TrainingRun, config: Config
) -> None:
    assert register(with_verdict(trained, "no_skill"), config, store=store).alias == ""
    assert aliases(store) == {}
    assert register(trained, config, store=store).alias == "champion"
    assert register(trained, config, store=store).alias == "challenger"
    assert register(trained, config, store=store, alias="none").alias == ""
    assert aliases(store) == {"champion": "2", "challenger": "3"}
    assert register(trained, config, store=store, alias="champion").alias == "champion"
    assert aliases(store) == {"champion": "5", "challenger": "3"}
    assert register(with_verdict(trained, "rules_only"), config, store=store, alias="champion").alias == ""
    assert aliases(store) == {"champion": "5", "challenger": "3"}


def test_a_version_says_which_bundle_it_holds_and_what_became_of_it(
    served: tuple[Store, Registered], trained: TrainingRun
) -> None:
    store, registered = served
    version = client(store).get_model_version(NAME, registered.version)
    assert (registered.version, registered.uri) == ("1", f"models:/{NAME}/1")
    assert version.tags["version"] == trained.model.version
    assert version.tags["verdict"] == "skill"
    assert version.tags["manifest_sha256"].startswith(trained.model.version)
    run = client(store).get_run(registered.run_id)
    assert version.description == run.data.tags["mlflow.note.content"]
    assert version.description.startswith(("**Worth using.** On ", "**Worth a trial.** On "))
    assert "| SQL | " in version.description


def test_a_run_holds_figures_and_digests(served: tuple[Store, Registered], trained: TrainingRun) -> None:
    store, registered = served
    run = client(store).get_run(registered.run_id)
    assert run.data.metrics["base_rate"] == trained.data["base_rate"]
    assert {"auc", "log_loss", "constant_log_loss", "threshold_sql", "threshold_mql"} <= {*run.data.metrics}
    assert run.data.params["data_digest"] == trained.model.facts["data_digest"][:16]
    (used,) = run.inputs.dataset_inputs
    assert used.dataset.digest == trained.model.facts["data_digest"][:16]


def test_a_run_says_whether_probabilities_came_true(served: tuple[Store, Registered], trained: TrainingRun) -> None:
    store, registered = served
    logged = client(store).get_run(registered.run_id).data.metrics
    assert trained.evaluation is not None
    found = trained.evaluation.headline.calibration
    assert {name: logged[name] for name in found.figures} == {n: figure.value for n, figure in found.figures.items()}
    assert logged["consistency_p"] == found.consistency_p
    assert trained.evaluation.rules is not None
    assert logged["rules_oe"] == trained.evaluation.rules.calibration.oe.value


def test_tables_of_the_evaluation_are_logged_whole(served: tuple[Store, Registered], trained: TrainingRun) -> None:
    store, registered = served
    assert trained.evaluation is not None
    tables = trained.evaluation.tables()
    logged = {artifact.path for artifact in client(store).list_artifacts(registered.run_id, "evaluation")}
    assert logged == {f"evaluation/{name}.json" for name in tables}
    (folder,) = store.folder.rglob("evaluation")
    for name, table in tables.items():
        read = pd.read_json(folder / f"{name}.json", orient="split")
        # JSON keeps ten digits.
        pd.testing.assert_frame_equal(read, table, check_dtype=False, rtol=0, atol=1e-9)


def test_a_figure_that_nobody_can_tell_is_not_logged(trained: TrainingRun) -> None:
    evaluation = trained.evaluation
    assert evaluation is not None
    unknown = Interval(value=float("nan"), low=float("nan"), high=float("nan"))
    calibration = replace(evaluation.headline.calibration, slope=unknown)
    headline = replace(evaluation.headline, calibration=calibration)
    metrics = _metrics(replace(trained, evaluation=replace(evaluation, headline=headline)))
    assert "cox_slope" not in metrics
    assert {"oe", "consistency_p", "auc"} <= {*metrics}


def test_no_lead_enters_the_store(served: tuple[Store, Registered], world: World) -> None:
    store, _ = served
    stored = b"".join(path.read_bytes() for path in store.folder.rglob("*") if path.is_file())
    cells = [*world.history["Email"], *world.history["Lead ID"]]
    assert [cell for cell in cells if cell.encode() in stored] == []


def test_the_input_example_is_invented(served: tuple[Store, Registered], world: World) -> None:
    store, _ = served
    (path,) = store.folder.rglob("input_example.json")
    example = json.loads(path.read_text())
    rows = pd.DataFrame(**{key: example[key] for key in ("columns", "data")}).astype(str)
    assert [*rows["Lead ID"]] == ["lead-1", "lead-2", "lead-3"]
    known = world.history.astype(str)[[*rows.columns.drop("Lead ID")]]
    assert rows.drop(columns="Lead ID").merge(known).empty


def test_everything_is_kept_in_the_folder_of_the_store(served: tuple[Store, Registered]) -> None:
    store, _ = served
    assert {path.name for path in store.folder.iterdir()} == {"mlflow.db", "artifacts"}


def test_no_pickle_and_no_lock_file_of_this_project_is_registered(served: tuple[Store, Registered]) -> None:
    store, _ = served
    names = [path.name for path in store.folder.rglob("*") if path.is_file()]
    assert [name for name in names if name.endswith((".pkl", ".pickle", ".joblib", ".skops", ".lock"))] == []
    assert "pyproject.toml" not in names


def test_the_modules_that_travel_are_those_of_the_score_path(served: tuple[Store, Registered]) -> None:
    store, _ = served
    (code,) = store.folder.rglob("code")
    names = {str(path.relative_to(code / "propensity")) for path in code.rglob("*.py")}
    assert {"scoring.py", "model.py", "storage/bundles.py", "schema/rows.py"} <= names
    assert not names & {"cli.py", "training.py", "config.py", "registry/store.py", "storage/tables.py"}


def test_the_environment_is_afterwards_as_it_was(
    served: tuple[Store, Registered], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = served
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    before = dict(os.environ)
    load_model(f"models:/{NAME}@champion", store=store)
    assert dict(os.environ) == before
    assert mlflow.get_tracking_uri() != store.tracking_uri


def test_an_address_in_the_environment_wins_over_the_folder(
    served: tuple[Store, Registered], trained: TrainingRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store, _ = served
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.tracking_uri)
    elsewhere = Store(folder=tmp_path / "nothing here")
    assert load_model(f"models:/{NAME}@champion", store=elsewhere).version == trained.model.version
    assert not elsewhere.folder.exists()
    assert os.environ["MLFLOW_TRACKING_URI"] == store.tracking_uri


# ---- loading ---------------------------------------------------------------------------------------------------------


def test_a_model_is_found_by_alias_version_run_and_folder(
    served: tuple[Store, Registered], trained: TrainingRun, tmp_path: Path
) -> None:
    store, registered = served
    (folder,) = (path.parent for path in store.folder.rglob("MLmodel"))
    bundle = save_model(trained.model, tmp_path / "bundle")
    for source in (
        f"models:/{NAME}@champion",
        f"models:/{NAME}/1",
        f"runs:/{registered.run_id}/model",
        folder,
        folder / "artifacts" / "bundle",
        bundle,
        str(bundle),
    ):
        assert load_model(source, store=store).version == trained.model.version


def test_loading_changes_nothing_in_the_store(served: tuple[Store, Registered]) -> None:
    store, _ = served
    before = {path: path.read_bytes() for path in store.folder.rglob("*") if path.is_file()}
    load_model(f"models:/{NAME}@champion", store=store)
    assert {path: path.read_bytes() for path in store.folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("source", [f"models:/{NAME}@nobody", f"models:/{NAME}/99", "models:/nothing/1"])
def test_a_model_that_nobody_registered_is_missing(served: tuple[Store, Registered], source: str) -> None:
    store, _ = served
    with pytest.raises(BundleError, match="no such model") as raised:
        load_model(source, store=store)
    assert raised.value.fallback_reason == "MODEL_MISSING"


def test_where_nothing_was_ever_trained_the_model_is_missing_and_no_registry_made(tmp_path: Path) -> None:
    store = Store(folder=tmp_path / "models")
    with pytest.raises(BundleError, match="propensity train") as raised:
        load_model(f"models:/{NAME}@champion", store=store)
    assert raised.value.fallback_reason == "MODEL_MISSING"
    assert not store.folder.exists()


def test_a_champion_that_was_tampered_with_is_refused_even_with_a_manifest_that_fits(
    store: Store, trained: TrainingRun, config: Config
) -> None:
    register(trained, config, store=store)
    (bundle,) = (path.parent for path in store.folder.rglob("manifest.json"))
    whole = (bundle / "card.md").read_bytes()
    (bundle / "card.md").write_bytes(b"# Other" + whole[7:])
    with pytest.raises(BundleError, match=r"card\.md is not the file") as raised:
        load_model(f"models:/{NAME}@champion", store=store)
    assert raised.value.fallback_reason == "HASH_MISMATCH"
    shutil.rmtree(bundle)
    save_model(sealed(replace(trained.model, card="# Another model, whole in itself")), bundle)
    with pytest.raises(BundleError, match="is not the one that was registered") as raised:
        load_model(f"models:/{NAME}@champion", store=store)
    assert raised.value.fallback_reason == "HASH_MISMATCH"


def test_a_server_that_is_down_is_told_within_bounded_time(
    trained: TrainingRun, config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    store = Store(folder=tmp_path / "models")
    started = time.monotonic()
    with pytest.raises(RegistryError, match=f"fetching models:/{NAME}@champion"):
        load_model(f"models:/{NAME}@champion", store=store)
    with pytest.raises(RegistryError, match="registering the model"):
        register(trained, config, store=store)
    assert time.monotonic() - started < 35  # what a nightly batch may lose


# ---- serving ---------------------------------------------------------------------------------------------------------


def test_the_pyfunc_gives_exactly_what_predict_gives(pyfunc: Any, trained: TrainingRun, world: World) -> None:
    new = world.new.astype(str)
    pd.testing.assert_frame_equal(pyfunc.predict(new), propensity.predict(new, model=trained.model))
    one = new.iloc[[7]]
    pd.testing.assert_frame_equal(pyfunc.predict(one), propensity.predict(one, model=trained.model))


def test_the_pyfunc_takes_how_many_reasons_and_as_of_when(pyfunc: Any, trained: TrainingRun, world: World) -> None:
    new = world.new.astype(str)
    served = pyfunc.predict(new, params={"reasons": 1, "as_of": "2026-10-01"})
    expected = propensity.predict(new, model=trained.model, n_reasons=1, as_of="2026-10-01")
    pd.testing.assert_frame_equal(served, expected)
    assert [name for name in served.columns if name.startswith("reason_")] == ["reason_1"]
    assert {*served["as_of"]} == {"2026-10-01"}


COUNTS = ["Pages viewed", "Emails clicked", "Days since visit"]


@pytest.mark.parametrize("kind", ["int64", "int32", "float64", "Int64", "Float64", "category", "object", "boolean"])
def test_the_pyfunc_takes_columns_of_any_type(pyfunc: Any, world: World, kind: str) -> None:
    text = world.new.astype(str)
    expected = pyfunc.predict(text)
    typed = text.copy()
    if kind == "category":
        typed = typed.astype(dict.fromkeys(["Industry", "Job title", "Lead source", "Demo requested"], "category"))
    elif kind == "boolean":
        typed["Demo requested"] = (text["Demo requested"] == "Yes").astype("boolean")
        text["Demo requested"] = text["Demo requested"].map({"Yes": "true", "No": "false"})
        expected = pyfunc.predict(text)
    elif kind in {"Int64", "Float64"}:
        sparse = [*COUNTS, "Employees"]
        typed["Employees"] = typed["Employees"].where(typed["Employees"] != "", "nan")
        typed = typed.astype(dict.fromkeys(sparse, "float64"))
        typed = typed.astype(dict.fromkeys(sparse, kind))
    else:
        typed = typed.astype(dict.fromkeys(COUNTS, "float64")).astype(dict.fromkeys(COUNTS, kind))
    served = pyfunc.predict(typed)
    shown = [name for name in expected.columns if not name.startswith("reason_")]
    pd.testing.assert_frame_equal(served[shown], expected[shown])
    assert {*served["scored_by"]} == {"model"}


def test_a_seldom_filled_column_may_be_absent_and_others_are_not_read(pyfunc: Any, world: World) -> None:
    new = world.new.astype(str)
    expected = pyfunc.predict(new)
    used = ["Lead ID", "Industry", "Job title", "Employees", "Lead source", *COUNTS, "Demo requested"]
    pd.testing.assert_frame_equal(pyfunc.predict(new[used].assign(Extra=1.5)), expected)


def test_an_expected_column_that_is_absent_leaves_the_rows_to_the_rules(pyfunc: Any, world: World) -> None:
    served = pyfunc.predict(world.new.astype(str).drop(columns="Industry"))
    assert {*zip(served["scored_by"], served["fallback_reason"], strict=True)} == {("rules", "SIGNATURE_MISMATCH")}


def test_no_lead_gives_no_row_but_every_column(pyfunc: Any, world: World) -> None:
    new = world.new.astype(str)
    served = pyfunc.predict(new.iloc[:0])
    assert len(served) == 0
    assert [*served.columns] == [*pyfunc.predict(new).columns]


def test_what_goes_wrong_in_serving_is_told_without_a_cell(pyfunc: Any, world: World) -> None:
    new = world.new.astype(str)
    cells = {cell for name in new for cell in new[name] if len(cell) > 3}
    conflicting = pd.concat([new, new.iloc[[3]].assign(Industry="Aerospace")])
    for spoiled in (conflicting, new.drop(columns="Lead ID")):
        with pytest.raises(Exception, match=r"Ids must|columns\.id") as raised:
            pyfunc.predict(spoiled)
        assert [cell for cell in {*cells, "Aerospace"} if cell in str(raised.value)] == []


def test_the_signature_names_every_feature_and_none_is_required(pyfunc: Any, trained: TrainingRun) -> None:
    inputs = pyfunc.metadata.get_input_schema()
    assert {*trained.model.schema.names, "Lead ID"} <= {*inputs.input_names()}
    assert "Converted" not in inputs.input_names()
    assert [*inputs.required_input_names()] == []
    assert {param.name for param in pyfunc.metadata.get_params_schema().params} == {"reasons", "as_of"}


def test_what_a_consumer_must_install_is_pinned_and_does_not_name_this_package(
    served: tuple[Store, Registered],
) -> None:
    store, _ = served
    (path,) = store.folder.rglob("requirements.txt")
    names = [line.split("==")[0] for line in path.read_text().splitlines()]
    assert sorted(names) == ["lightgbm", "mlflow-skinny", "numpy", "pandas"]
    assert all("==" in line for line in path.read_text().splitlines())
    assert importlib.util.find_spec("propensity") is not None
