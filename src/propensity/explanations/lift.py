"""The only place that looks for what leads like this one, of a higher band, did more (or less) of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

MAX_ACTIONS = 2


@dataclass(frozen=True, kw_only=True)
class Action:
    """A behaviour that can change, in one direction alone.

    Parameters
    ----------
    name : str
    amounts : tuple of float
        How it can be, from the least change to the most; each further one moves a score no less.
    """

    name: str
    amounts: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Lift:
    """A lead with one or two behaviours changed.

    Parameters
    ----------
    amounts : mapping of str to float
        What they would be, by name.
    probability : float
    """

    amounts: Mapping[str, float]
    probability: float


def find_lift(
    actions: Sequence[Action], probability_of: Callable[[Mapping[str, float]], float], *, threshold: float
) -> Lift | None:
    """Find the least that would carry a lead over a threshold: one behaviour, else two, chosen greedily.

    Parameters
    ----------
    actions : sequence of Action
    probability_of : callable
        Scores the lead with these behaviours at these amounts, by all that scores any lead.
    threshold : float

    Returns
    -------
    Lift or None
        None where no one and no two of them reach it. Of behaviours that each do, the one that needs the smallest part
        of what is possible; of equals the first.

    Examples
    --------
    >>> visits, demos = Action(name="visit", amounts=(1, 2, 3)), Action(name="demo", amounts=(1, 2))
    >>> def probability_of(amounts):
    ...     return 0.1 + 0.05 * amounts.get("visit", 0) + 0.2 * amounts.get("demo", 0)
    >>> find_lift([visits, demos], probability_of, threshold=0.25).amounts
    {'demo': 1}
    >>> find_lift([visits, demos], probability_of, threshold=0.6).amounts
    {'demo': 2, 'visit': 2}
    >>> find_lift([visits, demos], probability_of, threshold=0.7) is None
    True
    """
    done: dict[str, float] = {}
    for _ in range(MAX_ACTIONS):
        left = [action for action in actions if action.name not in done and action.amounts]
        if not left:
            return None
        most = {action.name: probability_of({**done, action.name: action.amounts[-1]}) for action in left}
        enough = [action for action in left if most[action.name] >= threshold]
        if enough:
            steps = {action.name: _first(action, done, probability_of, threshold) for action in enough}
            best = min(enough, key=lambda action: (steps[action.name] + 1) / len(action.amounts))
            amounts = {**done, best.name: best.amounts[steps[best.name]]}
            return Lift(amounts=amounts, probability=probability_of(amounts))
        strongest = max(left, key=lambda action: most[action.name])
        done[strongest.name] = strongest.amounts[-1]
    return None


def _first(
    action: Action,
    done: Mapping[str, float],
    probability_of: Callable[[Mapping[str, float]], float],
    threshold: float,
) -> int:
    """Give the place of the least amount that is enough; the most is."""
    low, high = 0, len(action.amounts) - 1
    while low < high:
        middle = (low + high) // 2
        if probability_of({**done, action.name: action.amounts[middle]}) >= threshold:
            high = middle
        else:
            low = middle + 1
    return low
