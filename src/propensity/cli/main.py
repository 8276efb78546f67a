"""The only place for the command line as a whole: its commands and its exit codes."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

from propensity import __version__
from propensity.cli.audit import add_audit
from propensity.cli.card import add_card
from propensity.cli.explain import add_explain
from propensity.cli.export import add_export
from propensity.cli.features import add_features
from propensity.cli.init import add_init
from propensity.cli.monitor import add_monitor
from propensity.cli.report import add_report
from propensity.cli.rules import add_rules
from propensity.cli.sample import add_sample
from propensity.cli.score import add_score
from propensity.cli.train import add_train
from propensity.errors import PropensityError

NOTHING = "nothing was written."
DESCRIPTION = """\
Learn from past leads which new ones will buy.

  propensity init leads.csv --target converted     look at a file, write propensity.toml
  propensity audit                                 which columns know the future, what else is wrong
  propensity train                                 learn, test, register the model
  propensity report -o report.html                 one page to look at, and to agree on the bands by
  propensity card                                  what the model is for, and what it cannot promise
  propensity score new_leads.csv -o scores.csv     probability, band and reasons for each lead
  propensity explain new_leads.csv --lead 4711     why one lead scores as it does
  propensity export scores.csv --to hubspot -o F   scores as a CRM imports them
  propensity monitor --scores F --outcomes F       did the promises hold?
  propensity rules audit                           how good the points sheet is, rule by rule
"""


class _Once(argparse.Action):
    """Store a value that is given once; argparse alone would drop the first of two files without a word."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: object, option: str | None = None
    ) -> None:
        given = namespace.__dict__.setdefault("given", set())
        if option is not None and self.dest in given:
            parser.error(f"argument {option}: given twice, takes one value")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


class _Parser(argparse.ArgumentParser):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.register("action", None, _Once)


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = _Parser(prog="propensity", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"propensity {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    add_init(commands)
    add_audit(commands)
    add_train(commands)
    add_report(commands)
    add_card(commands)
    add_score(commands)
    add_explain(commands)
    add_export(commands)
    add_monitor(commands)
    add_rules(commands)
    add_features(commands)
    add_sample(commands)
    return parser


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
        6 registry unavailable, 7 another run holds the output, 130 stopped by Ctrl-C, 143 by SIGTERM. A bug is let
        through as a traceback, exit code 1.
    """
    try:
        options = build_parser().parse_args(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        with _ending_cleanly():
            options.action(options)
    except PropensityError as error:
        print(f"propensity {options.command}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt as stop:
        print(f"propensity {options.command}: stopped; {stop.args[0] if stop.args else NOTHING}", file=sys.stderr)
        return 143 if isinstance(stop, _Terminated) else 130
    return 0


class _Terminated(KeyboardInterrupt):
    """Somebody asked the process to end, as a scheduler does."""


@contextlib.contextmanager
def _ending_cleanly() -> Iterator[None]:
    """End on SIGTERM as on Ctrl-C: what is half-done is tidied away."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():  # only there do signals arrive
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
