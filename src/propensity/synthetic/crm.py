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
# Companies that decide slowly.
LARGE = ("201-500", "501-1,000", "1,001-5,000", "10,000+")

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
_CALL = TYPES.index("sales call")
# By whether sales work the lead, type and state: nobody calls a lead that is not worked.
RATES = np.stack([[*_RATES.values()]] * 2)
RATES[0, _CALL] = 0.0
WORKED_SHARE, UNWORKED_FACTOR = 0.8, 0.35
# Attendance lists of webinars are loaded days later (on average so many); all else is known the same day.
_MEAN_DELAY = {"webinar attended": 4.0}
_STAY = np.array([np.exp(-1 / _MEAN_DELAY[name]) if name in _MEAN_DELAY else 0.0 for name in TYPES])
# Chances a day to move on.
COLD_TO_WARM, WARM_TO_COLD, WARM_TO_HOT, HOT_TO_WARM = 0.004, 0.018, 0.016, 0.030
HOT_TO_CLOSING, CLOSING_TO_COLD = 0.035, 0.006
DRIFT_A_YEAR = 0.35
# Small companies sign in weeks, large ones in months.
CLOSE_FAST, CLOSE_SLOW = 1 / 9, 1 / 45

# How much more (or less) interested such leads come in, on a log scale.
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
# What each source's leads did first, and their interest.
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
# A lead becomes one so many days after it was known to have done one of these.
_STAGES = {
    "MQL": (1, ("pricing page visit", "content download", "webinar attended", "demo request")),
    "SQL": (2, ("demo request",)),
}


@dataclass(frozen=True, kw_only=True)
class Crm:
    """An invented CRM and what only an inventor knows.

    Parameters
    ----------
    leads, events, outcomes, field_history : DataFrame
        The tables as an export has them at `end`, stamps as text. The lead table says what is so at `end`; the field
        history, when "Annual revenue" and "Lead status" changed.
    end : Timestamp
        A midnight; nothing at or after it is in the tables.
    """

    leads: pd.DataFrame
    events: pd.DataFrame
    outcomes: pd.DataFrame
    field_history: pd.DataFrame
    end: pd.Timestamp
    _truth: _Truth

    @property
    def new_leads(self) -> pd.DataFrame:
        """The leads of the last 90 days that had not bought by the end."""
        is_new = pd.DatetimeIndex(self.leads["Created"]) >= self.end - 90 * DAY
        return self.leads[is_new & ~self.leads["Lead ID"].isin(self.outcomes["lead_id"])].reset_index(drop=True)

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
    """The world behind the tables, a row a lead, in order of creation.

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
        Columns as they were when the lead came in.
    events : DataFrame
        Columns ``lead``, ``day``, ``kind``, ``recorded`` (a day), and the stamps of both.
    changes : DataFrame
        What people wrote down later, in order of time: columns ``lead``, ``field``, ``old_value``, ``value``, ``at``.
    """

    created: np.ndarray
    start: np.ndarray
    speed: np.ndarray
    close: np.ndarray
    who: pd.DataFrame
    events: pd.DataFrame
    changes: pd.DataFrame

    def probability(self, row: np.ndarray, day: np.ndarray, *, horizon_days: int) -> np.ndarray:
        """Filter the hidden state up to each row's day, then look ahead."""
        share = np.array([1 - WORKED_SHARE, WORKED_SHARE])
        belief = np.zeros((len(row), 2, 4))
        belief[:, :, :CLOSING] = share[None, :, None] * self.start[row][:, None, :]
        first, age = self.created[row], day - self.created[row]
        seen = pd.DataFrame({"lead": row, "row": np.arange(len(row)), "cutoff": day}).merge(self.events, on="lead")
        seen["step"] = seen["day"] - self.created[seen["lead"]]
        # What brought a lead in, before its first whole day, says no more than its source does.
        seen = seen[(seen["recorded"] < seen["cutoff"]) & (seen["step"] >= 0)].sort_values("step", kind="stable")
        where, kind = seen["row"].to_numpy(), seen["kind"].to_numpy()
        n_days = int(age.max(initial=0))
        starts = np.searchsorted(seen["step"], np.arange(n_days + 1))
        rates = RATES.transpose(1, 0, 2).reshape(len(TYPES), 8)
        # What never happens in a state is as good as ruled out, and no infinity is multiplied by zero.
        logs = np.log(np.maximum(rates, 1e-300))
        for step in range(n_days):
            there = np.flatnonzero(age > step)
            counts = np.zeros((len(row), len(TYPES)))
            np.add.at(counts, (where[starts[step] : starts[step + 1]], kind[starts[step] : starts[step + 1]]), 1)
            # An event of that day may not be recorded yet: only what could have been seen counts as absent.
            log_likelihood = counts[there] @ logs - recorded_share(age[there] - step) @ rates
            likelihood = np.exp(log_likelihood).reshape(-1, 2, 4)
            pace = hot_to_closing(self.speed[row[there]], first[there] + step)
            moved = _move(belief[there] * likelihood, pace, self.close[row[there]])[0]
            # Those who had not bought are looked at, so what is left is all there is.
            belief[there] = moved / moved.sum(axis=(1, 2), keepdims=True)
        bought = np.zeros(len(row))
        for step in range(horizon_days):
            belief, signed = _move(belief, hot_to_closing(self.speed[row], day + step), self.close[row])
            bought += signed
        return bought


def recorded_share(age: np.ndarray) -> np.ndarray:
    """Give the share of events that are on record so many midnights (1 or more) later, shape (n, n_types)."""
    return np.asarray(1 - _STAY[None, :] ** age[:, None])


def hot_to_closing(speed: np.ndarray, day: np.ndarray | int) -> np.ndarray:
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
    """Invent a small CRM: leads, an activity log, outcomes, and the history of what people wrote down later.

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
    close = np.where(who["Company size"].isin(LARGE), CLOSE_SLOW, CLOSE_FAST)
    # A year more than is exported: what a planted leak knows.
    lead, day, kind, bought = _live(rng, created, start, speed, close, n_days=n_days + 365)
    first = np.array([TYPES.index(_FIRST_TOUCH[name][0]) for name in who["Lead source"]])
    events = _recorded(
        rng,
        lead=np.r_[np.arange(n_leads), lead],
        day=np.r_[created - 1, day],
        kind=np.r_[first, kind],
        clock=np.r_[came % 1, rng.uniform(0.3, 0.9, len(lead))],
    )
    won = bought >= 0
    bought_at = pd.Series(START + pd.to_timedelta(bought + rng.uniform(0.35, 0.75, n_leads), unit="D")).where(won)
    changes = _written_down(rng, who, events, bought_at.dt.floor("s"))
    if leak:
        who["Call score"] = np.round(5 + 2 * won + rng.normal(0, 0.7, n_leads), 1)
    truth = _Truth(created=created, start=start, speed=speed, close=close, who=who, events=events, changes=changes)
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
    domain = rng.choice(["@company.example", "@gmail.example", ""], n, p=[0.65, 0.25, 0.1])
    # Two in five leads share their account with another one.
    account = np.where(rng.random(n // 2 + 1)[np.arange(n) // 2] < 0.4, np.arange(n) // 2, n + np.arange(n))
    who = pd.DataFrame(
        {
            "Lead ID": [f"L{i:05d}" for i in range(1, n + 1)],
            "Account": [f"A{i:05d}" for i in rng.permutation(account)],
            "Created": _text(START + pd.to_timedelta(came, unit="D")),
            "First name": first,
            "Email": [f"{first[i].lower()}{i}{domain[i]}" if domain[i] else "" for i in range(n)],
            "Job title": np.where(rng.random(n) > 0.08, title, ""),
            "Industry": industry,
            "Company size": size,
            "Annual revenue": np.where(rng.random(n) < 0.1, rng.choice(_REVENUES, n), ""),
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
    """Let every lead live day by day; give the lead, day and type of all events, and the day each bought (or -1)."""
    n = len(created)
    state = (rng.random((n, 1)) > np.cumsum(start, axis=1)).sum(axis=1)
    worked = (rng.random(n) < WORKED_SHARE).astype(int)
    bought = np.full(n, -1)
    log = []
    for day in range(n_days):
        here = np.flatnonzero((created <= day) & (bought < 0))
        now = state[here]
        counts = rng.poisson(RATES[worked[here], :, now])
        at, kind = np.nonzero(counts)
        log.append(np.repeat(np.stack([here[at], np.full(len(at), day), kind]), counts[at, kind], axis=1))
        leaving = hot_to_closing(speed[here], day) * np.array([UNWORKED_FACTOR, 1.0])[worked[here]]
        up = np.choose(now, [COLD_TO_WARM, WARM_TO_HOT, leaving, close[here]])
        down = np.array([0.0, WARM_TO_COLD, HOT_TO_WARM, CLOSING_TO_COLD])[now]
        chance = rng.random(len(here))
        is_up, is_down = chance < up, (chance >= up) & (chance < up + down)
        bought[here[is_up & (now == CLOSING)]] = day
        below = np.array([COLD, COLD, WARM, COLD])[now]
        state[here] = np.where(is_up, np.minimum(now + 1, CLOSING), np.where(is_down, below, now))
    lead, day_of, kind_of = np.concatenate(log, axis=1)
    return lead, day_of, kind_of, bought


def _recorded(
    rng: np.random.Generator, *, lead: np.ndarray, day: np.ndarray, kind: np.ndarray, clock: np.ndarray
) -> pd.DataFrame:
    """Give each event its stamp, and when it was loaded: some types come days later."""
    days = rng.geometric(1 - _STAY[kind]) - 1
    loaded = np.where(days > 0, 0.25, np.minimum(clock + rng.uniform(0.001, 0.05, len(clock)), 0.99999))
    table = pd.DataFrame({"lead": lead, "day": day, "kind": kind, "recorded": day + days})
    for name, at in (("occurred_at", day + clock), ("recorded_at", day + days + loaded)):
        table[name] = (START + pd.to_timedelta(at, unit="D")).floor("s")
    return table.sort_values(["occurred_at", "lead"], kind="stable").reset_index(drop=True)


def _written_down(
    rng: np.random.Generator, who: pd.DataFrame, events: pd.DataFrame, bought_at: pd.Series
) -> pd.DataFrame:
    """Give what people wrote down of leads later: their status, and the revenue of most of those who bought."""
    entered = pd.DataFrame(index=who.index)
    for stage, (days, kinds) in _STAGES.items():
        seen = events[events["kind"].isin([TYPES.index(name) for name in kinds])]
        at = seen.groupby("lead")["recorded_at"].min().reindex(who.index) + days * DAY
        # A customer is nobody's lead any more.
        entered[stage] = at.where(~(at >= bought_at))
    entered["Customer"] = bought_at
    stages = entered.rename_axis("lead").reset_index().melt("lead", var_name="value", value_name="at").dropna()
    stages = stages.sort_values(["lead", "at"], kind="stable")
    stages["old_value"] = stages.groupby("lead")["value"].shift().fillna("Lead")
    filled = np.flatnonzero(bought_at.notna() & (who["Annual revenue"] == "") & (rng.random(len(who)) < 0.9))
    revenues = pd.DataFrame({"lead": filled, "at": bought_at.iloc[filled], "old_value": ""})
    revenues["value"] = rng.choice(_REVENUES, len(filled))
    changes = pd.concat([stages.assign(field="Lead status"), revenues.assign(field="Annual revenue")])
    return changes.sort_values(["at", "lead", "field"], kind="stable").reset_index(drop=True)


def _text(stamps: pd.Series | pd.DatetimeIndex) -> np.ndarray:
    return np.asarray(pd.DatetimeIndex(stamps).strftime("%Y-%m-%dT%H:%M:%SZ"), dtype=object)


def _export(truth: _Truth, end: pd.Timestamp) -> Crm:
    """Write the tables as they are at a midnight; counters and statuses are today's, as exports have them."""
    last = (end - START) // DAY
    there = np.flatnonzero(truth.created - 1 < last)
    log = truth.events[truth.events["recorded"] < last]
    changes = truth.changes[truth.changes["at"] < end]
    leads = truth.who.iloc[there].reset_index(drop=True)
    ids = leads["Lead ID"].to_numpy()
    visits = log.loc[log["kind"] == TYPES.index("page visit"), "lead"].value_counts()
    leads["Number of page visits"] = visits.reindex(there, fill_value=0).to_numpy()
    leads["Last activity date"] = log.groupby("lead")["occurred_at"].max().reindex(there).dt.strftime("%Y-%m-%d")
    leads["Lead status"] = "Lead"
    for field, of_field in changes.groupby("field"):
        newest = of_field.groupby("lead")["value"].last()
        leads.loc[newest.index, field] = newest
    moved = changes[changes["field"] == "Lead status"]
    for stage in (*_STAGES, "Customer"):
        at = moved[moved["value"] == stage].set_index("lead")["at"].reindex(there)
        leads[f'Date entered "{stage}"'] = at.dt.strftime("%Y-%m-%d").fillna("")
    sold = moved[moved["value"] == "Customer"]
    return Crm(
        leads=leads,
        events=pd.DataFrame(
            {
                "lead_id": ids[log["lead"]],
                "occurred_at": _text(log["occurred_at"]),
                "event_type": np.array(TYPES, dtype=object)[log["kind"]],
                "recorded_at": _text(log["recorded_at"]),
            }
        ),
        outcomes=pd.DataFrame({"lead_id": ids[sold["lead"]], "converted_at": _text(sold["at"])}),
        field_history=pd.DataFrame(
            {
                "lead_id": ids[changes["lead"]],
                "field": changes["field"].to_numpy(),
                "old_value": changes["old_value"].to_numpy(),
                "value": changes["value"].to_numpy(),
                "valid_from": _text(changes["at"]),
            }
        ),
        end=end,
        _truth=truth,
    )
