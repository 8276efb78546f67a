"""The only place where predictions for leads the model never saw are turned into figures and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from propensity.calibration import log_odds_shift
from propensity.metrics import (
    EPSILON,
    Interval,
    auc,
    benjamini_hochberg,
    chance_effect,
    chance_gaps,
    cluster_weights,
    consistency_p_value,
    cox_line,
    debiased_ce_interval,
    equal_mass_bins,
    gain_lower_bound,
    level_counts,
    mean_interval,
    measure,
    observed_over_expected,
    p_in_words,
    poisson_p_value,
    poisson_ratio,
    rate_interval,
    row_log_loss,
    shift_to_rate,
)
from propensity.schema import MQL, NURTURE, SQL

HEADERS = {
    "time": "Evaluated on leads newer than any it learned from",
    "folds": "NOT TIME-VALIDATED: evaluated on folds, which flatters a model whose world moves",
}
# Chance makes a larger calibration error less often than this: then something is off, and the next three say how far.
CHANCE = 0.01
MAX_DEBIASED_CE = 0.02
# Steps of probability by which scores are counted.
N_STEPS = 40
# A quarter more or less, as a ratio: what a plan of calls can bear.
BEARABLE = (0.8, 1.25)
# Segments expected to convert less often are too small to be judged one by one.
MIN_EXPECTED = 50
# Months are few and follow each other: fewer conversions do to judge one.
MIN_EXPECTED_MONTH = 10
# Segments with fewer conversions are told to be off, not by how far.
MIN_CONVERTED_SHIFT = 100
# Precision of the prior shift ~ N(0, 0.25^2): four shifts in a hundred would be beyond half a logit.
SHIFT_PRECISION = 16.0
# Ranking within a segment needs as many of each outcome.
MIN_OUTCOMES = 20
# Values that fewer leads share are told together: a rare one can point at a person.
MIN_LEADS_NAMED = 10
# Of fewer rows nothing is said of how a group fares.
MIN_GROUP, FEW = 100, "fewer than 100 each"
LEVEL_COLUMNS = ("leads", "converted", "expected", "oe", "low", "high", "auc")


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Test rows of one split, scored once.

    Parameters
    ----------
    y : array of {0, 1}, shape (n_rows,)
    probability : array of float, shape (n_rows,)
    constant : array of float, shape (n_rows,)
        The base rate of each row's own past.
    rules : array of float, shape (n_rows,)
        What the points sheet, mapped to probability on the past, says; NaN where there is none.
    band : array of str, shape (n_rows,)
    groups : array of int, shape (n_rows,)
        Rows of one lead or account.
    weight : array of float or None, shape (n_rows,)
        Snapshots of one lead add up to one; None for a lead each.
    period : array of str or None, shape (n_rows,)
        The month in which each row's features end, as ``2026-03``; None without dates.
    slices : mapping of str to array, shape (n_rows,)
        By column, the value each row has in it, to look at segments apart.
    older_gain : array of float or None, shape (n_rows,)
        How much lower the row's log loss is because the older half of its past teaches too; NaN or None where that
        was not tried.
    overrides : mapping of rule to (what it asks for, array of bool of shape (n_rows,))
        The rules that decide a band whatever a lead scores, and where they hold; of the headline rows alone.
    """

    y: np.ndarray
    probability: np.ndarray
    constant: np.ndarray
    rules: np.ndarray
    band: np.ndarray
    groups: np.ndarray
    weight: np.ndarray | None = None
    period: np.ndarray | None = None
    slices: Mapping[str, np.ndarray] = field(default_factory=dict)
    older_gain: np.ndarray | None = None
    overrides: Mapping[str, tuple[str, np.ndarray]] = field(default_factory=dict)

    @property
    def weights(self) -> np.ndarray:
        """The rows' weights as numbers."""
        return np.ones(len(self.y)) if self.weight is None else self.weight


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Whether probabilities came true, in figures and as a verdict.

    Parameters
    ----------
    expected, converted : float
        Conversions promised and seen; rows that share a lead count in part.
    oe : Interval
        Conversions seen over those promised (O/E), with the exact Poisson interval.
    slope, intercept : Interval
        Of outcomes on log-odds; 1 and 0 where probabilities came true.
    debiased_ce : Interval
        Calibration error less what chance adds.
    consistency_p : float
        Chance of a calibration error as large, were all probabilities true.
    """

    expected: float
    converted: float
    oe: Interval
    slope: Interval
    intercept: Interval
    debiased_ce: Interval
    consistency_p: float

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the probabilities must not be taken at their word; empty where they may.

        An error must be more than chance, and also matter: a debiased error above 0.02, or an interval of O/E or
        slope that reaches outside 0.8 to 1.25.
        """
        if not self.consistency_p < CHANCE:
            return ()
        low, high = BEARABLE
        found = []
        if self.debiased_ce.value > MAX_DEBIASED_CE:
            found.append(f"the calibration error is {self.debiased_ce.value:.3f} beyond chance")
        if self.oe.low < low or self.oe.high > high:
            more = "more" if self.oe.value > 1 else "fewer"
            found.append(f"{more} leads convert than expected")
        if self.slope.low < low or self.slope.high > high:
            far = "too far from" if self.slope.value < 1 else "too close to"
            found.append(f"probabilities are {far} the average")
        return tuple(found)

    @property
    def is_calibrated(self) -> bool:
        """Whether probabilities may be taken at their word."""
        return not self.reasons

    @property
    def p_words(self) -> str:
        """The p-value as it is printed."""
        return p_in_words(self.consistency_p)

    @property
    def figures(self) -> dict[str, Interval]:
        """The figures that have an interval, by name."""
        return {
            "oe": self.oe,
            "cox_slope": self.slope,
            "cox_intercept": self.intercept,
            "debiased_ce": self.debiased_ce,
        }


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Figures of one set of predictions, each with its 95 % interval; whole leads or accounts are what varies."""

    n_rows: int
    n_positive: int
    past_rate: float
    metrics: dict[str, Interval]
    calibration: Calibration

    @property
    def base_rate(self) -> float:
        """Share of the test rows that converted. Nobody knew it in advance."""
        return self.n_positive / self.n_rows

    @property
    def figures(self) -> dict[str, Interval]:
        """Every figure that has an interval, by name."""
        return {**self.metrics, **self.calibration.figures}

    def to_dict(self) -> dict[str, Any]:
        """Give the figures as plain JSON values; undefined ones are None."""
        figures: dict[str, Any] = {
            name: {key: _finite(value) for key, value in interval.to_dict().items()}
            for name, interval in self.figures.items()
        }
        return {
            **figures,
            "consistency_p": self.calibration.consistency_p,
            "expected": self.calibration.expected,
            "converted": self.calibration.converted,
            "is_calibrated": self.calibration.is_calibrated,
            "miscalibration": [*self.calibration.reasons],
            "rows": self.n_rows,
            "positives": self.n_positive,
            "base_rate": self.base_rate,
            "past_rate": self.past_rate,
        }


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What is known of a recipe's quality before it is refitted on all rows.

    Parameters
    ----------
    kind : {"time", "folds"}
    headline : Measured
        The newest block, or the pooled folds.
    parts : tuple of Measured
        Every origin or fold.
    random : Measured or None
        The same recipe on a random split: what a test that ignores time would have said.
    rules : Measured or None
        The points sheet on the headline rows.
    gain_low : float
        One-sided 95 % lower bound of the log-loss gain over the constant, all test rows pooled, in nats.
    ranking_gain_low : float
        The same after model and constant are both told each part's test base rate: what ranking alone is worth.
        Above zero is skill. A base rate that moved can make `gain_low` anything.
    older_gain : Interval or None
        What the older half of each past is worth, in nats a test row, all origins pooled; None where that was not
        tried. Below zero the newer half alone predicts better.
    audit_groups : tuple of str
        Slices that people named to be held side by side.
    test : Predictions
        The headline rows.
    judged : Predictions
        The test rows of all origins or folds, pooled.
    """

    kind: Literal["time", "folds"]
    headline: Measured
    parts: tuple[Measured, ...]
    random: Measured | None
    rules: Measured | None
    gain_low: float
    ranking_gain_low: float
    test: Predictions
    judged: Predictions
    older_gain: Interval | None = None
    audit_groups: tuple[str, ...] = ()

    @property
    def is_calibrated(self) -> bool:
        """Whether the headline's probabilities came true, up to chance and to what can be borne."""
        return self.headline.calibration.is_calibrated

    def to_dict(self) -> dict[str, Any]:
        """Give the figures as plain JSON values."""
        parts = {"origins" if self.kind == "time" else "folds": [part.to_dict() for part in self.parts]}
        bounds: dict[str, Any] = {"gain_low": self.gain_low, "ranking_gain_low": self.ranking_gain_low}
        if self.older_gain is not None:
            bounds["older_gain"] = self.older_gain.to_dict()
        return {
            self.kind: {**self.headline.to_dict(), **parts, **bounds},
            "random": self.random.to_dict() if self.random else None,
            "rules": self.rules.to_dict() if self.rules else None,
        }

    def tables(self) -> dict[str, pd.DataFrame]:
        """Give every table that has rows, by name."""
        tables = {
            "metrics": self.metrics_table(),
            "reliability": self.reliability(),
            "gain": self.gain(),
            "scores": self.scores(),
            "bands": self.bands(),
            **({"overrides": self.overrides()} if self.test.overrides else {}),
            **({"groups": self.groups()} if self.audit_groups else {}),
            "segments": self.slices(),
            "months": self.by_month(),
        }
        return {name: table for name, table in tables.items() if len(table)}

    def metrics_table(self) -> pd.DataFrame:
        """Tabulate model, points sheet and constant on the same leads, and the model on a random split.

        Returns
        -------
        DataFrame
            Columns ``predictor, figure, value, low, high``. The constant, which ranks nobody, has a log loss and a
            level alone; a p-value has no interval.
        """
        test, nothing = self.test, float("nan")
        records: list[tuple[str, str, float, float, float]] = []
        for name, measured in (("model", self.headline), ("rules", self.rules), ("random split", self.random)):
            if measured is not None:
                own = {key: figure for key, figure in measured.figures.items() if key != "constant_log_loss"}
                records += [(name, key, figure.value, figure.low, figure.high) for key, figure in own.items()]
                records.append((name, "consistency_p", measured.calibration.consistency_p, nothing, nothing))
        constant = {
            "log_loss": self.headline.metrics["constant_log_loss"],
            "oe": observed_over_expected(test.y, test.constant, groups=test.groups, weight=test.weights),
        }
        records += [("constant", key, figure.value, figure.low, figure.high) for key, figure in constant.items()]
        return pd.DataFrame(records, columns=["predictor", "figure", "value", "low", "high"])

    def slices(self) -> pd.DataFrame:
        """Tabulate the level of each segment of the headline rows.

        Returns
        -------
        DataFrame
            As `segment_levels` gives it; `shift` is found on these same rows, so that nothing here says it would hold
            on others.
        """
        test = self.test
        return segment_levels(test.y, test.probability, test.slices, groups=test.groups, weight=test.weights)

    def by_month(self) -> pd.DataFrame:
        """Tabulate the level of each month, over the test rows of all origins; no rows where months are unknown.

        Returns
        -------
        DataFrame
            Columns ``month, leads, converted, expected, oe, low, high, auc, p_value, is_off, is_far``, as in
            `slices`, but months with 10 expected conversions are judged already.
        """
        judged, period = self.judged, self.judged.period
        records = (
            []
            if period is None
            else _levels(
                judged.y,
                judged.probability,
                period.astype(str),
                groups=judged.groups,
                weight=judged.weights,
                name="month",
            )
        )
        table = _flagged(records, columns=["month", *LEVEL_COLUMNS], min_expected=MIN_EXPECTED_MONTH)
        return table.drop(columns="shift")

    def reliability(self) -> pd.DataFrame:
        """Tabulate probability against conversion rate over ten equal-mass bins of the headline rows.

        Returns
        -------
        DataFrame
            Columns ``probability, rate, low, high, leads``; `low` and `high` hold 95 % of the rates a perfectly
            calibrated model would show, from the draws that `consistency_p` counts.
        """
        y, p, weight, groups = self.test.y, self.test.probability, self.test.weights, self.test.groups
        bins = equal_mass_bins(p)
        drawn = chance_gaps(p, bins=bins, weight=weight) * np.sqrt(chance_effect(y, bins, groups=groups, weight=weight))
        records = []
        for b in np.unique(bins):
            inside = bins == b
            size = weight[inside].sum()
            probability = np.average(p[inside], weights=weight[inside])
            low, high = np.clip(probability - np.quantile(drawn[:, b], [0.975, 0.025]) / size, 0, 1)
            records.append(
                {
                    "probability": probability,
                    "rate": np.average(y[inside], weights=weight[inside]),
                    "low": low,
                    "high": high,
                    "leads": int(inside.sum()),
                }
            )
        return pd.DataFrame(records)

    def gain(self) -> pd.DataFrame:
        """Tabulate how many conversions the best-scored share of leads holds.

        Returns
        -------
        DataFrame
            Columns ``share, found, lift``, a row a percent of the headline rows.
        """
        order = np.argsort(-self.test.probability, kind="stable")
        found = np.concatenate([[0.0], np.cumsum(self.test.y[order])])
        share = np.linspace(0.01, 1, 100)
        caught = np.interp(share * len(order), np.arange(len(order) + 1), found) / max(found[-1], 1.0)
        return pd.DataFrame({"share": share, "found": caught, "lift": caught / share})

    def scores(self) -> pd.DataFrame:
        """Tabulate how many of the headline rows have which probability, by outcome.

        Returns
        -------
        DataFrame
            Columns ``low, high, converted, not_converted``: forty equal steps of probability, each with its lower end
            and the last with both, up to the largest one seen.
        """
        test = self.test
        edges = np.linspace(0, max(float(test.probability.max()), 0.01), N_STEPS + 1)
        won, lost = (np.histogram(test.probability[test.y == value], bins=edges)[0] for value in (1, 0))
        return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "converted": won, "not_converted": lost})

    def bands(self) -> pd.DataFrame:
        """Tabulate what each band held on the headline rows.

        Returns
        -------
        DataFrame
            Columns ``band, leads, share, converted, rate, low, high``; the interval is exact, 95 %.
        """
        records = []
        for band in (SQL, MQL, NURTURE):
            inside = self.test.band == band
            n, won = int(inside.sum()), int(self.test.y[inside].sum())
            low, high = rate_interval(won, n) if n else (0.0, 1.0)
            rate = won / n if n else float("nan")
            records.append(
                {
                    "band": band,
                    "leads": n,
                    "share": n / len(inside),
                    "converted": won,
                    "rate": rate,
                    "low": low,
                    "high": high,
                }
            )
        return pd.DataFrame(records)

    def groups(self) -> pd.DataFrame:
        """Tabulate how the groups fare that an audit was to look at, on the headline rows.

        Returns
        -------
        DataFrame
            Columns ``column, group, leads, sql_share, sql_low, sql_high, expected, converted, oe, low, high``: how many
            are called SQL, exact 95 % interval, and whether probabilities came true, exact Poisson interval. Groups of
            fewer than 100 rows are told together, as "fewer than 100 each", if they are as many then; else not at all.
        """
        test, records = self.test, []
        for name in self.audit_groups:
            labels = np.where(pd.isna(test.slices[name]), "missing", test.slices[name].astype(str))
            counts = pd.Series(labels).value_counts()
            rare = counts.index[(counts < MIN_GROUP).to_numpy()]
            labels = np.where(np.isin(labels, rare), FEW, labels)
            for label in np.unique(labels):
                inside = labels == label
                if inside.sum() < MIN_GROUP:
                    continue
                n, n_sql = int(inside.sum()), int((test.band[inside] == SQL).sum())
                share_low, share_high = rate_interval(n_sql, n)
                weight = test.weights[inside]
                converted, expected, effect = level_counts(
                    test.y[inside], test.probability[inside], groups=test.groups[inside], weight=weight
                )
                oe = poisson_ratio(converted, expected, effect=effect)
                told = (n_sql / n, share_low, share_high, expected, converted, oe.value, oe.low, oe.high)
                records.append((name, str(label), n, *told))
        columns = ["column", "group", "leads", "sql_share", "sql_low", "sql_high"]
        return pd.DataFrame(records, columns=[*columns, "expected", "converted", "oe", "low", "high"])

    def overrides(self) -> pd.DataFrame:
        """Tabulate what each rule that overrides bands would have moved on the headline rows: its price.

        Returns
        -------
        DataFrame
            Columns ``rule, asks_for, holds, moved, converted, rate, low, high``: of the leads it moves out of their
            band, those that converted; the interval is exact, 90 %.
        """
        records = []
        for name, (wanted, holds) in self.test.overrides.items():
            band = self.test.band
            lower = {SQL: (MQL, NURTURE), MQL: (NURTURE,)}.get(wanted, (SQL, MQL))
            moved = holds & np.isin(band, lower)
            # A lead seen at several cutoffs counts once.
            weight = self.test.weights
            n, won = float(weight[moved].sum()), float((weight * self.test.y)[moved].sum())
            low, high = rate_interval(won, n, confidence=0.9) if n else (0.0, 1.0)
            records.append(
                {
                    "rule": name,
                    "asks_for": wanted,
                    "holds": float(weight[holds].sum()),
                    "moved": n,
                    "converted": won,
                    "rate": won / n if n else float("nan"),
                    "low": low,
                    "high": high,
                }
            )
        return pd.DataFrame.from_records(
            records, columns=["rule", "asks_for", "holds", "moved", "converted", "rate", "low", "high"]
        )


def pool(parts: Sequence[Predictions]) -> Predictions:
    """Put the test rows of several splits together."""
    names = ("y", "probability", "constant", "rules", "band", "groups")
    pooled: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    periods = [part.period for part in parts if part.period is not None]
    gains = [np.full(len(part.y), np.nan) if part.older_gain is None else part.older_gain for part in parts]
    shared = [name for name in parts[0].slices if all(name in part.slices for part in parts)]
    return Predictions(
        **pooled,
        weight=np.concatenate([part.weights for part in parts]),
        period=np.concatenate(periods) if len(periods) == len(parts) else None,
        slices={name: np.concatenate([part.slices[name] for part in parts]) for name in shared},
        older_gain=np.concatenate(gains),
    )


def measure_predictions(predictions: Predictions, *, seed: int, rules: bool = False) -> Measured:
    """Measure predictions, with the constant's log loss beside them.

    Parameters
    ----------
    predictions : Predictions
    seed : int
    rules : bool
        Measure the points sheet instead of the model.
    """
    probability = predictions.rules if rules else predictions.probability
    weights = cluster_weights(predictions.groups, seed=seed)
    metrics = measure(predictions.y, probability, weights=weights, weight=predictions.weights)
    constant = row_log_loss(predictions.y, predictions.constant)
    metrics["constant_log_loss"] = mean_interval(constant, weights=weights, weight=predictions.weights)
    return Measured(
        n_rows=len(predictions.y),
        n_positive=int(predictions.y.sum()),
        past_rate=float(predictions.constant.mean()),
        metrics=metrics,
        calibration=_calibration(predictions, probability, weights=weights),
    )


def _calibration(predictions: Predictions, probability: np.ndarray, *, weights: np.ndarray) -> Calibration:
    y, groups, weight = predictions.y, predictions.groups, predictions.weights
    converted, expected, effect = level_counts(y, probability, groups=groups, weight=weight)
    slope, intercept = cox_line(y, probability, groups=groups, weight=weight)
    return Calibration(
        expected=expected,
        converted=converted,
        oe=poisson_ratio(converted, expected, effect=effect),
        slope=slope,
        intercept=intercept,
        debiased_ce=debiased_ce_interval(y, probability, groups=groups, weights=weights, weight=weight),
        consistency_p=consistency_p_value(y, probability, groups=groups, weight=weight),
    )


def segment_levels(
    y: np.ndarray,
    probability: np.ndarray,
    slices: Mapping[str, np.ndarray],
    *,
    groups: np.ndarray,
    weight: np.ndarray,
) -> pd.DataFrame:
    """Hold what converted against what was expected, segment by segment.

    Parameters
    ----------
    y : array of {0, 1}, shape (n_rows,)
    probability : array of float in [0, 1], shape (n_rows,)
    slices : mapping of str to array, shape (n_rows,)
        By column, the value each row has in it.
    groups : array of int, shape (n_rows,)
        Rows of one lead or account.
    weight : array of float, shape (n_rows,)

    Returns
    -------
    DataFrame
        Columns ``column, segment, leads, converted, expected, oe, low, high, auc, p_value, is_off, is_far, shift``.
        Values of fewer than ten leads are told together, as "other". Conversions of rows that share a lead count in
        part; the 95 % interval of O/E is the exact Poisson one. `auc` is NaN below 20 leads of either outcome.
        `is_off`: of segments with 50 expected conversions or more, those whose level chance does not explain, at most
        5 % of them wrongly named. `is_far`: the 99 % interval lies wholly outside 0.8 to 1.25. `shift`: of those that
        are off and have 100 conversions, what added to their log-odds would set them right, drawn towards none by a
        prior. NaN for all others.
    """
    records = [
        {"column": name, **record}
        for name, labels in slices.items()
        for record in _levels(y, probability, _segments(labels, groups), groups=groups, weight=weight, name="segment")
    ]
    table = _flagged(records, columns=["column", "segment", *LEVEL_COLUMNS], min_expected=MIN_EXPECTED)
    is_told = table["is_off"] & (table["converted"] >= MIN_CONVERTED_SHIFT)
    return table.assign(shift=table.pop("shift").where(is_told))


def _levels(
    y: np.ndarray, probability: np.ndarray, labels: np.ndarray, *, groups: np.ndarray, weight: np.ndarray, name: str
) -> list[dict[str, Any]]:
    """Hold what converted against what was expected, label by label."""
    records = []
    for label in np.unique(labels):
        inside = labels == label
        won, p, size = y[inside], probability[inside], weight[inside]
        converted, expected, effect = level_counts(won, p, groups=groups[inside], weight=size)
        oe = poisson_ratio(converted, expected, effect=effect)
        sure = poisson_ratio(converted, expected, effect=effect, confidence=0.99)
        is_ranked = min(won.sum(), (1 - won).sum()) >= MIN_OUTCOMES
        records.append(
            {
                name: str(label),
                # Snapshots count in part here too, or conversions could not be held against them.
                "leads": float(size.sum()),
                "converted": converted,
                "expected": expected,
                "oe": oe.value,
                "low": oe.low,
                "high": oe.high,
                "auc": auc(won, p, weight=size) if is_ranked else float("nan"),
                "p_value": poisson_p_value(converted, expected, effect=effect),
                "is_far": sure.low > BEARABLE[1] or sure.high < BEARABLE[0],
                "shift": log_odds_shift(_log_odds(p), won, precision=SHIFT_PRECISION, weight=size / effect),
            }
        )
    return records


def _log_odds(probability: np.ndarray) -> np.ndarray:
    clipped = np.clip(probability, EPSILON, 1 - EPSILON)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def _flagged(records: list[dict[str, Any]], *, columns: list[str], min_expected: float) -> pd.DataFrame:
    """Tabulate levels, with those named that chance does not explain, of those large enough to be judged."""
    table = pd.DataFrame(records, columns=[*columns, "p_value", "is_off", "is_far", "shift"])
    is_judged = (table["expected"] >= min_expected).to_numpy(dtype=bool)
    is_off = np.zeros(len(table), dtype=bool)
    is_off[is_judged] = benjamini_hochberg(table["p_value"].to_numpy(dtype=float)[is_judged])
    return table.assign(is_off=is_off, is_far=table["is_far"].to_numpy(dtype=bool) & is_judged)


def _segments(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Give the values of a column as text, those of few leads as one, however often each lead was seen."""
    texts = np.where(pd.isna(labels), "missing", labels.astype(str))
    levels, level = np.unique(texts, return_inverse=True)
    size = np.bincount(
        pd.DataFrame({"level": level, "group": groups}).drop_duplicates()["level"], minlength=len(levels)
    )
    return np.asarray(np.where(size < MIN_LEADS_NAMED, "other", levels)[level])


def evaluate(
    parts: Sequence[Predictions],
    *,
    kind: Literal["time", "folds"],
    random: Predictions | None,
    seed: int,
    audit_groups: tuple[str, ...] = (),
) -> Evaluation:
    """Measure a backtest.

    Parameters
    ----------
    parts : sequence of Predictions
        A part an origin, oldest first, or a fold.
    kind : {"time", "folds"}
    random : Predictions or None
    seed : int
    audit_groups : tuple of str
        Slices of the parts that are to be held side by side.

    Returns
    -------
    Evaluation
    """
    pooled = pool(parts)
    test = parts[-1] if kind == "time" else pooled
    gain = row_log_loss(pooled.y, pooled.constant) - row_log_loss(pooled.y, pooled.probability)
    drawn = cluster_weights(pooled.groups, seed=seed)
    weights = drawn * pooled.weights
    return Evaluation(
        kind=kind,
        headline=measure_predictions(test, seed=seed),
        parts=tuple(measure_predictions(part, seed=seed) for part in parts),
        random=measure_predictions(random, seed=seed) if random else None,
        rules=None if np.isnan(test.rules).any() else measure_predictions(test, seed=seed, rules=True),
        gain_low=gain_lower_bound(gain, weights=weights),
        ranking_gain_low=gain_lower_bound(np.concatenate([_ranking_gain(part) for part in parts]), weights=weights),
        test=test,
        judged=pooled,
        older_gain=_older_gain(pooled, weights=drawn),
        audit_groups=audit_groups,
    )


def _older_gain(pooled: Predictions, *, weights: np.ndarray) -> Interval | None:
    gain = pooled.older_gain
    if gain is None or np.isnan(gain).all():
        return None
    tried = ~np.isnan(gain)
    return mean_interval(gain[tried], weights=weights[:, tried], weight=pooled.weights[tried])


def _ranking_gain(part: Predictions) -> np.ndarray:
    """Give each row's log-loss gain over the test base rate once the model is shifted to it."""
    average = float(np.average(part.y, weights=part.weights))
    shifted = shift_to_rate(part.probability, average, weight=part.weights)
    return np.asarray(row_log_loss(part.y, np.full(len(part.y), average)) - row_log_loss(part.y, shifted))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
