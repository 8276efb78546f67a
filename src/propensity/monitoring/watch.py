"""The only place for the watch as a whole: promises, volumes, what bands converted at, and the way to a customer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from propensity.asof import to_stamps
from propensity.metrics import rate_interval
from propensity.monitoring.evidence import Volume, Watched, watch_promise, watch_volume
from propensity.monitoring.scored import Outcomes, Scored
from propensity.schema import MQL, NURTURE, SQL

# Fewer leads than this could point at people: their source is told among the others.
MIN_GROUP = 10
OTHERS = "others"
CONFIDENCE = 0.9


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What was promised.

    Parameters
    ----------
    sql_rate, mql_recall : float
    """

    sql_rate: float
    mql_recall: float


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What the watch found.

    Parameters
    ----------
    promises : tuple of Watched
    volumes : tuple of Volume
    bands : DataFrame
        ``source, band, leads, known, converted, rate, low, high``: each lead by its first score row; the interval is
        exact, 90 %. Source ``all`` first.
    funnel : DataFrame
        ``month, source, leads, mql, sql, worked, won``: how many leads of a month reached each step so far.
    rules : DataFrame
        As `bands`, of rows that rules scored: no promise is about them.
    n_leads, n_rows, n_had, n_unscored, n_waiting : int
        Leads and rows looked at, leads that had converted before, rows nobody scored, leads of unknown outcome.
    versions : tuple of str
    known_to : str
    """

    promises: tuple[Watched, ...]
    volumes: tuple[Volume, ...]
    bands: pd.DataFrame
    funnel: pd.DataFrame
    rules: pd.DataFrame
    n_leads: int
    n_rows: int
    n_had: int
    n_unscored: int
    n_waiting: int
    versions: tuple[str, ...]
    known_to: str

    @property
    def alarms(self) -> tuple[str, ...]:
        """What must be looked into, in words."""
        broken = [
            f"the {one.name} promise counts as broken since {one.alarmed_at[:10]}"
            for one in self.promises
            if one.alarmed_at
        ]
        moved = [
            f"{one.band} held {one.n_in_band:,} of {one.n_leads:,} leads on {one.as_of[:10]} "
            f"({one.n_in_band / one.n_leads:.1%}; before {one.before:.1%})"
            for one in self.volumes
            if one.is_alarm
        ]
        return (*broken, *moved)


def watch(
    scored: Scored,
    outcomes: Outcomes,
    expected: Expected,
    *,
    source: np.ndarray | None = None,
    worked: np.ndarray | None = None,
    promised: np.ndarray | None = None,
) -> Watch:
    """Hold scores against what became of their leads.

    Parameters
    ----------
    scored : Scored
    outcomes : Outcomes
    expected : Expected
    source : array of str or None, shape (n_leads,)
        Where each lead of `scored` came from.
    worked : array of bool or None, shape (n_leads,)
        Whether sales worked the lead.
    promised : array of bool or None, shape (n_rows,)
        Which rows the promises are about: of the model that made them, on leads it had not learned from. None: all.

    Returns
    -------
    Watch
    """
    is_model = (scored.by == "model") & ~outcomes.had
    is_promised = is_model if promised is None else is_model & promised
    named = {int(at): str(to_stamps(np.array([at]))[0].isoformat()) for at in np.unique(scored.as_of)}
    sources = _folded(np.full(len(scored.leads), "all", dtype=object) if source is None else source)
    first = scored.first(~outcomes.had)
    groups = sources[scored.lead]
    return Watch(
        promises=(
            _sql_promise(scored, outcomes, is_promised, rate=expected.sql_rate, named=named),
            _recall_promise(scored, outcomes, is_promised, rate=expected.mql_recall, named=named),
        ),
        volumes=_volumes(scored, named),
        bands=_by_band(scored, outcomes, scored.first(is_model), None if source is None else groups),
        funnel=_funnel(scored, outcomes, first, None if source is None else groups, worked),
        rules=_by_band(scored, outcomes, scored.first((scored.by == "rules") & ~outcomes.had), None),
        n_leads=len(scored.leads),
        n_rows=len(scored.lead),
        n_had=len(np.unique(scored.lead[outcomes.had])),
        n_unscored=scored.n_unscored,
        n_waiting=int(np.isnan(outcomes.y[first]).sum()),
        versions=scored.versions,
        known_to=outcomes.known_to,
    )


def _sql_promise(
    scored: Scored, outcomes: Outcomes, is_model: np.ndarray, *, rate: float, named: dict[int, str]
) -> Watched:
    """Hold the precision against SQLs: each by the first row that made it one."""
    rows = scored.first(is_model & (scored.band == SQL))
    y, at = outcomes.y[rows], scored.as_of[rows]
    known = ~np.isnan(y)
    return watch_promise(SQL, y[known], at[known], rate=rate, n_waiting=int((~known).sum()), labels=named)


def _recall_promise(
    scored: Scored, outcomes: Outcomes, is_model: np.ndarray, *, rate: float, named: dict[int, str]
) -> Watched:
    """Hold the recall against customers: each by its first row, whether that was SQL or MQL."""
    rows = scored.first(is_model)
    won = rows[outcomes.y[rows] == 1]
    found = np.isin(scored.band[won], (SQL, MQL)).astype(float)
    n_waiting = int(np.isnan(outcomes.y[rows]).sum())
    return watch_promise("recall", found, scored.as_of[won], rate=rate, n_waiting=n_waiting, labels=named)


def _volumes(scored: Scored, named: dict[int, str]) -> tuple[Volume, ...]:
    """Hold each run's bands against the runs before it; only leads of the model."""
    found: list[Volume] = []
    for band, inside in ((SQL, (SQL,)), ("SQL and MQL", (SQL, MQL))):
        counts = []
        for instant in np.unique(scored.as_of):
            rows = (scored.as_of == instant) & (scored.by == "model")
            if rows.any():
                counts.append((named[int(instant)], int(rows.sum()), int(np.isin(scored.band[rows], inside).sum())))
        found += watch_volume(counts, band=band)
    return tuple(found)


def _by_band(scored: Scored, outcomes: Outcomes, rows: np.ndarray, groups: np.ndarray | None) -> pd.DataFrame:
    records = []
    parts = {"all": rows}
    if groups is not None:
        parts |= {str(name): rows[groups[rows] == name] for name in _ordered(groups[rows])}
    for name, part in parts.items():
        for band in (SQL, MQL, NURTURE):
            inside = part[scored.band[part] == band]
            y = outcomes.y[inside]
            known, won = int((~np.isnan(y)).sum()), int(np.nansum(y))
            low, high = rate_interval(won, known, confidence=CONFIDENCE) if known else (np.nan, np.nan)
            records.append(
                {
                    "source": name,
                    "band": band,
                    "leads": len(inside),
                    "known": known,
                    "converted": won,
                    "rate": won / known if known else np.nan,
                    "low": low,
                    "high": high,
                }
            )
    return pd.DataFrame(records)


def _funnel(
    scored: Scored, outcomes: Outcomes, first: np.ndarray, groups: np.ndarray | None, worked: np.ndarray | None
) -> pd.DataFrame:
    """Count how many leads of each month of first score reached each step."""
    n_leads = len(scored.leads)
    ever = {band: np.bincount(scored.lead[scored.band == band], minlength=n_leads) > 0 for band in (SQL, MQL)}
    won = np.bincount(scored.lead[outcomes.won], minlength=n_leads) > 0
    lead = scored.lead[first]
    month = to_stamps(scored.as_of[first]).dt.strftime("%Y-%m").to_numpy(dtype=object)
    table = pd.DataFrame(
        {
            "month": month,
            "source": "all" if groups is None else groups[first],
            "leads": 1,
            "mql": ever[MQL][lead] | ever[SQL][lead],
            "sql": ever[SQL][lead],
            "worked": np.nan if worked is None else (worked[lead] & ever[SQL][lead]).astype(float),
            "won": won[lead],
        }
    )
    summed = table.groupby(["month", "source"], sort=True).sum(min_count=1).reset_index()
    return summed.astype({"mql": int, "sql": int, "won": int})


def _folded(source: np.ndarray) -> np.ndarray:
    """Put sources of few leads together."""
    names, code, n = np.unique(source.astype(str), return_inverse=True, return_counts=True)
    return np.where(n < MIN_GROUP, OTHERS, names).astype(object)[code]


def _ordered(groups: np.ndarray) -> list[str]:
    """Give groups, the largest first, those put together last."""
    names, n = np.unique(groups.astype(str), return_counts=True)
    return sorted(names.tolist(), key=lambda name: (name == OTHERS, -int(n[names == name][0]), name))
