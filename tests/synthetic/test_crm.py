from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from propensity.synthetic import Crm, invent_crm

DAY = pd.Timedelta(days=1)


@pytest.fixture(scope="module")
def crm() -> Crm:
    return invent_crm(seed=2, n_leads=6000)


def stamps(column: pd.Series) -> pd.Series:
    return pd.to_datetime(column, utc=True)


def open_leads(crm: Crm) -> pd.Series:
    return crm.leads["Lead ID"][~crm.leads["Lead ID"].isin(crm.outcomes["lead_id"])]


def test_the_same_world_from_the_same_seed() -> None:
    first, again, other = (invent_crm(seed=seed, n_leads=80, n_days=100) for seed in (1, 1, 2))
    for name in ("leads", "events", "outcomes", "field_history"):
        pd.testing.assert_frame_equal(getattr(first, name), getattr(again, name))
    assert not first.events.equals(other.events)


@pytest.mark.parametrize("days_back", [90, 200, 330])
def test_the_true_probability_comes_true_at_every_level(crm: Crm, days_back: int) -> None:
    at = crm.end - days_back * DAY
    lead = open_leads(crm.until(at))
    p = crm.true_probability(lead, pd.Series([at] * len(lead)), horizon_days=90)
    sold = stamps(crm.outcomes["converted_at"])
    buyers = crm.outcomes["lead_id"][(sold >= at) & (sold < at + 90 * DAY)]
    y = lead.isin(buyers).to_numpy(dtype=float)
    for part in np.array_split(np.argsort(p, kind="stable"), 5):
        z = (y[part].sum() - p[part].sum()) / np.sqrt((p[part] * (1 - p[part])).sum())
        assert abs(z) < 4


def test_truth_at_a_cutoff_hangs_on_what_was_recorded_before_it_alone(crm: Crm) -> None:
    at = crm.end - 200 * DAY
    lead = open_leads(crm.until(at)).iloc[:200]
    cutoff = pd.Series([at] * len(lead))
    now, then = (world.true_probability(lead, cutoff, horizon_days=90) for world in (crm, crm.until(at)))
    np.testing.assert_array_equal(now, then)


def test_an_export_knows_nothing_of_its_future(crm: Crm) -> None:
    at = crm.end - 100 * DAY
    then = crm.until(at)
    assert (stamps(then.leads["Created"]) < at).all()
    assert (stamps(then.events["recorded_at"]) < at).all()
    assert (stamps(then.outcomes["converted_at"]) < at).all()
    assert (stamps(then.field_history["valid_from"]) < at).all()
    assert len(then.leads) < len(crm.leads)


def test_records_come_late_and_large_companies_decide_late(crm: Crm) -> None:
    late = (stamps(crm.events["recorded_at"]) - stamps(crm.events["occurred_at"])).dt.total_seconds() / 86400
    webinar = crm.events["event_type"] == "webinar attended"
    assert (late >= 0).all()
    assert late[webinar].mean() > 2
    assert late[~webinar].mean() < 0.2
    sold = crm.outcomes.merge(crm.leads, left_on="lead_id", right_on="Lead ID")
    asked = crm.events[crm.events["event_type"] == "demo request"].groupby("lead_id")["occurred_at"].min()
    sold["days"] = (stamps(sold["converted_at"]) - stamps(sold["lead_id"].map(asked))).dt.total_seconds() / 86400
    is_large = sold["Company size"].isin(["201-500", "501-1,000", "1,001-5,000", "10,000+"])
    assert sold.loc[is_large, "days"].median() > sold.loc[~is_large, "days"].median()


def test_what_sales_fill_in_later_has_a_history_that_says_when(crm: Crm) -> None:
    sold = crm.leads["Lead ID"].isin(crm.outcomes["lead_id"])
    filled = crm.leads["Annual revenue"] != ""
    assert filled[sold].mean() > 0.8
    assert filled[~sold].mean() < 0.2
    assert {*crm.field_history["lead_id"]} == {*crm.leads.loc[sold & filled, "Lead ID"]}


def test_a_leak_is_there_on_request_alone() -> None:
    plain, leaking = (invent_crm(n_leads=400, leak=leak) for leak in (False, True))
    assert "Call score" not in plain.leads
    sold = leaking.leads["Lead ID"].isin(leaking.outcomes["lead_id"])
    assert leaking.leads.loc[sold, "Call score"].mean() > leaking.leads.loc[~sold, "Call score"].mean() + 1
