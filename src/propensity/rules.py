"""The only place for the points sheet: conditions, caps, groups, overrides, and the points they add up to."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from propensity.features.plan import Signal
from propensity.schema import (
    MQL,
    NURTURE,
    SQL,
    canonical_text,
    missing_words,
    normalise_name,
    read_numbers,
    read_texts,
    resolve_columns,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from propensity.config import RulesConfig
    from propensity.schema import Schema

# The override that keeps a lead from being worked at all.
DISQUALIFY = "disqualify"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One line of the sheet: a lead for which the condition holds gets the points.

    Parameters
    ----------
    name : str
    column : str
        Empty for a rule on events.
    event : str
        Canonical event type, or empty: the rule then counts events of the lead, and each gives its points.
    op : str
        ``==``, ``!=``, ``>``, ``>=``, ``<``, ``<=``, ``in`` or ``missing``. A missing value meets only ``missing``.
    value : str, float, tuple of str or None
        Canonical text for ``==``, ``!=`` and ``in``; a number for comparisons.
    points : float
    cap : float or None
        Most that the rule may add or take away.
    decay : {"none", "linear", "step", "exponential"}
    half_life_days : float
        0 without a decay.
    override : {"", "SQL", "MQL", "disqualify"}
        Not empty: the lead is at least in that band, or in none that is worked, whatever it scores.
    group : str
    decimal : {".", ","}
        Decimal mark of the column's text cells.
    missing : tuple of str
        Canonical words that mean missing in the column.
    """

    name: str
    column: str
    op: str
    value: str | float | tuple[str, ...] | None
    points: float
    cap: float | None = None
    event: str = ""
    decay: str = "none"
    half_life_days: float = 0.0
    override: str = ""
    group: str = ""
    decimal: Literal[".", ","] = "."
    missing: tuple[str, ...] = ("",)

    @property
    def worth(self) -> float:
        """Points of one event, or of the condition, within the rule's own cap."""
        return self.points if self.cap is None else math.copysign(min(abs(self.points), self.cap), self.points)

    @property
    def most(self) -> float:
        """The most the rule can give or take; one event's points where nothing caps them."""
        return self.worth if not self.event or self.cap is None else math.copysign(self.cap, self.points)

    @property
    def signals(self) -> tuple[Signal, ...]:
        """What feature rows must count for it: events by what is left of them, and how many there are."""
        if not self.event:
            return ()
        left = Signal(type=self.event, decay=self.decay, half_life_days=self.half_life_days)
        return (left, Signal(type=self.event)) if self.decay != "none" else (left,)

    @property
    def columns(self) -> tuple[str, ...]:
        """Name the columns it reads."""
        return tuple(signal.column for signal in self.signals) if self.event else (self.column,)

    def gained(self, leads: pd.DataFrame, names: Mapping[str, object]) -> tuple[np.ndarray, np.ndarray]:
        """Give each lead's points, and whether the rule holds for it.

        Parameters
        ----------
        leads : DataFrame, shape (n_leads, any)
        names : dict of normalised to own names of the columns
            One that is absent counts as missing, and as no event.
        """
        nothing = pd.Series([None] * len(leads), dtype=object)
        read = [nothing if (own := names.get(normalise_name(name))) is None else leads[own] for name in self.columns]
        if not self.event:
            holds = self.holds(read[0])
            return np.where(holds, self.worth, 0.0), holds
        left, count = (np.nan_to_num(read_numbers(series, missing=self.missing)[0]) for series in (read[0], read[-1]))
        least = float(self.value)  # type: ignore[arg-type]
        holds = count > least if self.op == ">" else count >= least
        points = self.points * left
        capped = points if self.cap is None else np.clip(points, -self.cap, self.cap)
        return np.where(holds, capped, 0.0), holds

    def holds(self, series: pd.Series) -> np.ndarray:
        """Say for which leads the condition on a column holds.

        Parameters
        ----------
        series : Series, shape (n_leads,)
            The rule's column as given.

        Returns
        -------
        array of bool, shape (n_leads,)
        """
        if self.op in {">", ">=", "<", "<="}:
            numbers, _ = read_numbers(series, missing=self.missing, decimal=self.decimal)
            compare = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}[self.op]
            return np.asarray(compare(numbers, float(self.value)))  # type: ignore[arg-type]
        texts = read_texts(series, missing=self.missing)
        known = texts.notna().to_numpy()
        if self.op == "missing":
            return ~known
        wanted = self.value if isinstance(self.value, tuple) else (self.value,)
        equal = texts.isin(wanted).to_numpy()
        return known & ~equal if self.op == "!=" else equal


@dataclass(frozen=True, kw_only=True)
class RuleGroup:
    """The range a group's points stay in, and its family."""

    family: Literal["fit", "behaviour"]
    min: float
    max: float


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The whole sheet, as a value that travels in the bundle.

    Parameters
    ----------
    rules : tuple of Rule
    groups : dict of str to RuleGroup
    mql, sql : float
        Points at or above which a lead is in the band, where points are not mapped to probability.
    points_to_double_odds : float
    base_rate : float or None
        The probability at `mql` points where history mapped none: a prior, no more.
    """

    rules: tuple[Rule, ...]
    groups: Mapping[str, RuleGroup]
    mql: float
    sql: float
    points_to_double_odds: float
    base_rate: float | None = None

    @property
    def digest(self) -> str:
        """The sha256 of the sheet."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def score(self, leads: pd.DataFrame) -> RuleScores:
        """Add up the points of each lead.

        Parameters
        ----------
        leads : DataFrame, shape (n_leads, any)
            Columns as given; those a rule names and the frame lacks count as missing.

        Returns
        -------
        RuleScores
        """
        names = resolve_columns(leads.columns)
        gained = np.zeros((len(leads), len(self.rules)))
        holds = np.zeros(gained.shape, dtype=bool)
        for j, rule in enumerate(self.rules):
            gained[:, j], holds[:, j] = rule.gained(leads, names)
        family = {"fit": np.zeros(len(leads)), "behaviour": np.zeros(len(leads))}
        for group in sorted({rule.group for rule in self.rules}):
            for kind in family:
                mine = [rule.group == group and self.family(rule) == kind for rule in self.rules]
                inside = gained[:, mine].sum(axis=1)
                limits = self.groups.get(group)
                family[kind] += inside if limits is None else np.clip(inside, limits.min, limits.max)
        return RuleScores(
            points=family["fit"] + family["behaviour"],
            fit=family["fit"],
            engagement=family["behaviour"],
            gained=gained,
            holds=holds,
        )

    def family(self, rule: Rule) -> str:
        """Say whether a rule is about who a lead is or what it did: as its group says, else events are behaviour."""
        group = self.groups.get(rule.group)
        if group is not None:
            return group.family
        return "behaviour" if rule.event else "fit"

    def reach(self, family: str) -> float:
        """Give the most points a lead can have in a family."""
        mine = [rule for rule in self.rules if self.family(rule) == family]
        total = 0.0
        for group in sorted({rule.group for rule in mine}):
            most = sum(max(rule.most, 0.0) for rule in mine if rule.group == group)
            total += most if group not in self.groups else min(most, self.groups[group].max)
        return total

    def grades(self, scores: RuleScores) -> np.ndarray:
        """Give each lead's place on the grid of fit (A best to D) and engagement (1 best to 4).

        A letter or number is a quarter of what the sheet can give in its family: A from three quarters on.

        Returns
        -------
        array of str, shape (n_leads,)
        """
        found = []
        for family, points, marks in (("fit", scores.fit, "ABCD"), ("behaviour", scores.engagement, "1234")):
            share = points / (self.reach(family) or 1.0)
            found.append(np.array([*marks])[::-1][np.searchsorted([0.25, 0.5, 0.75], share, side="right")])
        return np.char.add(found[0], found[1]).astype(object)

    @property
    def overrides(self) -> tuple[Rule, ...]:
        """The rules that decide a band whatever a lead scores."""
        return tuple(rule for rule in self.rules if rule.override)

    def overridden(self, band: np.ndarray, scores: RuleScores) -> tuple[np.ndarray, np.ndarray]:
        """Let overrides decide bands: a disqualified lead is in nurture, others at least where their rule puts them.

        Parameters
        ----------
        band : array of str, shape (n_leads,)
            ``unscored`` stays.
        scores : RuleScores

        Returns
        -------
        band : array of str, shape (n_leads,)
        name : array of str, shape (n_leads,)
            The first rule of the sheet that decided; empty where none changed anything.
        """
        decided, name = band.copy(), np.full(len(band), "", dtype=object)
        level = {NURTURE: 0, MQL: 1, SQL: 2}
        for wanted, target in ((SQL, SQL), (MQL, MQL), (DISQUALIFY, NURTURE)):
            for j, rule in enumerate(self.rules):
                if rule.override != wanted:
                    continue
                now = np.array([level.get(one, -1) for one in decided])
                moves = scores.holds[:, j] & (now >= 0)
                moves &= now > level[NURTURE] if wanted == DISQUALIFY else now < level[target]
                decided[moves], name[moves] = target, rule.name
        return decided, name

    @property
    def signals(self) -> tuple[Signal, ...]:
        """What feature rows must count for the sheet, each once."""
        return tuple(dict.fromkeys(signal for rule in self.rules for signal in rule.signals))

    @property
    def columns(self) -> tuple[str, ...]:
        """Name the columns the sheet reads, each once."""
        return tuple(dict.fromkeys(name for rule in self.rules for name in rule.columns))

    def prior(self, points: np.ndarray) -> np.ndarray | None:
        """Give the probability a sheet without history was told: `base_rate` at `mql` points; None where it was not.

        Examples
        --------
        >>> sheet = Rules(rules=(), groups={}, mql=40.0, sql=70.0, points_to_double_odds=20.0, base_rate=0.2)
        >>> sheet.prior(np.array([40.0, 60.0])).round(4).tolist()
        [0.2, 0.3333]
        """
        if self.base_rate is None:
            return None
        log_odds = self.margin(points - self.mql) + math.log(self.base_rate / (1 - self.base_rate))
        return np.asarray(1 / (1 + np.exp(-log_odds)))

    def columns_beside(self, schema: Schema, leads: pd.DataFrame) -> list[str]:
        """Name the columns of a frame that the sheet reads and the schema does not: one id must agree in them too."""
        known = {normalise_name(name) for name in schema.names}
        names = resolve_columns(leads.columns)
        read = {normalise_name(name): name for name in self.columns}
        return [column for name, column in read.items() if name in names and name not in known]

    def margin(self, points: np.ndarray) -> np.ndarray:
        """Give points as log-odds, up to a shift: so many points double the odds."""
        return np.asarray(points * math.log(2) / self.points_to_double_odds)

    def assign(self, points: np.ndarray) -> np.ndarray:
        """Give each lead's band from its points alone: at or above `sql`, at or above `mql`, or nurture."""
        return np.where(points >= self.sql, SQL, np.where(points >= self.mql, MQL, NURTURE)).astype(object)

    def reason_texts(self, gained: np.ndarray, *, n_reasons: int) -> np.ndarray:
        """Word the rules that gave or took most points: up to `n_reasons` - 1 for, up to 1 against.

        Parameters
        ----------
        gained : array of float, shape (n_leads, n_rules)
            As `RuleScores` holds it.
        n_reasons : int
            At least 1.

        Returns
        -------
        array of str, shape (n_leads, n_reasons)
            Empty texts after the last.
        """
        n_for = max(n_reasons - 1, 1)
        order = np.argsort(-gained, axis=1, kind="stable")
        texts = np.full((len(order), n_reasons), "", dtype=object)
        for row, (own, ranked) in enumerate(zip(gained, order, strict=True)):
            chosen = [j for j in ranked[:n_for] if own[j] > 0]
            if n_reasons > 1 and len(ranked) and own[ranked[-1]] < 0:
                chosen.append(ranked[-1])
            texts[row, : len(chosen)] = [f"{self.rules[j].name}: {own[j]:+.3g} points of the rules" for j in chosen]
        return texts

    def to_dict(self) -> dict[str, Any]:
        """Give the sheet as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Rules:
        """Restore a sheet from `to_dict`."""
        rules = tuple(
            Rule(
                **{
                    **rule,
                    "value": tuple(rule["value"]) if isinstance(rule["value"], list) else rule["value"],
                    "missing": tuple(rule["missing"]),
                }
            )
            for rule in values["rules"]
        )
        groups = {name: RuleGroup(**group) for name, group in values["groups"].items()}
        return cls(**{**values, "rules": rules, "groups": groups})


@dataclass(frozen=True, kw_only=True)
class RuleScores:
    """Points by the rules.

    Parameters
    ----------
    points : array of float, shape (n_leads,)
        Within the groups' limits: fit and engagement together.
    fit, engagement : array of float, shape (n_leads,)
        Who the lead is, and what it did.
    gained : array of float, shape (n_leads, n_rules)
        What each rule gave, before its group's limits.
    holds : array of bool, shape (n_leads, n_rules)
    """

    points: np.ndarray
    fit: np.ndarray
    engagement: np.ndarray
    gained: np.ndarray
    holds: np.ndarray


def build_rules(
    config: RulesConfig, *, missing: Mapping[str, Sequence[str | float]], schema: Schema | None = None
) -> Rules:
    """Make the sheet of a config into a value that scores.

    Parameters
    ----------
    config : RulesConfig
    missing : mapping of column (or "*") to words
    schema : Schema or None
        Tells the decimal mark of its columns; "." elsewhere.

    Returns
    -------
    Rules

    Examples
    --------
    >>> from propensity.config import RulesConfig
    >>> sheet = {"name": "demo", "column": "Demo", "op": "==", "value": "yes", "points": 30}
    >>> rules = build_rules(RulesConfig(points=[sheet]), missing={"*": [""]})
    >>> rules.score(pd.DataFrame({"Demo": ["Yes", "no", None]})).points
    array([30.,  0.,  0.])
    """
    marks = {normalise_name(column.name): column.decimal for column in schema.columns} if schema else {}

    def read(value: object, op: str) -> str | float | tuple[str, ...] | None:
        if op in {">", ">=", "<", "<="}:
            return float(value)  # type: ignore[arg-type]
        if isinstance(value, tuple | list):
            return tuple(str(canonical_text(item)) for item in value)
        return None if value is None else str(canonical_text(value))

    rules = tuple(
        Rule(
            name=line.name,
            column=line.column,
            event=str(canonical_text(line.event)) if line.event else "",
            decay=line.decay,
            half_life_days=line.half_life_days or 0.0,
            override=line.override or "",
            op=line.op,
            value=read(line.value, line.op),
            points=line.points,
            cap=line.cap,
            group=line.group,
            decimal=marks.get(normalise_name(line.column), "."),
            missing=missing_words(missing, line.column or None),
        )
        for line in config.points
    )
    groups = {
        name: RuleGroup(family=group.family, min=group.min, max=group.max) for name, group in config.groups.items()
    }
    return Rules(
        rules=rules,
        groups=groups,
        mql=config.mql,
        sql=config.sql,
        points_to_double_odds=config.points_to_double_odds,
        base_rate=config.base_rate,
    )
