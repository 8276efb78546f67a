from __future__ import annotations

import numpy as np
import pandas as pd

from propensity.schema import Column, Schema
from propensity.training.segments import MAX_COLUMNS, segment_columns


def chosen(read: pd.DataFrame) -> tuple[str, ...]:
    columns = tuple(Column(name=str(name), family="fit", kind="category") for name in read)
    return segment_columns(read, Schema(columns=columns, id=None, missing=()))


def test_sensitive_and_named_columns_come_before_those_that_divide_more_evenly() -> None:
    even, uneven = np.tile(["a", "b", "c", "d"], 50), np.repeat(["x", "y"], [180, 20])
    assert chosen(pd.DataFrame({"Plan": even, "Lead source": uneven, "Gender": uneven})) == (
        "Gender",
        "Lead source",
        "Plan",
    )


def test_personal_data_is_no_segment_whoever_named_it_a_feature() -> None:
    values = np.tile(["ann", "bob", "eve"], 50)
    assert chosen(pd.DataFrame({"First name": values, "Team": values})) == ("Team",)


def test_a_handful_is_chosen_and_places_and_constants_are_not() -> None:
    many = {f"Trait {i}": np.tile(["a", "b"], 100) for i in range(9)}
    assert len(chosen(pd.DataFrame(many))) == MAX_COLUMNS
    assert chosen(pd.DataFrame({"City": [f"c{i % 50}" for i in range(200)], "Same": "x"})) == ()
