"""Stub."""

from collections.abc import Mapping, Sequence

import pandas as pd


def derived_names(column: str, kind: str) -> tuple[str, ...]:
    return ()


def derive(
    leads: pd.DataFrame, kinds: Mapping[str, str], *, missing: Mapping[str, Sequence[str | float]]
) -> pd.DataFrame:
    return pd.DataFrame(index=pd.RangeIndex(len(leads)))
