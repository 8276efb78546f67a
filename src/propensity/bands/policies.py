"""The only place for the policies: pure functions from probabilities, and outcomes of other leads, to a threshold.

Each gives the lowest threshold it allows. Policies that hold together are combined by the highest of them; precision
alone is not monotone in the threshold, so it is told the bound of all others first and tested above it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from propensity.bands.thresholds import NOBODY

# Shares of leads whose quantiles are the thresholds that are tried.
SHARES = np.concatenate([np.geomspace(0.002, 0.7, 80), np.linspace(0.71, 1.0, 30)])
# In nine weeks of ten, capacity is kept.
WEEKS_KEPT = 0.9


@dataclass(frozen=True, kw_only=True)
class Certifying:
    """Leads that chose nothing, and what became of them.

    Parameters
    ----------
    probability : array of float, shape (n_rows,)
        Rounded to 1e-9; below 0 where a lead is not to be called at any probability.
    y : array of {0, 1}, shape (n_rows,)
    leads : array of int or None, shape (n_rows,)
        Whose each row is, rows in time order; None: a row a lead.
    """

    probability: np.ndarray
    y: np.ndarray
    leads: np.ndarray | None = None

    def once(self, threshold: float) -> tuple[np.ndarray, np.ndarray]:
        """Keep one row a lead: the first that reaches the threshold, else its first.

        Examples
        --------
        >>> rows = Certifying(probability=np.array([0.1, 0.6]), y=np.array([0.0, 1.0]), leads=np.array([7, 7]))
        >>> rows.once(0.5), rows.once(0.9)
        ((array([0.6]), array([1.])), (array([0.1]), array([0.])))
        """
        if self.leads is None:
            return self.probability, self.y
        order = np.argsort(self.probability < threshold, kind="stable")
        _, first = np.unique(self.leads[order], return_index=True)
        kept = np.sort(order[first])
        return self.probability[kept], self.y[kept]

    def reached(self, threshold: float) -> tuple[int, int]:
        """Count the leads at or above a threshold, and those of them that converted."""
        once, won = self.once(threshold)
        inside = once >= threshold
        return int(inside.sum()), int(won[inside].sum())

    def found(self, threshold: float) -> tuple[int, int]:
        """Count all conversions, and those of leads at or above a threshold."""
        once, won = self.once(threshold)
        return int(won.sum()), int(won[once >= threshold].sum())


def threshold_grid(probability: np.ndarray) -> np.ndarray:
    """Give the thresholds to try, from the highest down: quantiles of leads whose outcomes are not looked at."""
    return np.unique(np.quantile(probability, 1 - SHARES, method="higher"))[::-1]


def precision_threshold(
    chosen: np.ndarray,
    certifying: Certifying,
    *,
    rate: float,
    delta: float,
    least: float = 0.0,
    otherwise: float = NOBODY,
) -> float | None:
    """Give the lowest threshold whose precision is certified: split fixed-sequence testing.

    Candidates are tested in an order fixed before any label of the certification leads is read, each by its exact
    binomial p-value, until one fails (Angelopoulos et al., arXiv 2110.01052). They start where the probabilities alone
    expect the rate to be exceeded by most standard errors.

    Parameters
    ----------
    chosen : array of float, shape (n_chosen,)
        Calibrated out-of-fold probabilities that order the candidates; labels unused.
    certifying : Certifying
    rate : float in (0, 1)
    delta : float in (0, 1)
        How often a threshold that does not keep the rate may be certified.
    least : float
        What other policies ask for; no lower threshold is tried.
    otherwise : float
        The one threshold tested where the probabilities expect none to keep the rate: they may be too low.

    Returns
    -------
    float or None
        None where none is certified.

    Examples
    --------
    >>> probability = np.repeat([0.9, 0.1], 100)
    >>> sure = Certifying(probability=probability, y=np.repeat([1.0, 0.0], 100))
    >>> precision_threshold(probability, sure, rate=0.8, delta=0.05)
    0.9
    >>> precision_threshold(probability, sure, rate=0.3, delta=0.05, least=0.95) is None
    True
    """
    from scipy import stats  # imported here: a bundle's consumer scores without scipy

    passed = None
    for threshold in _candidates(chosen, len(certifying.probability), rate=rate, least=least) or [otherwise]:
        n_leads, n_converted = certifying.reached(threshold)
        p_value = float(stats.binom.sf(n_converted - 1, n_leads, rate)) if n_leads else 1.0
        if p_value > delta:
            break
        passed = threshold
    return passed


def _candidates(chosen: np.ndarray, n_certified: int, *, rate: float, least: float) -> list[float]:
    """Give the thresholds to test, in order: from the surest downwards; none where none is expected to hold.

    No label is looked at: by the probabilities alone, the surest is where the expected precision exceeds the rate
    by most standard errors.
    """
    grid = threshold_grid(chosen)
    grid = np.unique(np.append(grid[grid > least], max(least, 0.0)))[::-1] if least > 0 else grid[grid >= 0]
    at_least = chosen[None, :] >= grid[:, None]
    size = at_least.sum(axis=1)
    grid, at_least, size = grid[size > 0], at_least[size > 0], size[size > 0]
    if not len(grid):
        return []
    mean = (at_least * chosen[None, :]).sum(axis=1) / size
    expected = size / len(chosen) * n_certified
    surety = (mean - rate) * np.sqrt(expected) / np.sqrt(rate * (1 - rate))
    start = int(surety.argmax())
    return [float(threshold) for threshold in grid[start:]] if surety[start] > 0 else []


def certifiable_precision(
    chosen: np.ndarray,
    certifying: Certifying,
    *,
    rate: float,
    delta: float,
    least: float = 0.0,
    otherwise: float = NOBODY,
) -> float | None:
    """Give about the highest rate, below one that was not certified, that would be; None where none would.

    An advice, to be agreed on and then tested by leads to come: trying many rates until one passes certifies nothing.
    """
    low, high = 0.0, rate
    for _ in range(8):
        middle = (low + high) / 2
        found = precision_threshold(chosen, certifying, rate=middle, delta=delta, least=least, otherwise=otherwise)
        low, high = (low, middle) if found is None else (middle, high)
    return float(np.floor(low * 100) / 100) or None


def recall_threshold(chosen: np.ndarray, certifying: Certifying, *, rate: float, delta: float) -> tuple[float, bool]:
    """Give the highest threshold whose recall is certified; else the one the probabilities themselves expect.

    Recall is monotone in the threshold, so the first that passes its Clopper-Pearson bound, from above, stands.

    Returns
    -------
    threshold : float
    certified : bool
    """
    for threshold in threshold_grid(chosen):
        n_all, n_found = certifying.found(float(threshold))
        if lower_bound(n_found, n_all, delta) >= rate:
            return float(threshold), True
    ordered = np.sort(chosen)[::-1]
    found = np.cumsum(ordered) / ordered.sum()
    return float(ordered[min(int(np.searchsorted(found, rate)), len(ordered) - 1)]), False


def top_threshold(probability: np.ndarray, share: float) -> float:
    """Give the threshold that the top share of leads reaches; above 1 where the share is 0 or nobody may be called.

    Examples
    --------
    >>> top_threshold(np.array([0.1, 0.2, 0.3, 0.4]), 0.25)
    0.4
    """
    if share <= 0:
        return NOBODY
    found = float(np.quantile(probability, 1 - share, method="higher"))
    callable_now = probability[probability >= 0]
    return found if found >= 0 else float(callable_now.min(initial=NOBODY))


def capacity_threshold(probability: np.ndarray, *, capacity: float, leads_per_week: float) -> float:
    """Give the lowest threshold whose weekly crossings stay within capacity in nine weeks of ten, ties included.

    Leads are taken to come as a Poisson process, and the share that reaches a threshold is only as sure as the leads it
    was counted on: what a week brings is then negative binomial. Volumes need no outcomes.

    Examples
    --------
    >>> capacity_threshold(np.repeat([0.1, 0.2, 0.3, 0.4], 100), capacity=10, leads_per_week=20)
    0.4
    """
    from scipy import stats  # imported here: a bundle's consumer scores without scipy

    callable_now, n = probability[probability >= 0], len(probability)
    thresholds, n_leads = np.unique(callable_now, return_counts=True)
    reached = n_leads[::-1].cumsum()[::-1]
    most = stats.nbinom.ppf(WEEKS_KEPT, reached + 1, n / (n + leads_per_week))
    within = np.asarray(most) <= capacity
    return float(thresholds[within].min()) if within.any() else NOBODY


def lower_bound(n_converted: int, n_leads: int, delta: float) -> float:
    """One-sided Clopper-Pearson lower bound; 0 where nothing converted.

    Examples
    --------
    >>> round(lower_bound(8, 10, 0.05), 4), lower_bound(0, 10, 0.05)
    (0.4931, 0.0)
    """
    from scipy import stats  # imported here: a bundle's consumer scores without scipy

    return 0.0 if n_converted == 0 else float(stats.beta.ppf(delta, n_converted, n_leads - n_converted + 1))


def upper_bound(n_converted: int, n_leads: int, delta: float) -> float:
    """One-sided Clopper-Pearson upper bound; 1 where everything converted.

    Examples
    --------
    >>> round(upper_bound(8, 10, 0.05), 4), upper_bound(10, 10, 0.05)
    (0.9632, 1.0)
    """
    return 1 - lower_bound(n_leads - n_converted, n_leads, delta)
