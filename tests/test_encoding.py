from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from propensity.encoding import MAX_LEVELS, MIN_LEVEL_ROWS, CategoryCode, Encoder, NumberCode, fit_encoder
from propensity.schema import Column, Schema

SCHEMA = Schema(
    columns=(
        Column(name="visits", family="behaviour", kind="number"),
        Column(name="source", family="fit", kind="category"),
    ),
    id=None,
    missing=(),
)
TRAINING = pd.DataFrame({"visits": [0.0, 10.0] * 10 + [5.0], "source": ["web"] * 10 + ["fair"] * 10 + ["fax"]})


def levels(values: Sequence[str | None]) -> tuple[str, ...]:
    schema = Schema(columns=SCHEMA.columns[1:], id=None, missing=())
    (code,) = fit_encoder(pd.DataFrame({"source": [*values]}), schema).codes
    assert isinstance(code, CategoryCode)
    return code.levels


def range_of(values: list[float]) -> NumberCode:
    schema = Schema(columns=SCHEMA.columns[:1], id=None, missing=())
    (code,) = fit_encoder(pd.DataFrame({"visits": values}), schema).codes
    assert isinstance(code, NumberCode)
    return code


def test_a_number_stays_itself_and_missing_stays_missing() -> None:
    values = pd.DataFrame({"visits": [3.0, -1e9, math.nan], "source": [None] * 3})
    np.testing.assert_array_equal(fit_encoder(TRAINING, SCHEMA).encode(values)[:, 0], [3.0, -1e9, math.nan])


def test_levels_are_numbered_from_one_in_alphabetical_order() -> None:
    values = pd.DataFrame({"visits": 0.0, "source": ["fair", "web", None]})
    np.testing.assert_array_equal(fit_encoder(TRAINING, SCHEMA).encode(values)[:, 1], [1, 2, math.nan])


def test_rare_and_unseen_levels_are_the_same_other() -> None:
    values = pd.DataFrame({"visits": 0.0, "source": ["fax", "owl"]})
    assert fit_encoder(TRAINING, SCHEMA).encode(values)[:, 1].tolist() == [0, 0]


def test_a_level_is_kept_from_the_tenth_lead_on() -> None:
    assert levels(["web"] * MIN_LEVEL_ROWS + ["fair"] * (MIN_LEVEL_ROWS - 1) + [None] * 50) == ("web",)


def test_of_too_many_levels_the_frequent_are_kept_and_ties_go_by_the_alphabet() -> None:
    ordinary = [f"level {i:03d}" for i in range(MAX_LEVELS)]
    kept = levels([name for name in ordinary for _ in range(MIN_LEVEL_ROWS)] + ["zebra"] * (MIN_LEVEL_ROWS + 1))
    assert kept == (*ordinary[:-1], "zebra")


def test_the_range_of_a_number_is_its_training_range_with_its_width_on_both_sides() -> None:
    # Width 10 - 2 = 8; the median of 2, 3, 10 is 3.
    assert range_of([10.0, 2.0, math.nan, 3.0]) == NumberCode(low=-6.0, high=18.0, typical=3.0)


def test_a_number_that_is_missing_in_every_training_row_has_an_empty_range() -> None:
    assert range_of([math.nan, math.nan]) == NumberCode(low=0.0, high=0.0, typical=0.0)


def test_the_order_of_training_rows_does_not_matter() -> None:
    assert fit_encoder(TRAINING.iloc[::-1], SCHEMA) == fit_encoder(TRAINING, SCHEMA)


def test_a_rows_numbers_do_not_depend_on_its_batch() -> None:
    encoder = fit_encoder(TRAINING, SCHEMA)
    values = pd.DataFrame({"visits": [1.0, math.nan, 7.0], "source": ["web", None, "owl"]})
    alone = np.vstack([encoder.encode(values.iloc[[i]]) for i in range(3)])
    np.testing.assert_array_equal(encoder.encode(values), alone)


def test_columns_are_found_by_name() -> None:
    encoder = fit_encoder(TRAINING, SCHEMA)
    np.testing.assert_array_equal(encoder.encode(TRAINING[["source", "visits"]]), encoder.encode(TRAINING))


def test_category_columns_are_known_by_position() -> None:
    encoder = fit_encoder(TRAINING, SCHEMA)
    assert encoder.names == ("visits", "source")
    assert encoder.categorical == (1,)


@pytest.mark.parametrize(("names", "n_codes"), [((), 1), (("fair", "web"), 3)])
def test_other_has_a_code_of_its_own(names: tuple[str, ...], n_codes: int) -> None:
    assert CategoryCode(levels=names).n_codes == n_codes


def test_an_encoder_survives_json() -> None:
    encoder = fit_encoder(TRAINING, SCHEMA)
    assert Encoder.from_dict(json.loads(json.dumps(encoder.to_dict()))) == encoder
