"""The only place that finds what is wrong with a lead file beside leaks: duplicates, spellings, test records, gaps."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from propensity.encoding import MIN_LEVEL_ROWS
from propensity.folds import boundaries
from propensity.roles import words_of
from propensity.roles.columns import EMAIL
from propensity.schema import normalise_name, read_texts, row_hashes

if TYPE_CHECKING:
    from propensity.schema import Schema

# A value that so many leads share leaves too few others to learn from.
NEARLY_ALL = 0.99
# How far the share of filled cells must move from the oldest to the newest fifth: arbitrary, seen at a glance.
MIN_FILL_GAP = 0.20
# Fewer than one file of a hundred shows such a move by chance, all columns together.
CHANCE = 0.01
# Values different for so many leads name them.
NAMES_LEADS = 0.9
# Names of columns in which people who try a form out leave their traces. "test" elsewhere may be an arm of one.
_SIGNED = {"name", "email", "mail", "company", "account", "contact", "lead", "organization", "organisation"}
_TRIED = {"test", "testing", "tester", "testtest", "asdf", "asdfasdf", "qwerty", "dummy", "foobar", "xxx", "abc123"}
_TRIED |= {"testlead", "testcontact", "testcompany", "testaccount", "testuser", "mailinator"}
# Signs between letters that people put or leave out. Between digits they mean something: 1-10 is not 110.
_SIGNS = re.compile(r"(?<!\d)[\s\-_./,;:'\"()&]+|[\s\-_./,;:'\"()&]+(?!\d)")


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """Something about the file that a person may want to mend.

    Parameters
    ----------
    code : str
        ``DUPLICATE``, ``BOTH_OUTCOMES``, ``SAME_EMAIL``, ``TEST``, ``SPELLING``, ``NEAR_CONSTANT``, ``NAMES_LEADS``,
        ``FILL_MOVES``.
    column : str or None
        None where it is about whole rows.
    n_rows : int
        How many rows it touches; leads, where it is about whole rows.
    sentence : str
        With counts; no value that fewer than ten leads share.
    """

    code: str
    column: str | None
    n_rows: int
    sentence: str


def find_flaws(
    leads: pd.DataFrame,
    read: pd.DataFrame,
    y: np.ndarray,
    *,
    schema: Schema,
    order: np.ndarray | None,
    lead: np.ndarray | None = None,
    from_events: Collection[str] = (),
) -> tuple[Flaw, ...]:
    """Look a file through for flaws.

    Parameters
    ----------
    leads : DataFrame, shape (n_rows, any)
        As read, columns that are no features (names, e-mail addresses) among them. Features may be absent.
    read : DataFrame, shape (n_rows, n_features)
        Numbers and canonical text of the features.
    y : array of {0, 1}, shape (n_rows,)
    schema : Schema
    order : array or None, shape (n_rows,)
        Non-decreasing rank in time; None where there is no order.
    lead : array or None, shape (n_rows,)
        Whose row it is, where a lead has several; None for one each.
    from_events : collection of str
        Features made of events: that these are rare, or start when the log does, is no flaw.

    Returns
    -------
    tuple of Flaw
        Of whole rows first, then column by column.
    """
    if len(leads) == 0:
        return ()
    lead = np.arange(len(leads)) if lead is None else lead
    first = leads[~pd.Series(lead).duplicated().to_numpy()]
    found = [*_duplicates(read, y, lead), *_same_email(first), *_tests(first)]
    for column in (column for column in schema.columns if column.name not in {*from_events}):
        name, values = column.name, read[column.name]
        if column.kind == "category":
            found += [*_spellings(leads.get(name, values), name), *_names_leads(values, name)]
        found += [*_near_constant(values, name), *_fill_moves(values, name, order, n_columns=len(schema.columns))]
    return tuple(found)


def _duplicates(read: pd.DataFrame, y: np.ndarray, lead: np.ndarray) -> Iterator[Flaw]:
    rows = pd.DataFrame({"features": row_hashes(read), "y": y, "lead": lead})
    rows = rows.drop_duplicates().drop_duplicates(["features", "lead"], keep=False).drop(columns="lead")
    n = int(rows.duplicated().sum())
    if n:
        sentence = f"{n:,} leads are like another one in every feature and in their outcome"
        yield Flaw(code="DUPLICATE", column=None, n_rows=n, sentence=sentence)
    outcomes = rows.groupby("features")["y"].agg(["nunique", "size"])
    both = outcomes[outcomes["nunique"] > 1]
    if len(both):
        n = int(both["size"].sum())
        sentence = f"{n:,} leads share all their features with one of the other outcome ({len(both):,} kinds of lead)"
        yield Flaw(code="BOTH_OUTCOMES", column=None, n_rows=n, sentence=sentence)


def _same_email(leads: pd.DataFrame) -> Iterator[Flaw]:
    for name in leads.columns:
        if not {"email", "mail"} & {*words_of(str(name))}:
            continue
        filled = read_texts(leads[name], missing=()).dropna()
        addresses = filled[[bool(EMAIL.fullmatch(text)) for text in filled]]
        n = int(addresses.duplicated().sum())
        if n and len(addresses) > len(filled) / 2:
            sentence = f"{n:,} leads have the same e-mail address as another one"
            yield Flaw(code="SAME_EMAIL", column=str(name), n_rows=n, sentence=sentence)


def _tests(leads: pd.DataFrame) -> Iterator[Flaw]:
    is_test = np.zeros(len(leads), dtype=bool)
    for name in leads.columns:
        if _SIGNED & {*words_of(str(name))} and not pd.api.types.is_numeric_dtype(leads[name].dtype):
            codes, texts = pd.factorize(read_texts(leads[name], missing=()), use_na_sentinel=True)
            is_test |= np.array([*map(_is_tried, texts), False], dtype=bool)[codes]
    n = int(is_test.sum())
    if n:
        sentence = f"{n:,} leads look like somebody trying the form out ('test', 'asdf' as a name or an address)"
        yield Flaw(code="TEST", column=None, n_rows=n, sentence=sentence)


def _is_tried(text: str) -> bool:
    """Say whether a name or an address is one nobody has.

    Examples
    --------
    >>> _is_tried("test test"), _is_tried("asdf@firm.example"), _is_tried("ana@test.com"), _is_tried("testa rossa")
    (True, True, True, False)
    """
    person, at, host = text.partition("@")
    parts = [person, *(host.split(".")[:-1] if at else [])]
    return any(_folded(part) in _TRIED for part in parts)


def _folded(level: object) -> str:
    """Write a level without what differs between spellings: case, spaces, punctuation that is not between digits.

    Examples
    --------
    >>> _folded("E-Commerce "), _folded("ecommerce"), _folded("1-10"), _folded("C++")
    ('ecommerce', 'ecommerce', '1-10', 'c++')
    """
    return _SIGNS.sub("", normalise_name(level))


def _spellings(raw: pd.Series, name: str) -> Iterator[Flaw]:
    counts = raw.dropna().astype(str).value_counts()
    table = pd.DataFrame({"written": counts.index, "n": counts.to_numpy(), "key": [*map(_folded, counts.index)]})
    # Without a letter, what is left of a level says nothing.
    table = table[[any(sign.isalpha() for sign in key) for key in table["key"]]]
    several = table[table.duplicated("key", keep=False)].sort_values(["n", "written"], ascending=[False, True])
    if not len(several):
        return
    n_keys = several["key"].nunique()
    n = int(several["n"].sum() - several.groupby("key")["n"].max().sum())
    shown = several[several["n"] >= MIN_LEVEL_ROWS]
    shown = shown[shown.duplicated("key", keep=False)]
    pair = (
        [f"{written[:40]!r}" for written in shown.loc[shown["key"] == shown["key"].iloc[0], "written"][:2]]
        if len(shown)
        else []
    )
    such = f", such as {' and '.join(pair)}" if pair else ""
    values = "value is" if n_keys == 1 else "values are"
    sentence = (
        f"{n_keys:,} {values} written in ways that differ only by case, spaces or punctuation{such}; "
        f"{n:,} rows have the rarer ones"
    )
    yield Flaw(code="SPELLING", column=name, n_rows=n, sentence=sentence)


def _names_leads(values: pd.Series, name: str) -> Iterator[Flaw]:
    n_filled, n_levels = int(values.notna().sum()), int(values.nunique())
    if n_filled > 5 * MIN_LEVEL_ROWS and n_levels > NAMES_LEADS * n_filled:
        sentence = f"{n_levels:,} different values in {n_filled:,} rows: it names leads, it does not describe them"
        yield Flaw(code="NAMES_LEADS", column=name, n_rows=n_filled, sentence=sentence)


def _near_constant(values: pd.Series, name: str) -> Iterator[Flaw]:
    counts = values.value_counts(dropna=False)
    n = len(values) - int(counts.iloc[0])
    if counts.iloc[0] < NEARLY_ALL * len(values):
        return
    is_empty = values.isna().sum() == counts.iloc[0]
    sentence = f"it is filled in {n:,} rows only" if is_empty else f"all but {n:,} rows have the same value"
    yield Flaw(code="NEAR_CONSTANT", column=name, n_rows=n, sentence=sentence)


def _fill_moves(values: pd.Series, name: str, order: np.ndarray | None, *, n_columns: int) -> Iterator[Flaw]:
    """Hold how often the oldest and the newest fifth are filled against each other; equal stamps stay together."""
    if order is None:
        return
    filled = values.notna().to_numpy()
    first, last = boundaries(order, np.array([0.2, 0.8]))
    old, new = filled[:first], filled[last:]
    if len(old) == 0 or len(new) == 0 or abs(old.mean() - new.mean()) < MIN_FILL_GAP:
        return
    table = np.array([[old.sum(), (~old).sum()], [new.sum(), (~new).sum()]])
    if stats.fisher_exact(table).pvalue * n_columns > CHANCE:
        return
    sentence = f"it is filled for {old.mean():.0%} of the oldest fifth and {new.mean():.0%} of the newest"
    yield Flaw(code="FILL_MOVES", column=name, n_rows=len(old) + len(new), sentence=sentence)
