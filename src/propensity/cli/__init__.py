"""The only place that speaks to a person at a terminal: a module a command."""

from propensity.cli.main import run

__all__ = ["run"]
