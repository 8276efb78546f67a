from __future__ import annotations

import pytest

from propensity import errors


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (errors.PropensityError, 1),
        (errors.InputError, 2),
        (errors.ConfigError, 2),
        (errors.PromiseError, 3),
        (errors.DegradedError, 4),
        (errors.OutputError, 5),
        (errors.RegistryError, 6),
        (errors.LockedError, 7),
        (errors.BundleError, 2),
    ],
)
def test_each_error_has_the_exit_code_the_command_line_promises(
    error: type[errors.PropensityError], exit_code: int
) -> None:
    assert exit_code == error.exit_code


def test_whoever_catches_bad_input_catches_bad_settings_too() -> None:
    assert issubclass(errors.ConfigError, errors.InputError)


def test_a_bundle_error_says_what_the_score_rows_will_say() -> None:
    error = errors.BundleError("forest_0.txt was changed.", fallback_reason="HASH_MISMATCH")
    assert (str(error), error.fallback_reason) == ("forest_0.txt was changed.", "HASH_MISMATCH")
