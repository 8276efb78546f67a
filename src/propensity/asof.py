"""The only place for reading stamps: text, epochs and datetimes to aware UTC instants."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from propensity.errors import InputError

# A column is a date when at least this share of its filled cells reads as one.
STAMP_SHARE = 0.99

_DATE_ONLY = re.compile(
    r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}|\d{8}|[^\d:]+ ?\d{1,2},? \d{4})$"
)
_ISO = re.compile(r"^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}")
_AWARE = re.compile(r"(?:z|utc|[+-]\d{2}:?\d{2}|[+-]\d{2})$", re.IGNORECASE)
_TWO_FIRST = re.compile(r"^(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})(?:[ T,]+(.*))?$")
_DIGITS = re.compile(r"^\d+(?:\.0+)?$")
# Digits of an epoch between 1973 and 5138, by unit.
_EPOCH_UNITS = ((1e8, 1e11, "s"), (1e11, 1e14, "ms"), (1e14, 1e17, "us"))


@dataclass(frozen=True, kw_only=True)
class Stamps:
    """A column of instants.

    Parameters
    ----------
    at : Series of datetime64[us, UTC], shape (n,)
        When each record was known; NaT where missing. A date without a time is known at the next midnight.
    unread : int
        Filled cells that are no stamp.
    """

    at: pd.Series
    unread: int

    @property
    def newest(self) -> pd.Timestamp | None:
        """The newest stamp, or None where there is none."""
        return None if self.at.isna().all() else self.at.max()


def parse_stamps(series: pd.Series, *, timezone: str, name: str) -> Stamps:
    """Read a column of stamps.

    Parameters
    ----------
    series : Series of text, numbers (epoch s, ms or us) or datetimes
    timezone : str
        Zone of stamps that name none.
    name : str
        The column, for messages.

    Returns
    -------
    Stamps

    Raises
    ------
    InputError
        Naive and aware stamps are mixed, day and month cannot be told apart, epoch units are mixed,
        or more than 1 % of the filled cells are no stamp.

    Examples
    --------
    >>> parse_stamps(pd.Series(["2026-03-01 12:00", None]), timezone="UTC", name="Created").newest
    Timestamp('2026-03-01 12:00:00+0000', tz='UTC')
    >>> parse_stamps(pd.Series(["31/01/2026", "05/02/2026"]), timezone="UTC", name="Created").newest
    Timestamp('2026-02-06 00:00:00+0000', tz='UTC')
    """
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        return Stamps(at=_utc(series.reset_index(drop=True), timezone), unread=0)
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        return Stamps(at=_utc(series.reset_index(drop=True), timezone), unread=0)
    codes, uniques = pd.factorize(series, use_na_sentinel=True)
    texts = pd.Series([str(value).strip() for value in uniques], dtype=object)
    filled = (texts != "").to_numpy()
    parsed = pd.Series(pd.NaT, index=texts.index, dtype="datetime64[us, UTC]")
    if filled.any():
        parsed[filled] = _parse_texts(texts[filled], timezone=timezone, name=name).to_numpy()
    day = texts.map(lambda text: bool(_DATE_ONLY.match(text))).to_numpy(dtype=bool)
    parsed[day] = parsed[day] + pd.Timedelta(days=1)
    table = np.append(parsed.to_numpy(dtype="datetime64[us]"), np.datetime64("NaT", "us"))
    at = pd.Series(table[codes]).dt.tz_localize("UTC")
    is_filled = np.append(filled, [False])[codes]
    unread = int((is_filled & at.isna().to_numpy()).sum())
    if unread > (1 - STAMP_SHARE) * max(int(is_filled.sum()), 1):
        msg = (
            f"Column {name!r} must hold dates: {unread} of {int(is_filled.sum())} filled cells are none. "
            "Allowed: ISO dates and times, day.month.year, month/day/year, epoch seconds, milliseconds or microseconds."
        )
        raise InputError(msg)
    return Stamps(at=at, unread=unread)


def _parse_texts(texts: pd.Series, *, timezone: str, name: str) -> pd.Series:
    parsed = pd.Series(pd.NaT, index=texts.index, dtype="datetime64[us, UTC]")
    digits = texts.map(lambda text: bool(_DIGITS.match(text))).to_numpy(dtype=bool)
    iso = texts.map(lambda text: bool(_ISO.match(text))).to_numpy(dtype=bool)
    two_first = texts.map(lambda text: bool(_TWO_FIRST.match(text))).to_numpy(dtype=bool)
    words = ~(digits | iso | two_first)
    aware = texts.map(lambda text: bool(_AWARE.search(text)) and ":" in text).to_numpy(dtype=bool)
    timed = texts.map(lambda text: ":" in text).to_numpy(dtype=bool)
    if aware.any() and (timed & ~aware).any():
        msg = (
            f"Column {name!r} mixes stamps with and without a time zone ({int(aware.sum())} and "
            f"{int((timed & ~aware).sum())} different ones). Write the zone on all of them or on none."
        )
        raise InputError(msg)
    if digits.any():
        parsed[digits] = _parse_digits(texts[digits], name=name).to_numpy()
    if two_first.any():
        iso_texts = _order_day_and_month(texts[two_first], name=name)
        parsed[two_first] = _to_datetime(iso_texts, timezone, "ISO8601").to_numpy()
    if iso.any():
        plain = texts[iso].str.replace(r"^(\d{4})[/.](\d{1,2})[/.](\d{1,2})", r"\1-\2-\3", regex=True)
        plain = plain.str.replace(
            r"^(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)",
            lambda match: f"{match[1]}-{int(match[2]):02d}-{int(match[3]):02d}",
            regex=True,
        )
        parsed[iso] = _to_datetime(plain, timezone, "ISO8601").to_numpy()
    if words.any():
        parsed[words] = _to_datetime(texts[words], timezone, "mixed").to_numpy()
    return parsed


def _to_datetime(texts: pd.Series, timezone: str, form: str) -> pd.Series:
    clean = texts.str.replace(r"\s*utc$", "Z", regex=True, case=False)
    if clean.str.contains(r":.*(?:[zZ]|[+-]\d{2}:?\d{0,2})$", regex=True).any():
        return _utc(pd.to_datetime(clean, utc=True, format=form, errors="coerce"), timezone)
    return _utc(pd.to_datetime(clean, format=form, errors="coerce"), timezone)


def _utc(stamps: pd.Series, timezone: str) -> pd.Series:
    if stamps.dt.tz is None:
        # In the hour that a clock change repeats, the first one; in the hour it skips, the next that exists.
        stamps = stamps.dt.tz_localize(timezone, ambiguous=np.ones(len(stamps), bool), nonexistent="shift_forward")
    return cast("pd.Series", stamps.dt.tz_convert("UTC").dt.as_unit("us"))


def _parse_digits(texts: pd.Series, *, name: str) -> pd.Series:
    numbers = texts.astype(float)
    if ((numbers >= 19000101) & (numbers <= 22621231)).all():
        return _utc(pd.to_datetime(texts.str.slice(0, 8), format="%Y%m%d", errors="coerce"), "UTC")
    units = [unit for low, high, unit in _EPOCH_UNITS if ((numbers >= low) & (numbers < high)).any()]
    if len(units) != 1:
        msg = (
            f"Column {name!r} holds numbers that are not one kind of epoch (looks like: {', '.join(units) or 'none'}). "
            "Give seconds, milliseconds or microseconds since 1970, one unit for the whole column."
        )
        raise InputError(msg)
    return _utc(pd.to_datetime(numbers, unit=cast("Any", units[0]), errors="coerce"), "UTC")


def _order_day_and_month(texts: pd.Series, *, name: str) -> pd.Series:
    parts = texts.str.extract(_TWO_FIRST)
    first, second = parts[0].astype(int), parts[1].astype(int)
    day_first, month_first = bool((first > 12).any()), bool((second > 12).any())
    dotted = bool(texts.str.contains(r"^\d{1,2}\.\d{1,2}\.").all())  # day.month.year is written with dots, always
    if day_first == month_first and not (dotted and not month_first):
        msg = (
            f"Column {name!r} does not tell day from month ({'both orders occur' if day_first else 'no value above 12'}"
            "). Export it as YYYY-MM-DD."
        )
        raise InputError(msg)
    day, month = (second, first) if month_first else (first, second)
    clock = ("T" + parts[3]).fillna("")
    return parts[2] + "-" + month.map("{:02d}".format) + "-" + day.map("{:02d}".format) + clock
