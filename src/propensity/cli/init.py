"""The only place for the command `init`: look at files, guess what they hold, write the config."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from propensity.cli.options import DEFAULT_CONFIG, config_hint
from propensity.errors import InputError, OutputError

if TYPE_CHECKING:
    import pandas as pd

    from propensity.roles import Project

# More columns than these are only counted.
MAX_SHOWN = 15


def add_init(commands: Any) -> None:
    """Describe `init`."""
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
    hint = config_hint(output)
    can_learn = project.horizon is not None or project.base_rate is not None
    then = f"propensity audit{hint}, then: propensity train{hint}" if can_learn else f"propensity score{hint} -o FILE"
    print(f"\nWritten: {output}. Correct what is wrong, then run: {then}")


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


def _relative(path: Path, folder: Path) -> str:
    """Give a path as the config at `folder` should name it."""
    import os

    return Path(os.path.relpath(path, folder)).as_posix()
