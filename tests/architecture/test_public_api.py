from __future__ import annotations

import importlib

import pytest

import propensity

HOMES = propensity._HOMES


def test_what_is_public_has_a_home_and_nothing_else_has() -> None:
    assert propensity.__all__ == [*HOMES]
    assert propensity.__all__ == sorted(propensity.__all__)


@pytest.mark.parametrize("name", propensity.__all__)
def test_a_public_name_is_that_of_its_home(name: str) -> None:
    assert getattr(propensity, name) is getattr(importlib.import_module(f"propensity.{HOMES[name]}"), name)


@pytest.mark.parametrize("name", ["Scorer", "utils", "_homes", ""])
def test_any_other_name_is_not_there(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'propensity' has no attribute {name!r}"):
        getattr(propensity, name)


@pytest.mark.parametrize("name", propensity.__all__)
def test_a_public_name_says_what_it_is(name: str) -> None:
    assert getattr(propensity, name).__doc__
