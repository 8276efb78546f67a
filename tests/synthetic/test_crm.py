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


def test_nothing_that_is_known_at_a_cutoff_says_more_than_the_true_probability(crm: Crm) -> None:
    at = crm.end - 90 * DAY
    then = crm.until(at)
    leads = then.leads[~then.leads["Lead ID"].isin(then.outcomes["lead_id"])]
    p = crm.true_probability(leads["Lead ID"], pd.Series([at] * len(leads)), horizon_days=90)
    y = leads["Lead ID"].isin(crm.outcomes["lead_id"]).to_numpy(dtype=float)
    recent = then.events[stamps(then.events["occurred_at"]) >= at - 30 * DAY]
    known = {name: leads[name].astype(str) for name in ("Lead source", "Company size", "Lead status", "Annual revenue")}
    known["month"] = leads["Created"].str[:7]
    for kind in ("demo request", "sales call", "webinar attended", "unsubscribed"):
        known[kind] = leads["Lead ID"].isin(recent.loc[recent["event_type"] == kind, "lead_id"]).astype(str)
    for column in known.values():
        for value in column.unique():
            part = (column == value).to_numpy()
            # Sixty groups, four standard errors each: one world in 260 fails by chance.
            assert abs(y[part].sum() - p[part].sum()) < 4 * np.sqrt((p[part] * (1 - p[part])).sum()) + 1


def test_one_in_ten_to_one_in_five_leads_buy_within_three_months_and_more_of_the_newer(crm: Crm) -> None:
    first_midnight = stamps(crm.leads["Created"]).dt.ceil("D")
    p = crm.true_probability(crm.leads["Lead ID"], first_midnight, horizon_days=90)
    third = np.array_split(p, 3)
    assert 0.1 < third[0].mean() < third[2].mean() - 0.01 < 0.2
    at = crm.end - 90 * DAY
    lead = open_leads(crm.until(at))
    assert 0.1 < crm.true_probability(lead, pd.Series([at] * len(lead)), horizon_days=90).mean() < 0.2


@pytest.mark.parametrize("days_back", [3, 100, 333])
def test_an_export_at_an_earlier_day_is_what_the_tables_knew_by_then(crm: Crm, days_back: int) -> None:
    at = crm.end - days_back * DAY
    then = crm.until(at)
    known_at = {"events": "recorded_at", "outcomes": "converted_at", "field_history": "valid_from"}
    for name, column in known_at.items():
        now = getattr(crm, name)
        expected = now[stamps(now[column]) < at].reset_index(drop=True)
        pd.testing.assert_frame_equal(getattr(then, name), expected)
    leads = crm.leads[stamps(crm.leads["Created"]) < at].reset_index(drop=True)
    assert 0 < len(leads) < len(crm.leads)
    changing = ["Annual revenue", "Number of page visits", "Last activity date", "Lead status"]
    changing += [str(name) for name in leads if str(name).startswith("Date entered")]
    pd.testing.assert_frame_equal(then.leads.drop(columns=changing), leads.drop(columns=changing))
    # Today's values, taken back to that day by the history.
    for field in ("Annual revenue", "Lead status"):
        changes = crm.field_history[crm.field_history["field"] == field]
        is_later = stamps(changes["valid_from"]) >= at
        undone = changes[is_later].groupby("lead_id")["old_value"].first()
        was = leads["Lead ID"].map(undone).fillna(leads[field])
        assert then.leads[field].tolist() == was.tolist()


def test_stages_follow_from_what_leads_were_known_to_do_and_end_with_the_purchase(crm: Crm) -> None:
    history = crm.field_history[crm.field_history["field"] == "Lead status"]
    order = {"Lead": 0, "MQL": 1, "SQL": 2, "Customer": 3}
    assert (history["old_value"].map(order) < history["value"].map(order)).all()
    for stage in ("MQL", "SQL", "Customer"):
        entered = history[history["value"] == stage].set_index("lead_id")["valid_from"]
        column = crm.leads.set_index("Lead ID")[f'Date entered "{stage}"']
        assert column[column != ""].to_dict() == entered.str[:10].to_dict()
    sold = history[history["value"] == "Customer"].set_index("lead_id")["valid_from"]
    assert sold.to_dict() == crm.outcomes.set_index("lead_id")["converted_at"].to_dict()
    asked = crm.events[crm.events["event_type"] == "demo request"].groupby("lead_id")["recorded_at"].min()
    sql = history[history["value"] == "SQL"].set_index("lead_id")["valid_from"]
    assert (stamps(sql) == stamps(sql.index.to_series().map(asked)) + 2 * DAY).all()
    last = history.groupby("lead_id")["value"].last().reindex(crm.leads["Lead ID"]).fillna("Lead")
    assert last.tolist() == crm.leads["Lead status"].tolist()


def test_sales_leave_some_busy_leads_alone(crm: Crm) -> None:
    many = crm.events["lead_id"].value_counts()
    busy = many.index[many >= 40]
    called = busy.isin(crm.events.loc[crm.events["event_type"] == "sales call", "lead_id"])
    assert 0.1 < 1 - called.mean() < 0.4


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
    assert filled[~sold].mean() < 0.15
    later = crm.field_history[crm.field_history["field"] == "Annual revenue"]
    assert (later["old_value"] == "").all()
    when = later.set_index("lead_id")["valid_from"]
    assert when.to_dict() == crm.outcomes.set_index("lead_id")["converted_at"].reindex(when.index).to_dict()
    # One form in ten asks for it, of buyers and others alike.
    from_start = filled & ~crm.leads["Lead ID"].isin(later["lead_id"])
    assert abs(from_start[sold].mean() - from_start[~sold].mean()) < 0.04


def test_a_leak_is_there_on_request_alone() -> None:
    plain, leaking = (invent_crm(n_leads=400, leak=leak) for leak in (False, True))
    assert "Call score" not in plain.leads
    sold = leaking.leads["Lead ID"].isin(leaking.outcomes["lead_id"])
    assert leaking.leads.loc[sold, "Call score"].mean() > leaking.leads.loc[~sold, "Call score"].mean() + 1
