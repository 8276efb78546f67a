"""The only place for what a nightly run keeps beside its scores: bands held before, and people left out."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from propensity.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from propensity.features import ScoringRows
    from propensity.hysteresis import Held
    from propensity.model import PropensityModel
    from propensity.scoring import Scores
    from propensity.storage.states import State


def without_suppressed(
    rows: ScoringRows, path: str | None, model: PropensityModel
) -> tuple[ScoringRows, frozenset[str]]:
    """Leave the people out who objected; give the rest, and all ids of the file."""
    if path is None:
        return rows, frozenset()
    name = _id_column(rows.frame, model, option="--suppress")
    listed = _listed(Path(path), name, model)
    keys = _keys(rows.frame[name], model)
    stays = ~keys.isin(listed).to_numpy()
    notes = {**rows.notes, "suppressed": int((~stays).sum())}
    n_found = int(keys[~stays].nunique())
    warnings = rows.warnings
    if not n_found:
        said = (
            f"none of the {len(listed):,} ids in {Path(path).name} (--suppress) is among these leads: are they ids as "
            f"in the column {name[:40]!r}?"
        )
        warnings = (*warnings, said)
    elif n_found < len(listed):
        notes["listed_not_here"] = len(listed) - n_found
    return replace(
        rows,
        warnings=warnings,
        frame=rows.frame[stays].reset_index(drop=True),
        aside=None if rows.aside is None else rows.aside[stays],
        asked=None if rows.asked is None else rows.asked[stays].reset_index(drop=True),
        notes=notes,
    ), listed


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


def _id_column(frame: pd.DataFrame, model: PropensityModel, *, option: str) -> str:
    """Give the frame's own name of the id column, which people are known by."""
    from propensity.schema import find_column

    if model.schema.id is None:
        msg = (
            f"{option} knows leads by their ids, and these have none. Name the id column (columns.id) and train again."
        )
        raise InputError(msg)
    return str(find_column(frame, model.schema.id, key="columns.id"))


def _keys(ids: pd.Series, model: PropensityModel) -> pd.Series:
    from propensity.asof import join_keys

    return join_keys(ids.reset_index(drop=True), missing=model.schema.missing)


@dataclass(kw_only=True)
class KeptBands:
    """The bands that leads are held in, from one run to the next.

    Parameters
    ----------
    held : Held or None, shape (n_leads,)
        What was known before; None where no state is kept.
    said : list of str
        What a person should know of it.
    """

    held: Held | None = None
    said: list[str] = field(default_factory=list)
    path: Path | None = None
    key: bytes = b""
    state: State | None = None
    codes: np.ndarray | None = None
    as_of: str = ""
    suppressed: frozenset[str] = frozenset()

    def keep(self, scores: Scores) -> None:
        """Write the state after these scores; nothing where a later run was there already."""
        from propensity.storage.states import code_of, write_state

        if self.path is None or self.state is None:
            return
        gone = [code_of(key, key=self.key) for key in self.suppressed]
        if self.codes is None or scores.held is None:  # of a later run, which stays; who objected does not
            after = self.state.forgetting(gone)
            if after != self.state:
                write_state(self.path, after, key=self.key)
            return
        after = self.state.after([*self.codes[scores.position]], scores.held, as_of=self.as_of, without=gone)
        write_state(self.path, after, key=self.key)


@contextlib.contextmanager
def kept_bands(
    options: argparse.Namespace,
    rows: ScoringRows,
    as_of: str,
    model: PropensityModel,
    *,
    suppressed: frozenset[str],
) -> Iterator[KeptBands]:
    """Hold the state of ``--state`` while leads are scored; without one, nothing is held."""
    import numpy as np

    from propensity.storage.states import code_of, read_state, state_key
    from propensity.storage.writing import check_writable, holding

    if options.state is None:
        yield KeptBands()
        return
    path = Path(options.state)
    name = _id_column(rows.frame, model, option="--state")
    if options.cutoffs:
        msg = "--state is of one run as of one instant, and --cutoffs scores leads at many. Leave one of them out."
        raise InputError(msg)
    at = _one_instant(rows, model) or as_of
    if not at:
        msg = "--state needs to know as of when this run is, and the files hold no date. Name it: --as-of YYYY-MM-DD."
        raise InputError(msg)
    check_writable(path)
    with holding(path):
        key = state_key(path)
        state = read_state(path, key=key)
        keys = _keys(rows.frame[name], model)
        codes = np.array([code_of(one, key=key) for one in keys], dtype=object)
        if state.base(at) is None:
            said = f"{path.name} (--state) is of {state.as_of}, later than this run: no band is held, it stays as it is"
            yield KeptBands(held=None, said=[said], path=path, key=key, state=state, suppressed=suppressed)
            return
        held: Held = state.held([*codes], as_of=at)
        yield KeptBands(held=held, path=path, key=key, state=state, codes=codes, as_of=at, suppressed=suppressed)


def _one_instant(rows: ScoringRows, model: PropensityModel) -> str:
    """Give the instant that all feature rows are as of; empty where rows have none of their own."""
    import pandas as pd

    from propensity.schema import normalise_name

    named = normalise_name(model.schema.cutoff) if model.schema.cutoff else None
    found = [column for column in rows.frame.columns if normalise_name(column) == named]
    stamps = [*pd.to_datetime(rows.frame[found[0]], utc=True).dropna().unique()] if found else []
    if len(stamps) > 1:
        msg = "--state is of one run as of one instant, and these rows have several cutoffs. Leave --state out."
        raise InputError(msg)
    return stamps[0].isoformat() if stamps else ""
