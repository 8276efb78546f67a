"""The only place that weighs outcomes against a promise, week after week, without crying wolf in the long run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Bets against the promise, small ones for small breaches; as shares of the largest that cannot be ruined.
BETS = np.array([0.05, 0.1, 0.2, 0.4, 0.7])
# A promise that is kept raises so much evidence against it, ever, in one case of twenty.
ALARM = 20.0
# Of all volume alarms, ever, where no share moved.
VOLUME_ALPHA = 0.01


def e_process(y: np.ndarray, rate: float) -> np.ndarray:
    """Give the evidence against "at least this rate converts" after each outcome.

    A player who bets against the promise, on several stakes at once, starts with 1; while it is kept the fortune is not
    expected to grow, so it ever reaches 20 with a chance of at most 1/20 (Ville's inequality). It may be looked at as
    often as anybody likes.

    Parameters
    ----------
    y : array of {0, 1}, shape (n_leads,)
        In the order they became known.
    rate : float in (0, 1)

    Returns
    -------
    array of float, shape (n_leads,)

    Examples
    --------
    >>> e_process(np.array([0.0, 0.0]), 0.5).round(3).tolist()
    [1.29, 1.72]
    >>> e_process(np.array([1.0]), 0.5).round(3).tolist()
    [0.71]
    """
    # A conversion costs 1 - rate of a stake, so this is the largest that leaves something over.
    stakes = BETS / (1 - rate)
    fortunes = np.cumsum(np.log1p(stakes * (rate - y[:, None])), axis=0)
    top = fortunes.max(axis=1, initial=-np.inf, keepdims=True)
    return np.asarray(np.exp(top[:, 0]) * np.exp(fortunes - top).mean(axis=1))


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A promise held against outcomes.

    Parameters
    ----------
    name : str
    rate : float
        What was promised.
    n_leads, n_converted : int
        Whose outcome is known, and those of them that kept the promise.
    looks : tuple of str
        Instants that were looked at, oldest first.
    evidence : tuple of float
        Against the promise, after each look.
    n_waiting : int
        Leads it is about whose outcome is not known yet.
    """

    name: str
    rate: float
    n_leads: int
    n_converted: int
    looks: tuple[str, ...]
    evidence: tuple[float, ...]
    n_waiting: int

    @property
    def alarmed_at(self) -> str:
        """The first look at which the promise counted as broken; empty where none did."""
        return next((at for at, w in zip(self.looks, self.evidence, strict=True) if w >= ALARM), "")


def watch_promise(
    name: str, y: np.ndarray, look: np.ndarray, *, rate: float, n_waiting: int = 0, labels: dict[int, str] | None = None
) -> Watched:
    """Hold a promise against outcomes, looked at once an instant: no order within one matters.

    Parameters
    ----------
    name : str
    y : array of {0, 1}, shape (n_leads,)
    look : array of int, shape (n_leads,)
        When each lead was promised; the higher, the later.
    rate : float in (0, 1)
    n_waiting : int
    labels : dict of look to text, or None

    Returns
    -------
    Watched
    """
    order = np.lexsort((-y, look))  # within a look, conversions first: at its end the order has cancelled out
    ends = np.flatnonzero(np.diff(look[order], append=-1) != 0)
    wealth = e_process(y[order], rate)[ends] if len(y) else np.empty(0)
    named = labels or {}
    return Watched(
        name=name,
        rate=rate,
        n_leads=len(y),
        n_converted=int(y.sum()),
        looks=tuple(named.get(int(one), str(one)) for one in look[order][ends]),
        evidence=tuple(float(one) for one in wealth),
        n_waiting=n_waiting,
    )


@dataclass(frozen=True, kw_only=True)
class Volume:
    """How many leads of a run were in a band, and how many the runs before let expect.

    Parameters
    ----------
    as_of, band : str
    n_leads, n_in_band : int
    before : float
        Share in all runs before; NaN for the first.
    p_value, allowed : float
        Chance of shares as far apart, and what that must fall below for an alarm.
    """

    as_of: str
    band: str
    n_leads: int
    n_in_band: int
    before: float
    p_value: float
    allowed: float

    @property
    def is_alarm(self) -> bool:
        """Whether chance does not explain it."""
        return self.p_value < self.allowed


def watch_volume(counts: list[tuple[str, int, int]], *, band: str, n_bands: int = 2) -> list[Volume]:
    """Hold each run's share of a band against that of all runs before it, by Fisher's exact test.

    Leads are taken as independent, so runs of few accounts may alarm too easily. The k-th comparison spends
    6 / (pi k)^2 of the error allowed, so that all together cry wolf in one case of a hundred, however many.

    Parameters
    ----------
    counts : list of (instant, leads, leads in the band), oldest first
    band : str
    n_bands : int
        Among how many bands the error is parted.

    Examples
    --------
    >>> [one.is_alarm for one in watch_volume([("Monday", 100, 12), ("Tuesday", 100, 40)], band="SQL")]
    [False, True]
    """
    from scipy import stats

    found = []
    n_before = in_before = 0
    for k, (as_of, n_leads, n_in_band) in enumerate(counts):
        table = np.array([[n_in_band, n_leads - n_in_band], [in_before, n_before - in_before]])
        found.append(
            Volume(
                as_of=as_of,
                band=band,
                n_leads=n_leads,
                n_in_band=n_in_band,
                before=in_before / n_before if n_before else float("nan"),
                p_value=float(stats.fisher_exact(table).pvalue) if n_before else 1.0,
                allowed=float(VOLUME_ALPHA / n_bands * 6 / (np.pi * max(k, 1)) ** 2),
            )
        )
        n_before, in_before = n_before + n_leads, in_before + n_in_band
    return found
