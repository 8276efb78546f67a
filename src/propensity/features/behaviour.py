"""The only place where events become features of what a lead did before a cutoff.

DuckDB joins events to (lead, cutoff) rows and aggregates by row and event type; the small result is put in place
by array assignment. Everything it adds up is whole numbers, so that no order of rows, chunk or thread changes a
bit: decays are kept in units of 2^-60 and values in millionths. What types add up to (families, any event) is
summed in one fixed order, row by row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from propensity.asof import NEVER, Events
from propensity.features.plan import DAYS_SINCE_CREATED, FIRST_EVENT, FeaturePlan

DAY = 24 * 3600 * 1_000_000
# Bounds the memory of one aggregation; each chunk reads all events again.
CHUNK_ROWS = 100_000
# Observed for less than this, a rate is taken over so many days: one event on the first day is no habit.
MIN_EXPOSURE_DAYS = 30
# Days that one 128-bit number marks; its sign bit is left alone.
_MASK_DAYS = 126


def behaviour_features(
    events: Events,
    plan: FeaturePlan,
    *,
    key: np.ndarray,
    cutoff: np.ndarray,
    created_at: np.ndarray,
    chunk_rows: int = CHUNK_ROWS,
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
    chunk_rows : int
        Rows aggregated at once.

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
    parts = [
        _chunk(
            events,
            plan,
            key=key[i : i + chunk_rows],
            cutoff=cutoff[i : i + chunk_rows],
            created_at=created_at[i : i + chunk_rows],
        )
        for i in range(0, max(len(key), 1), chunk_rows)
    ]
    return pd.concat(parts, ignore_index=True)


def _chunk(
    events: Events, plan: FeaturePlan, *, key: np.ndarray, cutoff: np.ndarray, created_at: np.ndarray
) -> pd.DataFrame:
    n_rows = len(key)
    # Types of the plan keep their place, all others share the last one.
    place = {name: i for i, name in enumerate(plan.types)}
    other = len(place)
    place_of_kind = np.array([place.get(name, other) for name in events.types], dtype=np.int32)
    groups = _aggregate(events, plan, key=key, cutoff=cutoff, place=place_of_kind)
    cell = groups["row"].astype(np.int64) * (other + 1) + groups["place"]

    def spread(name: str, empty: float, dtype: type = float) -> np.ndarray:
        table: np.ndarray = np.full(n_rows * (other + 1), empty, dtype=dtype)
        table[cell] = groups[name]
        return table.reshape(n_rows, other + 1)

    measures = {name: spread(name, 0.0) for name in _sums(plan)}
    newest, oldest = spread("newest", np.inf), spread("oldest", -1.0)
    masks = [spread(name, 0, np.uint64) for name in groups if name.startswith("days_")]
    observed = np.maximum(
        np.where(created_at == NEVER, -1, cutoff - np.where(created_at == NEVER, 0, created_at)), oldest.max(axis=1)
    )
    exposure = np.clip(observed / DAY, MIN_EXPOSURE_DAYS, plan.lookback_days)
    columns: dict[str, Any] = {}
    names = np.array([*plan.types, "another"], dtype=object)
    has_any = np.isfinite(newest).any(axis=1)
    columns[FIRST_EVENT] = pd.Series(np.where(has_any, names[oldest.argmax(axis=1)], None), dtype=object)
    columns[DAYS_SINCE_CREATED] = np.where(observed < 0, np.nan, observed / DAY)
    for slot, types, has_value in plan.slots:
        inside = [*range(other + 1)] if types is None else [place[name] for name in types if name in place]
        total = {name: _added(table, inside) for name, table in measures.items()}
        days = [np.bitwise_or.reduce(mask[:, inside], axis=1) for mask in masks]
        last = newest[:, inside].min(axis=1, initial=np.inf)
        recent, before = total["trend"], total["trend_before"]
        values = (
            *(total[f"count_{w}"] for w in plan.windows_days),
            30 * total["count"] / exposure,
            sum(np.bitwise_count(word).astype(float) for word in days),
            np.where(np.isfinite(last), last / DAY, np.nan),
            total["intensity"],
            np.log1p(recent) - np.log1p(before),
            *(total[f"value_{w}"] for w in plan.windows_days if has_value),
        )
        columns |= dict(zip(plan.slot_names(slot, has_value=has_value), values, strict=True))
    return pd.DataFrame(columns, columns=list(plan.behaviour_names))


def _added(table: np.ndarray, inside: list[int]) -> np.ndarray:
    """Add columns up from left to right: a sum of floats in another order could end in other bits."""
    total = np.zeros(len(table))
    for i in inside:
        total += table[:, i]
    return total


def _sums(plan: FeaturePlan) -> list[str]:
    windows = plan.windows_days
    values = [f"value_{w}" for w in windows] if plan.valued else []
    return ["count", "trend", "trend_before", "intensity", *(f"count_{w}" for w in windows), *values]


def _aggregate(
    events: Events, plan: FeaturePlan, *, key: np.ndarray, cutoff: np.ndarray, place: np.ndarray
) -> dict[str, np.ndarray]:
    """Aggregate events by row and place (of their type); one entry for each pair that has any."""
    import duckdb  # imported here: flat files and consumers of a bundle do without

    trend = plan.trend_days * DAY
    terms = {
        "count": "count(*)",
        "newest": "min(age)",
        "oldest": "max(age)",
        "trend": f"count(*) FILTER (age <= {trend})",
        "trend_before": f"count(*) FILTER (age > {trend} AND age <= {2 * trend})",
        "intensity": f"sum(CAST(round(pow(0.5, age / {plan.half_life_days * DAY!r}) * {2.0**60!r}) AS BIGINT))::DOUBLE"
        f" / {2.0**60!r}",
    }
    for days in plan.windows_days:
        terms[f"count_{days}"] = f"count(*) FILTER (age <= {days * DAY})"
    if plan.valued:
        for days in plan.windows_days:
            total = f"sum(millionths) FILTER (age <= {days * DAY})"
            terms[f"value_{days}"] = f"coalesce({total}, 0)::DOUBLE / 1e6"
    for i in range(0, plan.windows_days[-1], _MASK_DAYS):
        last = min(i + _MASK_DAYS, plan.windows_days[-1])
        mask = f"bit_or(CASE WHEN day >= {i} AND day < {last} THEN 1::HUGEINT << (day - {i})::HUGEINT ELSE 0 END)"
        terms[f"days_{i}_low"] = f"({mask} & {2**64 - 1}::HUGEINT)::UBIGINT"
        terms[f"days_{i}_high"] = f"({mask} >> 64)::UBIGINT"
    millionths = "round(coalesce(value, 0) * 1e6)::HUGEINT AS millionths," if plan.valued else ""
    query = f"""
        SELECT row, place, {", ".join(f"{term} AS {name}" for name, term in terms.items())}
        FROM (
            SELECT p.row, e.place, {millionths}
                   p.cutoff - e.occurred_at AS age, (p.cutoff - e.occurred_at - 1) // {DAY} AS day
            FROM events e JOIN pairs p ON e.key = p.key AND e.known_at < p.cutoff
            WHERE e.occurred_at >= p.cutoff - {plan.lookback_days * DAY}
        )
        GROUP BY row, place
    """  # noqa: S608 - built from numbers alone
    log = {"key": events.key, "occurred_at": events.occurred_at, "known_at": events.known_at}
    log["place"] = place[events.kind] if len(place) else events.kind
    if plan.valued:
        log["value"] = np.full(len(events), np.nan) if events.value is None else events.value
    pairs = {"row": np.arange(len(key), dtype=np.int32), "key": key.astype(np.int32), "cutoff": cutoff}
    with duckdb.connect(":memory:", config={"temp_directory": ""}) as connection:
        connection.register("events", pd.DataFrame(log, copy=False))
        connection.register("pairs", pd.DataFrame(pairs))
        found = connection.execute(query).fetchnumpy()
    return {name: np.ma.getdata(column) for name, column in found.items()}
