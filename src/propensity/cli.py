"""The only place that speaks to a person at a terminal: commands, progress, summaries, exit codes."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from propensity import __version__
from propensity.errors import BundleError, InputError, OutputError, PromiseError, PropensityError, RegistryError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from propensity.config import Config
    from propensity.features import ScoringRows
    from propensity.learners import MayGoOn
    from propensity.model import PropensityModel
    from propensity.registry import Store
    from propensity.roles import Project
    from propensity.scoring import Scores
    from propensity.training import Allowance, TrainingRun

DEFAULT_CONFIG = "propensity.toml"
# What moves a lead less than these is shown as one sum.
MAX_SHOWN = 15
OFF = "on its test leads the model's probabilities were off (its card says how far): trust the order of leads"
# Counts that are nobody's fault, in words.
NOTES = {"events_of_unknown_leads": "{:,} events are of leads that are not in this file; passed over"}
# Why nobody scores a row, in words.
ASIDE = {
    "created_later": "leads were created after {cutoff}, as of which scores are",
    "already_converted": "leads had converted before {cutoff} (labels.repeat = false)",
    "unknown_lead": "rows name a lead that the lead file does not hold",
    "no_cutoff": "rows have no cutoff",
}

DESCRIPTION = """\
Learn from past leads which new ones will buy.

  propensity init leads.csv --target converted     look at a file, write propensity.toml
  propensity audit                                 which columns know the future, what else is wrong
  propensity train                                 learn, test, register the model
  propensity score new_leads.csv -o scores.csv     probability, band and reasons for each lead
  propensity explain new_leads.csv --lead 4711     why one lead scores as it does
"""


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        prog="propensity", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"propensity {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_init(commands)
    _add_audit(commands)
    _add_train(commands)
    _add_score(commands)
    _add_explain(commands)
    _add_features(commands)
    _add_sample(commands)
    return parser


def _add_init(commands: Any) -> None:
    init = commands.add_parser(
        "init",
        help="look at a lead file and write propensity.toml",
        description="Look at a lead file, and at files of events and outcomes where there are such, guess what each "
        "column is, say why, and write a commented propensity.toml for you to correct. Exports of HubSpot, Salesforce, "
        "Pardot, Marketo, Eloqua, GA4 and Segment are known. Nothing is trained and nothing leaves this machine.",
    )
    init.add_argument(
        "leads", metavar="LEADS", nargs="?", help="CSV or Parquet, one row a lead; default: the leads of --cutoffs"
    )
    init.add_argument("--events", metavar="F", help="what leads did, one row an event")
    init.add_argument("--outcomes", metavar="F", help="who converted when, one row a conversion")
    init.add_argument("--cutoffs", metavar="F", help="instants of your own to look at leads: ids and cutoffs")
    init.add_argument("--field-history", metavar="F", help="how fields of leads changed: id, field, value, since when")
    init.add_argument("--target", metavar="COL", help="the column that says whether the lead converted")
    init.add_argument("--positive", metavar="VALUE", help="the value that means converted, such as Won")
    init.add_argument("--id", metavar="COL", help="the column that names a lead")
    init.add_argument("--date", metavar="COL", help="when the lead came in; newer leads test what older ones taught")
    init.add_argument("--group", metavar="COL", help="leads of one account or household, on one side of every test")
    init.add_argument("--ignore", metavar="COL", action="append", default=[], help="a column not to use; repeatable")
    init.add_argument("--horizon", type=int, metavar="DAYS", help="within how long a lead must convert to count")
    init.add_argument("--ordered", action="store_true", help="the rows of the file are in time order, oldest first")
    init.add_argument("-o", "--output", metavar="TOML", default=DEFAULT_CONFIG, help="default: propensity.toml")
    init.set_defaults(action=run_init)


def _add_audit(commands: Any) -> None:
    audit = commands.add_parser(
        "audit",
        help="which columns know the future, and what else is wrong with the file",
        description="Judge every column of the training data: was it known before the outcome? What gives that reason "
        "to doubt, with the evidence and what leaving it out costs; then duplicates, spellings, test records and gaps. "
        "Training does the same and leaves such columns out. Nothing is written.",
    )
    _add_config(audit)
    _add_json(audit)
    audit.set_defaults(action=run_audit)


def _add_train(commands: Any) -> None:
    train = commands.add_parser(
        "train",
        help="learn from leads whose outcome is known",
        description="Learn from leads whose outcome is known, test on leads the model never saw, set the two "
        "thresholds, and register the model. Plots and a summary are written beside it.",
    )
    _add_config(train)
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
    _add_json(train)
    train.set_defaults(action=run_train)


def _add_score(commands: Any) -> None:
    score = commands.add_parser(
        "score",
        help="probability, band and reasons for each lead",
        description="Score leads with the champion of the registry, or with the model you name. Where the model "
        "cannot answer, the points rules do, and the row says so.",
    )
    score.add_argument("leads", metavar="LEADS", nargs="?", help="CSV or Parquet; default: the config's leads")
    score.add_argument("-o", "--output", metavar="OUT", required=True, help="scores as .csv or .parquet")
    _add_config(score)
    _add_model(score)
    _add_tables(score)
    score.add_argument("--reasons", type=int, default=4, metavar="N", help="reasons a lead, 0 to 20 (default 4)")
    score.add_argument(
        "--allow-degraded",
        action="store_true",
        help="write even if more than 20 %% of rows fall back",
    )
    score.add_argument("--strict", action="store_true", help="exit 3 when the rules had to answer for every lead")
    _add_json(score)
    score.set_defaults(action=run_score)


def _add_explain(commands: Any) -> None:
    explain = commands.add_parser(
        "explain",
        help="why one lead scores as it does",
        description="Show, column by column, what moves one lead away from a typical nurture lead.",
    )
    explain.add_argument("leads", metavar="LEADS", help="CSV or Parquet that holds the lead")
    explain.add_argument("--lead", metavar="ID", required=True, help="its id, or its row number where leads have no id")
    _add_config(explain)
    _add_model(explain)
    _add_tables(explain, cutoffs=False)
    explain.add_argument("--plot", metavar="PNG", help="also draw it as a waterfall")
    _add_json(explain)
    explain.set_defaults(action=run_explain)


def _add_features(commands: Any) -> None:
    features = commands.add_parser(
        "features",
        help="the feature rows of leads, as the registered model takes them",
        description="Make the rows a model trained with events scores: each lead as known at an instant, and what it "
        "had done by then. Nothing at or after that instant counts.",
    )
    features.add_argument("leads", metavar="LEADS", nargs="?", help="CSV or Parquet; default: the config's leads")
    features.add_argument("-o", "--output", metavar="OUT", required=True, help="feature rows as .parquet")
    _add_config(features)
    _add_model(features)
    _add_tables(features)
    features.set_defaults(action=run_features)


def _add_tables(parser: argparse.ArgumentParser, *, cutoffs: bool = True) -> None:
    parser.add_argument("--events", metavar="F", help="what the leads did; default: the config's events")
    parser.add_argument(
        "--as-of",
        metavar="T",
        default="",
        help="the instant to score as of; no event at or after it counts, and leads created after it are not scored; "
        "default: the newest stamp in the files",
    )
    if cutoffs:
        parser.add_argument(
            "--cutoffs", metavar="F", help="score each lead as of its own cutoff: a file of ids and cutoffs"
        )


def _add_sample(commands: Any) -> None:
    sample = commands.add_parser(
        "sample",
        help="write invented leads to try the tool on",
        description="Write an invented CRM: leads.csv, events.csv (what they did), outcomes.csv (who bought), "
        "field_history.csv (what was written down when), and new_leads.csv, the newest leads, to score.",
    )
    sample.add_argument("folder", metavar="DIR", help="where to write them")
    sample.add_argument("--seed", type=int, default=0, metavar="N", help="another seed, other leads (default 0)")
    sample.add_argument(
        "--flat", action="store_true", help="one row a lead instead: leads.csv, with known outcomes, and new_leads.csv"
    )
    sample.set_defaults(action=run_sample)


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", metavar="TOML", default=DEFAULT_CONFIG, help="default: propensity.toml")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="URI", help="a bundle folder or models:/name@alias; default: the champion")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object, and nothing else, on standard output"
    )


def run(arguments: Sequence[str]) -> int:
    """Run one command and give its exit code.

    Parameters
    ----------
    arguments : sequence of str
        Without the program's name.

    Returns
    -------
    int
        0 done, 2 bad input, 3 a promise failed under --strict, 4 too many rows degraded, 5 cannot write,
        6 registry unavailable, 7 another run holds the output. A bug is let through as a traceback, exit code 1.
    """
    try:
        options = build_parser().parse_args(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        options.action(options)
    except PropensityError as error:
        print(f"propensity {options.command}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        print(f"propensity {options.command}: stopped; nothing was written.", file=sys.stderr)
        return 130
    return 0


def run_init(options: argparse.Namespace) -> None:
    """Guess what the files hold, write the config, say what was guessed."""
    import tomllib

    from propensity.config import MISSING_WORDS, parse_config
    from propensity.reporting import config_text
    from propensity.roles import Given, propose_project
    from propensity.schema import Tables
    from propensity.storage.writing import check_writable, write_text

    output = Path(options.output)
    if output.exists():
        msg = f"{output} exists and may hold your corrections. Name another with -o, or remove it."
        raise OutputError(msg)
    check_writable(output)
    if options.horizon is not None and not 1 <= options.horizon <= 730:
        msg = f"--horizon must be within 1 and 730 days, got {options.horizon}."
        raise InputError(msg)
    frames, sources, known, through = _files_of_init(options)
    if len(frames["leads"]) == 0:
        msg = f"{options.leads or options.cutoffs} has a header but no rows. Give leads to look at."
        raise InputError(msg)
    given = Given(
        id=options.id,
        target=options.target,
        date=options.date,
        group=options.group,
        ignore=tuple(options.ignore),
        is_ordered=options.ordered,
    )
    project = propose_project(
        Tables(leads=frames["leads"], **{table: frame for table, frame in frames.items() if table != "leads"}),  # type: ignore[arg-type]
        given,
        missing={"*": MISSING_WORDS},
        positive=options.positive,
        horizon_days=options.horizon,
        names={table: Path(path).name for table, (path, _) in sources.items()},
    )
    text = config_text(
        project,
        sources={table: (_relative(Path(path), output.parent), query) for table, (path, query) in sources.items()},
        is_ordered=options.ordered,
        missing_words=MISSING_WORDS,
    )
    parse_config(tomllib.loads(text), source=output.name)
    write_text(output, text)
    _print_project(project, frames, known, through)
    hint = _config_hint(output)
    print(f"\nWritten: {output}. Correct what is wrong, then run: propensity audit{hint}, then: propensity train{hint}")


def _files_of_init(
    options: argparse.Namespace,
) -> tuple[dict[str, pd.DataFrame], dict[str, tuple[str, str]], dict[str, str], dict[str, str]]:
    """Read the files named, through the queries of a known export.

    Gives the tables, (path, query) of each, the export each was known for, and what its query left. A file
    may make more than one table: an activity log can hold the history of fields too.
    """
    from propensity.config import ColumnsConfig, CutoffColumns
    from propensity.roles import lead_id_of, recognise
    from propensity.storage.configs import leads_of_cutoffs
    from propensity.storage.tables import read_table

    if options.leads is None and options.cutoffs is None:
        msg = "Name the file of leads (LEADS), or a file of cutoffs whose ids are the leads (--cutoffs)."
        raise InputError(msg)
    named = {
        table: getattr(options, table)
        for table in ("leads", "events", "outcomes", "cutoffs", "field_history")
        if getattr(options, table) is not None
    }
    frames: dict[str, pd.DataFrame] = {}
    sources: dict[str, tuple[str, str]] = {}
    known: dict[str, str] = {}
    through: dict[str, str] = {}
    for table, path in named.items():
        frame = read_table(Path(path))
        found = recognise(frame.columns, table)
        if found is not None:
            known[table] = found.name
        queries = (
            {made: query for made, query in found.queries.items() if made == table or made not in named}
            if found
            else {}
        )
        for made, query in (queries or {table: ""}).items():
            made_frame = read_table(Path(path), query=query) if query else frame
            if query and made == table and not len(made_frame):
                msg = (
                    f"{path} (--{table.replace('_', '-')}) is an export of {known[table]}, of which no row counts as "
                    f"one of {table.replace('_', ' ')}: {query}. Give a file that has such rows."
                )
                raise InputError(msg)
            if made == table or len(made_frame):
                frames[made], sources[made] = made_frame, (path, query)
                if query:
                    through[made] = _left_by(query, frame, made_frame)
    if options.leads is None:
        own = options.id or lead_id_of(frames["cutoffs"], name=Path(options.cutoffs).name)
        frames["leads"] = leads_of_cutoffs(frames["cutoffs"], ColumnsConfig(cutoffs=CutoffColumns(id=own)))
    return frames, sources, known, through


def _left_by(query: str, frame: pd.DataFrame, made: pd.DataFrame) -> str:
    """Say how many rows of a file a query of a known export takes, and which columns it does not read."""
    told = f"read through the export's query, which takes {len(made):,} of the file's {len(frame):,} rows"
    unread = [] if "*" in query else [str(name) for name in frame.columns if f'"{name}"' not in query]
    if not unread:
        return told
    more = f" and {len(unread) - MAX_SHOWN} more" if len(unread) > MAX_SHOWN else ""
    return f"{told} and does not read {', '.join(repr(name[:40]) for name in unread[:MAX_SHOWN])}{more}"


def _print_project(
    project: Project, frames: dict[str, pd.DataFrame], known: Mapping[str, str], through: Mapping[str, str]
) -> None:
    leads = frames["leads"]
    what = f" ({known['leads']})" if "leads" in known else ""
    print(f"{len(leads):,} leads{what}, {leads.shape[1]} columns. What they were taken for:\n")
    width = min(max(len(guess.column) for guess in project.guesses), 40)
    for guess in project.guesses:
        flags = "; sensitive" if guess.is_sensitive else ""
        numbers = [f"{n:g}" for n in guess.missing if not isinstance(n, str)]
        flags += f"; {', '.join(numbers)} means missing" if numbers else ""
        print(f"  {guess.column[:40]:{width}}  {guess.role:14} {guess.reason}{flags}")
    for table, guess_of_table in project.tables.items():
        what = f" ({known[table]})" if table in known else ""
        columns = ", ".join(f"{role} = {column[:40]!r}" for role, column in guess_of_table.columns.items())
        print(f"\n{guess_of_table.n_rows:,} rows of {table.replace('_', ' ')}{what}: {columns}")
        print(f"  {guess_of_table.n_matched:,} of them belong to leads of the lead file")
        if table in through:
            print(f"  {through[table]}; the query stands in the config to be corrected")
    if project.column("converted_at"):
        print(f"\nWho converted when is told by the lead file's column {project.column('converted_at')!r}")
    if project.stages:
        print(f"\nStages become events: {', '.join(sorted(project.stages))}")
    if project.horizon is not None:
        print(f"\nHorizon proposed: {project.horizon.sentence}.")
        if project.horizon_days is not None:
            print(f"Horizon taken: {project.horizon_days} days, as you said.")
    elif project.base_rate is None:
        print("\nNo target was found: name it with --target and run init again, or let the rules score alone.")
    else:
        print(f"\n{project.target_sentence}; base rate {project.base_rate:.1%}.")
    for note in project.notes:
        print(note)
    print(_points_sentence(project))


def _points_sentence(project: Project) -> str:
    """Say what the proposed points sheet holds, or how to write one."""
    if not project.rules:
        return (
            "No points sheet is proposed: no name of a column or of an event type tells its worth. Write its lines "
            'under [[rules.points]]: name, column, op, value, points, and group = "fit" or "behaviour". Without one, '
            "where the model cannot answer the rules know no more than the base rate."
        )
    n_fit = sum(rule.get("group") == "fit" for rule in project.rules)
    return (
        f"Points sheet proposed: {n_fit} lines on who a lead is, {len(project.rules) - n_fit} on what it did. What it "
        "answers stands behind the model; correct it under [[rules.points]]."
    )


def run_audit(options: argparse.Namespace) -> None:
    """Judge the columns of the training data and say what was found."""
    from propensity.reporting import audit_json, audit_lines
    from propensity.storage.configs import load_config, read_tables
    from propensity.training import audit

    config = load_config(options.config)
    found = audit(read_tables(config), config)
    if options.json:
        print(json.dumps(audit_json(found), allow_nan=False))
    else:
        print("\n".join(audit_lines(found)))


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
    store = Store(folder=_store_folder(options.config))
    if store.folder.exists() and not store.folder.is_dir():
        msg = f"Cannot write to {store.folder}: it is a file, and models are kept in a folder of that name. Move it."
        raise OutputError(msg)
    tables = read_tables(config)
    _make_folder(store.folder)
    with holding(store.folder / "mlflow.db"):
        check_registry(store)
        with _progress(quiet=options.json) as tell:
            result = train(tables, config, progress=tell, tune=tune)
        version = result.model.version
        summary = training_summary(result)
        bundle = save_model(result.model, store.folder / "bundles" / version)
        reports = _write_reports(result, store.folder / "reports" / version, summary)
        registered = register(result, config, store=store, alias=options.alias, reports=reports)
    if options.json:
        stored = {
            "name": registered.name,
            "version": registered.version,
            "alias": registered.alias,
            "uri": registered.uri,
            "path": str(bundle),
        }
        print(json.dumps(training_json(result, stored), allow_nan=False))
    else:
        print("\n".join(summary))
        alias = f" as {registered.alias}" if registered.alias else ", without an alias"
        print(f"\nRegistered {registered.uri}{alias} (model {version}).")
        print(f"Bundle     {bundle}\nReports    {reports}")
        hint = _config_hint(Path(options.config))
        if registered.alias == "champion":
            print(f"Next:      propensity score NEW_LEADS -o scores.csv{hint}")
        elif registered.alias:
            print("The champion goes on scoring. To score with this one instead, either")
            print(f"           propensity score NEW_LEADS -o scores.csv --model {registered.uri}{hint}")
            print(f"           propensity train --alias champion{hint}")
    if options.strict:
        _check_promises(result)


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


def run_score(options: argparse.Namespace) -> None:
    """Score a file and write the scores."""
    from propensity.scoring import BLAMELESS, check_degraded, score
    from propensity.storage.scores import check_output, write_scores
    from propensity.storage.writing import holding

    output = Path(options.output)
    check_output(output)
    with holding(output):
        config = _optional_config(options)
        _check_inputs_kept(output, options, config)
        model, fallback, why = _find_model(options, config)
        rows, as_of = _rows_to_score(options, config, model)
        scores = score(
            rows.frame,
            model=model,
            as_of=as_of,
            n_reasons=options.reasons,
            fallback_reason=fallback,
            aside=rows.aside,
            asked=rows.asked,
        )
        if not options.allow_degraded:
            check_degraded(scores)
        write_scores(scores.frame, output)
    summary = scores.summary()
    summary["notes"] = {**rows.notes, **summary["notes"]}
    warnings = [*rows.warnings, *_seen_before(options.as_of, model)]
    if summary["scored_by"].get("model") and not model.facts.get("calibrated", True):
        warnings.append(OFF)
    if options.json:
        told = {"output": str(output), "model_version": model.version, "why_rules": why, "warnings": warnings}
        print(json.dumps({**summary, **told}))
    else:
        _print_scores(scores, summary, output, why, warnings=warnings, as_of=as_of)
    if options.strict and {*scores.reasons(without=BLAMELESS)} and not summary["scored_by"].get("model"):
        reasons = ", ".join(summary["fallback_reasons"])
        msg = f"the rules answered for every lead ({reasons}). {why or 'The scores are written.'}"
        raise PromiseError(msg)


def run_explain(options: argparse.Namespace) -> None:
    """Show one lead's contributions."""
    from propensity.explanations import show_value, strongest
    from propensity.plotting import plot_waterfall
    from propensity.schema import read_ids
    from propensity.scoring import judge, score
    from propensity.storage.writing import check_writable, replacing

    plot = Path(options.plot) if options.plot else None
    if plot is not None:
        check_writable(plot)
    config = _optional_config(options)
    model, fallback, why = _find_model(options, config)
    read, as_of = _rows_to_score(options, config, model)
    leads = read.frame
    judged = judge(leads, model)
    found = [i for i, key in enumerate(read_ids(judged.rows.ids, missing=())) if key == options.lead.strip()]
    if not found:
        msg = "No such lead in the file (--lead). Give the id exactly as the file writes it."
        raise InputError(msg)
    row = found[0]
    lead = leads.iloc[[int(judged.rows.position[row])]].reset_index(drop=True)
    aside = None if read.aside is None else read.aside[judged.rows.position[[row]]]
    shown = score(lead, model=model, as_of=as_of, fallback_reason=fallback, aside=aside).frame.iloc[0]
    parts: list[dict[str, Any]] = []
    explanation = judged.explanation if shown["scored_by"] == "model" else None
    if explanation is not None and model.reference is not None:
        families = {column.name: column.family for column in model.schema.columns}
        typical = dict(zip(model.schema.names, model.reference.typical, strict=True))
        for name, log_odds, points in strongest(explanation, model.schema.names, row):
            cell = judged.rows.raw[name].iloc[row] if judged.rows.read[name].notna().iloc[row] else None
            parts.append(
                {
                    "column": name,
                    "family": families[name],
                    "value": show_value(cell),
                    "typical": typical[name],
                    "log_odds": log_odds,
                    "points": points,
                }
            )
    answer = {
        "lead": options.lead,
        "probability": _number(shown["probability"]),
        "band": shown["band"],
        "scored_by": shown["scored_by"],
        "fallback_reason": shown["fallback_reason"],
        "points": _number(shown["points"]),
        "fit_pp": _number(shown["fit_pp"]),
        "behaviour_pp": _number(shown["behaviour_pp"]),
        "reference_probability": explanation.reference_probability if explanation else None,
        "reference_log_odds": explanation.reference_log_odds if explanation else None,
        "log_odds": explanation.reference_log_odds + sum(part["log_odds"] for part in parts) if explanation else None,
        "contributions": parts,
        "reasons": [str(shown[name]) for name in shown.index if str(name).startswith("reason_") and shown[name]],
        "model_version": shown["model_version"],
    }
    if plot is not None and explanation is not None:
        values = {part["column"]: part["value"] for part in parts}
        names = model.schema.names
        figure = plot_waterfall(explanation, row, names=names, shown=[values[name] for name in names])
        with replacing(plot) as temporary:
            figure.savefig(temporary, format="png", dpi=120)
    if options.json:
        print(json.dumps(answer, allow_nan=False))
    else:
        _print_explanation(answer, why)
        if plot is not None and explanation is None:
            print("No plot was drawn: the rules answered, and there is nothing to add up.")


def run_features(options: argparse.Namespace) -> None:
    """Write the feature rows of leads."""
    from propensity.schema import normalise_name
    from propensity.scoring import expected_columns
    from propensity.storage.scores import write_rows
    from propensity.storage.writing import check_writable, holding

    output = Path(options.output)
    check_writable(output)
    if output.suffix != ".parquet":
        msg = f"Feature rows are written as Parquet, got {output.name[-40:]!r}. Name a file that ends in .parquet."
        raise InputError(msg)
    with holding(output):
        config = _optional_config(options)
        _check_inputs_kept(output, options, config)
        model, _, why = _find_model(options, config)
        if why:
            msg = f"Only a model knows its features. {why}"
            raise InputError(msg)
        rows, as_of = _rows_to_score(options, config, model)
        # Only what the model and its sheet read: no other field of a lead belongs into a second file.
        wanted = {normalise_name(name) for name in (*expected_columns(model), model.schema.id, model.schema.cutoff)}
        frame = rows.frame[[name for name in rows.frame.columns if normalise_name(name) in wanted]]
        write_rows(frame, output)
    print(f"{len(frame):,} rows of {len(model.schema.names)} features{f', as of {as_of}' if as_of else ''}")
    if rows.aside is not None:
        for said in _said_aside(Counter(rows.aside), as_of, result="their rows are empty"):
            print(f"  {said}")
    _print_notes(rows.notes, rows.warnings)
    print(f"Written: {output}")


def _check_inputs_kept(output: Path, options: argparse.Namespace, config: Config | None) -> None:
    """Refuse an output that is one of the inputs."""
    data = config.data if config else None
    own = [data.leads, data.events, data.outcomes, data.cutoffs, data.field_history] if data else []
    named = [options.leads, options.events, options.cutoffs, *(source.path for source in own if source)]
    for source in named:
        if source and output.exists() and Path(source).exists() and output.samefile(source):
            msg = f"{output.name} is one of the files that are read and would be lost. Name another output with -o."
            raise InputError(msg)


def _rows_to_score(
    options: argparse.Namespace, config: Config | None, model: PropensityModel
) -> tuple[ScoringRows, str]:
    """Read what is to be scored, feature rows where the model takes those, and the instant it is as of."""
    from propensity.features import (
        NO_CUTOFF,
        UNKNOWN_LEAD,
        ScoringRows,
        converted_rows,
        features_as_of,
        first_conversions,
    )
    from propensity.scoring import active_share, expected_columns, wants_features
    from propensity.storage.tables import read_table

    as_of = _as_of(options.as_of)
    named = getattr(options, "cutoffs", None)
    if named and as_of:
        msg = (
            "--as-of and --cutoffs both say as of when to score: each lead at its own cutoff, or all at one. Give one."
        )
        raise InputError(msg)
    cutoffs = read_table(Path(named)) if named else None
    own = config.data.leads if config else None
    leads: pd.DataFrame | None = None
    if options.leads is not None:
        leads = read_table(Path(options.leads), query=own.query if own else "")
    elif own is not None:
        leads = read_table(Path(own.path), query=own.query)
    elif cutoffs is None:
        msg = "Name the leads to score: propensity score LEADS -o scores.csv, or the cutoffs to score them at."
        raise InputError(msg)
    at, asked, notes, is_known = None, None, {}, None
    if cutoffs is not None:
        leads, asked, is_known = _leads_at_cutoffs(leads, cutoffs, config, model)
        at = asked.where(is_known)
        notes = {"rows_without_a_cutoff_of_a_known_lead": int(at.isna().sum())} if at.isna().any() else {}
    assert leads is not None  # noqa: S101 - one of the three gave them
    if cutoffs is None and config is not None and config.columns.cutoff and not as_of:
        from propensity.asof import read_stamps

        where = {"timezone": config.data.timezone, "missing": config.data.missing}
        at = read_stamps(leads, config.columns.cutoff, key="columns.cutoff", date_is_start=True, **where).at  # type: ignore[arg-type]
    plan = model.plan
    history, outcomes = (config.data.field_history, config.data.outcomes) if config else (None, None)
    won = read_table(Path(outcomes.path), query=outcomes.query) if outcomes else None
    if not options.events and not wants_features(leads, model):
        if at is not None and model.schema.cutoff is not None:
            leads = leads.assign(**{model.schema.cutoff: at})
        has_rows = config is not None and config.has_tables and model.schema.cutoff is not None
        aside = converted_rows(leads, plan, config, outcomes=won) if config and has_rows else None
        rows = ScoringRows(frame=leads, notes=notes, asked=asked, aside=aside)
        return rows, as_of or _newest_date(leads, model, config)
    rows = features_as_of(
        leads,
        plan,
        events=_events_to_score(options, config, model),
        field_history=read_table(Path(history.path), query=history.query) if history else None,
        as_of=as_of,
        cutoffs=at,
        converted_at=first_conversions(leads, plan, config, outcomes=won) if config else None,
        active_share=active_share(model),
        also=expected_columns(model),
    )
    if is_known is not None and rows.aside is not None:
        rows.aside[~is_known & (rows.aside == NO_CUTOFF)] = UNKNOWN_LEAD
    return replace(rows, notes={**notes, **rows.notes}, asked=asked), as_of


def _events_to_score(options: argparse.Namespace, config: Config | None, model: PropensityModel) -> pd.DataFrame | None:
    """Read the events that the model was trained with; None where it was trained without."""
    from propensity.features import few_texts
    from propensity.storage.tables import read_table

    source = config.data.events if config else None
    if not model.plan.has_events:
        if options.events:
            msg = "The model was trained without events. Take --events out."
            raise InputError(msg)
        return None
    path = options.events or (source.path if source else None)
    if path is None:
        msg = "The model was trained with events. Name them: --events FILE, or data.events in the config."
        raise InputError(msg)
    return read_table(Path(path), query=source.query if source else "", categories=few_texts(model.plan))


def _leads_at_cutoffs(
    leads: pd.DataFrame | None, cutoffs: pd.DataFrame, config: Config | None, model: PropensityModel
) -> tuple[pd.DataFrame, pd.Series, np.ndarray]:
    """Give one row a row of the cutoff file, in its order: the lead's own columns, the cutoff, whether it is known.

    Nothing is known of a lead that the lead file does not hold, at any cutoff.
    """
    import numpy as np
    import pandas as pd

    from propensity.asof import check_joined, join_keys, read_stamps
    from propensity.config import CutoffColumns
    from propensity.features import lead_key
    from propensity.schema import Schema, find_column, normalise_name, partition
    from propensity.scoring import expected_columns

    names = config.columns.cutoffs if config else CutoffColumns()
    where = {"timezone": model.plan.timezone, "missing": model.plan.missing}
    at = read_stamps(cutoffs, names.cutoff, key="columns.cutoffs.cutoff", date_is_start=True, **where).at  # type: ignore[arg-type]
    if at.isna().all():
        msg = (
            f"Column {names.cutoff!r} of the cutoffs (columns.cutoffs.cutoff) holds no date. Give each lead its cutoff."
        )
        raise InputError(msg)
    lead_id = model.schema.id or names.id
    # Called as the config says, else as in the lead table.
    there = {normalise_name(name) for name in cutoffs.columns}
    named = names.id if normalise_name(names.id) in there else lead_id
    ids = cutoffs[find_column(cutoffs, named, key="columns.cutoffs.id")].reset_index(drop=True)
    if leads is None:
        return pd.DataFrame({lead_id: ids}), at, np.ones(len(ids), dtype=bool)
    own = find_column(leads, lead_id, key="columns.id")
    here = {normalise_name(name) for name in leads.columns}
    also = [name for name in expected_columns(model) if normalise_name(name) in here]
    partition(
        leads, Schema(columns=(), id=lead_id, missing=model.schema.missing), also=also
    )  # refuses ids that conflict
    keys = join_keys(leads[own], missing=model.schema.missing)
    first = leads[~keys.duplicated().to_numpy() & keys.notna().to_numpy()].reset_index(drop=True)
    there = pd.Index(join_keys(first[own], missing=model.schema.missing))
    wanted = join_keys(ids, missing=model.schema.missing)
    owner = replace(lead_key(model.plan), column=str(own))
    check_joined(wanted, there, owner, what="cutoffs", column=named, key="columns.cutoffs.id")
    place = there.get_indexer(pd.Index(wanted))
    rows = first.reindex(place).reset_index(drop=True)
    rows[own] = ids
    if at.where(place >= 0).isna().all():
        msg = (
            "No row of the cutoffs has a cutoff of a lead in the lead file. Check which columns name the lead "
            "(columns.cutoffs.id, columns.id)."
        )
        raise InputError(msg)
    return rows, at, place >= 0


def run_sample(options: argparse.Namespace) -> None:
    """Write the invented files."""
    from propensity.storage.writing import check_writable, write_text
    from propensity.synthetic import invent_crm, invent_leads

    folder = Path(options.folder)
    _make_folder(folder)
    if options.flat:
        world = invent_leads(seed=options.seed)
        frames = {"leads": world.history, "new_leads": world.new}
    else:
        crm = invent_crm(seed=options.seed)
        frames = {name: getattr(crm, name) for name in ("leads", "events", "outcomes", "field_history", "new_leads")}
    files = {folder / f"{name}.csv": frame for name, frame in frames.items()}
    texts = {path: frame.to_csv(index=False, lineterminator="\n") for path, frame in files.items()}
    for path, text in texts.items():
        check_writable(path)
        if path.exists() and path.read_bytes() != text.encode():
            msg = f"{path} exists and may hold leads of yours. Name another folder, or remove it."
            raise OutputError(msg)
    for path, text in texts.items():
        write_text(path, text)
        print(f"Written: {path} ({len(files[path]):,} rows)")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"Cannot make {folder}: {error.strerror or error}."
        raise OutputError(msg) from error


def _find_model(options: argparse.Namespace, config: Config | None) -> tuple[PropensityModel, str, str]:
    """Load the model, or the rules with the reason they answer and a sentence about it."""
    from propensity.registry import load_model
    from propensity.registry.store import champion_uri

    store = _store(options)
    source = options.model or (champion_uri(config.registry.name) if config else None)
    try:
        if source is None:
            msg = f"{options.config} does not exist and no --model is named. Run: propensity init LEADS --target COLUMN"
            raise InputError(msg)
        return load_model(source, store=store), "", ""
    except (BundleError, RegistryError) as error:
        newest = None if options.model or config is None else _newest_without_skill(config, store)
        if newest is not None:
            return newest, "", ""
        reason = error.fallback_reason if isinstance(error, BundleError) else "REGISTRY_UNAVAILABLE"
        if config is None:
            msg = f"{error} There is no {options.config} either to take rules from."
            raise InputError(msg) from error
        return _rules_alone(config), reason, str(error)


def _newest_without_skill(config: Config, store: Store) -> PropensityModel | None:
    """Give the newest version where none is champion because it has no skill: its rules know the history."""
    from propensity.registry import load_model

    try:
        model = load_model(f"models:/{config.registry.name}/latest", store=store)
    except (BundleError, RegistryError):
        return None
    return None if model.verdict == "skill" else model


def _rules_alone(config: Config) -> PropensityModel:
    """Give the sheet as the model that answers; in a project of tables it reads what leads did, too."""
    from dataclasses import replace

    from propensity.features import CUTOFF, reading_plan
    from propensity.model import rules_model
    from propensity.rules import build_rules
    from propensity.schema import Schema, missing_words

    words = config.data.missing
    plan = reading_plan(config)
    if not config.has_tables:
        schema = Schema(columns=(), id=config.columns.id, missing=missing_words(words, None))
        return rules_model(build_rules(config.rules, missing=words), schema)
    schema = Schema(columns=(), id=plan.id, missing=missing_words(words, None), cutoff=CUTOFF)
    model = rules_model(build_rules(config.rules, missing=words), schema)
    return replace(model, plan=plan.of_columns([rule.column for rule in config.rules.points]))


def _optional_config(options: argparse.Namespace) -> Config | None:
    """Read the config; it may be absent where the model is named and brings all it needs."""
    from propensity.storage.configs import load_config

    if options.model and options.config == DEFAULT_CONFIG and not Path(DEFAULT_CONFIG).exists():
        return None
    return load_config(options.config)


def _as_of(text: str) -> str:
    """Give the instant a person named, as they wrote it, once it reads as one."""
    try:
        if text:
            dt.datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"--as-of must be a date or a time (YYYY-MM-DD or YYYY-MM-DDThh:mmZ), got {text[:40]!r}."
        raise InputError(msg) from error
    return text


def _newest_date(leads: pd.DataFrame, model: PropensityModel, config: Config | None) -> str:
    """Give the newest stamp of the lead file; empty where it has no date column."""
    from propensity.asof import parse_stamps
    from propensity.schema import normalise_name, read_texts

    name = model.facts.get("date") or (config.columns.date if config else None)
    timezone = model.facts.get("timezone") or (config.data.timezone if config else "UTC")
    found = [column for column in leads.columns if name and normalise_name(column) == normalise_name(name)]
    if not found:
        return ""
    column = leads[found[0]]
    filled = read_texts(column, missing=model.schema.missing).notna().to_numpy()
    try:
        newest = parse_stamps(column.where(filled), timezone=timezone, name=str(name)).newest
    except InputError:
        return ""  # the date is no feature: unreadable ones leave the day unknown, and score all the same
    return "" if newest is None else newest.isoformat()


def _write_reports(result: TrainingRun, folder: Path, summary: Sequence[str]) -> Path:
    """Write the summary and the plots of a run beside its bundle."""
    import io

    from propensity import plotting
    from propensity.explanations import explain
    from propensity.storage.scores import table_csv
    from propensity.storage.writing import write_folder

    files = {"summary.txt": ("\n".join(summary) + "\n").encode(), "card.md": result.model.card.encode()}
    learned, evaluation, reference = result.model.learned, result.evaluation, result.model.reference
    if learned is not None and evaluation is not None and reference is not None:
        rows = result.sample
        contributions, base = learned.blend.contributions(rows)
        probability = learned.calibrator.probability(learned.blend.margin(rows))
        explanation = explain(contributions, base, probability, calibrator=learned.calibrator, reference=reference)
        figures = {
            "reliability.png": plotting.plot_reliability(evaluation),
            "gain.png": plotting.plot_gain(evaluation),
            "scores.png": plotting.plot_scores(evaluation, learned.bands),
            "comparison.png": plotting.plot_comparison(evaluation),
            "beeswarm.png": plotting.plot_beeswarm(explanation, rows, learned.encoder),
        }
        if result.curve.levels:
            figures["learning_curve.png"] = plotting.plot_learning_curve(result.curve)
        for name, figure in figures.items():
            content = io.BytesIO()
            figure.savefig(content, format="png", dpi=120)
            files[name] = content.getvalue()
        files |= {f"{name}.csv": table_csv(table).encode() for name, table in evaluation.tables().items()}
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


def _print_scores(
    scores: Scores, summary: dict[str, Any], output: Path, why: str, *, warnings: Sequence[str], as_of: str
) -> None:
    bands, aside = summary["bands"], summary["aside"]
    n_aside = sum(aside.values())
    total = summary["rows"] - n_aside
    n_unscored = bands.get("unscored", 0) - n_aside
    when = f" as of {as_of}" if as_of else ""
    print(f"Scored {total:,} leads{when}: " + ", ".join(f"{bands.get(b, 0):,} {b}" for b in ("SQL", "MQL", "nurture")))
    for said in _said_aside(aside, as_of, result="not scored"):
        print(f"  {said}")
    if n_unscored:
        print(f"  {n_unscored:,} could not be scored.")
    if why:
        print(f"  By the rules, not by a model. {why}")
    for reason, n in scores.reasons(without=[*ASIDE]).items():
        print(f"  {n:,} rows ({n / total:.1%}) not scored by the model: {reason}")
    if summary["absent"]:
        print(f"  Columns not in the file, taken as missing: {', '.join(name[:40] for name in summary['absent'][:8])}")
    # What these two count was told of above.
    told = {"not_there_at_the_cutoff", "rows_without_a_cutoff_of_a_known_lead"} if n_aside else set()
    _print_notes({name: n for name, n in summary["notes"].items() if name not in told}, warnings)
    print(f"Written: {output}")


def _seen_before(as_of: str, model: PropensityModel) -> list[str]:
    """Warn where the model knows what came after the instant: its scores are then no test of it."""
    from propensity.asof import parse_stamps

    end = model.facts.get("data_end", "")
    if not as_of or not end or model.learned is None:
        return []
    import pandas as pd

    instant = parse_stamps(pd.Series([as_of]), timezone=model.facts.get("timezone", "UTC"), name="--as-of").newest
    if instant is None or instant >= pd.Timestamp(end):
        return []
    return [
        f"the model learned from records up to {end[:10]}, after {as_of[:10]}: these scores are no test of it. What it "
        "is worth on leads it never saw, train says."
    ]


def _said_aside(aside: Mapping[str, int], as_of: str, *, result: str) -> list[str]:
    """Say in words how many rows nobody scores, and why."""
    cutoff = as_of or "their cutoff"
    return [f"{aside[why]:,} {words.format(cutoff=cutoff)}: {result}" for why, words in ASIDE.items() if aside.get(why)]


def _print_notes(notes: Mapping[str, int], warnings: Sequence[str]) -> None:
    for name, n in notes.items():
        if n:
            print("  " + NOTES.get(name, name.replace("_", " ") + ": {:,}").format(n))
    for warning in warnings:
        print(f"  Warning: {warning}")


def _print_explanation(answer: dict[str, Any], why: str) -> None:
    print(f"Lead {answer['lead']}: {answer['band']}", end="")
    if answer["probability"] is not None:
        print(f", probability {answer['probability']:.1%}", end="")
    print(f" (by the {answer['scored_by']})" if answer["scored_by"] else f" ({answer['fallback_reason']})")
    if why:
        print(f"By the rules: {why}")
    if answer["reference_probability"] is None:
        print("\n".join(f"  {reason}" for reason in answer["reasons"]))
        return
    print(
        f"A typical nurture lead: {answer['reference_probability']:.1%}. "
        f"Who they are: {answer['fit_pp']:+.1f} points. What they did: {answer['behaviour_pp']:+.1f} points.\n"
    )
    strongest, rest = answer["contributions"][:MAX_SHOWN], answer["contributions"][MAX_SHOWN:]
    width = min(max(len(part["column"]) for part in strongest), 40)
    print(f"  {'':{width}} {'points':>8}  value")
    for part in strongest:
        value = f"{part['value']} (typical {part['typical']})"
        print(f"  {part['column'][:40]:{width}} {part['points']:>+8.2f}  {value}")
    if rest:
        points = sum(part["points"] for part in rest)
        print(f"  {f'{len(rest)} other columns':{width}} {points:>+8.2f}  all of them: --json")


@contextlib.contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[str, float], None]]:
    """Give a progress bar on a terminal, plain lines elsewhere, nothing where JSON is wanted."""
    if quiet:
        yield lambda _what, _share: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description:45}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("starting", total=1.0)
            yield lambda what, share: bar.update(task, description=what, completed=share)
    else:
        yield lambda what, share: print(f"  {share:4.0%} {what}", file=sys.stderr)


def _store(options: argparse.Namespace) -> Store:
    from propensity.registry import Store

    return Store(folder=_store_folder(options.config))


def _store_folder(config: str) -> Path:
    return Path(config).parent / "models"


def _relative(path: Path, folder: Path) -> str:
    """Give a path as the config at `folder` should name it."""
    import os

    return Path(os.path.relpath(path, folder)).as_posix()


def _config_hint(path: Path) -> str:
    return "" if path == Path(DEFAULT_CONFIG) else f" -c {path}"


def _number(value: Any) -> float | None:
    return None if value is None or value != value else float(value)  # noqa: PLR0124 - NaN differs from itself
