from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from propensity.encoding import OTHER, CategoryCode, Encoder, NumberCode
from propensity.guards import Guard, fit_guard

NUMBER = NumberCode(low=0.0, high=10.0, typical=5.0)
FLAT = NumberCode(low=3.0, high=3.0, typical=3.0)
ENCODER = Encoder(
    names=("a", "b", "c", "since", "word", "other word"),
    codes=(NUMBER, NUMBER, NUMBER, NUMBER, CategoryCode(levels=("x",)), CategoryCode(levels=("y",))),
)


def training(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    matrix = np.column_stack([rng.uniform(4, 6, (n, 4)), rng.integers(1, 2, (n, 2)).astype(float)])
    return matrix, np.tile([0.1, 0.1, 0.1, 0.1, 0.35, 0.25], (n, 1)) * rng.choice([-1, 1], (n, 6))


def guard(**options: Any) -> Guard:
    return fit_guard(*training(), ENCODER, **options)


def row(**cells: float) -> np.ndarray:
    usual = {"a": 5.0, "b": 5.0, "c": 5.0, "since": 5.0, "word": 1.0, "other word": 1.0} | cells
    return np.array([[usual[name] for name in ENCODER.names]])


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({}, ""),
        ({"word": np.nan}, ""),  # 65 % of what usually moves scores is known
        ({"word": np.nan, "a": np.nan}, "LOW_COVERAGE"),
        ({"word": OTHER}, ""),
        ({"word": OTHER, "other word": OTHER}, "UNKNOWN_LEVELS"),
        ({"a": 11.0, "b": -1.0}, ""),
        ({"a": 11.0, "b": -1.0, "c": 99.0}, "OUT_OF_DISTRIBUTION"),
        ({"a": 11.0, "b": -1.0, "c": 10.0}, ""),  # at the edge is inside
        ({"word": np.nan, "other word": np.nan, "a": 99.0, "b": 99.0, "c": 99.0}, "LOW_COVERAGE"),
    ],
)
def test_a_row_unlike_what_taught_says_how(cells: dict[str, float], reason: str) -> None:
    assert guard().reasons(row(**cells), ENCODER).tolist() == [reason]


def test_gaps_in_what_is_made_of_events_and_times_that_only_grow_count_for_nothing() -> None:
    loose = guard(uncovered=("word", "a"), unranged=("since",))
    assert loose.reasons(row(word=np.nan, a=np.nan), ENCODER).tolist() == [""]
    assert loose.reasons(row(since=99.0, b=99.0, c=99.0), ENCODER).tolist() == [""]


def test_a_number_that_never_varied_has_no_range_to_leave() -> None:
    encoder = Encoder(names=("a", "b", "c"), codes=(FLAT, FLAT, FLAT))
    fitted = fit_guard(np.full((10, 3), 3.0), np.ones((10, 3)), encoder)
    assert fitted.reasons(np.full((1, 3), 99.0), encoder).tolist() == [""]


def test_training_rows_as_patchy_as_the_history_are_never_degraded() -> None:
    matrix, contributions = training(2000)
    rng = np.random.default_rng(1)
    matrix[rng.random(matrix.shape) < 0.6] = np.nan
    patchy = fit_guard(matrix, contributions, ENCODER)
    assert patchy.min_coverage < 0.6
    assert (patchy.reasons(matrix, ENCODER) != "").mean() <= 0.02


def test_a_batch_is_its_rows_one_by_one() -> None:
    matrix, _ = training(60)
    rng = np.random.default_rng(2)
    matrix[rng.random(matrix.shape) < 0.3] = np.nan
    matrix[:, :3] *= rng.choice([1, 5], (60, 3))
    together = guard().reasons(matrix, ENCODER).tolist()
    assert together == [guard().reasons(matrix[[i]], ENCODER)[0] for i in range(60)]
    assert {"", "LOW_COVERAGE", "OUT_OF_DISTRIBUTION"} <= {*together}


def test_a_guard_survives_json() -> None:
    assert Guard.from_dict(json.loads(json.dumps(guard().to_dict()))) == guard()
