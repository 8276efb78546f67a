"""The only place for what every learner gives of a lead: its margin, and the exact parts it is made of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Parts(NamedTuple):
    """Margins split into one part a feature; `base` and a row's contributions sum to its margin.

    Parameters
    ----------
    margin : array of float, shape (n_leads,)
        In log-odds.
    contributions : array of float, shape (n_leads, n_features)
    base : float
        What a lead starts from of whom nothing is known: the mean margin of training.
    """

    margin: np.ndarray
    contributions: np.ndarray
    base: float
