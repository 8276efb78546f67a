"""The only place for what a nightly run keeps beside its scores: bands held before, and people left out."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from propensity.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from propensity.cli.survey import Survey
    from propensity.hysteresis import Held
    from propensity.model import PropensityModel
    from propensity.storage.states import State


@dataclass(kw_only=True)
class Suppressed:
    """People who objected, and which of them were met among the leads.

    Parameters
    ----------
    listed : frozenset of str
        Their ids, as join keys.
    met : set of str
    """

    listed: frozenset[str] = frozenset()
    met: set[str] = field(default_factory=set)
    source: str = ""
    column: str = ""

    def are(self, ids: pd.Series, model: PropensityModel) -> np.ndarray:
        """Say which rows are of people who objected."""
        keys = _keys(ids, model)
        found = keys.isin(self.listed).to_numpy()
        self.met |= {*keys[found]}
        return found

    def said(self) -> tuple[dict[str, int], list[str]]:
        """Give counts and warnings, once all leads were seen."""
        if self.listed and not self.met:
            return {}, [
                f"none of the {len(self.listed):,} ids in {self.source} (--suppress) is among these leads: are they "
                f"ids as in the column {self.column[:40]!r}?"
            ]
        return {"listed_not_here": len(self.listed) - len(self.met)}, []


def read_suppressed(path: str | None, columns: Sequence[str], model: PropensityModel) -> Suppressed:
    """Read who objected; nobody where no list is named.

    Parameters
    ----------
    path : str or None
    columns : sequence of str
        Of the leads.
    model : PropensityModel
    """
    if path is None:
        return Suppressed()
    name = id_column(columns, model, option="--suppress")
    return Suppressed(listed=_listed(Path(path), name, model), source=Path(path).name, column=name)


def _listed(path: Path, name: str, model: PropensityModel) -> frozenset[str]:
    """Read ids: of the id column where the file has one, else of its only column, whose head may be an id too."""
    import pandas as pd

    from propensity.schema import normalise_name
    from propensity.storage.tables import read_lines, read_table

    lines = read_lines(path)
    if lines is not None:
        ids = pd.Series(lines, dtype=object)
    else:
        frame = read_table(path)
        found = [column for column in frame.columns if normalise_name(column) == normalise_name(name)]
        if not found:
            msg = (
                f"{path.name} (--suppress) has {frame.shape[1]} columns, none of them called {name[:40]!r} as "
                "ids are among the leads. Give that column, or a file of ids alone, one a line."
            )
            raise InputError(msg)
        ids = frame[found[0]]
    # The head of a list is one more line: what is called as the ids are is no one's id.
    listed = frozenset(key for key in _keys(ids, model).dropna() if normalise_name(key) != normalise_name(name))
    if not listed:
        msg = f"{path.name} (--suppress) holds no id. Give the ids of people who objected, or leave --suppress out."
        raise InputError(msg)
    return listed


def id_column(columns: Sequence[str], model: PropensityModel, *, option: str) -> str:
    """Give the leads' own name of the id column, which people are known by."""
    from propensity.schema import find_column

    if model.schema.id is None:
        msg = (
            f"{option} knows leads by their ids, and these have none. Name the id column (columns.id) and train again."
        )
        raise InputError(msg)
    return str(find_column(columns, model.schema.id, key="columns.id"))


def _keys(ids: pd.Series, model: PropensityModel) -> pd.Series:
    from propensity.asof import join_keys

    return join_keys(ids.reset_index(drop=True), missing=model.schema.missing)


@dataclass(kw_only=True)
class KeptBands:
    """The bands that leads are held in, from one run to the next; without a path, none is.

    Parameters
    ----------
    path : Path or None
        The state of ``--state``.
    said : list of str
        What a person should know of it.
    """

    path: Path | None = None
    said: list[str] = field(default_factory=list)
    model: PropensityModel | None = None
    column: str = ""
    key: bytes = b""
    state: State | None = None
    as_of: str = ""
    suppressed: frozenset[str] = frozenset()
    is_of_later: bool = False

    @property
    def key_digest(self) -> str:
        """What tells keys apart, and nothing of the key; empty without one."""
        import hashlib

        return hashlib.sha256(self.key).hexdigest() if self.key else ""

    def held(self, frame: pd.DataFrame) -> tuple[np.ndarray, Held] | None:
        """Give the codes of leads and what was known of them; None where no band is held."""
        import numpy as np

        from propensity.storage.states import code_of

        if self.state is None or self.model is None or self.is_of_later:
            return None
        codes = np.array([code_of(one, key=self.key) for one in _keys(frame[self.column], self.model)], dtype=object)
        return codes, self.state.held([*codes], as_of=self.as_of)

    def keep(self, parts: Sequence[Path]) -> None:
        """Write the state after a run, of which `part_of_state` kept the parts; a later run's stays."""
        from propensity.storage.states import code_of, write_state

        if self.path is None or self.state is None:
            return
        gone = [code_of(key, key=self.key) for key in self.suppressed]
        if self.is_of_later:  # it stays; who objected does not
            after = self.state.forgetting(gone)
            if after != self.state:
                write_state(self.path, after, key=self.key)
            return
        codes, held = _state_of(parts)
        write_state(self.path, self.state.after(codes, held, as_of=self.as_of, without=gone), key=self.key)


def part_of_state(codes: np.ndarray, held: Held) -> bytes:
    """Write what is known of some leads after a run: who they are only their codes say."""
    rows = zip(codes, held.band, held.below, strict=True)
    return "".join(f"{code},{band},{below}\n" for code, band, below in rows).encode()


def _state_of(parts: Sequence[Path]) -> tuple[list[str], Held]:
    import numpy as np

    from propensity.hysteresis import Held

    rows = [line.split(",") for part in parts for line in part.read_text(encoding="utf-8").splitlines()]
    band = np.array([row[1] for row in rows], dtype=object)
    return [row[0] for row in rows], Held(band=band, below=np.array([int(row[2]) for row in rows], dtype=int))


@contextlib.contextmanager
def kept_bands(
    options: argparse.Namespace,
    columns: Sequence[str],
    model: PropensityModel,
    *,
    survey: Survey,
    suppressed: frozenset[str],
) -> Iterator[KeptBands]:
    """Hold the state of ``--state`` while leads are scored; without one, nothing is held."""
    from propensity.storage.states import read_state, state_key
    from propensity.storage.writing import check_writable, holding

    if options.state is None:
        yield KeptBands()
        return
    path = Path(options.state)
    name = id_column(columns, model, option="--state")
    if options.cutoffs:
        msg = "--state is of one run as of one instant, and --cutoffs scores leads at many. Leave one of them out."
        raise InputError(msg)
    if len(survey.instants) > 1:
        msg = "--state is of one run as of one instant, and these rows have several cutoffs. Leave --state out."
        raise InputError(msg)
    at = survey.newest or survey.as_of
    if not at:
        msg = "--state needs to know as of when this run is, and the files hold no date. Name it: --as-of YYYY-MM-DD."
        raise InputError(msg)
    check_writable(path)
    with holding(path):
        key = state_key(path)
        state = read_state(path, key=key)
        is_of_later = state.base(at) is None
        said = f"{path.name} (--state) is of {state.as_of}, later than this run: no band is held, it stays as it is"
        yield KeptBands(
            path=path,
            said=[said] if is_of_later else [],
            model=model,
            column=name,
            key=key,
            state=state,
            as_of=at,
            suppressed=suppressed,
            is_of_later=is_of_later,
        )
