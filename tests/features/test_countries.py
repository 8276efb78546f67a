from __future__ import annotations

import pytest

from propensity.features.countries import _NAMES, fold, read_country


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (("Slovenia", "SI", "svn", "Slovenija", " slovenia "), "SI"),
        (("USA", "U.S.A.", "us", "United States", "United States of America"), "US"),
        (("UK", "GB", "Great Britain", "United Kingdom", "england"), "GB"),
        (("Österreich", "Osterreich", "AUSTRIA"), "AT"),
        (("Côte d'Ivoire", "cote d ivoire", "Ivory Coast"), "CI"),
        (("Bosnia & Herzegovina", "Bosnia and Herzegovina"), "BA"),
        (("NA", "Namibia"), "NA"),
    ],
)
def test_a_country_is_one_however_it_is_written(names: tuple[str, ...], code: str) -> None:
    assert {read_country(name) for name in names} == {code}


@pytest.mark.parametrize("text", ["", "Europe", "Ljubljana", "United", "XX", "12"])
def test_what_is_no_country_is_not_taken_for_one(text: str) -> None:
    assert read_country(text) == "other"


def test_no_name_is_two_countries() -> None:
    lines = [line.replace(": ", "; ", 1).split("; ") for line in _NAMES.strip().splitlines()]
    assert len(lines) == 249
    owners: dict[str, str] = {}
    for code, *names in lines:
        for name in {fold(text) for text in (code, *names)}:
            assert owners.setdefault(name, code) == code
