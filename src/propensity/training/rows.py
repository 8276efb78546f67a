"""The only place where a flat lead file becomes training rows, in one canonical order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from propensity.asof import (
    DAY,
    NEVER,
    microseconds,
    parse_stamps,
    read_stamps,
    to_stamps,
)
from propensity.config import Config, DataConfig
from propensity.errors import InputError
from propensity.features import (
    FeaturePlan,
    derived_names,
    reading_plan,
    with_derived,
)
from propensity.folds import eras
from propensity.labels import first_immature, read_target
from propensity.rules import Rules, build_rules
from propensity.schema import (
    Schema,
    content_digest,
    find_column,
    infer_schema,
    missing_words,
    normalise_name,
    read_ids,
    read_texts,
    row_hashes,
    validate,
)
from propensity.training.exported import Exported, Standing, standing_of
from propensity.training.monotone import feature_directions

# Every fold is a whole training of its own.
MAX_FOLDS = 50
# Weeks that say how many leads come in.
VOLUME_WEEKS = 8
_NOTHING: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Training rows in their canonical order, ready to learn from.

    Parameters
    ----------
    leads : DataFrame, shape (n_rows, any)
        As given.
    read : DataFrame, shape (n_rows, n_features)
        Numbers and canonical text.
    y : array of {0, 1}, shape (n_rows,)
    groups : array of int, shape (n_rows,)
        Rows of one lead or account.
    order : array of int or None, shape (n_rows,)
        Non-decreasing rank in time; None where there is no order.
    fold : array of int or None, shape (n_rows,)
        The user's own folds.
    known : array or None, shape (n_rows,)
        From when on each label is known, in the units of `order`; None where that is no later than the row.
    weight : array of float or None, shape (n_rows,)
        Snapshots of one lead add up to 1; None for one each.
    is_apart : bool
        Whether tested leads leave the past: not where customers come back.
    month : array of str or None, shape (n_rows,)
        When each row's features end, as ``2026-03`` in the files' time zone; None without dates.
    era : array of int or None, shape (n_rows,)
        Of the whole history; None where these rows are the whole.
    place : array of int or None, shape (n_rows,)
        Which rows of the whole these are; None where they are the whole.
    """

    leads: pd.DataFrame
    read: pd.DataFrame
    y: np.ndarray
    groups: np.ndarray
    order: np.ndarray | None
    fold: np.ndarray | None
    known: np.ndarray | None = None
    weight: np.ndarray | None = None
    is_apart: bool = True
    month: np.ndarray | None = None
    era: np.ndarray | None = None
    place: np.ndarray | None = None

    @property
    def weights(self) -> np.ndarray:
        """The rows' weights as numbers."""
        return np.ones(len(self.y)) if self.weight is None else self.weight

    @property
    def eras(self) -> np.ndarray | None:
        """The era of each row in the whole history; None without order."""
        return eras(self.order) if self.era is None and self.order is not None else self.era

    def take(self, rows: np.ndarray) -> Examples:
        """Give these rows alone, in the order named."""
        given = {name: getattr(self, name) for name in ("order", "fold", "known", "weight", "month")}
        given |= {"era": self.eras, "place": np.arange(len(self.y)) if self.place is None else self.place}
        parts: dict[str, Any] = {name: None if part is None else part[rows] for name, part in given.items()}
        return replace(
            self,
            leads=self.leads.iloc[rows],
            read=self.read.iloc[rows].reset_index(drop=True),
            y=self.y[rows],
            groups=self.groups[rows],
            **parts,
        )


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A training file, read.

    Parameters
    ----------
    examples : Examples
    schema : Schema
    rules : Rules
    notes : dict of column to str
        Features left out, and why.
    dropped : dict of str to int
        Rows not used, by reason.
    target : str
        What was read as converted, in words.
    leads_per_week : float or None
    data_end : str
        The newest stamp, ISO; empty without dates.
    digest : str
        The sha256 of the canonical rows.
    plan : FeaturePlan
    said : tuple of str
        Sentences about the data that a person should read.
    in_time : frozenset of str
        Features made of records that were known before the cutoff: events, the history of a field.
    directions : dict of feature to {-1, 1}
        Which way scores were asked to go with it; not all of these must be in the schema.
    standing : Standing or None
        How leads stood at the export, where enough of them are open.
    exported : Exported or None
        Fields that have a history, as the lead table has them.
    """

    examples: Examples
    schema: Schema
    rules: Rules
    notes: Mapping[str, str]
    dropped: Mapping[str, int]
    target: str
    leads_per_week: float | None
    data_end: str
    digest: str
    plan: FeaturePlan
    said: tuple[str, ...] = ()
    in_time: frozenset[str] = frozenset()
    directions: Mapping[str, int] = field(default_factory=dict)
    standing: Standing | None = None
    exported: Exported | None = None


def prepare(leads: pd.DataFrame, config: Config) -> Prepared:
    """Read a training file: target, order, groups, folds and features, in canonical row order.

    Raises
    ------
    InputError
        All that is wrong with columns or rows.
    """
    columns, words = config.columns, config.data.missing
    _check_named(leads, config)
    if columns.target is None:
        msg = "columns.target must name the column that says who converted. Run: propensity init LEADS --target COLUMN"
        raise InputError(msg)
    if len(leads) == 0:
        msg = "The file has a header but no rows. Give leads whose outcome is known."
        raise InputError(msg)
    target_column = find_column(leads, columns.target, key="columns.target")
    target = read_target(
        leads[target_column],
        positive=columns.positive,
        missing=missing_words(words, str(target_column)),
        name=str(target_column),
    )
    dropped = {"target_missing": int(np.isnan(target.y).sum())}
    given, row = leads, np.flatnonzero(~np.isnan(target.y))
    leads, y = leads.iloc[row].reset_index(drop=True), target.y[row]
    stamps, clocks = None, _NOTHING
    if columns.date:
        where = {"timezone": config.data.timezone, "missing": words}
        read = read_stamps(leads, columns.date, key="columns.date", **where)  # type: ignore[arg-type]
        stamps, clocks = read.at, said_of_clocks(read.in_clock_change, config, what="dates of leads")
        known = stamps.notna().to_numpy()
        dropped["date_missing"] = int((~known).sum())
        leads, stamps = leads[known].reset_index(drop=True), stamps[known].reset_index(drop=True)
        y, row = y[known], row[known]
        if len(leads) == 0:
            msg = f"Column {columns.date!r} (columns.date) is empty in every row. Name another, or take the line out."
            raise InputError(msg)
    came = stamps
    is_old, said = _old_enough(y, stamps, config)
    dropped["immature"] = int((~is_old).sum())
    standing = _undecided(given, target.y, config) or _unripe(given, row, y, stamps, is_old)
    leads, y = leads[is_old].reset_index(drop=True), y[is_old]
    stamps = None if stamps is None else stamps[is_old].reset_index(drop=True)
    plan = replace(reading_plan(config), has_events=False)
    leads = with_derived(leads, plan)
    schema, notes = infer_features(leads, plan, config)
    directions, unheld = feature_directions(config.learner.monotone, schema, plan, left_out=notes)
    beside = [
        ("columns.target", columns.target),
        ("columns.date", columns.date),
        ("columns.group", columns.group),
        ("evaluation.fold_column", config.evaluation.fold_column),
        ("agreement.value_column", config.agreement.value_column),
        *(("evaluation.audit_groups", name) for name in config.evaluation.audit_groups),
    ]
    rules = build_rules(config.rules, missing=words, schema=schema)
    named = [str(find_column(leads, name, key=key)) for key, name in beside if name]
    rows = validate(leads, schema, also=[*named, *rules.columns_beside(schema, leads)])
    dropped |= {"id_missing": rows.notes.get("missing_ids", 0), "identical": rows.notes.get("identical_rows", 0)}
    leads, y = leads.iloc[rows.position].reset_index(drop=True), y[rows.position]
    hashes = row_hashes(rows.read)
    keys = None if schema.id is None else read_ids(rows.ids, missing=schema.missing)
    stamps = None if stamps is None else stamps.iloc[rows.position].reset_index(drop=True)
    canonical, order = _canonical_order(keys, stamps, hashes, ordered=columns.ordered)
    group = groups_of(leads, columns.group, missing=words) if columns.group else None
    fold = _folds(leads, config.evaluation.fold_column) if config.evaluation.fold_column else None
    own_group = hashes if keys is None else pd.factorize(keys)[0]
    examples = Examples(
        leads=leads.iloc[canonical].reset_index(drop=True),
        read=rows.read.iloc[canonical].reset_index(drop=True),
        y=y[canonical],
        # Numbered in canonical order: folds are dealt by these numbers, so the file's order must not show in them.
        groups=pd.factorize((own_group if group is None else group)[canonical])[0],
        order=order,
        fold=None if fold is None else fold[canonical],
        month=None if stamps is None else months_of(stamps.iloc[canonical], timezone=config.data.timezone),
    )
    return Prepared(
        examples=examples,
        schema=schema,
        rules=rules,
        notes=notes,
        dropped={name: n for name, n in dropped.items() if n},
        target=target.sentence,
        leads_per_week=None if came is None else leads_per_week(came),
        data_end=_data_end(config, came),
        digest=content_digest(
            examples.read.assign(**{"target ": examples.y}),
            order=None if keys is None else [*keys.iloc[canonical]],
        ),
        plan=plan,
        said=(*said, *clocks, *unheld),
        directions=directions,
        standing=standing,
    )


def _check_named(leads: pd.DataFrame, config: Config) -> None:
    """Refuse settings of columns that are not there."""
    for name in config.availability:
        find_column(leads, name, key="availability")
    for name in config.data.missing:
        if name != "*":
            find_column(leads, name, key="data.missing")


def _unripe(
    leads: pd.DataFrame, row: np.ndarray, y: np.ndarray, stamps: pd.Series | None, is_old: np.ndarray
) -> Standing | None:
    """Give how leads stood where none is undecided: those too young to teach are open, but for those that converted."""
    born = None if stamps is None else microseconds(stamps)
    return standing_of(leads, row, y, born, is_open=~is_old & (y == 0))


def _undecided(leads: pd.DataFrame, y: np.ndarray, config: Config) -> Standing | None:
    """Give how leads stood where the target of those nobody has decided on is empty; None where there are too few."""
    columns, row, born = config.columns, np.arange(len(y)), None
    is_open = np.isnan(y)
    if standing_of(leads, row, y, born, is_open=is_open) is None:
        return None
    if columns.date:
        where = {"timezone": config.data.timezone, "missing": config.data.missing}
        try:
            born = microseconds(read_stamps(leads, columns.date, key="columns.date", **where).at)  # type: ignore[arg-type]
        except InputError:  # of rows that teach nothing: dates of those that do were read
            return None
        row = np.flatnonzero(born < NEVER)
        born = born[row]
    elif columns.ordered:
        born = row
    return standing_of(leads, row, y[row], born, is_open=is_open[row])


def _old_enough(y: np.ndarray, stamps: pd.Series | None, config: Config) -> tuple[np.ndarray, tuple[str, ...]]:
    """Say which leads have had time to convert, and what a person should know of the others.

    Where it is known when the file was exported, the horizon decides; else the newest leads are held against the older.
    """
    everyone = np.ones(len(y), dtype=bool)
    if stamps is None or config.evaluation.fold_column:
        return everyone, ()
    at = microseconds(stamps)
    end = stated_end(config.data)
    if end is not None and "horizon_days" in config.labels.model_fields_set:
        days = config.labels.horizon_days + config.labels.ingest_lag_days
        is_old = at + days * DAY <= end
        if not is_old.any():
            msg = (
                f"Every lead came in less than {days} days before data.extracted_at, so no outcome is known yet. "
                "Mend that instant, or wait less long (labels.horizon_days)."
            )
            raise InputError(msg)
        said = (
            f"{int((~is_old).sum()):,} leads came in less than {days} days before data.extracted_at, by which "
            "labels.horizon_days and ingest_lag_days had not passed: their outcome is open, and they do not teach.",
        )
        return is_old, said if not is_old.all() else ()
    young = first_immature(y, at)
    if young is None:
        return everyone, ()
    is_old = at < young
    since = to_stamps(np.array([young]))[0]
    return is_old, (
        f"{int((~is_old).sum()):,} leads since {since:%Y-%m-%d} convert at {y[~is_old].mean():.1%}, older ones at "
        f"{y[is_old].mean():.1%}: they look too young to have converted, and do not teach. If they are not, say when "
        "the file was exported (data.extracted_at) and how long to wait (labels.horizon_days).",
    )


def infer_features(frame: pd.DataFrame, plan: FeaturePlan, config: Config) -> tuple[Schema, dict[str, str]]:
    """Decide how features are read: those the user named, and those made of events and raw fields."""
    made = [name for column, kind in plan.derive.items() for name in derived_names(column, kind)]
    named = {normalise_name(name) for name in (*config.columns.fit, *config.columns.behaviour)}
    # Who names a derived feature says which family it is of; it is one feature all the same.
    derived = [name for name in made if normalise_name(name) not in named]
    behaviour = [name for name in plan.behaviour_names if normalise_name(name) not in named]
    columns = config.columns.model_copy(
        update={
            "id": plan.id if config.has_tables else config.columns.id,
            "fit": (*config.columns.fit, *derived),
            "behaviour": (*config.columns.behaviour, *behaviour),
        }
    )
    return infer_schema(frame, columns, availability=config.availability, missing=config.data.missing)


def _canonical_order(
    keys: pd.Series | None, stamps: pd.Series | None, hashes: np.ndarray, *, ordered: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Give the rows' canonical order, and their rank in time after it."""
    n_rows = len(hashes)
    if ordered:
        return np.arange(n_rows), np.arange(n_rows)
    frame = pd.DataFrame({"row": np.arange(n_rows)})
    if stamps is not None:
        frame["stamp"] = stamps
    if keys is not None:
        frame["key"] = keys
    by = [name for name in ("stamp", "key") if name in frame] or ["row"]
    canonical = frame.sort_values(by, kind="stable")["row"].to_numpy()
    order = None if stamps is None else stamps.rank(method="dense").to_numpy(dtype=int)[canonical]
    return canonical, order


def groups_of(leads: pd.DataFrame, name: str, *, missing: Mapping[str, Sequence[str | float]]) -> np.ndarray:
    """Give a number to each account, and one of its own to each row without."""
    column = find_column(leads, name, key="columns.group")
    texts = read_texts(leads[column], missing=missing_words(missing, str(column)))
    codes, uniques = pd.factorize(texts, sort=True)
    return np.where(codes < 0, len(uniques) + np.arange(len(codes)), codes)


def _folds(leads: pd.DataFrame, name: str) -> np.ndarray:
    """Give a number to each of the user's folds; every row must be in one."""
    texts = read_texts(leads[find_column(leads, name, key="evaluation.fold_column")], missing=())
    n_without = int(texts.isna().sum())
    if n_without:
        msg = (
            f"Column {name!r} (evaluation.fold_column) is empty in {n_without} rows. "
            "Give every lead a fold, or take the line out."
        )
        raise InputError(msg)
    folds, labels = pd.factorize(texts, sort=True)
    if len(labels) > MAX_FOLDS:
        msg = f"Column {name!r} (evaluation.fold_column) names {len(labels)} folds; at most {MAX_FOLDS} are judged."
        raise InputError(msg)
    return folds


def said_of_clocks(n: int, config: Config, *, what: str) -> tuple[str, ...]:
    """Word how times were read that the zone skips or repeats; nothing where there are none."""
    if n == 0:
        return ()
    return (
        f"{n:,} {what} stand in an hour that a change of clocks skips or repeats in {config.data.timezone} "
        "(data.timezone). They were read as the next time that exists, or as the first of the two; export them with "
        "their zone to be sure.",
    )


def stated_end(data: DataConfig) -> int | None:
    """Give the instant up to which the files know, as configured; None where it is not."""
    if data.extracted_at is None:
        return None
    written = pd.Series([data.extracted_at.isoformat()])
    return int(microseconds(parse_stamps(written, timezone=data.timezone, name="data.extracted_at").at)[0])


def _data_end(config: Config, stamps: pd.Series | None) -> str:
    """Give the instant up to which the data knows: as configured, else the newest stamp; empty without either."""
    given = stated_end(config.data)
    if given is not None:
        stamps = to_stamps(np.array([given]))
    return "" if stamps is None else str(stamps.max().isoformat())


def months_of(stamps: pd.Series, *, timezone: str) -> np.ndarray:
    """Name the month that each instant ends, where the files were written.

    What is known at an instant is known before it, and a date without a time is read as the midnight that ends it: the
    first instant of April still belongs to March.

    Examples
    --------
    >>> stamps = pd.Series(pd.to_datetime(["2026-03-31T23:30Z", "2026-03-31T22:00Z"]))
    >>> months_of(stamps, timezone="Europe/Berlin").tolist()
    ['2026-04', '2026-03']
    """
    before = stamps - pd.Timedelta(microseconds=1)
    return np.asarray(before.dt.tz_convert(timezone).dt.strftime("%Y-%m"), dtype=object)


def leads_per_week(stamps: pd.Series) -> float:
    """Give how many leads came in a week, over the newest eight weeks or what there is."""
    span = (stamps.max() - stamps.min()).total_seconds() / (7 * 24 * 3600)
    weeks = min(max(span, 1.0), VOLUME_WEEKS)
    newest = stamps > stamps.max() - pd.Timedelta(weeks=weeks)
    return round(float(newest.sum() / weeks), 3)
