from __future__ import annotations

from dataclasses import replace

import numpy as np

from propensity.bands import Bands, Promise
from propensity.reporting import Moves, moves_lines

PROMISE = Promise(rate=0.3, certified=True, observed=0.4, low=0.31, n_leads=100, n_converted=40)
BEFORE = Bands(
    sql=0.3,
    mql=0.1,
    policy="promise",
    sql_promise=PROMISE,
    mql_promise=PROMISE,
    sql_share=0.1,
    mql_share=0.2,
    leads_per_week=50.0,
)


def test_a_change_of_the_agreement_is_told_by_terms_volumes_and_who_moves() -> None:
    moves = Moves(
        terms=(("sql_precision", 0.3, 0.5), ("capacity_per_week", None, 9.0)),
        before=BEFORE,
        after=replace(BEFORE, sql=0.5, sql_share=0.05, sql_promise=replace(PROMISE, observed=0.55)),
        band_before=np.array(["SQL", "SQL", "MQL", "nurture"], dtype=object),
        band_after=np.array(["SQL", "MQL", "MQL", "MQL"], dtype=object),
    )
    assert moves.table().to_numpy().tolist() == [["SQL", 1, 1, 0], ["MQL", 0, 1, 0], ["nurture", 0, 1, 0]]
    assert moves_lines(moves) == [
        "Agreement  changed since the champion:",
        "             sql_precision: 0.3 -> 0.5",
        "             capacity_per_week: not set -> 9.0",
        "           SQL: 5.0 a week -> 2.5 a week; converting: 40.0% -> 55.0%",
        "           MQL: 10.0 a week -> 10.0 a week; of all conversions found with SQL: 40.0% -> 40.0%",
        "           of the newest 4 leads, 2 move:",
        "             from SQL: 1 to MQL",
        "             from nurture: 1 to MQL",
    ]
