"""Write the reference of commands and of propensity.toml from the code that reads them.

Usage: python docs/generate.py [--check]

What a key means is said here, once; a key of the code that is not here, or one here that the code does not have, is an
error, and so is a page that is not what the code says (``--check``, which the tests run).
"""

from __future__ import annotations

import argparse
import os
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

FOLDER = Path(__file__).parent / "reference"
GENERATED = "<!-- Written by docs/generate.py from the code. -->\n"
KEYS = {
    "data.leads": "who the leads are: a file, or `{path, query}` (SQL of DuckDB over that file, called `source`)",
    "data.events": "what the leads did and when; makes the project one of tables",
    "data.outcomes": "who converted when",
    "data.cutoffs": "instants of your own to look at leads; without a lead file its ids are the leads",
    "data.field_history": "how fields of the lead table changed: a field is taken as it was",
    "data.timezone": "of stamps that name none",
    "data.extracted_at": "up to when the files know; default: their newest stamp",
    "data.missing": "words that mean nothing is known: under `*` for every column, a column's own are added",
    "columns.id": "the lead's id; without one, rows are known by their number",
    "columns.group": "the account: its leads stay on one side of every split",
    "columns.target": "the column that says who converted (flat files)",
    "columns.positive": "which of its words means converted",
    "columns.date": "when the lead came in",
    "columns.cutoff": "a column of the lead table that holds each row's own cutoff",
    "columns.converted_at": "a column of the lead table that holds when it converted",
    "columns.closed_lost_at": "when it was given up",
    "columns.stages": "dates of the lead table that are events: name of the event to column",
    "columns.ordered": "rows are in time order although there is no date",
    "columns.fit": "features: who a lead is",
    "columns.behaviour": "features: what a lead did, as the lead table counts it",
    "columns.ignore": "columns that are not used",
    "columns.count": "columns that are never negative",
    "columns.event.id": "whose an event is; default `lead_id`, or `group`",
    "columns.event.group": "the account an event is of, where it names no lead",
    "columns.event.occurred_at": "when it happened",
    "columns.event.type": "what it was",
    "columns.event.value": "a number it carries, such as an amount",
    "columns.event.recorded_at": "when it was written down: it counts only from then on",
    "columns.outcome.id": "whose a conversion is; default `lead_id`, or `group`",
    "columns.outcome.group": "the account a conversion is of",
    "columns.outcome.converted_at": "when it converted",
    "columns.cutoffs.id": "whose a cutoff is",
    "columns.cutoffs.cutoff": "the instant",
    "columns.field_history.id": "whose field it is",
    "columns.field_history.field": "which column of the lead table",
    "columns.field_history.value": "what it became",
    "columns.field_history.valid_from": "from when on",
    "columns.field_history.old_value": "what it was before",
    "availability": "column to `static` or `event` (used), `mutable` or `outcome` (set aside): overrules the audit",
    "labels.horizon_days": "a lead is a 1 iff it converts within so many days of the cutoff",
    "labels.ingest_lag_days": "how late records arrive: labels are known so much later",
    "labels.snapshot_every_days": "the calendar that leads are looked at on",
    "labels.max_snapshots_per_lead": "more of one lead say little more",
    "labels.repeat": "a lead can convert again (shops)",
    "labels.closed_lost_is_final": "a lead that was given up teaches at once that it did not convert",
    "features.windows_days": "over which spans events are counted",
    "features.half_life_days": "after which an event weighs half in `intensity`",
    "features.lookback_days": "further back nothing is counted",
    "features.families": "event types that are also counted together: name to types",
    "features.derive": "raw field to `range`, `title`, `email`, `country` or `presence`: what is made of it",
    "evaluation.origins": "how often the past is asked to predict what came next",
    "evaluation.fold_column": "a column that holds folds of your own",
    "evaluation.audit_groups": "columns whose groups card and report hold side by side; no feature comes of it",
    "learner.seed": "another seed, another model as good",
    "learner.max_trees": "a tree more is grown only where it helps on leads it did not see",
    "learner.max_depth": "how many questions a tree asks in a row",
    "learner.monotone": "column or event type to `increasing` or `decreasing`: no score goes against it",
    "agreement.policy": "`promise` (a certified rate), `capacity` (as many as sales can work) or `profit`",
    "agreement.sql_precision": "what SQLs must convert at; default: three times the base rate, at most 80 %",
    "agreement.mql_recall": "which share of conversions must be SQL or MQL before",
    "agreement.confidence": "how sure both promises together must be",
    "agreement.capacity_per_week": "leads that sales can work in a week",
    "agreement.leads_per_rep": "leads that one rep works in a week; for `next_rep` on the frontier",
    "agreement.value_per_win": "what a win brings",
    "agreement.value_column": "a column that holds what a win of each lead would bring",
    "agreement.cost_per_contact": "what a call costs, in the same money",
    "agreement.uncertified_top": "where no rate can be certified, this top share is SQL and marked so; 0: none",
    "agreement.sql.owner": "whose SQLs are",
    "agreement.sql.action": "what they do with them",
    "agreement.mql.owner": "whose MQLs are",
    "agreement.mql.action": "what they do with them",
    "agreement.hysteresis_logit": "how far below a threshold (log-odds) a lead must be twice to lose its band",
    "agreement.conversion": "what counts as a conversion, in words",
    "agreement.review_on": "when both sides look at it again; `score` says when that has passed",
    "rules.mql": "points from which on a lead is MQL, where no history maps points to probability",
    "rules.sql": "points from which on it is SQL",
    "rules.points_to_double_odds": "so many points double the odds",
    "rules.base_rate": "the base rate of sheets without history",
    "rules.points.name": "what people call the line",
    "rules.points.column": "the column it is about",
    "rules.points.event": "or the type of event, each of which gives its points",
    "rules.points.op": "how the cell is compared",
    "rules.points.value": "with what",
    "rules.points.points": "what it gives or takes",
    "rules.points.cap": "no more than this of one line",
    "rules.points.decay": "how points of an event grow old",
    "rules.points.half_life_days": "after which half is left",
    "rules.points.group": "one of `rules.groups`",
    "rules.points.override": "decides the band whatever a lead scores",
    "rules.groups.family": "`fit` or `behaviour`",
    "rules.groups.min": "no less than this of all its lines",
    "rules.groups.max": "no more",
    "registry.name": "of the registered model",
    "registry.max_age_days": "so long after its records end a model is asked; then the rules answer",
}


def keys() -> Iterator[tuple[str, str]]:
    """Give every key of propensity.toml with its default, in the order of the code."""
    from propensity.config import Config

    def walk(model: type[BaseModel], before: str) -> Iterator[tuple[str, str]]:
        for name, field in model.model_fields.items():
            inner = [
                kind
                for kind in (field.annotation, *typing.get_args(field.annotation))
                if isinstance(kind, type) and issubclass(kind, BaseModel) and kind.__name__ != "Source"
            ]
            if inner:
                yield from walk(inner[0], f"{before}{name}.")
            else:
                default = None if field.is_required() else field.get_default(call_default_factory=True)
                yield f"{before}{name}", _toml(default)

    yield from walk(Config, "")


def _toml(value: object) -> str:
    if value is None or value in ("", (), {}):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {_toml(one)}' for key, one in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(one) or '""' for one in value) + "]"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def config_page() -> str:
    """Write the page of propensity.toml.

    Raises
    ------
    SystemExit
        The code and this file do not name the same keys.
    """
    found = dict(keys())
    if {*found} != {*KEYS}:
        sys.exit(f"docs/generate.py: not in both: {', '.join(sorted({*found} ^ {*KEYS}))}")
    lines = [
        GENERATED,
        "# propensity.toml",
        "",
        "Unknown keys are refused. `propensity init` writes the file with a reason beside each line.",
    ]
    section = ""
    for name, default in found.items():
        top = name.split(".", maxsplit=1)[0]
        if top != section:
            section = top
            head = "| key | default | what it is |"
            lines += ["", f"## `[{section}]`", "", head, "|---|---|---|"]
        shown = f"`{default}`".replace("|", "\\|") if default else ""
        lines.append(f"| `{name.removeprefix(f'{section}.')}` | {shown} | {KEYS[name].replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Write the page of commands: what each says of itself."""
    from propensity.cli.main import build_parser

    os.environ["COLUMNS"] = "100"
    parser = build_parser()
    parser.prog = "propensity"
    lines = [GENERATED, "# Commands", "", "```text", parser.format_help().rstrip(), "```"]
    for name, command in _commands(parser):
        lines += ["", f"## `propensity {name}`", "", "```text", command.format_help().rstrip(), "```"]
    return "\n".join(lines) + "\n"


def _commands(parser: argparse.ArgumentParser, before: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:  # noqa: SLF001 - argparse has no other door to its commands
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for name, command in action.choices.items():
                yield f"{before}{name}", command
                yield from _commands(command, f"{before}{name} ")


def main() -> None:
    """Write both pages, or check that they are written."""
    pages = {"commands.md": commands_page(), "config.md": config_page()}
    for name, text in pages.items():
        path = FOLDER / name
        if "--check" in sys.argv and (not path.exists() or path.read_text(encoding="utf-8") != text):
            sys.exit(f"docs/reference/{name} is not what the code says: python docs/generate.py")
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
