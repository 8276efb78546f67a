"""The only place for the command `card`: what a model is for, what it was made of, and what it cannot promise."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from propensity.cli.models import find_model
from propensity.cli.options import add_config, add_model, optional_config
from propensity.errors import InputError


def add_card(commands: Any) -> None:
    """Describe `card`."""
    card = commands.add_parser(
        "card",
        help="what a model is for, made of, and cannot promise",
        description="Write the model card of a model: intended use and what it is not for, the data and features it "
        "learned from, what was left out and why, figures with intervals, promises, limits. Without -o it is printed.",
    )
    card.add_argument("-o", "--output", metavar="OUT", help="the card, .md or .html")
    add_config(card)
    add_model(card)
    card.set_defaults(action=run_card)


def run_card(options: argparse.Namespace) -> None:
    """Print the card, or write it."""
    from propensity.reporting import card_page, whole_card
    from propensity.storage.writing import check_writable, write_text

    output = Path(options.output) if options.output else None
    if output is not None:
        check_writable(output)
        if output.suffix.lower() not in {".md", ".html", ".htm"}:
            msg = f"A card is Markdown or a page, got {output.name[-40:]!r}. Name a file that ends in .md or .html."
            raise InputError(msg)
    found = find_model(options, optional_config(options))
    if not found.model.card:
        msg = f"There is no model to tell of, only the points sheet. {found.why} Train one: propensity train."
        raise InputError(msg)
    card = whole_card(found.model)
    if output is None:
        print(card)
        return
    write_text(output, card if output.suffix.lower() == ".md" else card_page(card, found.model.version))
    if found.why:
        print(f"Note: {found.why}")
    print(f"Written: {output}")
