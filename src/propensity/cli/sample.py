"""The only place for the command `sample`: invented leads to try the tool on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from propensity.errors import OutputError
from propensity.storage.writing import make_folder


def add_sample(commands: Any) -> None:
    """Describe `sample`."""
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


def run_sample(options: argparse.Namespace) -> None:
    """Write the invented files."""
    from propensity.storage.writing import check_writable, write_text
    from propensity.synthetic import invent_crm, invent_leads

    folder = Path(options.folder)
    make_folder(folder)
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
