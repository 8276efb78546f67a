from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from propensity.encoding import CategoryCode, Encoder, NumberCode
from propensity.learners import LINEAR, Blend, CategoryTerm, LinearModel, Recipe, Shifts
from propensity.learners.linear import NumberTerm

ENCODER = Encoder(
    names=("visits", "source"),
    codes=(NumberCode(low=0.0, high=9.0, typical=3.0), CategoryCode(levels=("fair", "web"))),
)
SHIFTS = Shifts(terms={1: CategoryTerm(values=(0.0, -0.5, 0.0), missing=0.2, mean=-0.1)})
LEADS = np.array([[1.0, 1.0], [4.0, 2.0], [4.0, 0.0], [np.nan, np.nan]])


def blend(shifts: Shifts | None) -> Blend:
    visits = NumberTerm(low=0.0, high=9.0, center=3.0, slope=0.3, missing=0.1, mean=0.05)
    linear = LinearModel(intercept=-1.0, terms=(visits, CategoryTerm(values=(0.0, 0.4, -0.4), missing=0.0, mean=0.02)))
    return Blend(recipe=Recipe(shares={LINEAR: 1.0}, n_trees={}), forests={}, linear=linear, shifts=shifts)


def test_a_corrected_segment_moves_by_its_shift_and_no_other_lead_does() -> None:
    moved = blend(SHIFTS).margin(LEADS) - blend(None).margin(LEADS)
    assert moved == pytest.approx([-0.5, 0.0, 0.0, 0.2], abs=1e-15)


def test_contributions_stay_exact_and_the_segment_s_column_answers_for_its_shift() -> None:
    _, parts, base = blend(SHIFTS).explain(LEADS)
    _, before, start = blend(None).explain(LEADS)
    np.testing.assert_allclose(parts.sum(axis=1) + base, blend(SHIFTS).margin(LEADS), rtol=0, atol=1e-15)
    np.testing.assert_array_equal(parts[:, 0], before[:, 0])
    # A shift is told against the average lead's, which is -0.1.
    assert parts[:, 1] - before[:, 1] == pytest.approx([-0.4, 0.1, 0.1, 0.3], abs=1e-15)
    assert base - start == pytest.approx(-0.1)


def test_one_lead_is_a_batch() -> None:
    together = SHIFTS.margin(LEADS)
    assert [SHIFTS.margin(LEADS[i : i + 1])[0] for i in range(4)] == together.tolist()


def test_shifts_survive_json() -> None:
    assert Shifts.from_dict(SHIFTS.to_dict()) == SHIFTS


@pytest.mark.parametrize(
    ("column", "changes"),
    [
        (0, {}),  # a number has no segments
        (7, {}),
        (-1, {}),
        (1, {"values": (0.0, 0.1)}),
        (1, {"values": (0.0, float("nan"), 0.0)}),
        (1, {"missing": float("inf")}),
    ],
)
def test_shifts_of_other_columns_or_no_numbers_do_not_fit(column: int, changes: dict[str, Any]) -> None:
    term = {"values": (0.0, -0.5, 0.0), "missing": 0.2, "mean": -0.1, **changes}
    assert SHIFTS.fits(ENCODER)
    assert not Shifts(terms={column: CategoryTerm(**term)}).fits(ENCODER)
