"""The only place that says what moves scores over all leads: how many points each reason is worth on average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from propensity.explanations.additive import Explanation, grouped

if TYPE_CHECKING:
    from propensity.explanations.wording import Group

N_DRAWS = 200
CONFIDENCE = 0.9


def importance(explanation: Explanation, groups: Sequence[Group], *, seed: int) -> pd.DataFrame:
    """Give the mean size of each reason over leads, in percentage points.

    Parameters
    ----------
    explanation : Explanation
        Of columns.
    groups : sequence of Group
    seed : int

    Returns
    -------
    DataFrame
        ``group, family, points, low, high, share``, the largest first. ``low`` and ``high`` hold nine in ten bootstrap
        draws of the leads: how much other leads of the same kind would move the figure, not another training.
        ``share`` is of all points of all groups.

    Examples
    --------
    >>> from propensity.explanations.wording import Group
    >>> points = np.array([[3.0, -1.0], [-5.0, 1.0]])
    >>> told = Explanation(log_odds_parts=points, points=points, reference_log_odds=0.0, reference_probability=0.5)
    >>> two = [Group(name=name, family="fit", columns=(i,), counts={}) for i, name in enumerate(("a", "b"))]
    >>> importance(told, two, seed=0)[["group", "points", "share"]].to_numpy().tolist()
    [['a', 4.0, 0.8], ['b', 1.0, 0.2]]
    """
    sizes = np.abs(grouped(explanation, tuple(group.columns for group in groups)).points)
    mean = sizes.mean(axis=0)
    drawn = np.random.default_rng(seed).integers(0, len(sizes), (N_DRAWS, len(sizes)))
    draws = np.stack([sizes[rows].mean(axis=0) for rows in drawn])
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    table = pd.DataFrame(
        {
            "group": [group.name for group in groups],
            "family": [group.family for group in groups],
            "points": mean,
            "low": low,
            "high": high,
            "share": mean / (mean.sum() or 1.0),
        }
    )
    return table.sort_values("points", ascending=False, kind="stable").reset_index(drop=True)
