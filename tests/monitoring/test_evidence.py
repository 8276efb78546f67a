from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.monitoring import ALARM, e_process, watch_promise, watch_volume


def test_a_promise_that_is_just_kept_hardly_ever_alarms_and_a_broken_one_soon_does() -> None:
    rng = np.random.default_rng(0)
    cried, delays = 0, []
    for _ in range(300):
        cried += bool((e_process((rng.random(1000) < 0.3).astype(float), 0.3) >= ALARM).any())
        seen = np.flatnonzero(e_process((rng.random(1000) < 0.2).astype(float), 0.3) >= ALARM)
        delays.append(seen[0] + 1 if len(seen) else 1000)
    assert cried <= 25  # 5 % of 300, and what chance adds
    assert np.median(delays) <= 200


def test_the_fortune_is_a_fair_game_at_the_promised_rate() -> None:
    # All outcomes of three leads, each with its chance: the mean fortune is what was put in.
    rate = 0.3
    total = 0.0
    for bits in range(8):
        y = np.array([bits >> i & 1 for i in range(3)], dtype=float)
        chance = np.prod(np.where(y == 1, rate, 1 - rate))
        total += chance * e_process(y, rate)[-1]
    assert total == pytest.approx(1.0, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=40), st.randoms())
def test_within_a_look_no_order_matters(leads: list[tuple[int, int]], random: object) -> None:
    shuffled = [*leads]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = (
        watch_promise("SQL", np.array([y for _, y in part], dtype=float), np.array([at for at, _ in part]), rate=0.4)
        for part in (leads, shuffled)
    )
    assert one == other
    assert len(one.evidence) == len({at for at, _ in leads})


def test_an_alarm_stays_an_alarm() -> None:
    y = np.concatenate([np.zeros(60), np.ones(200)])
    watched = watch_promise("SQL", y, np.arange(260) // 20, rate=0.4)
    assert watched.alarmed_at == "0" or float(watched.alarmed_at) <= 2
    assert watched.evidence[-1] < ALARM


def test_nobody_known_is_no_evidence() -> None:
    watched = watch_promise("SQL", np.empty(0), np.empty(0, dtype=int), rate=0.4, n_waiting=7)
    assert (watched.looks, watched.evidence, watched.alarmed_at, watched.n_waiting) == ((), (), "", 7)


def test_steady_volumes_do_not_alarm_and_inflated_ones_do() -> None:
    rng = np.random.default_rng(1)
    cried = 0
    for _ in range(100):
        steady = [(str(week), 200, int(rng.binomial(200, 0.1))) for week in range(26)]
        cried += any(one.is_alarm for one in watch_volume(steady, band="SQL"))
    assert cried <= 5
    grown = [(str(week), 400, 40 + 10 * week) for week in range(12)]
    assert any(one.is_alarm for one in watch_volume(grown, band="SQL"))
    assert not watch_volume(grown, band="SQL")[0].is_alarm
