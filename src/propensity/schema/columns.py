"""The only place that says what the columns of a lead table are: found by name, read as number or category."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from propensity.errors import InputError
from propensity.schema.cells import count_texts, missing_words, normalise_name, parse_number, read_numbers, read_texts

if TYPE_CHECKING:
    from propensity.config import Availability, ColumnsConfig, Family

Kind = Literal["number", "category"]

_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}")

# A column is a number when at least this share of its filled cells reads as one.
NUMBER_SHARE = 0.99
# A feature filled at least this often in training is expected in every file to be scored.
EXPECTED_FILL = 0.5


@dataclass(frozen=True, kw_only=True)
class Tables:
    """What one run reads: the leads as their file holds them, and where that was.

    Parameters
    ----------
    leads : DataFrame
        One row a lead, columns and cells as read.
    events, outcomes, cutoffs, field_history : DataFrame or None
        One row an event, a conversion, a chosen (lead, cutoff), a change of a field.
    source : str
        The lead file's name without folders, for messages and the registry.
    """

    leads: pd.DataFrame
    events: pd.DataFrame | None = None
    outcomes: pd.DataFrame | None = None
    cutoffs: pd.DataFrame | None = None
    field_history: pd.DataFrame | None = None
    source: str = "leads"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One feature: its name, family, kind and how its cells are read.

    Parameters
    ----------
    name : str
        As the training file wrote it.
    family : {"fit", "behaviour"}
    kind : {"number", "category"}
    decimal : {".", ","}
        The decimal mark of text cells.
    is_count : bool
        Never negative; a negative value makes the row bad.
    filled : float in [0, 1]
        Share of training rows with a value.
    missing : tuple of str
        Canonical words that mean nothing is known here.
    """

    name: str
    family: Family
    kind: Kind
    decimal: Literal[".", ","] = "."
    is_count: bool = False
    filled: float = 1.0
    missing: tuple[str, ...] = ("",)


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The features of a model, in their order, and the columns that name a lead.

    Parameters
    ----------
    columns : tuple of Column
    id : str or None
        The id column; None where leads are known by their row number.
    missing : tuple of str
        Canonical words that mean there is no id.
    cutoff : str or None
        The column that says as of when a row is; None where a lead has one row, as of its export.
    """

    columns: tuple[Column, ...]
    id: str | None
    missing: tuple[str, ...]
    cutoff: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in model order."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def families(self) -> dict[str, tuple[int, ...]]:
        """Positions of the features of each family."""
        return {
            family: tuple(i for i, column in enumerate(self.columns) if column.family == family)
            for family in ("fit", "behaviour")
        }

    @cached_property
    def name_set(self) -> frozenset[str]:
        """The names of the features, to be looked up."""
        return frozenset(self.names)

    def to_dict(self) -> dict[str, Any]:
        """Give the schema as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Schema:
        """Restore a schema from `to_dict`."""
        columns = tuple(Column(**{**column, "missing": tuple(column["missing"])}) for column in values["columns"])
        return cls(columns=columns, id=values["id"], missing=tuple(values["missing"]), cutoff=values.get("cutoff"))


def resolve_columns(frame_columns: Iterable[object], *, source: str = "the file") -> dict[str, object]:
    """Map normalised names to the frame's own; `source` is what errors call the file.

    Raises
    ------
    InputError
        Two names are one after normalising.
    """
    found: dict[str, object] = {}
    twice = set()
    for name in frame_columns:
        key = normalise_name(name)
        if key in found:
            twice.add(str(name)[:80])
        found[key] = name
    if twice:
        msg = (
            f"Column names must differ by more than case and spaces; twice in {source}: "
            f"{', '.join(sorted(twice)[:5])}. Rename or remove one of each."
        )
        raise InputError(msg)
    return found


def find_column(columns: Iterable[object], name: str, *, key: str) -> object:
    """Find a configured column among the columns of a file, or of a frame, by its normalised name.

    Raises
    ------
    InputError
        No such column; the message names the nearest ones.
    """
    names = resolve_columns(columns)
    if normalise_name(name) in names:
        return names[normalise_name(name)]
    if any("@" in found or parse_number(found) is not None or _DATE.match(found) for found in names):
        # Without a header the names are some lead's values, and must not be shown.
        msg = f"{key} names {name[:80]!r}, but the first line of the file holds values, not names. Add a header."
        raise InputError(msg)
    near = difflib.get_close_matches(normalise_name(name), list(names), n=3)
    hint = f"Did you mean {', '.join(repr(str(names[n])) for n in near)}?" if near else ""
    shown = ", ".join(str(column)[:40] for column in [*columns][:12])
    msg = f"{key} names {name[:80]!r}, which the file does not have. {hint} The file has: {shown}."
    raise InputError(msg.replace("  ", " "))


def decimal_mark(series: pd.Series, *, missing: Sequence[str]) -> tuple[Literal[".", ","], int]:
    """Give the decimal mark with which more cells are numbers, and how many filled cells are none with it.

    Examples
    --------
    >>> decimal_mark(pd.Series(["3,5", "x", ""]), missing=[""]), decimal_mark(pd.Series(["1,200"]), missing=())
    ((',', 1), ('.', 0))
    """
    by_point = count_texts(series, missing=missing)
    by_comma = count_texts(series, missing=missing, decimal=",") if by_point else 0
    return (",", by_comma) if by_comma < by_point else (".", by_point)


def infer_column(
    series: pd.Series, *, name: str, family: Family, is_count: bool, missing: Sequence[str]
) -> tuple[Column | None, str]:
    """Decide how a feature's cells are read.

    Returns
    -------
    column : Column or None
        None where the column cannot teach anything.
    note : str
        Why it was dropped, or what was lost in reading it; empty where nothing was.
    """
    texts = read_texts(series, missing=missing)
    n_filled = int(texts.notna().sum())
    if n_filled == 0:
        return None, "every value is missing"
    decimal, n_texts = decimal_mark(series, missing=missing)
    # Infinite and absurd numbers are numbers here: they are read as missing, but do not make the column a category.
    kind: Kind = "number" if 1 - n_texts / n_filled >= NUMBER_SHARE else "category"
    if kind == "number":
        values, lost = read_numbers(series, missing=missing, decimal=decimal)
        filled = float(np.isfinite(values).mean())
        n_levels = len(np.unique(values[np.isfinite(values)]))
    else:
        decimal, lost, filled, n_levels = ".", 0, n_filled / len(series), int(texts.nunique())
    if filled == 0:
        return None, "no value can be read"
    if n_levels == 1 and filled == 1:
        return None, "every value is the same"
    column = Column(
        name=name,
        family=family,
        kind=kind,
        decimal=decimal,
        is_count=is_count,
        filled=round(filled, 6),
        missing=tuple(missing),
    )
    return column, f"{lost} values that are not usable numbers were read as missing" if lost else ""


def infer_schema(
    leads: pd.DataFrame,
    columns: ColumnsConfig,
    *,
    availability: Mapping[str, Availability],
    missing: Mapping[str, Sequence[str | float]],
) -> tuple[Schema, dict[str, str]]:
    """Decide from training rows which features there are and how their cells are read.

    Parameters
    ----------
    leads : DataFrame
        Training rows as read.
    columns : ColumnsConfig
    availability : mapping of column to availability
        Columns that are ``outcome`` or ``mutable`` are left out.
    missing : mapping of column (or "*") to words

    Returns
    -------
    schema : Schema
    left_out : dict of column to reason
        Configured features that are not in the schema, and notes on those that lost values.

    Raises
    ------
    InputError
        A named column is absent, or no usable feature is left.
    """
    kept: list[Column] = []
    notes: dict[str, str] = {}
    aside = {normalise_name(name): kind for name, kind in availability.items() if kind in {"outcome", "mutable"}}
    counts = {normalise_name(name) for name in columns.count}
    for name in (*columns.fit, *columns.behaviour):
        found = find_column(leads, name, key=f"columns.{columns.family(name)}")
        key = normalise_name(name)
        if key in aside:
            notes[name] = f"availability is {aside[key]!r}: not known in time"
            continue
        column, note = infer_column(
            leads[found],
            name=str(found),
            family=columns.family(name),
            is_count=key in counts,
            missing=missing_words(missing, str(found)),
        )
        if note:
            notes[name] = note
        if column is not None:
            kept.append(column)
    if not kept:
        msg = (
            "No usable feature: every column under columns.fit and columns.behaviour is absent, constant, missing or "
            "set aside. Name at least one column that varies."
        )
        raise InputError(msg)
    lead_id = str(find_column(leads, columns.id, key="columns.id")) if columns.id else None
    return Schema(columns=tuple(kept), id=lead_id, missing=missing_words(missing, lead_id)), notes
