"""The only place that words what the audit found: columns that know the future, what leaving them out costs, flaws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from propensity.reporting.settings import toml_value

if TYPE_CHECKING:
    from propensity.quality import Flaw
    from propensity.training import Audit

# More than this belongs into the audit's own output.
MAX_FLAWS = 5
# More columns of one kind are counted, not named.
MAX_NAMES = 12
# What training does with a column, by verdict.
_TRAINED = {
    "QUARANTINE": "may know the future, and training leaves them out",
    "REVIEW": "are used, but a person must look",
    "UNUSED": "no features, by the config or because they teach nothing",
    "OK": "",
}


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
    "QUARANTINE 'calls': its name says so; with it AUC 0.95, without 0.80"
    """
    from propensity.leakage import Price  # imported here: `init` words no leak and needs no learner

    lines, ways = [], []
    for verdict, otherwise, availability in (
        ("QUARANTINE", "Left out. Known before the outcome all the same?", "static"),
        ("REVIEW", "Used. Not known before the outcome?", "outcome"),
    ):
        found = [entry for entry in entries if entry["verdict"] == verdict]
        for entry in found:
            price = entry["price"] and Price(
                with_auc=entry["price"]["auc_with"], without_auc=entry["price"]["auc_without"]
            )
            worth = f"; {price.sentence}" if price else ""
            lines.append(f"{verdict:11}{entry['column'][:60]!r}: {entry['evidence']}{worth}")
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


def dropped_lines(dropped: Mapping[str, int]) -> list[str]:
    """Word the rows and records that are not used, by reason; nothing where all are.

    Examples
    --------
    >>> dropped_lines({"events_of_unknown_leads": 1200, "immature": 3})
    ['not used: events of unknown leads 1,200, immature 3']
    """
    counted = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in dropped.items())
    return [f"not used: {counted}"] if counted else []


def audit_lines(audit: Audit) -> list[str]:
    """Word an audit for people: how many columns of each verdict, what must be looked at, then all others in groups."""
    counts = Counter(entry["verdict"] for entry in audit.entries)
    lines = [] if counts["QUARANTINE"] + counts["REVIEW"] else ["No feature looks as if it knew the future."]
    for verdict, what in _TRAINED.items():
        if counts[verdict]:
            lines.append(f"{verdict:11}{counts[verdict]:,} columns{f': {what}' if what else ''}")
    leaks = leak_lines(audit.entries)
    lines += ["", *leaks] if leaks else []
    told = [*dropped_lines(audit.dropped), *audit.said]
    if told:
        lines += ["", "Rows and records", *(f"  - {sentence}" for sentence in told)]
    if audit.flaws:
        lines += ["", "Worth mending", *flaw_lines(audit.flaws, most=len(audit.flaws))]
    return [*lines, "", "Columns", *_column_lines(audit.entries)]


def _column_lines(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Word the columns that nothing speaks against: those of one verdict, role and reason share a line."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for entry in entries:
        # What leaks is said above.
        if entry["verdict"] in {"UNUSED", "OK"}:
            key = (entry["verdict"], entry["role"], entry["evidence"])
            groups.setdefault(key, []).append(repr(entry["column"][:60]))
    lines = []
    for (verdict, role, why), names in sorted(groups.items(), key=lambda group: group[0][0] == "OK"):
        shown = ", ".join(names) if len(names) <= MAX_NAMES else f"{len(names):,} columns (all of them: --json)"
        lines.append(f"  {verdict:8}{role:13}{shown}{f': {why}' if why else ''}")
    return lines


def audit_json(audit: Audit) -> dict[str, Any]:
    """Give the JSON object of ``audit --json``."""
    return {
        "audit": [dict(entry) for entry in audit.entries],
        "flaws": [vars(flaw) for flaw in audit.flaws],
        "dropped": dict(audit.dropped),
        "warnings": list(audit.said),
    }
