"""The only place for the command `features`: the rows a model trained with events scores."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from propensity.cli.models import find_model
from propensity.cli.options import add_config, add_model, add_tables, optional_config
from propensity.cli.rows import check_inputs_kept, print_notes, rows_to_score, said_aside
from propensity.errors import InputError


def add_features(commands: Any) -> None:
    """Describe `features`."""
    features = commands.add_parser(
        "features",
        help="the feature rows of leads, as the registered model takes them",
        description="Make the rows a model trained with events scores: each lead as known at an instant, and what it "
        "had done by then. Nothing at or after that instant counts.",
    )
    features.add_argument("leads", metavar="LEADS", nargs="?", help="CSV or Parquet; default: the config's leads")
    features.add_argument("-o", "--output", metavar="OUT", required=True, help="feature rows as .parquet")
    add_config(features)
    add_model(features)
    add_tables(features)
    features.set_defaults(action=run_features)


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
        config = optional_config(options)
        check_inputs_kept(output, options, config)
        found = find_model(options, config)
        model = found.model
        if found.rules_reason:
            msg = f"Only a model knows its features. {found.why}"
            raise InputError(msg)
        rows, as_of = rows_to_score(options, config, model)
        # Only what the model and its sheet read: no other field of a lead belongs into a second file.
        wanted = {normalise_name(name) for name in (*expected_columns(model), model.schema.id, model.schema.cutoff)}
        frame = rows.frame[[name for name in rows.frame.columns if normalise_name(name) in wanted]]
        write_rows(frame, output)
    print(f"{len(frame):,} rows of {len(model.schema.names)} features{f', as of {as_of}' if as_of else ''}")
    if rows.aside is not None:
        for said in said_aside(Counter(rows.aside), as_of, result="their rows are empty"):
            print(f"  {said}")
    print_notes(rows.notes, rows.warnings)
    print(f"Written: {output}")
