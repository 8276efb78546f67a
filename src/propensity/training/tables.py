"""The only place where lead, event and outcome tables become training rows: one a (lead, cutoff)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from propensity.asof import (
    DAY,
    NEVER,
    Conversions,
    check_joined,
    check_not_after,
    join_keys,
    microseconds,
    newest_record,
    read_stamps,
    to_stamps,
)
from propensity.config import Config, LabelsConfig
from propensity.errors import InputError
from propensity.features import (
    CUTOFF,
    FeaturePlan,
    LeadTables,
    account_of,
    choose_types,
    conversions_of,
    derived_names,
    feature_frame,
    lead_key,
    read_lead_tables,
    reading_plan,
)
from propensity.labels import LabelledRows, make_examples
from propensity.roles.fields import MAX_SHOWN, columns_of_fields, shown
from propensity.rules import build_rules
from propensity.schema import (
    MAX_CELL_CHARACTERS,
    Tables,
    content_digest,
    find_column,
    missing_words,
    normalise_name,
    read_texts,
    too_long,
    validate,
)
from propensity.training.exported import Standing, exported_fields, standing_of
from propensity.training.monotone import feature_directions
from propensity.training.rows import (
    Examples,
    Prepared,
    groups_of,
    infer_features,
    leads_per_week,
    months_of,
    said_of_clocks,
    stated_end,
)

# Counts of records that are used all the same.
IN_CLOCK_CHANGE = (
    "event_times_in_clock_change",
    "outcome_times_in_clock_change",
    "field_change_times_in_clock_change",
)
# Fewer different cutoffs cannot be cut into a past and five blocks.
MIN_CUTOFFS_IN_TIME = 3


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """(lead, cutoff) pairs that a user chose, once each.

    Parameters
    ----------
    lead : array of int, shape (n_pairs,)
        Position in the lead table.
    cutoff : array of int64, shape (n_pairs,)
    row : array of int, shape (n_pairs,)
        Where the pair stands in its table.
    notes : dict of str to int
        Rows of that table left out, by reason.
    """

    lead: np.ndarray
    cutoff: np.ndarray
    row: np.ndarray
    notes: Mapping[str, int]


def prepare_tables(tables: Tables, config: Config) -> Prepared:
    """Make training rows of tables: (lead, cutoff) pairs with a matured label and what was known at the cutoff.

    Raises
    ------
    InputError
        All that is wrong with tables, columns or rows.
    """
    columns, labels, words = config.columns, config.labels, config.data.missing
    plan = replace(reading_plan(config), signals=build_rules(config.rules, missing=config.data.missing).signals)
    if len(tables.leads) == 0:
        msg = f"{tables.source} (data.leads) has a header but no rows. Give leads whose outcome is known."
        raise InputError(msg)
    # A lead table with a cutoff of its own has a row a touch, and each touch its own values.
    touches = tables.leads if columns.cutoff else None
    leads = tables.leads if touches is None else _one_a_lead(tables.leads, plan, config)
    asked = [*columns.fit, *columns.behaviour, *(rule.column for rule in config.rules.points if rule.column)]
    also = [
        name for name in (*asked, columns.date, columns.group, columns.converted_at, *_beside(leads, config)) if name
    ]
    read = read_lead_tables(leads, plan, events=tables.events, field_history=tables.field_history, also=also)
    if len(read.names) == 0:
        msg = f"No lead has an id: column {plan.id!r} (columns.id) is empty in every row. Name another."
        raise InputError(msg)
    _check_history(read, [*map(str, leads.columns)])
    _check_types(tables.events, read, config)
    conversions = conversions_of(read.leads, pd.Index(read.names), plan, config, outcomes=tables.outcomes)
    chosen = _chosen(tables.cutoffs if touches is None else touches, read, config)
    extracted_at = _extracted_at(read, conversions, config)
    keys = account_of(read.leads, config) if columns.outcome.group else np.arange(len(read.names))
    closed = _closed_at(read, config)
    rows = _labelled_rows(read, conversions, config, keys=keys, closed=closed, chosen=chosen, extracted_at=extracted_at)
    if read.events is not None:
        families = {name: [*types] for name, types in config.features.families.items()}
        plan = choose_types(plan, read.events, before=int(rows.cutoff.max()), families=families)
    own = None if touches is None or chosen is None else _touches_of(touches, rows, chosen)
    frame = feature_frame(read, plan, lead=rows.lead, cutoff=rows.cutoff, given=own)
    schema, notes = infer_features(frame, plan, config)
    known = () if read.events is None else read.events.types
    directions, unheld = feature_directions(config.learner.monotone, schema, plan, left_out=notes, types=known)
    # Bad cells are refused where a person finds them: by row of the lead file, not of what was made of it.
    there = {normalise_name(name) for name in tables.leads.columns}
    raw = tuple(column for column in schema.columns if normalise_name(column.name) in there)
    validate(tables.leads, replace(schema, columns=raw, cutoff=columns.cutoff))
    schema = replace(schema, cutoff=CUTOFF)
    rules = build_rules(config.rules, missing=words, schema=schema)
    valid = validate(frame, schema)
    group = groups_of(frame, columns.group, missing=words) if columns.group else None
    # Rows in time, then by name: numbers of groups must not hang on the file's order.
    canonical = np.lexsort((rows.lead, rows.cutoff))
    cutoff = rows.cutoff[canonical]
    weight = rows.weight[canonical]
    examples = Examples(
        leads=frame.iloc[canonical].reset_index(drop=True),
        read=valid.read.iloc[canonical].reset_index(drop=True),
        y=rows.y[canonical],
        groups=pd.factorize((rows.lead if group is None else group)[canonical])[0],
        order=cutoff,
        fold=None,
        known=cutoff + labels.horizon_days * DAY,
        weight=None if (weight == 1).all() else weight,
        is_apart=not labels.repeat,
        month=months_of(to_stamps(cutoff), timezone=config.data.timezone),
    )
    counts = {**read.notes, **conversions.notes, **(chosen.notes if chosen else {}), **rows.dropped}
    # Times read by a rule are used: they are told, not counted among what is not.
    unclear = sum(counts.pop(name, 0) for name in IN_CLOCK_CHANGE)
    exported = None
    if read.history is not None:
        exported = exported_fields(
            read.leads if own is None else own,
            read.history,
            plan,
            row=rows.lead[canonical] if own is None else canonical,
            lead=rows.lead[canonical],
            y=examples.y,
            converted_at=conversions.following(keys[rows.lead], rows.cutoff)[canonical],
        )
    standing = None
    if own is None:  # a touch has values of its own, which are not the lead's at the export
        won_at = conversions.first(int(keys.max()) + 1)[keys]
        standing = _standing(read, won_at, closed, labels, extracted_at=extracted_at)
    return Prepared(
        examples=examples,
        schema=schema,
        rules=rules,
        notes=notes,
        dropped={name: n for name, n in counts.items() if n},
        target=f"a conversion within {labels.horizon_days} days of the cutoff",
        leads_per_week=_created_per_week(read.created_at),
        data_end=str(to_stamps(np.array([extracted_at]))[0].isoformat()),
        digest=content_digest(
            examples.read.assign(**{"target ": examples.y}),
            order=[f"{name} {at}" for name, at in zip(read.names[rows.lead[canonical]], cutoff, strict=True)],
        ),
        plan=plan,
        said=(
            *_said_of_rows(rows, conversions, config),
            *said_of_clocks(unclear, config, what="times of events, outcomes and field changes"),
            *_said_of_creation(read, plan, config),
            *unheld,
        ),
        directions=directions,
        in_time=_in_time(schema.names, plan, read),
        standing=standing,
        exported=exported,
    )


def _beside(leads: pd.DataFrame, config: Config) -> tuple[str, ...]:
    """Name the columns that are looked at beside the features: what a win would bring, whom an audit is about."""
    named = [("agreement.value_column", config.agreement.value_column)]
    named += [("evaluation.audit_groups", name) for name in config.evaluation.audit_groups]
    return tuple(str(find_column(leads, name, key=key)) for key, name in named if name)


def _check_history(read: LeadTables, columns: Sequence[str]) -> None:
    """Refuse a history of no column of the leads: today's values would stand for those of long ago.

    Raises
    ------
    InputError
    """
    if read.history is None:
        return
    fields = [*dict.fromkeys(read.history.frame["field"])]
    if {*fields} & {*map(normalise_name, columns)}:
        return
    alike = columns_of_fields(fields, columns)
    calls = ", ".join(f"{field[:40]!r} as {column[:40]!r}" for field, column in [*alike.items()][:MAX_SHOWN])
    advice = f" Let data.field_history have a query that calls {calls}; init writes it." if calls else ""
    msg = (
        "No change in the field history is of a column of the leads"
        f"{_in_brackets(_counted(read.history.notes, 'field'))}. Its fields: {shown(fields)}. The leads' columns: "
        f"{shown(columns)}.{advice} Check which columns name the lead, the field and the time (columns.field_history)."
    )
    raise InputError(msg)


def _check_types(events: pd.DataFrame | None, read: LeadTables, config: Config) -> None:
    """Refuse types of events that are too long to be names.

    Raises
    ------
    InputError
    """
    n_long = read.notes.get("events_too_long", 0)
    if events is None or not n_long:
        return
    name = str(find_column(events, config.columns.event.type, key="columns.event.type"))
    rows = ", ".join(str(i + 1) for i in np.flatnonzero(too_long(events[[name]]))[:5])
    msg = (
        f"{n_long:,} events hold a type of more than {MAX_CELL_CHARACTERS:,} characters (column {name!r}, "
        f"columns.event.type; first data rows {rows}). Shorten it: a type is a name."
    )
    raise InputError(msg)


def _in_time(names: Sequence[str], plan: FeaturePlan, read: LeadTables) -> frozenset[str]:
    """Give the features that are made of records known before the cutoff, whatever they are called."""
    kept = set() if read.history is None else {*read.history.frame["field"]}
    made = {*plan.behaviour_names} | {
        name
        for column, kind in plan.derive.items()
        if normalise_name(column) in kept
        for name in derived_names(column, kind)
    }
    return frozenset(name for name in names if name in made or normalise_name(name) in kept)


def _extracted_at(read: LeadTables, conversions: Conversions, config: Config) -> int:
    """Give the instant up to which the tables know: as configured, else their newest stamp.

    Raises
    ------
    InputError
        No record is any lead's, or some are later than the configured instant, or than all others by long.
    """
    if config.data.events is not None and read.n_logged == 0:
        msg = (
            f"None of the events can be used ({_counted(read.notes, 'events')}). Check which columns name the lead "
            "(columns.event.id, columns.id), the time (columns.event.occurred_at) and the type (columns.event.type)."
        )
        raise InputError(msg)
    if len(conversions.at) == 0:
        msg = (
            f"None of the outcomes can be used ({_counted(conversions.notes, 'outcomes') or 'all without a date'}). "
            "Check which columns name the lead (columns.outcome.id, columns.id) and the time "
            "(columns.outcome.converted_at, columns.converted_at)."
        )
        raise InputError(msg)
    at = stated_end(config.data)
    if at is None:
        labels = config.labels
        newest = newest_record(
            [conversions.at, *read.known_at()],
            # Where nothing was seen for a whole label window, no label was either.
            quiet_days=labels.horizon_days + labels.ingest_lag_days,
            next_step="Labels would be taken for matured that nobody saw. Mend their dates, or set data.extracted_at "
            "to when the files were exported.",
        )
        return NEVER if newest is None else newest
    check_not_after(conversions.at, at, what="conversions")
    check_not_after(read.created_at, at, what="leads' dates of creation (columns.date)")
    if read.events is not None:
        check_not_after(read.events.known_at, at, what="events")
    if read.history is not None:
        check_not_after(read.history.frame["at"].to_numpy(), at, what="field changes")
    return at


def _counted(notes: Mapping[str, int], about: str = "") -> str:
    return ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in notes.items() if name.startswith(about))


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _labelled_rows(
    read: LeadTables,
    conversions: Conversions,
    config: Config,
    *,
    keys: np.ndarray,
    closed: np.ndarray | None,
    chosen: Chosen | None,
    extracted_at: int,
) -> LabelledRows:
    """Make the (lead, cutoff) rows whose label has matured.

    Raises
    ------
    InputError
        There are none, or none of them converted.
    """
    if chosen is None and (read.created_at == NEVER).all():
        msg = (
            "No lead says when it was created, and is looked at from then on. Name the column that does "
            "(columns.date), or give cutoffs of your own (data.cutoffs)."
        )
        raise InputError(msg)
    rows = make_examples(
        read.created_at,
        conversions,
        config.labels,
        extracted_at=extracted_at,
        names=read.names,
        keys=keys,
        closed_lost_at=closed,
        chosen=None if chosen is None else (chosen.lead, chosen.cutoff),
        seed=config.learner.seed,
    )
    if len(rows.lead) == 0:
        msg = (
            f"No lead has a matured outcome: the tables end on {to_stamps(np.array([extracted_at]))[0]:%Y-%m-%d}, and "
            f"labels.horizon_days + ingest_lag_days must fit between a cutoff and that day "
            f"({_counted(rows.dropped) or 'no leads'}). Give a longer history, or a shorter horizon."
        )
        raise InputError(msg)
    if not rows.y.any():
        counted = _counted({**conversions.notes, **rows.dropped})
        msg = (
            f"None of the {len(conversions.at):,} conversions falls in a label window of {config.labels.horizon_days} "
            f"days after a cutoff{_in_brackets(counted)}. Check the ids and dates of the outcomes "
            "(data.outcomes), or lengthen labels.horizon_days."
        )
        raise InputError(msg)
    return rows


def _closed_at(read: LeadTables, config: Config) -> np.ndarray | None:
    """Give when each lead was closed as lost; None where no column says so."""
    name, key = config.columns.closed_lost_at, "columns.closed_lost_at"
    if not name:
        return None
    where = {"timezone": config.data.timezone, "missing": config.data.missing}
    return microseconds(read_stamps(read.leads, name, key=key, date_is_start=True, **where).at)  # type: ignore[arg-type]


def _standing(
    read: LeadTables,
    converted_at: np.ndarray,
    closed: np.ndarray | None,
    labels: LabelsConfig,
    *,
    extracted_at: int,
) -> Standing | None:
    """Give how leads stood at the export; None where leads convert again, or too few are open.

    Where the lead table says who was closed as lost, all others that have not converted are open. Else those are whose
    label has not matured: an older one may be closed or not, and stands for the leads that did not convert.
    """
    if labels.repeat:
        return None
    born, is_won = read.created_at, converted_at < NEVER
    # Who converted before it came in was a customer all along.
    row = np.flatnonzero((born <= extracted_at) & (converted_at >= born))
    wait = (labels.horizon_days + labels.ingest_lag_days) * DAY
    is_done = born <= extracted_at - wait if closed is None else closed < NEVER
    is_open = ~is_won & ~is_done
    return standing_of(read.leads, row, is_won[row].astype(float), born[row], is_open=is_open[row])


def _one_a_lead(leads: pd.DataFrame, plan: FeaturePlan, config: Config) -> pd.DataFrame:
    """Give a row a lead from a table with a row a touch: what does not change with the touch.

    Raises
    ------
    InputError
        It does change: which touch counted would hang on the order of the file.
    """
    lead_id = find_column(leads, str(plan.id), key="columns.id")
    keys = join_keys(leads[lead_id], missing=missing_words(plan.missing, str(lead_id)))
    steady = {f"columns.{name}": getattr(config.columns, name) for name in ("date", "group", "converted_at")}
    kept = {key: find_column(leads, name, key=key) for key, name in steady.items() if name}
    for key, column in kept.items():
        texts = read_texts(leads[column], missing=missing_words(plan.missing, str(column))).fillna("")
        is_other = (texts != texts.groupby(keys).transform("first")) & keys.notna()
        if is_other.any():
            rows = ", ".join(str(i + 1) for i in np.flatnonzero(is_other)[:5])
            msg = (
                f"Rows of one lead must agree in column {str(column)!r} ({key}): {int(is_other.sum()):,} differ from "
                f"the first row of their lead (first data rows {rows}). Write in all rows what holds for the lead."
            )
            raise InputError(msg)
    return leads[[lead_id, *kept.values()]].drop_duplicates(subset=[lead_id]).reset_index(drop=True)


def _chosen(frame: pd.DataFrame | None, read: LeadTables, config: Config) -> Chosen | None:
    """Read the user's own (lead, cutoff) pairs; None where there are none."""
    if frame is None:
        return None
    columns, where = config.columns, {"timezone": config.data.timezone, "missing": config.data.missing}
    own = columns.cutoff is not None
    name = columns.cutoff or columns.cutoffs.cutoff
    cutoff = microseconds(
        read_stamps(frame, name, key=f"columns.{'cutoff' if own else 'cutoffs.cutoff'}", date_is_start=True, **where).at  # type: ignore[arg-type]
    )
    id_name = str(reading_plan(config).id) if own else columns.cutoffs.id
    column = find_column(frame, id_name, key="columns.id" if own else "columns.cutoffs.id")
    keys = join_keys(frame[column], missing=missing_words(config.data.missing, str(column)))
    if not own:
        leads = lead_key(reading_plan(config))
        check_joined(keys, pd.Index(read.names), leads, what="cutoffs", column=column, key="columns.cutoffs.id")
    lead = pd.Index(read.names).get_indexer(pd.Index(keys))
    pairs = pd.DataFrame({"lead": lead, "cutoff": cutoff, "row": np.arange(len(frame))})
    good = pairs[(lead >= 0) & (cutoff < NEVER)]
    pairs = good.drop_duplicates(["lead", "cutoff"])
    notes = {
        "cutoffs_of_unknown_leads": int((lead < 0).sum()),
        "cutoffs_without_time": int((cutoff == NEVER).sum()),
        "cutoffs_twice": len(good) - len(pairs),
    }
    notes = {name: n for name, n in notes.items() if n}
    if len(pairs) == 0:
        msg = (
            f"Column {name!r} gives no cutoff of a known lead ({_counted(notes) or 'there are no rows'}). "
            "Check the ids and dates of the cutoffs (data.cutoffs, columns.cutoffs)."
        )
        raise InputError(msg)
    return Chosen(
        lead=pairs["lead"].to_numpy(), cutoff=pairs["cutoff"].to_numpy(), row=pairs["row"].to_numpy(), notes=notes
    )


def _touches_of(touches: pd.DataFrame, rows: LabelledRows, chosen: Chosen) -> pd.DataFrame:
    """Give the touch that each (lead, cutoff) row was."""
    place = pd.DataFrame({"lead": chosen.lead, "cutoff": chosen.cutoff, "row": chosen.row})
    wanted = pd.DataFrame({"lead": rows.lead, "cutoff": rows.cutoff}).merge(place, on=["lead", "cutoff"], how="left")
    return touches.iloc[wanted["row"].to_numpy()]


def _created_per_week(created_at: np.ndarray) -> float | None:
    known = to_stamps(created_at[created_at < NEVER])
    return leads_per_week(known) if len(known) else None


def _said_of_creation(read: LeadTables, plan: FeaturePlan, config: Config) -> tuple[str, ...]:
    """Word what is odd about when leads were created: in a change of clocks, or after they had done something."""
    if plan.date is None:
        return ()
    # A date without a time may have been any moment of that day: what happened on it did not happen before.
    stamps = read_stamps(
        read.leads, plan.date, key="columns.date", timezone=plan.timezone, missing=plan.missing, date_is_start=True
    )
    said = said_of_clocks(stamps.in_clock_change, config, what="dates of creation")
    if read.events is None:
        return said
    first = np.full(len(read.owners), NEVER)
    has_owner = read.owner >= 0
    np.minimum.at(first, read.owner[has_owner], microseconds(stamps.at)[has_owner])
    # Stages, which stand behind the log, are dates of the leads themselves.
    key, occurred_at = read.events.key[: read.n_logged], read.events.occurred_at[: read.n_logged]
    is_early = (occurred_at < first[key]) & (first[key] < NEVER)
    if not is_early.any():
        return said
    whose = "account" if plan.event.group else "lead"
    return (
        *said,
        f"{int(is_early.sum()):,} events of {len(np.unique(key[is_early])):,} {whose}s happened before their {whose} "
        "was created (columns.date), and count like any other. If that cannot be, mend that date, or its time zone "
        "(data.timezone).",
    )


def _said_of_rows(rows: LabelledRows, conversions: Conversions, config: Config) -> tuple[str, ...]:
    """Word what a person should know of how rows were made."""
    said = []
    n_again = len(conversions.key) - len(np.unique(conversions.key))
    if n_again and not config.labels.repeat:
        whose = "account" if config.columns.outcome.group else "lead"
        said.append(
            f"{n_again:,} conversions came after another of the same {whose} and were not used. "
            "Customers who come back: repeat = true under [labels]."
        )
    reopened = rows.dropped.get("reopened", 0)
    if reopened and config.columns.closed_lost_at:
        said.append(f"{reopened:,} leads converted after they were closed as lost; closed is not final for these.")
    if config.labels.closed_lost_is_final and config.columns.closed_lost_at:
        said.append(
            "labels.closed_lost_is_final lets young rows teach that were lost, while young ones that converted wait: "
            "expect probabilities somewhat too low."
        )
    n_cutoffs = len(np.unique(rows.cutoff))
    if n_cutoffs < MIN_CUTOFFS_IN_TIME:
        said.append(
            f"{n_cutoffs} different cutoffs are too few for blocks in time: the model is cross-fitted by "
            f"{'account' if config.columns.group else 'lead'}."
        )
    return tuple(said)
