"""From score files and outcomes to what held."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.asof import DAY, microseconds
from propensity.config import Config, parse_config
from propensity.errors import InputError
from propensity.monitoring import Expected, Watch, read_outcomes, read_scored, watch
from propensity.plotting import plot_watch
from propensity.reporting import watch_json, watch_lines

PROMISED = Expected(sql_rate=0.5, mql_recall=0.9)
START = pd.Timestamp("2026-01-05", tz="UTC")


def config(**sections: Any) -> Config:
    given = {
        "data": {"leads": "leads.csv", "outcomes": "outcomes.csv"},
        "columns": {"id": "Lead", "date": "Created"},
        "labels": {"horizon_days": 30, "ingest_lag_days": 2},
    }
    return parse_config({**given, **sections})


def scores(bands: list[str], *, as_of: str = "2026-01-05", first: int = 0) -> pd.DataFrame:
    n = len(bands)
    frame = pd.DataFrame({"Lead": [f"L{first + i}" for i in range(n)], "as_of": as_of, "probability": "0.2"})
    return frame.assign(band=bands, band_raw=bands, scored_by="model", model_version="v1")


def won(*leads: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame([*leads], columns=["lead_id", "converted_at"])


def held(frames: dict[str, pd.DataFrame], outcomes: pd.DataFrame, *, day: int = 60, **options: Any) -> Watch:
    scored = read_scored(frames)
    end = int(microseconds(pd.Series([START]))[0]) + day * DAY
    return watch(scored, read_outcomes(outcomes, scored, config(), known_to=end), PROMISED, **options)


def test_a_win_within_the_horizon_keeps_the_promise_and_a_later_one_does_not() -> None:
    outcomes = won(("L0", "2026-01-20"), ("L1", "2026-02-04T00:00:00Z"), ("L2", "2026-02-03T23:59:59Z"))
    found = held({"a": scores(["SQL"] * 4)}, outcomes)
    assert (found.promises[0].n_leads, found.promises[0].n_converted) == (4, 2)


def test_what_is_not_known_yet_is_no_loss() -> None:
    young = held({"a": scores(["SQL"] * 3)}, won(("L0", "2026-01-06")), day=31)
    assert (young.promises[0].n_leads, young.promises[0].n_waiting, young.n_waiting) == (0, 3, 3)
    ripe = held({"a": scores(["SQL"] * 3)}, won(("L0", "2026-01-06")), day=32)
    assert (ripe.promises[0].n_leads, ripe.promises[0].n_converted) == (3, 1)


def test_wins_known_already_are_in_the_funnel_and_who_waits_is_told_of_both_promises() -> None:
    young = held({"a": scores(["SQL"] * 3)}, won(("L0", "2026-01-06"), ("L1", "2026-01-12")), day=3)
    assert young.funnel["won"].tolist() == [1]  # the other came after what is known
    assert [one.n_waiting for one in young.promises] == [3, 3]
    assert young.known_to.startswith("2026-01-07")  # the day that is over, not the midnight after it


def test_newer_outcomes_than_the_config_knows_count() -> None:
    scored = read_scored({"a": scores(["SQL"] * 2)})
    outcomes, early = won(("L0", "2026-01-06"), ("L1", "2026-03-30")), int(microseconds(pd.Series([START]))[0])
    assert np.isnan(read_outcomes(outcomes, scored, config(), known_to=early).y).all()
    assert read_outcomes(outcomes, scored, config(), known_to=early, is_said=False).y.tolist() == [1, 0]


def test_rows_that_promises_are_not_about_are_in_the_tables_alone() -> None:
    outcomes = won(("L0", "2026-01-20"))
    found = held({"a": scores(["SQL"] * 4)}, outcomes, promised=np.array([True, True, False, False]))
    assert found.promises[0].n_leads == 2
    assert found.bands.set_index("band").loc["SQL", "leads"] == 4


def test_scores_of_another_project_are_refused() -> None:
    scored = read_scored({"a": scores(["SQL"] * 2, first=500)})
    leads = pd.DataFrame({"Lead": ["L0", "L1"]})
    with pytest.raises(InputError, match="None of the 2 leads that were scored"):
        read_outcomes(won(("L0", "2026-01-20")), scored, config(), leads=leads)


def test_a_lead_counts_once_by_the_row_that_made_it_sql() -> None:
    frames = {
        "a": scores(["MQL", "SQL"]),
        "b": scores(["SQL", "SQL"], as_of="2026-01-12"),
    }
    # L0 was won 28 days after it became SQL, 35 after its first score.
    found = held(frames, won(("L0", "2026-02-09"), ("L1", "2026-01-06")))
    assert (found.promises[0].n_leads, found.promises[0].n_converted) == (2, 2)
    assert found.bands.loc[found.bands["band"] == "MQL", "converted"].to_list() == [0]
    assert len(found.promises[0].looks) == 2


def test_a_lead_that_had_converted_was_promised_nothing() -> None:
    found = held({"a": scores(["SQL", "SQL"])}, won(("L0", "2026-01-01"), ("L1", "2026-01-06")))
    assert (found.promises[0].n_leads, found.n_had) == (1, 1)


def test_recall_asks_where_customers_were_at_first() -> None:
    frames = {"a": scores(["SQL", "MQL", "nurture"]), "b": scores(["SQL"] * 3, as_of="2026-01-12")}
    found = held(frames, won(("L0", "2026-01-20"), ("L1", "2026-01-20"), ("L2", "2026-01-20")))
    assert (found.promises[1].n_leads, found.promises[1].n_converted) == (3, 2)


def test_rows_of_rules_are_told_apart_and_no_promise_is_about_them() -> None:
    rules = scores(["SQL"] * 3, first=10).assign(scored_by="rules")
    found = held({"a": scores(["SQL"]), "b": rules}, won(("L10", "2026-01-20")))
    assert found.promises[0].n_leads == 1
    assert found.rules.loc[found.rules["band"] == "SQL", ["leads", "converted"]].to_numpy().tolist() == [[3, 1]]


def test_small_sources_are_told_together_and_parts_add_up() -> None:
    bands = ["SQL"] * 12 + ["MQL"] * 30
    source = np.array(["fair"] * 3 + ["web"] * 35 + ["fax"] * 4, dtype=object)
    outcomes = won(*((f"L{i}", "2026-01-20") for i in range(0, 40, 4)))
    found = held({"a": scores(bands)}, outcomes, source=np.array([*source])[np.argsort([f"L{i}" for i in range(42)])])
    assert {*found.bands["source"]} == {"all", "web", "others"}
    parts = found.bands[found.bands["source"] != "all"].groupby("band")[["leads", "known", "converted"]].sum()
    whole = found.bands[found.bands["source"] == "all"].set_index("band")[["leads", "known", "converted"]]
    assert parts.loc[["SQL", "MQL"]].equals(whole.loc[["SQL", "MQL"]])
    assert found.funnel[["leads", "mql", "sql", "won"]].sum().to_list() == [42, 42, 12, 10]


def test_a_broken_promise_is_said_first_and_in_words() -> None:
    found = held({"a": scores(["SQL"] * 60)}, won(("L0", "2026-01-20")))
    assert found.alarms[0].startswith("the SQL promise counts as broken")
    lines = "\n".join(watch_lines(found, alarm=20.0))
    assert "50% promised; 1 of 60 whose outcome is known did, 1.7%" in lines
    assert "ALARM: the SQL promise counts as broken since 2026-01-05." in lines
    assert watch_json(found)["promises"][0]["alarmed_at"].startswith("2026-01-05")
    plot_watch(found)


def test_a_flat_project_tells_outcomes_by_its_target() -> None:
    flat = parse_config({"data": {"leads": "a.csv"}, "columns": {"id": "Lead", "target": "Won"}})
    scored = read_scored({"a": scores(["SQL"] * 3)})
    outcomes = pd.DataFrame({"Lead": ["L0", "L1", "L2", "new"], "Won": ["yes", "no", "", "no"]})
    with pytest.raises(InputError, match="say who converted and not when"):
        read_outcomes(outcomes, scored, flat)
    late = int(microseconds(pd.Series([START]))[0]) + 120 * DAY
    found = watch(scored, read_outcomes(outcomes, scored, flat, known_to=late), PROMISED)
    assert (found.promises[0].n_leads, found.promises[0].n_converted, found.promises[0].n_waiting) == (2, 1, 1)


@pytest.mark.parametrize(
    ("outcomes", "says"),
    [
        (won(("L0", "2026-01-20"), ("L0", "2026-01-20")), "Data row 2 of the outcomes repeats one above it"),
        (won(("L0", "2026-01-20"), ("X", "2026-01-20")), r"not scored: 1 \(data rows 2 of the outcomes\)"),
        (won(), "hold no row"),
        (won(("L0", "")), "No outcome has a time"),
    ],
)
def test_outcomes_that_are_none_are_refused_with_their_line(outcomes: pd.DataFrame, says: str) -> None:
    scored = read_scored({"a": scores(["SQL"])})
    with pytest.raises(InputError, match=says) as error:
        read_outcomes(outcomes, scored, config())
    assert "L0" not in str(error.value)


def test_an_outcome_of_a_lead_that_is_in_the_lead_table_is_passed_over() -> None:
    scored = read_scored({"a": scores(["SQL"])})
    leads = pd.DataFrame({"Lead": ["L0", "X"]})
    outcomes = won(("L0", "2026-01-20"), ("X", "2026-03-20"))
    assert read_outcomes(outcomes, scored, config(), leads=leads).y.tolist() == [1.0]


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (scores(["SQL"]).drop(columns="band_raw"), "columns band_raw are absent"),
        (scores([]), "it has no row"),
        (scores(["SQL"]).rename(columns={"Lead": "row"}), "by their row alone"),
        (scores(["SQL"]).assign(as_of=""), "does not say as of when"),
    ],
)
def test_files_that_hold_no_scores_are_refused(frame: pd.DataFrame, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_scored({"scores.csv": frame})
