"""The only place where outcomes meet the leads: of the outcome table, and of the lead table's own column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from propensity.asof import NEVER, Conversions, join_keys, microseconds, read_conversions
from propensity.errors import InputError
from propensity.features.frame import key_column, lead_key
from propensity.features.plan import CONVERTED, CUTOFF
from propensity.schema import find_column, missing_words, normalise_name, resolve_columns

if TYPE_CHECKING:
    from propensity.config import Config
    from propensity.features.plan import FeaturePlan


def conversions_of(
    leads: pd.DataFrame,
    names: pd.Index,
    plan: FeaturePlan,
    config: Config,
    *,
    outcomes: pd.DataFrame | None,
    may_miss: bool = False,
) -> Conversions:
    """Put together the conversions of the outcome table and of the lead table's own column.

    Parameters
    ----------
    leads : DataFrame
    names : Index
        Join keys of the leads, all different.
    plan : FeaturePlan
    config : Config
    outcomes : DataFrame or None
    may_miss : bool
        Whether outcomes may all be of other leads.

    Returns
    -------
    Conversions
        By lead, as `names` has them; by account, as `account_of` counts them, where outcomes name accounts.

    Raises
    ------
    InputError
        Nothing says who converted, a column is absent, or its cells cannot be read.
    """
    columns, where = config.columns, {"timezone": config.data.timezone, "missing": config.data.missing}
    parts: list[Conversions] = []
    notes: dict[str, int] = {}
    if outcomes is not None:
        own = columns.outcome
        keys = pd.Index(pd.factorize(_accounts(leads, config), sort=True)[1]) if own.group else names
        key = key_column(outcomes, plan, id=own.id, group=own.group)
        parts.append(
            read_conversions(
                outcomes,
                key=key,
                converted_at=own.converted_at,
                keys=keys,
                leads=lead_key(plan, by_group=bool(own.group), may_miss=may_miss),
                **where,  # type: ignore[arg-type]
            )
        )
        notes |= parts[0].notes
    if columns.converted_at and columns.outcome.group:
        msg = "Outcomes are by account (columns.outcome.group): take columns.converted_at out, it is by lead."
        raise InputError(msg)
    if columns.converted_at:
        parts.append(
            read_conversions(
                leads,
                key=str(plan.id),
                converted_at=columns.converted_at,
                keys=names,
                named_by="columns",
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
    # Of the lead table's own column nothing is counted: a lead without a date there has not converted.
    return Conversions(key=table["key"].to_numpy(), at=table["at"].to_numpy(), notes=notes)


def account_of(leads: pd.DataFrame, config: Config) -> np.ndarray:
    """Give each lead's account a number; a lead without one has a number nobody converts under."""
    codes, there = pd.factorize(_accounts(leads, config), sort=True)
    return np.where(codes < 0, len(there) + np.arange(len(codes)), codes)


def _accounts(leads: pd.DataFrame, config: Config) -> pd.Series:
    column = find_column(leads, str(config.columns.group), key="columns.group")
    return join_keys(leads[column], missing=missing_words(config.data.missing, str(column)))


def first_conversions(
    leads: pd.DataFrame, plan: FeaturePlan, config: Config, *, outcomes: pd.DataFrame | None
) -> np.ndarray | None:
    """Give the first conversion of each lead to be scored, by the very code that made the labels.

    Parameters
    ----------
    leads : DataFrame, shape (n_rows, any)
        A lead may have more than one row.
    plan : FeaturePlan
    config : Config
    outcomes : DataFrame or None

    Returns
    -------
    array of int64 or None, shape (n_rows,)
        NEVER where there is none. None where leads convert again, or nothing says who converted: a file of new leads
        need not have the columns that do.
    """
    own = config.columns.converted_at
    if own is not None and normalise_name(own) not in resolve_columns(leads.columns):
        config = config.model_copy(update={"columns": config.columns.model_copy(update={"converted_at": None})})
    if config.labels.repeat or (outcomes is None and config.columns.converted_at is None):
        return None
    if config.columns.outcome.group and normalise_name(str(config.columns.group)) not in resolve_columns(leads.columns):
        return None
    column = find_column(leads, str(plan.id), key="columns.id")
    codes, names = pd.factorize(join_keys(leads[column], missing=missing_words(plan.missing, str(column))))
    won = conversions_of(leads, pd.Index(names), plan, config, outcomes=outcomes, may_miss=True)
    key = account_of(leads, config) if config.columns.outcome.group else codes
    return np.append(won.first(int(key.max(initial=-1)) + 1), NEVER)[key]


def converted_rows(
    rows: pd.DataFrame, plan: FeaturePlan, config: Config, *, outcomes: pd.DataFrame | None
) -> np.ndarray | None:
    """Say which feature rows, read from a file, are of leads that had converted before their cutoff.

    The row of such a lead was left empty: its cutoff is taken for the newest of the others.

    Returns
    -------
    array of str or None, shape (n_rows,)
        Why nobody scores a row; empty where somebody does.
    """
    won = first_conversions(rows, plan, config, outcomes=outcomes)
    if won is None:
        return None
    cutoff = pd.to_datetime(rows[find_column(rows, CUTOFF, key="the cutoff column")], utc=True)
    return np.where(won < microseconds(cutoff.fillna(cutoff.max())), CONVERTED, "").astype(object)
