"""The only place where the audit meets training: what becomes of each column of the leads, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from propensity.config import Config
from propensity.errors import InputError
from propensity.leakage import ColumnAudit, Evidence, audit_columns
from propensity.quality import Flaw, find_flaws
from propensity.schema import Tables, normalise_name
from propensity.training.exported import ask_history, ask_open_leads
from propensity.training.rows import Prepared, prepare
from propensity.training.tables import prepare_tables

# Why a feature made of events, or of a field's history, needs no evidence.
SAFE = "made of records known before the cutoff: safe by construction"
# Why a field that leaks as exported does not as it is used.
FROM_HISTORY = "as it was at each cutoff, by its history: {}"


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What was found in the training rows.

    Parameters
    ----------
    entries : tuple of dict
        One a column: ``column, role, verdict, evidence, price``. The verdict is ``QUARANTINE`` (left out: it knows the
        future), ``REVIEW`` (used, but a person must look), ``OK`` or ``UNUSED`` (not named as a feature, declared
        unknown in time, or it teaches nothing). The price is None or ``{"auc_with", "auc_without"}``.
    flaws : tuple of Flaw
        What else a person may want to mend.
    dropped : dict of str to int
        Rows and records not used, by reason.
    said : tuple of str
        What else a person should know of how the files were read.
    """

    entries: tuple[Mapping[str, Any], ...]
    flaws: tuple[Flaw, ...]
    dropped: Mapping[str, int] = field(default_factory=dict)
    said: tuple[str, ...] = ()


def audit(tables: Tables, config: Config) -> Audit:
    """Read training data and judge its columns; nothing is trained for use.

    Parameters
    ----------
    tables : Tables
    config : Config

    Raises
    ------
    InputError
        The data cannot be read.
    """
    with threadpool_limits(1, user_api="blas"):
        return audit_prepared(prepare_any(tables, config), config)[0]


def prepare_any(tables: Tables, config: Config) -> Prepared:
    """Make training rows of tables or of a flat file."""
    return prepare_tables(tables, config) if config.has_tables else prepare(tables.leads, config)


def audit_prepared(prepared: Prepared, config: Config) -> tuple[Audit, Prepared]:
    """Judge the features, and give the training rows without those that know the future.

    Raises
    ------
    InputError
        No feature is left.
    """
    examples, schema = prepared.examples, prepared.schema
    # Leads without a name are grouped by their features, which is right for folds; each is a witness all the same.
    is_named = schema.id is not None or config.columns.group is not None
    groups = examples.groups if is_named else np.arange(len(examples.y))
    beside = {}
    if prepared.standing is not None:
        beside = ask_open_leads(prepared.standing, schema, passed_over=prepared.in_time)
    columns = audit_columns(
        examples.read,
        examples.y,
        schema=schema,
        groups=groups,
        declared=config.availability,
        from_events=prepared.in_time,
        seed=config.learner.seed,
        weight=examples.weight,
        beside=beside,
    )
    as_exported = {}
    if prepared.exported is not None:
        as_exported = ask_history(
            prepared.exported,
            examples.read,
            examples.y,
            schema=schema,
            groups=groups,
            weight=examples.weight,
            seed=config.learner.seed,
        )
    flaws = find_flaws(
        examples.leads,
        examples.read,
        examples.y,
        schema=schema,
        order=examples.order,
        lead=None if schema.cutoff is None else pd.factorize(examples.leads[schema.id])[0],
        from_events=prepared.in_time,
    )
    found = Audit(
        entries=_entries(prepared, columns, as_exported, config),
        flaws=flaws,
        dropped=prepared.dropped,
        said=prepared.said,
    )
    kept = tuple(
        column for column, judged in zip(schema.columns, columns, strict=True) if judged.verdict != "QUARANTINE"
    )
    if not kept:
        first = columns[0]
        msg = (
            f"Every feature looks as if it knew the future, such as {first.column!r}: "
            f"{'; '.join(e.sentence for e in first.evidence)}. Name features that were known in time, or restore those "
            f'that were: under [availability], {first.column!r} = "static".'
        )
        raise InputError(msg)
    schema = replace(schema, columns=kept)
    return found, replace(prepared, schema=schema, examples=replace(examples, read=examples.read[[*schema.names]]))


def _entries(
    prepared: Prepared, judged: tuple[ColumnAudit, ...], as_exported: Mapping[str, Evidence], config: Config
) -> tuple[Mapping[str, Any], ...]:
    """Say for each column of the leads what became of it."""
    columns = config.columns
    kept = {normalise_name(column.name): column.family for column in prepared.schema.columns}
    found = {normalise_name(column.column): column for column in judged}
    exported = {normalise_name(name): evidence.sentence for name, evidence in as_exported.items()}
    fit = {normalise_name(name) for name in columns.fit}
    notes = {
        normalise_name(name): ("fit" if normalise_name(name) in fit else "behaviour", note)
        for name, note in prepared.notes.items()
    }
    ignored = {normalise_name(name) for name in columns.ignore}
    declared = {normalise_name(name): kind for name, kind in config.availability.items()}
    keys = {
        key: getattr(columns, key)
        for key in ("cutoff", "closed_lost_at", "converted_at", "date", "target", "group", "id")
    }
    roles = {normalise_name(name): key for key, name in keys.items() if name}
    roles |= {normalise_name(name): "stage" for name in columns.stages.values()}
    entries = []
    for column in map(str, prepared.examples.leads.columns):
        name = normalise_name(column)
        if name == prepared.schema.cutoff and name not in roles:
            continue  # which this package puts there
        role, verdict, evidence, price = "ignored", "UNUSED", "the config names it nowhere", None
        if name in kept:
            told = found[name]
            said = [*(e.sentence for e in told.evidence), *([notes[name][1]] if name in notes else [])]
            said += [FROM_HISTORY.format(exported[name])] if name in exported else []
            if not said and column in prepared.in_time:
                said = [SAFE]
            role, verdict, evidence = kept[name], told.verdict, "; ".join(said)
            if told.price is not None:
                price = {"auc_with": told.price.with_auc, "auc_without": told.price.without_auc}
        elif name in notes:
            role, evidence = notes[name]
        elif name in ignored:
            evidence = "under columns.ignore"
        elif name in roles:
            role, verdict, evidence = roles[name], "OK", ""
        elif declared.get(name) in {"outcome", "mutable"}:
            evidence = f"availability is {declared[name]!r}: not known in time"
        entries.append({"column": column, "role": role, "verdict": verdict, "evidence": evidence, "price": price})
    return tuple(entries)
