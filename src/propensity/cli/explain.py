"""The only place for the command `explain`: why one lead scores as it does."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from propensity.cli.lift import lift, print_lift
from propensity.cli.models import find_model
from propensity.cli.options import add_config, add_json, add_model, add_tables, optional_config
from propensity.cli.rows import places_of, rows_to_score
from propensity.cli.since import add_since, check_since, print_since, since
from propensity.errors import InputError

if TYPE_CHECKING:
    from propensity.cli.models import Found
    from propensity.config import Config
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
    explain.add_argument(
        "--lift",
        action="store_true",
        help="what leads like it, but a band higher, did more or less of: behaviours held by [learner] monotone",
    )
    explain.add_argument("--plot", metavar="PNG", help="also draw it as a waterfall")
    add_json(explain)
    explain.set_defaults(action=run_explain)


def run_explain(options: argparse.Namespace) -> None:
    """Show one lead's contributions."""
    from propensity.storage.writing import check_writable

    plot = Path(options.plot) if options.plot else None
    if plot is not None:
        check_writable(plot)
        if plot.suffix.lower() != ".png":
            msg = f"The waterfall is drawn as a PNG, got {plot.name[-40:]!r}. Name a file that ends in .png (--plot)."
            raise InputError(msg)
    check_since(options)
    config = optional_config(options)
    found = find_model(options, config)
    answer = _explained(options, config, found, plot)
    if options.json:
        print(json.dumps(answer, allow_nan=False))
        return
    _print_explanation(answer, found.why if found.rules_reason else "")
    for name, print_more in (("since", print_since), ("lift", print_lift)):
        if name in answer:
            print_more(answer[name])
    if found.standin_reason:
        print(f"Warning: {found.why}")
    if plot is not None and answer["reference_probability"] is None:
        print("No plot was drawn: the rules answered, and there is nothing to add up.")


def _explained(options: argparse.Namespace, config: Config | None, found: Found, plot: Path | None) -> dict[str, Any]:
    """Give all that is known of why one lead scores as it does, and draw it."""
    from propensity.explanations import grouped
    from propensity.scoring import cutoffs_of, evidence_of, judge, score

    model = found.model
    read, as_of = rows_to_score(options, config, model)
    rows = read.some(places_of(read.frame, model, options.lead, what=Path(options.leads).name))
    lead, row = rows.frame, 0
    judged = judge(lead, model)
    shown = score(lead, model=model, as_of=as_of, fallback_reason=found.rules_reason, aside=rows.aside).frame.iloc[row]
    explanation = judged.explanation if shown["scored_by"] == "model" else None
    parts = _parts(judged, explanation, model, row)
    groups, more = [], {}
    if explanation is not None:
        evidence = evidence_of(judged, model, cutoff=cutoffs_of(lead, model, judged.rows))
        together = grouped(explanation, tuple(group.columns for group in evidence.groups))
        groups = _groups(evidence, together, model, row)
        if plot is not None:
            _draw(plot, evidence, together, row)
        if options.lift:
            more["lift"] = lift(options, config, model, lead)
    if options.since:
        more["since"] = since(options, config, found, lead, as_of)
    return {
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
        **_reference(explanation, parts),
        "groups": groups,
        "contributions": parts,
        "reasons": [str(shown[name]) for name in shown.index if str(name).startswith("reason_") and shown[name]],
        "model_version": shown["model_version"],
        **more,
    }


def _reference(explanation: Explanation | None, parts: list[dict[str, Any]]) -> dict[str, float | None]:
    """Say where the parts start from, and where they end."""
    if explanation is None:
        return dict.fromkeys(("reference_probability", "reference_log_odds", "log_odds"))
    start = explanation.reference_log_odds
    return {
        "reference_probability": explanation.reference_probability,
        "reference_log_odds": start,
        "log_odds": start + sum(part["log_odds"] for part in parts),
    }


def _draw(path: Path, evidence: Evidence, together: Explanation, row: int) -> None:
    from propensity.plotting import plot_waterfall
    from propensity.storage.writing import replacing

    names = [group.name for group in evidence.groups]
    brief = [evidence.brief(row, i) for i in range(len(names))]
    figure = plot_waterfall(together, row, names=names, shown=brief)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


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
