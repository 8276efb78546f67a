"""The only place that searches for settings of boosted trees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from propensity.errors import InputError
from propensity.learners.blend import TUNED, Learners, Tuned, margin_loss
from propensity.learners.forest import KINDS, MIN_LEAF_ROWS, ON_LINEAR, SETTINGS

# Lowest and highest value of each setting, searched by ratio but for LINEAR_SCALE. The space of TabArena (arXiv
# 2506.16791), wide enough to hold the kinds that are raced, without learning rates that so few trees cannot use.
SPACE: Mapping[str, tuple[float, float]] = {
    "learning_rate": (0.01, 0.1),
    "num_leaves": (2, 200),
    "min_data_in_leaf": (1, 64),
    "feature_fraction": (0.4, 1.0),
    "bagging_fraction": (0.7, 1.0),
    "lambda_l2": (0.01, 50.0),
    "cat_smooth": (0.001, 100.0),
    "cat_l2": (0.005, 50.0),
    "min_data_per_group": (2, 100),
    "max_cat_to_onehot": (4, 100),
}
LINEAR_SCALE = frozenset({"feature_fraction", "bagging_fraction"})
EXTRA_TREES = "extra_trees"
# What LightGBM takes where neither `SETTINGS` nor a kind says.
UNSAID: Mapping[str, float] = {
    "feature_fraction": 1.0,
    "min_data_in_leaf": MIN_LEAF_ROWS,
    "min_data_per_group": 100,
    "max_cat_to_onehot": 4,
    EXTRA_TREES: False,
}
# Digits kept of what is tried, so that what is written down is what was tried.
DIGITS = 4

# Says after so many trials whether another may begin.
MayGoOn = Callable[[int], bool]


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Rows that teach a trial and rows that judge it.

    Parameters
    ----------
    learners : Learners
        Of the rows that teach.
    test : array of float, shape (n_test, n_features)
    y : array of {0, 1}, shape (n_test,)
    weight : array of float, shape (n_test,)
    """

    learners: Learners
    test: np.ndarray
    y: np.ndarray
    weight: np.ndarray

    @cached_property
    def line(self) -> np.ndarray:
        """Margins of the test rows by the linear model: every trial is blended with it."""
        return self.learners.linear.margin(self.test)


def check_tuner() -> None:
    """Refuse to tune where the library that searches is not there.

    Raises
    ------
    InputError
        With what to install.
    """
    _optuna()


def search_settings(folds: Sequence[Fold], *, n_kinds: int, seed: int, may_go_on: MayGoOn) -> Tuned:
    """Search for the settings whose forest, blended evenly with the linear model, loses least on the folds' test rows.

    The first trials are the kinds that are raced anyway; a tree-structured Parzen estimator (Bergstra and others, NIPS
    2011) proposes the others.

    Parameters
    ----------
    folds : sequence of Fold
    n_kinds : int
        How many kinds of forest share the trees allowed, this one with them.
    seed : int
    may_go_on : callable (trials made) -> bool
        A trial once begun is finished. One that hangs on the number alone makes the search the same each time.

    Returns
    -------
    Tuned
        Not yet judged.
    """
    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True))
    known = [settings_of(kind) for kind in KINDS if kind != ON_LINEAR]
    for settings in known:
        study.enqueue_trial(dict(settings))
    space = {name: _distribution(optuna, name) for name in (*SPACE, EXTRA_TREES)}
    least, best, n_trials = np.inf, known[0], 0
    while may_go_on(n_trials):
        trial = study.ask(space)
        tried = {name: _short(value) for name, value in trial.params.items()}
        lost = _even_loss(tried, folds, n_kinds=n_kinds)
        study.tell(trial, lost)
        n_trials += 1
        if lost < least:
            least, best = lost, tried
    return Tuned(settings={} if best in known else best, n_trials=n_trials)


def settings_of(kind: str) -> dict[str, Any]:
    """Give a kind of forest as a point of the space that is searched.

    Examples
    --------
    >>> settings_of("small")["num_leaves"], settings_of("small")["extra_trees"], settings_of("small")["cat_l2"]
    (12, False, 20.0)
    """
    said = {**UNSAID, **SETTINGS, **KINDS[kind]}
    return {name: said[name] for name in (*SPACE, EXTRA_TREES)}


def _even_loss(settings: Mapping[str, object], folds: Sequence[Fold], *, n_kinds: int) -> float:
    """Give the mean log loss of the even blend with the linear model over all folds, at the best number of trees."""
    margins: dict[int, list[np.ndarray]] = {}
    for fold in folds:
        counts = fold.learners.counts(n_kinds)
        forest = fold.learners.grow(TUNED, counts[-1], settings=settings)
        for n in counts:
            margins.setdefault(n, []).append((forest.margin(fold.test, n_trees=n) + fold.line) / 2)
    y, weight = (np.concatenate(parts) for parts in zip(*((fold.y, fold.weight) for fold in folds), strict=True))
    return min(float(margin_loss(np.concatenate(parts), y, weight=weight).mean()) for parts in margins.values())


def _distribution(optuna: Any, name: str) -> Any:
    if name == EXTRA_TREES:
        return optuna.distributions.CategoricalDistribution((False, True))
    low, high = SPACE[name]
    is_whole = isinstance(low, int)
    kind = optuna.distributions.IntDistribution if is_whole else optuna.distributions.FloatDistribution
    return kind(low, high, log=name not in LINEAR_SCALE)


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _optuna() -> Any:
    """Import the library only here: nothing but a search needs it."""
    try:
        import optuna
    except ImportError as error:
        msg = (
            "Tuning needs optuna, which is not installed. Run: pip install 'propensity[tune]', or train without --tune."
        )
        raise InputError(msg) from error
    return optuna
