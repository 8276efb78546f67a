from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd

from propensity.bands import Bands, Deal, Promise

KEPT = Promise(rate=0.3, certified=True, observed=0.4, low=0.31, n_leads=100, n_converted=40)
BANDS = Bands(
    sql=0.1,
    mql=0.05,
    policy="profit",
    sql_promise=KEPT,
    mql_promise=KEPT,
    sql_share=0.1,
    mql_share=0.2,
    leads_per_week=None,
    deal=Deal(cost=20.0, value=50.0, column="Deal size"),
)


def test_a_lead_is_sql_only_where_its_call_pays() -> None:
    leads = pd.DataFrame({"deal size": ["1,000", "100", "", "n.a.", "1000"]})
    band = BANDS.assign(np.array([0.1, 0.1, 0.1, 0.4, 0.02]), leads=leads)
    # 0.1 of 1,000 pays for 20, of 100 not; the common 50 pays from 0.4 on.
    assert band.tolist() == ["SQL", "MQL", "MQL", "SQL", "nurture"]


def test_without_the_column_every_lead_brings_the_common_value() -> None:
    leads = pd.DataFrame({"other": ["1", "2"]})
    assert BANDS.assign(np.array([0.39, 0.4]), leads=leads).tolist() == ["MQL", "SQL"]
    assert BANDS.assign(np.array([0.39, 0.4])).tolist() == ["MQL", "SQL"]


def test_a_negative_value_is_no_value() -> None:
    assert BANDS.deal is not None
    assert BANDS.deal.values(pd.DataFrame({"Deal size": [-5.0, 0.0, 7.0]})).tolist() == [50.0, 0.0, 7.0]  # type: ignore[union-attr]


def test_bands_of_older_bundles_have_neither_deal_nor_upper_bounds() -> None:
    old = json.loads(json.dumps(replace(BANDS, deal=None).to_dict()))
    del old["deal"]
    for promise in ("sql_promise", "mql_promise"):
        del old[promise]["high"], old[promise]["certifiable"]
    assert Bands.from_dict(old) == replace(BANDS, deal=None)
    assert Bands.from_dict(json.loads(json.dumps(BANDS.to_dict()))) == BANDS


def test_values_are_read_with_the_columns_own_mark_and_words() -> None:
    leads = pd.DataFrame({"Size": ["1.200,50", "unknown", "", "2.500"]})
    deal = Deal(cost=1.0, value=7.0, column="size", missing=("", "unknown"), decimal=",")
    values = deal.values(leads)
    assert values is not None
    assert values.tolist() == [1200.5, 7.0, 7.0, 2500.0]
