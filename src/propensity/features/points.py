"""The only place where events become what the points sheet counts: how many, each worth less the older it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from propensity.asof import DAY, Events
from propensity.features.plan import Signal

# Pairs of a row and an event of its lead looked at together. Bounds memory.
CHUNK_EVENTS = 1_000_000


def decayed(age_days: np.ndarray, decay: str, half_life_days: float) -> np.ndarray:
    """Give what is left of an event's worth; one half after the half-life, whatever the decay.

    Parameters
    ----------
    age_days : array of float, shape (n_events,)
        Above 0.
    decay : {"none", "linear", "step", "exponential"}
        Linear is used up after two half-lives; step halves each time one is over.
    half_life_days : float
        Unused without a decay.

    Returns
    -------
    array of float in [0, 1], shape (n_events,)

    Examples
    --------
    >>> ages = np.array([15.0, 30.0, 45.0, 60.0])
    >>> decayed(ages, "linear", 30.0).tolist(), decayed(ages, "step", 30.0).tolist()
    ([0.75, 0.5, 0.25, 0.0], [1.0, 0.5, 0.5, 0.25])
    >>> decayed(ages[[1, 3]], "exponential", 30.0).tolist()
    [0.5, 0.25]
    """
    if decay == "none":
        return np.ones(len(age_days))
    if decay == "linear":
        return np.maximum(0.0, 1 - age_days / (2 * half_life_days))
    halvings = age_days / half_life_days
    return np.asarray(np.exp2(-np.floor(halvings) if decay == "step" else -halvings))


def signal_features(
    events: Events,
    signals: Sequence[Signal],
    *,
    lookback_days: int,
    key: np.ndarray,
    cutoff: np.ndarray,
    chunk_events: int = CHUNK_EVENTS,
) -> pd.DataFrame:
    """Add up what is left of the events of each (lead, cutoff) row.

    An event counts iff it was known before the cutoff and happened within the lookback. Events are added up newest
    first, so that no order of records and no size of chunk changes a bit.

    Parameters
    ----------
    events : Events
    signals : sequence of Signal
    lookback_days : int
    key : array of int, shape (n_rows,)
        Whose events each row looks at.
    cutoff : array of int64, shape (n_rows,)
    chunk_events : int

    Returns
    -------
    DataFrame of float, shape (n_rows, n_signals)
        Columns `Signal.column`; 0 where there is no such event.

    Examples
    --------
    >>> log = Events(key=np.array([0, 0]), occurred_at=np.array([0, 30 * DAY]), known_at=np.array([0, 30 * DAY]),
    ...              kind=np.array([0, 0]), value=None, types=("demo",), notes={})
    >>> halves = Signal(type="demo", decay="exponential", half_life_days=30.0)
    >>> at = np.array([60 * DAY])
    >>> signal_features(log, [halves], lookback_days=365, key=np.array([0]), cutoff=at).to_dict("list")
    {'demo events, exponential 30d': [0.75]}
    """
    found = {signal.column: np.zeros(len(key)) for signal in signals}
    for name in sorted({signal.type for signal in signals}):
        mine = np.flatnonzero(np.isin(events.kind, [i for i, kind in enumerate(events.types) if kind == name]))
        order = mine[np.lexsort((-events.occurred_at[mine], events.key[mine]))]
        owner = events.key[order]
        first, last = np.searchsorted(owner, key, "left"), np.searchsorted(owner, key, "right")
        asked = [signal for signal in signals if signal.type == name]
        edges = np.flatnonzero(np.diff(np.cumsum(last - first) // chunk_events, append=-1)) + 1
        start = 0
        for end in edges.tolist():
            rows = slice(start, end)
            age, row = _ages(events, order, (first[rows], last[rows]), cutoff[rows], lookback_days)
            starts = np.flatnonzero(np.diff(row, prepend=-1))
            for signal in asked:
                left = decayed(age, signal.decay, signal.half_life_days)
                if len(left):
                    found[signal.column][start + row[starts]] = np.add.reduceat(left, starts)
            start = end
    return pd.DataFrame(found, index=pd.RangeIndex(len(key)))


def _ages(
    events: Events, order: np.ndarray, ends: tuple[np.ndarray, np.ndarray], cutoff: np.ndarray, lookback_days: int
) -> tuple[np.ndarray, np.ndarray]:
    """Give the age in days of each event that counts, and whose row it is."""
    first, last = ends
    n_each = last - first
    row = np.repeat(np.arange(len(cutoff)), n_each)
    event = order[np.arange(n_each.sum()) + np.repeat(first - (np.cumsum(n_each) - n_each), n_each)]
    age = cutoff[row] - events.occurred_at[event]
    counts = (events.known_at[event] < cutoff[row]) & (age <= lookback_days * DAY)
    return age[counts] / DAY, row[counts]
