"""The only place that judges the points sheet on the leads the model is judged on, and proposes points from history."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from propensity.config import Config, RulePoints
from propensity.errors import InputError
from propensity.evaluation import Measured, Predictions, measure_predictions
from propensity.metrics import auc, rate_interval
from propensity.rules import Rule, Rules
from propensity.schema import MQL, NURTURE, SQL, Tables
from propensity.training.audit import audit_prepared, prepare_any
from propensity.training.learning import fit_points_calibrator, learn
from propensity.training.pasts import Pasts
from propensity.training.rows import Examples
from propensity.training.splitting import MIN_POSITIVES, has_both, splits

CONFIDENCE = 0.9
# A rule that holds where another does, but for so little, says nothing of its own.
REDUNDANT = 0.95
# A lift between these, as surely as the interval says, moves nobody.
DEAD_LOW, DEAD_HIGH = 0.8, 1.25
# Of the ridge, on standardised amounts: worth about so many leads' opinion.
PENALTY = 3.0
MAX_POINTS = 100

Progress = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class RuleAudit:
    """What history says of one rule.

    Parameters
    ----------
    name : str
    points : float
    n_leads : float
        Leads for which it holds; rows that share a lead count in part.
    rate, lift, low, high : float
        Conversion rate of those leads, over that of all, with a 90 % interval; NaN where it never held.
    flags : tuple of str
        Of ``wrong sign``, ``dead``, ``never fired``, ``redundant with …``.
    proposed : int or None
        Points that history speaks for; None for a rule without points.
    """

    name: str
    points: float
    n_leads: float
    rate: float
    lift: float
    low: float
    high: float
    flags: tuple[str, ...]
    proposed: int | None


@dataclass(frozen=True, kw_only=True)
class SheetAudit:
    """The points sheet beside the model, on the same test leads.

    Parameters
    ----------
    model, sheet, fitted : Measured or None
        Of the model, the sheet as it stands, and the sheet with the proposed points; None where points could not be
        mapped to probability.
    linear_auc : float or None
        Of the model's linear part alone.
    tiers : DataFrame
        ``tier, least_points, leads, promised, converted, rate, low, high``, on the test leads.
    grid : DataFrame
        ``fit, engagement, leads, converted, rate``, a row a cell of the grid (A1 to D4), on all matured leads.
    rules : tuple of RuleAudit
    is_time : bool
        Whether the test leads are newer than what was learned from.
    n_test : int
    """

    model: Measured
    sheet: Measured | None
    fitted: Measured | None
    linear_auc: float | None
    tiers: pd.DataFrame
    grid: pd.DataFrame
    rules: tuple[RuleAudit, ...]
    is_time: bool
    n_test: int

    @property
    def proposed(self) -> dict[str, int]:
        """Points that history speaks for, by rule."""
        return {rule.name: rule.proposed for rule in self.rules if rule.proposed is not None}


def audit_sheet(tables: Tables, config: Config, *, progress: Progress | None = None) -> SheetAudit:
    """Judge the points sheet on the newest matured leads, those that the model is judged on, and propose points.

    Parameters
    ----------
    tables : Tables
    config : Config
    progress : callable (what, share done) or None

    Raises
    ------
    InputError
        There is no sheet, or too little history to judge it.
    """
    tell = progress or (lambda _what, _share: None)
    with threadpool_limits(1, user_api="blas"):
        tell("reading leads", 0.0)
        _, prepared = audit_prepared(prepare_any(tables, config), config)
        examples, rules = prepared.examples, prepared.rules
        if not rules.rules:
            msg = "There is no points sheet to judge: write its lines under [[rules.points]], or run: propensity init."
            raise InputError(msg)
        if not has_both(examples.y, MIN_POSITIVES):
            msg = (
                f"{int(examples.y.sum())} of {len(examples.y)} leads converted; a sheet is judged from {MIN_POSITIVES} "
                "conversions on, and as many that did not."
            )
            raise InputError(msg)
        chosen, is_time = splits(examples, config)
        split = chosen[-1]
        past, test = examples.take(split.past), examples.take(split.test)
        past = past if is_time else replace(past, order=None)
        tell("learning from what came before the test leads", 0.1)
        learned = learn(past, prepared, config, pasts=Pasts(examples, config.learner))
        tell("judging rules", 0.8)
        matrix = learned.encoder.encode(test.read)
        linear = learned.blend.linear
        proposed = fit_points(rules, past)
        fitted = with_points(rules, proposed)
        judged = {name: _predicted(sheet, past, test) for name, sheet in (("sheet", rules), ("fitted", fitted))}
        constant = np.full(len(test.y), np.average(past.y, weights=past.weights))
        as_model = Predictions(
            y=test.y,
            probability=learned.probability(test.read),
            constant=constant,
            rules=constant,
            band=learned.bands.assign(learned.probability(test.read), leads=test.leads),
            groups=test.groups,
            weight=test.weights,
        )
        seed = config.learner.seed
        measured = {
            name: None if found is None else measure_predictions(replace(as_model, probability=found), seed=seed)
            for name, found in judged.items()
        }
        return SheetAudit(
            model=measure_predictions(as_model, seed=seed),
            sheet=measured["sheet"],
            fitted=measured["fitted"],
            linear_auc=None if linear is None else auc(test.y, linear.margin(matrix), weight=test.weights),
            tiers=_tiers(rules, test, judged["sheet"]),
            grid=_grid(rules, examples),
            rules=_rule_audits(rules, examples, proposed),
            is_time=is_time,
            n_test=len(test.y),
        )


def _predicted(rules: Rules, past: Examples, test: Examples) -> np.ndarray | None:
    """Map a sheet's points to probability on the past, and give what it says of the test leads."""
    calibrator = fit_points_calibrator(rules, past)
    return None if calibrator is None else calibrator.probability(rules.margin(rules.score(test.leads).points))


def fit_points(rules: Rules, examples: Examples) -> dict[str, int]:
    """Fit whole points to history: a ridge logistic regression in which no rule may turn its sign.

    Parameters
    ----------
    rules : Rules
    examples : Examples
        The past alone.

    Returns
    -------
    dict of rule to int
        Of rules with points; 0 where history does not bear one out. Within 100.
    """
    from scipy import optimize

    sheet = rules.score(examples.leads)
    picked = [j for j, rule in enumerate(rules.rules) if rule.points]
    names = [rules.rules[j].name for j in picked]
    if not picked:
        return {}
    points = np.array([rules.rules[j].points for j in picked])
    amounts = sheet.gained[:, picked] / np.array([_unit(rules.rules[j]) for j in picked])
    scale = amounts.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    design = (amounts - amounts.mean(axis=0)) / scale
    y, weight = examples.y, examples.weights

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        margin = theta[0] + design @ theta[1:]
        probability = 1 / (1 + np.exp(-np.clip(margin, -35, 35)))
        total = float((weight * (np.logaddexp(0, margin) - y * margin)).sum() + PENALTY * (theta[1:] ** 2).sum() / 2)
        off = weight * (probability - y)
        return total, np.concatenate([[off.sum()], design.T @ off + PENALTY * theta[1:]])

    bounds = [(None, None), *((0, None) if one > 0 else (None, 0) for one in points)]
    start = np.zeros(1 + len(picked))
    start[0] = math.log(np.average(y, weights=weight) / (1 - np.average(y, weights=weight)))
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500})
    worth = found.x[1:] / scale * rules.points_to_double_odds / math.log(2)
    fired = np.abs(amounts).sum(axis=0) > 0
    whole = np.clip(np.rint(np.where(fired, worth, 0.0)), -MAX_POINTS, MAX_POINTS).astype(int)
    return dict(zip(names, whole.tolist(), strict=True))


def _unit(rule: Rule) -> float:
    """Give the points of one event, or of the condition, as the sheet has them."""
    return rule.points if rule.event else rule.worth


def scaled_cap(rule: Rule | RulePoints, points: float) -> float | None:
    """Give the cap of a rule that gets other points: of events as many as before, of a column what it is worth."""
    if rule.cap is None or not points or not rule.points:
        return None
    return round(abs(rule.cap * points / rule.points), 2) if rule.event else abs(points)


def with_points(rules: Rules, points: dict[str, int]) -> Rules:
    """Give the sheet with other points; caps grow and shrink with them."""

    def changed(rule: Rule) -> Rule:
        if rule.name not in points:
            return rule
        new = float(points[rule.name])
        return replace(rule, points=new, cap=scaled_cap(rule, new))

    return replace(rules, rules=tuple(map(changed, rules.rules)))


def _tiers(rules: Rules, test: Examples, promised: np.ndarray | None) -> pd.DataFrame:
    """Tabulate what each tier of points promised and held."""
    points = rules.score(test.leads).points
    tier = rules.assign(points)
    records = []
    for name, least in ((SQL, rules.sql), (MQL, rules.mql), (NURTURE, float("nan"))):
        inside = tier == name
        n, won = float(test.weights[inside].sum()), float((test.weights * test.y)[inside].sum())
        low, high = rate_interval(won, n, confidence=CONFIDENCE) if n else (0.0, 1.0)
        records.append(
            {
                "tier": name,
                "least_points": least,
                "leads": n,
                "promised": float(promised[inside].mean()) if promised is not None and inside.any() else np.nan,
                "converted": won,
                "rate": won / n if n else np.nan,
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(records)


def _grid(rules: Rules, examples: Examples) -> pd.DataFrame:
    """Tabulate conversion by who leads are (A best) and what they did (1 best)."""
    grade = rules.grades(rules.score(examples.leads))
    records = []
    for fit in "ABCD":
        for engagement in "1234":
            inside = grade == f"{fit}{engagement}"
            n, won = float(examples.weights[inside].sum()), float((examples.weights * examples.y)[inside].sum())
            records.append(
                {"fit": fit, "engagement": engagement, "leads": n, "converted": won, "rate": won / n if n else np.nan}
            )
    return pd.DataFrame(records)


def _rule_audits(rules: Rules, examples: Examples, proposed: dict[str, int]) -> tuple[RuleAudit, ...]:
    """Say of each rule what all matured leads say of it."""
    holds = rules.score(examples.leads).holds
    weight, y = examples.weights, examples.y
    rate = float(np.average(y, weights=weight))
    centred = (holds - np.average(holds, axis=0, weights=weight)) * np.sqrt(weight)[:, None]
    size = np.sqrt((centred**2).sum(axis=0))
    alike = np.abs(centred.T @ centred) / np.maximum(np.outer(size, size), 1e-12)
    found = []
    for j, rule in enumerate(rules.rules):
        n, won = float(weight[holds[:, j]].sum()), float((weight * y)[holds[:, j]].sum())
        low, high = rate_interval(won, n, confidence=CONFIDENCE) if n else (0.0, 1.0)
        lift = (won / n / rate, low / rate, high / rate) if n else (float("nan"),) * 3
        twin = next((rules.rules[i].name for i in range(j) if size[i] and size[j] and alike[i, j] >= REDUNDANT), "")
        found.append(
            RuleAudit(
                name=rule.name,
                points=rule.points,
                n_leads=n,
                rate=won / n if n else float("nan"),
                lift=lift[0],
                low=lift[1],
                high=lift[2],
                flags=_flags(rule, n, lift, twin),
                proposed=proposed.get(rule.name),
            )
        )
    return tuple(found)


def _flags(rule: Rule, n: float, lift: tuple[float, ...], twin: str) -> tuple[str, ...]:
    if not n:
        return ("never fired",)
    flags = []
    _, low, high = lift
    if (rule.points > 0 and high < 1) or (rule.points < 0 and low > 1):
        flags.append("wrong sign")
    elif rule.points and low > DEAD_LOW and high < DEAD_HIGH:
        flags.append("dead")
    if twin:
        flags.append(f"redundant with {twin}")
    return tuple(flags)
