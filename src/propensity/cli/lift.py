"""The only place for what leads like one, but a band higher, did more or less of."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from propensity.cli.rows import events_to_score, raw_rows, tables_beside

if TYPE_CHECKING:
    import pandas as pd

    from propensity.bands import Bands
    from propensity.config import Config
    from propensity.explanations import Action
    from propensity.features import FeaturePlan
    from propensity.model import PropensityModel

# Steps between what a lead does and the most that is usual of SQL leads, where that is no count.
N_STEPS = 20
MAX_EVENTS = 50


def lift(
    options: argparse.Namespace, config: Config | None, model: PropensityModel, lead: pd.DataFrame
) -> dict[str, Any]:
    """Say which one or two behaviours would carry a lead over the next threshold.

    Parameters
    ----------
    options : Namespace
    config : Config or None
    model : PropensityModel
    lead : DataFrame, shape (1, any)
        The lead as the model scores it.

    Returns
    -------
    dict
        As ``--json`` shows it under ``lift``: ``band`` (the next one; None at the top), ``threshold``,
        ``looked_at`` (the behaviours tried), ``changes`` (empty where none would do) and ``probability`` with them.
    """
    from propensity.explanations import find_lift
    from propensity.scoring import judge

    nothing: dict[str, Any] = {"band": None, "threshold": None, "looked_at": [], "changes": [], "probability": None}
    if model.learned is None:
        return nothing
    goal = _next_band(float(judge(lead, model).probability[0]), lead, model.learned.bands)
    if goal is None:
        return nothing
    band, threshold = goal
    able = _of_events(options, config, model, lead) if model.plan.has_events else _of_columns(model, lead)
    found = find_lift(able.actions, able.probability_of, threshold=threshold)
    changes = {} if found is None else found.amounts
    return {
        "band": band,
        "threshold": threshold,
        "looked_at": [action.name for action in able.actions],
        "changes": [{"name": name, "more" if able.are_events else "to": n} for name, n in changes.items()],
        "probability": None if found is None else found.probability,
    }


def _next_band(probability: float, lead: pd.DataFrame, bands: Bands) -> tuple[str, float] | None:
    """Give the next band that this lead can be in, and the probability it takes; None where there is none.

    A band may be empty on purpose, and a call may have to pay by what this very lead would bring.
    """
    import numpy as np

    from propensity.schema import MQL, NURTURE, SQL

    here = str(bands.assign(np.array([probability]), leads=lead)[0])
    worth = None if bands.deal is None else bands.deal.values(lead)
    pays = 0.0
    if bands.deal is not None and worth is not None:
        pays = bands.deal.cost / worth[0] if worth[0] > 0 else np.inf
    order = (NURTURE, MQL, SQL)
    goals = [(MQL, bands.mql), (SQL, max(bands.sql, pays))]
    return next(((band, at) for band, at in goals if order.index(band) > order.index(here) and at <= 1), None)


@dataclass(frozen=True, kw_only=True)
class _Behaviours:
    """What can change, and what scores a lead once it has."""

    actions: Sequence[Action]
    probability_of: Callable[[Mapping[str, float]], float]
    are_events: bool


def _of_columns(model: PropensityModel, lead: pd.DataFrame) -> _Behaviours:
    """Let numbers that leads do change in the direction scores are held to, as far as is usual of SQL leads."""
    import numpy as np

    from propensity.explanations import Action
    from propensity.schema import normalise_name, resolve_columns
    from propensity.scoring import judge

    read, own = judge(lead, model).rows.read, resolve_columns(lead)
    actions = []
    for column, way, reach in _held(model):
        if column.family != "behaviour" or normalise_name(column.name) not in own:
            continue
        now, end = float(read[column.name].iloc[0]), reach[1] if way > 0 else reach[0]
        if np.isnan(now) or (end - now) * way <= 0:
            continue
        if float(now).is_integer() and column.is_count:
            amounts = np.arange(now + way, np.floor(end) + way if way > 0 else np.ceil(end) + way, way)
        else:
            amounts = np.linspace(now, end, N_STEPS + 1)[1:]
        actions.append(Action(name=column.name, amounts=tuple(float(f"{amount:.6g}") for amount in amounts)))

    def probability_of(amounts: Mapping[str, float]) -> float:
        changed = {str(own[normalise_name(name)]): [amount] for name, amount in amounts.items()}
        return float(judge(lead.assign(**changed), model).probability[0])

    return _Behaviours(actions=actions, probability_of=probability_of, are_events=False)


def _held(model: PropensityModel) -> list[tuple[Any, int, tuple[float, float]]]:
    """List the columns whose direction scores are held to, with that direction and what is usual of SQL leads."""
    learned, reference = model.learned, model.reference
    if learned is None or reference is None or not reference.reach:
        return []
    ways = dict(zip(learned.encoder.names, learned.directions, strict=True)) if learned.directions else {}
    return [
        (column, ways[column.name], reach)
        for column, reach in zip(model.schema.columns, reference.reach, strict=True)
        if ways.get(column.name) and reach is not None
    ]


def _of_events(
    options: argparse.Namespace, config: Config | None, model: PropensityModel, lead: pd.DataFrame
) -> _Behaviours:
    """Let more events of one kind happen just before the instant, as many as is usual of SQL leads."""
    import pandas as pd

    from propensity.features import features_as_of
    from propensity.scoring import expected_columns, judge

    plan = model.plan
    events = events_to_score(options, config, model)
    assert events is not None  # noqa: S101 - the model has events
    _, raw = raw_rows(Path(options.leads), options, config, model)
    history, _ = tables_beside(config)
    also = expected_columns(model)
    cutoff = lead[str(model.schema.cutoff)].iloc[0]

    def probability_of(amounts: Mapping[str, float]) -> float:
        # A second apart, or they would be taken for one that was recorded twice.
        times = [(name, i + 1) for name, n in amounts.items() for i in range(int(n))]
        more = _more_events(events, raw, plan, [(name, cutoff - pd.Timedelta(seconds=i)) for name, i in times])
        made = features_as_of(raw, plan, events=more, field_history=history, as_of=cutoff.isoformat(), also=also)
        return float(judge(made.frame, model).probability[0])

    return _Behaviours(actions=_event_actions(model, lead), probability_of=probability_of, are_events=True)


def _event_actions(model: PropensityModel, lead: pd.DataFrame) -> list[Action]:
    from propensity.explanations import Action

    plan = model.plan
    held = {column.name: (way, reach[1]) for column, way, reach in _held(model)}
    actions = []
    for kind in plan.types:
        counts = [name for name in (f"{kind} count {days}d" for days in plan.windows_days) if name in held]
        if not counts or any(held[name][0] < 0 for name in counts):
            continue
        # New events fall into every window: the fullest of them is the end.
        room = min(int(held[name][1] - float(lead[name].iloc[0])) for name in counts)
        if room > 0:
            actions.append(Action(name=kind, amounts=tuple(float(n) for n in range(1, min(room, MAX_EVENTS) + 1))))
    return actions


def _more_events(
    events: pd.DataFrame, lead: pd.DataFrame, plan: FeaturePlan, more: Sequence[tuple[str, pd.Timestamp]]
) -> pd.DataFrame:
    """Give the event table with more events of one lead, or of its account."""
    import pandas as pd

    from propensity.features import key_column
    from propensity.schema import find_column

    owner = find_column(lead, str(plan.group if plan.event.group else plan.id), key="columns.id")
    key = find_column(
        events, key_column(events, plan, id=plan.event.id, group=plan.event.group), key="columns.event.id"
    )
    when = find_column(events, plan.event.occurred_at, key="columns.event.occurred_at")
    what = find_column(events, plan.event.type, key="columns.event.type")
    stamps = pd.Series([at for _, at in more], dtype="datetime64[us, UTC]")
    if not pd.api.types.is_datetime64_any_dtype(events[when].dtype):
        stamps = stamps.map(lambda at: at.isoformat()).astype(object)
    elif events[when].dt.tz is None:
        stamps = stamps.dt.tz_convert(plan.timezone).dt.tz_localize(None)
    rows = pd.DataFrame({key: lead[owner].iloc[0], when: stamps, what: [name for name, _ in more]})
    return pd.concat([events.astype({what: object}), rows], ignore_index=True)


def print_lift(lift: Mapping[str, Any]) -> None:
    """Print what would lift a lead, worded as what such leads score: nobody knows what a change would cause."""
    if lift["band"] is None:
        print("\nNo band is higher than this one, for this lead.")
        return
    goal = f"{lift['band']} ({lift['threshold']:.1%} and more)"
    if not lift["looked_at"]:
        print(
            f"\nTo {goal}: no behaviour was looked at. Only those are whose direction is agreed and held: name "
            "them under [learner] monotone and train again."
        )
    elif not lift["changes"]:
        tried = ", ".join(lift["looked_at"])
        print(f"\nTo {goal}: no one and no two of these would do, within what is usual of SQL leads: {tried}.")
    else:
        changes = " and ".join(_said(change) for change in lift["changes"])
        print(
            f"\nTo {goal}: leads like this one, with {changes}, score {lift['probability']:.1%}. "
            "That is what such leads are like, not what a change would bring about."
        )


def _said(change: Mapping[str, Any]) -> str:
    return f"{change['more']:g} more {change['name']}" if "more" in change else f"{change['name']} {change['to']:g}"
