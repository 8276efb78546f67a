from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.hysteresis import Held, hold, shown

SQL, MQL = 0.30, 0.10


def raw_of(probability: np.ndarray) -> np.ndarray:
    named = np.where(probability >= SQL, "SQL", np.where(probability >= MQL, "MQL", "nurture")).astype(object)
    return np.where(np.isnan(probability), "unscored", named).astype(object)


def nights(probabilities: list[float], *, margin: float = 0.35) -> list[str]:
    """The band of one lead, night after night."""
    held, bands = Held.nothing(1), []
    for one in probabilities:
        probability = np.array([one])
        raw = raw_of(probability)
        held = hold(raw, probability, held, sql=SQL, mql=MQL, margin=margin)
        bands.append(str(shown(raw, held)[0]))
    return bands


@pytest.mark.parametrize(
    ("probabilities", "bands"),
    [
        ([0.05, 0.31], ["nurture", "SQL"]),  # up at once, two bands in one night
        ([0.31, 0.25, 0.25, 0.25], ["SQL"] * 4),  # log-odds 0.25 below: within the margin
        ([0.31, 0.20, 0.20], ["SQL", "SQL", "MQL"]),  # 0.54 below, twice
        ([0.31, 0.20, 0.29, 0.20, 0.20], ["SQL", "SQL", "SQL", "SQL", "MQL"]),  # not twice in a row
        ([0.31, 0.01, 0.01], ["SQL", "SQL", "nurture"]),  # down to where it is
        ([0.31, 0.20, float("nan"), 0.20], ["SQL", "SQL", "unscored", "MQL"]),  # a night without a score says nothing
        ([0.30, 0.2999], ["SQL", "SQL"]),
        ([0.05, 0.01], ["nurture", "nurture"]),
    ],
)
def test_up_at_once_down_after_two_nights_beyond_the_margin(probabilities: list[float], bands: list[str]) -> None:
    assert nights(probabilities) == bands


def test_without_a_margin_two_nights_below_are_enough() -> None:
    assert nights([0.31, 0.29, 0.29], margin=0.0) == ["SQL", "SQL", "MQL"]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_a_held_band_is_never_below_the_raw_one(probabilities: list[float]) -> None:
    level = {"nurture": 0, "MQL": 1, "SQL": 2}
    raw = raw_of(np.array(probabilities))
    assert all(level[held] >= level[own] for held, own in zip(nights(probabilities), raw, strict=True))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12), st.randoms())
def test_the_order_of_leads_changes_nothing(probabilities: list[float], random: object) -> None:
    order = np.arange(len(probabilities))
    random.shuffle(order)  # type: ignore[attr-defined]
    probability = np.array(probabilities)
    state = hold(raw_of(probability[::-1]), probability[::-1], Held.nothing(len(order)), sql=SQL, mql=MQL, margin=0.3)
    one = hold(raw_of(probability), probability, state, sql=SQL, mql=MQL, margin=0.3)
    moved = hold(raw_of(probability[order]), probability[order], state.take(order), sql=SQL, mql=MQL, margin=0.3)
    assert moved.band.tolist() == one.band[order].tolist()
    assert moved.below.tolist() == one.below[order].tolist()


def test_a_lead_whose_call_does_not_pay_any_more_leaves_sql() -> None:
    held, high = Held(band=np.array(["SQL"], dtype=object), below=np.array([1])), np.array([0.5])
    assert hold(np.array(["MQL"], dtype=object), high, held, sql=SQL, mql=MQL, margin=0.35).band.tolist() == ["MQL"]
