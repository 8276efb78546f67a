"""What changed a score adds up to the change, whichever models scored it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.explanations import Change, Steps, attribute

ALL_NAMES = ("visits", "demo", "title", "country")


@st.composite
def steps(draw: st.DrawFn, n_steps: int = 3) -> Steps:
    names = draw(st.lists(st.sampled_from(ALL_NAMES), unique=True, min_size=1))
    parts = np.array([[draw(st.floats(-5, 5)) for _ in names] for _ in range(n_steps + 1)])
    return Steps(names=tuple(names), log_odds_parts=parts, probability=1 / (1 + np.exp(-parts.sum(axis=1))))


@given(then=steps(), now=steps())
def test_parts_add_up_to_the_change(then: Steps, now: Steps) -> None:
    found = attribute(then, now)
    assert found.total == pytest.approx(100 * (now.probability[-1] - then.probability[0]), abs=1e-9)
    assert found.data.sum() + found.model == pytest.approx(found.total, abs=1e-9)
    assert {*found.names} == {*then.names, *now.names}
    assert found.data.shape == (len(found.names), 3)


@given(one=steps())
def test_the_same_model_has_no_part_in_it(one: Steps) -> None:
    found = attribute(one, one)
    assert found.model == 0
    still = np.diff(one.log_odds_parts, axis=0) == 0
    assert np.abs(found.data.T[still]).max(initial=0.0) == 0  # what did not move is due nothing


def test_told_backwards_every_part_has_the_other_sign() -> None:
    then = Steps(names=("a",), log_odds_parts=np.array([[0.0], [0.3]]), probability=np.array([0.1, 0.13]))
    parts = np.array([[0.1, 0.1], [0.2, 0.3]])
    now = Steps(names=("a", "b"), log_odds_parts=parts, probability=np.array([0.2, 0.25]))
    forth, back = attribute(then, now), attribute(_backwards(now), _backwards(then))
    assert back.total == pytest.approx(-forth.total)
    assert back.model == pytest.approx(-forth.model)
    assert _by_name(back) == pytest.approx({name: -points for name, points in _by_name(forth).items()})


def _backwards(one: Steps) -> Steps:
    return Steps(names=one.names, log_odds_parts=one.log_odds_parts[::-1], probability=one.probability[::-1])


def _by_name(change: Change) -> dict[str, float]:
    return dict(zip(change.names, change.data[:, 0].tolist(), strict=True))
