"""Rows of one lead are found however many lie between them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from propensity.storage import repeats as module
from propensity.storage.repeats import Repeats


@pytest.mark.parametrize("held_bytes", [0, 1 << 16])
def test_the_rows_that_share_a_key_are_those_that_pandas_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_bytes: int
) -> None:
    monkeypatch.setattr(module, "_HELD_BYTES", held_bytes)  # on disk from the first row on, or never
    rng = np.random.default_rng(0)
    keys = pd.DataFrame({"key": rng.integers(0, 3000, 5000).astype(str).astype(object), "cutoff": None})
    keys.loc[rng.random(5000) < 0.5, "cutoff"] = "2026-01-01"
    with Repeats(tmp_path) as found:
        for start in range(0, 5000, 700):
            part = keys[start : start + 700]
            found.add(part, np.arange(start, start + len(part)))
        sets = found.sets()
    assert sets[:, 0].tolist() == np.flatnonzero(keys.duplicated(keep=False)).tolist()
    assert pd.Series(sets[:, 1]).nunique() == len(keys[keys.duplicated(keep=False)].drop_duplicates())
    together = keys.iloc[sets[:, 0]].assign(number=sets[:, 1])
    assert len(together.drop_duplicates()) == len(together.drop_duplicates("number"))
    assert not [*tmp_path.iterdir()]


def test_no_row_shares_a_key_with_none(tmp_path: Path) -> None:
    with Repeats(tmp_path) as found:
        assert found.sets().shape == (0, 2)


def test_instants_tell_rows_apart(tmp_path: Path) -> None:
    at = pd.to_datetime(pd.Series(["2026-01-01", "2026-01-02", "2026-01-01"]), utc=True)
    with Repeats(tmp_path) as found:
        found.add(pd.DataFrame({"key": pd.Series(["a"] * 3, dtype=object), "asked": at}), np.arange(3))
        assert found.sets().tolist() == [[0, 0], [2, 0]]
