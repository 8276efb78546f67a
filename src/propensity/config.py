"""The only place for the settings of `propensity.toml`: names, defaults, allowed values.

Every section is frozen and refuses unknown keys when it is built. A function below the
command line takes its own section, never the whole `Config`.
"""

import datetime as dt
import unicodedata
import zoneinfo
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from propensity.errors import ConfigError

# Words that people and CRMs write where nothing is known (compared without case and padding).
MISSING_WORDS = ("", "select", "unknown", "n/a", "na", "nan", "null", "none", "-", "--", "?", "#n/a", "(blank)")

# No measurement of a lead is larger.
MAX_RULE_VALUE = 1e30

Availability = Literal["static", "event", "mutable", "outcome"]
Family = Literal["fit", "behaviour"]
Direction = Literal["increasing", "decreasing"]
Share = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """A frozen group of settings that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=False, allow_inf_nan=False)


class Source(Section):
    """A file, or what a read-only query makes of it."""

    path: Annotated[str, Field(min_length=1)]
    query: str = ""

    @model_validator(mode="before")
    @classmethod
    def _text_alone_is_a_path(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value


class DataConfig(Section):
    """Where the tables are and how they are written."""

    leads: Source | None = None
    events: Source | None = None
    outcomes: Source | None = None
    cutoffs: Source | None = None
    field_history: Source | None = None
    timezone: str = "UTC"
    extracted_at: dt.datetime | None = None
    missing: dict[str, tuple[str | int | float, ...]] = Field(default={"*": MISSING_WORDS})

    @model_validator(mode="after")
    def _leads_come_from_somewhere(self) -> "DataConfig":
        if self.leads is None and self.cutoffs is None:
            msg = "name the lead file (data.leads), or a file of cutoffs whose ids are the leads (data.cutoffs)"
            raise ValueError(msg)
        if self.outcomes is not None and self.leads is None and self.events is None:
            msg = "outcomes alone teach nothing: name leads or events too"
            raise ValueError(msg)
        return self

    @field_validator("missing", mode="before")
    @classmethod
    def _list_alone_means_every_column(cls, value: object) -> object:
        if isinstance(value, list | tuple):
            return {"*": value}
        return {"*": MISSING_WORDS, **value} if isinstance(value, dict) else value

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            msg = "must be a time zone name such as 'UTC' or 'Europe/Ljubljana'"
            raise ValueError(msg) from error
        return value


def _folded(name: str) -> str:
    """Fold what the file's header is looked up without: case, padding, repeated spaces, Unicode forms."""
    return " ".join(unicodedata.normalize("NFKC", name).split()).casefold()


class EventColumns(Section):
    """What the columns of the event table are called; `value` and `recorded_at` may be absent."""

    id: str | None = None
    group: str | None = None
    occurred_at: str = "occurred_at"
    type: str = "event_type"
    value: str = ""
    recorded_at: str = ""

    @model_validator(mode="after")
    def _one_key(self) -> "EventColumns":
        if self.id is not None and self.group is not None:
            msg = "events belong to leads (id) or to accounts (group), not to both: keep one of the two"
            raise ValueError(msg)
        return self


class OutcomeColumns(Section):
    """What the columns of the outcome table are called."""

    id: str | None = None
    group: str | None = None
    converted_at: str = "converted_at"

    @model_validator(mode="after")
    def _one_key(self) -> "OutcomeColumns":
        if self.id is not None and self.group is not None:
            msg = "outcomes belong to leads (id) or to accounts (group), not to both: keep one of the two"
            raise ValueError(msg)
        return self


class CutoffColumns(Section):
    """What the columns of the cutoff table are called."""

    id: str = "lead_id"
    cutoff: str = "cutoff"


class FieldHistoryColumns(Section):
    """What the columns of the field history are called; `old_value` may be absent."""

    id: str = "lead_id"
    field: str = "field"
    value: str = "value"
    valid_from: str = "valid_from"
    old_value: str = ""


class ColumnsConfig(Section):
    """What each column of the tables is. Columns named nowhere are not used."""

    id: str | None = None
    group: str | None = None
    target: str | None = None
    positive: str | None = None
    date: str | None = None
    cutoff: str | None = None
    converted_at: str | None = None
    closed_lost_at: str | None = None
    stages: Mapping[str, str] = {}
    ordered: bool = False
    fit: tuple[str, ...] = ()
    behaviour: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    count: tuple[str, ...] = ()
    event: EventColumns = EventColumns()
    outcome: OutcomeColumns = OutcomeColumns()
    cutoffs: CutoffColumns = CutoffColumns()
    field_history: FieldHistoryColumns = FieldHistoryColumns()

    @model_validator(mode="after")
    def _accounts_are_named(self) -> "ColumnsConfig":
        by_account = [name for name in ("event", "outcome") if getattr(self, name).group is not None]
        if by_account and self.group is None:
            msg = (
                f"{' and '.join(f'{name}.group' for name in by_account)} says that records belong to accounts: name "
                "the column of the lead table that holds each lead's account too (columns.group)"
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _one_role_a_column(self) -> "ColumnsConfig":
        fit, used = [*map(_folded, self.fit)], [*map(_folded, (*self.fit, *self.behaviour))]
        both = [name for name in self.behaviour if _folded(name) in fit]
        if both:
            msg = f"a column is fit or behaviour, not both: {', '.join(both)}"
            raise ValueError(msg)
        twice = sorted({name for name in used if used.count(name) > 1})
        if twice:
            msg = f"a feature is named twice: {', '.join(twice)}"
            raise ValueError(msg)
        stamps = (self.date, self.cutoff, self.converted_at, self.closed_lost_at, *self.stages.values())
        keys = (self.id, self.target, self.group, *stamps)
        key = [name for name in keys if name and _folded(name) in used]
        if key:
            msg = f"a column cannot be id, group, target, date or stage and a feature too: {', '.join(key)}"
            raise ValueError(msg)
        dropped = [name for name in self.ignore if _folded(name) in used]
        if dropped:
            msg = f"a column cannot be used and ignored: {', '.join(dropped)}"
            raise ValueError(msg)
        stray = [name for name in self.count if _folded(name) not in used]
        if stray:
            msg = f"count names columns that are neither fit nor behaviour: {', '.join(stray)}"
            raise ValueError(msg)
        return self

    def family(self, column: str) -> Family:
        """Say which of the two feature families a used column belongs to."""
        return "fit" if column in self.fit else "behaviour"


class LabelsConfig(Section):
    """When a lead counts as converted, and when that is known."""

    horizon_days: Annotated[int, Field(ge=1, le=730)] = 90
    ingest_lag_days: Annotated[int, Field(ge=0, le=365)] = 2
    snapshot_every_days: Annotated[int, Field(ge=1, le=365)] = 7
    max_snapshots_per_lead: Annotated[int, Field(ge=1, le=100)] = 4
    repeat: bool = False
    closed_lost_is_final: bool = False


class FeaturesConfig(Section):
    """What is made of events, and of raw fields about who a lead is."""

    windows_days: tuple[Annotated[int, Field(ge=1, le=730)], ...] = (7, 30, 90)
    half_life_days: Annotated[float, Field(gt=0, le=730)] = 14
    lookback_days: Annotated[int, Field(ge=1, le=3650)] = 365
    families: Mapping[str, tuple[str, ...]] = {}
    derive: Mapping[str, Literal["country", "email", "presence", "range", "title"]] = {}

    @model_validator(mode="after")
    def _windows_grow(self) -> "FeaturesConfig":
        if not self.windows_days or list(self.windows_days) != sorted({*self.windows_days}):
            msg = f"windows_days must be different and grow, got {list(self.windows_days)}"
            raise ValueError(msg)
        if self.lookback_days < self.windows_days[-1]:
            msg = (
                f"lookback_days must be at least the longest window, {self.windows_days[-1]}, got {self.lookback_days}"
            )
            raise ValueError(msg)
        return self


class EvaluationConfig(Section):
    """How the model is judged before it is believed."""

    origins: Annotated[int, Field(ge=1, le=20)] = 5
    fold_column: str = ""
    audit_groups: tuple[Annotated[str, Field(min_length=1)], ...] = ()


class LearnerConfig(Section):
    """What the learners may spend."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    max_trees: Annotated[int, Field(ge=1, le=100_000)] = 3000
    max_depth: Annotated[int, Field(ge=1, le=8)] = 8
    monotone: Mapping[str, Direction] = {}

    @field_validator("monotone")
    @classmethod
    def _one_direction_a_name(cls, value: Mapping[str, Direction]) -> Mapping[str, Direction]:
        folded = [*map(_folded, value)]
        twice = sorted(name for name in value if folded.count(_folded(name)) > 1)
        if twice:
            msg = f"one name is written in several ways: {', '.join(twice)}"
            raise ValueError(msg)
        return value


class BandAgreement(Section):
    """Who owns a band and what they do next."""

    owner: str
    action: str


class AgreementConfig(Section):
    """What marketing and sales agreed on."""

    policy: Literal["promise", "capacity", "profit"] = "promise"
    sql_precision: Share | None = None
    mql_recall: Share = 0.90
    confidence: Share = 0.90
    capacity_per_week: Annotated[float, Field(gt=0)] | None = None
    leads_per_rep: Annotated[float, Field(gt=0)] | None = None
    value_per_win: Annotated[float, Field(ge=0)] = 0.0
    value_column: str = ""
    cost_per_contact: Annotated[float, Field(ge=0)] = 0.0
    uncertified_top: Annotated[float, Field(ge=0, lt=1)] = 0.05
    sql: BandAgreement = BandAgreement(owner="sales", action="call within a day")
    mql: BandAgreement = BandAgreement(owner="marketing", action="nurture")
    hysteresis_logit: Annotated[float, Field(ge=0)] = 0.35
    conversion: str = ""
    review_on: dt.date | None = None

    @model_validator(mode="after")
    def _capacity_is_given(self) -> "AgreementConfig":
        if self.policy == "capacity" and self.capacity_per_week is None:
            msg = "policy 'capacity' needs capacity_per_week, how many leads sales can work in a week"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _prices_are_whole(self) -> "AgreementConfig":
        has_value = self.value_per_win > 0 or self.value_column
        if bool(has_value) != (self.cost_per_contact > 0):
            msg = (
                "a call pays or not by both what it costs (cost_per_contact) and what a win brings (value_per_win, or "
                "value_column for a value of each lead's own): give both above 0, or neither"
            )
            raise ValueError(msg)
        if self.policy == "profit" and not has_value:
            msg = "policy 'profit' needs cost_per_contact and value_per_win (or value_column), in one currency"
            raise ValueError(msg)
        if self.cost_per_contact > self.value_per_win and not self.value_column:
            msg = (
                f"no call ever pays: cost_per_contact ({self.cost_per_contact:g}) is above value_per_win "
                f"({self.value_per_win:g})"
            )
            raise ValueError(msg)
        return self


class RulePoints(Section):
    """One line of the points sheet: what holds of a lead's column, or of its events of one type."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    column: str = ""
    event: str = ""
    op: Literal["==", "!=", ">", ">=", "<", "<=", "in", "missing"] = "=="
    value: str | int | float | bool | tuple[str | int | float | bool, ...] | None = None
    points: Annotated[float, Field(ge=-1000, le=1000)]
    cap: Annotated[float, Field(gt=0)] | None = None
    decay: Literal["none", "linear", "step", "exponential"] = "none"
    half_life_days: Annotated[float, Field(gt=0, le=3650)] | None = None
    group: str = ""
    override: Literal["SQL", "MQL", "disqualify"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _what_goes_without_saying(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        usual = {"op": ">=", "value": 1} if value.get("event") else {}
        return {**usual, **({"points": 0} if value.get("override") else {}), **value}

    @model_validator(mode="after")
    def _speaks_of_one_thing(self) -> "RulePoints":
        if bool(self.column) == bool(self.event):
            msg = "a rule is about a column or about an event type: name one of column and event"
            raise ValueError(msg)
        if self.event and (self.op not in {">", ">="} or not isinstance(self.value, int | float) or self.value < 1):
            msg = f"a rule on events counts them: op '>=' or '>' and a value of 1 or more, got {self.op} {self.value!r}"
            raise ValueError(msg)
        if self.decay != "none" and not self.event:
            msg = f"only events grow old: decay '{self.decay}' on column {self.column!r} has no age to go by"
            raise ValueError(msg)
        if (self.decay != "none") != (self.half_life_days is not None):
            msg = "decay and half_life_days go together: after so many days an event is worth half"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _value_fits_op(self) -> "RulePoints":
        is_number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        if self.op in {">", ">=", "<", "<="} and not is_number:
            msg = f"op '{self.op}' compares with a number, got {self.value!r}"
            raise ValueError(msg)
        if is_number and not abs(self.value) <= MAX_RULE_VALUE:  # type: ignore[arg-type]
            msg = f"value must be within {-MAX_RULE_VALUE:g} and {MAX_RULE_VALUE:g}"
            raise ValueError(msg)
        if self.op == "in" and not isinstance(self.value, tuple):
            msg = f"op 'in' needs a list of values, got {self.value!r}"
            raise ValueError(msg)
        if self.op in {"==", "!="} and (self.value is None or isinstance(self.value, tuple)):
            msg = f"op '{self.op}' needs one value, got {self.value!r}"
            raise ValueError(msg)
        if self.op == "missing" and self.value is not None:
            msg = f"op 'missing' takes no value, got {self.value!r}"
            raise ValueError(msg)
        return self


class RuleGroup(Section):
    """The family of a group of rules and the range its points stay in."""

    family: Family
    min: Annotated[float, Field(le=0)] = -1000.0
    max: Annotated[float, Field(ge=0)] = 1000.0


class RulesConfig(Section):
    """The points sheet and what its points mean."""

    mql: float = 40.0
    sql: float = 70.0
    points_to_double_odds: Annotated[float, Field(gt=0)] = 20.0
    base_rate: Share | None = None
    points: tuple[RulePoints, ...] = ()
    groups: Mapping[str, RuleGroup] = {}

    @model_validator(mode="after")
    def _consistent(self) -> "RulesConfig":
        if self.sql < self.mql:
            msg = f"sql must be at or above mql, got sql={self.sql:g} and mql={self.mql:g}"
            raise ValueError(msg)
        names = [_folded(rule.name) for rule in self.points]
        twice = sorted({rule.name for rule in self.points if names.count(_folded(rule.name)) > 1})
        if twice:
            msg = f"rule names must differ, twice: {', '.join(twice)}"
            raise ValueError(msg)
        unknown = sorted({rule.group for rule in self.points if rule.group} - {*self.groups})
        if unknown:
            msg = f"rules name groups that are not in [rules.groups]: {', '.join(unknown)}"
            raise ValueError(msg)
        fit = {name for name, group in self.groups.items() if group.family == "fit"}
        growing_old = [rule.name for rule in self.points if rule.group in fit and rule.decay != "none"]
        if growing_old:
            msg = f"who a lead is does not decay: {', '.join(growing_old)} is in a group of the family fit"
            raise ValueError(msg)
        return self


class RegistryConfig(Section):
    """The model's name in the registry and how long it may serve."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$")] = "lead-propensity"
    max_age_days: Annotated[int, Field(ge=1)] = 180


class Config(Section):
    """The whole of `propensity.toml`. Only recipes and the command line see it."""

    data: DataConfig
    columns: ColumnsConfig = ColumnsConfig()
    availability: Mapping[str, Availability] = {}
    labels: LabelsConfig = LabelsConfig()
    features: FeaturesConfig = FeaturesConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    learner: LearnerConfig = LearnerConfig()
    agreement: AgreementConfig = AgreementConfig()
    rules: RulesConfig = RulesConfig()
    registry: RegistryConfig = RegistryConfig()

    @model_validator(mode="after")
    def _counted_events_are_there(self) -> "Config":
        counted = [rule.name for rule in self.rules.points if rule.event]
        if counted and not (self.has_tables and (self.data.events is not None or self.columns.stages)):
            msg = (
                f"rules count events ({', '.join(counted[:3])}), and the project has none: name data.events, or make "
                "them rules on a column"
            )
            raise ValueError(msg)
        return self

    def digest_source(self) -> dict[str, Any]:
        """Give what the config digest is taken over: neither paths nor the registry's name."""
        files = ("leads", "events", "outcomes", "cutoffs", "field_history")
        settings = self.model_dump(mode="json", exclude={"registry": True, "data": {name: {"path"} for name in files}})
        # Younger than the first bundles: who does not use them has the digest they had.
        for section, name in (("learner", "monotone"), ("evaluation", "audit_groups")):
            if not getattr(getattr(self, section), name):
                del settings[section][name]
        return dict(settings)

    @property
    def has_tables(self) -> bool:
        """Whether training rows are (lead, cutoff) pairs: there are events, outcomes or chosen cutoffs."""
        data, columns = self.data, self.columns
        tables = (data.events, data.outcomes, data.cutoffs, columns.cutoff, columns.converted_at)
        return any(part is not None for part in tables)


def parse_config(settings: Mapping[str, Any], *, source: str = "propensity.toml") -> Config:
    """Build a `Config` from the mapping a TOML file holds.

    Parameters
    ----------
    settings : mapping of str to object
        As `tomllib` returns it.
    source : str
        What errors call the file.

    Returns
    -------
    Config

    Raises
    ------
    ConfigError
        A key is unknown, missing, out of range or not available yet. All problems are named at once.

    Examples
    --------
    >>> parse_config({"data": {"leads": "leads.csv"}}).agreement.mql_recall
    0.9
    >>> parse_config({"data": {"leads": "leads.csv"}, "learner": {"max_depth": 12}})
    Traceback (most recent call last):
    propensity.errors.ConfigError: propensity.toml cannot be used:
      learner.max_depth: input should be less than or equal to 8; got 12
    """
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        problems = [*dict.fromkeys(_sentence(item, settings) for item in error.errors(include_url=False))]
    msg = "\n  ".join([f"{source} cannot be used:", *problems])
    raise ConfigError(msg)


def _get(settings: object, path: tuple[str | int, ...]) -> object:
    for key in path:
        if isinstance(settings, Mapping):
            settings = settings.get(key)
        elif isinstance(settings, list | tuple) and isinstance(key, int) and key < len(settings):
            settings = settings[key]
        else:
            return None
    return settings


def _sentence(item: Any, settings: object) -> str:
    """Turn one pydantic finding into `key: what is allowed; got value`."""
    path = [*item["loc"]]
    if item["type"] == "extra_forbidden":
        return f"{_key(path)}: no such key. {_known_keys(path)}"
    if item["type"] == "missing":
        return f"{_key(path)}: must be given"
    allowed = item["msg"].removeprefix("Value error, ")
    allowed = allowed[0].lower() + allowed[1:]
    # Where several types are allowed, pydantic adds the one it tried to the path: that part is not in the file.
    written = next(n for n in range(len(path), -1, -1) if _get(settings, tuple(path[:n])) is not None)
    if written < len(path):
        return f"{_key(path[:written])}: must be text, a finite number or a list of them"
    got = _get(settings, tuple(path))
    if not path:
        return str(allowed)
    return f"{_key(path)}: {allowed}" if isinstance(got, Mapping) else f"{_key(path)}: {allowed}; got {got!r}"


def _key(path: list[str | int]) -> str:
    return ".".join(str(part + 1) if isinstance(part, int) else part for part in path)


def _known_keys(path: list[str | int]) -> str:
    many: dict[tuple[str | int, ...], type[Section]] = {
        ("rules", "points"): RulePoints,
        ("rules", "groups"): RuleGroup,
    }
    section: Any = many.get(tuple(path[:2])) or (Source if path[0] == "data" and len(path) > 2 else None)
    if section is None:
        section = Config
        for part in path[:-1]:
            section = section.model_fields[part].annotation
    return f"Known: {', '.join(sorted(section.model_fields))}"
