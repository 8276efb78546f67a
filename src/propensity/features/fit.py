"""The only place where raw fields about who a lead is become features.

Every kind looks at distinct cells alone, so a column costs as much as it has different values, and a row's
features never depend on the rows beside it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from propensity.features.countries import read_country
from propensity.schema import missing_words, normalise_name, parse_number, read_text, read_texts, resolve_columns

_NAMES: Mapping[str, tuple[str, ...]] = {
    "range": ("number",),
    "title": ("seniority", "department"),
    "country": ("code",),
    "email": ("domain", "given"),
    "presence": ("given",),
}
KINDS = tuple(sorted(_NAMES))

_SCALES = {"k": 1e3, "t": 1e3, "thousand": 1e3, "m": 1e6, "mm": 1e6, "mio": 1e6, "million": 1e6, "b": 1e9, "bn": 1e9}
_SCALES |= {"mrd": 1e9, "billion": 1e9}
_AMOUNT = re.compile(r"(\d[\d,. '\u00a0\u202f]*)\s*([a-z]*)")
_BETWEEN = re.compile(r"\s*(?:-|\u2013|\u2014|~|\bto\b|\bbis\b|\band\b)\s*")
_OPEN_END = re.compile(r"\+|^(?:>|\u2265|over\b|more than\b|from\b|above\b)|\b(?:or more|and more|plus)\b")
_OPEN_START = re.compile(r"^(?:<|\u2264|under\b|less than\b|up to\b|below\b)")

# The first that fits names the level: an assistant director directs, a student stays one.
_SENIORITY: tuple[tuple[str, frozenset[str]], ...] = (
    ("student", frozenset({"student", "intern", "trainee", "apprentice", "praktikant", "becario"})),
    ("c-level", frozenset({"ceo", "cfo", "cto", "cmo", "coo", "cio", "cro", "cpo", "chief", "founder", "cofounder"})),
    (
        "c-level",
        frozenset({"owner", "president", "chairman", "chairwoman", "inhaber", "gesch\u00e4ftsf\u00fchrer", "direktor"}),
    ),
    ("vp", frozenset({"vp", "svp", "evp", "avp"})),
    ("director", frozenset({"director", "head", "principal", "dean", "leiter", "leiterin", "vodja"})),
    ("manager", frozenset({"manager", "lead", "supervisor", "coordinator", "foreman"})),
)
_DEPARTMENTS: tuple[tuple[str, frozenset[str]], ...] = (
    ("marketing", frozenset({"marketing", "cmo", "brand", "content", "growth", "communications", "pr", "seo"})),
    ("sales", frozenset({"sales", "account", "business", "revenue", "cro", "vertrieb", "ventas", "prodaja"})),
    (
        "engineering",
        frozenset({"engineer", "engineering", "developer", "software", "it", "cto", "cio", "data", "devops"}),
    ),
    ("engineering", frozenset({"technology", "technical", "programmer", "architect", "security", "research"})),
    ("finance", frozenset({"finance", "financial", "cfo", "accounting", "accountant", "controller", "treasurer"})),
    ("operations", frozenset({"operations", "coo", "logistics", "supply", "procurement", "production", "purchasing"})),
    ("people", frozenset({"hr", "people", "talent", "recruiter", "recruiting", "human"})),
    ("legal", frozenset({"legal", "counsel", "lawyer", "attorney", "compliance"})),
    ("product", frozenset({"product", "ux", "ui", "design", "designer", "cpo"})),
    ("general", frozenset({"ceo", "founder", "cofounder", "owner", "president", "chairman", "chairwoman", "general"})),
)
_WORD = re.compile(r"[^\W\d_]+")

# Mail that anybody can have for nothing says nothing of a company.
_FREE = frozenset(
    {"gmail", "googlemail", "yahoo", "ymail", "rocketmail", "hotmail", "outlook", "live", "msn", "aol", "icloud", "me"}
    | {"mac", "gmx", "web", "mail", "yandex", "protonmail", "proton", "zoho", "qq", "163", "126", "sina", "naver"}
    | {"rediffmail", "libero", "virgilio", "orange", "wanadoo", "laposte", "free", "t-online", "freenet", "seznam"}
    | {"wp", "onet", "interia", "o2", "bigpond", "comcast", "verizon", "att", "btinternet", "sky", "uol", "bol"}
)
# The plain words among them are providers under these ends alone: web.de is one, web.com is not.
_ONLY_UNDER = {
    "web": {"de"},
    "me": {"com"},
    "mac": {"com"},
    "free": {"fr"},
    "orange": {"fr"},
    "live": {"com", "co.uk", "fr"},
}
_ONLY_UNDER |= {"mail": {"com", "ru"}, "sky": {"com"}, "att": {"net"}, "wp": {"pl"}, "o2": {"pl"}, "proton": {"me"}}
_ADDRESS = re.compile(r"[^@\s]+@((?:[^@\s.]+\.)+[^@\s.\d]{2,})")


def derived_names(column: str, kind: str) -> tuple[str, ...]:
    """Name what is derived from a column.

    Examples
    --------
    >>> derived_names("Job title", "title")
    ('Job title seniority', 'Job title department')
    """
    return tuple(f"{column} {part}" for part in _NAMES[kind])


def derive(
    leads: pd.DataFrame, kinds: Mapping[str, str], *, missing: Mapping[str, Sequence[str | float]]
) -> pd.DataFrame:
    """Derive features from raw fields.

    Parameters
    ----------
    leads : DataFrame, shape (n_leads, any)
        As given.
    kinds : mapping of column to kind
        ``range``, ``title``, ``email``, ``country`` or ``presence``. A column the frame lacks gives missing features.
    missing : mapping of column (or "*") to words

    Returns
    -------
    DataFrame, shape (n_leads, n_derived)
        Columns `derived_names`; numbers are float, words text or None.

    Examples
    --------
    >>> leads = pd.DataFrame({"Size": ["1-100", "10,000+"], "Mail": ["ana@gmail.com", ""]})
    >>> derive(leads, {"Size": "range", "Mail": "email"}, missing={"*": [""]}).to_dict("list")
    {'Size number': [10.0, 10000.0], 'Mail domain': ['free', None], 'Mail given': ['yes', 'no']}
    """
    there = resolve_columns(leads.columns)
    parts: dict[str, pd.Series] = {}
    for column, kind in kinds.items():
        names = derived_names(column, kind)
        found = there.get(normalise_name(column))
        if found is None:
            nothing = pd.Series(
                [np.nan if kind == "range" else None] * len(leads), dtype=float if kind == "range" else object
            )
            parts |= dict.fromkeys(names, nothing)
            continue
        texts = read_texts(leads[found], missing=missing_words(missing, str(found)))
        for name, part in zip(names, _NAMES[kind], strict=True):
            if part == "given":
                parts[name] = pd.Series(np.where(texts.notna(), "yes", "no"), dtype=object)
            else:
                parts[name] = _mapped(texts, _READERS[part])
    return pd.DataFrame(parts, index=pd.RangeIndex(len(leads)))


def derive_one(
    lead: Mapping[str, object], kinds: Mapping[str, str], *, missing: Mapping[str, Sequence[str | float]]
) -> dict[str, object]:
    """Derive the features of one lead, as `derive` does of a frame.

    Examples
    --------
    >>> derive_one({"size": "1-100", "Mail": ""}, {"Size": "range", "Mail": "email"}, missing={"*": [""]})
    {'Size number': 10.0, 'Mail domain': None, 'Mail given': 'no'}
    """
    there = {} if all(column in lead for column in kinds) else resolve_columns([*lead])
    found: dict[str, object] = {}
    for column, kind in kinds.items():
        own = column if column in lead else there.get(normalise_name(column))
        text = None if own is None else read_text(lead[str(own)], missing=missing_words(missing, str(own)))
        for name, part in zip(derived_names(column, kind), _NAMES[kind], strict=True):
            nothing = math.nan if part == "number" else None
            if part == "given":
                found[name] = None if own is None else "yes" if text is not None else "no"
            else:
                found[name] = nothing if text is None else _READERS[part](text)
    return found


def _mapped(texts: pd.Series, read: Callable[[str], object]) -> pd.Series:
    codes, uniques = pd.factorize(texts)
    is_number = read is read_range
    values = np.array([*(read(str(text)) for text in uniques), np.nan if is_number else None], dtype=object)[codes]
    return pd.Series(values, dtype=float if is_number else object)


def read_range(text: str) -> float:
    """Read a range of employees or money as one number; NaN where there is none.

    A category per range would forget that they are ordered. A range is its geometric mean, as sizes spread by
    factors (from 0 counts as from 1); an open one is the end it names.

    Examples
    --------
    >>> [read_range(text) for text in ("1-100", "10,000+", "<50", "$1m-$100m", "2.5k", "many")]
    [10.0, 10000.0, 50.0, 10000000.0, 2500.0, nan]
    """
    plain = text.casefold().strip()
    if _OPEN_END.search(plain) or _OPEN_START.search(plain):
        found = _amounts(plain)
        return found[0] if len(found) == 1 else math.nan
    ends = [_amounts(part) for part in _BETWEEN.split(plain)]
    if any(len(end) != 1 for end in ends) or len(ends) > 2:
        return math.nan
    values = [end[0] for end in ends]
    if len(values) == 1:
        return values[0]
    if values[0] > values[1]:
        # "1-10m": the scale that only the upper end bears is meant for both.
        return math.nan
    return math.sqrt(max(values[0], 1.0) * max(values[1], 1.0))


def _amounts(text: str) -> list[float]:
    found = []
    for digits, unit in _AMOUNT.findall(text):
        number = parse_number(digits.strip(" ,.'\u00a0\u202f").replace("\u00a0", " ").replace("\u202f", " "))
        if number is not None:
            found.append(number * _SCALES.get(unit, 1.0))
    return found


def read_seniority(text: str) -> str:
    """Read how senior a job title is: whole words alone, so that no CTO hides in a director.

    Titles are written in thousands of ways that each few leads share; six levels can be learned.

    Examples
    --------
    >>> [read_seniority(title) for title in ("CTO", "Vice President", "Assistant Director", "International nurse")]
    ['c-level', 'vp', 'director', 'individual']
    """
    words = _WORD.findall(text.casefold())
    if "vice" in words and "president" in words:
        return "vp"
    return next((level for level, markers in _SENIORITY if markers & {*words}), "individual")


def read_department(text: str) -> str:
    """Read where in a company a job title works; ``other`` where no word says so.

    Examples
    --------
    >>> read_department("Head of IT"), read_department("CFO"), read_department("Baker")
    ('engineering', 'finance', 'other')
    """
    words = {*_WORD.findall(text.casefold())}
    return next((name for name, markers in _DEPARTMENTS if markers & words), "other")


def read_domain(text: str) -> str:
    """Say whose mail an address is: ``free``, ``education``, ``corporate``, or ``invalid``.

    Neither the address nor its domain leaves this function: a person is not a feature.

    Examples
    --------
    >>> [read_domain(mail) for mail in ("a@gmail.com", "a@uni.ac.uk", "a@shop.example", "none")]
    ['free', 'education', 'corporate', 'invalid']
    """
    found = _ADDRESS.fullmatch(text.casefold().strip())
    if found is None:
        return "invalid"
    name, _, end = found[1].partition(".")
    if name in _FREE and end in _ONLY_UNDER.get(name, {end}):
        return "free"
    labels = found[1].split(".")
    return "education" if labels[-1] == "edu" or {"edu", "ac"} & {*labels[-2:-1]} else "corporate"


_READERS: Mapping[str, Callable[[str], object]] = {
    "number": read_range,
    "code": read_country,
    "seniority": read_seniority,
    "department": read_department,
    "domain": read_domain,
}
