"""The only place that invents a CRM: leads, what they did, who bought, and the true probability at any cutoff.

Every lead moves from day to day between four states that nobody sees: cold, warm, hot, closing (then bought). What
it does depends on its state alone, how fast it moves on who it is. Sales work only some of the leads, and nobody sees
which. So what is known at a cutoff tells of the state only as much as a hidden Markov model can say, and that model is
known here: the true probability is exact, not an average over simulated futures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

START = pd.Timestamp("2025-01-01", tz="UTC")
N_LEADS = 2000
N_DAYS = 540
DAY = pd.Timedelta(days=1)
COLD, WARM, HOT, CLOSING = range(4)
# Events a day, by state.
_RATES = {
    "page visit": (0.004, 0.050, 0.16, 0.04),
    "pricing page visit": (0.0003, 0.006, 0.11, 0.03),
    "email opened": (0.008, 0.035, 0.06, 0.02),
    "email clicked": (0.002, 0.016, 0.045, 0.01),
    "content download": (0.0003, 0.010, 0.016, 0.002),
    "webinar attended": (0.0002, 0.006, 0.009, 0.001),
    "demo request": (0.0, 0.0005, 0.030, 0.002),
    "unsubscribed": (0.0016, 0.0003, 0.0, 0.0),
    "sales call": (0.003, 0.008, 0.035, 0.09),
}
TYPES = tuple(_RATES)
RATES = np.array([_RATES[name] for name in TYPES])
_CALL = TYPES.index("sales call")
# Attendance lists of webinars are loaded days later; all else is known within hours.
_MEAN_DELAY = {"webinar attended": 4.0}
# Chances a day to move on.
COLD_TO_WARM, WARM_TO_COLD, WARM_TO_HOT, HOT_TO_WARM = 0.004, 0.018, 0.016, 0.030
CLOSING_TO_COLD = 0.008
HOT_TO_CLOSING = 0.022
# Small companies sign in weeks, large ones in months.
CLOSE_FAST, CLOSE_SLOW = 1 / 9, 1 / 45
WORKED_SHARE, UNWORKED_FACTOR = 0.8, 0.35
DRIFT_A_YEAR = 0.35

_TITLES = {
    "Marketing assistant": -0.3,
    "Sales specialist": -0.1,
    "Marketing manager": 0.2,
    "Head of sales": 0.6,
    "Director of operations": 0.6,
    "VP Marketing": 0.7,
    "CEO": 0.5,
    "Student": -1.6,
}
_INDUSTRIES = {"Software": 0.4, "Manufacturing": 0.2, "Retail": -0.2, "Health": 0.0, "Public sector": -0.6}
_SIZES = {"1-10": -0.3, "11-50": 0.0, "51-200": 0.2, "201-500": 0.3, "501-1,000": 0.3, "1,001-5,000": 0.2, "10,000+": 0}
_SIZE_CHANCES = (0.25, 0.25, 0.2, 0.12, 0.08, 0.07, 0.03)
_LARGE = ("201-500", "501-1,000", "1,001-5,000", "10,000+")
_FIRST_TOUCH = {
    "Organic search": ("page visit", 0.2),
    "Referral": ("page visit", 0.7),
    "Webinar": ("webinar attended", 0.4),
    "Paid ads": ("page visit", -0.4),
    "Content": ("content download", 0.1),
    "Cold list": ("email opened", -1.2),
}
_REVENUES = ("<$1M", "$1M-$10M", "$10M-$50M", "$50M+")
_COUNTRIES = ("Slovenia", "SI", "Austria", "AT", "Germany", "Deutschland", "Italy", "Croatia", "USA", "United States")
_FIRST = ("Ana", "Luka", "Maja", "Jan", "Eva", "Nik", "Sara", "Tim")


@dataclass(frozen=True, kw_only=True)
class Crm:
    """An invented CRM and what only an inventor knows.

    Parameters
    ----------
    leads, events, outcomes, field_history : DataFrame
        The tables as an export has them at `end`, stamps as text.
    end : Timestamp
        A midnight; nothing later is in the tables.
    """

    leads: pd.DataFrame
    events: pd.DataFrame
    outcomes: pd.DataFrame
    field_history: pd.DataFrame
    end: pd.Timestamp
    _truth: _Truth

    def true_probability(self, lead: pd.Series, cutoff: pd.Series, *, horizon_days: int) -> np.ndarray:
        """Give the chance to buy in ``[cutoff, cutoff + horizon)``, given all that was recorded before the cutoff.

        Parameters
        ----------
        lead : Series of str, shape (n_rows,)
            Ids.
        cutoff : Series of stamps, shape (n_rows,)
            Midnights, UTC, after the lead's creation; the lead had not bought.
        horizon_days : int

        Returns
        -------
        array of float, shape (n_rows,)
            In (0, 1).
        """
        row = pd.Index(self.leads["Lead ID"]).get_indexer(pd.Index(lead))
        day = (pd.DatetimeIndex(cutoff) - START) // DAY
        return self._truth.probability(row, np.asarray(day), horizon_days=horizon_days)

    def until(self, end: pd.Timestamp) -> Crm:
        """Give the tables as they were exported at an earlier midnight."""
        return _export(self._truth, end)


@dataclass(frozen=True, kw_only=True)
class _Truth:
    """The world behind the tables, a row a lead.

    Parameters
    ----------
    created : array of int, shape (n_leads,)
        The first whole day of the lead, counted from `START`.
    start : array of float, shape (n_leads, 3)
        Chances to begin cold, warm, hot.
    speed : array of float, shape (n_leads,)
        By how much who the lead is speeds up its decision.
    close : array of float, shape (n_leads,)
        Chance a day that a closing lead signs.
    who : DataFrame, shape (n_leads, any)
        Columns that never change.
    revenue, call_score : array, shape (n_leads,)
        What sales write down of those who bought; None for a score nobody asked for.
    bought : array of int, shape (n_leads,)
        Day of the purchase, far in the future where there is none.
    events : DataFrame
        Columns ``lead``, ``day``, ``kind``, ``recorded`` (a day), and the stamps of both.
    """

    who: pd.DataFrame
    revenue: np.ndarray
    call_score: np.ndarray | None
    bought: np.ndarray
    bought_at: pd.Series
    created: np.ndarray
    start: np.ndarray
    speed: np.ndarray
    close: np.ndarray
    events: pd.DataFrame

    def probability(self, row: np.ndarray, day: np.ndarray, *, horizon_days: int) -> np.ndarray:
        """Filter the hidden state up to each row's day, then look ahead."""
        belief = np.zeros((len(row), 2, 4))
        belief[:, 1, :3] = WORKED_SHARE * self.start[row]
        belief[:, 0, :3] = (1 - WORKED_SHARE) * self.start[row]
        weight = self._log_likelihoods(row, day)
        first = self.created[row]
        for step in range(int((day - first).max(initial=0))):
            there = np.flatnonzero(first + step < day)
            seen = belief[there] * weight(there, step)
            belief[there] = _move(seen, self._pace(row[there], first[there] + step), self.close[row[there]])[0]
            # Those who had not bought are looked at, so what is left is all there is.
            belief[there] /= belief[there].sum(axis=(1, 2), keepdims=True)
        bought = np.zeros(len(row))
        for step in range(horizon_days):
            belief, signed = _move(belief, self._pace(row, day + step), self.close[row])
            bought += signed
        return bought

    def _pace(self, row: np.ndarray, day: np.ndarray) -> np.ndarray:
        return pace(self.speed[row], day)

    def _log_likelihoods(self, row: np.ndarray, day: np.ndarray) -> _Likelihood:
        place = pd.DataFrame({"lead": row, "row": np.arange(len(row)), "cutoff": day})
        seen = place.merge(self.events, on="lead")
        # What brought a lead in says no more than its source does.
        seen = seen[(seen["recorded"] < seen["cutoff"]) & (seen["day"] >= self.created[seen["lead"]])]
        step = seen["day"].to_numpy() - self.created[seen["lead"]]
        return _Likelihood(
            row=seen["row"].to_numpy(), step=step, kind=seen["kind"].to_numpy(), days=day - self.created[row]
        )


class _Likelihood:
    """How likely what was seen of a lead on one of its days is, by worked and state."""

    def __init__(self, *, row: np.ndarray, step: np.ndarray, kind: np.ndarray, days: np.ndarray) -> None:
        order = np.argsort(step, kind="stable")
        self._row, self._kind = row[order], kind[order]
        self._starts = np.searchsorted(step[order], np.arange(int(days.max(initial=0)) + 2))
        self._days = days

    def __call__(self, there: np.ndarray, step: int) -> np.ndarray:
        """Give likelihoods, shape (n_rows, 2, 4); a type's log of unseen days counts as empty."""
        seen = slice(*self._starts[step : step + 2])
        counts = np.zeros((len(self._days), len(TYPES)))
        np.add.at(counts, (self._row[seen], self._kind[seen]), 1)
        # An event of that day may not be recorded yet: only what could have been seen counts as absent.
        share = recorded_share(self._days[there] - step)
        by_worked = np.stack([_rates(worked=False), _rates(worked=True)])
        rates = by_worked[None] * share[:, None, :, None]
        with np.errstate(divide="ignore"):
            logs = np.where(counts[there][:, None, :, None] > 0, np.log(rates), 0.0)
        return np.asarray(np.exp((counts[there][:, None, :, None] * logs - rates).sum(axis=2)))


def _rates(*, worked: bool) -> np.ndarray:
    """Give events a day, shape (n_types, 4): nobody calls a lead that is not worked."""
    return RATES if worked else np.where(np.arange(len(TYPES))[:, None] == _CALL, 0.0, RATES)


def recorded_share(age: np.ndarray) -> np.ndarray:
    """Give the share of events that are on record so many midnights later, shape (n, n_types)."""
    late = np.array([_MEAN_DELAY.get(name, 0.0) for name in TYPES])
    with np.errstate(divide="ignore"):
        stay = np.where(late > 0, np.exp(-1 / np.maximum(late, 1e-9)), 0.0)
    return np.asarray(1 - stay[None, :] ** np.maximum(age, 0)[:, None])


def pace(speed: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Give the chance a day of a hot, worked lead to start closing; it drifts with the calendar."""
    return np.asarray(np.minimum(HOT_TO_CLOSING * np.exp(speed + DRIFT_A_YEAR * day / 365), 0.5))


def _move(belief: np.ndarray, hot: np.ndarray, close: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Move beliefs one day on; give them, and the share that bought that day."""
    cold, warm, hots, closing = (belief[:, :, state] for state in range(4))
    leaving = hots * hot[:, None] * np.array([UNWORKED_FACTOR, 1.0])
    moved = np.empty_like(belief)
    moved[:, :, COLD] = cold * (1 - COLD_TO_WARM) + warm * WARM_TO_COLD + closing * CLOSING_TO_COLD
    moved[:, :, WARM] = cold * COLD_TO_WARM + warm * (1 - WARM_TO_COLD - WARM_TO_HOT) + hots * HOT_TO_WARM
    moved[:, :, HOT] = warm * WARM_TO_HOT + hots * (1 - HOT_TO_WARM) - leaving
    moved[:, :, CLOSING] = leaving + closing * (1 - CLOSING_TO_COLD - close[:, None])
    return moved, (closing * close[:, None]).sum(axis=1)


def invent_crm(*, seed: int = 0, n_leads: int = N_LEADS, n_days: int = N_DAYS, leak: bool = False) -> Crm:
    """Invent a small CRM: leads, an activity log, outcomes, and the history of a field that sales fill in later.

    Parameters
    ----------
    seed : int
    n_leads : int
    n_days : int
        How long leads come in; the export is taken at the end.
    leak : bool
        Whether the lead table has a column that knows the future: ``Call score``, which sales write after the deal.

    Returns
    -------
    Crm
        Always the same for the same arguments.

    Examples
    --------
    >>> crm = invent_crm(n_leads=50, n_days=200)
    >>> len(crm.leads), [*crm.outcomes], str(crm.end.date())
    (50, ['lead_id', 'converted_at'], '2025-07-20')
    >>> p = crm.true_probability(crm.leads["Lead ID"][:2], pd.Series([crm.end] * 2), horizon_days=90)
    >>> bool(((p > 0) & (p < 1)).all())
    True
    """
    rng = np.random.default_rng(seed)
    came = np.sort(rng.uniform(0, n_days - 1, n_leads))
    created = came.astype(int) + 1
    who, interest, speed = _people(rng, came)
    start = np.exp(np.stack([np.zeros(n_leads), -0.4 + 0.8 * interest, -2.6 + 1.2 * interest], axis=1))
    start /= start.sum(axis=1, keepdims=True)
    close = np.where(who["Company size"].isin(_LARGE), CLOSE_SLOW, CLOSE_FAST)
    lead, day, kind, bought = _live(rng, created, start, speed, close, n_days=n_days + 365)
    first = np.array([TYPES.index(_FIRST_TOUCH[name][0]) for name in who["Lead source"]])
    events = _recorded(
        rng,
        pd.DataFrame(
            {
                "lead": np.r_[np.arange(n_leads), lead],
                "day": np.r_[created - 1, day],
                "kind": np.r_[first, kind],
                "clock": np.r_[came % 1, rng.uniform(0.3, 0.9, len(lead))],
            }
        ),
    )
    won = bought < n_days + 365
    truth = _Truth(
        who=who,
        revenue=np.where(rng.random(n_leads) < np.where(won, 0.9, 0.1), rng.choice([*_REVENUES], n_leads), ""),
        call_score=np.round(5 + 2 * won + rng.normal(0, 0.7, n_leads), 1) if leak else None,
        bought=bought,
        bought_at=START + pd.to_timedelta(np.minimum(bought, 10**4) + rng.uniform(0.35, 0.75, n_leads), unit="D"),
        created=created,
        start=start,
        speed=speed,
        close=close,
        events=events,
    )
    return _export(truth, START + n_days * DAY)


def _people(rng: np.random.Generator, came: np.ndarray) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Invent who the leads are; give that, how interested they come in, and how fast such leads decide."""
    n = len(came)
    title, industry, source = (rng.choice([*table], n) for table in (_TITLES, _INDUSTRIES, _FIRST_TOUCH))
    size = rng.choice([*_SIZES], n, p=_SIZE_CHANCES)
    by_title, by_industry, by_size = (
        np.array([table[value] for value in values])
        for table, values in ((_TITLES, title), (_INDUSTRIES, industry), (_SIZES, size))
    )
    first = rng.choice(_FIRST, n)
    account = rng.permutation(np.arange(n) // 2 * (rng.random(n) < 0.4) + (n + np.arange(n)))
    has_mail = rng.random(n) > 0.1
    who = pd.DataFrame(
        {
            "Lead ID": [f"L{i:05d}" for i in range(1, n + 1)],
            "Account": [f"A{i:05d}" for i in account],
            "Created": _text(START + pd.to_timedelta(came, unit="D")),
            "First name": first,
            "Email": np.where(has_mail, [f"{name.lower()}{i}@company.example" for i, name in enumerate(first)], ""),
            "Job title": np.where(rng.random(n) > 0.08, title, ""),
            "Industry": industry,
            "Company size": size,
            "Country": rng.choice(_COUNTRIES, n),
            "Lead source": source,
        }
    )
    touch = np.array([_FIRST_TOUCH[name][1] for name in source])
    return who, by_title + by_industry + touch, 0.9 * (by_title + by_industry + by_size)


def _live(
    rng: np.random.Generator,
    created: np.ndarray,
    start: np.ndarray,
    speed: np.ndarray,
    close: np.ndarray,
    *,
    n_days: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Let every lead live day by day; give the lead, day and type of all events, and the day each lead bought."""
    n = len(created)
    state = (rng.random((n, 1)) > np.cumsum(start, axis=1)).sum(axis=1)
    worked = rng.random(n) < WORKED_SHARE
    factor = np.where(worked, 1.0, UNWORKED_FACTOR)
    bought = np.full(n, n_days)
    log = []
    for day in range(n_days):
        here = np.flatnonzero((created <= day) & (bought == n_days))
        rates = RATES[:, state[here]].T
        rates[:, _CALL] *= worked[here]
        counts = rng.poisson(rates)
        at, kind = np.nonzero(counts)
        log.append(np.repeat(np.stack([here[at], np.full(len(at), day), kind]), counts[at, kind], axis=1))
        leaving = pace(speed[here], np.full(len(here), day)) * factor[here]
        sure = np.zeros(len(here))
        up = np.choose(state[here], [sure + COLD_TO_WARM, sure + WARM_TO_HOT, leaving, close[here]])
        down = np.choose(state[here], [sure, sure + WARM_TO_COLD, sure + HOT_TO_WARM, sure + CLOSING_TO_COLD])
        chance = rng.random(len(here))
        is_up, is_down = chance < up, (chance >= up) & (chance < up + down)
        bought[here[is_up & (state[here] == CLOSING)]] = day
        lower = np.where(state[here] == CLOSING, COLD, state[here] - 1)
        state[here] = np.where(is_up, np.minimum(state[here] + 1, CLOSING), np.where(is_down, lower, state[here]))
    lead, day_of, kind_of = np.concatenate(log, axis=1)
    return lead, day_of, kind_of, bought


def _recorded(rng: np.random.Generator, events: pd.DataFrame) -> pd.DataFrame:
    """Give each event its stamp, and when it was loaded: some types come days later, a few records come twice."""
    late = np.array([_MEAN_DELAY.get(name, 0.0) for name in TYPES])[events["kind"]]
    leave = np.where(late > 0, 1 - np.exp(-1 / np.maximum(late, 1e-9)), 1.0)
    days = rng.geometric(leave) - 1
    clock = np.where(days > 0, 0.25, np.minimum(events["clock"] + rng.uniform(0.001, 0.05, len(events)), 0.99999))
    recorded = events["day"] + days
    occurred_at = START + pd.to_timedelta(events["day"] + events["clock"], unit="D")
    recorded_at = START + pd.to_timedelta(recorded + clock, unit="D")
    table = events.assign(
        recorded=recorded, occurred_at=occurred_at.dt.floor("s"), recorded_at=recorded_at.dt.floor("s")
    )
    return table.sort_values(["occurred_at", "lead"], kind="stable").reset_index(drop=True)


def _text(stamps: pd.Series | pd.DatetimeIndex) -> np.ndarray:
    return np.asarray(pd.DatetimeIndex(stamps).strftime("%Y-%m-%dT%H:%M:%SZ"), dtype=object)


def _export(truth: _Truth, end: pd.Timestamp) -> Crm:
    """Write the tables as they are at a midnight; counters and statuses are today's, as exports have them."""
    last = (end - START) // DAY
    there = np.flatnonzero(truth.created - 1 < last)
    ids = truth.who["Lead ID"].to_numpy()
    log = truth.events[truth.events["recorded"] < last]
    won = truth.bought[there] < last
    kinds = np.array(TYPES, dtype=object)[log["kind"]]
    leads = truth.who.iloc[there].reset_index(drop=True)
    leads["Annual revenue"] = np.where(won | (truth.bought[there] > last + 365), truth.revenue[there], "")
    visits = log.loc[kinds == "page visit", "lead"].value_counts()
    leads["Number of page visits"] = visits.reindex(there, fill_value=0).to_numpy()
    newest = log.groupby("lead")["occurred_at"].max()
    leads["Last activity date"] = pd.DatetimeIndex(newest.reindex(there)).strftime("%Y-%m-%d")
    interest = log[np.isin(kinds, ["pricing page visit", "content download", "webinar attended", "demo request"])]
    for stage, seen, days in (("MQL", interest, 1), ("SQL", log[kinds == "demo request"], 2)):
        at = (seen.groupby("lead")["recorded_at"].min().reindex(there) + days * DAY).reset_index(drop=True)
        leads[f'Date entered "{stage}"'] = at.where(at < end).dt.strftime("%Y-%m-%d").fillna("")
    status = np.where(leads['Date entered "MQL"'] != "", "MQL", "Lead")
    status = np.where(leads['Date entered "SQL"'] != "", "SQL", status)
    leads["Lead status"] = np.where(won, "Customer", status)
    if truth.call_score is not None:
        leads["Call score"] = truth.call_score[there]
    order = np.argsort(truth.bought_at.to_numpy()[there[won]], kind="stable")
    buyers = there[won][order]
    outcomes = pd.DataFrame({"lead_id": ids[buyers], "converted_at": _text(truth.bought_at[buyers])})
    filled = buyers[truth.revenue[buyers] != ""]
    history = pd.DataFrame(
        {
            "lead_id": ids[filled],
            "field": "Annual revenue",
            "old_value": "",
            "value": truth.revenue[filled],
            "valid_from": _text(truth.bought_at[filled]),
        }
    )
    events = pd.DataFrame(
        {
            "lead_id": ids[log["lead"]],
            "occurred_at": _text(log["occurred_at"]),
            "event_type": kinds,
            "recorded_at": _text(log["recorded_at"]),
        }
    )
    return Crm(leads=leads, events=events, outcomes=outcomes, field_history=history, end=end, _truth=truth)
