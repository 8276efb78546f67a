"""The only place for the command `score`: probability, band and reasons for each lead of a file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from propensity.cli.models import find_model
from propensity.cli.nightly import kept_bands, without_suppressed
from propensity.cli.options import add_config, add_json, add_model, add_tables, optional_config
from propensity.cli.rows import ASIDE, check_inputs_kept, print_notes, rows_to_score, said_aside
from propensity.errors import PromiseError

if TYPE_CHECKING:
    from propensity.features import ScoringRows
    from propensity.hysteresis import Held
    from propensity.model import PropensityModel
    from propensity.scoring import Scores

OFF = "on its test leads the model's probabilities were off (its card says how far): trust the order of leads"


def add_score(commands: Any) -> None:
    """Describe `score`."""
    score = commands.add_parser(
        "score",
        help="probability, band and reasons for each lead",
        description="Score leads with the champion of the registry, or with the model you name. Where the model "
        "cannot answer, the points rules do, and the row says so.",
    )
    score.add_argument("leads", metavar="LEADS", nargs="?", help="CSV or Parquet; default: the config's leads")
    score.add_argument("-o", "--output", metavar="OUT", required=True, help="scores as .csv or .parquet")
    add_config(score)
    add_model(score)
    add_tables(score)
    score.add_argument(
        "--state",
        metavar="F",
        help="which band each lead was in before: a lead moves up at once, and down only after two runs that say so; "
        "made on first use, with a key beside it that no one else should have",
    )
    score.add_argument(
        "--suppress", metavar="F", help="ids of people who objected: not scored, not written, not kept, only counted"
    )
    score.add_argument("--reasons", type=int, default=4, metavar="N", help="reasons a lead, 0 to 20 (default 4)")
    score.add_argument(
        "--allow-degraded",
        action="store_true",
        help="write even if more than 20 %% of rows fall back",
    )
    score.add_argument("--strict", action="store_true", help="exit 3 when the rules had to answer for every lead")
    add_json(score)
    score.set_defaults(action=run_score)


def run_score(options: argparse.Namespace) -> None:
    """Score a file and write the scores."""
    from propensity.storage.scores import check_output, write_scores
    from propensity.storage.writing import holding
    from propensity.tally import BLAMELESS, check_degraded

    output = Path(options.output)
    check_output(output)
    with holding(output):
        config = optional_config(options)
        check_inputs_kept(output, options, config)
        found = find_model(options, config)
        model, why = found.model, found.why if found.rules_reason else ""
        rows, as_of = rows_to_score(options, config, model)
        rows, codes = without_suppressed(rows, options.suppress, model)
        with kept_bands(options, rows, as_of, model, suppressed=codes) as bands:
            scores = _scored(
                rows,
                model=model,
                as_of=as_of,
                n_reasons=options.reasons,
                fallback_reason=found.rules_reason,
                standin_reason=found.standin_reason,
                held=bands.held,
            )
            if not options.allow_degraded:
                check_degraded(scores.tally)
            write_scores(scores.frame, output)
            bands.keep(scores)
    summary = scores.tally.summary()
    summary["notes"] = {**rows.notes, **summary["notes"]}
    warnings = [*rows.warnings, *_seen_before(options.as_of, model), *bands.said]
    warnings += [found.why] if found.standin_reason else []
    review = model.agreement.get("review_on")
    if review and as_of[:10] > str(review):
        warnings.append(f"the agreement behind the bands was to be looked at on {review}: have both sides done so?")
    if summary["scored_by"].get("model") and not model.facts.get("calibrated", True):
        warnings.append(OFF)
    if options.json:
        told = {"output": str(output), "model_version": model.version, "why_rules": why, "warnings": warnings}
        print(json.dumps({**summary, **told}))
    else:
        _print_scores(scores, summary, output, why, warnings=warnings, as_of=as_of)
    if scores.tally.reasons_fault:
        msg = (
            f"the scores are written, but without reasons: {scores.tally.reasons_fault}. Scores and bands are not touched "
            "by this. Please report it with the versions of lightgbm and numba; without numba, LightGBM explains."
        )
        raise PromiseError(msg)
    if options.strict and {*scores.tally.reasons(without=BLAMELESS)} and not summary["scored_by"].get("model"):
        reasons = ", ".join(summary["fallback_reasons"])
        msg = f"the rules answered for every lead ({reasons}). {why or 'The scores are written.'}"
        raise PromiseError(msg)


def _scored(rows: ScoringRows, *, model: PropensityModel, held: Held | None, **asked: Any) -> Scores:
    """Score the rows; where everybody objected, there is no row and yet every column."""
    import pandas as pd

    from propensity.scoring import score
    from propensity.tally import Tally

    if len(rows.frame) or not rows.notes.get("suppressed"):
        return score(rows.frame, model=model, aside=rows.aside, asked=rows.asked, held=held, **asked)
    nobody = score(pd.DataFrame({str(name): [""] for name in rows.frame.columns}), model=model, **asked)
    none = nobody.position[:0]
    frame, aside = nobody.frame.iloc[:0], nobody.aside[:0]
    held = None if held is None else held.take(none)
    return replace(nobody, frame=frame, aside=aside, position=none, tally=Tally(), held=held)


def _print_scores(
    scores: Scores, summary: dict[str, Any], output: Path, why: str, *, warnings: Sequence[str], as_of: str
) -> None:
    bands, aside = summary["bands"], summary["aside"]
    n_aside = sum(aside.values())
    total = summary["rows"] - n_aside
    n_unscored = bands.get("unscored", 0) - n_aside
    when = f" as of {as_of}" if as_of else ""
    print(f"Scored {total:,} leads{when}: " + ", ".join(f"{bands.get(b, 0):,} {b}" for b in ("SQL", "MQL", "nurture")))
    for said in said_aside(aside, as_of, result="not scored"):
        print(f"  {said}")
    if n_unscored:
        print(f"  {n_unscored:,} could not be scored.")
    if why:
        print(f"  By the rules, not by a model. {why}")
    for reason, n in scores.tally.reasons(without=[*ASIDE]).items():
        print(f"  {n:,} rows ({n / total:.1%}) not scored by the model: {reason}")
    if summary["absent"]:
        print(f"  Columns not in the file, taken as missing: {', '.join(name[:40] for name in summary['absent'][:8])}")
    # What these two count was told of above.
    told = {"not_there_at_the_cutoff", "rows_without_a_cutoff_of_a_known_lead"} if n_aside else set()
    print_notes({name: n for name, n in summary["notes"].items() if name not in told}, warnings)
    print(f"Written: {output}")


def _seen_before(as_of: str, model: PropensityModel) -> list[str]:
    """Warn where the model knows what came after the instant: its scores are then no test of it."""
    from propensity.asof import parse_stamps

    end = model.facts.get("data_end", "")
    if not as_of or not end or model.learned is None:
        return []
    import pandas as pd

    instant = parse_stamps(pd.Series([as_of]), timezone=model.facts.get("timezone", "UTC"), name="--as-of").newest
    if instant is None or instant >= pd.Timestamp(end):
        return []
    return [
        f"the model learned from records up to {end[:10]}, after {as_of[:10]}: these scores are no test of it. What it "
        "is worth on leads it never saw, train says."
    ]
