"""The only place for the command `audit`: judge the columns of the training data."""

from __future__ import annotations

import argparse
import json
from typing import Any

from propensity.cli.options import add_config, add_json
from propensity.cli.terminal import say


def add_audit(commands: Any) -> None:
    """Describe `audit`."""
    audit = commands.add_parser(
        "audit",
        help="which columns know the future, and what else is wrong with the file",
        description="Judge every column of the training data: was it known before the outcome? What gives that reason "
        "to doubt, with the evidence and what leaving it out costs; then duplicates, spellings, test records and gaps. "
        "Training does the same and leaves such columns out. Nothing is written.",
    )
    add_config(audit)
    add_json(audit)
    audit.set_defaults(action=run_audit)


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
        say("\n".join(audit_lines(found)))
