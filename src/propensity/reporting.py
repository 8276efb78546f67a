"""The only place that words results: the summary of a run, the model card, the commented config."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from propensity.bands import default_precision
from propensity.evaluation import HEADERS
from propensity.schema import MQL, SQL

if TYPE_CHECKING:
    from propensity.bands import Bands
    from propensity.evaluation import Evaluation, Measured
    from propensity.model import PropensityModel
    from propensity.roles import Guess
    from propensity.training import TrainingRun

# Most that each proposed group of rules may give.
GROUP_MAX = {"fit": 50, "behaviour": 60}
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
            "n_trees": learned.blend.recipe.n_trees if learned.blend.forest else 0,
            "forest_share": learned.blend.recipe.forest_share,
            "slope": learned.calibrator.slope,
            "intercept": learned.calibrator.intercept,
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
    }


def _promise(bands: Bands, band: str) -> dict[str, Any]:
    promise = bands.sql_promise if band == SQL else bands.mql_promise
    share = bands.sql_share if band == SQL else bands.mql_share
    return {**vars(promise), "share": share, "leads_per_week": _weekly(share, bands)}


def _weekly(share: float, bands: Bands) -> float | None:
    return None if bands.leads_per_week is None else share * bands.leads_per_week


def training_summary(run: TrainingRun) -> list[str]:
    """Word a training run for people, line by line."""
    data, evaluation, learned = run.data, run.evaluation, run.model.learned
    rows = f"{data['rows']:,} with a known outcome"
    if "leads" in data:
        rows = f"{data['leads']:,}, seen at {data['rows']:,} cutoffs whose outcome has matured"
    lines = [
        f"Leads      {rows}, {data['positives']:,} converted ({data['base_rate']:.1%})",
        f"           {run.model.facts['target_means']}",
    ]
    if data["dropped"]:
        counted = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in data["dropped"].items())
        lines.append(f"           not used: {counted}")
    if evaluation is not None and learned is not None:
        lines += ["", f"{HEADERS[evaluation.kind]}, then refitted on all rows."]
        lines += _table(evaluation)
        lines += _learner_lines(run)
        lines += ["", *band_lines(learned.bands, evaluation)]
    lines += ["", VERDICTS[run.model.verdict]]
    if run.warnings:
        lines += ["", "Please note", *(f"  - {sentence}" for sentence in run.warnings)]
    return lines


def _table(evaluation: Evaluation) -> list[str]:
    test = evaluation.headline
    rows: list[tuple[str, Measured | None]] = [
        ("model", test),
        ("points sheet, same leads", evaluation.rules),
        ("model on a random split", evaluation.random),
    ]
    lines = [
        "",
        f"           Test leads {test.n_rows:,}, base rate {test.base_rate:.1%} "
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


def _learner_lines(run: TrainingRun) -> list[str]:
    learned = run.model.learned
    if learned is None:
        return []
    share = learned.blend.recipe.forest_share
    if share == 0:
        what = "logistic regression alone: boosted trees did not beat it in block after block"
    elif share == 1:
        what = f"{learned.blend.recipe.n_trees} boosted trees"
    else:
        what = f"{share:.0%} {learned.blend.recipe.n_trees} boosted trees, {1 - share:.0%} logistic regression"
    calibrator = learned.calibrator
    return [
        "",
        f"Learner    {what}",
        f"           calibrated: {calibrator.slope:.2f} x margin {calibrator.intercept:+.2f}, from "
        f"{calibrator.n_rows:,} out-of-fold leads",
    ]


def band_lines(bands: Bands, evaluation: Evaluation) -> list[str]:
    """Word the two thresholds, what they promise and what they held on the test leads."""
    held = {row["band"]: row for row in evaluation.bands().to_dict("records")}
    lines = ["Bands"]
    for band, threshold, share, promise, verb, unit in (
        (SQL, bands.sql, bands.sql_share, bands.sql_promise, "convert", "leads"),
        (MQL, bands.mql, bands.mql_share, bands.mql_promise, "of all conversions are in MQL or SQL", "conversions"),
    ):
        weekly = _weekly(share, bands)
        volume = f"{weekly:,.1f} a week" if weekly is not None else f"{1000 * share:,.0f} of 1,000 leads"
        # The lower bound belongs to a threshold that passed its test; beside one that did not it would look like one.
        stand = (
            f"certified (observed {promise.observed:.1%}, at least {promise.low:.1%})"
            if promise.certified
            else f"NOT CERTIFIED (observed {promise.observed:.1%} on {promise.n_leads:,} {unit})"
        )
        tested = held[band]
        found = f"{tested['rate']:.1%} ({tested['low']:.1%}-{tested['high']:.1%})" if tested["leads"] else "none"
        lines += [
            f"  {band}      probability >= {threshold:.4f}: about {volume} ({share:.1%})",
            f"           promise: {promise.rate:.0%} {verb} - {stand}",
            f"           test leads, at the threshold set before them: {tested['leads']:,} leads, converted {found}",
        ]
    return lines


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
        f"- {facts['rows']} leads, {facts['positives']} converted ({facts['base_rate']:.1%}); target "
        f"`{facts['target']}`: {facts['target_means']}.",
        f"- Data digest `{facts['data_digest'][:16]}`, config digest `{facts['config_digest'][:16]}`.",
        "",
        "## Features",
        "",
        "| column | family | kind | filled |",
        "|---|---|---|---|",
        *(f"| {_cell(c.name)} | {c.family} | {c.kind} | {c.filled:.0%} |" for c in model.schema.columns),
    ]
    aside = [entry for entry in audit if entry["verdict"] in {"LEFT OUT", "UNUSED"}]
    if aside:
        lines += ["", "Not used:", "", *(f"- {_cell(str(e['column']))}: {_cell(str(e['evidence']))}" for e in aside)]
    if evaluation is not None:
        lines += ["", "## Evaluation", "", f"{HEADERS[evaluation.kind]}, then refitted on all rows.", ""]
        lines += ["| figure | value | 95 % interval |", "|---|---|---|"]
        lines += [
            f"| {name} | {m.value:.3f} | {m.low:.3f} to {m.high:.3f} |"
            for name, m in evaluation.headline.metrics.items()
        ]
    if learned is not None:
        lines += ["", "## Bands", ""]
        for band, promise, threshold in (
            (SQL, learned.bands.sql_promise, learned.bands.sql),
            (MQL, learned.bands.mql_promise, learned.bands.mql),
        ):
            stand = "certified" if promise.certified else "not certified"
            kind = "precision" if band == SQL else "recall with SQL"
            lines.append(f"- {band}: probability >= {threshold:.4f}; {kind} {promise.rate:.0%}, {stand}.")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())[:200]


def config_text(
    guesses: Sequence[Guess],
    rules: Sequence[Mapping[str, Any]],
    *,
    leads: str,
    positive: str | None,
    base_rate: float | None,
    is_ordered: bool,
    missing_words: Sequence[str],
) -> str:
    """Write a commented `propensity.toml` that a person can correct.

    Parameters
    ----------
    guesses : sequence of Guess
    rules : sequence of mapping
        Lines of ``[[rules.points]]``.
    leads : str
        Path of the lead file, relative to the config.
    positive : str or None
        The target's value that means converted.
    base_rate : float or None
        Of rows with a known outcome.
    is_ordered : bool
    missing_words : sequence of str
    """
    by_role: dict[str, list[Guess]] = {}
    for guess in guesses:
        by_role.setdefault(guess.role, []).append(guess)
    # "*" stands for every column, so a column of that name has no words of its own.
    sentinels = {g.column: [int(n) for n in g.missing] for g in guesses if g.missing and g.column != "*"}
    missing = "{" + ", ".join(
        [f'"*" = {_toml([*missing_words])}', *(f"{_toml(name)} = {_toml(words)}" for name, words in sentinels.items())]
    )
    lines = [
        "# What the columns are and what was agreed. Correct what was guessed wrongly; every key has one home.",
        "",
        "[data]",
        f"leads = {_toml(leads)}",
        f"missing = {missing}}}  # words that mean nothing is known; a column's own are added",
        "",
        "[columns]",
    ]
    for role in ("id", "group", "target"):
        lines += [f"{role} = {_toml(guess.column)}  # {guess.reason}" for guess in by_role.get(role, [])]
    if positive is not None:
        lines.append(f"positive = {_toml(positive)}  # this value means converted")
    newer = "newer leads test what older ones taught"
    lines += [f"date = {_toml(guess.column)}  # {guess.reason}; {newer}" for guess in by_role.get("date", [])]
    if is_ordered:
        lines.append("ordered = true  # row order is time order")
    used = [*by_role.get("outcome", [])]
    for role in ("fit", "behaviour"):
        members = [*by_role.get(role, []), *(used if role == "behaviour" else [])]
        lines += _column_list(role, members)
    lines += _column_list("ignore", by_role.get("ignore", []))
    counts = [guess.column for guess in guesses if guess.is_count]
    lines.append(f"count = {_toml(counts)}  # never negative; a negative value is an error")
    if used:
        lines += ["", '[availability]  # "outcome" sets a column aside; "static" restores it']
        lines += [f'{_toml(guess.column)} = "outcome"  # {guess.reason}' for guess in used]
    lines += ["", "[evaluation]", "origins = 5  # how often the past is asked to predict what came next"]
    lines += ["", "[learner]", "seed = 0", "max_trees = 3000  # keeps exact reasons cheap", "max_depth = 8"]
    lines += ["", "[agreement]  # what marketing and sales agree on", 'policy = "promise"  # or "capacity"']
    if base_rate is not None:
        rate = default_precision(base_rate)
        lines.append(
            f"sql_precision = {rate}  # SQLs convert at this rate or more; three times the base rate of {base_rate:.1%}"
        )
    lines += [
        "mql_recall = 0.9  # MQL and SQL together hold this share of all conversions",
        "confidence = 0.9  # how sure the two promises must be, together",
        "# capacity_per_week = 42  # for policy capacity: leads sales can work in a week; needs columns.date",
        "uncertified_top = 0.05  # called SQL, marked uncertified, when the promise cannot be certified",
        'sql = {owner = "sales", action = "call within a day"}',
        'mql = {owner = "marketing", action = "nurture"}',
    ]
    groups = {role: [rule for rule in rules if rule.get("group") == role] for role in GROUP_MAX}
    gains = {role: sum(max(rule["points"], 0) for rule in members) for role, members in groups.items()}
    most = sum(min(gain, GROUP_MAX[role]) for role, gain in gains.items()) or 100
    lines += [
        "",
        "[rules]  # the points sheet behind the model; proposed from names, not from outcomes",
        f"mql = {round(0.4 * most)}  # 40 % of the most a lead can reach",
        f"sql = {round(0.7 * most)}  # 70 %",
        "points_to_double_odds = 20",
        'groups = {fit = {family = "fit", min = -50, max = 50}, '
        'behaviour = {family = "behaviour", min = -50, max = 60}}  # a group\'s points stay within',
    ]
    for line in rules:
        lines += ["", "[[rules.points]]", *(f"{key} = {_toml(value)}" for key, value in line.items())]
    lines += ["", "[registry]", 'name = "lead-propensity"', "max_age_days = 180", ""]
    return "\n".join(lines)


def _column_list(role: str, members: Sequence[Guess]) -> list[str]:
    if not members:
        return [f"{role} = []"]
    lines = [f"{role} = ["]
    for guess in members:
        notes = [guess.reason if role == "ignore" else ""]
        notes.append("sensitive: near a protected trait, watch it" if guess.is_sensitive else "")
        notes.append("set aside below" if guess.role == "outcome" else "")
        comment = "; ".join(note for note in notes if note)
        lines.append(f"    {_toml(guess.column)},{f'  # {comment}' if comment else ''}")
    return [*lines, "]"]


def _toml(value: object) -> str:
    r"""Write a value as TOML: JSON's strings, numbers and lists are TOML's too, but for the delete character.

    Examples
    --------
    >>> print(_toml('a "b"'), _toml([1, 2.5, True]))
    "a \"b\"" [1, 2.5, true]
    """
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
