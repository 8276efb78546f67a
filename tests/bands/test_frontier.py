from __future__ import annotations

import json

import numpy as np
import pytest

from propensity.bands import Deal, Frontier, trace_frontier


def trace(n: int = 400, *, seed: int = 0, **options: object) -> tuple[Frontier, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probability = rng.beta(1, 5, n).round(4)
    y = (rng.random(n) < probability).astype(float)
    given = {"sql": 0.4, "mql": 0.1, "leads_per_week": 50.0, "delta": 0.05} | options
    return trace_frontier(probability, y, **given), probability, y  # type: ignore[arg-type]


def test_every_line_counts_the_leads_at_or_above_its_threshold() -> None:
    frontier, probability, y = trace()
    for line in frontier.table().to_dict("records"):
        inside = probability >= line["threshold"]
        assert line["share"] == pytest.approx(inside.mean())
        assert line["volume"] == pytest.approx(50 * inside.mean())
        assert line["recall"] == pytest.approx(y[inside].sum() / y.sum())
        if inside.any():
            assert line["precision"] == pytest.approx(y[inside].mean())
            assert line["lift"] == pytest.approx(y[inside].mean() / y.mean())
            assert line["low"] <= line["precision"] <= line["high"]


def test_the_agreed_points_are_lines_of_it() -> None:
    frontier, _, _ = trace()
    table = frontier.table()
    assert table.loc[table["threshold"] == 0.4, "agreed"].to_list() == ["SQL"]
    assert table.loc[table["threshold"] == 0.1, "agreed"].to_list() == ["MQL"]
    assert (table["agreed"] != "").sum() == 2


def test_without_dates_volumes_are_of_a_thousand_leads() -> None:
    frontier, probability, _ = trace(leads_per_week=None)
    assert frontier.per == "1,000 leads"
    lowest = frontier.table().iloc[0]
    assert lowest["volume"] == pytest.approx(1000 * (probability >= lowest["threshold"]).mean())


def test_one_more_rep_finds_what_the_next_best_leads_would_bring() -> None:
    frontier, probability, _ = trace(leads_per_rep=5.0)
    table = frontier.table()
    ranked = np.sort(probability)[::-1]
    line = table[table["agreed"] == "SQL"].iloc[0]
    n_now, n_more = round(line["share"] * 400), 400 * 5 // 50
    expected = ranked[n_now : n_now + n_more].sum() * 50 / 400
    assert line["next_rep"] == pytest.approx(expected, rel=0.05)
    assert table["next_rep"].iloc[0] == pytest.approx(0.0)  # there is nobody left to call


def test_profit_is_what_wins_bring_less_what_calls_cost() -> None:
    frontier, probability, y = trace(deal=Deal(cost=2.0, value=10.0))
    table = frontier.table()
    for line in table.to_dict("records"):
        inside = probability >= line["threshold"]
        assert line["profit"] == pytest.approx(50 / 400 * (10 * y[inside].sum() - 2 * inside.sum()))
    best = table["profit"].max()
    assert table.loc[table["near_best"], "profit"].min() >= 0.98 * best
    assert table.loc[~table["near_best"], "profit"].max() < 0.98 * best


def test_a_lead_whose_call_does_not_pay_is_on_no_line() -> None:
    probability, y = np.array([0.5, 0.5]), np.array([1.0, 0.0])
    frontier = trace_frontier(
        probability,
        y,
        sql=0.5,
        mql=0.5,
        leads_per_week=None,
        delta=0.05,
        deal=Deal(cost=5.0, value=0.0, column="size"),
        value=np.array([100.0, 1.0]),
    )
    line = frontier.table().iloc[0]
    assert (line["share"], line["precision"], line["profit"]) == (0.5, 1.0, 1000 / 2 * 95)


def test_a_lead_seen_twice_is_counted_once() -> None:
    probability, y, leads = np.array([0.2, 0.6, 0.6]), np.array([0.0, 1.0, 0.0]), np.array([1, 1, 2])
    frontier = trace_frontier(probability, y, sql=0.6, mql=0.2, leads_per_week=None, delta=0.05, leads=leads)
    assert frontier.n_all == 2
    assert frontier.n_leads == (2, 2)


def test_no_threshold_finds_more_than_all_whichever_row_a_lead_converts_on() -> None:
    found = trace_frontier(
        np.array([0.2, 0.6, 0.7, 0.1]),
        np.array([0.0, 1.0, 1.0, 0.0]),
        leads=np.array([1, 1, 2, 3]),
        sql=0.6,
        mql=0.2,
        leads_per_week=8.0,
        delta=0.05,
    )
    table = found.table()
    assert (found.n_all, found.n_all_converted) == (3, 2)
    assert table["recall"][table["threshold"] == 0.6].to_list() == [1]
    assert table["recall"].max() <= 1


def test_a_frontier_survives_json() -> None:
    frontier, _, _ = trace(deal=Deal(cost=2.0, value=10.0))
    assert Frontier.from_dict(json.loads(json.dumps(frontier.to_dict()))) == frontier
