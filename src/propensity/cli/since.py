"""The only place for why a lead's score moved: from the files and the model of then to those of now."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from propensity.cli.models import find_model
from propensity.cli.rows import events_to_score, raw_rows, tables_beside
from propensity.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from propensity.cli.models import Found
    from propensity.config import Config
    from propensity.explanations import Change, Steps
    from propensity.features import ScoringRows
    from propensity.model import PropensityModel

# What happens to a record between two scores, in this order.
STEPS = ("time passing", "what happened", "edited fields")
MAX_SHOWN = 10
# Fewer points than this are shown as none.
MIN_SHOWN = 0.005


def add_since(parser: argparse.ArgumentParser) -> None:
    """Add the options that name what was known at an earlier score."""
    parser.add_argument("--since", metavar="OLD_LEADS", help="why the score moved since this file was scored")
    parser.add_argument("--since-events", metavar="F", help="its events; default: those of now that were known by then")
    parser.add_argument("--since-as-of", metavar="T", default="", help="the instant it was scored as of")
    parser.add_argument("--since-model", metavar="URI", help="the model it was scored with; default: the same")


@dataclass(frozen=True, kw_only=True)
class _Record:
    """What was known of one lead, and as of when."""

    lead: pd.DataFrame
    events: pd.DataFrame | None
    as_of: str
    converted_at: np.ndarray | None = None


def check_since(options: argparse.Namespace) -> None:
    """Refuse what is asked of an earlier score where none is named."""
    given = [name for name in ("since_events", "since_as_of", "since_model") if getattr(options, name)]
    if given and not options.since:
        msg = f"--{given[0].replace('_', '-')} is of an earlier score: name the leads of then with --since OLD_LEADS."
        raise InputError(msg)


def since(
    options: argparse.Namespace, config: Config | None, found: Found, row: pd.DataFrame, as_of: str
) -> dict[str, Any]:
    """Say why a lead's score moved.

    Parameters
    ----------
    options : Namespace
    config : Config or None
    found : Found
        The model of now.
    row : DataFrame, shape (1, any)
        The lead as `found.model` scores it now.
    as_of : str
        The instant of now; empty where unknown.

    Returns
    -------
    dict
        As ``--json`` shows it under ``since``. No ``change`` where a model did not answer then and now.

    Raises
    ------
    InputError
        The lead is not in the file of then, nothing says as of when that was scored, or there is no model.
    """
    from propensity.explanations import attribute
    from propensity.scoring import score

    old = found if options.since_model is None else find_model(_with(options, model=options.since_model), config)
    for one in (old, found):
        if one.rules_reason:
            msg = f"--since takes apart what models say, and one of the two is not there. {one.why}"
            raise InputError(msg)
    then, now = _records(options, config, found.model, row, as_of)
    ends = []
    for one, record in ((old, then), (found, now)):
        rows = _row(one.model, record)
        ends.append(score(rows.frame, model=one.model, as_of=record.as_of, aside=rows.aside).frame)
    told = {
        side: {
            "as_of": shown["as_of"],
            "probability": None if shown["probability"] != shown["probability"] else float(shown["probability"]),
            "band": shown["band"],
            "scored_by": shown["scored_by"],
            "fallback_reason": shown["fallback_reason"],
            "model_version": shown["model_version"],
            "thresholds": _thresholds(one.model),
        }
        for side, one, shown in zip(("then", "now"), (old, found), (end.iloc[0] for end in ends), strict=True)
    }
    if any(side["scored_by"] != "model" for side in told.values()):
        return told
    change = attribute(_steps(old.model, then, now), _steps(found.model, then, now))
    is_split = any(_is_made(one.model, now) for one in (old, found))
    return told | {"change": _change(change, is_split=is_split)}


def _records(
    options: argparse.Namespace, config: Config | None, model: PropensityModel, row: pd.DataFrame, as_of: str
) -> tuple[_Record, _Record]:
    """Read what was known of the lead then, and what is known now."""
    import pandas as pd

    from propensity.features import features_as_of, first_conversions, instant_of
    from propensity.scoring import expected_columns, wants_features

    (whole_then, lead_then), (whole_now, lead_now) = (
        raw_rows(Path(path), options, config, model) for path in (options.since, options.leads)
    )
    if not (options.events or wants_features(whole_now, model)):  # rows as the model takes them
        return (
            _Record(lead=lead_then, events=None, as_of=options.since_as_of),
            _Record(lead=lead_now, events=None, as_of=as_of),
        )
    events = events_to_score(options, config, model)
    then_events = events
    if options.since_events:
        then_events = events_to_score(_with(options, events=options.since_events), config, model)
    at = options.since_as_of
    if not at and not options.since_events and model.plan.has_events:
        msg = (
            "Nothing says as of when OLD_LEADS was scored: name it (--since-as-of YYYY-MM-DD), or give the events of "
            "then (--since-events), whose newest is taken."
        )
        raise InputError(msg)
    history, outcomes = tables_beside(config)
    plan = model.plan
    also = expected_columns(model)
    if not at:
        found = features_as_of(whole_then, plan, events=then_events, field_history=history, also=also).frame
        at = found[str(model.schema.cutoff)].max().isoformat()
    now_at = row[str(model.schema.cutoff)].iloc[0]
    now = as_of if pd.isna(now_at) else now_at.isoformat()
    if instant_of(at, plan) > instant_of(now, plan):
        msg = f"OLD_LEADS would be of {at[:40]}, later than now, {now[:40]}: name an earlier --since-as-of."
        raise InputError(msg)
    records = []
    for lead, log, instant in ((lead_then, then_events, at), (lead_now, events, now)):
        made = features_as_of(lead, plan, events=log, field_history=history, as_of=instant, also=also).frame
        # Fields as they were known at that instant: what the history says of later does not count twice.
        known = {name: made[name] for name in lead.columns if name in made.columns} if history is not None else {}
        won = first_conversions(lead, plan, config, outcomes=outcomes) if config else None
        records.append(_Record(lead=lead.assign(**known), events=log, as_of=instant, converted_at=won))
    return records[0], records[1]


def _row(model: PropensityModel, record: _Record) -> ScoringRows:
    """Give one lead's row as a model takes it, or why nobody scores it."""
    from propensity.features import ScoringRows, features_as_of
    from propensity.scoring import expected_columns

    if not _is_made(model, record):
        return ScoringRows(frame=record.lead)
    return features_as_of(
        record.lead,
        model.plan,
        events=record.events if model.plan.has_events else None,
        as_of=record.as_of,
        converted_at=record.converted_at,
        also=expected_columns(model),
    )


def _is_made(model: PropensityModel, record: _Record) -> bool:
    """Say whether a row must be made of more than the lead table, so that its change has steps."""
    from propensity.scoring import wants_features

    return record.events is not None or wants_features(record.lead, model)


def _steps(model: PropensityModel, then: _Record, now: _Record) -> Steps:
    """Score the record of then, that record once time has passed, with what happened, and that of now."""
    import numpy as np

    from propensity.explanations import Steps, grouped
    from propensity.scoring import judge

    states = [then.lead, then.lead, then.lead, now.lead]
    if _is_made(model, now):
        known = replace(then, events=_known_then(model, then))
        aged = replace(known, as_of=now.as_of)
        states = [_row(model, record).frame for record in (known, aged, replace(aged, events=now.events), now)]
    groups = model.reason_groups
    parts, probability = [], []
    for state in states:
        judged = judge(state, model)
        if judged.explanation is None:
            msg = f"The reasons of this model failed their own test ({judged.fault}): nothing can be attributed by it."
            raise InputError(msg)
        columns = tuple(group.columns for group in groups)
        parts.append(grouped(judged.explanation, columns).log_odds_parts[0])
        probability.append(judged.probability[0])
    names = tuple(group.name for group in groups)
    return Steps(names=names, log_odds_parts=np.array(parts), probability=np.array(probability))


def _known_then(model: PropensityModel, then: _Record) -> pd.DataFrame | None:
    """Give the events that were known at the instant of then."""
    from propensity.asof import known_before
    from propensity.features import instant_of

    plan = model.plan
    if then.events is None or not plan.has_events:
        return None
    known = known_before(
        then.events, plan.event, instant_of(then.as_of, plan), timezone=plan.timezone, missing=plan.missing
    )
    if not len(known):
        msg = "No event was known yet as of then (--since-as-of): name a later instant, or the events of then."
        raise InputError(msg)
    return known


def _thresholds(model: PropensityModel) -> dict[str, float] | None:
    return None if model.learned is None else {"sql": model.learned.bands.sql, "mql": model.learned.bands.mql}


def _with(options: argparse.Namespace, **values: object) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(options), **values})


def _change(change: Change, *, is_split: bool) -> dict[str, Any]:
    order = sorted(range(len(change.names)), key=lambda i: -abs(change.data[i].sum()))
    return {
        "points": change.total,
        "of_the_record": float(change.data.sum()),
        "of_the_model": change.model,
        "steps": dict(zip(STEPS, change.data.sum(axis=0).tolist(), strict=True)) if is_split else None,
        "groups": [
            {
                "name": change.names[i],
                "points": float(change.data[i].sum()),
                "steps": dict(zip(STEPS, change.data[i].tolist(), strict=True)) if is_split else None,
            }
            for i in order
            if change.data[i].any()
        ],
    }


def print_since(since: dict[str, Any]) -> None:
    """Print why a score moved, as people read it."""
    then, now = since["then"], since["now"]
    when = f"Since the score as of {then['as_of'][:10]}" if then["as_of"] else "Since then"
    print(f"\n{when}: {_shown(then)} then, {_shown(now)} now", end="")
    change = since.get("change")
    if change is None:
        print(". A score that no model gave cannot be taken apart: nothing is attributed.")
        return
    print(f": {change['points']:+.1f} points")
    told = [group for group in change["groups"] if abs(group["points"]) >= MIN_SHOWN]
    shown, rest = told[:MAX_SHOWN], told[MAX_SHOWN:]
    parts = [(group["name"][:40], group["points"], group["steps"]) for group in shown]
    if rest:
        parts.append((f"{len(rest)} others", sum(group["points"] for group in rest), None))
    width = max([len("the record of the lead"), *(len(name) + 2 for name, _, _ in parts)])
    print(f"  {'the record of the lead':{width}} {change['of_the_record']:>+8.2f}{_split(change['steps'])}")
    for name, points, steps in parts:
        print(f"    {name:{width - 2}} {points:>+8.2f}{_split(steps)}")
    is_same = then["model_version"] == now["model_version"]
    print(f"  {'the model':{width}} {change['of_the_model']:>+8.2f}{'  (the same)' if is_same else ''}")
    for name in ("sql", "mql"):
        before, after = (side["thresholds"][name] for side in (then, now))
        if before != after:
            print(f"  The threshold of {name.upper()} moved from {before:.1%} to {after:.1%}.")


def _shown(side: dict[str, Any]) -> str:
    return side["band"] if side["probability"] is None else f"{side['probability']:.1%} ({side['band']})"


def _split(steps: dict[str, float] | None) -> str:
    parts = [f"{name} {points:+.2f}" for name, points in (steps or {}).items() if abs(points) >= MIN_SHOWN]
    return f"  {', '.join(parts)}" if parts else ""
