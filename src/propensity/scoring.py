"""The only place where leads become score rows: the model first, the rules where it cannot answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd

from propensity.bands import DECIMALS
from propensity.calibration import Calibrator, sigmoid
from propensity.encoding import OTHER
from propensity.errors import InputError
from propensity.explanations import (
    Evidence,
    Explanation,
    Reference,
    explain,
    family_points,
    fault_of_parts,
    reason_texts,
)
from propensity.features.fit import derive, derive_one, derived_names
from propensity.features.plan import CONVERTED
from propensity.guards import LOW_COVERAGE, OUT_OF_DISTRIBUTION, UNKNOWN_LEVELS
from propensity.hysteresis import Held, hold, shown
from propensity.learners import REACH
from propensity.model import MAX_FROM_LIGHTGBM, Learned, PropensityModel, rules_model
from propensity.rules import Rules, RuleScores
from propensity.schema import (
    EXPECTED_FILL,
    UNSCORED,
    LeadRows,
    Schema,
    normalise_name,
    partition,
    read_hashes,
    read_lead,
    read_text,
    resolve_columns,
)
from propensity.tally import BLAMELESS, Tally

N_REASONS = 4
MAX_REASONS = 20
# Batches from this size on have so many rows explained twice, the second time by LightGBM itself.
SAMPLED_FROM = 1_000
N_SAMPLED = 8
# Why a row was not scored by the champion: the closed list.
FALLBACK_REASONS = (
    *("MODEL_MISSING", "REGISTRY_UNAVAILABLE", "TIMEOUT", "HASH_MISMATCH", "CANARY_FAILED", "NO_SKILL"),
    *("TOO_FEW_POSITIVES", "STALE", "SIGNATURE_MISMATCH", "INVALID_ROW", LOW_COVERAGE, UNKNOWN_LEVELS),
    *(OUT_OF_DISTRIBUTION, "ALREADY_CONVERTED"),
)
# Those that are the rows' own.
ROW_REASONS = ("INVALID_ROW", "SIGNATURE_MISMATCH", LOW_COVERAGE, UNKNOWN_LEVELS, OUT_OF_DISTRIBUTION)
VERDICT_REASONS = {"no_skill": "NO_SKILL", "rules_only": "TOO_FEW_POSITIVES"}
SCORE_COLUMNS = (
    "as_of",
    "probability",
    "p_low",
    "p_high",
    "band",
    "band_raw",
    "certified",
    "scored_by",
    "fallback_reason",
    "override",
    "points",
    "fit_pp",
    "behaviour_pp",
)

# Of these, what one lead alone is told: rules and overrides need its whole row.
ONE_LEAD_COLUMNS = (
    *("probability", "p_low", "p_high", "band", "certified", "scored_by", "fallback_reason", "fit_pp", "behaviour_pp"),
)


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scored leads and what happened on the way.

    Parameters
    ----------
    frame : DataFrame
        One row a lead in input order; the id column, then the agreed columns.
    tally : Tally
        What became of them.
    aside : array of str, shape (n_rows,)
        Why nobody scores a row, where that was said of it.
    position : array of int, shape (n_rows,)
        Which input row each row is.
    held : Held or None, shape (n_rows,)
        Which band each lead is held in from now on; None where nothing was known of before.
    """

    frame: pd.DataFrame
    tally: Tally
    aside: np.ndarray
    position: np.ndarray
    held: Held | None = None


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Leads as the model sees them, before rules and bands.

    Parameters
    ----------
    rows : LeadRows
    matrix : array of float or None, shape (n_leads, n_features)
        None where nothing was learned.
    probability : array of float, shape (n_leads,)
        Rounded to 1e-9, as it is shown and compared; NaN where nothing was learned.
    low, high : array of float, shape (n_leads,)
        The stability range, around `probability`; NaN where it was not measured.
    explanation : Explanation or None
        None also where the parts failed their test.
    fault : str
        What that test found; empty where nothing.
    """

    rows: LeadRows
    matrix: np.ndarray | None
    probability: np.ndarray
    low: np.ndarray
    high: np.ndarray
    explanation: Explanation | None
    fault: str = ""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the model, or the rules, say of each lead: of shape (n_leads,), and (n_leads, n_reasons)."""

    probability: np.ndarray
    band: np.ndarray
    certified: np.ndarray
    reasons: np.ndarray


def judge(
    leads: pd.DataFrame,
    model: PropensityModel,
    *,
    asked: pd.Series | None = None,
    n_before: int = 0,
    reasons_fault: str = "",
) -> Judged:
    """Read leads and compute probabilities with their explanation; no rules.

    Parameters
    ----------
    leads : DataFrame
    model : PropensityModel
    asked, n_before, reasons_fault
        As for `score`.

    Returns
    -------
    Judged
    """
    leads = _with_derived(leads, model)
    rows = partition(leads, model.schema, also=_beside(leads, model), asked=asked, n_before=n_before)
    learned, reference = model.learned, model.reference
    if learned is None or reference is None:
        nan = np.full(len(rows.ids), np.nan)
        return Judged(rows=rows, matrix=None, probability=nan, low=nan, high=nan, explanation=None)
    matrix = learned.encoder.encode(rows.read)
    told = _told(learned, matrix, reference, fault=reasons_fault)
    return Judged(rows=rows, matrix=matrix, **vars(told))


def _beside(leads: pd.DataFrame, model: PropensityModel) -> list[str]:
    """Name the columns that scores are read from, beside those that the model learned from."""
    return [*model.rules.columns_beside(model.schema, leads), *_value_column(model, leads)]


def told_by(leads: pd.DataFrame, model: PropensityModel) -> np.ndarray:
    """Give one hash a row of all that its score is read from, equal for rows that say the same.

    Returns
    -------
    array of uint64, shape (n_rows,)
    """
    leads = _with_derived(leads, model)
    return read_hashes(leads, model.schema, also=_beside(leads, model))


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What the model says of encoded leads, named as in `Judged`."""

    probability: np.ndarray
    low: np.ndarray
    high: np.ndarray
    explanation: Explanation | None
    fault: str


def _told(learned: Learned, matrix: np.ndarray, reference: Reference, *, fault: str = "") -> _Told:
    (margin, contributions, base), members = learned.blend.explain_by_learner(matrix)
    probability = np.round(learned.calibrator.probability(margin), DECIMALS)
    low, high = stability_range(margin, learned.spread(matrix, margin), calibrator=learned.calibrator)
    fault = fault or fault_of_parts(margin, contributions, base) or _fault_of_sample(learned, matrix, contributions)
    explanation = None
    if not fault:
        explanation = explain(
            contributions,
            base,
            margin,
            probability,
            calibrator=learned.calibrator,
            reference=reference,
            members=members,
        )
    return _Told(probability=probability, low=low, high=high, explanation=explanation, fault=fault)


def _fault_of_sample(learned: Learned, matrix: np.ndarray, contributions: np.ndarray) -> str:
    """Hold a few rows of a large batch against LightGBM's own contributions."""
    if len(matrix) < SAMPLED_FROM:
        return ""
    rows = np.linspace(0, len(matrix) - 1, N_SAMPLED).astype(int)
    slow = learned.blend.lightgbm_contributions(matrix[rows])
    off = ~(np.abs(contributions[rows] - slow) <= MAX_FROM_LIGHTGBM).all(axis=1)
    return f"parts of {off.sum()} of {N_SAMPLED} leads tried are not LightGBM's" if off.any() else ""


def stability_range(margin: np.ndarray, spread: np.ndarray, *, calibrator: Calibrator) -> tuple[np.ndarray, np.ndarray]:
    """Give the range meant to hold nine in ten models that other leads of the same past would have taught.

    Where forests ship it held fewer when measured: see the decision record 0012.

    No confidence interval of the lead's own chance: what no training sees is not in it.

    Parameters
    ----------
    margin : array of float, shape (n_leads,)
    spread : array of float, shape (n_leads,)
        Standard deviations of calibrated log-odds.
    calibrator : Calibrator
        Its limit holds for the range too.

    Returns
    -------
    low, high : array of float in [0, 1], shape (n_leads,)

    Examples
    --------
    >>> plain = Calibrator(slope=1.0, intercept=0.0, limit=6.0, n_rows=400, n_positive=200)
    >>> low, high = stability_range(np.array([0.0]), np.array([0.5]), calibrator=plain)
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.306], [0.694])
    """
    log_odds = calibrator.log_odds(margin)
    ends = (np.clip(log_odds + way * REACH * spread, -calibrator.limit, calibrator.limit) for way in (-1, 1))
    low, high = (np.round(sigmoid(end), DECIMALS) for end in ends)
    return low, high


def _value_column(model: PropensityModel, leads: pd.DataFrame) -> list[str]:
    """Name the column that says what each lead would bring, where bands ask for it and the frame has it."""
    deal = None if model.learned is None else model.learned.bands.deal
    there = resolve_columns(leads.columns)
    return [deal.column] if deal is not None and normalise_name(deal.column) in there else []


def _with_derived(leads: pd.DataFrame, model: PropensityModel) -> pd.DataFrame:
    """Add what is derived from raw fields, where the rows do not bring it."""
    there = resolve_columns(leads.columns)
    names = [name for column, kind in model.plan.derive.items() for name in derived_names(column, kind)]
    if all(normalise_name(name) in there for name in names):
        return leads
    derived = derive(leads, model.plan.derive, missing=model.plan.missing)
    absent = [name for name in names if normalise_name(name) not in there]
    return pd.concat([leads.reset_index(drop=True), derived[absent]], axis=1)


def score(
    leads: pd.DataFrame,
    *,
    model: PropensityModel,
    as_of: str = "",
    n_reasons: int = N_REASONS,
    fallback_reason: str = "",
    standin_reason: str = "",
    aside: np.ndarray | None = None,
    asked: pd.Series | None = None,
    held: Held | None = None,
    n_before: int = 0,
    newest: str = "",
    reasons_fault: str = "",
) -> Scores:
    """Score leads.

    Parameters
    ----------
    leads : DataFrame, shape (n_leads, any)
        Columns in any order, case and dtype; more or fewer than the model knows.
    model : PropensityModel
    as_of : str
        The instant the leads are scored as of; empty where unknown.
    n_reasons : int
        Reason columns, 0 to 20: up to `n_reasons` - 1 for and one against.
    fallback_reason : str
        Not empty: the rules answer for every row, for this reason.
    standin_reason : str
        Not empty: the model is a copy that stands in for the champion, for this reason; every row it scores says so.
    aside : array of str or None, shape (n_leads,)
        Why nobody scores a row, as `features.plan` has the words; empty where somebody does.
    asked : Series of stamps or None, shape (n_leads,)
        The instant each row is wanted at: rows of one lead that are set aside are two where these differ.
    held : Held or None, shape (n_leads,)
        Which band each lead was held in before; None: none is held, and ``band`` is ``band_raw``.
    n_before : int
        Rows before these in the file that these are a part of: rows without ids are called by their number in it.
    newest : str
        Where these are a part: the newest instant that any row of the file is as of, if rows have their own.
    reasons_fault : str
        Not empty: what was found wrong with the reasons of another part, so that these are given none either.

    Returns
    -------
    Scores

    Raises
    ------
    InputError
        No row, no id column, conflicting rows, or `n_reasons` out of range.
    ValueError
        A reason that is not in ``FALLBACK_REASONS``.
    """
    check_asked(model, n_reasons)
    _check_words({fallback_reason, standin_reason})
    leads = _with_derived(leads, model)
    judged = judge(leads, model, asked=asked, n_before=n_before, reasons_fault=reasons_fault)
    rows = judged.rows
    why_aside = np.full(len(rows.position), "", dtype=object) if aside is None else aside[rows.position]
    cutoff = cutoffs_of(leads, model, rows)
    own_as_of = None if cutoff is None else _in_words(cutoff)
    if cutoff is not None and (newest or cutoff.notna().any()):
        as_of = newest or str(cutoff.max().isoformat())
    stale = "STALE" if _is_stale(model, as_of) else ""
    whole = fallback_reason or VERDICT_REASONS.get(model.verdict, "") or stale
    reason = _fallback_reasons(judged, model, whole=whole)
    nameless = rows.fault == "NO_ID"
    untimely = np.zeros(len(nameless), dtype=bool) if own_as_of is None else own_as_of.isna().to_numpy() & ~nameless
    is_nobodys = nameless | untimely | (why_aside != "")
    by_rules = (reason != "") & ~is_nobodys
    given = leads.reset_index(drop=True).iloc[rows.position]
    points = model.rules.score(given)
    own = _model_answers(judged, model, given, n_reasons=n_reasons, cutoff=cutoff)
    theirs = _rule_answers(points, model, given, n_reasons=n_reasons, is_asked=by_rules)
    band = np.where(is_nobodys, UNSCORED, np.where(by_rules, theirs.band, own.band))
    is_scored = band != UNSCORED
    frame = pd.DataFrame({model.schema.id or "row": rows.ids})
    frame["as_of"] = (as_of or None) if own_as_of is None else own_as_of
    frame["probability"] = np.where(is_scored, np.where(by_rules, theirs.probability, own.probability), np.nan)
    is_models = is_scored & ~by_rules
    frame["p_low"], frame["p_high"] = (np.where(is_models, end, np.nan) for end in (judged.low, judged.high))
    state = None if held is None else _hold(held.take(rows.position), band, frame["probability"].to_numpy(), model)
    acted_on, override = model.rules.overridden(band if state is None else shown(band, state), points)
    frame["band"], frame["band_raw"] = acted_on, band
    certified = np.where(by_rules, theirs.certified, own.certified)
    # The promise is about leads that reach a threshold, not about those that are held in spite of it.
    certified = np.where(acted_on == band, certified, False)  # noqa: FBT003 - a value
    certified[~is_scored] = None
    frame["certified"] = pd.array(certified, dtype="boolean")
    frame["scored_by"] = np.where(is_scored, np.where(by_rules, "rules", "model"), "")
    why_nobody = np.where(why_aside == CONVERTED, "ALREADY_CONVERTED", "INVALID_ROW")
    frame["fallback_reason"] = np.where(is_nobodys, why_nobody, np.where(is_models, standin_reason, reason))
    frame["override"] = override
    frame["points"] = np.where(is_scored, points.points, np.nan) if model.rules.rules else np.nan
    families = family_points(judged.explanation, model.schema) if judged.explanation else {}
    for family in ("fit", "behaviour"):
        frame[f"{family}_pp"] = np.where(is_models, families.get(family, np.nan), np.nan)
    texts = np.where(is_scored[:, None], np.where(by_rules[:, None], theirs.reasons, own.reasons), "")
    for i in range(n_reasons):
        frame[f"reason_{i + 1}"] = texts[:, i]
    frame["model_version"] = model.version
    degraded = np.isin(reason, ROW_REASONS)
    tally = Tally.of(
        frame,
        why_aside,
        n_degraded=int(degraded[~is_nobodys].sum()),
        n_untimely=int((untimely & ~np.isin(why_aside, BLAMELESS)).sum()),
        notes={
            **_without_converted(rows.notes, aside),
            **_other_levels(judged, model),
            **_priors(model, n_told=int((by_rules & is_scored).sum())),
        },
        absent=rows.absent,
        reasons_fault=judged.fault,
    )
    return Scores(frame=frame, tally=tally, aside=why_aside, held=state, position=rows.position)


def check_asked(model: PropensityModel, n_reasons: int) -> None:
    """Refuse what nobody can be answered.

    Raises
    ------
    InputError
        `n_reasons` is out of range, or the id column is called as a score column is.
    """
    if not 0 <= n_reasons <= MAX_REASONS:
        msg = f"reasons must be within 0 and {MAX_REASONS}, got {n_reasons}."
        raise InputError(msg)
    if model.schema.id in {*SCORE_COLUMNS, "model_version"}:
        msg = (
            f"The id column is called {model.schema.id!r}, as a score column is. Rename it in the file and the config."
        )
        raise InputError(msg)


def _check_words(why: set[str]) -> None:
    unheard = why - {"", *FALLBACK_REASONS}
    if unheard:
        msg = f"A fallback reason is one of {', '.join(FALLBACK_REASONS)}; got {', '.join(sorted(unheard))}."
        raise ValueError(msg)


def _priors(model: PropensityModel, *, n_told: int) -> dict[str, int]:
    """Count probabilities that no history stands behind."""
    is_prior = model.points_calibrator is None and model.rules.rules and model.rules.base_rate is not None
    return {"probabilities_are_a_prior": n_told} if is_prior and n_told else {}


def _hold(held: Held, band: np.ndarray, probability: np.ndarray, model: PropensityModel) -> Held:
    """Let bands follow probabilities as slowly as was agreed; where there are no thresholds for these, at once."""
    if model.learned is None or model.verdict != "skill":
        # What spoke for leaving a band spoke of another; two runs in a row means two.
        below = np.where(band == UNSCORED, held.below, 0)
        return replace(held, band=np.where(band == UNSCORED, held.band, band), below=below)
    bands, margin = model.learned.bands, float(model.agreement.get("hysteresis_logit", 0.0))
    return hold(band, probability, held, sql=bands.sql, mql=bands.mql, margin=margin)


def _without_converted(notes: Mapping[str, int], aside: np.ndarray | None) -> dict[str, int]:
    """Leave leads that had converted out of the count of those that were not there."""
    n_converted = 0 if aside is None else int((aside == CONVERTED).sum())
    left = {name: n - n_converted if name == "not_there_at_the_cutoff" else n for name, n in notes.items()}
    return {name: n for name, n in left.items() if n}


def cutoffs_of(leads: pd.DataFrame, model: PropensityModel, rows: LeadRows) -> pd.Series | None:
    """Give the instant each row is as of, where rows say so themselves."""
    name = model.schema.cutoff
    found = None if name is None else resolve_columns(leads.columns).get(normalise_name(name))
    if found is None:
        return None
    return read_cutoffs(leads[found].iloc[rows.position]).reset_index(drop=True)


def read_cutoffs(cells: pd.Series) -> pd.Series:
    """Read what feature rows say they are as of.

    Raises
    ------
    InputError
        A cell is no instant.
    """
    with _reading_cutoffs(str(cells.name)):
        return pd.to_datetime(cells, utc=True)


def _read_cutoff(cell: object, name: str) -> pd.Timestamp | None:
    """Read one cell as `read_cutoffs` does; None where it holds nothing."""
    with _reading_cutoffs(name):
        at: pd.Timestamp = pd.to_datetime(cell, utc=True)  # type: ignore[call-overload]
        return None if pd.isna(at) else at


@contextlib.contextmanager
def _reading_cutoffs(name: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, OverflowError) as error:
        msg = (
            f"Column {name[:40]!r} of feature rows must hold instants (YYYY-MM-DDThh:mm:ssZ, as `propensity "
            "features` writes them), or nothing. Give the leads and --events instead, or write the rows anew."
        )
        raise InputError(msg) from error


def _is_stale(model: PropensityModel, as_of: str) -> bool:
    """Say whether scores are wanted for a day further from the training data than agreed."""
    data_end, most = model.facts.get("data_end", ""), model.facts.get("max_age_days")
    if not as_of or not data_end or most is None:
        return False
    try:
        wanted = pd.Timestamp(as_of)
    except ValueError as error:
        msg = f"as_of must be an ISO date or time such as {data_end}, got {as_of[:40]!r}."
        raise InputError(msg) from error
    wanted = wanted.tz_localize("UTC") if wanted.tzinfo is None else wanted
    return bool(wanted - pd.Timestamp(data_end) > pd.Timedelta(days=most))


def _fallback_reasons(judged: Judged, model: PropensityModel, *, whole: str) -> np.ndarray:
    """Say for each row why the rules answer; empty where the model does.

    What holds of the whole batch comes first, then a file without a column, a row that cannot be read, and a row that
    is too unlike what taught.
    """
    rows, learned = judged.rows, model.learned
    expected = {column.name for column in model.schema.columns if column.filled >= EXPECTED_FILL}
    mismatch = "SIGNATURE_MISMATCH" if expected & {*rows.absent} else ""
    for_all = whole or mismatch
    own = np.full(len(rows.fault), "", dtype=object)
    if learned is not None and learned.guard is not None and judged.matrix is not None:
        own = learned.guard.reasons(judged.matrix, learned.encoder)
    own = np.where(rows.fault == "INVALID_ROW", "INVALID_ROW", own)
    return np.where(for_all == "", own, for_all).astype(object)


def _model_answers(
    judged: Judged, model: PropensityModel, given: pd.DataFrame, *, n_reasons: int, cutoff: pd.Series | None
) -> Answers:
    n, learned = len(judged.probability), model.learned
    texts = np.full((n, n_reasons), "", dtype=object)
    if learned is None or model.reference is None:
        nothing = np.full(n, None, dtype=object)
        return Answers(
            probability=judged.probability,
            band=np.full(n, UNSCORED, dtype=object),
            certified=nothing,
            reasons=texts,
        )
    band = learned.bands.assign(judged.probability, leads=given)
    if n_reasons and judged.explanation is not None:
        texts = reason_texts(judged.explanation, evidence_of(judged, model, cutoff=cutoff), n_reasons=n_reasons)
    return Answers(probability=judged.probability, band=band, certified=learned.bands.is_certified(band), reasons=texts)


def evidence_of(judged: Judged, model: PropensityModel, *, cutoff: pd.Series | None = None) -> Evidence:
    """Give what leads show for each group of features; `cutoff` is what each of them is as of, where that is known."""
    assert model.reference is not None  # noqa: S101 - who explains has one
    return Evidence(
        groups=model.reason_groups,
        raw=[judged.rows.raw[name] for name in model.schema.names],
        values=[judged.rows.read[name] for name in model.schema.names],
        reference=model.reference,
        cutoff=None if cutoff is None else _instants(cutoff),
        timezone=model.plan.timezone,
    )


def _in_words(stamps: pd.Series) -> pd.Series:
    """Write instants as ISO 8601; None where there is none."""
    codes, instants = pd.factorize(stamps)
    return pd.Series(np.array([*(at.isoformat() for at in instants), None], dtype=object)[codes], dtype=object)


def _instants(stamps: pd.Series) -> np.ndarray:
    return np.asarray(stamps.dt.tz_localize(None), dtype="datetime64[us]")


def _rule_answers(
    points: RuleScores, model: PropensityModel, given: pd.DataFrame, *, n_reasons: int, is_asked: np.ndarray
) -> Answers:
    """Let the sheet answer; without one line in it, nobody can. Reasons are worded where it is asked."""
    rules, learned, n = model.rules, model.learned, len(points.points)
    probability = np.full(n, np.nan)
    texts = np.full((n, n_reasons), "", dtype=object)
    if not rules.rules:
        band = np.full(n, UNSCORED, dtype=object)
    elif model.points_calibrator is not None:
        probability = np.round(model.points_calibrator.probability(rules.margin(points.points)), DECIMALS)
        band = rules.assign(points.points)
        if learned is not None and model.verdict == "skill":
            band = learned.bands.assign(probability, leads=given)
    else:
        band = rules.assign(points.points)
        prior = rules.prior(points.points)
        probability = probability if prior is None else np.round(prior, DECIMALS)
    if n_reasons and rules.rules:
        texts[is_asked] = rules.reason_texts(points.gained[is_asked], n_reasons=n_reasons)
    return Answers(probability=probability, band=band, certified=np.zeros(n, dtype=bool).astype(object), reasons=texts)


def predict(
    leads: pd.DataFrame,
    *,
    model: PropensityModel | None = None,
    events: pd.DataFrame | None = None,
    field_history: pd.DataFrame | None = None,
    as_of: str = "",
    rules: Rules | None = None,
    n_reasons: int = N_REASONS,
) -> pd.DataFrame:
    """Score leads and give the score rows.

    Parameters
    ----------
    leads : DataFrame, shape (n_leads, any)
    model : PropensityModel or None
        Brings its own rules. None: `rules` answer.
    events : DataFrame or None
        What the leads did, for a model trained with events. None: `leads` are feature rows already.
    field_history : DataFrame or None
        What mutable fields were before, for leads given with events.
    as_of : str
        The instant the leads are scored as of; empty: the newest stamp of leads and events.
    rules : Rules or None
        The sheet that answers where there is no model.
    n_reasons : int

    Returns
    -------
    DataFrame
        One row a lead in input order, the agreed columns.

    Raises
    ------
    InputError
        Neither a model nor rules, or leads that cannot be read.
    """
    if model is not None and events is not None and not model.plan.has_events:
        msg = "The model was trained without events. Give the lead columns alone."
        raise InputError(msg)
    if model is not None and (events is not None or (not model.plan.has_events and wants_features(leads, model))):
        from propensity.features.frame import features_as_of  # a consumer of feature rows needs no event engine

        leads = features_as_of(
            leads,
            model.plan,
            events=events,
            field_history=field_history,
            as_of=as_of,
            active_share=active_share(model),
            also=expected_columns(model),
        ).frame
    if model is None and rules is None:
        msg = "predict needs a model or rules. Load one: propensity.load_model(...), or pass rules=..."
        raise InputError(msg)
    if model is not None:
        return score(leads, model=model, as_of=as_of, n_reasons=n_reasons).frame
    schema = Schema(columns=(), id=None, missing=("",))
    answering = rules_model(cast("Rules", rules), schema)
    return score(leads, model=answering, as_of=as_of, n_reasons=n_reasons, fallback_reason="MODEL_MISSING").frame


def predict_one(
    lead: Mapping[str, Any], *, model: PropensityModel, as_of: str = "", n_reasons: int = N_REASONS
) -> dict[str, Any]:
    """Score one lead, without a frame: what `predict` says of it, in a few thousandths of a second.

    Parameters
    ----------
    lead : mapping of column to cell
        As a row of a lead file; of a model trained with events, as a row of `propensity features`.
    model : PropensityModel
    as_of : str
        As for `predict`.
    n_reasons : int

    Returns
    -------
    dict
        ``probability, p_low, p_high, band, certified, scored_by, fallback_reason, fit_pp, behaviour_pp``, ``reasons``,
        a list of str, and ``model_version``; None where a score row is empty.

    Raises
    ------
    InputError
        The lead cannot be read, or `n_reasons` is out of range.
    """
    quick = _quick_answer(lead, model, as_of=as_of, n_reasons=n_reasons)
    if quick is not None:
        return quick
    # The rules, overrides and what a lead would bring are read from frames: so are leads that the model cannot answer.
    given = dict(lead)
    if model.schema.id is not None and normalise_name(model.schema.id) not in resolve_columns([*given]):
        given[model.schema.id] = "1"
    frame = pd.DataFrame({name: [cell] for name, cell in given.items()})
    found = predict(frame, model=model, as_of=as_of, n_reasons=n_reasons).iloc[0]
    said = {name: found[name] for name in ONE_LEAD_COLUMNS}
    reasons = [str(found[f"reason_{i + 1}"]) for i in range(n_reasons)]
    return {
        **{name: None if pd.isna(value) or value == "" else _plain(value) for name, value in said.items()},
        "reasons": [reason for reason in reasons if reason],
        "model_version": model.version,
    }


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _quick_answer(
    lead: Mapping[str, Any], model: PropensityModel, *, as_of: str, n_reasons: int
) -> dict[str, Any] | None:
    """Let the model answer where it alone has a say, by the very steps of `score`; None where it has not."""
    learned, reference = model.learned, model.reference
    if learned is None or reference is None or model.verdict != "skill" or learned.bands.deal is not None:
        return None
    if any(rule.override for rule in model.rules.rules):
        return None
    check_asked(model, n_reasons)
    schema = model.schema
    # A lead that has an id and names none, or a cutoff and names none, is scored by nobody.
    own_id, own_cutoff = (_own_name(lead, name) for name in (schema.id, schema.cutoff))
    if own_id is not None and read_text(lead[own_id], missing=schema.missing) is None:
        return None
    at = None if own_cutoff is None else _read_cutoff(lead[own_cutoff], own_cutoff)
    if own_cutoff is not None and at is None:
        return None
    cells = read_lead(_with_derived_cells(lead, model), schema)
    if cells.is_bad or cells.absent or _is_stale(model, as_of if at is None else at.isoformat()):
        return None
    matrix = learned.encoder.encode_one(cells.read)[None, :]
    if learned.guard is not None and learned.guard.reasons(matrix, learned.encoder)[0]:
        return None
    told = _told(learned, matrix, reference)
    explanation = told.explanation
    if explanation is None:
        return None
    band = learned.bands.assign(told.probability)
    texts = np.empty((1, 0), dtype=object)
    if n_reasons:
        evidence = Evidence(
            groups=model.reason_groups,
            raw=[[cell] for cell in cells.raw],
            values=[[value] for value in cells.read],
            reference=reference,
            cutoff=None if at is None else np.array([at.tz_localize(None).to_datetime64()], dtype="datetime64[us]"),
            timezone=model.plan.timezone,
        )
        texts = reason_texts(explanation, evidence, n_reasons=n_reasons)
    families = family_points(explanation, model.schema)
    return {
        "probability": float(told.probability[0]),
        "p_low": None if np.isnan(told.low[0]) else float(told.low[0]),
        "p_high": None if np.isnan(told.high[0]) else float(told.high[0]),
        "band": str(band[0]),
        "certified": bool(learned.bands.is_certified(band)[0]),
        "scored_by": "model",
        "fallback_reason": None,
        "fit_pp": float(families["fit"][0]),
        "behaviour_pp": float(families["behaviour"][0]),
        "reasons": [text for text in texts[0] if text],
        "model_version": model.version,
    }


def _own_name(lead: Mapping[str, Any], name: str | None) -> str | None:
    """Give what the lead calls a column; None where it has none such."""
    if name is None or name in lead:
        return name
    found = resolve_columns([*lead]).get(normalise_name(name))
    return None if found is None else str(found)


def _with_derived_cells(lead: Mapping[str, Any], model: PropensityModel) -> Mapping[str, Any]:
    """Add what is derived from raw fields, where the lead does not bring it."""
    kinds = model.plan.derive
    names = [name for column, kind in kinds.items() for name in derived_names(column, kind)]
    if all(name in lead for name in names):
        return lead
    there = resolve_columns([*lead])
    derived = derive_one(lead, kinds, missing=model.plan.missing)
    return {**lead, **{name: value for name, value in derived.items() if normalise_name(name) not in there}}


def wants_features(leads: pd.DataFrame, model: PropensityModel) -> bool:
    """Say whether leads must become feature rows first: the model scores such, and these are none."""
    if model.schema.cutoff is None:
        return False
    there = {normalise_name(name) for name in leads.columns}
    counted = [signal.column for signal in model.plan.signals]
    return not {normalise_name(name) for name in (*model.plan.behaviour_names, *counted, model.schema.cutoff)} <= there


def expected_columns(model: PropensityModel) -> tuple[str, ...]:
    """Name the columns that the model, its sheet or its bands read."""
    deal = None if model.learned is None else model.learned.bands.deal
    value = () if deal is None else (deal.column,)
    return (*model.schema.names, *model.rules.columns, *value)


def active_share(model: PropensityModel) -> float:
    """Give at least which share of the rows that taught the model were of leads with events; 0 where unknown."""
    entered = {*map(normalise_name, model.plan.stages)}
    told = {
        f"{slot} days since"
        for slot, types, _ in model.plan.slots
        if not entered & {*(types or ())} and not (types is None and entered)
    }
    return max((column.filled for column in model.schema.columns if column.name in told), default=0.0)


def _other_levels(judged: Judged, model: PropensityModel) -> dict[str, int]:
    """Count cells that hold a level training did not keep."""
    if judged.matrix is None or model.learned is None:
        return {}
    n = sum(int((judged.matrix[:, i] == OTHER).sum()) for i in model.learned.encoder.categorical)
    return {"levels_rare_or_unknown": n} if n else {}
