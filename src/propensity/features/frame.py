"""The only place where lead, event and outcome tables become feature rows: one a (lead, cutoff)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from propensity.asof import (
    DAY,
    NEVER,
    Events,
    History,
    LeadKey,
    as_known,
    join_keys,
    joined,
    microseconds,
    newest_record,
    no_common_id,
    read_events,
    read_history,
    read_stages,
    read_stamps,
    to_stamps,
)
from propensity.encoding import MIN_LEVEL_ROWS
from propensity.errors import InputError
from propensity.features.behaviour import behaviour_features
from propensity.features.fit import derive
from propensity.features.plan import CONVERTED, CREATED_LATER, CUTOFF, NO_CUTOFF, EventNames, FeaturePlan, HistoryNames
from propensity.features.points import signal_features
from propensity.schema import Schema, find_column, missing_words, normalise_name, partition, resolve_columns

if TYPE_CHECKING:
    from propensity.config import Config

# Fewer leads than this could point at people: their event types are not named in a model.
MIN_TYPE_LEADS = 10
# More types than this slow everything and are mostly noise; all others count as "any event".
MAX_TYPES = 40
# Leads of one list may all have done nothing together, so that chance must be far off.
BEYOND_CHANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class LeadTables:
    """Lead and event tables, read and joined.

    Parameters
    ----------
    leads : DataFrame, shape (n_leads, any)
        As given, one row a lead, in order of their names.
    names : array of str, shape (n_leads,)
        Join keys of the leads.
    created_at : array of int64, shape (n_leads,)
        NEVER where unknown.
    owners : Index
        Join keys that events belong to: the leads, or their accounts.
    owner : array of int, shape (n_leads,)
        Each lead's position in `owners`; -1 for a lead without an account.
    events : Events or None
        Those of the log and of the stages.
    n_logged : int
        How many of them are the log's.
    logged_at : array of int64 or None
        When each event of the whole log was known, those of other leads among them.
    history : History or None
    notes : dict of str to int
    """

    leads: pd.DataFrame
    names: np.ndarray
    created_at: np.ndarray
    owners: pd.Index
    owner: np.ndarray
    events: Events | None
    n_logged: int
    logged_at: np.ndarray | None
    history: History | None
    notes: Mapping[str, int]

    def known_at(self, *, of_all: bool = False) -> list[np.ndarray]:
        """Give when each record of each table was known; of events of other leads too, where all are wanted."""
        parts = [self.created_at]
        if self.events is not None:
            seen = self.events.seen_at
            parts.append(seen if of_all and seen is not None else self.events.known_at)
        if self.history is not None:
            parts.append(self.history.frame["at"].to_numpy())
        return parts


@dataclass(frozen=True, kw_only=True)
class ScoringRows:
    """Feature rows of leads to be scored.

    Parameters
    ----------
    frame : DataFrame, shape (n_rows, n_columns)
        In the order of the leads, ids as given. A row without an id, and one that is set aside, has neither cutoff nor
        features.
    notes : dict of str to int
        Records of other tables that did not count, by reason.
    aside : array of str or None, shape (n_rows,)
        Why nobody scores a row, as `plan` has the words; empty where it is to be scored, or has no id. None: no row is.
    asked : Series of stamps or None, shape (n_rows,)
        The instant each row is wanted at, also where it has no cutoff; None: one for all.
    warnings: tuple of str
        What a person should look at, although every row was made.
    """

    frame: pd.DataFrame
    notes: Mapping[str, int] = field(default_factory=dict)
    aside: np.ndarray | None = None
    asked: pd.Series | None = None
    warnings: tuple[str, ...] = ()

    def some(self, rows: slice | np.ndarray) -> ScoringRows:
        """Give these rows alone; `notes` and `warnings` are of all of them."""
        return ScoringRows(
            frame=self.frame.iloc[rows].reset_index(drop=True),
            aside=None if self.aside is None else self.aside[rows],
            asked=None if self.asked is None else self.asked.iloc[rows].reset_index(drop=True),
        )


def reading_plan(config: Config) -> FeaturePlan:
    """Give what a config says of reading tables; which event types count is decided from training rows."""
    data, columns, features = config.data, config.columns, config.features
    return FeaturePlan(
        has_events=data.events is not None,
        stages=dict(columns.stages),
        windows_days=features.windows_days,
        half_life_days=features.half_life_days,
        lookback_days=features.lookback_days,
        derive=dict(features.derive),
        id=columns.id or columns.cutoffs.id,
        group=columns.group,
        date=columns.date,
        event=EventNames(**columns.event.model_dump()),
        history=HistoryNames(**columns.field_history.model_dump()),
        timezone=data.timezone,
        missing=dict(data.missing),
    )


def read_lead_tables(
    leads: pd.DataFrame,
    plan: FeaturePlan,
    *,
    events: pd.DataFrame | None = None,
    field_history: pd.DataFrame | None = None,
    also: Sequence[str] = (),
    may_miss: bool = False,
) -> LeadTables:
    """Read lead and event tables and join them.

    Parameters
    ----------
    leads : DataFrame
        One row a lead; identical rows are kept once, rows without an id are left out and counted.
    plan : FeaturePlan
        Its names of columns, zone and words for missing.
    events, field_history : DataFrame or None
    also : sequence of str
        Columns in which rows of one id must agree.
    may_miss : bool
        Whether events and field changes may all be of other leads.

    Returns
    -------
    LeadTables

    Raises
    ------
    InputError
        A column is absent or unreadable, or rows of one id differ.
    """
    lead_id = str(plan.id)
    here = resolve_columns(leads.columns)
    agree = [name for name in also if normalise_name(name) in here]
    ids = missing_words(plan.missing, lead_id)
    rows = partition(leads, Schema(columns=(), id=lead_id, missing=ids), also=agree)
    keys = join_keys(rows.ids, missing=ids)
    kept = np.flatnonzero(keys.notna().to_numpy() & ~keys.duplicated().to_numpy())
    kept = kept[np.argsort(keys.to_numpy(dtype=object)[kept], kind="stable")]
    table = leads.iloc[rows.position[kept]].reset_index(drop=True)
    names = keys.to_numpy(dtype=object)[kept]
    created = np.full(len(table), NEVER)
    if plan.date:
        stamps = read_stamps(table, plan.date, key="columns.date", timezone=plan.timezone, missing=plan.missing)
        created = microseconds(stamps.at)
    owners, owner = pd.Index(names), np.arange(len(table))
    if plan.group and plan.event.group:
        column = find_column(table, plan.group, key="columns.group")
        accounts = join_keys(table[column], missing=missing_words(plan.missing, str(column)))
        owner, accounts_there = pd.factorize(accounts, sort=True)
        owners = pd.Index(accounts_there)
    if plan.has_events and events is None:
        msg = "The model was trained with events. Name them: --events FILE, or data.events."
        raise InputError(msg)
    notes = {
        "missing_ids": rows.notes.get("missing_ids", 0),
        "identical_rows": rows.notes.get("identical_rows", 0),
        "ids_written_in_two_ways": int((keys.notna() & keys.duplicated()).sum()),
    }
    log, n_logged, logged_at = None, 0, None
    if events is not None and plan.has_events:
        log = read_events(
            events,
            plan.event,
            key=key_column(events, plan, id=plan.event.id, group=plan.event.group),
            keys=owners,
            timezone=plan.timezone,
            missing=plan.missing,
            named_by=f"columns.event.{'group' if plan.event.group else 'id'}",
            leads=lead_key(plan, by_group=bool(plan.event.group), may_miss=may_miss),
        )
        notes |= log.notes
        n_logged, logged_at = len(log), log.seen_at
    if plan.stages:
        entered = read_stages(table, plan.stages, key=owner, timezone=plan.timezone, missing=plan.missing)
        log = entered if log is None else joined(log, entered)
    changes = None
    if field_history is not None:
        changes = read_history(
            field_history,
            plan.history,
            keys=pd.Index(names),
            timezone=plan.timezone,
            missing=plan.missing,
            leads=lead_key(plan, may_miss=may_miss),
        )
        notes |= changes.notes
    return LeadTables(
        leads=table,
        names=names,
        created_at=created,
        owners=owners,
        owner=owner,
        events=log,
        n_logged=n_logged,
        logged_at=logged_at,
        history=changes,
        notes={name: n for name, n in notes.items() if n},
    )


def lead_key(plan: FeaturePlan, *, by_group: bool = False, may_miss: bool = False) -> LeadKey:
    """Give the column by which records of another table name leads, or their accounts, for messages."""
    name, key = (plan.group, "columns.group") if by_group else (plan.id, "columns.id")
    return LeadKey(column=str(name), key=key, may_miss=may_miss)


def _id_of(frame: pd.DataFrame, lead_id: str) -> str:
    """Give the column that names the lead in another table: called as in the lead table, else ``lead_id``."""
    return lead_id if normalise_name(lead_id) in resolve_columns(frame.columns) else "lead_id"


def key_column(frame: pd.DataFrame, plan: FeaturePlan, *, id: str | None, group: str | None) -> str:  # noqa: A002
    """Give the column of another table that says whose a record is."""
    return group or id or _id_of(frame, str(plan.id))


def few_texts(plan: FeaturePlan) -> tuple[str, ...]:
    """Name the columns of an event table that say few texts many times: whose an event is, and of what type."""
    return tuple(name for name in (plan.event.group, plan.event.id, plan.id, "lead_id", plan.event.type) if name)


def choose_types(
    plan: FeaturePlan, events: Events, *, before: int, families: Mapping[str, Sequence[str]]
) -> FeaturePlan:
    """Choose the event types that get features of their own: those that at least 10 leads had before the last cutoff.

    Parameters
    ----------
    plan : FeaturePlan
    events : Events
    before : int
        The newest training cutoff.
    families : mapping of family to event types
        Of canonical names; types that are not chosen leave their family.
    """
    seen = events.known_at < before
    pairs = pd.DataFrame({"kind": events.kind[seen], "key": events.key[seen]}).drop_duplicates()
    n_leads = np.bincount(pairs["kind"], minlength=len(events.types))
    frequent = sorted(range(len(events.types)), key=lambda k: (-n_leads[k], events.types[k]))[:MAX_TYPES]
    types = tuple(sorted(events.types[k] for k in frequent if n_leads[k] >= MIN_TYPE_LEADS))
    valued: tuple[str, ...] = ()
    if events.value is not None:
        has_value = np.unique(events.kind[seen & np.isfinite(events.value)])
        valued = tuple(name for name in types if name in {events.types[k] for k in has_value})
    within = {name: tuple(t for t in types if t in {*members}) for name, members in families.items()}
    return replace(
        plan,
        types=types,
        valued=valued,
        # A family of one type says what the type says.
        families={name: members for name, members in within.items() if len(members) > 1},
    )


def feature_frame(
    tables: LeadTables, plan: FeaturePlan, *, lead: np.ndarray, cutoff: np.ndarray, given: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Give one row of features for each (lead, cutoff): the lead as known then, and what it had done by then.

    Parameters
    ----------
    tables : LeadTables
    plan : FeaturePlan
    lead : array of int, shape (n_rows,)
        Position in the lead table.
    cutoff : array of int64, shape (n_rows,)
    given : DataFrame or None, shape (n_rows, any)
        What each row says of its lead, where a touch has values of its own; None: what the lead table says.

    Returns
    -------
    DataFrame, shape (n_rows, n_columns)
        The lead table's columns (those with a history as they were at the cutoff), ``cutoff``, derived fields, and
        features of behaviour.

    Raises
    ------
    InputError
        A column of the lead table is called as a feature.
    """
    frame = (tables.leads.iloc[lead] if given is None else given).reset_index(drop=True)
    if tables.history is not None:
        for field in sorted({*tables.history.frame["field"]}):
            found = resolve_columns(frame.columns).get(field)
            if found is not None:
                frame[found] = as_known(frame[found], tables.history, field=field, key=lead, cutoff=cutoff)
    frame = with_derived(frame, plan)
    parts = [frame.drop(columns=[name for name in frame.columns if normalise_name(name) == CUTOFF])]
    parts.append(pd.DataFrame({CUTOFF: to_stamps(cutoff)}))
    if tables.events is not None:
        owner, created_at = tables.owner[lead], tables.created_at[lead]
        parts.append(behaviour_features(tables.events, plan, key=owner, cutoff=cutoff, created_at=created_at))
        if plan.signals:
            lookback = plan.lookback_days
            parts.append(signal_features(tables.events, plan.signals, lookback_days=lookback, key=owner, cutoff=cutoff))
    names = [normalise_name(name) for part in parts for name in part.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"Columns of the lead table are called as features are: {', '.join(twice[:5])}. Rename them."
        raise InputError(msg)
    return pd.concat(parts, axis=1)


def with_derived(frame: pd.DataFrame, plan: FeaturePlan) -> pd.DataFrame:
    """Give the frame with what is derived from its raw fields beside them."""
    if not plan.derive:
        return frame
    return pd.concat([frame.reset_index(drop=True), derive(frame, plan.derive, missing=plan.missing)], axis=1)


def features_as_of(
    leads: pd.DataFrame,
    plan: FeaturePlan,
    *,
    events: pd.DataFrame | None,
    field_history: pd.DataFrame | None = None,
    as_of: str = "",
    cutoffs: pd.Series | None = None,
    converted_at: np.ndarray | None = None,
    active_share: float = 0.0,
    also: Sequence[str] = (),
) -> ScoringRows:
    """Give the feature rows of leads to be scored, by the very code that made the training rows.

    Parameters
    ----------
    leads : DataFrame, shape (n_rows, any)
    plan : FeaturePlan
    events, field_history : DataFrame or None
    as_of : str
        The instant all rows are as of; empty: the newest stamp of the tables. A lead created at that very instant is
        there (created <= cutoff), while an event must have been known before it.
    cutoffs : Series of stamps or None, shape (n_rows,)
        Each row's own instant instead.
    converted_at : array of int64 or None, shape (n_rows,)
        When each lead converted for good: a row of a lead that had by then is no row to score, as it is none to learn
        from. None: nobody has.
    active_share : float
        At least so many of the leads the model learned from had done something: where all to be scored have not, and
        that is no chance, the ids are not theirs.
    also : sequence of str
        Columns in which rows of one id must agree.

    Returns
    -------
    ScoringRows

    Raises
    ------
    InputError
        Tables that cannot be read, nothing that says as of when, or an instant before every lead.
    """
    column = find_column(leads, str(plan.id), key="columns.id")
    keys = join_keys(leads[column], missing=missing_words(plan.missing, str(column)))
    once = leads if cutoffs is None else leads[~keys.duplicated().to_numpy()].reset_index(drop=True)
    tables = read_lead_tables(once, plan, events=events, field_history=field_history, also=also, may_miss=True)
    if cutoffs is not None:
        cutoff = microseconds(cutoffs.reset_index(drop=True))
    else:
        cutoff = np.full(len(leads), instant_of(as_of, plan) if as_of else _newest(tables, plan))
    if (cutoff == NEVER).all():
        msg = "Nothing says as of when to score: no stamp in the tables. Name it: --as-of YYYY-MM-DD."
        raise InputError(msg)
    notes = {name: n for name, n in tables.notes.items() if name not in {"missing_ids", "identical_rows"}}
    if as_of and cutoffs is None and tables.events is not None:
        notes["events_after_that_instant"] = int((tables.events.known_at >= cutoff.max()).sum())
    position = pd.Index(tables.names).get_indexer(pd.Index(keys))
    created = np.append(tables.created_at, NEVER)[position]
    is_known = (position >= 0) & (cutoff < NEVER)
    # A lead is there from its creation on, that instant with it; one without a date always was.
    is_unborn = is_known & (created > cutoff) & (created < NEVER)
    if is_unborn.any() and (is_unborn | ~is_known).all():
        _refuse_before_all(created[is_unborn], cutoff[is_unborn], has_own=cutoffs is not None)
    aside = np.full(len(leads), "", dtype=object)
    aside[keys.notna().to_numpy() & (cutoff == NEVER)] = NO_CUTOFF
    if converted_at is not None:
        aside[is_known & (converted_at < cutoff)] = CONVERTED
    aside[is_unborn] = CREATED_LATER
    there = np.flatnonzero(is_known & (aside == ""))
    own = leads.iloc[there]
    found = feature_frame(tables, plan, lead=position[there], cutoff=cutoff[there], given=own)
    place = np.full(len(leads), -1)
    place[there] = np.arange(len(there))
    if len(there) < len(leads):
        # A gap would make floats of the whole numbers of all other rows.
        own_columns = [name for name in leads.columns if name in found]
        found[own_columns] = found[own_columns].astype(object)
    frame = found.reindex(place).reset_index(drop=True)
    for name in leads.columns:
        given = leads[name].reset_index(drop=True)
        if name in frame and (name == column or (place < 0).any()):
            frame[name] = given if name == column else frame[name].astype(object).where(place >= 0, given)
    return ScoringRows(
        frame=frame,
        notes={name: n for name, n in notes.items() if n},
        aside=aside,
        asked=cutoffs,
        warnings=(
            *_without_events(events, tables, plan, cutoff=int(cutoff[cutoff < NEVER].max()), active_share=active_share),
            *_behind(tables, plan, cutoff=int(cutoff[cutoff < NEVER].max())),
        ),
    )


def _without_events(
    events: pd.DataFrame | None, tables: LeadTables, plan: FeaturePlan, *, cutoff: int, active_share: float
) -> tuple[str, ...]:
    """Warn where no event is of a lead to be scored: a few leads may have done nothing, a whole file hardly.

    Raises
    ------
    InputError
        So many leads without any event are beyond chance. Leads younger than the shortest window do not count.
    """
    if events is None or tables.notes.get("events_of_unknown_leads", 0) < len(events):
        return ()
    by = "group" if plan.event.group else "id"
    whose = key_column(events, plan, id=plan.event.id, group=plan.event.group)
    created = np.where(tables.created_at == NEVER, 0, tables.created_at)
    is_old = (created < cutoff - plan.windows_days[0] * DAY) & (tables.owner >= 0)
    if (1 - active_share) ** len(np.unique(tables.owner[is_old])) < BEYOND_CHANCE:
        column = find_column(events, whose, key=f"columns.event.{by}")
        ids = join_keys(events[column].drop_duplicates(), missing=missing_words(plan.missing, str(column)))
        leads = lead_key(plan, by_group=by == "group")
        said = no_common_id(
            ids.nunique(), len(tables.owners), leads, what="events", column=column, key=f"columns.event.{by}"
        )
        msg = (
            f"{said} At least {active_share:.0%} of the leads the model learned from had done something. If these "
            "really have not, score them in one file with leads that have."
        )
        raise InputError(msg)
    return (
        f"All {len(events):,} events are of leads that are not in this file, which are scored as if they had done "
        f"nothing. Check that column {whose!r} of the events (columns.event.{by}) names leads as column "
        f"{(plan.group if by == 'group' else plan.id)!r} of the lead file (columns.{by}) does.",
    )


def _behind(tables: LeadTables, plan: FeaturePlan, *, cutoff: int) -> tuple[str, ...]:
    """Warn where the event log ends long before the instant of a score: longer than it ever kept silent.

    Days are looked at, and no further back than events count: a lonely old record says nothing of the rhythm.
    """
    if tables.logged_at is None:
        return ()
    known = tables.logged_at[tables.logged_at < cutoff]
    if not len(known):
        return ()
    newest = int(known.max())
    days_back = newest // DAY - known // DAY
    silences = np.diff(np.unique(days_back[days_back <= plan.lookback_days]))
    longest = int(silences.max(initial=1))
    gap = cutoff - newest
    if gap <= longest * DAY:
        return ()
    stamps = to_stamps(np.array([newest, cutoff]))
    return (
        f"The newest event is of {stamps[0]:%Y-%m-%d}, {gap / DAY:.0f} days before {stamps[1]:%Y-%m-%d}, as of which "
        f"is scored; until then no two events in a row were more than {longest:,} day{'s' * (longest != 1)} apart. "
        "What leads did since is not known, and counts as nothing done. Give newer events (data.events, --events), or "
        "an earlier --as-of.",
    )


def _refuse_before_all(created: np.ndarray, cutoff: np.ndarray, *, has_own: bool) -> None:
    """Refuse an instant, or cutoffs, at which no lead was there yet."""
    first, last = (to_stamps(np.array([at]))[0].isoformat() for at in (created.min(), cutoff.max()))
    what = "their own cutoffs (the latest is " if has_own else "the instant to score as of ("
    # Of few leads it would be what one of them says.
    earliest = f" The earliest of them was created at {first}." if len(created) >= MIN_LEVEL_ROWS else ""
    msg = (
        f"No lead was there yet: all {len(created):,} were created after {what}{last}).{earliest} Name "
        f"{'later cutoffs' if has_own else 'a later instant'}."
    )
    raise InputError(msg)


def _newest(tables: LeadTables, plan: FeaturePlan) -> int:
    """Give the newest instant of tables to be scored; NEVER without any."""
    newest = newest_record(
        # The whole log says what day it is: a lead scored alone must not be younger than beside others.
        tables.known_at(of_all=True),
        # After so long a silence every window is empty.
        quiet_days=plan.windows_days[-1],
        next_step="Mend their dates, or name the instant to score as of: --as-of {day_after}.",
    )
    return NEVER if newest is None else newest


def instant_of(text: str, plan: FeaturePlan) -> int:
    """Read an instant a person named; a date alone is its first moment: what happened that day is not known yet."""
    try:
        at = pd.Timestamp(text)
    except ValueError as error:
        msg = f"as_of must be an ISO date or time (YYYY-MM-DD or YYYY-MM-DDThh:mmZ), got {text[:40]!r}."
        raise InputError(msg) from error
    aware = at.tz_localize(plan.timezone) if at.tzinfo is None else at
    return int(microseconds(pd.Series([aware.tz_convert("UTC")]))[0])
