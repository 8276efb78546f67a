"""The only place that says which features a person meant who asked scores to rise or fall with a column or an event."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from propensity.errors import ConfigError
from propensity.features import FeaturePlan, derived_names
from propensity.learners import DIRECTIONS, Monotone
from propensity.schema import Schema, normalise_name

if TYPE_CHECKING:
    from propensity.config import Direction

# Names that are listed where one is not known.
MAX_NAMED = 12


def feature_directions(
    asked: Mapping[str, Direction],
    schema: Schema,
    plan: FeaturePlan,
    *,
    left_out: Mapping[str, str],
    types: Collection[str] = (),
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Give the features behind names of columns and event types, each with its direction.

    Of an event type (a family, "any event") counts, rate, active days, intensity and sums of values go its way, the
    days since the last one the other, and the trend stays free. Of a raw field it is the number derived from it. A
    feature named by its own name goes as that says.

    Parameters
    ----------
    asked : mapping of name to "increasing" or "decreasing"
    schema : Schema
    plan : FeaturePlan
    left_out : mapping of column to str
        Named features that are not in the schema, and why.
    types : collection of str
        All event types there are, those of too few leads among them.

    Returns
    -------
    directions : dict of feature to {-1, 1}
    unheld : tuple of str
        Sentences on names that are known and have no feature.

    Raises
    ------
    ConfigError
        A name is of nothing that can be held to a direction; the message says what is.

    Examples
    --------
    >>> from propensity.schema import Column
    >>> names = ("Visits", "demo count 7d", "demo days since", "demo trend 7d")
    >>> columns = tuple(Column(name=name, family="behaviour", kind="number") for name in names)
    >>> plan = FeaturePlan(has_events=True, types=("demo",), windows_days=(7,))
    >>> schema = Schema(columns=columns, id=None, missing=())
    >>> feature_directions({"demo": "increasing", "visits": "decreasing"}, schema, plan, left_out={})
    ({'demo count 7d': 1, 'demo days since': -1, 'Visits': -1}, ())
    """
    slots = {normalise_name(slot): plan.slot_directions(slot, has_value=valued) for slot, _, valued in plan.slots}
    columns = {normalise_name(column.name): column for column in schema.columns}
    derived = {normalise_name(column): derived_names(column, kind) for column, kind in plan.derive.items()}
    known = {*slots, *derived, *(normalise_name(name) for name in (*left_out, *types))}
    of_slots: dict[str, int] = {}
    of_columns: dict[str, int] = {}
    unheld = []
    for name, word in asked.items():
        key, way = normalise_name(name), DIRECTIONS[word]
        made = {part: sign for part, sign in slots.get(key, {}).items() if normalise_name(part) in columns}
        own = [columns[part] for part in (key, *map(normalise_name, derived.get(key, ()))) if part in columns]
        numbers = [column.name for column in own if column.kind == "number"]
        of_slots |= {feature: way * sign for feature, sign in made.items()}
        of_columns |= dict.fromkeys(numbers, way)
        if own and not numbers and not made:
            msg = (
                f"learner.monotone names {name[:80]!r}, which is read as categories: they have no order to rise or "
                f"fall with. {_allowed(name, schema, plan)}"
            )
            raise ConfigError(msg)
        if not own and not made:
            if key not in known:
                msg = (
                    f"learner.monotone names {name[:80]!r}, which is neither a feature nor an event type. "
                    f"{_allowed(name, schema, plan)}"
                )
                raise ConfigError(msg)
            unheld.append(f"learner.monotone names {name[:80]!r}, of which the model has no feature: nothing is held.")
    return of_slots | of_columns, tuple(unheld)


def _allowed(name: str, schema: Schema, plan: FeaturePlan) -> str:
    """Say which names can be held to a direction, the nearest first where one is near."""
    made = {
        *plan.behaviour_names,
        *(part for column, kind in plan.derive.items() for part in derived_names(column, kind)),
    }
    numbers = [c.name for c in schema.columns if c.kind == "number" and c.name not in made]
    raw = [column for column, kind in plan.derive.items() if kind == "range"]
    events = [slot for slot, _, _ in plan.slots]
    names = {normalise_name(n): n for n in (*numbers, *raw, *events)}
    near = [names[n] for n in difflib.get_close_matches(normalise_name(name), [*names], n=3)]
    hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
    return (
        f'{hint}Allowed, each "increasing" or "decreasing": columns of numbers ({_listed([*numbers, *raw])}) and event '
        f"types ({_listed(events)})."
    )


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in [*names][:MAX_NAMED])
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f"{shown}{more}" if names else "there are none"


def monotone_warnings(monotone: Monotone | None) -> tuple[str, ...]:
    """Word that directions were not held to, and what holding would have cost."""
    if monotone is None or monotone.is_held:
        return ()
    return (
        f"Monotone constraints cost log loss {monotone.cost:.4f} ± {monotone.error:.4f} on past leads: left out. "
        "At least one direction is not what leads did; take out or turn those you are less sure of (learner.monotone).",
    )
