"""The only place for the command `export`: scores as a CRM imports them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from propensity.errors import InputError

NAMES = {"hubspot": "HubSpot", "salesforce": "Salesforce"}


def add_export(commands: Any) -> None:
    """Describe `export`."""
    export = commands.add_parser(
        "export",
        help="scores as HubSpot or Salesforce import them",
        description="Turn a score file into one that a CRM imports: HubSpot's contact import, or Salesforce's Data "
        "Loader (update or upsert of leads). Nothing is sent.",
    )
    export.add_argument("scores", metavar="SCORES", help="CSV or Parquet that `propensity score` wrote")
    export.add_argument("--to", choices=("hubspot", "salesforce"), required=True, help="whose import")
    export.add_argument("-o", "--output", metavar="OUT", required=True, help="file to import, .csv")
    export.add_argument("--reasons", type=int, default=3, metavar="N", help="reasons that go along (default 3)")
    export.add_argument(
        "--external-id",
        metavar="FIELD",
        default="",
        help="the field that holds these ids, where they are none of the CRM's",
    )
    export.set_defaults(action=run_export)


def run_export(options: argparse.Namespace) -> None:
    """Read scores, write the file, say which fields must exist."""
    from propensity.storage.tables import read_table
    from propensity.storage.writeback import make_export, write_export
    from propensity.storage.writing import check_writable, holding

    output = Path(options.output)
    check_writable(output)
    if output.suffix.lower() != ".csv":
        msg = f"CRMs import CSV, got {output.name[-40:]!r}. Name a file that ends in .csv."
        raise InputError(msg)
    if output.exists() and Path(options.scores).exists() and output.samefile(options.scores):
        msg = f"{output.name} is the file that is read and would be lost. Name another output with -o."
        raise InputError(msg)
    if options.reasons < 0:
        msg = f"--reasons must be 0 or more, got {options.reasons}."
        raise InputError(msg)
    with holding(output):
        exported = make_export(
            read_table(Path(options.scores)),
            to=options.to,
            external_id=options.external_id,
            n_reasons=options.reasons,
        )
        write_export(exported, output)
    head, *fields = exported.frame.columns
    print(f"{len(exported.frame):,} leads for {NAMES[options.to]}, found there by {head}.")
    for n, why in ((exported.n_unscored, "nobody scored them"), (exported.n_older, "a newer row of the lead is there")):
        if n:
            print(f"  {n:,} rows left out: {why}")
    what = "properties of contacts" if options.to == "hubspot" else "fields of leads"
    print(f"These {what} must exist first: {', '.join(fields)}")
    print(f"Written: {output}")
