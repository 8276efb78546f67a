"""The only place where lead, event and outcome tables become training rows: one a (lead, cutoff)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from propensity.asof import (
    NEVER,
    Conversions,
    check_not_after,
    join_keys,
    microseconds,
    parse_stamps,
    read_conversions,
    read_stamps,
    to_stamps,
)
from propensity.config import Config
from propensity.errors import InputError
from propensity.features import (
    CUTOFF,
    FeaturePlan,
    LeadTables,
    choose_types,
    feature_frame,
    key_column,
    read_lead_tables,
    reading_plan,
)
from propensity.labels import LabelledRows, make_examples
from propensity.rules import build_rules
from propensity.schema import (
    Tables,
    content_digest,
    find_column,
    missing_words,
    validate,
)
from propensity.training.rows import Examples, Prepared, groups_of, infer_features, leads_per_week

# Fewer different cutoffs cannot be cut into a past and five blocks.
MIN_CUTOFFS_IN_TIME = 3
DAY = 24 * 3600 * 1_000_000


def prepare_tables(tables: Tables, config: Config) -> Prepared:
    """Make training rows of tables: (lead, cutoff) pairs with a matured label and what was known at the cutoff.

    Raises
    ------
    InputError
        All that is wrong with tables, columns or rows.
    """
    columns, labels, words = config.columns, config.labels, config.data.missing
    plan = reading_plan(config)
    # A lead table with a cutoff of its own has a row a touch, and each touch its own values.
    touches = tables.leads if columns.cutoff else None
    leads = tables.leads if touches is None else _one_a_lead(tables.leads, plan, config)
    asked = [*columns.fit, *columns.behaviour, *(rule.column for rule in config.rules.points)]
    also = [name for name in (*asked, columns.date, columns.group, columns.converted_at) if name]
    read = read_lead_tables(leads, plan, events=tables.events, field_history=tables.field_history, also=also)
    conversions = _conversions(tables, read, config)
    chosen = _chosen(tables.cutoffs if touches is None else touches, read, config)
    extracted_at = _extracted_at(read, conversions, config)
    rows = _labelled_rows(read, conversions, config, chosen=chosen, extracted_at=extracted_at)
    if read.events is not None:
        families = {name: [*types] for name, types in config.features.families.items()}
        plan = choose_types(plan, read.events, before=int(rows.cutoff.max()), families=families)
    own = None if touches is None or chosen is None else _touches_of(touches, rows, chosen)
    frame = feature_frame(read, plan, lead=rows.lead, cutoff=rows.cutoff, given=own)
    schema, notes = infer_features(frame, plan, config)
    schema = replace(schema, cutoff=CUTOFF)
    rules = build_rules(config.rules, missing=words, schema=schema)
    valid = validate(frame, schema)
    group = groups_of(frame, columns.group) if columns.group else None
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
    )
    return Prepared(
        examples=examples,
        schema=schema,
        rules=rules,
        notes=notes,
        dropped={name: n for name, n in {**read.notes, **conversions.notes, **rows.dropped}.items() if n},
        target=f"a conversion within {labels.horizon_days} days of the cutoff",
        leads_per_week=_created_per_week(read.created_at),
        data_end=str(to_stamps(np.array([extracted_at]))[0].isoformat()),
        digest=content_digest(
            examples.read.assign(**{"target ": examples.y}),
            order=[f"{name} {at}" for name, at in zip(read.names[rows.lead[canonical]], cutoff, strict=True)],
        ),
        plan=plan,
        said=_said_of_rows(rows, config),
    )


def _extracted_at(read: LeadTables, conversions: Conversions, config: Config) -> int:
    """Give the instant up to which the tables know: as configured, else their newest stamp.

    Raises
    ------
    InputError
        No record is any lead's, or some are later than the configured instant.
    """
    if read.events is not None and len(read.events) == 0:
        msg = "None of the events belongs to a lead. Check which column names the lead (columns.event.id, columns.id)."
        raise InputError(msg)
    if len(conversions.at) == 0:
        msg = "None of the outcomes belongs to a lead. Check which column names the lead (columns.outcome.id)."
        raise InputError(msg)
    given = config.data.extracted_at
    if given is None:
        return max(int(conversions.at.max()), read.newest() or 0)
    written = pd.Series([given.isoformat()])
    at = int(microseconds(parse_stamps(written, timezone=config.data.timezone, name="data.extracted_at").at)[0])
    check_not_after(conversions.at, at, what="conversions")
    if read.events is not None:
        check_not_after(read.events.occurred_at, at, what="events")
    return at


def _labelled_rows(
    read: LeadTables,
    conversions: Conversions,
    config: Config,
    *,
    chosen: tuple[np.ndarray, np.ndarray, np.ndarray] | None,
    extracted_at: int,
) -> LabelledRows:
    """Make the (lead, cutoff) rows whose label has matured.

    Raises
    ------
    InputError
        There are none, or none of them converted.
    """
    columns = config.columns
    closed = None
    if columns.closed_lost_at:
        where = {"timezone": config.data.timezone, "missing": config.data.missing}
        key = "columns.closed_lost_at"
        closed = microseconds(read_stamps(read.leads, columns.closed_lost_at, key=key, **where).at)  # type: ignore[arg-type]
    rows = make_examples(
        read.created_at,
        conversions,
        config.labels,
        extracted_at=extracted_at,
        names=read.names,
        keys=_account_of(read, config) if columns.outcome.group else None,
        closed_lost_at=closed,
        chosen=None if chosen is None else chosen[:2],
        seed=config.learner.seed,
    )
    if len(rows.lead) == 0:
        counted = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in rows.dropped.items())
        msg = (
            f"No lead has a matured outcome: the tables end on {to_stamps(np.array([extracted_at]))[0]:%Y-%m-%d}, and "
            f"labels.horizon_days + ingest_lag_days must fit between a cutoff and that day ({counted or 'no leads'}). "
            "Give a longer history, or a shorter horizon."
        )
        raise InputError(msg)
    if not rows.y.any():
        msg = "No conversion falls in any label window. Check the outcomes' ids and dates (data.outcomes)."
        raise InputError(msg)
    return rows


def _conversions(tables: Tables, read: LeadTables, config: Config) -> Conversions:
    """Put together the conversions of the outcome table and of the lead table's own column."""
    columns, where = config.columns, {"timezone": config.data.timezone, "missing": config.data.missing}
    parts = []
    if tables.outcomes is not None:
        names = columns.outcome
        keys = pd.Index(pd.factorize(_accounts(read, config), sort=True)[1] if names.group else read.names)
        key = key_column(tables.outcomes, reading_plan(config), id=names.id, group=names.group)
        parts.append(
            read_conversions(tables.outcomes, key=key, converted_at=names.converted_at, keys=keys, **where)  # type: ignore[arg-type]
        )
    if columns.converted_at and columns.outcome.group:
        msg = "Outcomes are by account (columns.outcome.group): take columns.converted_at out, it is by lead."
        raise InputError(msg)
    if columns.converted_at:
        parts.append(
            read_conversions(
                read.leads,
                key=str(reading_plan(config).id),
                converted_at=columns.converted_at,
                keys=pd.Index(read.names),
                **where,  # type: ignore[arg-type]
            )
        )
    if not parts:
        msg = "Nothing says who converted: name data.outcomes, or the lead table's date of it (columns.converted_at)."
        raise InputError(msg)
    table = pd.DataFrame(
        {"key": np.concatenate([part.key for part in parts]), "at": np.concatenate([part.at for part in parts])}
    )
    table = table.drop_duplicates().sort_values(["key", "at"])
    notes = {name: n for part in parts for name, n in part.notes.items()}
    return Conversions(key=table["key"].to_numpy(), at=table["at"].to_numpy(), notes=notes)


def _accounts(read: LeadTables, config: Config) -> pd.Series:
    column = find_column(read.leads, str(config.columns.group), key="columns.group")
    return join_keys(read.leads[column], missing=missing_words(config.data.missing, str(column)))


def _account_of(read: LeadTables, config: Config) -> np.ndarray:
    """Give each lead's account a number; a lead without one has a number nobody converts under."""
    codes, there = pd.factorize(_accounts(read, config), sort=True)
    return np.where(codes < 0, len(there) + np.arange(len(codes)), codes)


def _one_a_lead(leads: pd.DataFrame, plan: FeaturePlan, config: Config) -> pd.DataFrame:
    """Give a row a lead from a table with a row a touch: what does not change with the touch."""
    lead_id = find_column(leads, str(plan.id), key="columns.id")
    steady = [name for name in (config.columns.date, config.columns.group, config.columns.converted_at) if name]
    kept = [lead_id, *(find_column(leads, name, key="columns") for name in steady)]
    return leads[kept].drop_duplicates(subset=[lead_id]).reset_index(drop=True)


def _chosen(
    frame: pd.DataFrame | None, read: LeadTables, config: Config
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Read the user's own (lead, cutoff) pairs and their rows; None where there are none."""
    if frame is None:
        return None
    columns, where = config.columns, {"timezone": config.data.timezone, "missing": config.data.missing}
    own = columns.cutoff is not None
    name = columns.cutoff or columns.cutoffs.cutoff
    cutoff = microseconds(
        read_stamps(frame, name, key="columns.cutoff" if own else "columns.cutoffs.cutoff", **where).at  # type: ignore[arg-type]
    )
    id_name = str(reading_plan(config).id) if own else columns.cutoffs.id
    column = find_column(frame, id_name, key="columns.id" if own else "columns.cutoffs.id")
    keys = join_keys(frame[column], missing=missing_words(config.data.missing, str(column)))
    lead = pd.Index(read.names).get_indexer(pd.Index(keys))
    pairs = pd.DataFrame({"lead": lead, "cutoff": cutoff, "row": np.arange(len(frame))})
    pairs = pairs[(lead >= 0) & (cutoff < NEVER)].drop_duplicates(["lead", "cutoff"])
    if len(pairs) == 0:
        msg = f"Column {name!r} gives no cutoff of a known lead. Check the ids and dates of the cutoffs."
        raise InputError(msg)
    return pairs["lead"].to_numpy(), pairs["cutoff"].to_numpy(), pairs["row"].to_numpy()


def _touches_of(
    touches: pd.DataFrame, rows: LabelledRows, chosen: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> pd.DataFrame:
    """Give the touch that each (lead, cutoff) row was."""
    place = pd.DataFrame({"lead": chosen[0], "cutoff": chosen[1], "row": chosen[2]})
    wanted = pd.DataFrame({"lead": rows.lead, "cutoff": rows.cutoff}).merge(place, on=["lead", "cutoff"], how="left")
    return touches.iloc[wanted["row"].to_numpy()]


def _created_per_week(created_at: np.ndarray) -> float | None:
    known = to_stamps(created_at[created_at < NEVER])
    return leads_per_week(known) if len(known) else None


def _said_of_rows(rows: LabelledRows, config: Config) -> tuple[str, ...]:
    """Word what a person should know of how rows were made."""
    said = []
    reopened = rows.dropped.get("reopened", 0)
    if reopened and config.columns.closed_lost_at:
        said.append(f"{reopened:,} leads converted after they were closed as lost; closed is not final for these.")
    n_cutoffs = len(np.unique(rows.cutoff))
    if n_cutoffs < MIN_CUTOFFS_IN_TIME:
        said.append(
            f"{n_cutoffs} different cutoffs are too few for blocks in time: the model is cross-fitted by "
            f"{'account' if config.columns.group else 'lead'}."
        )
    return tuple(said)
