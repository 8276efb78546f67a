"""The only place for the command `rules`: judge the points sheet, fit it to history, take one in from a file."""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from propensity.cli.options import add_config, add_json
from propensity.cli.progress import progress
from propensity.cli.terminal import say
from propensity.errors import InputError

if TYPE_CHECKING:
    from propensity.config import Config
    from propensity.training.sheet import SheetAudit


def add_rules(commands: Any) -> None:
    """Describe `rules`."""
    rules = commands.add_parser(
        "rules",
        help="judge the points sheet, fit it to history, or take one in from a file",
        description="The points sheet that stands behind the model, and beside it.",
    )
    kinds = rules.add_subparsers(dest="kind", metavar="WHAT", required=True)
    audit = kinds.add_parser(
        "audit",
        help="how good the sheet is, tier by tier and rule by rule",
        description="Judge the points sheet: on the test leads that the model is judged on, how it ranks and what each "
        "tier held; on all leads whose outcome is known, which rules lift, which are dead (their lift cannot be told "
        "from none), redundant or point the wrong way. Nothing is written.",
    )
    add_config(audit)
    add_json(audit)
    audit.set_defaults(action=run_rules_audit)
    fit = kinds.add_parser(
        "fit",
        help="points as history speaks for them, written into the config for you to accept",
        description="Fit whole points to past leads, no rule turning its sign, and write them into the config; what "
        "was there stands in a comment beside each. Say how good they are on leads they never saw.",
    )
    fit.add_argument("-o", "--output", metavar="TOML", help="write to another file instead of the config")
    add_config(fit)
    fit.set_defaults(action=run_rules_fit)
    take_in = kinds.add_parser(
        "import",
        help="take a sheet of points in from a CSV file",
        description="Read signal, points and, where there are such columns, cap, decay, half_life, group, override. A "
        "signal is an event type, or a lead column with a condition: Industry = Software, Employees >= 50. It takes "
        "the place of a rule of the same name; the others stay, unless --replace.",
    )
    take_in.add_argument("sheet", metavar="SHEET", help="CSV or Parquet, one signal a line")
    take_in.add_argument("--replace", action="store_true", help="in place of the rules the config has")
    take_in.add_argument("-o", "--output", metavar="TOML", help="write to another file instead of the config")
    add_config(take_in)
    take_in.set_defaults(action=run_rules_import)


def run_rules_audit(options: argparse.Namespace) -> None:
    """Judge the sheet and say what was found."""
    from propensity.reporting import sheet_json, sheet_lines
    from propensity.storage.configs import load_config

    found = _audit(load_config(options.config), quiet=options.json)
    if options.json:
        print(json.dumps(sheet_json(found), allow_nan=False))
    else:
        say("\n".join(sheet_lines(found)))


def _audit(config: Config, *, quiet: bool) -> SheetAudit:
    from propensity.storage.configs import read_tables
    from propensity.training.sheet import audit_sheet

    tables = read_tables(config)
    with progress(quiet=quiet) as tell:
        return audit_sheet(tables, config, progress=tell)


def run_rules_fit(options: argparse.Namespace) -> None:
    """Write the proposed points into the config."""
    from propensity.config import parse_config
    from propensity.reporting import sheet_lines, text_with_points
    from propensity.storage.configs import load_config
    from propensity.storage.writing import check_writable, write_text
    from propensity.training.sheet import scaled_cap

    path = Path(options.config)
    output = Path(options.output or options.config)
    check_writable(output)
    config = load_config(options.config)
    found = _audit(config, quiet=False)
    changes: list[dict[str, float] | None] = []
    for rule in config.rules.points:
        new = found.proposed.get(rule.name)
        change: dict[str, float] | None = None if new is None else {"points": float(new)}
        cap = scaled_cap(rule, new) if new else None
        if change is not None and cap is not None:
            change["cap"] = cap
        changes.append(change)
    text = text_with_points(path.read_text(encoding="utf-8"), changes)
    parse_config(tomllib.loads(text), source=output.name)
    write_text(output, text)
    say("\n".join(sheet_lines(found)[:-2]))
    print(f"\nWritten: {output}. What was there stands beside each: look at it, then run: propensity train")


def run_rules_import(options: argparse.Namespace) -> None:
    """Read a sheet and write its rules into the config."""
    from propensity.config import parse_config
    from propensity.features import with_derived
    from propensity.features.frame import reading_plan
    from propensity.reporting import text_with_rules
    from propensity.roles import read_sheet
    from propensity.schema import canonical_text, find_column, normalise_name
    from propensity.storage.configs import load_config
    from propensity.storage.tables import read_table
    from propensity.storage.writing import check_writable, write_text

    path = Path(options.config)
    output = Path(options.output or options.config)
    check_writable(output)
    config = load_config(options.config)
    if config.data.leads is None:
        msg = "The signals of a sheet are looked up in the lead file, and the config names none (data.leads)."
        raise InputError(msg)
    own, log = config.data.leads, config.data.events
    leads = with_derived(read_table(Path(own.path), query=own.query).head(1), reading_plan(config))
    kinds: set[str] = {str(canonical_text(stage)) for stage in config.columns.stages}
    if log is not None:
        events = read_table(Path(log.path), query=log.query)
        column = find_column(events, config.columns.event.type, key="columns.event.type")
        kinds |= {text for text in map(canonical_text, events[column].unique()) if text}
    lines = read_sheet(
        read_table(Path(options.sheet)),
        columns=[str(name) for name in leads.columns],
        events=kinds,
        groups={*config.rules.groups},
        name=Path(options.sheet).name,
    )
    taken = {normalise_name(line["name"]) for line in lines}
    # A line of the sheet takes the place of the rule of its name: a guess of `init`, or what the sheet said last year.
    gone = {i for i, rule in enumerate(config.rules.points) if options.replace or normalise_name(rule.name) in taken}
    text = text_with_rules(path.read_text(encoding="utf-8"), lines, without=gone)
    parse_config(tomllib.loads(text), source=output.name)
    write_text(output, text)
    n_events = sum("event" in line for line in lines)
    kept = len(config.rules.points) - len(gone)
    print(f"{len(lines)} rules taken in, {n_events} of them on events, from {Path(options.sheet).name}.")
    print(f"{len(gone)} rules gave way to them; {kept} others stay{' (--replace leaves them out)' if kept else ''}.")
    print(f"Written: {output}. See how good they are: propensity rules audit")
