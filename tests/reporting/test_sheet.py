from __future__ import annotations

import tomllib

import pytest

from propensity.errors import ConfigError
from propensity.reporting import text_with_points, text_with_rules

TEXT = """\
[rules]  # the sheet
mql = 40
groups = {did = {family = "behaviour"}}

[[rules.points]]
name = "demo"
event = "demo"
points = 30  # as agreed
cap = 60

[[rules.points]]
name = "points = many"
column = "Size"
op = ">="
value = 5
points = 5

[registry]
points = 3
"""


def test_points_and_caps_change_where_they_stand_and_nothing_else_does() -> None:
    changed = text_with_points(TEXT, [{"points": 12, "cap": 24}, {"points": 5}])
    assert changed == TEXT.replace("points = 30  # as agreed", "points = 12  # was 30").replace(
        "cap = 60", "cap = 24  # was 60"
    )
    assert text_with_points(TEXT, [None, None]) == TEXT


@pytest.mark.parametrize("points", [[{"points": 1.0}], [{"points": 1.0}] * 3, [None, {"cap": 1.0}]])
def test_rules_that_do_not_stand_as_expected_are_refused(points: list[dict[str, float] | None]) -> None:
    with pytest.raises(ConfigError, match="do not stand one a"):
        text_with_points(TEXT, points)


def test_rules_are_added_behind_or_put_in_place_of_the_old_ones() -> None:
    new = [{"name": "call", "event": "call", "points": 7}]
    added, one, both = (tomllib.loads(text_with_rules(TEXT, new, without=gone)) for gone in ((), {0}, {0, 1}))
    old = tomllib.loads(TEXT)
    assert added["rules"]["points"] == [*old["rules"]["points"], *new]
    assert one["rules"]["points"] == [*old["rules"]["points"][1:], *new]
    assert both["rules"]["points"] == new
    assert added["registry"] == one["registry"] == both["registry"] == old["registry"]
    assert both["rules"]["mql"] == 40
