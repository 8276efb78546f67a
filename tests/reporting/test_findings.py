from __future__ import annotations

import json
from typing import Any

import pytest

from propensity.quality import Flaw
from propensity.reporting import audit_json, audit_lines
from propensity.reporting.findings import flaw_lines, leak_lines
from propensity.training import Audit


def entry(column: str, verdict: str, *, evidence: str = "", price: dict[str, float] | None = None) -> dict[str, Any]:
    return {"column": column, "role": "fit", "verdict": verdict, "evidence": evidence, "price": price}


LEAK = entry("Call length", "QUARANTINE", evidence="too sure", price={"auc_with": 0.951, "auc_without": 0.8})
DOUBT = entry("Score", "REVIEW", evidence="carries the model")
FINE = entry("Industry", "OK")
FLAWS = tuple(
    Flaw(code="SPELLING", column=f"c{i}", n_rows=n, sentence=f"{n} rows are odd") for i, n in enumerate([5, 90, 7])
)


def test_a_leak_is_worded_with_its_evidence_its_price_and_the_way_back() -> None:
    first, way = leak_lines([FINE, LEAK])
    assert first == "QUARANTINE 'Call length': too sure; with it AUC 0.95, without 0.80"
    assert '"Call length" = "static"' in way


def test_what_is_to_be_looked_at_is_worded_after_what_was_left_out() -> None:
    lines = leak_lines([DOUBT, LEAK])
    assert [line.split("'")[0].strip() for line in lines[:2]] == ["QUARANTINE", "REVIEW"]
    assert '"Score" = "outcome"' in lines[-1]


def test_without_a_finding_nothing_is_said() -> None:
    assert leak_lines([FINE, entry("Notes", "UNUSED")]) == []


@pytest.mark.parametrize(("most", "shown"), [(3, ["c0", "c1", "c2"]), (1, ["c1"])])
def test_the_flaws_of_most_rows_are_shown_in_the_order_of_the_file(most: int, shown: list[str]) -> None:
    lines = flaw_lines(FLAWS, most=most)
    assert [line.split("'")[1] for line in lines if "'" in line] == shown
    assert (lines[-1] == "  - and 2 more: propensity audit") == (most == 1)


def test_an_audit_counts_every_verdict_and_words_each_problem_once_before_the_rest() -> None:
    lines = audit_lines(Audit(entries=(FINE, entry("Notes", "UNUSED", evidence="ignored"), DOUBT, LEAK), flaws=FLAWS))
    assert [line.split(" columns")[0].split() for line in lines[:4]] == [
        ["QUARANTINE", "1"],
        ["REVIEW", "1"],
        ["UNUSED", "1"],
        ["OK", "1"],
    ]
    assert lines[lines.index("Columns") + 1 :] == [
        "  UNUSED  fit          'Notes': ignored",
        "  OK      fit          'Industry'",
    ]
    assert sum("too sure" in line for line in lines) == 1
    assert sum("rows are odd" in line for line in lines) == 3


def test_an_audit_says_what_was_not_used_and_how_files_were_read() -> None:
    lines = audit_lines(Audit(entries=(FINE,), flaws=(), dropped={"events_twice": 1234}, said=("One was odd.",)))
    at = lines.index("Rows and records")
    assert lines[at + 1 : at + 3] == ["  - not used: events twice 1,234", "  - One was odd."]


def test_many_columns_of_one_kind_are_counted_not_named() -> None:
    lines = audit_lines(Audit(entries=tuple(entry(f"c{i}", "OK") for i in range(13)), flaws=()))
    assert lines[-1] == "  OK      fit          13 columns (all of them: --json)"


def test_an_audit_without_leaks_says_so() -> None:
    assert audit_lines(Audit(entries=(FINE,), flaws=()))[0] == "No feature looks as if it knew the future."


def test_the_json_of_an_audit_holds_entries_and_flaws() -> None:
    values = json.loads(json.dumps(audit_json(Audit(entries=(LEAK,), flaws=FLAWS[:1]))))
    assert values["audit"][0]["price"] == {"auc_with": 0.951, "auc_without": 0.8}
    assert values["flaws"] == [{"code": "SPELLING", "column": "c0", "n_rows": 5, "sentence": "5 rows are odd"}]
