"""The only place for the command `explain`: why one lead scores as it does."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from propensity.cli.models import find_model
from propensity.cli.options import add_config, add_json, add_model, add_tables, optional_config
from propensity.cli.rows import rows_to_score
from propensity.cli.since import add_since, print_since, since
from propensity.errors import InputError

if TYPE_CHECKING:
    from propensity.explanations import Evidence, Explanation
    from propensity.model import PropensityModel
    from propensity.scoring import Judged

# What moves a lead less than these is shown as one sum.
MAX_SHOWN = 15


def add_explain(commands: Any) -> None:
    """Describe `explain`."""
    explain = commands.add_parser(
        "explain",
        help="why one lead scores as it does",
        description="Show, column by column, what moves one lead away from a typical nurture lead.",
    )
    explain.add_argument("leads", metavar="LEADS", help="CSV or Parquet that holds the lead")
    explain.add_argument("--lead", metavar="ID", required=True, help="its id, or its row number where leads have no id")
    add_config(explain)
    add_model(explain)
    add_tables(explain, cutoffs=False)
    add_since(explain)
    explain.add_argument("--plot", metavar="PNG", help="also draw it as a waterfall")
    add_json(explain)
    explain.set_defaults(action=run_explain)


def run_explain(options: argparse.Namespace) -> None:
    """Show one lead's contributions."""
    from propensity.explanations import grouped
    from propensity.plotting import plot_waterfall
    from propensity.schema import read_ids
    from propensity.scoring import cutoffs_of, evidence_of, judge, score
    from propensity.storage.writing import check_writable, replacing

    plot = Path(options.plot) if options.plot else None
    if plot is not None:
        check_writable(plot)
    config = optional_config(options)
    found_model = find_model(options, config)
    model, why = found_model.model, found_model.why if found_model.rules_reason else ""
    read, as_of = rows_to_score(options, config, model)
    leads = read.frame
    judged = judge(leads, model)
    found = [i for i, key in enumerate(read_ids(judged.rows.ids, missing=())) if key == options.lead.strip()]
    if not found:
        msg = "No such lead in the file (--lead). Give the id exactly as the file writes it."
        raise InputError(msg)
    row = found[0]
    lead = leads.iloc[[int(judged.rows.position[row])]].reset_index(drop=True)
    aside = None if read.aside is None else read.aside[judged.rows.position[[row]]]
    shown = score(lead, model=model, as_of=as_of, fallback_reason=found_model.rules_reason, aside=aside).frame.iloc[0]
    explanation = judged.explanation if shown["scored_by"] == "model" else None
    parts = _parts(judged, explanation, model, row)
    evidence, together, groups = None, None, []
    if explanation is not None:
        evidence = evidence_of(judged, model, cutoff=cutoffs_of(leads, model, judged.rows))
        together = grouped(explanation, [group.columns for group in evidence.groups])
        groups = _groups(evidence, together, model, row)
    answer = {
        "lead": options.lead,
        "probability": _number(shown["probability"]),
        "band": shown["band"],
        "band_raw": shown["band_raw"],
        "override": shown["override"],
        "scored_by": shown["scored_by"],
        "fallback_reason": shown["fallback_reason"],
        "points": _number(shown["points"]),
        "fit_pp": _number(shown["fit_pp"]),
        "behaviour_pp": _number(shown["behaviour_pp"]),
        "reference_probability": explanation.reference_probability if explanation else None,
        "reference_log_odds": explanation.reference_log_odds if explanation else None,
        "log_odds": explanation.reference_log_odds + sum(part["log_odds"] for part in parts) if explanation else None,
        "groups": groups,
        "contributions": parts,
        "reasons": [str(shown[name]) for name in shown.index if str(name).startswith("reason_") and shown[name]],
        "model_version": shown["model_version"],
    }
    if options.since:
        answer["since"] = since(options, config, found_model, lead, as_of)
    if plot is not None and together is not None and evidence is not None:
        names = [group.name for group in evidence.groups]
        brief = [evidence.brief(row, i) for i in range(len(names))]
        figure = plot_waterfall(together, row, names=names, shown=brief)
        with replacing(plot) as temporary:
            figure.savefig(temporary, format="png", dpi=120)
    if options.json:
        print(json.dumps(answer, allow_nan=False))
    else:
        _print_explanation(answer, why)
        if options.since:
            print_since(answer["since"])
        if found_model.standin_reason:
            print(f"Warning: {found_model.why}")
        if plot is not None and explanation is None:
            print("No plot was drawn: the rules answered, and there is nothing to add up.")


def _parts(judged: Judged, explanation: Explanation | None, model: PropensityModel, row: int) -> list[dict[str, Any]]:
    """List one lead's contributions column by column, strongest first."""
    from propensity.explanations import show_value, strongest

    if explanation is None or model.reference is None:
        return []
    families = {column.name: column.family for column in model.schema.columns}
    typical = dict(zip(model.schema.names, model.reference.typical, strict=True))
    parts = []
    for name, log_odds, points in strongest(explanation, model.schema.names, row):
        cell = judged.rows.raw[name].iloc[row] if judged.rows.read[name].notna().iloc[row] else None
        parts.append(
            {
                "column": name,
                "family": families[name],
                "value": show_value(cell),
                "typical": typical[name],
                "log_odds": log_odds,
                "points": points,
            }
        )
    return parts


def _groups(evidence: Evidence, together: Explanation, model: PropensityModel, row: int) -> list[dict[str, Any]]:
    """List one lead's reasons, columns that belong together in one, strongest first."""
    from propensity.explanations import strongest

    place = {group.name: i for i, group in enumerate(evidence.groups)}
    return [
        {
            "name": name,
            "family": evidence.groups[place[name]].family,
            "shown": evidence.texts([row], place[name])[0].removeprefix(f"{name}: "),
            "columns": [model.schema.names[i] for i in evidence.groups[place[name]].columns],
            "log_odds": log_odds,
            "points": points,
        }
        for name, log_odds, points in strongest(together, [*place], row)
    ]


def _print_explanation(answer: dict[str, Any], why: str) -> None:
    print(f"Lead {answer['lead']}: {answer['band']}", end="")
    if answer["probability"] is not None:
        print(f", probability {answer['probability']:.1%}", end="")
    print(f" (by the {answer['scored_by']})" if answer["scored_by"] else f" ({answer['fallback_reason']})")
    if answer["override"]:
        print(f"The rule {answer['override']!r} decides the band; without it, it would be {answer['band_raw']}.")
    if why:
        print(f"By the rules: {why}")
    if answer["reference_probability"] is None:
        print("\n".join(f"  {reason}" for reason in answer["reasons"]))
        return
    print(
        f"A typical nurture lead: {answer['reference_probability']:.1%}. "
        f"Who they are: {answer['fit_pp']:+.1f} points. What they did: {answer['behaviour_pp']:+.1f} points.\n"
    )
    strongest, rest = answer["groups"][:MAX_SHOWN], answer["groups"][MAX_SHOWN:]
    width = min(max(len(group["name"]) for group in strongest), 40)
    print(f"  {'':{width}} {'points':>8}")
    for group in strongest:
        print(f"  {group['name'][:40]:{width}} {group['points']:>+8.2f}  {group['shown']}")
    if rest:
        points = sum(group["points"] for group in rest)
        print(f"  {f'{len(rest)} others':{width}} {points:>+8.2f}  all of them, column by column: --json")


def _number(value: Any) -> float | None:
    return None if value is None or value != value else float(value)  # noqa: PLR0124 - NaN differs from itself
