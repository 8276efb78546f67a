from __future__ import annotations

import sys

import numpy as np
import pytest

from propensity.encoding import CategoryCode, Encoder, NumberCode
from propensity.errors import InputError
from propensity.learners import KINDS, ON_LINEAR, Fold, Learners, Tuned, check_tuner, search_settings
from propensity.learners.tuning import EXTRA_TREES, SPACE, _even_loss, settings_of

pytest.importorskip("optuna", reason="optuna is not installed")

NUMBER = NumberCode(low=-10.0, high=20.0, typical=3.0)
ENCODER = Encoder(names=("visits", "source", "age"), codes=(NUMBER, CategoryCode(levels=("fair", "web")), NUMBER))


def fold(seed: int, *, max_trees: int = 10, max_depth: int = 4) -> Fold:
    """Visits raise the odds from one source and lower them from the other: trees can tell, a line cannot."""
    rng = np.random.default_rng(seed)
    visits, source = rng.poisson(3, 900).astype(float), rng.integers(1, 3, 900).astype(float)
    matrix = np.column_stack([visits, source, rng.normal(size=900)])
    log_odds = np.where(source == 1, visits - 3, 3 - visits)
    y = (rng.random(900) < 1 / (1 + np.exp(-log_odds))).astype(float)
    learners = Learners(
        lambda: matrix[:600], y[:600], encoder=ENCODER, max_trees=max_trees, max_depth=max_depth, seed=0
    )
    return Fold(learners=learners, test=matrix[600:], y=y[600:], weight=np.ones(300))


FOLDS = (fold(0), fold(1))


def found(n_trials: int, *, seed: int = 0) -> Tuned:
    return search_settings(FOLDS, n_kinds=1, seed=seed, may_go_on=lambda n: n < n_trials)


def test_so_many_trials_find_the_same_settings_each_time_and_those_hang_on_the_seed() -> None:
    assert found(12) == found(12)
    assert found(12).n_trials == 12
    assert found(12).settings != found(12, seed=1).settings


def test_settings_found_lose_less_than_every_kind_that_runs_anyway() -> None:
    tuned = found(12)
    losses = [_even_loss(settings, FOLDS, n_kinds=1) for settings in (tuned.settings, *map(settings_of, KINDS))]
    assert losses[0] < min(losses[1:])


def test_the_first_trials_are_the_kinds_that_run_anyway_and_finding_one_of_them_is_finding_nothing() -> None:
    n_known = len({*KINDS} - {ON_LINEAR})
    assert found(n_known) == Tuned(settings={}, n_trials=n_known)
    assert found(0) == Tuned(settings={}, n_trials=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_as_a_point_of_the_space_trains_the_very_same_forest(kind: str) -> None:
    """`shallow` bounds its depth too, which the space leaves to the config."""
    settings = settings_of(kind)
    assert {*settings} == {*SPACE, EXTRA_TREES}
    assert all(low <= settings[name] <= high for name, (low, high) in SPACE.items())
    learners = fold(0, max_trees=20, max_depth=2).learners
    of_kind = learners.grow("extra" if kind == ON_LINEAR else kind, 20)
    assert learners.grow("tuned", 20, settings=settings).text == of_kind.text


def test_a_search_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    found(4)
    assert capfd.readouterr() == ("", "")


def test_without_the_library_that_searches_the_next_step_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install 'propensity\[tune\]'"):
        check_tuner()
