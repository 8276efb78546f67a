"""What two thresholds bring, by hand on eight leads."""

from __future__ import annotations

import numpy as np
import pytest

from propensity.bands import Deal, trace_frontier
from propensity.reporting.explorer import Explorer

PROBABILITY = np.array([0.1, 0.1, 0.2, 0.3, 0.5, 0.6, 0.8, 0.9])
CONVERTED = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0])


def explorer(**more: object) -> Explorer:
    given = {"sql": 0.6, "mql": 0.2, "leads_per_week": 16.0, "delta": 0.05} | more
    return Explorer(frontier=trace_frontier(PROBABILITY, CONVERTED, **given))  # type: ignore[arg-type]


def line(found: Explorer, threshold: float) -> int:
    return found.frontier.thresholds.index(threshold)


def test_volumes_are_those_of_a_week_and_bands_share_out_all_leads() -> None:
    found = explorer()
    for sql in range(len(found.frontier.thresholds)):
        for mql in range(sql + 1):
            brings = found.at(sql, mql)
            assert sum(brings[band]["volume"] for band in ("SQL", "MQL", "nurture")) == pytest.approx(16.0)


def test_a_choice_counts_what_lies_above_each_threshold() -> None:
    found = explorer()
    brings = found.at(line(found, 0.8), line(found, 0.3))
    assert brings["SQL"] == pytest.approx(
        {"volume": 4.0, "conversions": 4.0, "precision": 1.0, "low": 0.05**0.5, "high": 1.0}
    )
    assert brings["MQL"] == pytest.approx({"volume": 6.0, "conversions": 4.0, "precision": 2 / 3})
    assert brings["both"] == pytest.approx({"recall": 1.0, "low": 0.05**0.25, "high": 1.0})


def test_who_moves_is_counted_once_whichever_threshold_moved() -> None:
    found = explorer()
    assert found.agreed() == (line(found, 0.6), line(found, 0.2))
    assert found.at(*found.agreed())["moved"]["volume"] == 0.0
    assert found.at(line(found, 0.8), line(found, 0.2))["moved"]["volume"] == 2.0  # the lead at 0.6
    # 0.2 and 0.3 go from MQL to nurture, 0.6 from SQL to MQL.
    assert found.at(line(found, 0.8), line(found, 0.5))["moved"]["volume"] == 6.0


def test_what_is_asked_for_finds_its_threshold() -> None:
    found = explorer()
    assert found.within(6.0) == line(found, 0.6)
    assert found.within(5.9) == line(found, 0.8)
    assert found.within(0.1) == len(found.frontier.thresholds) - 1
    assert found.certified(0.3) == line(found, 0.3)  # 4 of 5 are surely more than 0.34
    assert found.certified(0.99) is None
    assert found.dearest(value=10.0, cost=1.0) == line(found, 0.3)
    assert found.dearest(value=10.0, cost=6.0) == line(found, 0.6)
    assert found.profit(line(found, 0.6), value=10.0, cost=6.0) == pytest.approx(2 * (30 - 18))


def test_an_empty_band_starts_at_the_last_line() -> None:
    assert explorer(sql=2.0).agreed()[0] == len(explorer(sql=2.0).frontier.thresholds) - 1


def test_its_data_is_what_the_page_needs() -> None:
    found = explorer(deal=Deal(cost=1.0, value=5.0))
    data = found.data()
    assert data["leads"] == [*found.frontier.n_leads]
    assert (data["scale"], data["n_all"], data["sql"]) == (2.0, 8, line(found, 0.6))
    assert {len(data[name]) for name in ("threshold", "converted", "precision", "recall_low")} == {
        len(found.frontier.thresholds)
    }
