"""The only place where a cell becomes text or a number, the same one whatever dtype it came in."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

# A longer cell is no lead field: refused in training, a bad row in scoring.
MAX_CELL_CHARACTERS = 65_536
# Levels longer than this are stored as their beginning and a digest, so no prose enters a model file.
MAX_LEVEL_CHARACTERS = 200
# Beyond this no measurement of a lead: 1e308 and the like are read as missing.
MAX_NUMBER = 1e30

_SPACES = re.compile(r"\s+")
_MONEY = re.compile(r"^([-+]?)\s*(?:[$€£¥]|usd|eur|gbp|chf)?\s*(.*?)\s*(?:[$€£¥%]|usd|eur|gbp|chf)?$", re.IGNORECASE)
_NUMBER = {
    ".": re.compile(r"^[-+]?(?:\d{1,3}(?:[,' \u00a0\u202f]\d{3})+|\d+)?(?:\.\d*)?(?:e[-+]?\d+)?$", re.IGNORECASE),
    ",": re.compile(r"^[-+]?(?:\d{1,3}(?:[.' \u00a0\u202f]\d{3})+|\d+)?(?:,\d*)?(?:e[-+]?\d+)?$", re.IGNORECASE),
}
_GROUPING = {".": re.compile(r"[,' \u00a0\u202f]"), ",": re.compile(r"[.' \u00a0\u202f]")}
_WORD_NUMBERS = {"true": 1.0, "false": 0.0, "inf": math.inf, "+inf": math.inf, "-inf": -math.inf, "infinity": math.inf}


def normalise_name(name: object) -> str:
    """Fold what people vary in a header: case, padding, repeated spaces, Unicode forms.

    Examples
    --------
    >>> normalise_name("  Lead  Number ")
    'lead number'
    """
    return _SPACES.sub(" ", unicodedata.normalize("NFKC", str(name)).strip()).casefold()


def canonical_text(value: object) -> str | None:
    """Write a cell the one way it is compared, whatever dtype it came in; None where it is empty.

    Examples
    --------
    >>> canonical_text(" Referral "), canonical_text(1.0), canonical_text(True), canonical_text(float("nan"))
    ('referral', '1', 'true', None)
    """
    if isinstance(value, str):
        text = normalise_name(value)
        if len(text) > MAX_LEVEL_CHARACTERS:
            digest = hashlib.sha256(text.encode()).hexdigest()[:8]
            return f"{text[: MAX_LEVEL_CHARACTERS - 9]}~{digest}"
        return text
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        number = float(value)
        if math.isnan(number):
            return None
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return normalise_name(value)


def parse_number(text: str, *, decimal: str = ".") -> float | None:
    """Read a canonical cell as a number, or None where it is not one.

    Accepts thousands separators, a currency sign or code, a percent sign, exponents and true/false.

    Examples
    --------
    >>> parse_number("1,234.5"), parse_number("€ 1.234,5", decimal=","), parse_number("12 %"), parse_number("12 visits")
    (1234.5, 1234.5, 12.0, None)
    """
    if text in _WORD_NUMBERS:
        return _WORD_NUMBERS[text]
    try:
        # float() also takes "1_000", which no export writes and no person means.
        if decimal == "." and "_" not in text and not text.startswith(("nan", "+nan", "-nan")):
            return float(text)
    except ValueError:
        pass
    match = _MONEY.match(text)
    body = (match.group(1) + match.group(2)) if match else text
    if not any(character.isdigit() for character in body) or not _NUMBER[decimal].match(body):
        return None
    plain = _GROUPING[decimal].sub("", body).replace(decimal, ".")
    try:
        return float(plain)
    except ValueError:
        return None


def missing_words(words: Mapping[str, Sequence[str | float]], column: str | None) -> tuple[str, ...]:
    """Give the canonical words that mean missing in a column: everybody's and its own.

    Examples
    --------
    >>> missing_words({"*": ["Select"], "pdays": [999]}, "pdays")
    ('999', 'select')
    """
    own = [value for key, values in words.items() if key in {"*", column} for value in values]
    return tuple(sorted({text for text in map(canonical_text, own) if text is not None}))


def read_texts(series: pd.Series, *, missing: Sequence[str]) -> pd.Series:
    """Read cells as canonical text; missing ones become None.

    Parameters
    ----------
    series : Series of any dtype
    missing : sequence of str
        Canonical words that mean missing.

    Returns
    -------
    Series of object, same length, index 0..n-1
    """
    codes, uniques = pd.factorize(series, use_na_sentinel=True)
    texts = np.array([canonical_text(value) for value in uniques] + [None], dtype=object)
    empty = {*missing, ""}
    texts[[text in empty for text in texts]] = None
    return pd.Series(texts[codes], dtype=object)


def read_numbers(series: pd.Series, *, missing: Sequence[str], decimal: str = ".") -> tuple[np.ndarray, int]:
    """Read cells as numbers.

    Parameters
    ----------
    series : Series of any dtype
    missing : sequence of str
        Canonical words that mean missing; those that read as numbers count for numeric dtypes too.
    decimal : {".", ","}

    Returns
    -------
    values : array of float, shape (n,)
        Missing, infinite, beyond 1e30 and unreadable cells are NaN.
    n_lost : int
        Cells that held something but are NaN now: infinite, too large or not a number.
    """
    numeric_missing = [number for number in (parse_number(word) for word in missing) if number is not None]
    is_numeric = pd.api.types.is_numeric_dtype(series.dtype) and not pd.api.types.is_complex_dtype(series.dtype)
    if is_numeric:
        values = series.to_numpy(dtype=float, na_value=np.nan).copy()
        unread = 0
    else:
        texts = read_texts(series, missing=missing)
        codes, uniques = pd.factorize(texts, use_na_sentinel=True)
        parsed = [parse_number(text, decimal=decimal) for text in uniques]
        table = np.array([math.nan if number is None else number for number in parsed] + [math.nan])
        values = table[codes]
        unread = int(np.isin(codes, [i for i, number in enumerate(parsed) if number is None]).sum())
    if numeric_missing:
        values[np.isin(values, numeric_missing)] = np.nan
    beyond = np.abs(values) > MAX_NUMBER
    values[beyond] = np.nan
    return values, unread + int(beyond.sum())


def read_ids(ids: pd.Series, *, missing: Sequence[str]) -> pd.Series:
    """Give ids as text for comparison, exactly as written but for padding; None where missing.

    Examples
    --------
    >>> read_ids(pd.Series(["007", " a ", "N/A"]), missing=["n/a"]).to_list()
    ['007', 'a', None]
    """
    empty = {*missing, ""}

    def key(value: object) -> str | None:
        text = canonical_text(value)
        if text is None or text in empty:
            return None
        return value.strip() if isinstance(value, str) else text

    return pd.Series([key(value) for value in ids], dtype=object)


def too_long(frame: pd.DataFrame) -> np.ndarray:
    """Say which rows hold a cell longer than any lead field."""
    long = np.zeros(len(frame), dtype=bool)
    for name in frame.columns:
        if pd.api.types.is_numeric_dtype(frame[name].dtype):
            continue
        codes, uniques = pd.factorize(frame[name], use_na_sentinel=True)
        is_long = np.array([isinstance(v, str) and len(v) > MAX_CELL_CHARACTERS for v in uniques] + [False])
        long |= is_long[codes]
    return long
