"""The only place that orders changes of one instant: each begins with the value that the one before it left."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

Change = tuple[Hashable, Hashable]


def in_chain(changes: Sequence[Change], *, before: Hashable = None) -> list[int] | None:
    """Give the order in which changes of one field follow from each other; None where they do not.

    A change that the file says twice is told once, unless only both of them make a chain.

    Parameters
    ----------
    changes : sequence of (old value, new value)
        Of one lead, field and instant.
    before : value
        What the field was before all of them; it begins a chain that ends where it began.

    Returns
    -------
    list of int or None
        Positions in `changes`, first change first.

    Examples
    --------
    >>> in_chain([("b", "c"), ("a", "b")])
    [1, 0]
    >>> in_chain([("a", "b"), ("a", "c")]) is None
    True
    >>> in_chain([("a", "b"), ("b", "a")], before="b")
    [1, 0]
    """
    found = _path([*range(len(changes))], changes, before)
    if found is not None:
        return found
    places: dict[Change, list[int]] = defaultdict(list)
    for i, change in enumerate(changes):
        places[change].append(i)
    once = _path([same[0] for same in places.values()], changes, before)
    return None if once is None else [i for first in once for i in places[changes[first]]]


def _path(places: Sequence[int], changes: Sequence[Change], before: Hashable) -> list[int] | None:
    """Walk every change once (an Eulerian path, by Hierholzer's algorithm); None where there is no such walk."""
    surplus: Counter[Hashable] = Counter()
    leaving: dict[Hashable, list[int]] = defaultdict(list)
    for i in reversed(places):
        old, new = changes[i]
        leaving[old].append(i)
        surplus[old] += 1
        surplus[new] -= 1
    starts = [value for value, n in surplus.items() if n > 0]
    if len(starts) > 1 or any(abs(n) > 1 for n in surplus.values()):
        return None
    start = starts[0] if starts else before if before in leaving else changes[places[0]][0]
    walk: list[int] = []
    open_ends: list[tuple[Hashable, int | None]] = [(start, None)]
    while open_ends:
        value, came_by = open_ends[-1]
        if leaving[value]:
            i = leaving[value].pop()
            open_ends.append((changes[i][1], i))
        else:
            open_ends.pop()
            if came_by is not None:
                walk.append(came_by)
    return walk[::-1] if len(walk) == len(places) else None
