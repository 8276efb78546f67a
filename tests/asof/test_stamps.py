from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from propensity.asof import parse_stamps
from propensity.errors import InputError

# Ljubljana is one hour ahead of UTC in winter and two in summer; in 2026 it changes on 29 March and 25 October.
HERE = "Europe/Ljubljana"


def read(*cells: object, timezone: str = HERE, dtype: Any = object) -> list[str | None]:
    stamps = parse_stamps(pd.Series([*cells], dtype=dtype), timezone=timezone, name="Created")
    assert str(stamps.at.dtype) == "datetime64[us, UTC]"
    return [None if pd.isna(at) else at.tz_localize(None).isoformat(sep=" ") for at in stamps.at]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31 14:30", "2026-01-31 13:30:00"),
        ("2026-01-31T14:30:15.25", "2026-01-31 13:30:15.250000"),
        ("2026-07-31 14:30", "2026-07-31 12:30:00"),
        (" 2026/1/31  9:05 ", "2026-01-31 08:05:00"),
        ("2026.01.31 14:30", "2026-01-31 13:30:00"),
        ("20260131T143000", "2026-01-31 13:30:00"),
        ("31.1.2026 14:30", "2026-01-31 13:30:00"),
        ("31/01/2026 14:30", "2026-01-31 13:30:00"),
        ("1/31/2026 2:30 PM", "2026-01-31 13:30:00"),
        ("1/31/2026, 2:30:00 p.m.", "2026-01-31 13:30:00"),
        ("1/31/2026 12:05 am", "2026-01-30 23:05:00"),
        ("1/31/2026 12:05 pm", "2026-01-31 11:05:00"),
        ("31-Jan-2026 14:30", "2026-01-31 13:30:00"),
        ("31 January 2026 14:30", "2026-01-31 13:30:00"),
        ("Jan 31, 2026 14:30", "2026-01-31 13:30:00"),
        ("Sat, 31 Jan 2026 14:30", "2026-01-31 13:30:00"),
        ("1900-01-31 14:30", "1900-01-31 13:30:00"),
        ("2300-01-31 14:30", "2300-01-31 13:30:00"),
    ],
)
def test_a_stamp_without_a_zone_is_in_the_zone_of_the_data(text: str, expected: str) -> None:
    assert read(text) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T14:30:00Z",
        "2026-01-31 14:30 UTC",
        "2026-01-31 14:30 gmt",
        "2026-01-31T15:30+01:00",
        "2026-01-31 15:30:00+0100",
        "2026-01-31 09:30 -05",
        "20260131T143000Z",
        "31.01.2026 15:30 +01:00",
        "Sat, 31 Jan 2026 15:30:00 +0100",
    ],
)
def test_a_stamp_with_a_zone_is_the_instant_it_says(text: str) -> None:
    assert read(text) == ["2026-01-31 14:30:00"]


@pytest.mark.parametrize(
    "cell",
    [
        "2026-01-31",
        "2026/1/31",
        "20260131",
        20260131,
        20260131.0,
        "31.01.2026",
        "31/1/2026",
        "1/31/2026",
        "31 Jan 2026",
        "31-January-2026",
        "January 31, 2026",
        "Jan. 31 2026",
        "Saturday, 31 January 2026",
        dt.date(2026, 1, 31),
    ],
)
def test_a_date_without_a_time_is_known_at_the_next_midnight(cell: object) -> None:
    assert read(cell) == ["2026-01-31 23:00:00"]


@pytest.mark.parametrize(
    ("day", "midnight"),
    [("2026-03-29", "2026-03-29 22:00:00"), ("20260329", "2026-03-29 22:00:00"), ("2026-10-25", "2026-10-25 23:00:00")],
)
def test_the_next_midnight_is_23_or_25_hours_away_when_clocks_change(day: str, midnight: str) -> None:
    assert read(day) == [midnight]


def test_a_date_beside_aware_stamps_is_in_the_zone_of_the_data() -> None:
    assert read("2026-07-01", "2026-07-01T10:00Z") == ["2026-07-01 22:00:00", "2026-07-01 10:00:00"]


def test_the_repeated_hour_is_the_first_and_the_skipped_one_the_next_that_exists() -> None:
    assert read("2026-10-25 02:30", "2026-03-29 02:30") == ["2026-10-25 00:30:00", "2026-03-29 01:00:00"]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (1_700_000_000, "2023-11-14 22:13:20"),
        ("1700000000", "2023-11-14 22:13:20"),
        (1_700_000_000.5, "2023-11-14 22:13:20.500000"),
        (1_700_000_000_000, "2023-11-14 22:13:20"),
        (1_700_000_000_000.0, "2023-11-14 22:13:20"),
        (1_700_000_000_000_000, "2023-11-14 22:13:20"),
    ],
)
def test_epochs_are_utc_in_seconds_milliseconds_or_microseconds(cell: object, expected: str) -> None:
    assert read(cell) == read(cell, dtype=None) == [expected]


@pytest.mark.parametrize(
    ("cells", "looks"),
    [((1_700_000_000, 1_700_000_000_000), "s, ms"), ((2026,), "none"), ((1_700_000_000_000_000_000,), "none")],
)
def test_numbers_that_are_not_one_kind_of_epoch_are_refused(cells: tuple[int, ...], looks: str) -> None:
    with pytest.raises(InputError, match=rf"not one kind of epoch \(looks like: {looks}\)"):
        read(*cells)


def test_naive_and_aware_stamps_are_not_mixed() -> None:
    with pytest.raises(InputError, match=r"'Created' mixes stamps .* \(1 and 2 different ones\)"):
        read("2026-01-31T14:30Z", "2026-01-31 14:30", "2026-01-30 14:30", "2026-01-30 14:30")


def test_an_epoch_has_a_zone_and_is_not_mixed_with_stamps_that_have_none() -> None:
    assert read("2026-01-31T14:30Z", "1700000000") == ["2026-01-31 14:30:00", "2023-11-14 22:13:20"]
    with pytest.raises(InputError, match=r"'Created' mixes stamps .* \(1 and 1 different ones\)"):
        read("2026-01-31 14:30", "1700000000")


@pytest.mark.parametrize("stray", [0, 20260131, 1_700_000_000_000_000_000])
def test_a_number_of_another_kind_among_epochs_is_no_stamp(stray: int) -> None:
    # Read by the unit of the others, a zero would be 1970 and 20260131 a day in August of that year.
    assert read(*[1_700_000_000] * 99, stray)[-2:] == ["2023-11-14 22:13:20", None]
    with pytest.raises(InputError, match="1 of 2 filled cells are none"):
        read(1_700_000_000, stray)


def test_a_message_names_the_key_where_two_tables_have_a_column_of_that_name() -> None:
    with pytest.raises(InputError, match=r"^Column 'date' \(columns.event.occurred_at\) must hold dates"):
        parse_stamps(pd.Series(["web"]), timezone="UTC", name="date", key="columns.event.occurred_at")


def test_one_date_above_twelve_tells_day_from_month_for_the_whole_column() -> None:
    assert read("02/03/2026", "31/01/2026", timezone="UTC") == ["2026-03-03 00:00:00", "2026-02-01 00:00:00"]
    assert read("02/03/2026", "01/31/2026", timezone="UTC") == ["2026-02-04 00:00:00", "2026-02-01 00:00:00"]


def test_dots_mean_day_first_unless_a_date_says_otherwise() -> None:
    assert read("02.03.2026", timezone="UTC") == ["2026-03-03 00:00:00"]
    assert read("02.03.2026", "01.31.2026", timezone="UTC") == ["2026-02-04 00:00:00", "2026-02-01 00:00:00"]


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (("02/03/2026", "04/05/2026"), "no value above 12"),
        (("31/01/2026", "01/31/2026"), "both orders occur"),
        (("31.01.2026", "01.31.2026"), "both orders occur"),
    ],
)
def test_days_that_could_be_months_are_refused(cells: tuple[str, ...], why: str) -> None:
    with pytest.raises(InputError, match=rf"does not tell day from month \({why}\). Export it as YYYY-MM-DD"):
        read(*cells)


@pytest.mark.parametrize(
    "cell",
    [
        "web",
        "10:30",
        "now",
        "today",
        "Monday",
        "May 2026",
        "2026-01",
        "31/01/26",
        "2026-02-30",
        "2026-13-01",
        "2026-01-31 24:00",
        "2026-01-31 13:30 pm",
        "2026-01-31 0:30 am",
        "31 Foo 2026",
        "0001-01-01",
        "9999-12-31",
        "1e5",
        True,
        [1],
    ],
)
def test_what_is_no_instant_is_never_guessed(cell: object) -> None:
    # A clock without a day, "now" and the like would otherwise be filled in from the clock of the machine.
    with pytest.raises(InputError, match="'Created' must hold dates: 1 of 1 filled cells are none"):
        read(cell)


@pytest.mark.parametrize("placeholder", ["0001-01-01", "9999-12-31"])
def test_a_placeholder_year_is_no_stamp_in_any_dtype(placeholder: str) -> None:
    days = np.array(["2026-01-31", placeholder], dtype="datetime64[s]")
    with pytest.raises(InputError, match="1 of 2 filled cells are none"):
        parse_stamps(pd.Series(days), timezone=HERE, name="Created")


def test_one_cell_in_a_hundred_may_be_no_stamp_and_is_counted() -> None:
    hundred = pd.Series(["2026-01-31 14:30"] * 99 + ["web"] + [None, " "])
    stamps = parse_stamps(hundred, timezone="UTC", name="Created")
    assert stamps.unread == 1
    assert stamps.at.isna().sum() == 3
    with pytest.raises(InputError, match="1 of 99 filled cells are none"):
        parse_stamps(hundred.drop(0), timezone="UTC", name="Created")


@pytest.mark.parametrize("cells", [(), (None,), (math.nan, " "), (pd.NaT,)])
def test_a_column_without_a_stamp_has_no_newest(cells: tuple[object, ...]) -> None:
    stamps = parse_stamps(pd.Series([*cells], dtype=object), timezone="UTC", name="Created")
    assert (stamps.newest, stamps.unread, len(stamps.at)) == (None, 0, len(cells))


def test_the_newest_stamp_passes_over_missing_ones() -> None:
    stamps = parse_stamps(pd.Series(["2026-01-31 14:30", None, "2025-12-31 10:00"]), timezone="UTC", name="Created")
    assert stamps.newest == pd.Timestamp("2026-01-31T14:30Z")


NAIVE = dt.datetime(2026, 1, 31, 14, 30)  # noqa: DTZ001
AWARE = dt.datetime(2026, 1, 31, 14, 30, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "dtype", ["datetime64[s]", "datetime64[ns]", object, "category", str, pd.ArrowDtype(pa.timestamp("us"))]
)
def test_a_naive_datetime_is_in_the_zone_of_the_data_in_every_dtype(dtype: Any) -> None:
    assert read(NAIVE, None, dtype=dtype) == ["2026-01-31 13:30:00", None]


@pytest.mark.parametrize(
    "dtype",
    ["datetime64[us, UTC]", "datetime64[ns, Asia/Tokyo]", object, str, pd.ArrowDtype(pa.timestamp("s", "UTC"))],
)
def test_an_aware_datetime_is_its_instant_in_every_dtype(dtype: Any) -> None:
    assert read(AWARE, None, dtype=dtype) == ["2026-01-31 14:30:00", None]


def test_an_arrow_date_is_known_at_the_next_midnight() -> None:
    day = pd.ArrowDtype(pa.date32())
    assert read(dt.date(2026, 1, 31), None, dtype=day) == ["2026-01-31 23:00:00", None]


def test_the_frames_index_does_not_matter() -> None:
    for series in (pd.Series(["2026-01-31 14:30"], index=[7]), pd.Series([AWARE], index=[7])):
        assert parse_stamps(series, timezone="UTC", name="Created").at.index.to_list() == [0]
