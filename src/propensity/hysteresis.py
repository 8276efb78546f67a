"""The only place that keeps leads from flapping between bands: up at once, down only when it is sure.

A score moves a little from night to night, and a lead near a threshold would change hands with it. A lead enters a
higher band as soon as its probability reaches the threshold, and leaves its band only after two runs in a row in which
its log-odds lie further below than a margin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from propensity.schema import MQL, NURTURE, SQL, UNSCORED

# Runs in a row that must say so before a lead leaves its band.
CONFIRMATIONS = 2
_LEVEL = {NURTURE: 0, MQL: 1, SQL: 2}
_TINY = 1e-9


@dataclass(frozen=True, kw_only=True)
class Held:
    """Which band each lead is held in, and how sure it is that it left.

    Parameters
    ----------
    band : array of str, shape (n_leads,)
        Empty where nothing is known of the lead.
    below : array of int, shape (n_leads,)
        Runs in a row, up to now, that spoke for leaving it.
    """

    band: np.ndarray
    below: np.ndarray

    @classmethod
    def nothing(cls, n_leads: int) -> Held:
        """Give the state of leads never seen before."""
        return cls(band=np.full(n_leads, "", dtype=object), below=np.zeros(n_leads, dtype=int))

    def take(self, rows: np.ndarray) -> Held:
        """Give these leads alone, in the order named."""
        return Held(band=self.band[rows], below=self.below[rows])


def hold(raw: np.ndarray, probability: np.ndarray, held: Held, *, sql: float, mql: float, margin: float) -> Held:
    """Give the state after one more run.

    Parameters
    ----------
    raw : array of str, shape (n_leads,)
        The band each lead's probability puts it in; ``unscored`` changes nothing.
    probability : array of float, shape (n_leads,)
        NaN changes nothing but for a lead not known before.
    held : Held
        The state before.
    sql, mql : float
        The thresholds; a lead at one has reached it.
    margin : float
        In log-odds, 0 or more: only further below than this does a run speak for leaving a band.

    Returns
    -------
    Held
        Leads without a state before are held in their raw band, unless nobody could score them.

    Examples
    --------
    >>> state = Held(band=np.array(["SQL", "SQL", "MQL"], dtype=object), below=np.array([0, 1, 0]))
    >>> raw = np.array(["MQL", "MQL", "SQL"], dtype=object)
    >>> after = hold(raw, np.array([0.25, 0.10, 0.40]), state, sql=0.3, mql=0.05, margin=0.35)
    >>> after.band.tolist(), after.below.tolist()
    (['SQL', 'MQL', 'SQL'], [0, 0, 0])
    """
    level = np.array([_LEVEL.get(band, -1) for band in raw])
    before = np.array([_LEVEL.get(band, -1) for band in held.band])
    threshold = np.select([before == _LEVEL[SQL], before == _LEVEL[MQL]], [sql, mql], default=0.0)
    # Above the threshold and yet in a lower band: the call does not pay any more.
    is_far = (_logit(probability) < _logit(threshold) - margin) | (probability >= threshold)
    below = np.where((level < before) & is_far, held.below + 1, 0)
    leaves = below >= CONFIRMATIONS
    is_new = before < 0
    moves = (level > before) | leaves | is_new
    band = np.where(moves, raw, held.band).astype(object)
    below = np.where(moves, 0, below)
    # What cannot be judged stays as it is.
    stays = (level < 0) | (np.isnan(probability) & ~is_new)
    band, below = np.where(stays, held.band, band).astype(object), np.where(stays, held.below, below)
    return Held(band=band, below=below)


def shown(raw: np.ndarray, held: Held) -> np.ndarray:
    """Give the band to act on: the one held, or ``unscored`` where nobody could score the lead."""
    return np.where((raw == UNSCORED) | (held.band == ""), raw, held.band).astype(object)


def _logit(probability: np.ndarray) -> np.ndarray:
    inside = np.clip(probability, _TINY, 1 - _TINY)
    return np.asarray(np.log(inside / (1 - inside)))
