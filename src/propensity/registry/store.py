"""The only place that talks to a tracking server or registry, and turns its failures into ours."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from propensity.errors import BundleError, RegistryError
from propensity.storage.bundles import load_bundle, save_model

if TYPE_CHECKING:
    from propensity.config import Config
    from propensity.model import PropensityModel
    from propensity.training import TrainingRun

CHAMPION, CHALLENGER = "champion", "challenger"
EXPERIMENT = "lead-propensity"
BUNDLE = "artifacts/bundle"
# What a consumer needs beside MLflow; pinned to what trained the model.
REQUIREMENTS = ("mlflow-skinny", "lightgbm", "numpy", "pandas")
# The modules a score needs, and no more, travel with a registered model.
SCORE_PATH = (
    "errors.py",
    "schema",
    "features/__init__.py",
    "features/plan.py",
    "features/countries.py",
    "features/fit.py",
    "encoding.py",
    "guards.py",
    "hysteresis.py",
    "tally.py",
    "calibration.py",
    "bands",
    "explanations",
    "rules.py",
    "learners",
    "model.py",
    "scoring.py",
    "storage/__init__.py",
    "storage/writing.py",
    "storage/bundles.py",
)
# Seconds in all that a nightly run waits for its model, of which so many for a single answer.
LOAD_SECONDS = 30
_QUICK = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # three tries
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "1",
}
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # no call home
    "MLFLOW_UV_AUTO_DETECT": "false",  # no copy of the user's project in the model
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # a registry that is down must not hold up a nightly batch
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output is for what was asked
    "GIT_PYTHON_REFRESH": "quiet",
}


@dataclass(frozen=True, kw_only=True)
class Store:
    """Where runs and models are kept.

    Parameters
    ----------
    folder : Path
        The default: an SQLite registry and artifacts in this folder. ``MLFLOW_TRACKING_URI`` and
        ``MLFLOW_REGISTRY_URI`` win over it.
    """

    folder: Path = Path("models")

    @property
    def database(self) -> Path:
        """The SQLite file of the default registry."""
        return self.folder / "mlflow.db"

    @property
    def tracking_uri(self) -> str:
        """Where runs go."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.database.absolute()}"

    @property
    def registry_uri(self) -> str:
        """Where models are registered."""
        return os.environ.get("MLFLOW_REGISTRY_URI") or self.tracking_uri

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever stored in the default registry."""
        return self.registry_uri.endswith(str(self.database.absolute())) and not self.database.exists()


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A registered model version.

    Parameters
    ----------
    name, version, alias, uri : str
        `alias` is empty where none moved.
    run_id : str
    """

    name: str
    version: str
    alias: str
    uri: str
    run_id: str


def register(
    run: TrainingRun,
    config: Config,
    *,
    store: Store | None = None,
    alias: str = "auto",
    reports: Path | None = None,
) -> Registered:
    """Log a training run and register its model.

    Parameters
    ----------
    run : TrainingRun
    config : Config
    store : Store or None
        None: the folder ``models`` here.
    alias : {"auto", "champion", "challenger", "none"}
        ``auto``: the first model with skill becomes champion, later ones challenger. A model without skill gets none.
    reports : Path or None
        A folder of plots and summaries to log with the run.

    Returns
    -------
    Registered

    Raises
    ------
    RegistryError
        The registry does not answer; no version was registered.
    """
    from propensity.reporting import run_note  # a page's templates are no part of what loads a model

    store = store or Store()
    _check_database(store)
    store.folder.mkdir(parents=True, exist_ok=True)
    is_default = not os.environ.get("MLFLOW_TRACKING_URI")
    tracking, registry = store.tracking_uri, store.registry_uri
    with _mlflow(store) as mlflow, _our_errors("registering the model"), tempfile.TemporaryDirectory() as scratch:
        bundle = save_model(run.model, Path(scratch) / "bundle")
        manifest_sha256 = hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()
        client = mlflow.MlflowClient(tracking, registry)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            place = (store.folder / "artifacts").absolute().as_uri() if is_default else None
            experiment = client.get_experiment(client.create_experiment(EXPERIMENT, artifact_location=place))
        with mlflow.start_run(experiment_id=experiment.experiment_id, run_name=f"train {run.model.version}") as active:
            mlflow.log_params(_params(run, config))
            mlflow.log_metrics(_metrics(run))
            note = run_note(run.model, has_reports=reports is not None)
            mlflow.set_tags({"verdict": run.model.verdict, "mlflow.note.content": note})
            mlflow.log_input(_dataset(run), context="training")
            for name, table in run.evaluation.tables().items() if run.evaluation else ():
                mlflow.log_table(table, f"evaluation/{name}.json")
            if reports is not None:
                mlflow.log_artifacts(str(reports), "reports")
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(Path(__file__).with_name("pyfunc.py")),
                artifacts={"bundle": str(bundle)},
                code_paths=[str(_score_path(Path(scratch)))],
                signature=_signature(run.model, config),
                input_example=_invented_example(run.model),
                pip_requirements=[f"{name}=={installed(name)}" for name in REQUIREMENTS],
                registered_model_name=config.registry.name,
            )
        number = str(logged.registered_model_version)
        tags = {"version": run.model.version, "verdict": run.model.verdict, "manifest_sha256": manifest_sha256}
        for key, value in tags.items():
            client.set_model_version_tag(config.registry.name, number, key, value)
        client.update_model_version(config.registry.name, number, description=note)
        moved = _move_alias(client, config.registry.name, number, alias=alias, verdict=run.model.verdict)
    uri = f"models:/{config.registry.name}/{number}"
    return Registered(name=config.registry.name, version=number, alias=moved, uri=uri, run_id=active.info.run_id)


def check_registry(store: Store) -> None:
    """Ask the registry something small, so that one that is down is found before hours of work, not after.

    Raises
    ------
    RegistryError
        It does not answer.
    """
    _check_database(store)
    with _mlflow(store) as mlflow, _our_errors("asking whether it is there"):
        mlflow.MlflowClient().search_experiments(max_results=1)


def load_model(source: str | Path, *, store: Store | None = None) -> PropensityModel:
    """Load a model, verified first, from a bundle folder or the registry.

    Parameters
    ----------
    source : str or Path
        A bundle directory, a downloaded model folder, ``models:/name@alias``, ``models:/name/version``,
        ``models:/name/latest`` or ``runs:/id/model``.
    store : Store or None
        Where names are looked up; None: the folder ``models`` here.

    Returns
    -------
    PropensityModel

    Raises
    ------
    BundleError
        There is no such model, or it must not be used.
    RegistryError
        The registry does not answer.
    """
    text = str(source)
    if not text.startswith(("models:/", "runs:/")):
        folder = Path(source)
        return load_bundle(folder / BUNDLE if (folder / "MLmodel").is_file() else folder)
    store = store or Store()
    _check_database(store)
    if store.is_empty:
        msg = f"There is no model yet: {store.database.parent.name} holds no registry. Run: propensity train"
        raise BundleError(msg, fallback_reason="MODEL_MISSING")
    scratch = tempfile.mkdtemp()
    try:
        with _mlflow(store, is_quick=True) as mlflow, _our_errors(f"fetching {text}"), _within(LOAD_SECONDS):
            client = mlflow.MlflowClient()
            expected = ""
            if text.startswith("models:/"):
                name, _, rest = text.removeprefix("models:/").partition("@" if "@" in text else "/")
                found = _find_version(client, name, rest, is_alias="@" in text)
                expected = found.tags.get("manifest_sha256", "")
                text = f"models:/{name}/{found.version}"
            fetched = mlflow.artifacts.download_artifacts(artifact_uri=f"{text}/{BUNDLE}", dst_path=scratch)
        return load_bundle(fetched, expected_sha256=expected)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Give up after so long: an alarm of the operating system, where there is one and this is the main thread."""
    import signal
    import threading

    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: Any) -> None:
        msg = f"{seconds:g} seconds are over"
        raise TimeoutError(msg)

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _is_timeout(error: BaseException) -> bool:
    """Say whether an error came of waiting for an answer."""
    import requests

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TimeoutError | requests.Timeout) or "timed out" in str(cause).casefold():
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _find_version(client: Any, name: str, rest: str, *, is_alias: bool) -> Any:
    if is_alias:
        return client.get_model_version_by_alias(name, rest)
    if rest != "latest":
        return client.get_model_version(name, rest)
    client.get_registered_model(name)  # an unknown name is said so, not searched for
    return max(client.search_model_versions(f"name='{name}'"), key=lambda version: int(version.version))


def _check_database(store: Store) -> None:
    if store.database.is_dir():
        msg = f"{store.database.name} is a folder; the registry keeps its database there. Move it."
        raise RegistryError(msg)


def champion_uri(name: str) -> str:
    """Give the address of the model that answers by default."""
    return f"models:/{name}@{CHAMPION}"


def _move_alias(client: Any, name: str, number: str, *, alias: str, verdict: str) -> str:
    """Point an alias at a new version; a model without skill gets none."""
    if verdict != "skill" or alias == "none":
        return ""
    wanted = alias
    if alias == "auto":
        aliases = client.get_registered_model(name).aliases
        wanted = CHALLENGER if CHAMPION in aliases else CHAMPION
    client.set_registered_model_alias(name, wanted, number)
    return wanted


def _params(run: TrainingRun, config: Config) -> dict[str, Any]:
    learned = run.model.learned
    recipe = learned.blend.recipe.to_dict() if learned else {}
    return {
        "seed": config.learner.seed,
        "policy": config.agreement.policy,
        "rows": run.data["rows"],
        "features": len(run.model.schema.columns),
        "data_digest": run.model.facts["data_digest"][:16],
        "config_digest": run.model.facts["config_digest"][:16],
        **recipe,
    }


def _metrics(run: TrainingRun) -> dict[str, float]:
    metrics = {"base_rate": run.data["base_rate"], "positives": run.data["positives"]}
    if run.evaluation is not None:
        kinds = (("", run.evaluation.headline), ("random_", run.evaluation.random), ("rules_", run.evaluation.rules))
        for prefix, measured in kinds:
            if measured is not None:
                metrics |= {f"{prefix}{name}": figure.value for name, figure in measured.figures.items()}
                metrics[f"{prefix}consistency_p"] = measured.calibration.consistency_p
        if run.evaluation.older_gain is not None:
            metrics["older_gain"] = run.evaluation.older_gain.value
    if run.model.learned is not None:
        bands = run.model.learned.bands
        metrics |= {
            "threshold_sql": bands.sql,
            "threshold_mql": bands.mql,
            "sql_precision": bands.sql_promise.observed,
            "sql_precision_low": bands.sql_promise.low,
            "mql_recall": bands.mql_promise.observed,
            "mql_recall_low": bands.mql_promise.low,
        }
        if bands.leads_per_week is not None:
            metrics["sql_leads_per_week"] = bands.sql_share * bands.leads_per_week
            metrics["mql_leads_per_week"] = bands.mql_share * bands.leads_per_week
    # A figure that nobody can tell, such as an AUC without conversions, is left out: not every store takes a NaN.
    return {name: figure for name, figure in metrics.items() if math.isfinite(figure)}


def _dataset(run: TrainingRun) -> Any:
    """Describe the training data by its digest and feature columns; no row is logged."""
    import pandas as pd
    from mlflow.data.pandas_dataset import from_pandas

    kinds = {"number": "float64", "category": "str"}
    empty = pd.DataFrame({c.name: pd.Series(dtype=kinds[c.kind]) for c in run.model.schema.columns})
    return from_pandas(empty, name="leads", digest=run.model.facts["data_digest"][:16])


def _signature(model: PropensityModel, config: Config) -> Any:
    """Document every lead column as optional and of any type: our own reader takes more types than MLflow's."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, DataType, ParamSchema, ParamSpec, Schema

    from propensity.scoring import expected_columns

    names = dict.fromkeys([*([model.schema.id] if model.schema.id else []), *expected_columns(model)])
    anything = AnyType()  # type: ignore[no-untyped-call]
    columns: list[Any] = [ColSpec(anything, n, required=False) for n in names if n != config.columns.target]
    params = ParamSchema([ParamSpec("reasons", DataType.long, 4), ParamSpec("as_of", DataType.string, "")])
    return ModelSignature(inputs=Schema(columns), params=params)


def _invented_example(model: PropensityModel) -> Any:
    """Invent three leads from the schema; no real one is shown."""
    import pandas as pd

    from propensity.encoding import CategoryCode

    cells: dict[str, list[Any]] = {model.schema.id: ["lead-1", "lead-2", "lead-3"]} if model.schema.id else {}
    codes = model.learned.encoder.codes if model.learned else ()
    for column, code in zip(model.schema.columns, codes, strict=False):
        if isinstance(code, CategoryCode):
            levels = [*code.levels, "other"]
            cells[column.name] = [levels[i % len(levels)] for i in range(3)]
        else:
            cells[column.name] = [code.typical] * 3
    for column in model.schema.columns[len(codes) :]:
        cells[column.name] = [0.0] * 3 if column.kind == "number" else ["other"] * 3
    return pd.DataFrame(cells)


def _score_path(scratch: Path) -> Path:
    """Copy the modules a score needs into a package of their own."""
    here = Path(__file__).parents[1]
    there = scratch / "code" / "propensity"
    there.mkdir(parents=True)
    (there / "__init__.py").write_text('"""The scoring modules of propensity, as they travel with a model."""\n')
    for name in SCORE_PATH:
        target = there / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (here / name).is_dir():
            shutil.copytree(here / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(here / name, target)
    return there


@contextlib.contextmanager
def _mlflow(store: Store, *, is_quick: bool = False) -> Iterator[Any]:
    """Give MLflow, quiet and pointed at the store; what was set before is set again."""
    settings = _QUIET | (_QUICK if is_quick else {})
    quietened = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ.update(quietened)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow

        loggers = {name: logging.getLogger(name) for name in ("mlflow", "alembic")}
        levels = {name: logger.level for name, logger in loggers.items()}
        # Setting an address sets the environment too, which a later store would take for the user's wish.
        before = {name: os.environ.get(name, "") for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")}
        tracking, registry = store.tracking_uri, store.registry_uri
        try:
            for logger in loggers.values():
                logger.setLevel(logging.ERROR)
            mlflow.set_tracking_uri(tracking)
            mlflow.set_registry_uri(registry)
            with contextlib.redirect_stderr(io.StringIO()):  # MLflow prints its progress there
                yield mlflow
        finally:
            mlflow.set_tracking_uri(before["MLFLOW_TRACKING_URI"])
            mlflow.set_registry_uri(before["MLFLOW_REGISTRY_URI"])
            for name, value in before.items():
                os.environ.pop(name, None)
                if value:
                    os.environ[name] = value
            for name in quietened:
                os.environ.pop(name, None)
            for name, logger in loggers.items():
                logger.setLevel(levels[name])


@contextlib.contextmanager
def _our_errors(doing: str) -> Iterator[None]:
    """Turn what MLflow and its transports raise into our errors, without their text: it may quote data."""
    import requests
    import sqlalchemy
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        code = str(getattr(error, "error_code", ""))
        if code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"}:
            msg = f"The registry has no such model ({doing}). Run: propensity train"
            raise BundleError(msg, fallback_reason="MODEL_MISSING") from error
        if _is_timeout(error):
            raise RegistryError(_too_slow(doing), fallback_reason="TIMEOUT") from error
        msg = f"The registry failed while {doing} ({code or type(error).__name__}). Try again, or see its log."
        raise RegistryError(msg) from error
    except (OSError, requests.RequestException, sqlalchemy.exc.SQLAlchemyError) as error:
        if _is_timeout(error):
            raise RegistryError(_too_slow(doing), fallback_reason="TIMEOUT") from error
        msg = f"The registry does not answer while {doing} ({type(error).__name__}). Try again, or see its log."
        raise RegistryError(msg) from error


def _too_slow(doing: str) -> str:
    return f"The registry did not answer in time while {doing}. Try again, or see its log."
