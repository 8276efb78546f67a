from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from propensity.config import RulesConfig
from propensity.roles import Given, guess_roles, propose_rules
from propensity.roles.points import propose_event_rules

N_LEADS = 200
MISSING: Mapping[str, tuple[str, ...]] = {"*": ("", "select", "unknown")}
YES_NO = ("Yes", "No")


def level(*levels: str) -> np.ndarray:
    return np.random.default_rng(len(levels[0])).choice(levels, N_LEADS)


def count() -> np.ndarray:
    return np.random.default_rng(0).poisson(3, N_LEADS)


def proposed(columns: Mapping[str, object]) -> list[dict[str, Any]]:
    frame = pd.DataFrame(columns)
    return propose_rules(frame, guess_roles(frame, Given(), missing=MISSING), missing=MISSING)


def test_a_points_sheet_is_proposed_from_names_and_values() -> None:
    columns = {
        "Demo requested": level(*YES_NO),
        "Pricing page visits": count(),
        "Job title": level("Chief of staff", "Clerk", "VP Sales"),
        "Lead source": level("Referral", "Paid ads"),
        "Employees": np.arange(N_LEADS),
        "Unsubscribed": level(*YES_NO),
        "Lead status": level("Open", "Closed"),
        "Country": level("Slovenia", "Austria"),
    }
    sheet = {line["column"]: (line["op"], line["value"], line["points"]) for line in proposed(columns)}
    assert sheet == {
        "Demo requested": ("==", "yes", 30),
        "Pricing page visits": (">=", 1, 15),
        "Job title": ("in", ["chief of staff", "vp sales"], 15),
        "Lead source": ("in", ["referral"], 10),
        "Employees": (">=", 149.25, 10),  # the upper quartile of 0 to 199
        "Unsubscribed": ("==", "yes", -20),
    }


def test_no_outcome_is_looked_at_for_the_sheet() -> None:
    columns = {"Demo requested": level(*YES_NO), "Pages": count(), "Converted": level("1", "0")}
    assert proposed(columns) == proposed({**columns, "Converted": columns["Converted"][::-1]})


def test_rules_of_long_names_that_begin_alike_have_names_of_their_own() -> None:
    lines = proposed({f"{'visits ' * 70}{i}": count() for i in range(3)})
    sheet = RulesConfig.model_validate({"points": lines, "groups": {"behaviour": {"family": "behaviour"}}})
    assert len({rule.name for rule in sheet.points}) == 3


def test_days_since_a_visit_score_for_the_recent_not_for_the_cold() -> None:
    (line,) = proposed({"Days since visit": range(N_LEADS)})
    assert (line["op"], line["points"] > 0) == ("<=", True)


def test_a_title_of_one_person_is_no_rule() -> None:
    titles = [f"director of project {i}" for i in range(N_LEADS)]
    assert proposed({"Job title": titles, "Visits": count()}) == proposed({"Visits": count()})


def test_events_score_by_what_their_name_says_and_silence_by_none() -> None:
    lines = propose_event_rules(["demo request", "email opened", "unsubscribed"], days=30)
    assert [(line["column"], line["points"]) for line in lines] == [
        ("demo request count 30d", 30),
        ("unsubscribed count 30d", -20),
    ]
