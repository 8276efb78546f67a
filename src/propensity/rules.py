"""The only place for the points sheet: conditions on columns, caps, groups, and the points they add up to."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

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


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One line of the sheet: a lead for which the condition holds gets the points.

    Parameters
    ----------
    name, column : str
    op : str
        ``==``, ``!=``, ``>``, ``>=``, ``<``, ``<=``, ``in`` or ``missing``. A missing value meets only ``missing``.
    value : str, float, tuple of str or None
        Canonical text for ``==``, ``!=`` and ``in``; a number for comparisons.
    points : float
    cap : float or None
        Most that the rule may add or take away.
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
    group: str = ""
    decimal: Literal[".", ","] = "."
    missing: tuple[str, ...] = ("",)

    @property
    def worth(self) -> float:
        """Points within the rule's own cap."""
        return self.points if self.cap is None else math.copysign(min(abs(self.points), self.cap), self.points)

    def holds(self, series: pd.Series) -> np.ndarray:
        """Say for which leads the condition holds.

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
    """

    rules: tuple[Rule, ...]
    groups: Mapping[str, RuleGroup]
    mql: float
    sql: float
    points_to_double_odds: float

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
        for j, rule in enumerate(self.rules):
            found = names.get(normalise_name(rule.column))
            series = pd.Series([None] * len(leads), dtype=object) if found is None else leads[found]
            gained[:, j] = np.where(rule.holds(series), rule.worth, 0.0)
        total = np.zeros(len(leads))
        for group in sorted({rule.group for rule in self.rules}):
            inside = gained[:, [rule.group == group for rule in self.rules]].sum(axis=1)
            limits = self.groups.get(group)
            total += inside if limits is None else np.clip(inside, limits.min, limits.max)
        return RuleScores(points=total, gained=gained)

    def columns_beside(self, schema: Schema, leads: pd.DataFrame) -> list[str]:
        """Name the columns of a frame that the sheet reads and the schema does not: one id must agree in them too."""
        known = {normalise_name(name) for name in schema.names}
        names = resolve_columns(leads.columns)
        read = {normalise_name(rule.column): rule.column for rule in self.rules}
        return [column for name, column in read.items() if name in names and name not in known]

    def margin(self, points: np.ndarray) -> np.ndarray:
        """Give points as log-odds, up to a shift: so many points double the odds."""
        return np.asarray(points * math.log(2) / self.points_to_double_odds)

    def assign(self, points: np.ndarray) -> np.ndarray:
        """Give each lead's band from its points alone: at or above `sql`, at or above `mql`, or nurture."""
        return np.where(points >= self.sql, SQL, np.where(points >= self.mql, MQL, NURTURE)).astype(object)

    def reason_texts(self, scores: RuleScores, *, n_reasons: int) -> list[list[str]]:
        """Word the rules that gave or took most points: up to `n_reasons` - 1 for, up to 1 against."""
        n_for = max(n_reasons - 1, 1)
        order = np.argsort(-scores.gained, axis=1, kind="stable")
        texts = []
        for gained, ranked in zip(scores.gained, order, strict=True):
            chosen = [j for j in ranked[:n_for] if gained[j] > 0]
            if n_reasons > 1 and len(ranked) and gained[ranked[-1]] < 0:
                chosen.append(ranked[-1])
            texts.append([f"{self.rules[j].name}: {gained[j]:+g} points of the rules" for j in chosen])
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
        Within the groups' limits.
    gained : array of float, shape (n_leads, n_rules)
        What each rule gave, before its group's limits.
    """

    points: np.ndarray
    gained: np.ndarray


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
            op=line.op,
            value=read(line.value, line.op),
            points=line.points,
            cap=line.cap,
            group=line.group,
            decimal=marks.get(normalise_name(line.column), "."),
            missing=missing_words(missing, line.column),
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
    )
