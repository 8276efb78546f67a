"""The only place for the options that commands share, and how what a person typed is read."""

from __future__ import annotations

import argparse
import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

from propensity.errors import InputError

if TYPE_CHECKING:
    from propensity.config import Config

DEFAULT_CONFIG = "propensity.toml"


def add_tables(parser: argparse.ArgumentParser, *, cutoffs: bool = True) -> None:
    """Add the options that name tables and the instant."""
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


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the config."""
    parser.add_argument("-c", "--config", metavar="TOML", default=DEFAULT_CONFIG, help="default: propensity.toml")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the model."""
    parser.add_argument("--model", metavar="URI", help="a bundle folder or models:/name@alias; default: the champion")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option for one JSON object."""
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object, and nothing else, on standard output"
    )


def optional_config(options: argparse.Namespace) -> Config | None:
    """Read the config; it may be absent where the model is named and brings all it needs."""
    from propensity.storage.configs import load_config

    if options.model and options.config == DEFAULT_CONFIG and not Path(DEFAULT_CONFIG).exists():
        return None
    return load_config(options.config)


def read_as_of(text: str) -> str:
    """Give the instant a person named, as they wrote it, once it reads as one."""
    try:
        if text:
            dt.datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"--as-of must be a date or a time (YYYY-MM-DD or YYYY-MM-DDThh:mmZ), got {text[:40]!r}."
        raise InputError(msg) from error
    return text


def config_hint(path: Path) -> str:
    """Give the option that names a config that is not the default one."""
    return "" if path == Path(DEFAULT_CONFIG) else f" -c {path}"
