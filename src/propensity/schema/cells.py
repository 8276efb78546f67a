"""The only place where a cell becomes text or a number, the same one whatever dtype it came in."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd

# A longer cell is no lead field: refused in training, a bad row in scoring.
MAX_CELL_CHARACTERS = 65_536
# Levels longer than this are stored as their beginning and a digest, so no prose enters a model file.
MAX_LEVEL_CHARACTERS = 200
# Beyond this no measurement of a lead: 1e308 and the like are read as missing.
MAX_NUMBER = 1e30

# What people write for a lead that converted, and for one that did not.
POSITIVE_WORDS = frozenset(
    {"1", "true", "t", "yes", "y", "won", "closed won", "converted", "customer", "success", "bought", "purchased"}
)
NEGATIVE_WORDS = frozenset(
    {"0", "-1", "false", "f", "no", "n", "lost", "closed lost", "not converted", "unconverted", "failure", "failed"}
)

_MONEY = re.compile(r"^([-+]?)\s*(?:[$€£¥]|usd|eur|gbp|chf)?\s*(.*?)\s*(?:[$€£¥%]|usd|eur|gbp|chf)?$", re.IGNORECASE)
_NUMBER = {
    ".": re.compile(r"^[-+]?(?:\d{1,3}(?:[,' \u00a0\u202f]\d{3})+|\d+)?(?:\.\d*)?(?:e[-+]?\d+)?$", re.IGNORECASE),
    ",": re.compile(r"^[-+]?(?:\d{1,3}(?:[.' \u00a0\u202f]\d{3})+|\d+)?(?:,\d*)?(?:e[-+]?\d+)?$", re.IGNORECASE),
}
_GROUPING = {".": re.compile(r"[,' \u00a0\u202f]"), ",": re.compile(r"[.' \u00a0\u202f]")}
_WORD_NUMBERS = {"true": 1.0, "false": 0.0} | {
    f"{sign}{word}": float(f"{sign}inf") for sign in ("", "+", "-") for word in ("inf", "infinity")
}
# A whole number as tools write it that keep a column with gaps as floats.
_WHOLE = re.compile(r"^(-?(?:0|[1-9]\d*))\.0+$")
# Most cells of most exports: the same number however they are read, so they need not be made canonical first.
_PLAIN = {
    ".": re.compile(r"-?\d+(?:\.\d+)?", re.ASCII).fullmatch,
    ",": re.compile(r"-?\d+", re.ASCII).fullmatch,
}


def normalise_name(name: object) -> str:
    """Fold what people vary in a header: case, padding, repeated spaces, Unicode forms.

    Examples
    --------
    >>> normalise_name("  Lead  Number ")
    'lead number'
    """
    text = str(name)
    return " ".join((text if text.isascii() else unicodedata.normalize("NFKC", text)).split()).casefold()


def canonical_text(value: object) -> str | None:
    """Write a cell the one way it is compared, whatever dtype it came in; None where it is empty.

    Examples
    --------
    >>> canonical_text(" Referral "), canonical_text(1.0), canonical_text("1.0"), canonical_text(True)
    ('referral', '1', '1', 'true')
    >>> canonical_text(float("nan")) is None
    True
    """
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        number = float(value)
        if math.isnan(number):
            return None
        value = repr(number)
    text = normalise_name(value)
    whole = _WHOLE.match(text)
    if whole:
        return "0" if whole[1] == "-0" else whole[1]
    if len(text) > MAX_LEVEL_CHARACTERS:
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        return f"{text[: MAX_LEVEL_CHARACTERS - 9]}~{digest}"
    return text


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
    """Give the canonical words that mean missing in a column, found by its normalised name: everybody's and its own.

    Examples
    --------
    >>> missing_words({"*": ["Select"], "pdays": [999]}, "pdays")
    ('999', 'select')
    """
    wanted = {"*"} if column is None else {"*", normalise_name(column)}
    own = [value for key, values in words.items() if normalise_name(key) in wanted for value in values]
    return tuple(sorted({text for text in map(canonical_text, own) if text is not None}))


def distinct(series: pd.Series) -> tuple[np.ndarray, Sequence[object]]:
    """Give which of the distinct cells each row holds, -1 where missing, and those cells.

    Cells of mixed kinds are each their own: True equals 1 in Python, and lists cannot be compared at all. Of
    categories, some may be no row's.

    Examples
    --------
    >>> codes, cells = distinct(pd.Series(["visit", None, "visit"], dtype="category"))
    >>> codes.tolist(), cells
    ([0, -1, 0], ['visit'])
    """
    if isinstance(series.dtype, pd.CategoricalDtype) and len(series.cat.categories) <= len(series):
        return series.cat.codes.to_numpy(), [*series.cat.categories]
    if isinstance(series.dtype, pd.ArrowDtype) and series.dtype.kind == "O":
        series = series.astype(object)
    if series.dtype == object and pd.api.types.infer_dtype(series, skipna=True) != "string":
        return np.arange(len(series)), [*series]
    codes, uniques = pd.factorize(series, use_na_sentinel=True)
    return codes, [*uniques]


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
    codes, uniques = distinct(series)
    empty = frozenset(missing)
    texts = np.array([*(read_text(value, missing=empty) for value in uniques), None], dtype=object)
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
    values, is_text = _parse_numbers(series, missing=missing, decimal=decimal)
    beyond = np.abs(values) > MAX_NUMBER
    values[beyond] = np.nan
    return values, int(is_text.sum()) + int(beyond.sum())


def read_text(value: object, *, missing: Collection[str]) -> str | None:
    """Read one cell as `read_texts` does."""
    text = canonical_text(value)
    return None if text is None or text == "" or text in missing else text


def read_number(value: object, *, missing: Sequence[str], decimal: str = ".") -> float:
    """Read one cell as `read_numbers` does.

    Examples
    --------
    >>> read_number("1,234", missing=()), read_number(999, missing=("999",)), read_number("n/a", missing=("n/a",))
    (1234.0, nan, nan)
    """
    # Most cells of feature rows are numbers already.
    number = value if type(value) is float else _one_number(value, empty=missing, decimal=decimal)[0]
    beyond = not -MAX_NUMBER <= number <= MAX_NUMBER
    return math.nan if beyond or (missing and number in _missing_numbers(tuple(missing))) else number


def count_texts(series: pd.Series, *, missing: Sequence[str], decimal: str = ".") -> int:
    """Count the filled cells that are no number, not even an infinite one."""
    return int(_parse_numbers(series, missing=missing, decimal=decimal)[1].sum())


def _parse_numbers(series: pd.Series, *, missing: Sequence[str], decimal: str) -> tuple[np.ndarray, np.ndarray]:
    """Give every cell's number, infinite ones too, and which filled cells are none."""
    if pd.api.types.is_numeric_dtype(series.dtype) and not pd.api.types.is_complex_dtype(series.dtype):
        values = series.to_numpy(dtype=float, na_value=np.nan).copy()
        is_text = np.zeros(len(values), dtype=bool)
    else:
        codes, uniques = distinct(series)
        empty = {*missing, ""}
        table, no_number = np.full(len(uniques) + 1, np.nan), np.zeros(len(uniques) + 1, dtype=bool)
        for i, value in enumerate(uniques):
            table[i], no_number[i] = _one_number(value, empty=empty, decimal=decimal)
        values, is_text = table[codes], no_number[codes]
    numeric_missing = _missing_numbers(tuple(missing))
    if numeric_missing:
        values[np.isin(values, [*numeric_missing])] = np.nan
    return values, is_text


def _one_number(value: object, *, empty: Collection[str], decimal: str) -> tuple[float, bool]:
    """Give a cell's number, an infinite one too, and whether it is filled with something else."""
    if isinstance(value, str) and _PLAIN[decimal](value):
        return float(value), False
    text = canonical_text(value)
    if text is None or text == "" or text in empty:
        return math.nan, False
    # The decimal mark is how people wrote it: a float among texts has none.
    number = parse_number(text, decimal=decimal if isinstance(value, str) else ".")
    return (math.nan, True) if number is None else (number, False)


@lru_cache(maxsize=256)
def _missing_numbers(missing: tuple[str, ...]) -> frozenset[float]:
    """Give the words for missing that are numbers."""
    return frozenset(number for number in map(parse_number, missing) if number is not None)


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

    codes, uniques = distinct(ids)
    return pd.Series(np.array([*map(key, uniques), None], dtype=object)[codes], dtype=object)


def too_long(frame: pd.DataFrame) -> np.ndarray:
    """Say which rows hold a cell longer than any lead field."""
    long = np.zeros(len(frame), dtype=bool)
    for name in frame.columns:
        if pd.api.types.is_numeric_dtype(frame[name].dtype):
            continue
        codes, uniques = distinct(frame[name])
        is_long = np.array([isinstance(v, str) and len(v) > MAX_CELL_CHARACTERS for v in uniques] + [False])
        long |= is_long[codes]
    return long
