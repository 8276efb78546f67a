from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity import leakage, metrics
from propensity.leakage import (
    ColumnAudit,
    Evidence,
    Verdict,
    audit_columns,
    compare_as_of,
    compare_open,
    judge,
)
from propensity.roles import words_of
from propensity.roles.hindsight import strong_word
from propensity.schema import Column, Schema

N = 1200

# Standard fields of HubSpot, Salesforce, Dynamics, Pipedrive and Marketo that are known when a lead comes in. Frozen:
# the audit answers to this list, the list does not answer to the audit.
KNOWN_AT_CREATION = """
Industry|Number of Employees|Annual Revenue|Lead Source|Country|State/Province|City|Postal Code|Time Zone
Preferred Language
Job Title|Salutation|Department|Seniority|Job Function|Company Name|Company Domain|Website|Company Type|SIC Code
NAICS Code|Ownership|Ticker Symbol|Year Founded|Description|Email Domain|Free Email Domain|Has Phone
First Name|Last Name
Original Source|Original Source Drill-Down 1|Original Source Drill-Down 2|First Page Seen
First Referring Site|UTM Source|UTM Medium|UTM Campaign|UTM Term|UTM Content
GCLID Present|First Touch Campaign|Acquisition Program
Original Search Engine|Original Search Phrase|Original Referrer|Landing Page|Form Name|Inbound Channel|Referral Partner
Record Type|Lead Currency|Created By|Created Month|Created Weekday|Created Hour|Import Batch|Lead Type|Product Interest
Budget Range|Purchase Timeframe|Purchase Process|Decision Maker|Buying Role|Need|Use Case|Team Size|Current Solution
Number of Locations|Primary Competitor Used|Technologies Used|CRM In Use|Total Money Raised|Funding Round|Is Public
Facebook Fans|Twitter Followers|LinkedIn Connections|Inferred Company|Inferred Country|Inferred State Region
Inferred City|Inferred Phone Area Code|Anonymous IP|Browser|Device Type|Operating System|Screen Size|Do Not Call
Do Not Email|Email Opt Out|Preferred Contact Method|GDPR Legal Basis|Consent Given|Newsletter Signup|Age|Gender
Marital Status|Education|Account Number of Contacts|Parent Company|Territory|Region|Campaign Member Type|Order Currency
Customer Profile Type|Event Attended At Signup|Spoken Languages|Company Score Band
"""
FIELDS = [name for line in KNOWN_AT_CREATION.split("\n") for name in line.split("|") if name]


def audit(columns: Mapping[str, Any], y: np.ndarray, **settings: Any) -> dict[str, ColumnAudit]:
    """Audit columns as a file of single leads would have them; floats are numbers, all else is text."""
    read = pd.DataFrame(columns)
    kinds = tuple(
        Column(name=str(name), family="fit", kind="number" if read[name].dtype.kind == "f" else "category")
        for name in read
    )
    plain: dict[str, Any] = {"groups": np.arange(len(y)), "declared": {}, "from_events": (), "seed": 0}
    schema = Schema(columns=kinds, id=None, missing=())
    return {found.column: found for found in audit_columns(read, y, schema=schema, **(plain | settings))}


def codes(found: ColumnAudit) -> set[str]:
    return {evidence.code for evidence in found.evidence}


def texts(values: Any) -> pd.Series:
    return pd.Series(values, dtype=object)


def world(rate: float = 0.3, *, n: int = N, seed: int = 0) -> tuple[dict[str, Any], np.ndarray, np.random.Generator]:
    """Leads whose interest and industry make them convert, and two columns of noise."""
    rng = np.random.default_rng(seed)
    interest, industry = rng.normal(size=n), rng.choice(["Retail", "Health", "Steel"], n)
    wish = interest + (industry == "Steel") + rng.logistic(size=n)
    y = (wish > np.quantile(wish, 1 - rate)).astype(float)
    columns = {
        "Interest": interest + rng.normal(size=n) / 2,
        "Industry": texts(industry),
        "Size": np.exp(rng.normal(size=n)),
        "Region": texts(rng.choice(["north", "south"], n)),
    }
    return columns, y, rng


def noise(n_rows: int, names: Sequence[str], *, seed: int) -> dict[str, Any]:
    """Noise of many kinds: numbers, amounts with many zeros, few and many levels, nearly full and nearly empty."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    for i, name in enumerate(names):
        values = (
            pd.Series(rng.normal(size=n_rows)),
            pd.Series(np.where(rng.random(n_rows) < 0.7, 0.0, rng.exponential(size=n_rows))),
            texts(rng.choice(["a", "b", "c"], n_rows)),
            texts([f"v{k}" for k in rng.integers(0, n_rows // 8, n_rows)]),
        )[i % 4]
        columns[name] = values.where(rng.random(n_rows) < rng.choice([1.0, 0.9, 0.4, 0.06]))
    return columns


def plant(kind: str, y: np.ndarray, rng: np.random.Generator) -> Any:
    """Give a column written after the outcome was known."""
    won, chance = y == 1, rng.random(len(y))
    planted: dict[str, Any] = {
        "exact copy": texts(np.where(won, "ja", "nein")),
        "copy with 5 % noise": np.where(chance < 0.05, 1 - y, y),
        "filled only if won": np.where(won & (chance < 0.5), rng.exponential(9, len(y)), np.nan),
        "mutable status": texts(np.where(won & (chance < 0.6), "welcomed", rng.choice(["new", "open"], len(y)))),
        "like a duration": rng.gamma(2, np.where(won, 280, 90)),
    }
    return planted[kind]


# Names by which nobody would suspect them, but for the duration, which CRMs call by its name.
PLANTED = {
    "exact copy": "Segment B",
    "copy with 5 % noise": "flag_7",
    "filled only if won": "Package",
    "mutable status": "Queue",
    "like a duration": "Call duration",
}


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize("kind", PLANTED)
def test_a_column_written_after_the_outcome_is_quarantined(kind: str, rate: float) -> None:
    columns, y, rng = world(rate)
    found = audit({**columns, PLANTED[kind]: plant(kind, y, rng)}, y)
    assert {name for name, one in found.items() if one.verdict != "OK"} == {PLANTED[kind]}
    assert found[PLANTED[kind]].verdict == "QUARANTINE"
    price = found[PLANTED[kind]].price
    assert price is not None
    assert price.with_auc > price.without_auc + 0.02


def test_a_perfect_leak_does_not_hide_the_others() -> None:
    columns, y, rng = world()
    planted = {name: plant(kind, y, rng) for kind, name in PLANTED.items()}
    found = audit({**columns, **planted}, y)
    assert {name for name, one in found.items() if one.verdict == "QUARANTINE"} == {*planted}


def test_a_leak_known_only_by_what_it_does_to_the_model_falls_in_a_later_round() -> None:
    columns, y, _ = world(0.2, n=3000)
    # Alone it ranks no better than a legitimate column can.
    late = np.random.default_rng(1).normal(np.where(y == 1, 1.3, 0.0))
    found = audit({**columns, "Segment B": plant("exact copy", y, np.random.default_rng(2)), "Talk score": late}, y)
    assert (found["Segment B"].round, found["Talk score"].round) == (1, 2)
    assert codes(found["Talk score"]) == {"WEAK", "DOM"}


@pytest.mark.parametrize(("n_rows", "rate"), [(448, 0.5), (448, 0.01), (1000, 0.85)])
def test_columns_of_noise_are_not_quarantined(n_rows: int, rate: float) -> None:
    flagged = 0
    for seed in range(2):
        y = (np.random.default_rng(100 + seed).random(n_rows) < rate).astype(float)
        found = audit(noise(n_rows, [f"c{i}" for i in range(40)], seed=seed), y)
        flagged += sum(one.verdict != "OK" for one in found.values())
    assert flagged <= 1  # of 80


def test_names_known_at_creation_are_no_proof() -> None:
    assert len(FIELDS) >= 100
    assert [name for name in FIELDS if strong_word(words_of(name))] == []


def test_fields_known_at_creation_are_kept_when_they_say_nothing() -> None:
    y = (np.random.default_rng(7).random(900) < 0.2).astype(float)
    found = audit(noise(900, FIELDS, seed=7), y)
    assert sum(one.verdict == "QUARANTINE" for one in found.values()) <= len(FIELDS) // 100
    assert sum("WEAK" in codes(one) for one in found.values()) >= 5  # the names that make one look are among them


@pytest.mark.parametrize("buys_after_demo", [0.2, 0.35, 0.6])
def test_a_strong_wish_to_buy_is_not_quarantined_by_statistics(buys_after_demo: float) -> None:
    columns, _, rng = world(n=3000)
    demo = rng.random(3000) < 0.15
    y = (rng.random(3000) < np.where(demo, buys_after_demo, 0.05)).astype(float)
    found = audit({**columns, "Demo requested": texts(np.where(demo, "yes", "no"))}, y)
    assert found["Demo requested"].verdict != "QUARANTINE"
    counted = audit({**columns, "Demo requests": demo * rng.integers(1, 4, 3000).astype(float)}, y)
    assert counted["Demo requests"].verdict != "QUARANTINE"


def test_what_is_made_of_events_is_safe_by_construction() -> None:
    columns, y, _ = world()
    found = audit({**columns, "last demo count 90d": y.copy()}, y, from_events={"last demo count 90d"})
    assert found["last demo count 90d"].verdict == "OK"
    assert found["last demo count 90d"].evidence == ()


def test_a_declared_column_is_never_quarantined_and_its_name_asks_nothing() -> None:
    columns, y, _ = world()
    columns |= {"Lead owner": texts(np.where(np.arange(N) % 3, "ann", "bob")), "Segment B": y.copy()}
    assert {n for n, one in audit(columns, y).items() if one.verdict == "QUARANTINE"} == {"Lead owner", "Segment B"}
    found = audit(columns, y, declared={"lead OWNER": "static", "Segment B": "event"})
    assert (found["Lead owner"].verdict, found["Segment B"].verdict) == ("OK", "REVIEW")


def test_a_column_declared_to_be_an_outcome_is_quarantined_and_priced() -> None:
    columns, y, _ = world()
    found = audit(columns, y, declared={"Interest": "outcome"})["Interest"]
    assert (found.verdict, codes(found), found.round) == ("QUARANTINE", {"DECLARED"}, 1)
    assert found.price is not None
    assert found.price.sentence.startswith("with it AUC 0.")


@pytest.mark.parametrize(("held", "verdict"), [(26, "REVIEW"), (40, "QUARANTINE")])
def test_an_implication_without_exception_asks_and_proves_when_it_holds_a_tenth(held: int, verdict: Verdict) -> None:
    y = np.repeat([1.0, 0.0], [300, 900])
    rng = np.random.default_rng(0)
    amounts = np.where(np.arange(1200) < held, rng.exponential(9, 1200), 0.0)  # zero is its common value
    found = audit({"Package": amounts, "noise": rng.normal(size=1200)}, y)["Package"]
    assert found.verdict == verdict
    (implied,) = [evidence for evidence in found.evidence if evidence.code == "IMPL"]
    assert implied.value == pytest.approx(held / 300)
    assert implied.n_leads == held


def test_what_chance_brings_in_a_wide_file_is_no_implication() -> None:
    """Half of all leads convert: 25 do together once in 33 million looks."""
    y = np.repeat([1.0, 0.0], [500, 500])
    values = texts(["gold" if i < 25 else f"v{i % 7}" for i in range(1000)])
    rows, read = leakage._canonical(pd.DataFrame({"Tier": values}), y, np.arange(1000), None, seed=0)
    look = leakage._look(read["Tier"], Column(name="Tier", family="fit", kind="category"), rows)
    assert leakage._implies(look, rows, n_columns=1000) is not None  # 42,000 looks
    assert leakage._implies(look, rows, n_columns=100_000) is None


def test_what_chance_brings_in_a_wide_file_is_no_ranking() -> None:
    """Three conversions on top of 30 leads: by chance once in 4,060 columns."""
    y = np.repeat([1.0, 0.0], [3, 27])
    rows, read = leakage._canonical(pd.DataFrame({"Size": 30.0 - np.arange(30)}), y, np.arange(30), None, seed=0)
    look = replace(leakage._look(read["Size"], Column(name="Size", family="fit", kind="number"), rows), auc=1.0)
    assert leakage._ranks(look, rows, n_columns=3) is not None
    assert leakage._ranks(look, rows, n_columns=100) is None


def test_one_model_beats_another_by_more_than_its_leads_differ() -> None:
    y = np.repeat([1.0, 0.0], 30)
    rows, read = leakage._canonical(pd.DataFrame({"Size": np.arange(60.0)}), y, np.arange(60), None, seed=0)
    schema = Schema(columns=(Column(name="Size", family="fit", kind="number"),), id=None, missing=())
    models = leakage._Models(read=read, rows=rows, schema=schema, seed=0)
    less = leakage._Fit(auc=0.5, place=np.full(60, 0.5), gain=np.zeros(1))
    # Half of the leads are placed better by 0.3, the other half worse by 0.2 (and by 0.3 for all).
    mixed = replace(less, place=0.5 + np.where(np.arange(60) % 2, 0.3, -0.2))
    assert not models.is_better(mixed, less, n_looks=8)
    assert models.is_better(replace(less, place=np.full(60, 0.8)), less, n_looks=8)
    assert not models.is_better(less, mixed, n_looks=8)


def test_weak_names_of_noise_in_small_files_are_kept() -> None:
    columns, y, _ = world(0.3, n=120)
    found = audit({**columns, **noise(120, [f"Deal {sign}" for sign in "abcdefgh"], seed=0)}, y)
    assert {one.verdict for one in found.values()} == {"OK"}


def test_an_implication_needs_25_leads_and_twice_the_base_rate() -> None:
    rng = np.random.default_rng(0)
    sparse = np.where(np.arange(1200) < 24, rng.exponential(9, 1200), np.nan)
    assert audit({"Package": sparse}, np.repeat([1.0, 0.0], [300, 900]))["Package"].evidence == ()
    more = np.where(np.arange(1200) < 29, rng.exponential(9, 1200), np.nan)
    found = audit({"Package": more}, np.repeat([1.0, 0.0], [700, 500]))["Package"]
    assert (found.verdict, codes(found)) == ("REVIEW", {"FILLED"})
    most = audit({"Package": more}, np.repeat([1.0, 0.0], [1000, 200]))["Package"]
    assert most.evidence == ()


@pytest.mark.parametrize(("n_level", "is_pure"), [(43, False), (44, True)])
def test_a_level_is_pure_when_its_rate_is_surely_90_percent(n_level: int, is_pure: bool) -> None:
    """All of n converted: the exact 99 % lower bound is 0.01 ** (1 / n), above 0.90 from 44 on."""
    y = np.repeat([1.0, 0.0], [400, 400])
    levels = np.where(np.arange(800) < n_level, "gold", np.where(np.arange(800) % 2, "tin", "zinc"))
    assert ("PURE" in codes(audit({"Tier": texts(levels)}, y)["Tier"])) == is_pure


def test_where_most_leads_convert_a_level_of_much_conversion_is_nothing() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(3000) < 0.93).astype(float)
    assert audit({"Tier": texts(rng.choice(["gold", "tin"], 3000))}, y)["Tier"].verdict == "OK"


def test_cells_filled_for_converted_leads_need_enough_of_them() -> None:
    few = np.repeat([1.0, 0.0], [4, 40])
    is_filled = np.r_[np.ones(4), np.arange(40) % 2]
    assert audit({"Plan": np.where(is_filled, 1.5, np.nan)}, few)["Plan"].verdict == "OK"
    assert codes(audit({"Plan": np.where(np.tile(is_filled, 9), 1.5, np.nan)}, np.tile(few, 9))["Plan"]) == {"NA"}


def test_cells_filled_for_lost_leads_alone_are_a_hint() -> None:
    y = np.repeat([1.0, 0.0], [500, 500])
    reason = texts(["price" if i >= 900 else None for i in range(1000)])
    found = audit({"Obstacle": reason, "noise": np.random.default_rng(0).normal(size=1000)}, y)["Obstacle"]
    assert (found.verdict, codes(found)) == ("REVIEW", {"FILLED"})


def test_two_hints_of_different_kinds_prove_and_the_zeros_of_a_count_are_none() -> None:
    columns, y, rng = world(0.15, n=4000)
    spent = rng.random(4000) < np.where(y == 1, 0.85, 0.1)
    amounts = np.where(spent, np.exp(rng.normal(np.where(y == 1, 3.4, 2.6), 1)), 0.0)
    found = audit({**columns, "Basket": amounts}, y)["Basket"]
    assert (found.verdict, codes(found)) == ("QUARANTINE", {"ZERO", "DOM"})
    assert "ZERO" not in codes(audit({**columns, "Baskets": np.ceil(amounts)}, y)["Baskets"])


def test_a_leak_known_twice_is_caught_in_both_forms() -> None:
    columns, y, rng = world(0.2, n=4000)
    seconds = rng.normal(np.where(y == 1, 600, 300), 220)
    found = audit({**columns, "Call duration": seconds, "Call duration in minutes": np.round(seconds / 60, 1)}, y)
    assert [one.verdict for one in found.values()][-2:] == ["QUARANTINE"] * 2
    assert "'Call duration', which say the same" in found["Call duration in minutes"].evidence[-1].sentence


def test_rows_of_one_account_are_one_witness() -> None:
    y = np.repeat([1.0, 0.0], [300, 900])
    tier = texts(np.where(np.arange(1200) < 60, "gold", np.where(np.arange(1200) % 2, "tin", "zinc")))
    alone = audit({"Tier": tier}, y)["Tier"]
    assert codes(alone) == {"PURE", "IMPL"}
    account = np.where(np.arange(1200) < 60, 0, np.arange(1200))
    assert audit({"Tier": tier}, y, groups=account)["Tier"].verdict == "OK"


def test_rows_that_weigh_nothing_say_nothing() -> None:
    columns, y, _ = world()
    flag = y.copy()
    flag[::2] = np.random.default_rng(0).integers(0, 2, len(flag[::2]))
    weight = np.tile([0.0, 1.0], N // 2)
    assert "EQUAL" in codes(audit({**columns, "Segment B": flag}, y, weight=weight)["Segment B"])
    assert "EQUAL" not in codes(audit({**columns, "Segment B": flag}, y)["Segment B"])


def test_the_order_of_rows_changes_nothing() -> None:
    columns, y, rng = world(n=700)
    columns |= {"Call duration": plant("like a duration", y, rng), "Queue": plant("mutable status", y, rng)}
    groups, weight = rng.integers(0, 400, 700), rng.random(700)
    order = rng.permutation(700)
    moved = {name: pd.Series(values).iloc[order].reset_index(drop=True) for name, values in columns.items()}
    again = audit(moved, y[order], groups=groups[order], weight=weight[order])
    assert str(again) == str(audit(columns, y, groups=groups, weight=weight))


def test_no_level_that_few_leads_share_is_shown() -> None:
    y = np.repeat([1.0, 0.0], [400, 900])
    names = [f"person{i // 5}" if i < 400 else "everyone" for i in range(1300)]
    found = audit({"Contact": texts(names)}, y)["Contact"]
    assert found.verdict == "QUARANTINE"
    assert "person" not in " ".join(evidence.sentence for evidence in found.evidence)


@pytest.mark.parametrize(
    "y", [np.zeros(80), np.ones(80), np.empty(0)], ids=["none converted", "all converted", "no rows"]
)
def test_without_both_outcomes_names_are_all_there_is(y: np.ndarray) -> None:
    columns = {
        "Lead owner": texts(["ann"] * len(y)),
        "Deal size": np.arange(len(y), dtype=float),
        "x": texts([None] * len(y)),
    }
    found = audit(columns, y)
    assert [one.verdict for one in found.values()] == ["QUARANTINE", "OK", "OK"]
    assert all(one.price is None for one in found.values())


def test_odd_files_have_defined_results() -> None:
    y = np.zeros(120)
    y[:2] = 1.0  # fewer than the folds
    columns = {
        "empty": np.full(120, np.nan),
        "constant": np.ones(120),
        "ids": texts([f"v{i}" for i in range(120)]),
        "huge": np.where(y == 1, 1e30, -1e30),
    }
    found = audit(columns, y)
    assert found["empty"].verdict == found["constant"].verdict == found["ids"].verdict == "OK"
    assert audit(columns, y, weight=np.zeros(120))["huge"].verdict == "OK"


def test_many_levels_and_many_columns_are_looked_through() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(400) < 0.3).astype(float)
    columns: dict[str, Any] = {f"c{i}": rng.normal(size=400) for i in range(200)}
    columns["late"] = np.where(rng.random(400) < 0.03, 1 - y, y)
    found = audit(columns, y)
    assert [name for name, one in found.items() if one.verdict != "OK"] == ["late"]
    many = (rng.random(20_000) < 0.3).astype(float)
    levels = texts([f"v{i}" for i in rng.integers(0, 15_000, 20_000)])
    assert audit({"Company": levels}, many)["Company"].verdict == "OK"


def test_a_column_alone_is_ranked_as_the_metric_ranks() -> None:
    columns, y, _ = world()
    copy = np.where(np.random.default_rng(0).random(N) < 0.04, 1 - y, y)
    (told,) = [e for e in audit({**columns, "flag": copy}, y)["flag"].evidence if e.code == "AUC1"]
    assert told.value == pytest.approx(metrics.auc(y, copy), abs=0.003)  # the mean of five folds


@pytest.mark.parametrize(
    ("found", "is_declared", "verdict"),
    [
        ([], False, "OK"),
        (["STRONG"], False, "QUARANTINE"),
        (["STRONG"], True, "OK"),
        (["WEAK"], False, "OK"),
        (["DOM"], False, "REVIEW"),
        (["WEAK", "DOM"], False, "QUARANTINE"),
        (["WEAK", "DOM"], True, "REVIEW"),
        (["ZERO", "DOM"], False, "QUARANTINE"),
        (["AUC1"], True, "REVIEW"),
    ],
)
def test_evidence_is_weighed(found: list[str], is_declared: bool, verdict: Verdict) -> None:
    alone: dict[str, Verdict] = {
        "STRONG": "QUARANTINE",
        "AUC1": "QUARANTINE",
        "WEAK": "OK",
        "DOM": "REVIEW",
        "ZERO": "REVIEW",
    }
    evidence = [Evidence(code=code, calls_for=alone[code], value=1.0, n_leads=100, sentence="") for code in found]
    assert judge(evidence, is_declared=is_declared) == verdict


def test_a_field_that_ranks_better_as_exported_than_as_known_was_written_later() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(N) < 0.3).astype(float)
    then = rng.normal(y)
    column = Column(name="Engagement", family="fit", kind="number")
    told = compare_as_of(pd.Series(then + y), pd.Series(then), y, column=column, groups=np.arange(N), seed=0)
    assert told is not None
    assert told.calls_for == "QUARANTINE"
    assert 0.05 < told.value < 0.25
    assert compare_as_of(pd.Series(then), pd.Series(then), y, column=column, groups=np.arange(N), seed=0) is None
    found = audit({"Engagement": then}, y, beside={"Engagement": [told]})["Engagement"]
    assert (found.verdict, codes(found)) == ("QUARANTINE", {"ASOF"})


def test_a_field_written_again_after_a_fifth_of_the_conversions_was_written_later() -> None:
    y = np.repeat([1.0, 0.0], [100, 200])
    level = texts(np.where(np.arange(300) % 2, "a", "b"))
    column = Column(name="Tier", family="fit", kind="category")

    def told(n: int) -> Evidence | None:
        after = np.arange(300) < n
        return compare_as_of(level, level, y, column=column, groups=np.arange(300), seed=0, is_changed_after=after)

    assert told(19) is None
    found = told(20)
    assert found is not None
    assert found.sentence == "it was written again after 20% of 100 conversions"


def test_a_field_filled_when_the_outcome_is_known_is_asked_about_and_quarantined() -> None:
    is_open = np.repeat([False, True], [400, 200])

    def told(done: float, still: float, age: np.ndarray | None = None) -> Evidence | None:
        share = np.where(is_open, still, done)
        within = np.where(is_open, np.arange(600) - 400, np.arange(600)) / np.where(is_open, 200, 400)
        return compare_open(within < share, is_open, age=age)

    assert told(0.5, 0.25) is None
    asked, proved = told(0.6, 0.2), told(0.9, 0.2)
    assert asked is not None
    assert (asked.calls_for, round(asked.value, 6)) == ("REVIEW", 0.4)
    assert proved is not None
    assert proved.calls_for == "QUARANTINE"


def test_open_leads_are_held_against_leads_of_their_own_age() -> None:
    """Old leads are filled, young ones are not; open leads are young. Nothing was written after the outcome."""
    age = np.r_[np.repeat([0, 9], [50, 350]), np.repeat([0, 9], [190, 10])]
    is_open = np.repeat([False, True], [400, 200])
    assert compare_open(age == 9, is_open) is not None
    assert compare_open(age == 9, is_open, age=age) is None
    assert compare_open(age == 9, is_open, age=np.where(is_open, 1, 2)) is None  # no age that both have
    assert compare_open(np.ones(3, dtype=bool), np.zeros(3, dtype=bool)) is None


def test_four_open_leads_prove_nothing() -> None:
    is_open = np.arange(8) >= 4
    assert compare_open(np.isin(np.arange(8), [0, 1]), is_open) is None
