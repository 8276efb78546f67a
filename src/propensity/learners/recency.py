"""The only place that says how much older rows count, and whether they should count less at all."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from propensity.learners.blend import is_sure, margin_loss

# After so great a share of the past's rows a row counts half. Smaller ones than a tenth leave too little to learn from.
HALF_LIVES = (0.5, 0.25, 0.1)


def recency_weights(order: np.ndarray, half_life: float, *, weight: np.ndarray | None = None) -> np.ndarray:
    """Weigh rows by how many are newer: half for each `half_life` of all rows.

    Parameters
    ----------
    order : array, shape (n_rows,)
        Non-decreasing; rows of one instant weigh alike.
    half_life : float in (0, 1]
        A share of the rows.
    weight : array of float or None, shape (n_rows,)
        What the rows weigh otherwise.

    Returns
    -------
    array of float, shape (n_rows,)
        On average what they weigh otherwise, so that penalties keep their meaning.

    Examples
    --------
    >>> recency_weights(np.array([1, 1, 2, 3]), 0.25).round(2).tolist()
    [0.5, 0.5, 1.0, 2.0]
    """
    own = np.ones(len(order)) if weight is None else weight
    newer = (len(order) - np.searchsorted(order, order, side="right")) / max(len(order), 1)
    aged = own * 0.5 ** (newer / half_life)
    return np.asarray(aged * own.sum() / aged.sum())


def choose_half_life(
    margins: Mapping[float | None, np.ndarray], y: np.ndarray, *, block: np.ndarray, weight: np.ndarray | None = None
) -> float | None:
    """Choose a half-life by log loss on out-of-fold margins; None where none is surely better than counting all alike.

    Parameters
    ----------
    margins : mapping of half-life or None to array of float, shape (n_rows,)
        What the same learner says when trained with each; None: all rows alike.
    y : array of {0, 1}, shape (n_rows,)
    block : array of int, shape (n_rows,)
        Out-of-fold block of each row.
    weight : array of float or None, shape (n_rows,)
    """
    losses = {half_life: margin_loss(margin, y, weight=weight) for half_life, margin in margins.items()}
    best = min((loss.mean(), -half_life) for half_life, loss in losses.items() if half_life is not None)
    return -best[1] if is_sure(losses[None] - losses[-best[1]], block) else None
