"""The only place for the exceptions users can meet, each with the exit code the command line gives it.

A message says what was wrong, where, what was got, what is allowed and the next step.
It never holds a value of a lead: column names, counts and row numbers only.
"""

from __future__ import annotations

from typing import Any


class PropensityError(Exception):
    """Anything this package raises on purpose. Exit code 1 is left to bugs."""

    exit_code = 1

    def __reduce__(self) -> tuple[Any, ...]:
        """Come from another process as it is, whatever it was made with."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[PropensityError], words: tuple[Any, ...], more: dict[str, Any]) -> PropensityError:
    error = kind.__new__(kind, *words)
    error.__dict__.update(more)
    return error


class InputError(PropensityError):
    """Data that cannot be used as it is."""

    exit_code = 2


class ConfigError(InputError):
    """A setting that cannot be used as it is."""


class PromiseError(PropensityError):
    """The work is done, but a promise failed and ``--strict`` asked to be told."""

    exit_code = 3


class DegradedError(PropensityError):
    """Too many rows would be scored by the rules for reasons of the rows."""

    exit_code = 4


class OutputError(PropensityError):
    """The output cannot be written; what stood there before is intact."""

    exit_code = 5


class WorkerError(PropensityError):
    """A process that did a part of the work ended before its time, mostly for want of memory."""

    exit_code = 5


class RegistryError(PropensityError):
    """The model registry does not answer or does not hold what was asked for.

    Parameters
    ----------
    message : str
    fallback_reason : str
        What the score rows say: ``REGISTRY_UNAVAILABLE`` or ``TIMEOUT``.
    """

    exit_code = 6

    def __init__(self, message: str, *, fallback_reason: str = "REGISTRY_UNAVAILABLE") -> None:
        super().__init__(message)
        self.fallback_reason = fallback_reason


class LockedError(PropensityError):
    """Another run holds the output."""

    exit_code = 7


class BundleError(PropensityError):
    """A bundle that must not be used. Scoring catches this and lets the rules answer.

    Parameters
    ----------
    message : str
    fallback_reason : str
        What the score rows say: ``HASH_MISMATCH``, ``CANARY_FAILED`` or ``MODEL_MISSING``.
    """

    exit_code = 2

    def __init__(self, message: str, *, fallback_reason: str) -> None:
        super().__init__(message)
        self.fallback_reason = fallback_reason
