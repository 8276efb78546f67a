"""The only place where predictions for leads the model never saw are turned into figures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from propensity.metrics import (
    Interval,
    cluster_weights,
    equal_mass_bins,
    gain_lower_bound,
    mean_interval,
    measure,
    rate_interval,
    row_log_loss,
    shift_to_rate,
)
from propensity.schema import MQL, NURTURE, SQL

HEADERS = {
    "time": "Evaluated on leads newer than any it learned from",
    "folds": "NOT TIME-VALIDATED: evaluated on folds, which flatters a model whose world moves",
}


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
    """

    y: np.ndarray
    probability: np.ndarray
    constant: np.ndarray
    rules: np.ndarray
    band: np.ndarray
    groups: np.ndarray
    weight: np.ndarray | None = None

    @property
    def weights(self) -> np.ndarray:
        """The rows' weights as numbers."""
        return np.ones(len(self.y)) if self.weight is None else self.weight


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Figures of one set of predictions, each with its 95 % interval over leads drawn again."""

    n_rows: int
    n_positive: int
    past_rate: float
    metrics: dict[str, Interval]

    @property
    def base_rate(self) -> float:
        """Share of the test rows that converted. Nobody knew it in advance."""
        return self.n_positive / self.n_rows

    def to_dict(self) -> dict[str, Any]:
        """Give the figures as plain JSON values; undefined ones are None."""
        figures: dict[str, Any] = {
            name: {key: _finite(value) for key, value in interval.to_dict().items()}
            for name, interval in self.metrics.items()
        }
        return {
            **figures,
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
    test : Predictions
        The headline rows.
    """

    kind: Literal["time", "folds"]
    headline: Measured
    parts: tuple[Measured, ...]
    random: Measured | None
    rules: Measured | None
    gain_low: float
    ranking_gain_low: float
    test: Predictions

    def to_dict(self) -> dict[str, Any]:
        """Give the figures as plain JSON values."""
        parts = {"origins" if self.kind == "time" else "folds": [part.to_dict() for part in self.parts]}
        bounds = {"gain_low": self.gain_low, "ranking_gain_low": self.ranking_gain_low}
        return {
            self.kind: {**self.headline.to_dict(), **parts, **bounds},
            "random": self.random.to_dict() if self.random else None,
            "rules": self.rules.to_dict() if self.rules else None,
        }

    def reliability(self) -> pd.DataFrame:
        """Tabulate probability against conversion rate over ten equal-mass bins of the headline rows.

        Returns
        -------
        DataFrame
            Columns ``probability, rate, low, high, leads``; `low` and `high` hold 95 % of the rates a perfectly
            calibrated model would show.
        """
        y, p = self.test.y, self.test.probability
        bins = equal_mass_bins(p)
        size = np.bincount(bins)
        rng = np.random.default_rng(0)
        drawn = np.array([np.bincount(bins, weights=rng.random(len(p)) < p) for _ in range(500)])
        records = []
        for b in np.unique(bins):
            inside = bins == b
            low, high = np.quantile(drawn[:, b] / size[b], [0.025, 0.975])
            records.append(
                {
                    "probability": p[inside].mean(),
                    "rate": y[inside].mean(),
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


def pool(parts: Sequence[Predictions]) -> Predictions:
    """Put the test rows of several splits together."""
    names = ("y", "probability", "constant", "rules", "band", "groups")
    pooled = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Predictions(**pooled, weight=np.concatenate([part.weights for part in parts]))


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
    )


def evaluate(
    parts: Sequence[Predictions], *, kind: Literal["time", "folds"], random: Predictions | None, seed: int
) -> Evaluation:
    """Measure a backtest.

    Parameters
    ----------
    parts : sequence of Predictions
        A part an origin, oldest first, or a fold.
    kind : {"time", "folds"}
    random : Predictions or None
    seed : int

    Returns
    -------
    Evaluation
    """
    pooled = pool(parts)
    test = parts[-1] if kind == "time" else pooled
    gain = row_log_loss(pooled.y, pooled.constant) - row_log_loss(pooled.y, pooled.probability)
    weights = cluster_weights(pooled.groups, seed=seed) * pooled.weights
    return Evaluation(
        kind=kind,
        headline=measure_predictions(test, seed=seed),
        parts=tuple(measure_predictions(part, seed=seed) for part in parts),
        random=measure_predictions(random, seed=seed) if random else None,
        rules=None if np.isnan(test.rules).any() else measure_predictions(test, seed=seed, rules=True),
        gain_low=gain_lower_bound(gain, weights=weights),
        ranking_gain_low=gain_lower_bound(np.concatenate([_ranking_gain(part) for part in parts]), weights=weights),
        test=test,
    )


def _ranking_gain(part: Predictions) -> np.ndarray:
    """Give each row's log-loss gain over the test base rate once the model is shifted to it."""
    average = float(np.average(part.y, weights=part.weights))
    shifted = shift_to_rate(part.probability, average, weight=part.weights)
    return np.asarray(row_log_loss(part.y, np.full(len(part.y), average)) - row_log_loss(part.y, shifted))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
