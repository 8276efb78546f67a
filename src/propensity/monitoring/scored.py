"""The only place that reads what was scored and what became of it: score files, outcomes, and the two joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from propensity.asof import DAY, NEVER, join_keys, microseconds, read_conversions, read_stamps, to_stamps
from propensity.errors import InputError
from propensity.labels import read_target
from propensity.schema import UNSCORED, find_column, missing_words, normalise_name

if TYPE_CHECKING:
    from propensity.config import Config

NEEDED = ("as_of", "probability", "band", "band_raw", "scored_by", "model_version")


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Score rows of one or more runs, oldest first.

    Parameters
    ----------
    leads : Index of str
        Join keys of the leads, all different.
    lead : array of int, shape (n_rows,)
        Position in `leads`.
    as_of : array of int64, shape (n_rows,)
        Microseconds.
    band : array of str, shape (n_rows,)
        Before hysteresis and overrides: what promises are about.
    by : array of str, shape (n_rows,)
        ``model`` or ``rules``.
    version : array of str, shape (n_rows,)
        Of the model.
    n_unscored : int
        Rows left out: nobody scored them.
    """

    leads: pd.Index
    lead: np.ndarray
    as_of: np.ndarray
    band: np.ndarray
    by: np.ndarray
    version: np.ndarray
    n_unscored: int

    @property
    def versions(self) -> tuple[str, ...]:
        """All versions there are."""
        return tuple(sorted({*self.version}))

    def first(self, rows: np.ndarray) -> np.ndarray:
        """Give of these rows the first of each lead, in order."""
        picked = np.flatnonzero(rows)
        _, first = np.unique(self.lead[picked], return_index=True)
        return np.sort(picked[first])


def read_scored(frames: Mapping[str, pd.DataFrame], *, missing: Sequence[str] = ("",)) -> Scored:
    """Read score files.

    Parameters
    ----------
    frames : dict of file name to DataFrame
        As `score` wrote them; the first column holds the ids.
    missing : sequence of str
        Canonical words that mean there is no id.

    Raises
    ------
    InputError
        A file is none, or does not say as of when it is.
    """
    parts = []
    for name, frame in frames.items():
        absent = [column for column in NEEDED if column not in frame]
        if absent or not len(frame):
            why = f"columns {', '.join(absent)} are absent" if absent else "it has no row"
            msg = f"{name} (--scores) is no score file: {why}. Give what `propensity score` wrote."
            raise InputError(msg)
        if str(frame.columns[0]) == "row":
            msg = f"{name} (--scores) knows leads by their row alone: outcomes cannot be joined. Score leads with ids."
            raise InputError(msg)
        at = pd.to_datetime(frame["as_of"].where(frame["as_of"] != ""), utc=True, format="ISO8601", errors="coerce")
        band = frame["band_raw"].fillna("").astype(str)
        is_scored = ~band.isin(["", UNSCORED])
        untimely = np.flatnonzero(at.isna().to_numpy() & is_scored.to_numpy())
        if len(untimely):
            msg = (
                f"{name} (--scores) does not say as of when its scores are (as_of, data row {untimely[0] + 1}). Score "
                "with --as-of."
            )
            raise InputError(msg)
        parts.append(
            pd.DataFrame(
                {
                    "key": join_keys(frame.iloc[:, 0], missing=missing),
                    "at": microseconds(at),
                    "band": band,
                    "by": frame["scored_by"].fillna("").astype(str),
                    "version": frame["model_version"].fillna("").astype(str),
                    "is_scored": is_scored,
                }
            )
        )
    table = pd.concat(parts, ignore_index=True)
    kept = table[table["is_scored"] & table["key"].notna()].drop_duplicates(["key", "at"])
    kept = kept.sort_values(["at", "key"], kind="stable")
    lead, leads = pd.factorize(kept["key"], sort=True)
    return Scored(
        leads=pd.Index(leads),
        lead=lead,
        as_of=kept["at"].to_numpy(),
        band=kept["band"].to_numpy(dtype=object),
        by=kept["by"].to_numpy(dtype=object),
        version=kept["version"].to_numpy(dtype=object),
        n_unscored=int((~table["is_scored"]).sum()),
    )


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """What became of each score row.

    Parameters
    ----------
    y : array of float, shape (n_rows,)
        1: a conversion within the horizon; 0: none; NaN: not known yet.
    had : array of bool, shape (n_rows,)
        The lead had converted before it was scored: nothing was promised of it.
    won : array of bool, shape (n_rows,)
        A conversion within the horizon is known already, whether or not that has passed.
    known_to : str
        Up to when outcomes are known.
    """

    y: np.ndarray
    had: np.ndarray
    won: np.ndarray
    known_to: str


def read_outcomes(
    outcomes: pd.DataFrame,
    scored: Scored,
    config: Config,
    *,
    known_to: int | None = None,
    is_said: bool = True,
    leads: pd.DataFrame | None = None,
) -> Outcomes:
    """Read outcomes and join them to score rows.

    Parameters
    ----------
    outcomes : DataFrame
        Conversions with their time (``columns.outcome``), or one row a lead with the target (``columns.target``).
    scored : Scored
    config : Config
    known_to : int or None
        Microseconds: what happened from then on is not in the file. None: its newest stamp.
    is_said : bool
        Whether `known_to` holds even where the file has newer stamps.
    leads : DataFrame or None
        The lead table: whose accounts, and which ids are nobody's.

    Raises
    ------
    InputError
        An outcome is of nobody, stands there twice, or cannot be read.
    """
    if not len(outcomes):
        msg = "The outcomes (--outcomes) hold no row. Give what became of the leads that were scored."
        raise InputError(msg)
    names = {normalise_name(name) for name in outcomes.columns}
    horizon = config.labels.horizon_days * DAY
    if normalise_name(config.columns.outcome.converted_at) not in names and config.columns.target:
        return _by_target(outcomes, scored, config, known_to=known_to)
    own = config.columns.outcome
    owners, owner = scored.leads, np.arange(len(scored.leads))
    if own.group:
        owners, owner = _accounts(leads, scored, config)
    key = own.group or own.id or _named(outcomes, config)
    keys = join_keys(
        outcomes[find_column(outcomes, key, key="columns.outcome.id")],
        missing=missing_words(config.data.missing, key),
    )
    _check_known(keys, owners, leads, config)
    _check_ours(scored, keys, leads, config)
    conversions = read_conversions(
        outcomes,
        key=key,
        converted_at=own.converted_at,
        keys=owners,
        timezone=config.data.timezone,
        missing=config.data.missing,
    )
    if conversions.notes.get("outcomes_twice"):
        raise InputError(_twice(outcomes, keys, config))
    end = known_to
    if end is None or not is_said:
        column = own.converted_at
        where = {"timezone": config.data.timezone, "missing": config.data.missing}
        at = microseconds(read_stamps(outcomes, column, key="columns.outcome.converted_at", **where).at)  # type: ignore[arg-type]
        ends = [*([] if end is None else [end]), *([int(at[at < NEVER].max())] if (at < NEVER).any() else [])]
        end = max(ends, default=None)
    if end is None:
        msg = "No outcome has a time, so nothing says up to when they are known. Name it: --as-of YYYY-MM-DD."
        raise InputError(msg)
    asked = owner[scored.lead]
    after = conversions.following(asked, scored.as_of)
    won = after < np.minimum(scored.as_of + horizon, end)
    y = (after < scored.as_of + horizon).astype(float)
    y[scored.as_of + horizon + config.labels.ingest_lag_days * DAY > end] = np.nan
    had = np.zeros(len(y), dtype=bool)
    if not config.labels.repeat:
        had = np.append(conversions.first(int(asked.max(initial=-1)) + 1), NEVER)[asked] < scored.as_of
    return Outcomes(y=y, had=had, won=won, known_to=_told(end))


def _told(end: int) -> str:
    """Give the last instant that is known: a day that is over ends at midnight, and is told by its own date."""
    return str(to_stamps(np.array([end - 1]))[0].isoformat())


def _named(outcomes: pd.DataFrame, config: Config) -> str:
    """Name the column of ids where the config does not: as in the lead table, or by its usual name."""
    there = {normalise_name(name) for name in outcomes.columns}
    named = (config.columns.id, config.columns.cutoffs.id, "lead_id")
    return next((name for name in named if name and normalise_name(name) in there), config.columns.id or "lead_id")


def _by_target(outcomes: pd.DataFrame, scored: Scored, config: Config, *, known_to: int | None) -> Outcomes:
    """Read one row a lead, with the target."""
    if known_to is None:
        msg = (
            "The outcomes (--outcomes) say who converted and not when: a lead scored yesterday would count as lost. "
            "Say up to when they are known: --as-of YYYY-MM-DD, or data.extracted_at."
        )
        raise InputError(msg)
    column = find_column(outcomes, str(config.columns.target), key="columns.target")
    words = missing_words(config.data.missing, str(column))
    target = read_target(outcomes[column], positive=config.columns.positive, missing=words, name=str(column))
    key = _named(outcomes, config)
    keys = join_keys(
        outcomes[find_column(outcomes, key, key="columns.id")], missing=missing_words(config.data.missing, key)
    )
    again = np.flatnonzero(keys.duplicated().to_numpy() & keys.notna().to_numpy())
    if len(again):
        raise InputError(_said_twice(int(again[0])))
    _check_known(keys, scored.leads, None, config, may_be_others=True)
    place = scored.leads.get_indexer(pd.Index(keys))
    y = np.full(len(scored.leads), np.nan)
    y[place[place >= 0]] = target.y[place >= 0]
    told = y[scored.lead]
    late = scored.as_of + (config.labels.horizon_days + config.labels.ingest_lag_days) * DAY > known_to
    found = np.where(late, np.nan, told)
    return Outcomes(y=found, had=np.zeros(len(found), dtype=bool), won=told == 1, known_to=_told(known_to))


def _accounts(leads: pd.DataFrame | None, scored: Scored, config: Config) -> tuple[pd.Index, np.ndarray]:
    """Give the accounts there are, and each scored lead's; one nobody converts under for a lead without."""
    if leads is None or config.columns.group is None:
        msg = "Outcomes are by account (columns.outcome.group): name the lead table that says whose (--leads)."
        raise InputError(msg)
    ids = join_keys(leads[find_column(leads, str(config.columns.id), key="columns.id")], missing=("",))
    accounts = join_keys(leads[find_column(leads, config.columns.group, key="columns.group")], missing=("",))
    code, there = pd.factorize(accounts, sort=True)
    of_lead = dict(zip(ids, code, strict=True))
    owner = np.array([of_lead.get(key, -1) for key in scored.leads])
    return pd.Index(there), np.where(owner < 0, len(there) + np.arange(len(owner)), owner)


def _check_known(
    keys: pd.Series, owners: pd.Index, leads: pd.DataFrame | None, config: Config, *, may_be_others: bool = False
) -> None:
    """Refuse outcomes of nobody: neither scored nor, where that is given, in the lead table."""
    known = pd.Index(owners)
    if leads is not None and not config.columns.outcome.group:
        known = known.append(pd.Index(_lead_keys(leads, config).dropna()))
    strange = np.flatnonzero(keys.notna().to_numpy() & ~keys.isin(known).to_numpy())
    if not len(strange) or (may_be_others and len(strange) < int(keys.notna().sum())):
        return
    lines = ", ".join(str(i + 1) for i in strange[:5])
    where = "" if leads is None else " and are not in the lead table"
    msg = (
        f"Outcomes of leads that were not scored{where}: {len(strange):,} "
        f"(data rows {lines} of the outcomes). Give the lead table they are in (--leads), or take them out."
    )
    raise InputError(msg)


def _lead_keys(leads: pd.DataFrame, config: Config) -> pd.Series:
    column = str(find_column(leads, str(config.columns.id), key="columns.id"))
    return join_keys(leads[column], missing=missing_words(config.data.missing, column))


def _check_ours(scored: Scored, keys: pd.Series, leads: pd.DataFrame | None, config: Config) -> None:
    """Refuse scores none of whose leads is known here: they are of another project, and would all count as lost."""
    if leads is None or config.columns.outcome.group or not len(scored.leads) or scored.leads.isin(keys).any():
        return
    if not scored.leads.isin(_lead_keys(leads, config)).any():
        msg = (
            f"None of the {len(scored.leads):,} leads that were scored (--scores) is in the lead table or the "
            "outcomes. Give the table they are in (--leads), or the scores of this project."
        )
        raise InputError(msg)


def _twice(outcomes: pd.DataFrame, keys: pd.Series, config: Config) -> str:
    column = find_column(outcomes, config.columns.outcome.converted_at, key="columns.outcome.converted_at")
    where = {"timezone": config.data.timezone, "missing": config.data.missing}
    at = read_stamps(outcomes, str(column), key="columns.outcome.converted_at", **where).at  # type: ignore[arg-type]
    again = pd.DataFrame({"key": keys, "at": at}).duplicated().to_numpy()
    return _said_twice(int(np.flatnonzero(again)[0]) if again.any() else 0)


def _said_twice(row: int) -> str:
    return f"Data row {row + 1} of the outcomes repeats one above it. Take one of them out: a win counts once."
