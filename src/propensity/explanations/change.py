"""The only place where a change of a score is shared out: to what changed of the lead, and to the model.

A lead was scored then by one model and now by another, and between the two instants its record changed in steps: time
passed, things happened, fields were edited. Each model scores the record after every step. What a step changed is the
mean of what it changed under either model; what the model changed is the mean of the change under the record of then
and that of now. So neither is told first, and all parts add up to the change exactly.

Within a step each name is due what its part in the log-odds moved, in points by the mean slope of the logistic function
between the two probabilities: the Aumann-Shapley value of the step. What did not move is due nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from propensity.explanations.additive import TINY_LOG_ODDS, shared_out


@dataclass(frozen=True, kw_only=True)
class Steps:
    """How one model scores a lead's record after each step; the first is the record of then, the last that of now.

    Parameters
    ----------
    names : tuple of str
        What has a part in a score.
    log_odds_parts : array of float, shape (n_steps + 1, n_names)
        Parts in the calibrated log-odds; rows differ by as much as those do.
    probability : array of float, shape (n_steps + 1,)
        As shown.
    """

    names: tuple[str, ...]
    log_odds_parts: np.ndarray
    probability: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Change:
    """Why a score is not what it was, in percentage points.

    Parameters
    ----------
    names : tuple of str
        Of either model, those of now first.
    data : array of float, shape (n_names, n_steps)
        What each step of the record did to each.
    model : float
        What is due to the model.
    total : float
        100 times the difference of probabilities: the sum of `data` and `model`.
    """

    names: tuple[str, ...]
    data: np.ndarray
    model: float
    total: float


def attribute(then: Steps, now: Steps) -> Change:
    """Share a change out, by the mean of both orders in which record and model may have changed.

    Parameters
    ----------
    then, now : Steps
        The model of then and that of now, over the same steps.

    Returns
    -------
    Change

    Examples
    --------
    >>> then = Steps(names=("visits",), log_odds_parts=np.array([[0.0], [0.3]]), probability=np.array([0.10, 0.14]))
    >>> now = Steps(names=("visits",), log_odds_parts=np.array([[0.1], [0.7]]), probability=np.array([0.12, 0.20]))
    >>> found = attribute(then, now)
    >>> found.data.round(9).tolist(), round(found.model, 9), round(found.total, 9)
    ([[6.0]], 4.0, 10.0)
    """
    names = (*now.names, *(name for name in then.names if name not in now.names))
    data = (_by_step(then, names) + _by_step(now, names)) / 2
    model = 50 * float((now.probability[0] - then.probability[0]) + (now.probability[-1] - then.probability[-1]))
    return Change(names=names, data=data, model=model, total=100 * float(now.probability[-1] - then.probability[0]))


def _by_step(steps: Steps, names: Sequence[str]) -> np.ndarray:
    """Give the points each step changed, by name; nothing for names the model does not know."""
    moved = np.diff(steps.log_odds_parts, axis=0)
    total = 100 * np.diff(steps.probability)
    p = steps.probability[:-1]
    # Next to no change a quotient is noise: the tangent there.
    whole = moved.sum(axis=1)
    slope = np.divide(total, whole, out=100 * p * (1 - p), where=np.abs(whole) > TINY_LOG_ODDS)
    found = np.zeros((len(names), len(total)))
    place = {name: i for i, name in enumerate(names)}
    found[[place[name] for name in steps.names]] = shared_out(moved * slope[:, None], total).T
    return found
