"""The only place for the command `train`: learn, store, register, report."""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from propensity.cli.models import store_folder
from propensity.cli.options import add_config, add_json, config_hint
from propensity.cli.progress import progress
from propensity.cli.terminal import say
from propensity.errors import BundleError, InputError, OutputError, PromiseError, RegistryError
from propensity.storage.writing import make_folder

if TYPE_CHECKING:
    import pandas as pd

    from propensity.config import Config
    from propensity.learners import MayGoOn
    from propensity.model import PropensityModel
    from propensity.registry import Registered, Store
    from propensity.reporting import Moves
    from propensity.training import Allowance, TrainingRun


def add_train(commands: Any) -> None:
    """Describe `train`."""
    train = commands.add_parser(
        "train",
        help="learn from leads whose outcome is known",
        description="Learn from leads whose outcome is known, test on leads the model never saw, set the two "
        "thresholds, and register the model. Plots and a summary are written beside it.",
    )
    add_config(train)
    train.add_argument(
        "--alias",
        choices=("auto", "champion", "challenger", "none"),
        default="auto",
        help="what the registry calls the new version; auto (default): champion if there is none, else challenger",
    )
    train.add_argument("--seed", type=int, metavar="N", help="instead of learner.seed of the config")
    train.add_argument(
        "--tune",
        type=float,
        metavar="MINUTES",
        help="also search for settings of boosted trees, so long in all (each test of the model searches anew, within "
        "its own past); used only where surely better; needs optuna: pip install 'propensity[tune]'",
    )
    train.add_argument(
        "--strict", action="store_true", help="exit 3 when a promise cannot be certified or nothing is learned"
    )
    add_json(train)
    train.set_defaults(action=run_train)


def run_train(options: argparse.Namespace) -> None:
    """Train, store, register and report."""
    from propensity.registry import Store, register
    from propensity.registry.store import check_registry
    from propensity.reporting import training_json, training_summary
    from propensity.storage.bundles import save_model
    from propensity.storage.configs import load_config, read_tables
    from propensity.storage.writing import holding
    from propensity.training import train

    tune = None if options.tune is None else _allowance(options.tune)
    config = load_config(options.config)
    if options.seed is not None:
        if not 0 <= options.seed < 2**31:
            msg = f"--seed must be within 0 and {2**31 - 1}, got {options.seed}."
            raise InputError(msg)
        config = config.model_copy(update={"learner": config.learner.model_copy(update={"seed": options.seed})})
    store = Store(folder=store_folder(options.config))
    if store.folder.exists() and not store.folder.is_dir():
        msg = f"Cannot write to {store.folder}: it is a file, and models are kept in a folder of that name. Move it."
        raise OutputError(msg)
    tables = read_tables(config)
    make_folder(store.folder)
    with holding(store.folder / "mlflow.db"):
        check_registry(store)
        champion = _champion(config, store)
        with progress(quiet=options.json) as tell:
            result = train(tables, config, progress=tell, tune=tune)
        version = result.model.version
        moves = None if champion is None else _moves(champion, result)
        summary = [*training_summary(result), *_agreement_lines(champion, result, moves)]
        bundle = save_model(result.model, store.folder / "bundles" / version)
        also = {} if moves is None else {"moves": moves.table()}
        reports = _write_reports(result, store.folder / "reports" / version, summary, also)
        registered = register(result, config, store=store, alias=options.alias, reports=reports)
    if options.json:
        stored = {
            "name": registered.name,
            "version": registered.version,
            "alias": registered.alias,
            "uri": registered.uri,
            "path": str(bundle),
        }
        changed = {"terms": moves.terms, "table": moves.table().to_dict("records")} if moves else None
        print(json.dumps({**training_json(result, stored), "agreement_changed": changed}, allow_nan=False))
    else:
        say("\n".join(summary))
        _print_registered(registered, version, bundle, reports, config_hint(Path(options.config)))
    if options.strict:
        _check_promises(result)


def _print_registered(registered: Registered, version: str, bundle: Path, reports: Path, hint: str) -> None:
    """Say where the model is, and what comes next."""
    alias = f" as {registered.alias}" if registered.alias else ", without an alias"
    print(f"\nRegistered {registered.uri}{alias} (model {version}).")
    print(f"Bundle     {bundle}\nReports    {reports}; look at report.html first")
    if registered.alias == "champion":
        print(f"Next:      propensity score NEW_LEADS -o scores.csv{hint}")
    elif registered.alias:
        print("The champion goes on scoring. To score with this one instead, either")
        print(f"           propensity score NEW_LEADS -o scores.csv --model {registered.uri}{hint}")
        print(f"           propensity train --alias champion{hint}")


def _allowance(minutes: float) -> Allowance:
    """Give what parts the minutes among trainings, and says in each whether there is time for another trial."""
    from propensity.learners import check_tuner

    if not 0 < minutes < math.inf:
        msg = f"--tune must be a number of minutes above 0, such as 10, got {minutes:g}."
        raise InputError(msg)
    check_tuner()

    def begin(share: float) -> MayGoOn:
        end = time.monotonic() + 60 * minutes * share
        return lambda _n_trials: time.monotonic() < end

    return begin


def _champion(config: Config, store: Store) -> PropensityModel | None:
    """Give the model that scores now, to compare agreements with; None where there is none or it cannot be read."""
    from propensity.registry import load_model
    from propensity.registry.store import champion_uri

    try:
        return load_model(champion_uri(config.registry.name), store=store)
    except (BundleError, RegistryError):
        return None


def _agreement_lines(champion: PropensityModel | None, result: TrainingRun, moves: Moves | None) -> list[str]:
    """Word what a changed agreement changes; where bands cannot be compared, the terms alone."""
    from propensity.reporting import changed_terms, moves_lines, terms_lines

    if moves is not None:
        return ["", *moves_lines(moves)]
    terms = () if champion is None else changed_terms(champion.agreement, result.model.agreement)
    if not terms:
        return []
    why = "           who moves cannot be told: one of the two models has no bands, or takes other columns"
    return ["", *terms_lines(terms), why]


def _moves(champion: PropensityModel, result: TrainingRun) -> Moves | None:
    """Compare the champion's agreement with the new one on the newest leads; None where nothing changed for them."""
    from propensity.reporting import Moves, changed_terms
    from propensity.scoring import judge, wants_features

    model, newest = result.model, result.newest
    terms = changed_terms(champion.agreement, model.agreement)
    # What the sheet counts moves no band of the model: a changed sheet is no reason not to compare.
    unsigned = replace(champion, plan=replace(champion.plan, signals=()))
    if not terms or champion.learned is None or model.learned is None or wants_features(newest, unsigned):
        return None
    if champion.schema.id != model.schema.id or champion.schema.cutoff != model.schema.cutoff:
        return None
    if model.schema.id is not None and model.schema.id in newest:
        newest = newest.drop_duplicates(model.schema.id, keep="last", ignore_index=True)
    bands = []
    for one in (champion, model):
        judged = judge(newest, one)
        learned = one.learned
        bands.append(learned.bands.assign(judged.probability, leads=newest.iloc[judged.rows.position]))  # type: ignore[union-attr]
    return Moves(
        terms=terms,
        before=champion.learned.bands,
        after=model.learned.bands,
        band_before=bands[0],
        band_after=bands[1],
    )


def _write_reports(
    result: TrainingRun, folder: Path, summary: Sequence[str], tables: Mapping[str, pd.DataFrame]
) -> Path:
    """Write the summary, the tables and the plots of a run beside its bundle."""
    import io

    from propensity import plotting
    from propensity.explanations import explain
    from propensity.reporting import Cards, report_page
    from propensity.storage.scores import table_csv
    from propensity.storage.writing import write_folder

    cards = Cards(why="No leads are shown here: propensity report LEADS -o FILE shows those of today.")
    files = {
        "summary.txt": ("\n".join(summary) + "\n").encode(),
        "card.md": result.model.card.encode(),
        "report.html": report_page(result.model, cards=cards).encode(),
    }
    learned, evaluation, reference = result.model.learned, result.evaluation, result.model.reference
    if learned is not None and evaluation is not None and reference is not None:
        rows = result.sample
        margin, contributions, base = learned.blend.explain(rows)
        probability = learned.calibrator.probability(margin)
        explanation = explain(
            contributions, base, margin, probability, calibrator=learned.calibrator, reference=reference
        )
        found = evaluation.tables()
        figures = {
            "reliability.png": plotting.plot_reliability(found),
            "gain.png": plotting.plot_gain(found),
            "scores.png": plotting.plot_scores(found, learned.bands),
            "comparison.png": plotting.plot_comparison(found),
            "beeswarm.png": plotting.plot_beeswarm(explanation, rows, learned.encoder),
        }
        if len(result.importance):
            figures["importance.png"] = plotting.plot_importance(result.importance)
            files["importance.csv"] = table_csv(result.importance).encode()
            files["dependence.csv"] = table_csv(result.dependence).encode()
        if learned.frontier is not None:
            figures["frontier.png"] = plotting.plot_frontier(learned.frontier)
            files["frontier.csv"] = table_csv(learned.frontier.table()).encode()
        if result.curve.levels:
            figures["learning_curve.png"] = plotting.plot_learning_curve(result.curve)
        for name, figure in figures.items():
            content = io.BytesIO()
            figure.savefig(content, format="png", dpi=120)
            files[name] = content.getvalue()
        files |= {f"{name}.csv": table_csv(table).encode() for name, table in found.items()}
    files |= {f"{name}.csv": table_csv(table).encode() for name, table in tables.items()}
    write_folder(folder, files)
    return folder


def _check_promises(result: TrainingRun) -> None:
    learned = result.model.learned
    if result.model.verdict != "skill":
        msg = f"the verdict is {result.model.verdict}. The model is registered, without an alias."
        raise PromiseError(msg)
    if learned is not None and not (learned.bands.sql_promise.certified and learned.bands.mql_promise.certified):
        msg = "a band's promise could not be certified. Lower the agreed rate, or use policy 'capacity'."
        raise PromiseError(msg)
