"""The only place for the order of training: backtest, refit on all rows, judge."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from propensity.config import Config
from propensity.evaluation import Evaluation, Predictions, evaluate
from propensity.explanations import dependence, explain, fit_reference, importance
from propensity.features.plan import DAYS_SINCE_CREATED
from propensity.folds import Split, boundaries, group_blocks
from propensity.guards import fit_guard
from propensity.learners import MayGoOn, check_tuner, margin_loss
from propensity.model import Learned, PropensityModel, Verdict, sealed
from propensity.quality import Flaw
from propensity.reporting import model_card, training_record
from propensity.schema import NURTURE, SQL, Tables, find_column, missing_words, read_texts
from propensity.training.audit import Audit, audit_prepared, prepare_any
from propensity.training.curve import Curve, few_curve, learning_curve, months_for
from propensity.training.learning import fit_points_calibrator, learn, time_bound
from propensity.training.monotone import monotone_warnings
from propensity.training.pasts import Pasts
from propensity.training.race import Race
from propensity.training.rows import Examples, Prepared
from propensity.training.segments import segment_columns
from propensity.training.splitting import MIN_POSITIVES, can_learn, has_both, out_of_fold_blocks, splits
from propensity.training.tuning import Allowance

# Few honest lead files are as predictable as this; most that are hold a column written after the sale.
DOUBTFUL_AUC = 0.95
# A band that holds more of all leads parts nobody from anybody.
MANY = 0.8
# Rows that plots of contributions show.
SAMPLE_ROWS = 1000
# Rows whose contributions say what is typical: more would cost as much as the training and move a mean by little.
EXPLAINED_ROWS = 2000

# Newest leads that show who moves between bands where an agreement changes.
NEWEST_ROWS = 2000

Progress = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """What training gives back. Nothing is written.

    Parameters
    ----------
    model : PropensityModel
        Refitted on all rows.
    evaluation : Evaluation or None
        How the recipe did on rows it never saw; None where there was too little to learn from.
    audit : tuple of dict
        One a column: ``column, role, verdict, evidence, price``.
    flaws : tuple of Flaw
        What else in the file a person may want to mend.
    data : dict
        Rows, positives, base rate and what was dropped.
    warnings : tuple of str
        Sentences a person should read.
    sample : array of float, shape (up to 1000, n_features)
        Encoded training rows for plots, evenly spread over the file; never stored.
    curve : Curve
        Whether more history would help.
    importance : DataFrame
        What moves scores, as `explanations.importance` gives it; empty where nothing was learned.
    dependence : DataFrame
        How the points of the strongest columns go with what leads have, as `explanations.dependence` gives it.
    newest : DataFrame, shape (up to 2000, any)
        The newest training leads as read, to see who moves between bands; never stored.
    """

    model: PropensityModel
    evaluation: Evaluation | None
    audit: tuple[Mapping[str, Any], ...]
    flaws: tuple[Flaw, ...]
    data: Mapping[str, Any]
    warnings: tuple[str, ...]
    sample: np.ndarray
    curve: Curve
    importance: pd.DataFrame = field(default_factory=pd.DataFrame)
    dependence: pd.DataFrame = field(default_factory=pd.DataFrame)
    newest: pd.DataFrame = field(default_factory=pd.DataFrame)


def train(
    tables: Tables, config: Config, *, progress: Progress | None = None, tune: Allowance | None = None
) -> TrainingRun:
    """Train, calibrate and judge a model: on (lead, cutoff) rows made of tables, or on a flat lead file.

    Parameters
    ----------
    tables : Tables
    config : Config
    progress : callable (what, share done) or None
    tune : callable (share) -> callable (trials made) -> bool, or None
        Search for settings of boosted trees in every training, each within its own rows. Given the share of the
        searching that a training has, begins its time; what it gives says whether another trial may begin.

    Returns
    -------
    TrainingRun
        The same model for the same rows, config and seed at any number of threads; where rows have ids and
        order in the file means nothing, also in any order. With `tune` so too where it counts trials, not time.

    Raises
    ------
    InputError
        The file cannot be learned from, or what tuning needs is not installed; the message says what to mend.
    """
    tell = progress or (lambda _what, _share: None)
    if tune is not None:
        check_tuner()
    # One BLAS thread: sums in another order would change the last bits of a model.
    with threadpool_limits(1, user_api="blas"):
        tell("reading columns", 0.0)
        prepared = prepare_any(tables, config)
        tell("auditing columns", 0.0)
        audit, prepared = audit_prepared(prepared, config)
        y = prepared.examples.y
        if not has_both(y, MIN_POSITIVES):
            return _rules_run(prepared, audit, config)
        return _model_run(prepared, audit, config, tell, tune)


def older_gain(split: Split, prepared: Prepared, pasts: Pasts) -> np.ndarray:
    """Give how much lower each test row's log loss is because the older half of its past teaches too.

    The quick even blend answers for both, all rows of a past alike: a race each would double the time of training.
    Which half is newer, the number of rows says; rows of one instant stay together. NaN where the newer half alone
    holds too little to learn from.
    """
    examples = prepared.examples
    y, order = examples.y[split.test], examples.order
    if order is None:
        return np.full(len(y), np.nan)
    newer = Split(past=split.past[boundaries(order[split.past], np.array([0.5]))[0] :], test=split.test)
    if not can_learn(examples.y[newer.past]):
        return np.full(len(y), np.nan)
    race = Race(examples=examples, schema=prepared.schema, pasts=pasts)
    alone, both = (margin_loss(race.quick([part]), y) for part in (newer, split))
    return np.asarray(alone - both)


def predict_split(
    split: Split,
    prepared: Prepared,
    config: Config,
    *,
    pasts: Pasts,
    is_time: bool,
    tune: Callable[[], MayGoOn] | None = None,
) -> Predictions:
    """Fit everything on a split's past, search included, and score its test rows once."""
    examples = prepared.examples
    past = examples.take(split.past)
    past = past if is_time else replace(past, order=None)
    learned = learn(past, prepared, config, pasts=pasts, tune=tune)
    test = examples.take(split.test)
    probability = learned.probability(test.read)
    points = fit_points_calibrator(prepared.rules, past)
    rules = np.full(len(test.y), np.nan)
    sheet = prepared.rules.score(test.leads)
    if points is not None:
        rules = points.probability(prepared.rules.margin(sheet.points))
    overrides = {
        rule.name: (rule.override, sheet.holds[:, j]) for j, rule in enumerate(prepared.rules.rules) if rule.override
    }
    return Predictions(
        y=test.y,
        probability=probability,
        constant=np.full(len(test.y), np.average(past.y, weights=past.weights)),
        rules=rules,
        band=learned.bands.assign(probability, leads=test.leads),
        groups=test.groups,
        weight=test.weights,
        overrides=overrides,
    )


def _model_run(prepared: Prepared, audit: Audit, config: Config, tell: Progress, tune: Allowance | None) -> TrainingRun:
    seed = config.learner.seed
    prepared = _with_folds(prepared, seed=seed)
    examples = prepared.examples
    chosen, is_time = splits(examples, config)
    pasts = Pasts(examples, config.learner)
    steps = len(chosen) + 1 + is_time
    # Every training has as much time, so what is judged was searched for as long as what ships.
    tuning, allowed = ("", None) if tune is None else ("tuning and ", partial(tune, 1 / steps))
    segments = segment_columns(examples.read, prepared.schema)
    slices = {name: examples.read[name].to_numpy() for name in segments} | _audited(examples, config)
    parts = []
    for i, split in enumerate(chosen):
        tell(f"{tuning}judging on {'origin' if is_time else 'fold'} {i + 1} of {len(chosen)}", i / steps)
        found = predict_split(split, prepared, config, pasts=pasts, is_time=is_time, tune=allowed)
        parts.append(
            replace(
                found,
                period=None if examples.month is None else examples.month[split.test],
                slices={name: values[split.test] for name, values in slices.items()},
                older_gain=older_gain(split, prepared, pasts) if is_time else None,
            )
        )
    random = None
    if is_time:
        tell(f"{tuning}judging on a random split, to compare", len(chosen) / steps)
        blocks = group_blocks(examples.y, examples.groups, seed=seed)
        fifth = blocks.split(0, examples.groups)
        if can_learn(examples.y[fifth.past]):
            dealt = replace(prepared, examples=replace(examples, order=None, fold=blocks.of_row))
            random = predict_split(fifth, dealt, config, pasts=pasts, is_time=False, tune=allowed)
    evaluation = evaluate(
        parts,
        kind="time" if is_time else "folds",
        random=random,
        seed=seed,
        audit_groups=tuple(_audited(examples, config)),
    )
    tell(f"{tuning}training on all rows", 1 - 1 / steps)
    bound = time_bound(examples, prepared.schema)
    learned = learn(examples, prepared, config, pasts=pasts, with_ranges=True, tune=allowed)
    # What past origins did better without is no feature of the model.
    schema = prepared.schema
    schema = replace(schema, columns=tuple(c for c in schema.columns if c.name in {*learned.encoder.names}))
    verdict: Verdict = "skill" if evaluation.ranking_gain_low > 0 and learned.calibrator.slope > 0 else "no_skill"
    some = examples.read[[*schema.names]].iloc[_spread(len(examples.y), EXPLAINED_ROWS)]
    encoded = learned.encoder.encode(some)
    (margin, contributions, base), members = learned.blend.explain_by_learner(encoded)
    learned = replace(
        learned,
        guard=fit_guard(
            encoded,
            contributions,
            learned.encoder,
            uncovered=prepared.plan.behaviour_names,
            unranged=(DAYS_SINCE_CREATED, *bound),
        ),
    )
    probability = learned.calibrator.probability(margin)
    band = learned.bands.assign(probability)
    reference = fit_reference(
        contributions,
        some,
        schema,
        is_nurture=band == NURTURE,
        is_sql=band == SQL,
        members={name: parts for name, (_, parts) in members.items()},
    )
    explanation = explain(contributions, base, margin, probability, calibrator=learned.calibrator, reference=reference)
    tell("looking at what more leads would teach", 1 - 0.5 / steps)
    curve = _curve(
        chosen, prepared, config, learned, evaluation, pasts=pasts, is_time=is_time, is_skilled=verdict == "skill"
    )
    model = PropensityModel(
        schema=schema,
        rules=prepared.rules,
        verdict=verdict,
        learned=learned,
        reference=reference,
        points_calibrator=fit_points_calibrator(prepared.rules, examples),
        agreement=_agreement(config, learned),
        facts=_facts(prepared, config, evaluation) | _tuning(learned),
        plan=prepared.plan,
    )
    tell("done", 1.0)
    return _sealed_run(
        model=model,
        evaluation=evaluation,
        audit=audit.entries,
        flaws=audit.flaws,
        data=_data(prepared),
        warnings=(
            *_too_good(evaluation, contributions, schema.names),
            *_passing(bound, kept=schema.names),
            *monotone_warnings(learned.monotone),
            *_warnings(prepared, config, learned, is_time=is_time),
        ),
        sample=learned.encoder.encode(examples.read.iloc[_spread(len(examples.y), SAMPLE_ROWS)]),
        curve=curve,
        importance=importance(explanation, model.reason_groups, seed=seed),
        dependence=dependence(explanation, some, schema),
        newest=examples.leads.iloc[_newest(examples)].reset_index(drop=True),
    )


def _audited(examples: Examples, config: Config) -> dict[str, np.ndarray]:
    """Give the groups of each row that an audit is to look at; no feature is made of them here."""
    found = {}
    for name in config.evaluation.audit_groups:
        column = str(find_column(examples.leads, name, key="evaluation.audit_groups"))
        words = missing_words(config.data.missing, column)
        found[column] = read_texts(examples.leads[column], missing=words).to_numpy(dtype=object)
    return found


def _sealed_run(**found: Any) -> TrainingRun:
    """Give the run, its model with its card and with what there is to remember of its training."""
    run = TrainingRun(**found)
    card = model_card(run.model, run.evaluation, run.audit)
    return replace(run, model=sealed(replace(run.model, card=card, record=training_record(run))))


def _newest(examples: Examples) -> np.ndarray:
    """Give positions of the newest rows, at most so many; of rows without time, some of all."""
    n_rows = len(examples.y)
    if examples.order is None:
        return _spread(n_rows, NEWEST_ROWS)
    return np.arange(max(0, n_rows - NEWEST_ROWS), n_rows)


def _spread(n_rows: int, most: int) -> np.ndarray:
    """Give positions spread evenly over the rows, at most so many."""
    return np.unique(np.linspace(0, n_rows - 1, min(n_rows, most)).astype(int))


def _with_folds(prepared: Prepared, *, seed: int) -> Prepared:
    """Deal leads without order into folds once: those that judge a fold are then folds of its past too.

    What is trained without two folds serves both, and what is trained without one its fold and the model that ships.
    """
    examples = prepared.examples
    if examples.order is not None or examples.fold is not None:
        return prepared
    return replace(
        prepared, examples=replace(examples, fold=group_blocks(examples.y, examples.groups, seed=seed).of_row)
    )


def _curve(
    chosen: Sequence[Split],
    prepared: Prepared,
    config: Config,
    learned: Learned,
    evaluation: Evaluation,
    *,
    pasts: Pasts,
    is_time: bool,
    is_skilled: bool,
) -> Curve:
    """Measure the learning curve on out-of-fold rows of the last split's past; its test rows are not read again."""
    examples, seed = prepared.examples, config.learner.seed
    past = examples.take(chosen[-1].past)
    past = past if is_time else replace(past, order=None)
    half_life = learned.blend.recipe.half_life
    race = Race(examples=past, schema=prepared.schema, pasts=pasts, half_life=half_life)

    return learning_curve(
        past,
        out_of_fold_blocks(past, seed=seed),
        lambda split: race.quick([split]),
        positives=int(examples.y.sum()),
        n_rows=len(examples.y),
        months=_months(prepared),
        seed=seed,
        evaluated_size=float(np.mean([len(split.past) for split in chosen])) / len(examples.y),
        n_evaluated=len(evaluation.judged.y),
        is_skilled=is_skilled,
        promise=learned.bands.sql_promise,
        n_positive=float((examples.weights * examples.y).sum()),
        confidence=config.agreement.confidence,
    )


def _months(prepared: Prepared) -> float | None:
    """Give the months in which so many leads as there are come in, at the newest pace."""
    return months_for(_n_leads(prepared).get("leads", len(prepared.examples.y)), prepared.leads_per_week)


def _rules_run(prepared: Prepared, audit: Audit, config: Config) -> TrainingRun:
    n_positive = int(prepared.examples.y.sum())
    model = PropensityModel(
        schema=prepared.schema,
        rules=prepared.rules,
        verdict="rules_only",
        agreement=_terms(config),
        facts=_facts(prepared, config, None),
        plan=prepared.plan,
    )
    sentence = (
        f"{n_positive} of {len(prepared.examples.y)} leads converted; a model needs at least {MIN_POSITIVES} that did "
        f"and {MIN_POSITIVES} that did not. Until then the rules answer."
    )
    return _sealed_run(
        model=model,
        evaluation=None,
        audit=audit.entries,
        flaws=audit.flaws,
        data=_data(prepared),
        warnings=(sentence, *prepared.said),
        sample=np.empty((0, len(prepared.schema.columns))),
        curve=few_curve(n_positive, least=MIN_POSITIVES, months=_months(prepared)),
    )


def _agreement(config: Config, learned: Learned) -> dict[str, Any]:
    """Give the agreement with the precision that was really aimed at."""
    return {**_terms(config), "sql_precision": learned.bands.sql_promise.rate}


def _terms(config: Config) -> dict[str, Any]:
    """Give what was agreed on as plain JSON values, and of which conversions it speaks."""
    agreement = config.agreement.model_dump(mode="json")
    conversion = config.agreement.conversion or config.columns.target or "conversion"
    return {**agreement, "conversion": conversion, "horizon_days": config.labels.horizon_days}


def _facts(prepared: Prepared, config: Config, evaluation: Evaluation | None) -> dict[str, Any]:
    source = json.dumps(config.digest_source(), sort_keys=True, default=str)
    y = prepared.examples.y
    return {
        **_n_leads(prepared),
        "rows": len(y),
        "positives": int(y.sum()),
        "base_rate": round(float(y.mean()), 6),
        "target": config.columns.target or "conversion",
        "target_means": prepared.target,
        "date": config.columns.date or "",
        "timezone": config.data.timezone,
        "data_end": prepared.data_end,
        "evaluated": evaluation.kind if evaluation else "",
        "calibrated": evaluation is None or evaluation.is_calibrated,
        "data_digest": prepared.digest,
        "config_digest": hashlib.sha256(source.encode()).hexdigest(),
        "max_age_days": config.registry.max_age_days,
    }


def _tuning(learned: Learned) -> dict[str, Any]:
    """Give what tuning found: time decided how far it came, so rows, config and seed do not tell it."""
    tuned = learned.blend.recipe.tuned
    return {} if tuned is None else {"tuning": tuned.to_dict()}


def _n_leads(prepared: Prepared) -> dict[str, int]:
    """Count the leads where they are not the rows: a lead is seen at several cutoffs."""
    if prepared.schema.cutoff is None:
        return {}
    return {"leads": int(prepared.examples.leads[prepared.schema.id].nunique())}


def _data(prepared: Prepared) -> dict[str, Any]:
    y = prepared.examples.y
    return {
        **_n_leads(prepared),
        "rows": len(y),
        "positives": int(y.sum()),
        "base_rate": float(y.mean()),
        "matured": len(y),
        "dropped": dict(prepared.dropped),
    }


def _too_good(evaluation: Evaluation, contributions: np.ndarray, names: Sequence[str]) -> list[str]:
    """Doubt a result that leads rarely give, and name the columns behind it."""
    auc = evaluation.headline.metrics["auc"].value
    if not auc >= DOUBTFUL_AUC:
        return []
    weight = np.abs(contributions - contributions.mean(axis=0)).mean(axis=0)
    behind = ", ".join(repr(names[j]) for j in np.argsort(-weight, kind="stable")[:2])
    return [
        f"AUC {auc:.3f} is more than leads usually give away. Was {behind} known before the outcome? "
        "If not, ignore it and train again."
    ]


def _passing(bound: Mapping[str, float], *, kept: Sequence[str]) -> list[str]:
    """Name the columns that tell the time, and what became of them."""
    if not bound:
        return []
    named = ", ".join(f"{name!r} ({share:.0%})" for name, share in list(bound.items())[:5])
    more = f" and {len(bound) - 5} more" if len(bound) > 5 else ""
    told = f"{named}{more} tell when a lead came more than who it is (in brackets: how much of the order in time)"
    if {*bound} & {*kept}:
        return [f"{told}. On past origins the model was not surely better without: they are used; they may not last."]
    return [f"{told}. On past origins the model was better without: left out."]


def _uncertified(config: Config, learned: Learned) -> str:
    """Say that the SQL promise could not be certified, and the ways out."""
    promise, agreed = learned.bands.sql_promise, config.agreement
    if agreed.policy != "promise":
        why = "fits the capacity" if agreed.policy == "capacity" else "pays"
        return f"A precision of {promise.rate:.0%} of the SQL band that {why} could not be certified."
    kept = (
        f"about {promise.certifiable:.0%} is what the same leads would certify"
        if promise.certifiable
        else "these leads would certify no rate worth naming"
    )
    return (
        f"The SQL promise ({promise.rate:.0%} convert) could not be certified; the top {agreed.uncertified_top:.0%} of "
        f"leads are called SQL, marked uncertified. Two ways out: agree on a lower agreement.sql_precision ({kept}), "
        'or on what sales can work (agreement.policy = "capacity").'
    )


def _never_met(prepared: Prepared) -> list[str]:
    """Name rules that held for no past lead: mostly words or events that are spelled otherwise in the data."""
    holds = prepared.rules.score(prepared.examples.leads).holds
    idle = [rule.name for rule, met in zip(prepared.rules.rules, holds.T, strict=True) if not met.any()]
    if not idle:
        return []
    more = f" and {len(idle) - 5:,} more" if len(idle) > 5 else ""
    named = ", ".join(repr(name[:40]) for name in idle[:5])
    return [
        f"Rules that no past lead met: {named}{more} ([[rules.points]]). Are words and events spelled as in the data?"
    ]


def _warnings(prepared: Prepared, config: Config, learned: Learned, *, is_time: bool) -> tuple[str, ...]:
    found = [*prepared.said, *(f"{name}: {note}" for name, note in prepared.notes.items())]
    if (
        not is_time
        and (config.columns.ordered or config.columns.date or config.has_tables)
        and not config.evaluation.fold_column
    ):
        found.append("Too little history to test in time order; folds were used instead.")
    if config.agreement.sql_precision is None:
        found.append(
            f"agreement.sql_precision is not set; {learned.bands.sql_promise.rate:.0%} was aimed at: three times the "
            "base rate, at most 80%."
        )
    if not learned.bands.sql_promise.certified:
        found.append(_uncertified(config, learned))
    worked, recall = learned.bands.sql_share + learned.bands.mql_share, learned.bands.mql_promise
    if worked > MANY:
        stands = f"on {recall.n_leads:,} conversions none is certified" if recall.certified else "none is expected"
        found.append(
            f"SQL and MQL together are {worked:.0%} of leads. For a recall of {recall.rate:.0%} with fewer, {stands}: "
            "more history, or a lower agreement.mql_recall, leaves more leads to nurture."
        )
    found += _never_met(prepared)
    if learned.bands.mql >= learned.bands.sql:
        found.append(
            "Every lead that would be MQL is SQL already: raise agreement.sql_precision to leave a band between."
        )
    return tuple(found)
