"""The newest stamp of a column that comes in parts is that of the whole."""

import pandas as pd
import pytest

from propensity.asof import Newest, parse_stamps

ISO = pd.date_range("2026-01-01 10:00", periods=40, freq="31h").strftime("%Y-%m-%d %H:%M")
DAY_FIRST = pd.date_range("2026-01-01 10:00", periods=40, freq="1D").strftime("%d/%m/%Y %H:%M")
MONTH_FIRST = pd.date_range("2026-03-01", periods=40, freq="1D").strftime("%m/%d/%Y")


def newest_of(parts: list[pd.Series]) -> pd.Timestamp | None:
    newest = Newest(timezone="UTC", name="Created")
    for part in parts:
        newest.add(part)
    return newest.found


@pytest.mark.parametrize("cells", [ISO, DAY_FIRST, MONTH_FIRST], ids=["iso", "day first", "month first"])
@pytest.mark.parametrize("size", [1, 3, 40])
@pytest.mark.parametrize("backwards", [False, True])
def test_parts_give_what_the_whole_gives(cells: pd.Index, size: int, *, backwards: bool) -> None:
    whole = pd.Series(cells)[:: -1 if backwards else 1].reset_index(drop=True)
    found = newest_of([whole[i : i + size] for i in range(0, len(whole), size)])
    assert found == parse_stamps(whole, timezone="UTC", name="Created").newest


def test_epochs_and_stamps_with_a_type_are_read_too() -> None:
    assert newest_of([pd.Series([1.7e9]), pd.Series([1.8e9])]) == pd.Timestamp(1.8e9, unit="s", tz="UTC")
    typed = pd.Series(pd.to_datetime(ISO))
    assert newest_of([typed[:20], typed[20:]]) == typed.max().tz_localize("UTC")


def test_a_column_that_holds_no_dates_has_no_newest() -> None:
    assert newest_of([pd.Series(["soon", "later"])]) is None
    assert newest_of([pd.Series([None, None], dtype=object)]) is None
    assert newest_of([pd.Series(["05/02/2026"]), pd.Series(["06/02/2026"])]) is None  # day or month, nobody knows
