"""The only place that says how points go with a value: what leads with so many visits, or of such an industry, get."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from propensity.encoding import MIN_LEVEL_ROWS
from propensity.explanations.additive import Explanation, show_number

if TYPE_CHECKING:
    from propensity.schema import Schema

# Columns that move scores most.
N_COLUMNS = 12
# Steps of a number, each with as many leads.
N_STEPS = 8
OTHER, MISSING = "other", "not given"
COLUMNS = ("column", "family", "value", "leads", "points", "low", "high")


def dependence(explanation: Explanation, values: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Tabulate the points of the strongest columns by the value that leads have.

    Parameters
    ----------
    explanation : Explanation
        Of columns.
    values : DataFrame, shape (n_leads, n_features)
        Of the same leads, as `schema.partition` reads them.
    schema : Schema

    Returns
    -------
    DataFrame
        ``column, family, value, leads, points, low, high``: the mean of the points, and between which nine in ten
        leads lie. Numbers in steps of about as many leads, levels of fewer than ten leads together, as "other".
        Nothing of fewer than ten leads is told.

    Examples
    --------
    >>> from propensity.schema import Column, Schema
    >>> schema = Schema(columns=(Column(name="Visits", family="behaviour", kind="number"),), id=None, missing=())
    >>> points = np.repeat([[-1.0], [3.0]], 10, axis=0)
    >>> told = Explanation(log_odds_parts=points, points=points, reference_log_odds=0.0, reference_probability=0.5)
    >>> visits = pd.DataFrame({"Visits": np.repeat([0.0, 5.0], 10)})
    >>> dependence(told, visits, schema)[["value", "leads", "points"]].to_numpy().tolist()
    [['0', 10, -1.0], ['5', 10, 3.0]]
    """
    size = np.abs(explanation.points).mean(axis=0)
    strongest = [i for i in np.argsort(-size, kind="stable")[:N_COLUMNS].tolist() if size[i] > 0]
    records: list[tuple[str, str, str, int, float, float, float]] = []
    for i in strongest:
        column = schema.columns[i]
        labels = _steps(values[column.name]) if column.kind == "number" else _levels(values[column.name])
        for label, rows in labels:
            points = explanation.points[rows, i]
            low, high = np.quantile(points, [0.05, 0.95])
            told = float(points.mean()), float(low), float(high)
            records.append((column.name, column.family, label, len(rows), *told))
    return pd.DataFrame(records, columns=[*COLUMNS])


def _steps(cells: pd.Series) -> Sequence[tuple[str, np.ndarray]]:
    """Cut numbers into steps of about as many leads, equal ones together, in ascending order; missing ones last."""
    numbers = cells.to_numpy(dtype=float)
    known = numbers[~np.isnan(numbers)]
    found = []
    if len(known):
        ends = np.unique(np.quantile(known, np.linspace(0, 1, N_STEPS + 1), method="nearest"))
        # Up to and with each end; the least number is a step of its own where enough leads have it.
        step = np.searchsorted(ends, numbers, side="left")
        if (numbers == ends[0]).sum() < MIN_LEVEL_ROWS:
            step = np.maximum(step, 1)
        for k in range(len(ends)):
            rows = np.flatnonzero((step == k) & ~np.isnan(numbers))
            if len(rows) >= MIN_LEVEL_ROWS:
                found.append((_range(numbers[rows], known), rows))
    return [*found, *_told(MISSING, np.flatnonzero(np.isnan(numbers)))]


def _range(own: np.ndarray, known: np.ndarray) -> str:
    """Name a step; the least and the largest number of all could be told of one lead, so outer steps are open.

    Examples
    --------
    >>> known = np.array([1.0, 1.0, 2.0, 3.0, 4.0, 912345.0])
    >>> [_range(own, known) for own in (known[:2], known[:3], known[2:4], known[3:])]
    ['1', 'up to 2', '2 to 3', '3 and more']
    """
    first, last = own.min(), own.max()
    is_least, is_largest = first == known.min(), last == known.max()
    if first == last:
        return show_number(first)
    if is_least and is_largest:
        return "any number"
    if is_least:
        return f"up to {show_number(last)}"
    return f"{show_number(first)} and more" if is_largest else f"{show_number(first)} to {show_number(last)}"


def _levels(cells: pd.Series) -> Sequence[tuple[str, np.ndarray]]:
    """Give the levels of a category, the most frequent first; then rare ones together, and missing ones."""
    texts, gone = cells.to_numpy(dtype=object), cells.isna().to_numpy()
    counts = cells[~gone].value_counts()
    frequent = sorted((-int(n), str(level)) for level, n in counts.items() if n >= MIN_LEVEL_ROWS)
    named = [level for _, level in frequent]
    found = [(level, np.flatnonzero(texts == level)) for level in named]
    rare = np.flatnonzero(~gone & ~np.isin(texts.astype(str), named))
    return [*found, *_told(OTHER, rare), *_told(MISSING, np.flatnonzero(gone))]


def _told(label: str, rows: np.ndarray) -> list[tuple[str, np.ndarray]]:
    return [(label, rows)] if len(rows) >= MIN_LEVEL_ROWS else []
