"""The only place that says which features there are: what training chose, so that scoring makes the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

CUTOFF = "cutoff"
ANY_EVENT = "any event"
FIRST_EVENT = "first event"
DAYS_SINCE_CREATED = "days since created"
# Why a row is set aside, and nobody scores it: of a lead that the lead file does not hold, without a cutoff, of a lead
# created after its cutoff, of one that had converted before it.
UNKNOWN_LEAD, NO_CUTOFF, CREATED_LATER, CONVERTED = "unknown_lead", "no_cutoff", "created_later", "already_converted"


@dataclass(frozen=True, kw_only=True)
class EventNames:
    """What the columns of the event table are called."""

    id: str | None = None
    group: str | None = None
    occurred_at: str = "occurred_at"
    type: str = "event_type"
    value: str = ""
    recorded_at: str = ""


@dataclass(frozen=True, kw_only=True)
class HistoryNames:
    """What the columns of the field history are called."""

    id: str = "lead_id"
    field: str = "field"
    value: str = "value"
    valid_from: str = "valid_from"
    old_value: str = ""


@dataclass(frozen=True, kw_only=True)
class Signal:
    """Events of one type as the points sheet counts them.

    Parameters
    ----------
    type : str
        Canonical name of the event type.
    decay : {"none", "linear", "step", "exponential"}
    half_life_days : float
        0 without a decay.
    """

    type: str
    decay: str = "none"
    half_life_days: float = 0.0

    @property
    def column(self) -> str:
        """Name the column of feature rows that holds it.

        Examples
        --------
        >>> Signal(type="demo").column, Signal(type="demo", decay="step", half_life_days=7.5).column
        ('demo events', 'demo events, step 7.5d')
        """
        decay = "" if self.decay == "none" else f", {self.decay} {self.half_life_days:g}d"
        return f"{self.type} events{decay}"


@dataclass(frozen=True, kw_only=True)
class FeaturePlan:
    """Which features are made of which tables, and how those are read.

    Parameters
    ----------
    has_events : bool
        Whether there is an event table.
    stages : dict of event type to column
        Columns of the lead table that say when a stage was entered: events too. Without these and an event table,
        nothing but `derive` is made.
    types : tuple of str
        Event types with features of their own, in alphabetical order. All others count as "any event".
    valued : tuple of str
        Those of them whose events have values.
    families : dict of str to tuple of str
        Families of event types, with features of their own too.
    windows_days : tuple of int
        Growing lengths of the windows events are counted in.
    half_life_days : float
        After so many days an event adds half to the intensity.
    lookback_days : int
        Nothing older counts: histories of all leads are cut alike.
    signals : tuple of Signal
        What the points sheet counts; no features of the model.
    derive : dict of column to kind
        Raw fields of the lead table, and what is made of them.
    id, group, date : str or None
        Columns of the lead table.
    event, history : EventNames, HistoryNames
    timezone : str
    missing : dict of column (or "*") to words
    """

    has_events: bool = False
    stages: Mapping[str, str] = field(default_factory=dict)
    types: tuple[str, ...] = ()
    valued: tuple[str, ...] = ()
    families: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    windows_days: tuple[int, ...] = (7, 30, 90)
    half_life_days: float = 14.0
    lookback_days: int = 365
    signals: tuple[Signal, ...] = ()
    derive: Mapping[str, str] = field(default_factory=dict)
    id: str | None = None
    group: str | None = None
    date: str | None = None
    event: EventNames = EventNames()
    history: HistoryNames = HistoryNames()
    timezone: str = "UTC"
    missing: Mapping[str, tuple[str | float, ...]] = field(default_factory=dict)

    @property
    def slots(self) -> tuple[tuple[str, tuple[str, ...] | None, bool], ...]:
        """What is counted: a name, the types in it (None: all), whether its events have values."""
        anything = (ANY_EVENT, None, bool(self.valued))
        families = [
            (f"all {name}", tuple(types), bool({*types} & {*self.valued}))
            for name, types in sorted(self.families.items())
        ]
        own = [(name, (name,), name in self.valued) for name in self.types]
        return (anything, *families, *own) if self.has_behaviour else ()

    @property
    def has_behaviour(self) -> bool:
        """Whether features are made of what leads did."""
        return self.has_events or bool(self.stages)

    @property
    def trend_days(self) -> int:
        """Length of the window that the trend compares with the one before it: the second shortest."""
        return self.windows_days[min(1, len(self.windows_days) - 1)]

    def slot_names(self, slot: str, *, has_value: bool) -> tuple[str, ...]:
        """Name the features of one slot."""
        longest = self.windows_days[-1]
        return (
            *(f"{slot} count {days}d" for days in self.windows_days),
            f"{slot} rate",
            f"{slot} active days {longest}d",
            f"{slot} days since",
            f"{slot} intensity",
            f"{slot} trend {self.trend_days}d",
            *(f"{slot} value {days}d" for days in self.windows_days if has_value),
        )

    def slot_directions(self, slot: str, *, has_value: bool) -> dict[str, int]:
        """Say which features of one slot go up with one more event (1), and which down (-1): the days since the last.

        The trend is neither: it holds one window against the one before.

        Examples
        --------
        >>> found = FeaturePlan(windows_days=(7,)).slot_directions("demo", has_value=False)
        >>> [name for name, way in found.items() if way == 1]
        ['demo count 7d', 'demo rate', 'demo active days 7d', 'demo intensity']
        >>> [name for name, way in found.items() if way == -1]
        ['demo days since']
        """
        ways = dict.fromkeys(self.slot_names(slot, has_value=has_value), 1)
        ways[f"{slot} days since"] = -1
        del ways[f"{slot} trend {self.trend_days}d"]
        return ways

    @property
    def behaviour_names(self) -> tuple[str, ...]:
        """Names of all features made of events."""
        if not self.has_behaviour:
            return ()
        own = [name for slot, _, has_value in self.slots for name in self.slot_names(slot, has_value=has_value)]
        return (FIRST_EVENT, DAYS_SINCE_CREATED, *own)

    def of_columns(self, columns: Sequence[str]) -> FeaturePlan:
        """Give the plan that makes what these columns name: the types and families behind them, as far as it can.

        Examples
        --------
        >>> FeaturePlan(has_events=True).of_columns(["demo count 90d", "Industry"]).types
        ('demo',)
        """
        ends = self.slot_names("", has_value=True)
        named = [(name, end) for name in columns for end in ends if name.endswith(end) and name != end]
        slots = {name.removesuffix(end) for name, end in named} - {ANY_EVENT}
        families = {name: types for name, types in self.families.items() if f"all {name}" in slots}
        within = {name for types in families.values() for name in types}
        types = tuple(sorted((slots - {f"all {name}" for name in families}) | within))
        valued = {name.removesuffix(end) for name, end in named if " value " in end}
        return replace(self, types=types, families=families, valued=tuple(t for t in types if t in valued))

    def to_dict(self) -> dict[str, Any]:
        """Give the plan as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FeaturePlan:
        """Restore a plan from `to_dict`."""
        lists = {name: tuple(values[name]) for name in ("types", "valued", "windows_days")}
        tables = {name: {key: tuple(words) for key, words in values[name].items()} for name in ("families", "missing")}
        names = {"event": EventNames(**values["event"]), "history": HistoryNames(**values["history"])}
        # Bundles older than event rules have none.
        signals = tuple(Signal(**one) for one in values.get("signals", ()))
        return cls(**{**values, **lists, **tables, **names, "signals": signals})
