"""The only place that words results: the summary of a run, its JSON, the model card."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from math import exp, isfinite, log
from typing import TYPE_CHECKING, Any

from propensity.evaluation import CHANCE, HEADERS, MIN_EXPECTED, MIN_EXPECTED_MONTH
from propensity.learners import LINEAR, ON_LINEAR, Tuned
from propensity.reporting.findings import dropped_lines, flaw_lines, leak_lines
from propensity.schema import MQL, SQL

if TYPE_CHECKING:
    from propensity.bands import Bands, Frontier
    from propensity.evaluation import Calibration, Evaluation, Measured
    from propensity.learners import Monotone
    from propensity.metrics import Interval
    from propensity.model import Learned, PropensityModel
    from propensity.training import TrainingRun
    from propensity.training.curve import Curve, Need

# Months and segments that are named; the tables hold them all.
MAX_OFF = 5
# What Markdown reads as a link, a picture, code, a tag or a cell's end.
_MARKUP = re.compile(r"[\\|\[\]`<*]")
CORRECTED = "corrected: segments whose conversions the newest outcomes before the last held to be off beyond chance"
# Reasons that the summary names by their weight.
N_TOLD = 5
# Features held to a direction that the summary names; the model card names all.
MAX_HELD = 3
VERDICTS = {
    "skill": "The model ranks leads better than chance on leads it never saw.",
    "no_skill": "NO SKILL: on leads it never saw, the model is not better than the base rate. The rules answer.",
    "rules_only": "TOO FEW CONVERSIONS to learn from. The rules answer.",
}


def training_json(run: TrainingRun, model: Mapping[str, Any]) -> dict[str, Any]:
    """Give the JSON object of ``train --json``.

    Parameters
    ----------
    run : TrainingRun
    model : mapping
        ``name, version, alias, uri, path`` of what was stored.
    """
    learned, evaluation = run.model.learned, run.evaluation
    bands = learned.bands if learned else None
    return {
        "model": dict(model),
        "data": dict(run.data),
        "audit": [dict(entry) for entry in run.audit],
        "learner": {
            "shares": dict(learned.blend.recipe.named()),
            "n_trees": dict(learned.blend.recipe.n_trees),
            "half_life": learned.blend.recipe.half_life,
            "slope": learned.calibrator.slope,
            "intercept": learned.calibrator.intercept,
            "corrected_segments": corrected_segments(learned),
            **({"tuned": learned.blend.recipe.tuned.to_dict()} if learned.blend.recipe.tuned else {}),
            "monotone": learned.monotone.to_dict() if learned.monotone else None,
        }
        if learned
        else {},
        "metrics": evaluation.to_dict() if evaluation else {},
        "thresholds": {
            "mql": bands.mql,
            "sql": bands.sql,
            "policy": bands.policy,
            "certified": bands.sql_promise.certified,
            "promise": {"sql": _promise(bands, SQL), "mql": _promise(bands, MQL)},
        }
        if bands
        else {},
        "verdict": run.model.verdict,
        "warnings": list(run.warnings),
        "flaws": [vars(flaw) for flaw in run.flaws],
        "learning_curve": run.curve.to_dict(),
        "importance": run.importance.round(6).to_dict("records"),
    }


def corrected_segments(learned: Learned) -> list[dict[str, Any]]:
    """Give the segments whose level was corrected, the furthest first, with what their odds are multiplied by.

    ``column, segment, odds_ratio``; a segment of None are the leads without a value.
    """
    if learned.blend.shifts is None:
        return []
    found = [
        {"column": column, "segment": segment, "odds_ratio": round(float(exp(learned.calibrator.slope * shift)), 4)}
        for column, segments in learned.blend.shifts.by_segment(learned.encoder).items()
        for segment, shift in segments.items()
    ]
    return sorted(found, key=lambda one: -abs(log(one["odds_ratio"])))


def correction_lines(learned: Learned, *, base_rate: float) -> list[str]:
    """Word each corrected segment by what it makes of a lead of average chance; none where none was."""
    lines = []
    for one in corrected_segments(learned):
        odds = base_rate / (1 - base_rate) * one["odds_ratio"]
        value = "missing" if one["segment"] is None else one["segment"]
        lines.append(
            f"{_shown(one['column'])} = {_shown(value)}: odds times {one['odds_ratio']:.2f}; what would be "
            f"{base_rate:.1%} is {odds / (1 + odds):.1%}"
        )
    return lines


def _promise(bands: Bands, band: str) -> dict[str, Any]:
    promise = bands.sql_promise if band == SQL else bands.mql_promise
    share = bands.sql_share if band == SQL else bands.mql_share
    return {**vars(promise), "share": share, "leads_per_week": _weekly(share, bands)}


def _weekly(share: float, bands: Bands) -> float | None:
    return None if bands.leads_per_week is None else share * bands.leads_per_week


def training_summary(run: TrainingRun) -> list[str]:
    """Word a training run for people, line by line."""
    data, evaluation, learned = run.data, run.evaluation, run.model.learned
    # A lead that is seen at several cutoffs is several rows.
    unit = "rows" if "leads" in data else "leads"
    lines = [
        f"Leads      {_counted(data)}",
        f"           {run.model.facts['target_means']}",
    ]
    lines += [f"           {line}" for line in dropped_lines(data["dropped"])]
    leaks = leak_lines(run.audit)
    if leaks:
        lines += ["", *leaks]
    if evaluation is not None and learned is not None:
        lines += ["", f"{HEADERS[evaluation.kind]}, then refitted on all rows."]
        lines += _table(evaluation, unit=unit)
        lines += calibration_lines(evaluation.headline.calibration, unit=unit)
        lines += level_lines(evaluation)
        if evaluation.older_gain is not None:
            lines += ["", f"           {older_line(evaluation.older_gain, unit=unit)}"]
        lines += _learner_lines(run)
        lines += _importance_lines(run)
        lines += ["", *band_lines(learned.bands, evaluation, unit=unit)]
        if learned.frontier is not None:
            lines += [f"           {line}" for line in frontier_lines(learned.frontier, learned.bands)]
        lines += override_lines(evaluation)
        over = over_capacity(evaluation, learned.bands, run.model.agreement.get("capacity_per_week"))
        lines += [f"           {over}"] if over else []
    lines += ["", *curve_lines(run.curve)]
    lines += ["", VERDICTS[run.model.verdict]]
    if run.warnings:
        lines += ["", "Please note", *(f"  - {sentence}" for sentence in run.warnings)]
    if run.flaws:
        lines += ["", "Worth mending", *flaw_lines(run.flaws)]
    return lines


def _counted(data: Mapping[str, Any]) -> str:
    rate = f"{data['base_rate']:.1%}"
    if "leads" not in data:
        return f"{data['rows']:,} with a known outcome, {data['positives']:,} converted ({rate})"
    return (
        f"{data['leads']:,}, seen at {data['rows']:,} cutoffs whose outcome has matured; a conversion followed "
        f"{data['positives']:,} of them ({rate})"
    )


def _table(evaluation: Evaluation, *, unit: str) -> list[str]:
    test = evaluation.headline
    rows: list[tuple[str, Measured | None]] = [
        ("model", test),
        ("points sheet, same leads", evaluation.rules),
        ("model on a random split", evaluation.random),
    ]
    lines = [
        "",
        f"           Test {unit} {test.n_rows:,}, base rate {test.base_rate:.1%} "
        f"(the past it learned from: {test.past_rate:.1%})",
        "",
        f"{'':26}{'AUC':>20}{'log loss':>10}{'constant':>10}{'calibration error':>19}{'lift in top 10 %':>18}",
    ]
    for name, measured in rows:
        if measured is not None:
            m = measured.metrics
            auc = f"{m['auc'].value:.3f} ({m['auc'].low:.3f}-{m['auc'].high:.3f})"
            lines.append(
                f"{name:26}{auc:>20}{m['log_loss'].value:>10.4f}{m['constant_log_loss'].value:>10.4f}"
                f"{m['ece'].value:>19.4f}{m['lift_at_10'].value:>18.2f}"
            )
    lines.append("           Smaller log loss is better; 'constant' predicts the past base rate for everyone.")
    if evaluation.random is not None:
        lines.append("           A random split lets a model see the future; the first line is the one to believe.")
    return lines


def calibration_lines(found: Calibration, *, unit: str = "leads") -> list[str]:
    """Word whether probabilities came true on the test leads, or why they must not be taken at their word."""
    # Snapshots share the weight of their lead, so their counts are of leads and not of rows.
    counted = f"these {unit}" if unit == "leads" else "the leads of these rows"
    level = (
        f"expected {found.expected:,.0f}, converted {found.converted:,.0f} "
        f"(O/E {found.oe.value:.2f}, {_range(found.oe)})"
    )
    is_known = isfinite(found.slope.value)
    slope = f"slope {found.slope.value:.2f} ({_range(found.slope)})" if is_known else "slope unknown"
    if found.is_calibrated:
        what = f"calibrated for {counted}: {level};"
        if found.consistency_p < CHANCE:
            chance = f"off by more than chance ({found.p_words}), and by little"
        else:
            chance = f"consistent with chance ({found.p_words})"
        # The level alone is judged more sharply than ten bins are.
        if found.oe.low > 1 or found.oe.high < 1:
            chance += f", but {'more' if found.oe.low > 1 else 'fewer'} converted than expected"
        return ["", f"           {what}", f"           {slope}; {chance}"]
    return [
        "",
        f"           NOT CALIBRATED for {counted}: {level};",
        f"           {slope}; more than chance ({found.p_words}): {', '.join(found.reasons)}.",
        "           Trust the order of leads, not the probabilities.",
    ]


def _range(figure: Interval) -> str:
    return f"{figure.low:.2f}{'-' if figure.low >= 0 else ' to '}{figure.high:.2f}"


def level_lines(evaluation: Evaluation) -> list[str]:
    """Word the months and segments whose conversions chance does not explain, least likely first; none without such."""
    months, segments = evaluation.by_month(), evaluation.slices()
    if not len(months) and not len(segments):
        return []
    found = []
    for table, what in ((months, "month"), (segments, "segment")):
        off = table[table["is_off"].to_numpy(dtype=bool)].sort_values("p_value", kind="stable").to_dict("records")
        found += [f"           off: {_level(row)}" for row in off[:MAX_OFF]]
        if len(off) > MAX_OFF:
            found.append(f"           off: {len(off) - MAX_OFF} more {what}s")
    # Of the small ones nothing is known, which is not to say that they are as expected.
    counted = [
        f"{int((table['expected'] >= least).sum())} of {len(table)} {what}"
        for table, least, what in (
            (months, MIN_EXPECTED_MONTH, "months (all origins)"),
            (segments, MIN_EXPECTED, "segments (these leads)"),
        )
        if len(table)
    ]
    said = "off beyond chance" if found else "none of them off beyond chance"
    files = [name for name, table in (("months.csv", months), ("segments.csv", segments)) if len(table)]
    return [
        "",
        f"By part    large enough to be judged: {', '.join(counted)}; {said}",
        *found,
        f"           all of them: {', '.join(files)} beside the plots",
    ]


def _level(row: Mapping[Hashable, Any]) -> str:
    name = row["month"] if "month" in row else f"{_shown(row['column'])} = {_shown(row['segment'])}"
    shift = row.get("shift", float("nan"))
    mended = f"; {shift:+.2f} in log-odds would mend these" if isfinite(shift) else ""
    return (
        f"{name}: expected {row['expected']:,.0f}, converted {row['converted']:,.0f} "
        f"(O/E {row['oe']:.2f}, {row['low']:.2f}-{row['high']:.2f}){mended}"
    )


def _shown(text: str) -> str:
    """Keep a name or value to one short line of letters that can be printed."""
    return "".join(sign for sign in " ".join(text.split()) if sign.isprintable())[:40]


def older_line(gain: Interval, *, unit: str = "leads") -> str:
    """Word whether the older half of what is known still teaches."""
    verdict = "help" if gain.low > 0 else "hurt" if gain.high < 0 else "make no difference that can be told"
    return (
        f"Older {unit} {verdict}: without the older half of its past, a quick blend's\n"
        f"           log loss changes by {gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f}, all origins)."
    )


def _learner_lines(run: TrainingRun) -> list[str]:
    learned = run.model.learned
    if learned is None:
        return []
    recipe = learned.blend.recipe
    share = recipe.forest_share
    trees = ", ".join(
        f"{recipe.n_trees[name]} {'on top of the regression' if name == ON_LINEAR else name}"
        for name, _ in recipe.named()
        if name != LINEAR
    )
    if share == 0:
        what = "logistic regression alone: boosted trees did not beat it by more than the standard error"
    elif share == 1:
        what = f"boosted trees ({trees})"
    else:
        what = f"{1 - share:.0%} logistic regression, {share:.0%} boosted trees ({trees})"
    calibrator = learned.calibrator
    corrected = correction_lines(learned, base_rate=run.data["base_rate"])
    if corrected:
        corrected = [CORRECTED, *(f"  {line}" for line in corrected)]
    aged = [] if recipe.half_life is None else [f"           {_aged_in_words(recipe.half_life)}"]
    return [
        "",
        f"Learner    {what}",
        *aged,
        *(f"           {line}" for line in tuned_lines(recipe.tuned)),
        *([f"           {_held_in_words(learned.monotone)}"] if learned.monotone else []),
        f"           calibrated: {calibrator.slope:.2f} x margin {calibrator.intercept:+.2f}, from "
        f"{calibrator.n_rows:,} out-of-fold rows",
        *(f"           {line}" for line in corrected),
    ]


def _importance_lines(run: TrainingRun) -> list[str]:
    """Word what moves scores most, by its share of all points."""
    told = run.importance.head(N_TOLD)
    if told.empty:
        return []
    named = ", ".join(
        f"{_shown(str(name))} {share:.0%}" for name, share in zip(told["group"], told["share"], strict=True)
    )
    return ["", f"Moved by   {named} of all points; the rest: importance.csv beside the plots"]


def _aged_in_words(half_life: float) -> str:
    return f"older leads count less: by half for each {half_life:.0%} of all that are newer; on past origins that paid"


def tuned_lines(tuned: Tuned | None) -> list[str]:
    """Word what tuning found and what became of it; nothing where it was not asked for."""
    if tuned is None:
        return []
    if not tuned.n_trials:
        return ["tuned: no trial was made, for want of time or of rows; all is as without tuning"]
    trials = f"tuned: {tuned.n_trials:,} trial{'' if tuned.n_trials == 1 else 's'}"
    if tuned.gain is None:
        return [f"{trials}, none better than the kinds that run anyway; all is as without tuning"]
    judged = f"{trials}; on rows they never saw, the best changed the blend's log loss by {-tuned.gain:+.4f}:"
    verdict = "surely better, so it takes part" if tuned.is_used else "not surely better; all is as without tuning"
    found = ", ".join(f"{name} {_setting(value)}" for name, value in tuned.settings.items())
    return [
        f"{judged} {verdict}",
        f"found: {found}",
        "time decided how many trials there were: another run may find other settings",
    ]


def _setting(value: float) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


def _held_in_words(monotone: Monotone) -> str:
    """Word which directions scores keep, and what that cost on past leads."""
    ways = [
        f"{verb} {_first_of(named)}"
        for verb, named in (("never fall with", monotone.named(1)), ("never rise with", monotone.named(-1)))
        if named
    ]
    asked = " and ".join(ways)
    price = f"log loss {monotone.cost:+.4f} (error {monotone.error:.4f}) on past leads"
    if monotone.is_held:
        return f"monotone: with all else equal, scores {asked}; {price}"
    return f"not monotone: that scores {asked} was asked for and left out; {price}"


def _first_of(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_HELD} more" if len(names) > MAX_HELD else ""
    return f"{', '.join(map(_shown, names[:MAX_HELD]))}{more}"


def band_lines(bands: Bands, evaluation: Evaluation, *, unit: str = "leads") -> list[str]:
    """Word the two thresholds, what they promise and what they held on the test leads."""
    held = {row["band"]: row for row in evaluation.bands().to_dict("records")}
    lines = ["Bands"]
    for band, threshold, share, promise, verb, counted in (
        (SQL, bands.sql, bands.sql_share, bands.sql_promise, "convert", "leads"),
        (MQL, bands.mql, bands.mql_share, bands.mql_promise, "of all conversions are in MQL or SQL", "conversions"),
    ):
        weekly = _weekly(share, bands)
        volume = f"{weekly:,.1f} a week" if weekly is not None else f"{1000 * share:,.0f} of 1,000 leads"
        # The lower bound belongs to a threshold that passed its test; beside one that did not it would look like one.
        stand = (
            f"certified (observed {promise.observed:.1%}, at least {promise.low:.1%})"
            if promise.certified
            else f"NOT CERTIFIED (observed {promise.observed:.1%} on {promise.n_leads:,} {counted})"
        )
        tested = held[band]
        found = f"{tested['rate']:.1%} ({tested['low']:.1%}-{tested['high']:.1%})" if tested["leads"] else "none"
        lines += [
            f"  {band}      probability >= {threshold:.4f}: about {volume} ({share:.1%})",
            f"           promise: {promise.rate:.0%} {verb} - {stand}",
            f"           test {unit}, at the threshold set before them: {tested['leads']:,} {unit}, converted {found}",
        ]
    if not evaluation.is_calibrated:
        lines.append("           The probabilities were off on the test leads (above): so can rates and volumes be.")
    return lines


def over_capacity(evaluation: Evaluation, bands: Bands, capacity: float | None) -> str:
    """Say where leads that rules make SQL are more than sales can work; empty where they are not."""
    weekly = _weekly(bands.sql_share, bands)
    lifted = evaluation.overrides()
    if capacity is None or weekly is None or lifted.empty:
        return ""
    n_all = float(evaluation.test.weights.sum())
    more = lifted.loc[lifted["asks_for"] == SQL, "moved"].sum() / n_all * (bands.leads_per_week or 0.0)
    if not more or weekly + more <= capacity:
        return ""
    return (
        f"rules lift about {more:,.1f} leads a week to SQL beside the {weekly:,.1f} by their score: more than the "
        f"{capacity:g} that sales can work (agreement.capacity_per_week)"
    )


def override_lines(evaluation: Evaluation) -> list[str]:
    """Word what each rule that overrides bands would have cost or brought on the test leads."""
    lines = []
    for row in evaluation.overrides().to_dict("records"):
        name, n, won = _shown(str(row["rule"])), row["moved"], row["converted"]
        if not n:
            lines.append(f"{name}: would have moved no test lead")
        elif row["asks_for"] in {SQL, MQL}:
            lines.append(
                f"{name}: would have lifted {n:,.0f} test leads to {row['asks_for']}, of which {won:,.0f} converted "
                f"({row['rate']:.1%}, {row['low']:.1%}-{row['high']:.1%})"
            )
        else:
            lines.append(
                f"{name}: would have kept {n:,.0f} test leads of SQL and MQL from being worked; {won:,.0f} of them "
                f"became customers ({row['rate']:.1%}, {row['low']:.1%}-{row['high']:.1%})"
            )
    return [f"{'Overrides' if i == 0 else '':11}{line}" for i, line in enumerate(lines)]


def frontier_lines(frontier: Frontier, bands: Bands) -> list[str]:
    """Word what another threshold for SQL would bring: one more rep, and where money is known, the best of it."""
    table = frontier.table()
    here = table[table["threshold"] == bands.sql]
    lines = []
    if len(here) and here["share"].iloc[0] < 1:
        rep = "one more rep" if frontier.leads_per_week is not None else "more reps"
        lines.append(
            f"{rep}, who would work the next {frontier.leads_per_rep:,.0f} leads of each {frontier.per}, would find "
            f"about {here['next_rep'].iloc[0]:,.1f} conversions among them"
        )
    if table["near_best"].any():
        best = table.sort_values("profit", kind="stable").iloc[-1]
        near = table.loc[table["near_best"], "threshold"]
        lines.append(
            f"a call pays best from probability {best['threshold']:.4f} on (profit about {best['profit']:,.0f} a "
            f"{frontier.per}, on the leads that certified); as good within 2 %: {near.min():.4f} to {near.max():.4f}"
        )
    return lines


GOALS = {
    "model": "until a model is tried",
    "skill": "until the model can be shown to beat the base rate",
    "certified": "until the SQL promise could be certified at the rate seen",
    "level": "until a doubling gains less than its own standard error",
}
OUT_OF_REACH = {
    "model": "Without a conversion there is no pace to tell when a model can be tried.",
    "skill": "Nothing foretells that up to eight times the history would show that the model beats the base rate.",
    "certified": "More leads alone will not certify the SQL promise: its leads convert no more often than agreed.",
    "level": "The log loss is not expected to level off within eight times the history.",
}


def curve_lines(curve: Curve) -> list[str]:
    """Word whether more history would help, and how much of it is needed."""
    lines = []
    gain = curve.next_gain
    if gain is not None:
        lines.append(
            f"twice the history is expected to lower the log loss by {gain.value:.4f} "
            f"({gain.low:.4f} to {gain.high:.4f})"
        )
        if curve.is_level:
            lines.append("that is within its own standard error: as far as can be told, the log loss has levelled off")
    elif curve.levels:
        lines.append("the points support no extrapolation: what twice the history would bring cannot be told")
    elif not curve.needs or curve.needs[0].goal != "model":
        lines.append("too few conversions to part the past: what twice the history would bring cannot be told")
    lines += [_need_in_words(need, curve) for need in curve.needs]
    return [f"{'More leads' if i == 0 else '':11}{line}" for i, line in enumerate(lines)]


def _need_in_words(need: Need, curve: Curve) -> str:
    if not isfinite(need.growth):
        return OUT_OF_REACH[need.goal]
    if need.growth == 1:
        # What is there would do on average; this once it did not.
        return f"hardly more conversions {GOALS[need.goal]}"
    words = f"about {curve.more(need.growth):,} more conversions"
    if need.low != need.high:
        low = f"{curve.more(need.low):,}"
        words += f" ({low} to {curve.more(need.high):,})" if isfinite(need.high) else f" (at least {low})"
    words += f" {GOALS[need.goal]}"
    months = curve.more_months(need.growth)
    if months is None:
        return words
    return f"{words}; at the present pace about {max(round(months), 1):,} month{'s' if months >= 1.5 else ''}"


def model_card(model: PropensityModel, evaluation: Evaluation | None, audit: Sequence[Mapping[str, Any]]) -> str:
    """Write the model card, Markdown. Figures are rounded: the bundle's bytes must not hang on the last bits.

    Parameters
    ----------
    model : PropensityModel
    evaluation : Evaluation or None
    audit : sequence of mapping
        One a column, as training gives it.
    """
    facts, learned = model.facts, model.learned
    unit = "rows" if "leads" in facts else "leads"
    lines = [
        "# Model card",
        "",
        VERDICTS[model.verdict],
        "",
        "## Use",
        "",
        "- Intended: ordering leads for marketing and sales, with a person deciding. Human review is required.",
        "- Not for: pricing, credit, insurance, hiring, or any decision with legal or similarly significant effect.",
        "",
        "## Data",
        "",
        f"- {_counted(facts)}; target `{facts['target']}`: {facts['target_means']}.",
        *([f"- Records up to {facts['data_end'][:10]}."] if facts["data_end"] else []),
        f"- Data digest `{facts['data_digest'][:16]}`, config digest `{facts['config_digest'][:16]}`.",
        "",
        "## Features",
        "",
        "| column | family | kind | filled | known |",
        "|---|---|---|---|---|",
        *_feature_lines(model),
    ]
    review = [entry for entry in audit if entry["verdict"] == "REVIEW"]
    if review:
        lines += ["", "Used, and to be looked at:", ""]
        lines += [f"- {_cell(str(e['column']))}: {_cell(str(e['evidence']))}" for e in review]
    aside = [entry for entry in audit if entry["verdict"] in {"QUARANTINE", "UNUSED"}]
    if aside:
        lines += ["", "Not used:", "", *(f"- {_cell(str(e['column']))}: {_cell(str(e['evidence']))}" for e in aside)]
    if learned is not None and learned.monotone is not None:
        lines += _monotone_section(learned.monotone)
    if evaluation is not None:
        lines += ["", "## Evaluation", "", f"{HEADERS[evaluation.kind]}, then refitted on all rows.", ""]
        lines += ["| figure | value | 95 % interval |", "|---|---|---|"]
        lines += [
            f"| {name} | {m.value:.3f} | {m.low:.3f} to {m.high:.3f} |"
            for name, m in evaluation.headline.figures.items()
        ]
        calibration = evaluation.headline.calibration
        lines += [f"| consistency_p | {calibration.consistency_p:.3f} | |", ""]
        words = " ".join(line.strip() for line in calibration_lines(calibration, unit=unit) if line)
        lines.append(f"{words[0].upper()}{words[1:].removesuffix('.')}.")
    corrected = [] if learned is None else correction_lines(learned, base_rate=facts["base_rate"])
    if corrected:
        lines += ["", "## Segments", "", f"{CORRECTED[0].upper()}{CORRECTED[1:]}.", ""]
        lines += [f"- {_cell(line)}." for line in corrected]
    if learned is not None and learned.blend.recipe.tuned is not None:
        lines += ["", "## Tuning", ""]
        lines += [f"- {line[0].upper()}{line[1:]}." for line in tuned_lines(learned.blend.recipe.tuned)]
    lines += _overrides_section(evaluation)
    lines += _groups_section(evaluation)
    if learned is not None:
        lines += ["", "## Bands", ""]
        for band, promise, threshold in (
            (SQL, learned.bands.sql_promise, learned.bands.sql),
            (MQL, learned.bands.mql_promise, learned.bands.mql),
        ):
            stand = "certified" if promise.certified else "not certified"
            kind = "precision" if band == SQL else "recall with SQL"
            lines.append(f"- {band}: probability >= {threshold:.4f}; {kind} {promise.rate:.0%}, {stand}.")
        if learned.stability is not None:
            lines += [
                "",
                "`p_low` and `p_high` say how much a probability would move if the model were trained again on other "
                "leads of the same past. They are no confidence interval of a lead's own chance.",
            ]
    return "\n".join([*lines, *_limits(model, evaluation), ""])


def _feature_lines(model: PropensityModel) -> list[str]:
    """Write a line a column, and one for all that is counted of one kind of event."""
    at_cutoff = model.schema.cutoff is not None
    lines = []
    for group in model.reason_groups:
        columns = [model.schema.columns[i] for i in group.columns]
        if group.kinds:
            filled = f"{min(c.filled for c in columns):.0%} to {max(c.filled for c in columns):.0%}"
            kind = f"{len(columns)} numbers of events"
            lines.append(f"| {_cell(group.name)} | {group.family} | {kind} | {filled} | before each cutoff |")
            continue
        known = "at each cutoff, as far as its history goes" if at_cutoff else "as exported"
        lines += [f"| {_cell(c.name)} | {c.family} | {c.kind} | {c.filled:.0%} | {known} |" for c in columns]
    return lines


def _limits(model: PropensityModel, evaluation: Evaluation | None) -> list[str]:
    """Write what the model cannot promise."""
    said = [
        "It orders leads like those it learned from. A new market, product or way of working makes others of them: "
        "train again.",
        "Outcomes are of leads as they were worked. What calling a lead changes, it does not know.",
    ]
    if evaluation is not None and evaluation.kind == "folds":
        said.append("Nothing says how it does on newer leads than it learned from: the leads have no time.")
    if model.schema.cutoff is None:
        said.append("Columns are as exported: one that is written after the fact may have passed for a good one.")
    age = model.facts.get("max_age_days")
    if age and model.facts["data_end"]:
        said.append(f"It is not asked about leads more than {age} days after its records end: the rules answer then.")
    return ["", "## Limits", "", *(f"- {sentence}" for sentence in said)]


def _groups_section(evaluation: Evaluation | None) -> list[str]:
    """Write how the groups fare that were named to be looked at; nothing is corrected by it."""
    if evaluation is None or not evaluation.audit_groups:
        return []
    lines = ["", "## Groups", "", "On the test rows. Named to be looked at; nothing was corrected by it.", ""]
    lines += ["| column | group | rows | called SQL | converted / expected |", "|---|---|---|---|---|"]
    for row in evaluation.groups().to_dict("records"):
        share = f"{row['sql_share']:.1%} ({row['sql_low']:.1%} to {row['sql_high']:.1%})"
        oe = f"{row['oe']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
        cells = (_cell(str(row["column"])), _cell(str(row["group"])), f"{row['leads']:,}", share, oe)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _overrides_section(evaluation: Evaluation | None) -> list[str]:
    """Write what the rules that decide bands themselves would have cost or brought."""
    if evaluation is None or not evaluation.test.overrides:
        return []
    return ["", "## Overrides", "", *(f"- {_cell(line[11:])}." for line in override_lines(evaluation))]


def _monotone_section(monotone: Monotone) -> list[str]:
    """Write which directions scores keep, or were asked to."""
    cost = f"{monotone.cost:+.4f} (standard error {monotone.error:.4f})"
    became = (
        f"Held by all learners: with all else equal a score keeps to these from one known value to a higher one. Where "
        f"a missing value stands among them is free. On past leads the log loss changed by {cost}."
        if monotone.is_held
        else f"Asked for and left out, so scores need not keep to these: on past leads the log loss changed by {cost}."
    )
    ways = {"never falls as this rises": monotone.named(1), "never rises as this does": monotone.named(-1)}
    named = [f"- {_cell(name)}: the score {way}" for way, names in ways.items() for name in names]
    return ["", "## Monotone constraints", "", became, "", *named]


def _cell(text: str) -> str:
    r"""Write a text of the user's files into Markdown: shown, never read as markup.

    Examples
    --------
    >>> print(_cell("a|b [free](https://x.example) ![p](y)  <b>"))
    a\|b \[free\](https://x.example) !\[p\](y) \<b>
    """
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split())[:200])
