"""The only place that reads and writes which band each lead is held in, without saying who the leads are."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from propensity.errors import InputError
from propensity.hysteresis import Held
from propensity.schema import MQL, NURTURE, SQL
from propensity.storage.writing import check_writable, replacing, write_text

KEY_NAME = "PROPENSITY_STATE_KEY"
SCHEMA_VERSION = 1
_BANDS = {SQL, MQL, NURTURE}

Lead = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class State:
    """What runs up to now left behind.

    Parameters
    ----------
    as_of : str
        Of the newest run; empty before the first.
    now, before : mapping of lead code to (band, runs that spoke for leaving it)
        After the newest run, and before it: a run repeated starts where it had started.
    """

    as_of: str = ""
    now: Mapping[str, Lead]
    before: Mapping[str, Lead]

    def base(self, as_of: str) -> Mapping[str, Lead] | None:
        """Give what a run as of an instant starts from; None where a later run was there already."""
        if not self.as_of or instant(as_of) > instant(self.as_of):
            return self.now
        return self.before if instant(as_of) == instant(self.as_of) else None

    def held(self, codes: Sequence[str], *, as_of: str) -> Held:
        """Give the state of leads as a run as of an instant finds it; nothing where a later run was there already."""
        base = self.base(as_of) or {}
        found = [base.get(code, ("", 0)) for code in codes]
        return Held(
            band=np.array([band for band, _ in found], dtype=object),
            below=np.array([below for _, below in found], dtype=int),
        )

    def after(self, codes: Sequence[str], held: Held, *, as_of: str, without: Sequence[str] = ()) -> State:
        """Give the state after a run; leads it did not see stay as they are, and those of `without` are forgotten."""
        is_again = bool(self.as_of) and instant(as_of) == instant(self.as_of)
        seen = {c: (str(b), int(n)) for c, b, n in zip(codes, held.band, held.below, strict=True) if b and c}
        after = State(as_of=as_of, now={**self.now, **seen}, before=self.before if is_again else self.now)
        return after.forgetting(without)

    def forgetting(self, codes: Sequence[str]) -> State:
        """Give the state without what it knows of some leads."""
        gone = {*codes}
        now, before = ({c: lead for c, lead in one.items() if c not in gone} for one in (self.now, self.before))
        return State(as_of=self.as_of, now=now, before=before)


def instant(text: str) -> dt.datetime:
    """Read an instant as it is shown in scores; without a zone it is UTC."""
    at = dt.datetime.fromisoformat(text)
    return at.replace(tzinfo=dt.UTC) if at.tzinfo is None else at


def state_key(path: Path) -> bytes:
    """Give the secret that stands between ids and their codes: of the environment, else of the file beside the state.

    Made on first use, readable for its owner alone.

    Raises
    ------
    InputError
        The key is too short to keep a secret, or the state is there and its key is not.
    """
    named = os.environ.get(KEY_NAME, "")
    beside = path.with_name(f"{path.name}.key")
    if named:
        return _checked(named, KEY_NAME)
    if beside.exists():
        return _checked(_read_key(beside), beside.name)
    if path.exists():
        msg = (
            f"{path.name} (--state) was written with a key that is not here. Set {KEY_NAME}, bring {beside.name} back, "
            "or name another state to begin anew."
        )
        raise InputError(msg)
    check_writable(beside)
    with replacing(beside, mode=0o600) as temporary:
        temporary.write_text(secrets.token_hex(32) + "\n", encoding="utf-8")
    return _checked(_read_key(beside), beside.name)


def _read_key(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path.name}, the key of the state (--state), cannot be read as text. Bring it back, or begin anew."
        raise InputError(msg) from error


def _checked(key: str, name: str) -> bytes:
    if len(key) < 32:
        msg = f"{name} is too short for a key of the state (--state): give at least 32 characters."
        raise InputError(msg)
    return key.encode()


def code_of(lead_id: str | None, *, key: bytes) -> str:
    """Give the code of an id: HMAC-SHA256, from which nobody without the key finds the id; empty without an id."""
    return "" if lead_id is None else hmac.new(key, lead_id.encode(), hashlib.sha256).hexdigest()


def read_state(path: Path, *, key: bytes) -> State:
    """Read a state; one that is not there is that of a first run.

    Raises
    ------
    InputError
        It is none, or another key wrote it.
    """
    if not path.exists():
        return State(now={}, before={})
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        state, seal = _parsed(values), str(values["seal"])
    except (OSError, KeyError, TypeError, ValueError, IndexError, RecursionError, AttributeError) as error:
        msg = f"{path.name} (--state) is no state of this tool. Restore a copy, or name another to begin anew."
        raise InputError(msg) from error
    if not hmac.compare_digest(seal.encode(), _seal(values["as_of"], values["leads"], key).encode()):
        msg = (
            f"{path.name} (--state) was written with another key, or changed by hand. Set the {KEY_NAME} it was "
            f"written with, or bring its key file back ({path.name}.key); or name another state to begin anew."
        )
        raise InputError(msg)
    return state


def _parsed(values: Mapping[str, Any]) -> State:
    if values["schema_version"] != SCHEMA_VERSION:
        raise ValueError
    instant(values["as_of"])
    leads: dict[str, Any] = values["leads"]
    now = {code: _lead(lead[:2]) for code, lead in leads.items() if lead[0]}
    before = {code: _lead(lead[2:]) for code, lead in leads.items() if lead[2]}
    return State(as_of=values["as_of"], now=now, before=before)


def _lead(values: Sequence[Any]) -> Lead:
    band, below = values
    if band not in _BANDS or not isinstance(below, int) or below < 0:
        raise ValueError
    return band, below


def write_state(path: Path, state: State, *, key: bytes) -> None:
    """Write a state whole or not at all; the same bytes for the same state."""
    nothing: Lead = ("", 0)
    leads = {
        code: [*state.now.get(code, nothing), *state.before.get(code, nothing)]
        for code in sorted({*state.now, *state.before})
    }
    seal = _seal(state.as_of, leads, key)
    values = {"schema_version": SCHEMA_VERSION, "seal": seal, "as_of": state.as_of, "leads": leads}
    write_text(path, json.dumps(values, separators=(",", ":")) + "\n")


def _seal(as_of: str, leads: Mapping[str, Sequence[Any]], key: bytes) -> str:
    """Give what only who holds the key can write beside a state: HMAC-SHA256 of all it says."""
    said = json.dumps([as_of, leads], separators=(",", ":"))
    return hmac.new(key, f"propensity state {said}".encode(), hashlib.sha256).hexdigest()
