"""The only place for reading stamps: text, epochs and datetimes to aware UTC instants."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from propensity.errors import InputError

# A column is a date when at least this share of its filled cells reads as one.
STAMP_SHARE = 0.99
# Years outside are placeholders (0001-01-01, 9999-12-31), not something that happened to a lead.
FIRST_YEAR, LAST_YEAR = 1800, 2999

# Date, clock and zone as exports write them, in lower case. A text without a day, a month and a year of four digits is
# no stamp: nothing is guessed, least of all from the clock of this machine.
_CLOCK = (
    r"(?:(?:t| |, ?)(?P<hour>\d{1,2}):(?P<minute>\d{2}(?::\d{2}(?:\.\d{1,9})?)?)(?: ?(?P<half>[ap])\.?m\.?)?"
    r"(?: ?(?P<zone>z|utc|gmt|[+-]\d{2}(?::?\d{2})?))?)?$"
)
_FORMS = tuple(
    re.compile(form + _CLOCK)
    for form in (
        r"^(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})",
        r"^(?P<first>\d{1,2})[-/.](?P<second>\d{1,2})[-/.](?P<year>\d{4})",
        r"^(?:[a-z]+,? )?(?P<day>\d{1,2})[-. ]{1,2}(?P<name>[a-z]{3,})\.?[-, ]{1,2}(?P<year>\d{4})",
        r"^(?:[a-z]+,? )?(?P<name>[a-z]{3,})\.? (?P<day>\d{1,2}),? (?P<year>\d{4})",
    )
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DOTTED = re.compile(r"^\d{1,2}\.\d{1,2}\.")
_BASIC = re.compile(r"^(\d{4})(\d{2})(\d{2})t(\d{2})(\d{2})(\d{2})(?=\D|$)")
_DIGITS = re.compile(r"^\d+(?:\.0+)?$|^\d{9,}\.\d+$")
_ISO: Any = {"format": "ISO8601", "errors": "coerce"}
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
        Filled cells that are no stamp, or one before 1800 or after 2999.
    in_clock_change : int
        Cells without a zone in an hour that a change of clocks skips or repeats: read as the next time that exists, or
        as the first of the two.
    """

    at: pd.Series
    unread: int
    in_clock_change: int = 0

    @property
    def newest(self) -> pd.Timestamp | None:
        """The newest stamp, or None where there is none."""
        return None if self.at.isna().all() else self.at.max()


def parse_stamps(series: pd.Series, *, timezone: str, name: str, key: str = "", date_is_start: bool = False) -> Stamps:
    """Read a column of stamps.

    Parameters
    ----------
    series : Series of text, numbers (epoch s, ms or us) or datetimes
    timezone : str
        Zone of stamps that name none.
    name : str
        The column, for messages.
    key : str
        The config key that names it, for messages: columns of two tables may be called the same.
    date_is_start : bool
        Whether a date without a time is its first moment, not the next midnight: so for an instant to look at, and for
        what must not be looked past.

    Returns
    -------
    Stamps

    Raises
    ------
    InputError
        Naive and aware stamps (epochs among them) are mixed, day and month cannot be told apart, epoch units are
        mixed, or more than 1 % of the filled cells are no stamp.

    Examples
    --------
    >>> parse_stamps(pd.Series(["2026-03-01 12:00", None]), timezone="UTC", name="Created").newest
    Timestamp('2026-03-01 12:00:00+0000', tz='UTC')
    >>> parse_stamps(pd.Series(["31/01/2026", "05/02/2026"]), timezone="UTC", name="Created").newest
    Timestamp('2026-02-06 00:00:00+0000', tz='UTC')
    >>> parse_stamps(pd.Series(["2025-03-30 02:30"]), timezone="Europe/Paris", name="Created").in_clock_change
    1
    """
    series = series.reset_index(drop=True)
    what = f"Column {name!r}" + (f" ({key})" if key else "")
    if isinstance(series.dtype, np.dtype | pd.DatetimeTZDtype) and series.dtype.kind == "M":
        plausible = series.where(series.dt.year.between(FIRST_YEAR, LAST_YEAR))
        at = pd.Series(_to_utc(plausible, timezone)).dt.tz_localize("UTC")
        n_filled, n_unclear = int(series.notna().sum()), int(_in_clock_change(plausible, timezone).sum())
    else:
        late = pd.Timedelta(days=0 if date_is_start else 1)
        at, n_filled, n_unclear = _parse_cells(series, timezone=timezone, what=what, late=late)
    unread = n_filled - int(at.notna().sum())
    if unread > (1 - STAMP_SHARE) * n_filled:
        msg = (
            f"{what} must hold dates: {unread} of {n_filled} filled cells are none. Allowed: ISO dates and times, "
            "day.month.year, month/day/year, epoch seconds, milliseconds or microseconds, within the years "
            f"{FIRST_YEAR} and {LAST_YEAR}. Leave a cell empty where there is no date."
        )
        raise InputError(msg)
    return Stamps(at=at, unread=unread, in_clock_change=n_unclear)


def _parse_cells(series: pd.Series, *, timezone: str, what: str, late: pd.Timedelta) -> tuple[pd.Series, int, int]:
    """Read every distinct cell once; give the instants, how many cells are filled, and how many in a clock change."""
    if not pd.api.types.is_numeric_dtype(series.dtype):
        series = series.astype(object).map(str, na_action="ignore")
    codes, uniques = pd.factorize(series, use_na_sentinel=True)
    texts = [" ".join(str(value).split()).lower() for value in uniques]
    filled = np.array([text != "" for text in texts] + [False])
    table = np.full(len(filled), np.datetime64("NaT"), dtype="datetime64[us]")
    unclear = np.zeros(len(filled), dtype=bool)
    written = [text for text in texts if text]
    table[filled], unclear[filled] = _parse_texts(written, timezone=timezone, what=what, late=late)
    return pd.Series(table[codes]).dt.tz_localize("UTC"), int(filled[codes].sum()), int(unclear[codes].sum())


def _parse_texts(
    texts: Sequence[str], *, timezone: str, what: str, late: pd.Timedelta
) -> tuple[np.ndarray, np.ndarray]:
    """Give the instants, and which of them stand in a change of clocks."""
    at = np.full(len(texts), np.datetime64("NaT"), dtype="datetime64[us]")
    digits = [i for i, text in enumerate(texts) if _DIGITS.match(text)]
    if digits:
        at[digits] = _parse_digits([texts[i] for i in digits], timezone=timezone, what=what, late=late)
    parts = {i: found for i, text in enumerate(texts) if (found := _take_apart(text)) is not None}
    days = [i for i, found in parts.items() if found["hour"] is None]
    aware = [i for i, found in parts.items() if found["zone"] is not None]
    naive = [i for i, found in parts.items() if found["hour"] is not None and found["zone"] is None]
    n_aware = len(aware) + (0 if _are_days([texts[i] for i in digits]) else len(digits))
    if n_aware and naive:
        msg = (
            f"{what} mixes stamps with and without a time zone ({n_aware} and {len(naive)} different ones). "
            "Write the zone on all of them or on none; an epoch has one."
        )
        raise InputError(msg)
    year_last = [i for i, found in parts.items() if "first" in found]
    is_month_first = _is_month_first([texts[i] for i in year_last], [parts[i] for i in year_last], what=what)
    written = {i: _iso(found, is_month_first=is_month_first) for i, found in parts.items()}
    at[days] = _to_utc(pd.to_datetime(pd.Series([written[i] for i in days]), **_ISO) + late, timezone)
    local = pd.to_datetime(pd.Series([written[i] for i in naive]), **_ISO)
    at[naive] = _to_utc(local, timezone)
    unclear = np.zeros(len(texts), dtype=bool)
    unclear[naive] = _in_clock_change(local, timezone)
    at[aware] = _to_utc(pd.to_datetime(pd.Series([written[i] for i in aware]), utc=True, **_ISO), timezone)
    return at, unclear


def _take_apart(text: str) -> dict[str, str | None] | None:
    """Give the parts of a stamp by name, or None where it has no known form."""
    plain = _BASIC.sub(r"\1-\2-\3t\4:\5:\6", text)
    found = next((match.groupdict() for form in _FORMS if (match := form.match(plain))), None)
    if found is None or not FIRST_YEAR <= int(str(found["year"])) <= LAST_YEAR:
        return None
    return None if "name" in found and str(found["name"])[:3] not in _MONTHS else found


def _iso(parts: Mapping[str, str | None], *, is_month_first: bool) -> str:
    """Write the parts of a stamp as ISO 8601; impossible dates stay so, and are read as none."""
    if "first" in parts:
        month, day = (parts["first"], parts["second"]) if is_month_first else (parts["second"], parts["first"])
    else:
        day = parts["day"]
        month = parts["month"] if "month" in parts else str(_MONTHS.index(str(parts["name"])[:3]) + 1)
    date = f"{parts['year']}-{str(month).zfill(2)}-{str(day).zfill(2)}"
    if parts["hour"] is None:
        return date
    hour = int(parts["hour"])
    if parts["half"] is not None:
        # 12 am is midnight, 12 pm noon; there is no 13 pm.
        hour = hour % 12 + 12 * (parts["half"] == "p") if 1 <= hour <= 12 else 99
    zone = "+00:00" if parts["zone"] in {"z", "utc", "gmt"} else parts["zone"] or ""
    return f"{date}T{hour:02d}:{parts['minute']}{zone}"


def _is_month_first(texts: Sequence[str], parts: Sequence[Mapping[str, str | None]], *, what: str) -> bool:
    day_first = any(int(str(found["first"])) > 12 for found in parts)
    month_first = any(int(str(found["second"])) > 12 for found in parts)
    dotted = all(_DOTTED.match(text) for text in texts)  # day.month.year is written with dots, always
    if day_first == month_first and not (dotted and not month_first):
        msg = (
            f"{what} does not tell day from month ({'both orders occur' if day_first else 'no value above 12'}"
            "). Export it as YYYY-MM-DD."
        )
        raise InputError(msg)
    return month_first


def tells_day_from_month(cell: object) -> bool:
    """Say whether a cell alone tells in which order a column writes day and month.

    Examples
    --------
    >>> tells_day_from_month("31/01/2026"), tells_day_from_month("05/01/2026"), tells_day_from_month("2026-01-31")
    (True, False, False)
    """
    found = _take_apart(" ".join(str(cell).split()).lower())
    return (
        found is not None and "first" in found and (int(str(found["first"])) > 12) != (int(str(found["second"])) > 12)
    )


def _parse_digits(texts: Sequence[str], *, timezone: str, what: str, late: pd.Timedelta) -> np.ndarray:
    numbers = np.array([float(text) for text in texts])
    if _are_days(texts):
        days = pd.to_datetime(pd.Series([text[:8] for text in texts]), format="%Y%m%d", errors="coerce")
        return _to_utc(days + late, timezone)
    units = [(low, high, unit) for low, high, unit in _EPOCH_UNITS if ((numbers >= low) & (numbers < high)).any()]
    if len(units) != 1:
        looks = ", ".join(unit for _, _, unit in units) or "none"
        msg = (
            f"{what} holds numbers that are not one kind of epoch (looks like: {looks}). "
            "Give seconds, milliseconds or microseconds since 1970, one unit for the whole column."
        )
        raise InputError(msg)
    low, high, unit = units[0]
    # Zeros that stand for nothing, and dates without signs among epochs, are no stamps.
    inside = pd.Series(numbers).where((numbers >= low) & (numbers < high))
    return _to_utc(pd.to_datetime(inside, unit=cast("Any", unit), errors="coerce"), "UTC")


def _are_days(texts: Sequence[str]) -> bool:
    """Say whether numbers are dates without signs, such as 20260131."""
    return all(19000101 <= float(text) <= 22621231 for text in texts)


def _in_clock_change(stamps: pd.Series, timezone: str) -> np.ndarray:
    """Say which local times do not exist in the zone, or are there twice."""
    if stamps.dt.tz is not None:
        return np.zeros(len(stamps), dtype=bool)
    once = stamps.dt.tz_localize(timezone, ambiguous="NaT", nonexistent="NaT")
    return np.asarray(once.isna() & stamps.notna())


def _to_utc(stamps: pd.Series, timezone: str) -> np.ndarray:
    if stamps.dt.tz is None:
        # In the hour that a clock change repeats, the first one; in the hour it skips, the next that exists.
        stamps = stamps.dt.tz_localize(timezone, ambiguous=np.ones(len(stamps), bool), nonexistent="shift_forward")
    return np.asarray(stamps.dt.tz_convert("UTC").dt.tz_localize(None), dtype="datetime64[us]")
