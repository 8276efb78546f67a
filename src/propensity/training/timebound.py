"""The only place that finds columns which tell when a lead came rather than who it is: series, counters, seasons."""

from __future__ import annotations

import numpy as np

# A column whose values explain at least this much of the order in time says more of the day than of the lead.
MIN_TIME_SHARE = 0.5
# Numbers of many values are read in so many steps.
N_STEPS = 50
# A share as large as that shows on this many rows.
MAX_ROWS = 5000


def time_share(matrix: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Give how much of the order in time each column's value explains: the adjusted correlation ratio of ranks.

    An interest rate, a row counter, the month of a file that holds one year: 0.7 to 1. The industry of a lead: near 0.

    Parameters
    ----------
    matrix : array of float, shape (n_rows, n_features)
        Encoded; missing is NaN, and a value like any other.
    order : array, shape (n_rows,)
        Non-decreasing.

    Returns
    -------
    array of float, shape (n_features,)
        At most 1; 0 on average where a column knows nothing of time; 0 where all rows are of one instant.

    Examples
    --------
    >>> day = np.arange(8)
    >>> time_share(np.column_stack([day // 4, day % 2]), day).round(2).tolist()
    [0.72, -0.11]
    """
    rows = np.unique(np.linspace(0, len(order) - 1, min(len(order), MAX_ROWS)).astype(int))
    _, instant, size = np.unique(order[rows], return_inverse=True, return_counts=True)
    rank = (np.cumsum(size) - size / 2)[instant]
    rank = rank - rank.mean()
    shares = np.zeros(matrix.shape[1])
    if len(size) < 2:
        return shares
    for j in range(matrix.shape[1]):
        column = matrix[rows, j]
        distinct = np.unique(column[~np.isnan(column)])
        if len(distinct) > N_STEPS:
            distinct = np.unique(np.quantile(column[~np.isnan(column)], np.linspace(0, 1, N_STEPS + 1)[1:]))
        step = np.where(np.isnan(column), len(distinct), np.searchsorted(distinct, column))
        n = np.bincount(step)
        explained = (np.bincount(step, weights=rank)[n > 0] ** 2 / n[n > 0]).sum() / (rank**2).sum()
        freedom = len(rank) - int((n > 0).sum())
        shares[j] = 1 - (1 - explained) * (len(rank) - 1) / freedom if freedom > 0 else 0.0
    return shares
