"""The only place that guesses what the columns of an unknown lead file are, and says why.

Names are looked at first, values second, the target only to know it. The word lists are what lead teams write,
not what any one file holds; a person corrects the guess in the config.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from propensity.asof import parse_stamps
from propensity.encoding import MIN_LEVEL_ROWS
from propensity.errors import InputError
from propensity.roles.accounts import look_at_accounts, names_account, puts_together
from propensity.roles.exports import ACCOUNT_IDS, ACCOUNT_NAMES, plain
from propensity.roles.hindsight import is_relabelling, strong_word, tells_by_being_filled
from propensity.schema import (
    find_column,
    missing_words,
    normalise_name,
    read_numbers,
    read_texts,
    resolve_columns,
)

Role = Literal[
    "id", "group", "target", "date", "stage", "converted_at", "closed_lost_at", "fit", "behaviour", "ignore", "outcome"
]

SAMPLE_ROWS = 1000
# A column of accounts that has no more different values says which brand or market a lead belongs to.
MAX_BRANDS = 10
CALENDAR = "a date on the calendar: not what the lead did; kept with what it is"
# A column holds personal data when at least this share of its values looks like it.
PERSONAL_SHARE = 0.05

TARGET_NAMES: tuple[str, ...] = (
    *("converted", "is converted", "target", "conversion", "label", "y", "won", "is won", "closed won", "purchased"),
    *("bought", "subscribed", "deposit", "outcome", "deal won", "customer", "is customer", "response", "revenue"),
)
CREATED_NAMES = ("create date", "created date", "created at", "created", "createdate", "createddate", "date created")
_PERSON: tuple[str, ...] = (
    "email",
    "e mail",
    "mail",
    "phone",
    "mobile",
    "telephone",
    "fax",
    "first name",
    "last name",
    "surname",
)
_PERSON += ("full name", "contact name", "lead name", "firstname", "lastname", "street", "address", "birth")
_PERSON += ("birthday", "birthdate", "dob", "iban", "ssn", "passport", "linkedin", "linked in", "twitter", "name")
# Words of columns that say a date of the calendar and no more.
_CALENDAR = {"month", "day", "week", "weekday", "weekend", "quarter", "hour", "year"}
_FILLING = {"of", "the", "in", "is", "name", "number"}
# Whose name is no person's.
_THINGS = {"campaign", "product", "form", "event", "plan", "course", "brand", "segment", "channel", "source", "city"}
_THINGS |= {"country", "region", "month", "day"}
_SENSITIVE: tuple[str, ...] = (
    "age",
    "gender",
    "sex",
    "nationality",
    "religion",
    "ethnicity",
    "race",
    "marital",
    "disability",
)
_SENSITIVE += ("postcode", "zip", "postal", "zipcode", "pregnant", "citizenship")
_BEHAVIOUR = {"visit", "view", "page", "click", "open", "session", "time", "spent", "duration", "download", "webinar"}
_BEHAVIOUR |= {
    "form",
    "submission",
    "event",
    "activity",
    "call",
    "email",
    "mail",
    "demo",
    "trial",
    "pricing",
    "meeting",
}
_BEHAVIOUR |= {"reply", "bounce", "exit", "campaign", "previous", "contact", "unsubscribe", "search", "chat", "video"}
_BEHAVIOUR |= {
    "attended",
    "registered",
    "recency",
    "product",
    "cart",
    "month",
    "day",
    "weekend",
    "sms",
    "login",
    "quote",
}
_BEHAVIOUR |= {
    "pageview",
    "brochure",
    "ebook",
    "whitepaper",
    "newsletter",
    "clicked",
    "opened",
    "viewed",
    "visited",
    "touch",
}

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[a-z]{2,}", re.IGNORECASE)
_PHONE = re.compile(r"(?=(?:.*\d){7})(?:\+\d[\d\s().-]{6,18}|\(?\d{2,5}\)?[\s.-]\d[\d\s.-]{4,14}|0\d{8,12})")
_IP = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}")
_IBAN = re.compile(r"[a-z]{2}\d{2}[a-z0-9 ]{11,30}", re.IGNORECASE)
_URL_QUERY = re.compile(r"https?://\S+\?\S+=", re.IGNORECASE)
_DATE_TEXT = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SENTINELS = (-1.0, -9.0, -99.0, -999.0, -9999.0, 99.0, 999.0, 9999.0, 99999.0, 999999.0)


@dataclass(frozen=True, kw_only=True)
class Guess:
    """What a column is taken for.

    Parameters
    ----------
    column : str
    role : Role
    reason : str
        Why, in words.
    is_sensitive : bool
        Near a protected trait: used, and looked at in the audit.
    is_count : bool
        A number that is never negative.
    missing : tuple of float or str
        Numbers or words that stand for "not known" in this column.
    """

    column: str
    role: Role
    reason: str
    is_sensitive: bool = False
    is_count: bool = False
    missing: tuple[float | str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the user said of the file; the rest is guessed."""

    id: str | None = None
    target: str | None = None
    date: str | None = None
    group: str | None = None
    ignore: tuple[str, ...] = ()
    is_ordered: bool = False


def words_of(name: str) -> tuple[str, ...]:
    """Split a header into lower-case words, plurals folded.

    Examples
    --------
    >>> words_of("TotalVisits"), words_of("e-mail_clicks")
    (('total', 'visit'), ('e', 'mail', 'click'))
    """
    found = [word.lower() for word in _WORD.findall(name)]
    return tuple(
        word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
        for word in found
    )


def guess_roles(
    leads: pd.DataFrame,
    given: Given,
    *,
    missing: Mapping[str, Sequence[str | float]],
    facts: Mapping[str, Facts] | None = None,
    answer: pd.Series | None = None,
) -> tuple[Guess, ...]:
    """Guess the role of every column.

    Parameters
    ----------
    leads : DataFrame
        As read.
    given : Given
    missing : mapping of column (or "*") to words
    facts : mapping of column to Facts or None
        As `look_at` gives them; None: looked at here.
    answer : Series of text or None, shape (n_leads,)
        What became of each lead, where other tables say it: no column is then taken for the target.

    Returns
    -------
    tuple of Guess
        In the file's order.

    Raises
    ------
    InputError
        A column the user named is absent, or two names are one after normalising.
    """
    facts = look_at(leads, missing=missing) if facts is None else facts
    named = named_roles(leads, given, facts, missing=missing, has_answer=answer is not None)
    target = next((name for name, (role, _) in named.items() if role == "target"), None)
    if target is not None:
        answer = read_texts(leads[target], missing=missing_words(missing, target))
    guesses = []
    for name, fact in facts.items():
        if name in named:
            role, reason = named[name]
            guesses.append(Guess(column=name, role=role, reason=reason))
        else:
            guesses.append(_guess(fact, leads[name], answer, missing=missing))
    return tuple(guesses)


def named_roles(
    leads: pd.DataFrame,
    given: Given,
    facts: Mapping[str, Facts],
    *,
    missing: Mapping[str, Sequence[str | float]],
    has_answer: bool,
) -> dict[str, tuple[Role, str]]:
    """Give the columns that the user named or that their names tell, each with its role and why.

    Raises
    ------
    InputError
        A column the user named is absent, or has two roles, or two names are one after normalising.
    """
    resolve_columns(leads.columns)
    named: dict[str, tuple[Role, str]] = {}
    for role in ("id", "target", "date", "group"):
        name = getattr(given, role)
        if name is not None:
            _name(named, str(find_column(leads, name, key=f"--{role}")), role)
    for name in given.ignore:
        _name(named, str(find_column(leads, name, key="--ignore")), "ignore")
    taken = {role for role, _ in named.values()}
    free = {name: fact for name, fact in facts.items() if name not in named}
    if "target" not in taken and not has_answer:
        named |= _first(free, "target", TARGET_NAMES, lambda fact: fact.n_levels == 2)
    if "id" not in taken and has_answer and len(facts) == 1:  # leads of whom other tables alone know more
        named |= dict.fromkeys(facts, ("id", "all that is known of leads here"))
    elif "id" not in taken:
        named |= _pick_id({name: fact for name, fact in free.items() if name not in named})
    if "date" not in taken and not given.is_ordered:
        named |= _first(free, "date", CREATED_NAMES, lambda fact: fact.is_date)
    if "group" not in taken:
        named |= _pick_group({name: fact for name, fact in free.items() if name not in named}, leads, missing=missing)
    return named


def _pick_group(
    facts: Mapping[str, Facts], leads: pd.DataFrame, *, missing: Mapping[str, Sequence[str | float]]
) -> dict[str, tuple[Role, str]]:
    """Pick the column that names accounts: called so, an id before words, and several leads have the same."""
    headers = {plain(name): name for name, fact in facts.items() if not fact.is_date}
    for wanted in (*ACCOUNT_IDS, *ACCOUNT_NAMES):
        name = headers.get(wanted)
        if name is not None and puts_together(look_at_accounts(leads[name], name=name, missing=missing)):
            return {name: ("group", "by its name; leads share its values")}
    return {}


def _name(named: dict[str, tuple[Role, str]], column: str, role: Role) -> None:
    """Note what the user said of a column, once."""
    if named.get(column, (role, ""))[0] != role:
        msg = f"{column[:80]!r} is named as --{named[column][0]} and as --{role}. A column has one role."
        raise InputError(msg)
    named[column] = (role, "you said so")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a look at one column shows."""

    name: str
    words: tuple[str, ...]
    n_rows: int
    n_filled: int
    n_levels: int
    is_number: bool
    is_date: bool
    numbers: np.ndarray
    sample: tuple[str, ...]
    frequent: tuple[str, ...]


def look_at(frame: pd.DataFrame, *, missing: Mapping[str, Sequence[str | float]]) -> dict[str, Facts]:
    """Look at every column of a table."""
    return {str(name): look(frame[name], name=str(name), missing=missing) for name in frame.columns}


def look(series: pd.Series, *, name: str, missing: Mapping[str, Sequence[str | float]]) -> Facts:
    """Look at one column: its name, how it is filled, whether it holds numbers or dates."""
    words = missing_words(missing, name)
    texts = read_texts(series, missing=words)
    filled = texts.dropna()
    numbers, lost = min((read_numbers(series, missing=words, decimal=mark) for mark in (".", ",")), key=lambda r: r[1])
    is_number = len(filled) > 0 and lost <= 0.01 * len(filled)
    sample = tuple(map(str, filled.unique()[:SAMPLE_ROWS]))
    return Facts(
        name=name,
        words=words_of(name),
        n_rows=len(series),
        n_filled=len(filled),
        n_levels=int(filled.nunique()),
        is_number=is_number,
        is_date=_is_date(series, sample, name=name, is_number=is_number),
        numbers=numbers[np.isfinite(numbers)],
        sample=sample,
        frequent=tuple(str(level) for level, n in filled.value_counts().items() if n >= MIN_LEVEL_ROWS),
    )


def _is_date(series: pd.Series, sample: Sequence[str], *, name: str, is_number: bool) -> bool:
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        return True
    words = {*words_of(name)}
    looks = [bool(_DATE_TEXT.match(text)) for text in sample]
    if not sample or (np.mean(looks) < 0.9 and not (is_number and words & {"date", "created", "createdate", "at"})):
        return False
    try:
        return parse_stamps(pd.Series(sample[:100]), timezone="UTC", name=name).unread == 0
    except InputError:
        return bool(np.mean(looks) >= 0.9)


def _first(
    facts: Mapping[str, Facts],
    role: Role,
    names: Sequence[str],
    fits: Any,
) -> dict[str, tuple[Role, str]]:
    plain = {" ".join(fact.words): name for name, fact in facts.items() if fits(fact)}
    plain |= {normalise_name(name): name for name, fact in facts.items() if fits(fact)}
    for wanted in names:
        if wanted in plain:
            return {plain[wanted]: (role, "by its name")}
    return {}


def _pick_id(facts: Mapping[str, Facts]) -> dict[str, tuple[Role, str]]:
    """Pick the column that names leads: an id by its name, nearly always filled and different."""
    best: tuple[int, str] | None = None
    for name, fact in facts.items():
        if fact.n_filled < 0.5 * fact.n_rows or fact.n_levels < 0.9 * fact.n_filled or fact.n_levels < 2:
            continue
        words = fact.words
        tail = bool(words) and words[-1] in {"id", "uuid", "guid", "key", "number", "no", "nr"}
        if not tail or not (
            words[-1] in {"id", "uuid", "guid"} or {*words} & {"lead", "prospect", "contact", "record"}
        ):
            continue
        rank = (
            (4 * bool({*words} & {"lead"}))
            + 2 * (words == ("id",))
            + bool({*words} & {"prospect", "contact", "record"})
        )
        if best is None or rank > best[0]:
            best = (rank, name)
    return {best[1]: ("id", "by its name; its values differ")} if best else {}


def _guess(
    fact: Facts, series: pd.Series, answer: pd.Series | None, *, missing: Mapping[str, Sequence[str | float]]
) -> Guess:
    name, words = fact.name, fact.words

    def guess(role: Role, reason: str, **more: Any) -> Guess:
        return Guess(column=name, role=role, reason=reason, **more)

    if names_account(name) and fact.n_levels > min(MAX_BRANDS, 0.5 * fact.n_filled):
        return guess("ignore", "names an account; it does not describe one")
    personal = _personal(fact)
    if personal:
        return guess("ignore", f"personal data: {personal}")
    if fact.n_levels == 0:
        return guess("ignore", "empty")
    if fact.n_levels == 1 and fact.n_filled == fact.n_rows:
        return guess("ignore", "every value is the same")
    told = _told_after(fact, read_texts(series, missing=missing_words(missing, name)), answer)
    if told:
        return guess("outcome", told)
    if fact.is_date:
        return guess("ignore", "a date; only events know what a date is worth")
    if not fact.is_number and fact.n_levels > 0.9 * fact.n_filled and fact.n_filled > 50:
        return guess("ignore", "different in almost every row: it names leads, it does not describe them")
    if fact.is_number and words and words[-1] in {"id", "uuid", "guid"} and fact.n_levels > 0.5 * fact.n_filled:
        return guess("ignore", "an id")
    is_calendar = bool(words) and {*words} <= _CALENDAR | _FILLING and bool({*words} & _CALENDAR)
    is_behaviour = bool({*words} & _BEHAVIOUR) and not is_calendar
    whole = fact.is_number and len(fact.numbers) > 0 and bool((fact.numbers == np.round(fact.numbers)).all())
    sentinels = _sentinels(fact.numbers) if fact.is_number else ()
    real = fact.numbers[~np.isin(fact.numbers, sentinels)]
    return guess(
        "behaviour" if is_behaviour else "fit",
        "what the lead did, by its name" if is_behaviour else (CALENDAR if is_calendar else "what the lead is"),
        is_sensitive=bool({*words} & {*_SENSITIVE}),
        is_count=is_behaviour and whole and fact.n_levels > 2 and len(real) > 0 and bool(real.min() >= 0),
        missing=sentinels,
    )


def _personal(fact: Facts) -> str:
    """Say which personal data a column holds; empty where none."""
    joined = f" {' '.join(fact.words)} "
    named = next((word for word in _PERSON if f" {word} " in joined), "")
    if named == "name" and {*fact.words} & _THINGS:
        named = ""
    if not named and fact.words[-1:] == ("ip",):
        named = "ip"
    is_measure = fact.is_number and len(fact.numbers) > 0 and float(np.abs(fact.numbers).max()) < 1e6
    if named and not is_measure and fact.n_levels > 2:
        return f"its name says {named}"
    if fact.is_number or not fact.sample:
        return ""
    for what, pattern in (
        ("e-mail addresses", EMAIL),
        ("IP addresses", _IP),  # before phone numbers, whose digits may stand between dots too
        ("phone numbers", _PHONE),
        ("bank accounts", _IBAN),
        ("addresses of visited pages", _URL_QUERY),
    ):
        share = np.mean(
            [bool(pattern.fullmatch(text) or (what[0] == "a" and pattern.match(text))) for text in fact.sample]
        )
        if share >= PERSONAL_SHARE and not (fact.is_date and what == "phone numbers"):
            return what
    if np.median([len(text) for text in fact.sample]) > 40 and fact.n_levels > 0.8 * fact.n_filled:
        return "free text"
    return ""


def _told_after(fact: Facts, texts: pd.Series, answer: pd.Series | None) -> str:
    """Say why a column can only have been written after the fact; empty where nothing says so."""
    word = strong_word(fact.words)
    if word:
        return f"its name says it is written after the fact ({word})"
    if answer is not None and is_relabelling(texts, answer):
        return "it is the target in other words"
    if answer is not None and tells_by_being_filled(texts, answer):
        return "it is filled for one outcome only"
    return ""


def _sentinels(numbers: np.ndarray) -> tuple[float, ...]:
    """Give numbers such as 999 or -1 that stand far outside all others and are common."""
    found = []
    for sentinel in _SENTINELS:
        rest = numbers[numbers != sentinel]
        if len(rest) == 0 or (numbers == sentinel).mean() < 0.01:
            continue
        spread = float(rest.max() - rest.min())
        outside = rest.min() - sentinel if sentinel < rest.min() else sentinel - rest.max()
        is_minus_one = sentinel == -1 and rest.min() >= 0 and bool((rest == np.round(rest)).all())
        if is_minus_one or outside > max(spread, 10.0):
            found.append(sentinel)
    return tuple(found)
