"""The only place for the order of training: read, backtest, refit on all rows, judge."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from propensity.asof import parse_stamps
from propensity.bands import default_precision, fit_bands
from propensity.calibration import Calibrator, fit_calibrator
from propensity.config import Config
from propensity.encoding import fit_encoder
from propensity.errors import InputError
from propensity.evaluation import Evaluation, Predictions, evaluate
from propensity.explanations import fit_reference
from propensity.folds import Blocks, Split, given_blocks, group_blocks, time_blocks, time_origins
from propensity.labels import read_target
from propensity.learners import candidate_margins, choose_recipe, fit_blend
from propensity.model import Learned, PropensityModel, Verdict, sealed
from propensity.reporting import model_card
from propensity.rules import Rules, build_rules
from propensity.schema import (
    NURTURE,
    Schema,
    Tables,
    content_digest,
    find_column,
    infer_schema,
    missing_words,
    normalise_name,
    read_ids,
    read_texts,
    row_hashes,
    validate,
)

# Fewer conversions (or fewer leads without one) than this teach nothing that rules do not know.
MIN_POSITIVES = 40
# Few honest lead files are as predictable as this; most that are hold a column written after the sale.
DOUBTFUL_AUC = 0.95
# Every fold is a whole training of its own.
MAX_FOLDS = 50
# Rows that plots of contributions show.
SAMPLE_ROWS = 1000
# Weeks that say how many leads come in.
VOLUME_WEEKS = 8

Progress = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Training rows in their canonical order, ready to learn from.

    Parameters
    ----------
    leads : DataFrame, shape (n_rows, any)
        As given.
    read : DataFrame, shape (n_rows, n_features)
        Numbers and canonical text.
    y : array of {0, 1}, shape (n_rows,)
    groups : array of int, shape (n_rows,)
        Rows of one lead or account.
    order : array of int or None, shape (n_rows,)
        Non-decreasing rank in time; None where there is no order.
    fold : array of int or None, shape (n_rows,)
        The user's own folds.
    """

    leads: pd.DataFrame
    read: pd.DataFrame
    y: np.ndarray
    groups: np.ndarray
    order: np.ndarray | None
    fold: np.ndarray | None

    def take(self, rows: np.ndarray) -> Examples:
        """Give these rows alone, in the order named."""
        return Examples(
            leads=self.leads.iloc[rows],
            read=self.read.iloc[rows].reset_index(drop=True),
            y=self.y[rows],
            groups=self.groups[rows],
            order=None if self.order is None else self.order[rows],
            fold=None if self.fold is None else self.fold[rows],
        )


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A training file, read.

    Parameters
    ----------
    examples : Examples
    schema : Schema
    rules : Rules
    notes : dict of column to str
        Features left out, and why.
    dropped : dict of str to int
        Rows not used, by reason.
    target : str
        What was read as converted, in words.
    leads_per_week : float or None
    data_end : str
        The newest stamp, ISO; empty without dates.
    digest : str
        The sha256 of the canonical rows.
    """

    examples: Examples
    schema: Schema
    rules: Rules
    notes: Mapping[str, str]
    dropped: Mapping[str, int]
    target: str
    leads_per_week: float | None
    data_end: str
    digest: str


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
    data : dict
        Rows, positives, base rate and what was dropped.
    warnings : tuple of str
        Sentences a person should read.
    sample : array of float, shape (up to 1000, n_features)
        Encoded training rows for plots, evenly spread over the file; never stored.
    """

    model: PropensityModel
    evaluation: Evaluation | None
    audit: tuple[Mapping[str, Any], ...]
    data: Mapping[str, Any]
    warnings: tuple[str, ...]
    sample: np.ndarray


def train(tables: Tables, config: Config, *, progress: Progress | None = None) -> TrainingRun:
    """Train, calibrate and judge a model on a flat lead file.

    Parameters
    ----------
    tables : Tables
    config : Config
    progress : callable (what, share done) or None

    Returns
    -------
    TrainingRun
        The same model for the same rows, config and seed at any number of threads; where rows have ids and
        order in the file means nothing, also in any order.

    Raises
    ------
    InputError
        The file cannot be learned from; the message says what to mend.
    """
    tell = progress or (lambda _what, _share: None)
    # One BLAS thread: sums in another order would change the last bits of a model.
    with threadpool_limits(1, user_api="blas"):
        tell("reading columns", 0.0)
        prepared = prepare(tables.leads, config)
        y = prepared.examples.y
        if min(y.sum(), len(y) - y.sum()) < MIN_POSITIVES:
            return _rules_run(prepared, config)
        return _model_run(prepared, config, tell)


def prepare(leads: pd.DataFrame, config: Config) -> Prepared:
    """Read a training file: target, order, groups, folds and features, in canonical row order.

    Raises
    ------
    InputError
        All that is wrong with columns or rows.
    """
    columns, words = config.columns, config.data.missing
    for name in config.availability:
        find_column(leads, name, key="availability")
    for name in words:
        if name != "*":
            find_column(leads, name, key="data.missing")
    if columns.target is None:
        msg = "columns.target must name the column that says who converted. Run: propensity init LEADS --target COLUMN"
        raise InputError(msg)
    if len(leads) == 0:
        msg = "The file has a header but no rows. Give leads whose outcome is known."
        raise InputError(msg)
    target_column = find_column(leads, columns.target, key="columns.target")
    target = read_target(
        leads[target_column],
        positive=columns.positive,
        missing=missing_words(words, str(target_column)),
        name=str(target_column),
    )
    dropped = {"target_missing": int(np.isnan(target.y).sum())}
    leads = leads[~np.isnan(target.y)].reset_index(drop=True)
    y = target.y[~np.isnan(target.y)]
    stamps = None
    if columns.date:
        date = find_column(leads, columns.date, key="columns.date")
        filled = read_texts(leads[date], missing=missing_words(words, str(date))).notna().to_numpy()
        stamps = parse_stamps(leads[date].where(filled), timezone=config.data.timezone, name=str(date)).at
        known = stamps.notna().to_numpy()
        dropped["date_missing"] = int((~known).sum())
        leads, y, stamps = leads[known].reset_index(drop=True), y[known], stamps[known].reset_index(drop=True)
        if len(leads) == 0:
            msg = f"Column {columns.date!r} (columns.date) is empty in every row. Name another, or take the line out."
            raise InputError(msg)
    schema, notes = infer_schema(leads, columns, availability=config.availability, missing=words)
    beside = {
        "columns.target": columns.target,
        "columns.date": columns.date,
        "columns.group": columns.group,
        "evaluation.fold_column": config.evaluation.fold_column,
    }
    rules = build_rules(config.rules, missing=words, schema=schema)
    named = [str(find_column(leads, name, key=key)) for key, name in beside.items() if name]
    rows = validate(leads, schema, also=[*named, *rules.columns_beside(schema, leads)])
    dropped |= {"id_missing": rows.notes.get("missing_ids", 0), "identical": rows.notes.get("identical_rows", 0)}
    leads, y = leads.iloc[rows.position].reset_index(drop=True), y[rows.position]
    hashes = row_hashes(rows.read)
    keys = None if schema.id is None else read_ids(rows.ids, missing=schema.missing)
    stamps = None if stamps is None else stamps.iloc[rows.position].reset_index(drop=True)
    canonical, order = _canonical_order(keys, stamps, hashes, ordered=columns.ordered)
    group = _groups(leads, columns.group) if columns.group else None
    fold = _folds(leads, config.evaluation.fold_column) if config.evaluation.fold_column else None
    own_group = hashes if keys is None else pd.factorize(keys)[0]
    examples = Examples(
        leads=leads.iloc[canonical].reset_index(drop=True),
        read=rows.read.iloc[canonical].reset_index(drop=True),
        y=y[canonical],
        # Numbered in canonical order: folds are dealt by these numbers, so the file's order must not show in them.
        groups=pd.factorize((own_group if group is None else group)[canonical])[0],
        order=order,
        fold=None if fold is None else fold[canonical],
    )
    return Prepared(
        examples=examples,
        schema=schema,
        rules=rules,
        notes=notes,
        dropped={name: n for name, n in dropped.items() if n},
        target=target.sentence,
        leads_per_week=None if stamps is None else _leads_per_week(stamps),
        data_end=_data_end(config, stamps),
        digest=content_digest(
            examples.read.assign(**{"target ": examples.y}),
            order=None if keys is None else [*keys.iloc[canonical]],
        ),
    )


def _canonical_order(
    keys: pd.Series | None, stamps: pd.Series | None, hashes: np.ndarray, *, ordered: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Give the rows' canonical order, and their rank in time after it."""
    n_rows = len(hashes)
    if ordered:
        return np.arange(n_rows), np.arange(n_rows)
    frame = pd.DataFrame({"row": np.arange(n_rows)})
    if stamps is not None:
        frame["stamp"] = stamps
    if keys is not None:
        frame["key"] = keys
    by = [name for name in ("stamp", "key") if name in frame] or ["row"]
    canonical = frame.sort_values(by, kind="stable")["row"].to_numpy()
    order = None if stamps is None else stamps.rank(method="dense").to_numpy(dtype=int)[canonical]
    return canonical, order


def _groups(leads: pd.DataFrame, name: str) -> np.ndarray:
    """Give a number to each account, and one of its own to each row without."""
    texts = read_texts(leads[find_column(leads, name, key="columns.group")], missing=())
    codes, uniques = pd.factorize(texts, sort=True)
    return np.where(codes < 0, len(uniques) + np.arange(len(codes)), codes)


def _folds(leads: pd.DataFrame, name: str) -> np.ndarray:
    """Give a number to each of the user's folds; every row must be in one."""
    texts = read_texts(leads[find_column(leads, name, key="evaluation.fold_column")], missing=())
    n_without = int(texts.isna().sum())
    if n_without:
        msg = (
            f"Column {name!r} (evaluation.fold_column) is empty in {n_without} rows. "
            "Give every lead a fold, or take the line out."
        )
        raise InputError(msg)
    folds, labels = pd.factorize(texts, sort=True)
    if len(labels) > MAX_FOLDS:
        msg = f"Column {name!r} (evaluation.fold_column) names {len(labels)} folds; at most {MAX_FOLDS} are judged."
        raise InputError(msg)
    return folds


def _data_end(config: Config, stamps: pd.Series | None) -> str:
    """Give the instant up to which the data knows: as configured, else the newest stamp; empty without either."""
    given = config.data.extracted_at
    if given is not None:
        written = pd.Series([given.isoformat()])
        stamps = parse_stamps(written, timezone=config.data.timezone, name="data.extracted_at").at
    return "" if stamps is None else str(stamps.max().isoformat())


def _leads_per_week(stamps: pd.Series) -> float:
    span = (stamps.max() - stamps.min()).total_seconds() / (7 * 24 * 3600)
    weeks = min(max(span, 1.0), VOLUME_WEEKS)
    newest = stamps > stamps.max() - pd.Timedelta(weeks=weeks)
    return round(float(newest.sum() / weeks), 3)


def learn(examples: Examples, prepared: Prepared, config: Config) -> Learned:
    """Fit everything between read values and bands on these rows alone.

    Out-of-fold margins of all blocks but the last choose the recipe and fit the calibrator, those of the last
    certify the thresholds, so no row judges itself; then the recipe is trained on all rows.

    Parameters
    ----------
    examples : Examples
    prepared : Prepared
    config : Config

    Returns
    -------
    Learned
    """
    learner, y = config.learner, examples.y
    blocks = out_of_fold_blocks(examples, seed=learner.seed)
    parts: dict[str | int, np.ndarray] = {}
    for block in range(blocks.n_blocks):
        split = blocks.split(block, examples.groups)
        # Ranges and levels too come from the block's past alone: the linear part clips to them.
        teaching = examples.read.iloc[split.past]
        encoder = fit_encoder(teaching, prepared.schema)
        margins = candidate_margins(
            encoder.encode(teaching),
            y[split.past],
            encoder.encode(examples.read.iloc[split.test]),
            encoder=encoder,
            max_trees=learner.max_trees,
            max_depth=learner.max_depth,
            seed=learner.seed,
        )
        for name, margin in margins.items():
            parts.setdefault(name, np.full(len(y), np.nan))[split.test] = margin
    of_row, last = blocks.of_row, blocks.n_blocks - 1
    before, newest = (of_row >= 0) & (of_row < max(last, 1)), of_row == last
    candidates = {name: margin[before] for name, margin in parts.items()}
    recipe = choose_recipe(candidates, y[before], block=of_row[before])
    margin = recipe.forest_share * parts[recipe.n_trees] + (1 - recipe.forest_share) * parts["linear"]
    calibrator = fit_calibrator(margin[before], y[before], of_row[before], is_time=blocks.is_time)
    bands = fit_bands(
        calibrator.probability(margin[before]),
        calibrator.probability(margin[newest]),
        y[newest],
        agreement=config.agreement,
        base_rate=float(y.mean()),
        leads_per_week=prepared.leads_per_week,
        n_positive=int(y.sum()),
    )
    encoder = fit_encoder(examples.read, prepared.schema)
    matrix = encoder.encode(examples.read)
    blend = fit_blend(matrix, y, encoder=encoder, recipe=recipe, max_depth=learner.max_depth, seed=learner.seed)
    return Learned(encoder=encoder, blend=blend, calibrator=calibrator, bands=bands)


def out_of_fold_blocks(examples: Examples, *, seed: int) -> Blocks:
    """Choose how margins are made without a row judging itself: the user's folds, a chain in time, or group folds."""
    if examples.fold is not None and len(np.unique(examples.fold)) > 1:
        return given_blocks(examples.fold)
    if examples.order is not None and examples.fold is None:
        blocks = time_blocks(examples.order)
        if blocks.n_blocks > 1:
            return blocks
    return group_blocks(examples.y, examples.groups, seed=seed)


def splits(examples: Examples, config: Config) -> tuple[list[Split], bool]:
    """Give the splits that judge the recipe, and whether they are in time order.

    Raises
    ------
    InputError
        Folds that leave too few leads of one outcome to learn from.
    """
    if examples.fold is None and examples.order is not None:
        found = time_origins(examples.order, examples.groups, n_origins=config.evaluation.origins)
        learnable = [split for split in found if _can_learn(examples.y[split.past])]
        if learnable and learnable[-1] is found[-1]:
            return learnable, True
    blocks = (
        given_blocks(examples.fold)
        if examples.fold is not None and len(np.unique(examples.fold)) > 1
        else group_blocks(examples.y, examples.groups, seed=config.learner.seed)
    )
    folds = [blocks.split(block, examples.groups) for block in range(blocks.n_blocks)]
    if not all(_can_learn(examples.y[split.past]) for split in folds):
        msg = (
            "Folds cannot judge a model: outside of one of them there are too few leads of one outcome to learn from. "
            "Mix outcomes over evaluation.fold_column and columns.group, or take these lines out."
        )
        raise InputError(msg)
    return folds, False


def _can_learn(y: np.ndarray) -> bool:
    return bool(min(y.sum(), len(y) - y.sum()) >= MIN_POSITIVES / 2)


def predict_split(split: Split, prepared: Prepared, config: Config, *, is_time: bool) -> Predictions:
    """Fit everything on a split's past and score its test rows once."""
    examples = prepared.examples
    past = examples.take(split.past)
    past = past if is_time else replace(past, order=None)
    learned = learn(past, prepared, config)
    test = examples.take(split.test)
    probability = learned.probability(test.read)
    points = fit_points_calibrator(prepared.rules, past)
    rules = np.full(len(test.y), np.nan)
    if points is not None:
        rules = points.probability(prepared.rules.margin(prepared.rules.score(test.leads).points))
    return Predictions(
        y=test.y,
        probability=probability,
        constant=np.full(len(test.y), past.y.mean()),
        rules=rules,
        band=learned.bands.assign(probability),
        groups=test.groups,
    )


def fit_points_calibrator(rules: Rules, examples: Examples) -> Calibrator | None:
    """Map points to probability on history; None without rules or with fewer than 40 conversions."""
    if not rules.rules or not min(examples.y.sum(), (1 - examples.y).sum()) >= MIN_POSITIVES:
        return None
    blocks = out_of_fold_blocks(examples, seed=0)
    used = blocks.of_row >= 0
    margin = rules.margin(rules.score(examples.leads).points)
    return fit_calibrator(margin[used], examples.y[used], blocks.of_row[used], is_time=blocks.is_time)


def _model_run(prepared: Prepared, config: Config, tell: Progress) -> TrainingRun:
    examples, seed = prepared.examples, config.learner.seed
    chosen, is_time = splits(examples, config)
    steps = len(chosen) + 1 + is_time
    parts = []
    for i, split in enumerate(chosen):
        tell(f"judging on {'origin' if is_time else 'fold'} {i + 1} of {len(chosen)}", i / steps)
        parts.append(predict_split(split, prepared, config, is_time=is_time))
    random = None
    if is_time:
        tell("judging on a random split, to compare", len(chosen) / steps)
        fifth = group_blocks(examples.y, examples.groups, seed=seed).split(0, examples.groups)
        if _can_learn(examples.y[fifth.past]):
            random = predict_split(fifth, prepared, config, is_time=False)
    evaluation = evaluate(parts, kind="time" if is_time else "folds", random=random, seed=seed)
    tell("training on all rows", 1 - 1 / steps)
    learned = learn(examples, prepared, config)
    verdict: Verdict = "skill" if evaluation.ranking_gain_low > 0 and learned.calibrator.slope > 0 else "no_skill"
    matrix = learned.encoder.encode(examples.read)
    contributions, _ = learned.blend.contributions(matrix)
    nurture = learned.bands.assign(learned.probability(examples.read)) == NURTURE
    reference = fit_reference(contributions, examples.read, prepared.schema, is_nurture=nurture)
    model = PropensityModel(
        schema=prepared.schema,
        rules=prepared.rules,
        verdict=verdict,
        learned=learned,
        reference=reference,
        points_calibrator=fit_points_calibrator(prepared.rules, examples),
        agreement=_agreement(config, learned),
        facts=_facts(prepared, config, evaluation),
    )
    tell("done", 1.0)
    audit = _audit(prepared, config)
    return TrainingRun(
        model=sealed(replace(model, card=model_card(model, evaluation, audit))),
        evaluation=evaluation,
        audit=audit,
        data=_data(prepared),
        warnings=(
            *_too_good(evaluation, contributions, prepared.schema.names),
            *_warnings(prepared, config, learned, is_time=is_time),
        ),
        sample=matrix[np.unique(np.linspace(0, len(matrix) - 1, SAMPLE_ROWS).astype(int))],
    )


def _rules_run(prepared: Prepared, config: Config) -> TrainingRun:
    n_positive = int(prepared.examples.y.sum())
    model = PropensityModel(
        schema=prepared.schema,
        rules=prepared.rules,
        verdict="rules_only",
        agreement=config.agreement.model_dump(mode="json"),
        facts=_facts(prepared, config, None),
    )
    sentence = (
        f"{n_positive} of {len(prepared.examples.y)} leads converted; a model needs at least {MIN_POSITIVES} that did "
        f"and {MIN_POSITIVES} that did not. Until then the rules answer."
    )
    audit = _audit(prepared, config)
    return TrainingRun(
        model=sealed(replace(model, card=model_card(model, None, audit))),
        evaluation=None,
        audit=audit,
        data=_data(prepared),
        warnings=(sentence,),
        sample=np.empty((0, len(prepared.schema.columns))),
    )


def _agreement(config: Config, learned: Learned) -> dict[str, Any]:
    """Give the agreement with the precision that was really aimed at."""
    return {**config.agreement.model_dump(mode="json"), "sql_precision": learned.bands.sql_promise.rate}


def _facts(prepared: Prepared, config: Config, evaluation: Evaluation | None) -> dict[str, Any]:
    source = json.dumps(config.digest_source(), sort_keys=True, default=str)
    y = prepared.examples.y
    return {
        "rows": len(y),
        "positives": int(y.sum()),
        "base_rate": round(float(y.mean()), 6),
        "target": config.columns.target,
        "target_means": prepared.target,
        "date": config.columns.date or "",
        "timezone": config.data.timezone,
        "data_end": prepared.data_end,
        "evaluated": evaluation.kind if evaluation else "",
        "data_digest": prepared.digest,
        "config_digest": hashlib.sha256(source.encode()).hexdigest(),
        "max_age_days": config.registry.max_age_days,
    }


def _data(prepared: Prepared) -> dict[str, Any]:
    y = prepared.examples.y
    return {
        "rows": len(y),
        "positives": int(y.sum()),
        "base_rate": float(y.mean()),
        "matured": len(y),
        "dropped": dict(prepared.dropped),
    }


def _audit(prepared: Prepared, config: Config) -> tuple[Mapping[str, Any], ...]:
    """Say for each column what became of it. Prices come with the leakage audit."""
    columns = config.columns
    kept = {normalise_name(column.name): column.family for column in prepared.schema.columns}
    notes = {normalise_name(name): (columns.family(name), note) for name, note in prepared.notes.items()}
    ignored = {normalise_name(name) for name in columns.ignore}
    keys = {key: getattr(columns, key) for key in ("date", "target", "group", "id")}
    roles = {normalise_name(name): key for key, name in keys.items() if name}
    entries = []
    for column in map(str, prepared.examples.leads.columns):
        name = normalise_name(column)
        role, verdict, evidence = "ignored", "UNUSED", "named nowhere in [columns]"
        if name in kept:
            role, verdict, evidence = kept[name], "OK", notes.get(name, ("", ""))[1]
        elif name in notes:
            role, evidence = notes[name]
            verdict = "LEFT OUT"
        elif name in ignored:
            evidence = "under columns.ignore"
        elif name in roles:
            role, verdict, evidence = roles[name], "OK", ""
        entries.append({"column": column, "role": role, "verdict": verdict, "evidence": evidence, "price": None})
    return tuple(entries)


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


def _warnings(prepared: Prepared, config: Config, learned: Learned, *, is_time: bool) -> tuple[str, ...]:
    found = [f"{name}: {note}" for name, note in prepared.notes.items()]
    if not is_time and (config.columns.ordered or config.columns.date) and not config.evaluation.fold_column:
        found.append("Too little history to test in time order; folds were used instead.")
    if config.agreement.sql_precision is None:
        rate = default_precision(float(prepared.examples.y.mean()))
        found.append(f"agreement.sql_precision is not set; {rate:.0%}, three times the base rate, was aimed at.")
    if not learned.bands.sql_promise.certified:
        found.append(
            f"The SQL promise ({learned.bands.sql_promise.rate:.0%} convert) could not be certified; "
            f"the top {config.agreement.uncertified_top:.0%} of leads are called SQL, marked uncertified."
            if config.agreement.policy == "promise"
            else "The precision of the SQL band that fits the capacity could not be certified."
        )
    if learned.bands.mql >= learned.bands.sql:
        found.append(
            "Every lead that would be MQL is SQL already: raise agreement.sql_precision to leave a band between."
        )
    return tuple(found)
