"""The only place for the command `score`: probability, band and reasons for each lead of a file."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from propensity.cli.models import find_model
from propensity.cli.options import add_config, add_json, add_model, add_tables, optional_config
from propensity.cli.rows import ASIDE, check_inputs_kept, named_inputs, print_notes, said_aside, source_to_score
from propensity.cli.terminal import say
from propensity.errors import OutputError, PromiseError, PropensityError, WorkerError

if TYPE_CHECKING:
    from propensity.cli.models import Found
    from propensity.config import Config
    from propensity.model import PropensityModel
    from propensity.storage.journal import Journal
    from propensity.tally import Tally

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
    score.add_argument(
        "--html", metavar="F", help="also write the best leads as a page to work from: sort, filter, search, download"
    )
    add_json(score)
    score.set_defaults(action=run_score)


def run_score(options: argparse.Namespace) -> None:
    """Score a file and write the scores."""
    from propensity.cli.listing import check_list, write_list
    from propensity.cli.progress import progress
    from propensity.storage.chunks import fingerprint
    from propensity.storage.scores import check_output
    from propensity.storage.writing import holding
    from propensity.tally import BLAMELESS

    # A link stays, and what it leads to is replaced; two runs that name it differently are kept apart all the same.
    output = Path(os.path.realpath(options.output))
    check_output(output)
    page = check_list(options.html, output)
    with holding(output), progress(quiet=options.json) as tell:
        config = optional_config(options)
        check_inputs_kept(output, options, config)
        found = find_model(options, config)
        why = found.why if found.rules_reason else ""
        inputs = named_inputs(options, config)
        done = _scored(options, config, found, output, inputs=inputs, told=fingerprint(inputs), tell=tell)
        if page is not None:
            write_list(page, output, found.model, as_of=done.as_of)
    model, tally, as_of = found.model, done.tally, done.as_of
    summary = tally.summary()
    summary["notes"] = {**done.notes, **summary["notes"]}
    warnings = [*done.warnings, *_seen_before(options.as_of, model)]
    warnings += [found.why] if found.standin_reason else []
    review = model.agreement.get("review_on")
    if review and as_of[:10] > str(review):
        warnings.append(f"the agreement behind the bands was to be looked at on {review}: have both sides done so?")
    if summary["scored_by"].get("model") and not model.facts.get("calibrated", True):
        warnings.append(OFF)
    if options.json:
        told = {
            "output": options.output,
            "html": options.html,
            "model_version": model.version,
            "why_rules": why,
            "warnings": warnings,
        }
        print(json.dumps({**summary, **told}))
    else:
        _print_scores(tally, summary, options.output, why, warnings=warnings, as_of=as_of)
        if page is not None:
            print(f"Written: {options.html}")
    if tally.reasons_fault:
        msg = (
            f"the scores are written, but without reasons: {tally.reasons_fault}. Scores and bands are not touched by "
            "this. Please report it with the versions of lightgbm and numba; without numba, LightGBM explains."
        )
        raise PromiseError(msg)
    if options.strict and {*tally.reasons(without=BLAMELESS)} and not summary["scored_by"].get("model"):
        reasons = ", ".join(summary["fallback_reasons"])
        msg = f"the rules answered for every lead ({reasons}). {why or 'The scores are written.'}"
        raise PromiseError(msg)


@dataclass(frozen=True, kw_only=True)
class _Done:
    """What a run has written, for people."""

    tally: Tally
    as_of: str
    notes: Mapping[str, int]
    warnings: Sequence[str]


def _scored(
    options: argparse.Namespace,
    config: Config | None,
    found: Found,
    output: Path,
    *,
    inputs: Sequence[Path],
    told: str,
    tell: Callable[[str, float], None],
) -> _Done:
    """Score all rows, part by part, and write them once every one of them is there."""
    from propensity.cli.batch import STATE_SUFFIX, Asked, changed, chunk_rows, rows_done, score_parts
    from propensity.cli.nightly import kept_bands, read_suppressed
    from propensity.cli.progress import Pace
    from propensity.cli.survey import survey
    from propensity.scoring import check_asked
    from propensity.storage.chunks import fingerprint
    from propensity.storage.journal import Journal
    from propensity.storage.scores import ScoreFormat
    from propensity.tally import check_degraded

    model = found.model
    check_asked(model, options.reasons)
    source = source_to_score(options, config, model)
    n_rows = chunk_rows(len(source.columns))
    state = fingerprint([Path(options.state)] if options.state else [])
    journal = Journal(output, _identity(options, found, inputs=told, state=state, chunk_rows=n_rows))
    with _leaving(journal) as left:
        suppressed = read_suppressed(options.suppress, source.columns, model)
        seen = survey(
            source,
            model,
            suppressed=suppressed,
            folder=journal.folder,
            chunk_rows=n_rows,
            report=Pace(tell, "reading"),
        )
        written = ScoreFormat(suffix=output.suffix.lower(), id_type=seen.id_type)
        asked = Asked(
            model=model,
            chunk_rows=n_rows,
            format=written,
            as_of=seen.as_of,
            newest=seen.newest,
            n_reasons=options.reasons,
            fallback_reason=found.rules_reason,
            standin_reason=found.standin_reason,
        )
        with kept_bands(options, source.columns, model, survey=seen, suppressed=suppressed.listed) as bands:
            if any(line.get("key") != bands.key_digest for line in journal.lines):
                journal.restart()  # codes of another key are of nobody
            left.n_leads, n_done = len(seen.stays), rows_done(journal)
            pace = Pace(tell, "scoring", n_rows=len(seen.stays), n_done=n_done)
            tally = score_parts(source, seen, asked, bands=bands, journal=journal, report=pace)
            if not options.allow_degraded:
                check_degraded(tally)
            if fingerprint(inputs) != told:
                raise changed()
            written.join(journal.files(".rows"), asked.head(source), output, folder=journal.folder)
            left.is_written = True
            bands.keep([part for parts in journal.files(STATE_SUFFIX) for part in parts])
    warnings = [*source.warnings, *seen.warnings, *bands.said]
    if n_done:
        warnings.append(f"an earlier run that was stopped had done {n_done:,} rows: they were taken from it")
    if journal.is_anew:
        warnings.append("what a stopped run had left was of other files, another model or other options: thrown away")
    return _Done(tally=tally, as_of=seen.as_of, notes={**source.notes, **seen.notes}, warnings=warnings)


@dataclass(kw_only=True)
class _Left:
    """How far a run has come, should it end before its end."""

    n_leads: int = 0
    is_written: bool = False


@contextlib.contextmanager
def _leaving(journal: Journal) -> Iterator[_Left]:
    """Keep what the same command can go on from, throw away what it cannot, and say which."""
    from propensity.cli.batch import rows_done

    left = _Left()
    try:
        yield left
        journal.remove()
    except KeyboardInterrupt as stop:
        n_done = rows_done(journal)
        if left.is_written:
            journal.remove()
            stop.args = ("the scores are written; what goes beside them may not be: run it again.",)
        else:
            journal.end()
            said = f"{n_done:,} of {left.n_leads:,} leads are done and kept: the same command goes on."
            stop.args = (said,) if n_done else stop.args
        raise
    except (OutputError, WorkerError) as error:
        journal.end()
        if journal.lines and not left.is_written:
            error.args = (f"{error} What is done is kept: the same command goes on from there.",)
        raise
    except PropensityError:
        journal.remove()  # where a batch is refused nothing of it stays, not even hidden
        raise


def _identity(options: argparse.Namespace, found: Found, *, inputs: str, state: str, chunk_rows: int) -> dict[str, Any]:
    """Say all that the bytes of the parts depend on: what is left of a run that differs in any of it is of no use."""
    from importlib.metadata import PackageNotFoundError, version

    from propensity import __version__

    versions = {"propensity": __version__}
    for name in ("numpy", "pandas", "lightgbm", "numba", "pyarrow"):
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return {
        "versions": versions,
        "model": found.model.version,
        "rules_reason": found.rules_reason,
        "standin_reason": found.standin_reason,
        "inputs": inputs,
        "state": state,
        "as_of": options.as_of,
        "reasons": options.reasons,
        "chunk_rows": chunk_rows,
    }


def _print_scores(
    tally: Tally, summary: dict[str, Any], output: str, why: str, *, warnings: Sequence[str], as_of: str
) -> None:
    bands, aside = summary["bands"], summary["aside"]
    n_aside = sum(aside.values())
    total = summary["rows"] - n_aside
    n_unscored = bands.get("unscored", 0) - n_aside
    when = f" as of {as_of}" if as_of else ""
    say(f"Scored {total:,} leads{when}: " + ", ".join(f"{bands.get(b, 0):,} {b}" for b in ("SQL", "MQL", "nurture")))
    for said in said_aside(aside, as_of, result="not scored"):
        say(f"  {said}")
    if n_unscored:
        say(f"  {n_unscored:,} could not be scored.")
    if why:
        say(f"  By the rules, not by a model. {why}")
    for reason, n in tally.reasons(without=[*ASIDE]).items():
        say(f"  {n:,} rows ({n / total:.1%}) not scored by the model: {reason}")
    if summary["absent"]:
        say(f"  Columns not in the file, taken as missing: {', '.join(name[:40] for name in summary['absent'][:8])}")
    # What these two count was told of above.
    told = {"not_there_at_the_cutoff", "rows_without_a_cutoff_of_a_known_lead"} if n_aside else set()
    print_notes({name: n for name, n in summary["notes"].items() if name not in told}, warnings)
    say(f"Written: {output}")


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
