from __future__ import annotations

import pytest

from propensity.leakage import Evidence, Verdict, judge


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
