from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from propensity.asof import NEVER, Conversions, read_conversions, to_stamps
from propensity.config import LabelsConfig
from propensity.labels import LabelledRows, make_examples

DAY = 24 * 3600 * 1_000_000
END = 100 * DAY


def won(*pairs: tuple[int, float]) -> Conversions:
    ordered = sorted(pairs)
    return Conversions(
        key=np.array([lead for lead, _ in ordered], dtype=int),
        at=np.array([int(day * DAY) for _, day in ordered], dtype=np.int64),
        notes={},
    )


def rows(created: list[float], conversions: Conversions, **choices: Any) -> LabelledRows:
    settings = {"horizon_days": 14, "ingest_lag_days": 0, "max_snapshots_per_lead": 100}
    labels = LabelsConfig(**{**settings, **choices.pop("labels", {})})
    at = np.array([NEVER if np.isnan(day) else int(day * DAY) for day in created])
    names = np.array([f"lead {i}" for i in range(len(created))], dtype=object)
    return make_examples(at, conversions, labels, extracted_at=END, names=names, **choices)


def days(found: LabelledRows, lead: int = 0) -> list[float]:
    return [float(at) / DAY for at in found.cutoff[found.lead == lead]]


def test_cutoffs_are_weekly_back_from_the_end_of_the_data_and_matured() -> None:
    # 100 - 2 weeks is the last that matured; the lead is looked at from its creation on, that instant included.
    found = rows([58.0], won())
    assert days(found) == [58.0, 65.0, 72.0, 79.0, 86.0]
    assert found.y.tolist() == [0.0] * 5


def test_the_label_window_holds_its_cutoff_and_not_its_end() -> None:
    assert rows([72.0], won((0, 86.0))).y.tolist() == [0.0, 1.0, 1.0]
    assert rows([72.0], won((0, 86.0 - 1e-6))).y.tolist() == [1.0, 1.0]


def test_an_early_conversion_of_an_immature_row_is_dropped_too() -> None:
    found = rows([90.0], won((0, 94.0)))  # seen on day 93, which matures on day 107
    assert len(found.lead) == 0
    assert found.dropped["immature"] == 1


def test_the_ingest_lag_delays_maturity() -> None:
    assert days(rows([72.0], won(), labels={"ingest_lag_days": 1})) == [72.0, 79.0]


def test_a_lead_is_not_looked_at_after_it_converted_unless_leads_convert_again() -> None:
    assert days(rows([58.0], won((0, 70.0)))) == [58.0, 65.0]
    again = rows([58.0], won((0, 70.0), (0, 85.0)), labels={"repeat": True})
    assert days(again) == [58.0, 65.0, 72.0, 79.0, 86.0]
    assert again.y.tolist() == [1.0, 1.0, 1.0, 1.0, 0.0]


def test_a_lead_that_converts_before_anybody_would_have_scored_it_is_counted() -> None:
    found = rows([59.0, 30.0], won((0, 60.0), (1, 20.0)))
    assert len(found.lead) == 0
    assert found.dropped == {"converted_before_creation": 1, "converted_before_first_cutoff": 1}


def test_snapshots_of_one_lead_weigh_one_and_the_first_is_always_kept() -> None:
    found = rows([2.0, 72.0], won(), labels={"max_snapshots_per_lead": 4})
    assert np.bincount(found.lead).tolist() == [4, 3]
    assert days(found)[0] == 2.0
    assert np.bincount(found.lead, weights=found.weight).tolist() == [1.0, 1.0]


def test_closed_as_lost_ends_the_looking_and_is_an_outcome_by_contract_only() -> None:
    closed = np.array([93 * DAY, NEVER])
    plain = rows([87.0, 72.0], won(), closed_lost_at=closed)
    assert {*plain.lead} == {1}
    final = rows([87.0, 72.0], won(), closed_lost_at=closed, labels={"closed_lost_is_final": True})
    assert days(final, 0) == [93.0]
    assert final.y.sum() == 0


def test_leads_that_reopen_make_closed_as_lost_no_outcome() -> None:
    closed = np.array([60 * DAY, 93 * DAY])
    found = rows([58.0, 87.0], won((0, 90.0)), closed_lost_at=closed, labels={"closed_lost_is_final": True})
    assert found.dropped["reopened"] == 1
    assert {*found.lead} == {0}


def test_chosen_cutoffs_are_kept_as_they_are_but_for_those_nobody_could_answer() -> None:
    chosen = (np.array([0, 0, 0, 0]), np.array([5, 20, 70, 95]) * DAY)
    found = rows([10.0], won((0, 75.0)), chosen=chosen)
    assert days(found) == [20.0, 70.0]
    assert (found.y.tolist(), found.weight.tolist()) == ([0.0, 1.0], [1.0, 1.0])
    assert found.dropped == {"cutoff_before_creation": 1, "converted_or_closed_before_cutoff": 1}


def test_a_chosen_cutoff_may_be_the_instant_of_creation_or_of_the_sale_itself() -> None:
    chosen = (np.array([0, 0]), np.array([10, 20]) * DAY)
    found = rows([10.0], won((0, 20.0)), chosen=chosen)
    assert days(found) == [10.0, 20.0]
    assert found.y.tolist() == [1.0, 1.0]


def test_the_ingest_lag_delays_the_maturity_of_chosen_cutoffs_too() -> None:
    chosen = (np.array([0, 0]), np.array([85, 86]) * DAY)
    found = rows([10.0], won(), chosen=chosen, labels={"ingest_lag_days": 1})
    assert days(found) == [85.0]
    assert found.dropped == {"immature": 1}


def test_a_lead_closed_within_the_ingest_lag_teaches_nothing_yet() -> None:
    """It may have been reopened and won since, and nobody would know; an instant earlier it counts as lost."""
    closed = np.array([96 * DAY, 96 * DAY - 1])
    labels = {"closed_lost_is_final": True, "ingest_lag_days": 4}
    assert {*rows([93.0, 93.0], won(), closed_lost_at=closed, labels=labels).lead} == {1}


def test_a_sale_of_the_instant_of_closing_reopens_nothing() -> None:
    found = rows([58.0], won((0, 60.0)), closed_lost_at=np.array([60 * DAY]))
    assert "reopened" not in found.dropped
    assert rows([58.0], won((0, 60.0 + 1e-6)), closed_lost_at=np.array([60 * DAY])).dropped["reopened"] == 1


def test_a_lead_without_a_creation_date_has_no_calendar() -> None:
    found = rows([float("nan"), 72.0], won())
    assert {*found.lead} == {1}
    assert found.dropped["created_missing"] == 1


@given(
    created=st.lists(st.floats(0, 99), min_size=1, max_size=8),
    sold=st.lists(st.tuples(st.integers(0, 7), st.floats(0, 100)), max_size=8),
    repeat=st.booleans(),
    most=st.integers(1, 5),
)
def test_laws_of_examples(created: list[float], sold: list[tuple[int, float]], repeat: bool, most: int) -> None:
    pairs = [(lead, day) for lead, day in sold if lead < len(created)]
    found = rows(created, won(*pairs), labels={"repeat": repeat, "max_snapshots_per_lead": most})
    born = np.array([int(day * DAY) for day in created])
    assert (found.cutoff >= born[found.lead]).all()
    assert (found.cutoff + 14 * DAY <= END).all()
    assert ((END - found.cutoff) % (7 * DAY) == 0).all()
    for lead, cutoff, y in zip(found.lead, found.cutoff, found.y, strict=True):
        mine = [int(day * DAY) for who, day in pairs if who == lead]
        assert y == any(cutoff <= at < cutoff + 14 * DAY for at in mine)
        assert repeat or not any(at < cutoff for at in mine)
    counts = np.bincount(found.lead, minlength=len(created))
    assert counts.max(initial=0) <= most
    assert (np.bincount(found.lead, weights=found.weight) <= 1 + 1e-9).all()


@given(created=st.lists(st.floats(0, 90), min_size=1, max_size=8), at=st.floats(0, 100), most=st.integers(1, 5))
def test_which_snapshots_are_kept_and_what_they_weigh_does_not_hang_on_what_the_lead_did_later(
    created: list[float], at: float, most: int
) -> None:
    """Else leads about to convert would count more than their like, and every probability be too high."""
    calm, sold = (
        rows(created, conversions, labels={"max_snapshots_per_lead": most}) for conversions in (won(), won((0, at)))
    )
    is_there = int(at * DAY) >= int(created[0] * DAY)  # a lead that converted before it was made is no lead
    stays = (calm.lead != 0) | (is_there & (calm.cutoff <= int(at * DAY)))
    for name in ("lead", "cutoff", "weight"):
        np.testing.assert_array_equal(getattr(calm, name)[stays], getattr(sold, name))


def test_which_snapshots_are_kept_does_not_hang_on_the_order_of_leads() -> None:
    names = np.array(["a", "b", "c"], dtype=object)
    labels = LabelsConfig(horizon_days=7, max_snapshots_per_lead=3)
    born = np.array([1, 8, 15]) * DAY
    one = make_examples(born, won(), labels, extracted_at=END, names=names)
    back = make_examples(born[::-1], won(), labels, extracted_at=END, names=names[::-1])
    assert {(names[lead], at) for lead, at in zip(one.lead, one.cutoff, strict=True)} == {
        (names[::-1][lead], at) for lead, at in zip(back.lead, back.cutoff, strict=True)
    }


def test_no_row_after_the_day_of_a_sale_is_called_a_row_before_it() -> None:
    """A sale of 15 January, no time said: on the 15th at midnight it was to come, on the 16th it had come."""
    sales = pd.DataFrame({"lead_id": ["a"], "converted_at": ["2026-01-15"]})
    won = read_conversions(
        sales, key="lead_id", converted_at="converted_at", keys=pd.Index(["a"]), timezone="UTC", missing={"*": []}
    )
    born, end = (int(pd.Timestamp(day).value // 1000) for day in ("2026-01-01", "2026-03-01"))
    labels = LabelsConfig(horizon_days=7, ingest_lag_days=0, snapshot_every_days=1, max_snapshots_per_lead=100)
    rows = make_examples(np.array([born]), won, labels, extracted_at=end, names=np.array(["a"]))
    assert str(to_stamps(rows.cutoff[-1:])[0].date()) == "2026-01-15"
    assert rows.y[-1] == 1
