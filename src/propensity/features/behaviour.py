"""The only place where events become features of what a lead did before a cutoff.

Events are put in order of lead and event type once. Then, a few rows at a time, each (lead, cutoff) row looks at the
events of its lead, which are neighbours, and runs of one type are reduced to numbers. Everything that is added up
within a type is whole numbers, so that no order of records or size of chunk changes a bit: decays are kept in units of
2^-60 and values in millionths, each in two halves that 64 bits hold. What types add up to (families, any event) is
summed in one fixed order, row by row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from propensity.asof import DAY, NEVER, Events
from propensity.features.plan import DAYS_SINCE_CREATED, FIRST_EVENT, FeaturePlan

# Events looked at together: few enough for the caches of a processor, many enough to make numpy's calls cheap.
CHUNK_EVENTS = 100_000
# Observed for less than this, a rate is taken over so many days: one event on the first day is no habit.
MIN_EXPOSURE_DAYS = 30
# Halves of whole numbers too large for 64 bits: the low one has so many bits.
_LOW_BITS = 32


def behaviour_features(
    events: Events,
    plan: FeaturePlan,
    *,
    key: np.ndarray,
    cutoff: np.ndarray,
    created_at: np.ndarray,
    chunk_events: int = CHUNK_EVENTS,
) -> pd.DataFrame:
    """Compute the behaviour features of (lead, cutoff) rows.

    An event counts iff it was known before the cutoff and happened within the lookback. For each event type, family
    and all events together:

    * ``count Nd``: events in ``[cutoff - N days, cutoff)``;
    * ``rate``: events in the lookback a 30 days observed (since creation or the first event; at least 30 days);
    * ``active days Nd``: how many of the N days before the cutoff, counted back from it, hold an event;
    * ``days since``: since the newest event; missing where there is none;
    * ``intensity``: sum of ``2 ** (-age / half-life)``;
    * ``trend Nd``: ``log(1 + count) - log(1 + count in the N days before those)``;
    * ``value Nd``: sum of values, where events have them.

    Parameters
    ----------
    events : Events
    plan : FeaturePlan
    key : array of int, shape (n_rows,)
        Whose events each row looks at.
    cutoff : array of int64, shape (n_rows,)
    created_at : array of int64, shape (n_rows,)
        NEVER where unknown.
    chunk_events : int
        Pairs of a row and an event of its lead looked at together (a row's own are never split). Bounds memory.

    Returns
    -------
    DataFrame, shape (n_rows, n_features)
        Columns `plan.behaviour_names`; numbers are float, ``first event`` is text or None.

    Examples
    --------
    >>> log = Events(key=np.array([0, 0]), occurred_at=np.array([0, 5 * DAY]), known_at=np.array([0, 5 * DAY]),
    ...              kind=np.array([0, 0]), value=None, types=("visit",), notes={})
    >>> plan = FeaturePlan(has_events=True, types=("visit",), windows_days=(7, 30), half_life_days=1.0)
    >>> row = behaviour_features(log, plan, key=np.array([0]), cutoff=np.array([8 * DAY]), created_at=np.array([0]))
    >>> row[["visit count 7d", "visit count 30d", "visit days since", "visit intensity"]].iloc[0].to_list()
    [1.0, 2.0, 3.0, 0.12890625]
    """
    log = _in_order(events, plan)
    first, last = log.range_of(key)
    names = list(plan.behaviour_names)[2:]
    # One block of memory from the start: a frame made of 170 columns would hold everything twice for a while.
    block = np.empty((1 + len(names), len(key)))
    first_place = np.empty(len(key), dtype=np.int16)
    for rows in _chunks(last - first + log.n_places, chunk_events):
        table, words = _aggregate(log, plan, first=first[rows], last=last[rows], cutoff=cutoff[rows])
        there, created = block[:, rows], created_at[rows]
        first_place[rows] = _fill(there, table, words, plan, cutoff=cutoff[rows], created_at=created)
    frame = pd.DataFrame(block.T, columns=[DAYS_SINCE_CREATED, *names], copy=False)
    types = np.array([*plan.types, "another", None], dtype=object)
    frame.insert(0, FIRST_EVENT, pd.Series(types[first_place], dtype=object))
    return frame


@dataclass(frozen=True, kw_only=True)
class _Log:
    """Events in order of key and place (of their type in the plan; all other types share the last one)."""

    group: np.ndarray  # key * n_places + place, growing
    occurred_at: np.ndarray
    known_at: np.ndarray
    value: np.ndarray | None
    n_places: int

    def range_of(self, key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give where the events of each key begin and end."""
        asked = key.astype(np.int64) * self.n_places
        return np.searchsorted(self.group, asked), np.searchsorted(self.group, asked + self.n_places)


def _in_order(events: Events, plan: FeaturePlan) -> _Log:
    places = {name: i for i, name in enumerate(plan.types)}
    n_places = len(places) + 1
    place = np.array([places.get(name, len(places)) for name in events.types], dtype=np.int64)
    # Plain numbers sort many times faster than positions by them: each carries its position in its low bits.
    bits = len(events).bit_length()
    packed = events.key.astype(np.int64)
    packed *= n_places
    packed += place[events.kind]
    packed <<= bits
    packed |= np.arange(len(events))
    packed.sort()
    order = packed & ((1 << bits) - 1)
    packed >>= bits
    occurred = events.occurred_at[order]
    return _Log(
        group=packed,
        occurred_at=occurred,
        known_at=occurred if events.known_at is events.occurred_at else events.known_at[order],
        value=events.value[order] if plan.valued and events.value is not None else None,
        n_places=n_places,
    )


def _chunks(cost: np.ndarray, most: int) -> Iterator[slice]:
    """Give runs of rows that cost about as much."""
    ends = np.flatnonzero(np.diff(np.cumsum(cost) // most, append=-1)) + 1
    start = 0
    for end in ends.tolist():
        yield slice(start, end)
        start = end


@dataclass(frozen=True, kw_only=True)
class _Runs:
    """Neighbours that belong to one row and place, and how each such run becomes one number of a table."""

    starts: np.ndarray
    cells: np.ndarray
    shape: tuple[int, int]
    n_events: int

    def spread(self, found: np.ndarray, empty: float = 0) -> np.ndarray:
        """Give a table of shape (n_places, n_rows) of one number a run."""
        table: np.ndarray = np.full(self.shape[0] * self.shape[1], empty, dtype=found.dtype)
        table[self.cells] = found
        return table.reshape(self.shape)

    def reduced(self, ufunc: np.ufunc, values: np.ndarray, empty: float = 0) -> np.ndarray:
        """Reduce each run by minimum, maximum or the like."""
        return self.spread(ufunc.reduceat(values, self.starts) if len(values) else values, empty)

    def added(self, whole: np.ndarray) -> np.ndarray:
        """Add up whole numbers: the difference of running totals, right even where those overflow."""
        total = np.zeros(self.n_events + 1, dtype=np.int64)
        np.cumsum(whole, out=total[1:])
        return self.spread(np.diff(total[np.append(self.starts, self.n_events)]))

    def added_large(self, whole: np.ndarray) -> np.ndarray:
        """Add up floats that are whole numbers, exactly; the sum is rounded to a float once."""
        high = np.floor(whole * 2.0**-_LOW_BITS)
        low = whole - high * 2.0**_LOW_BITS
        high_sum, low_sum = self.added(high.astype(np.int64)), self.added(low.astype(np.int64))
        high_sum += low_sum >> _LOW_BITS
        rounded: np.ndarray = high_sum * 2.0**_LOW_BITS + (low_sum & (2**_LOW_BITS - 1))
        return rounded


def _aggregate(
    log: _Log, plan: FeaturePlan, *, first: np.ndarray, last: np.ndarray, cutoff: np.ndarray
) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """Aggregate events by place and row: named measures, and the days with an event, 64 a word."""
    n_rows, n_each = len(cutoff), last - first
    event = np.arange(n_each.sum()) + np.repeat(first - (np.cumsum(n_each) - n_each), n_each)
    age = np.repeat(cutoff, n_each)
    counts = log.known_at[event] < age
    age -= log.occurred_at[event]
    counts &= age <= plan.lookback_days * DAY
    seen = np.flatnonzero(counts)
    event, age = event[seen], age[seen]
    row = np.repeat(np.arange(n_rows), n_each)[seen]
    cell = log.group[event] % log.n_places * n_rows + row
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    runs = _Runs(starts=starts, cells=cell[starts], shape=(log.n_places, n_rows), n_events=len(cell))
    within = {days: runs.added(age <= days * DAY) for days in {*plan.windows_days, plan.trend_days * 2}}
    table = {f"count_{days}": within[days] for days in plan.windows_days} | {
        "count": runs.added(np.ones(len(age), dtype=bool)),
        "trend": within[plan.trend_days],
        "trend_before": within[2 * plan.trend_days] - within[plan.trend_days],
        "intensity": runs.added_large(np.rint(np.exp2(age / (-plan.half_life_days * DAY)) * 2.0**60)) / 2.0**60,
        "newest": runs.reduced(np.minimum, age, NEVER),
        "oldest": runs.reduced(np.maximum, age, -1),
    }
    if plan.valued:
        value = np.zeros(len(age)) if log.value is None else np.nan_to_num(log.value[event])
        millionths = np.rint(value * 1e6)
        for days in plan.windows_days:
            table[f"value_{days}"] = runs.added_large(np.where(age <= days * DAY, millionths, 0.0)) / 1e6
    day = (age - 1) // DAY
    bit = np.left_shift(np.uint64(1), (day & 63).astype(np.uint64))
    words = [(day >= i) & (day < min(i + 64, plan.windows_days[-1])) for i in range(0, plan.windows_days[-1], 64)]
    return table, [runs.reduced(np.bitwise_or, np.where(is_here, bit, np.uint64(0))) for is_here in words]


def _fill(
    block: np.ndarray,
    table: dict[str, np.ndarray],
    words: list[np.ndarray],
    plan: FeaturePlan,
    *,
    cutoff: np.ndarray,
    created_at: np.ndarray,
) -> np.ndarray:
    """Write the features of some rows, one row of `block` each; give the place of each one's first event, -1: none."""
    newest, oldest = table["newest"], table["oldest"]
    place = {name: i for i, name in enumerate(plan.types)}
    is_unknown = created_at == NEVER
    observed = np.maximum(np.where(is_unknown, -1, cutoff - np.where(is_unknown, 0, created_at)), oldest.max(axis=0))
    exposure = np.clip(observed / DAY, MIN_EXPOSURE_DAYS, plan.lookback_days)
    block[0] = np.where(observed < 0, np.nan, observed / DAY)
    features = iter(block[1:])
    for _, types, has_value in plan.slots:
        inside = [*range(len(newest))] if types is None else [place[name] for name in types if name in place]
        total = {name: _added(table[name], inside) for name in ("count", "trend", "trend_before", "intensity")}
        for days in plan.windows_days:
            next(features)[:] = _added(table[f"count_{days}"], inside)
        next(features)[:] = 30 * total["count"] / exposure
        next(features)[:] = sum(np.bitwise_count(np.bitwise_or.reduce(word[inside])).astype(float) for word in words)
        last = newest[inside].min(axis=0, initial=NEVER)
        next(features)[:] = np.where(last < NEVER, last / DAY, np.nan)
        next(features)[:] = total["intensity"]
        next(features)[:] = np.log1p(total["trend"]) - np.log1p(total["trend_before"])
        if has_value:
            for days in plan.windows_days:
                next(features)[:] = _added(table[f"value_{days}"], inside)
    return np.where(oldest.max(axis=0) < 0, -1, oldest.argmax(axis=0))


def _added(table: np.ndarray, inside: list[int]) -> np.ndarray:
    """Add rows up from the first to the last: a sum of floats in another order could end in other bits."""
    total = np.zeros(table.shape[1])
    for i in inside:
        total += table[i]
    return total
