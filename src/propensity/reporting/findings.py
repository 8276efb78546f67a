"""The only place that words what the audit found: columns that know the future, what leaving them out costs, flaws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from propensity.reporting.settings import toml_value

if TYPE_CHECKING:
    from propensity.quality import Flaw
    from propensity.training import Audit

# More than this belongs into the audit's own output.
MAX_FLAWS = 5


def leak_lines(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Word the columns that were left out because they know the future, and those a person must look at.

    Parameters
    ----------
    entries : sequence of mapping
        As training gives them, one a column.

    Examples
    --------
    >>> price = {"auc_with": 0.95, "auc_without": 0.8}
    >>> told = {"column": "calls", "verdict": "QUARANTINE", "evidence": "its name says so", "price": price}
    >>> leak_lines([told])[0]
    "Left out   'calls': its name says so; with it AUC 0.95, without 0.80"
    """
    from propensity.leakage import Price  # imported here: `init` words no leak and needs no learner

    lines, ways = [], []
    for verdict, title, otherwise, availability in (
        ("QUARANTINE", "Left out", "Known before the outcome all the same?", "static"),
        ("REVIEW", "Look at", "Used. Not known before the outcome?", "outcome"),
    ):
        found = [entry for entry in entries if entry["verdict"] == verdict]
        for entry in found:
            price = entry["price"] and Price(
                with_auc=entry["price"]["auc_with"], without_auc=entry["price"]["auc_without"]
            )
            worth = f"; {price.sentence}" if price else ""
            lines.append(f"{title:11}{entry['column'][:60]!r}: {entry['evidence']}{worth}")
        if found:
            line = f"{toml_value(found[0]['column'])} = {toml_value(availability)}"
            ways.append(f"           {otherwise} Under [availability]: {line}")
    return lines + ways


def flaw_lines(flaws: Sequence[Flaw], *, most: int = MAX_FLAWS) -> list[str]:
    """Word what else a person may want to mend, the findings that touch most rows first."""
    first = sorted(flaws, key=lambda flaw: (-flaw.n_rows, flaw.column or "", flaw.code))
    shown = [flaw for flaw in flaws if flaw in first[:most]]
    lines = [f"  - {f'{flaw.column[:60]!r}: ' if flaw.column else ''}{flaw.sentence}" for flaw in shown]
    if len(flaws) > most:
        lines.append(f"  - and {len(flaws) - most} more: propensity audit")
    return lines


def audit_lines(audit: Audit) -> list[str]:
    """Word an audit for people: what must be looked at first, then every column."""
    leaks = leak_lines(audit.entries)
    lines = leaks or ["No column looks as if it knew the future."]
    if audit.flaws:
        lines += ["", "Worth mending", *flaw_lines(audit.flaws, most=len(audit.flaws))]
    width = min(max((len(entry["column"]) for entry in audit.entries), default=0), 40)
    lines += ["", "Columns"]
    for entry in audit.entries:
        # What leaks is said above.
        said = "" if entry["verdict"] in {"QUARANTINE", "REVIEW"} else entry["evidence"]
        lines.append(f"  {entry['column'][:40]:{width}}  {entry['verdict']:10}  {entry['role']:12} {said}".rstrip())
    return lines


def audit_json(audit: Audit) -> dict[str, Any]:
    """Give the JSON object of ``audit --json``."""
    return {"audit": [dict(entry) for entry in audit.entries], "flaws": [vars(flaw) for flaw in audit.flaws]}
