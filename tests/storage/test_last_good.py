from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from propensity.model import PropensityModel, rules_model, sealed
from propensity.rules import Rules
from propensity.schema import Schema
from propensity.storage.last_good import find, keep

TODAY = dt.date(2026, 3, 1)


def model(*, sql: float = 70.0) -> PropensityModel:
    rules = Rules(rules=(), groups={}, mql=40.0, sql=sql, points_to_double_odds=20.0)
    return sealed(rules_model(rules, Schema(columns=(), id="Lead", missing=("",))))


def test_what_was_kept_is_found_until_it_is_thirty_days_old(tmp_path: Path) -> None:
    keep(model(), tmp_path / "m", today=TODAY)
    for days in (0, 30):
        kept = find(tmp_path / "m", today=TODAY + dt.timedelta(days=days))
        assert kept is not None
        assert (kept.model.version, kept.kept_on) == (model().version, TODAY)
    assert find(tmp_path / "m", today=TODAY + dt.timedelta(days=31)) is None
    assert find(tmp_path / "m", today=TODAY - dt.timedelta(days=1)) is None


def test_each_night_confirms_it_and_a_new_champion_takes_its_place(tmp_path: Path) -> None:
    keep(model(), tmp_path / "m", today=TODAY)
    keep(model(), tmp_path / "m", today=TODAY + dt.timedelta(days=20))
    assert find(tmp_path / "m", today=TODAY + dt.timedelta(days=40)) is not None
    keep(model(sql=80.0), tmp_path / "m", today=TODAY)
    kept = find(tmp_path / "m", today=TODAY)
    assert kept is not None
    assert kept.model.rules.sql == 80.0
    assert len([path for path in (tmp_path / "m").iterdir() if path.is_dir()]) == 1


@pytest.mark.parametrize("spoil", ["bundle", "note", "another"])
def test_a_spoilt_copy_does_not_answer(tmp_path: Path, spoil: str) -> None:
    folder = tmp_path / "m"
    keep(model(), folder, today=TODAY)
    if spoil == "bundle":
        path = folder / model().version / "rules.json"
        path.write_text(path.read_text().replace("70", "10"))
    elif spoil == "note":
        (folder / "kept.json").write_text("{")
    else:
        (folder / "kept.json").write_text(json.dumps({"version": "../../x", "kept_on": TODAY.isoformat()}))
    assert find(folder, today=TODAY) is None


def test_nothing_kept_is_nothing_found(tmp_path: Path) -> None:
    assert find(tmp_path / "nowhere", today=TODAY) is None


def test_a_place_that_cannot_be_written_keeps_none_and_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    keep(model(), tmp_path / "file" / "m", today=TODAY)
    assert find(tmp_path / "file" / "m", today=TODAY) is None


def test_a_spoilt_copy_is_made_anew_the_next_day(tmp_path: Path) -> None:
    keep(model(), tmp_path / "m", today=TODAY)
    (tmp_path / "m" / model().version / "rules.json").write_text("{}")
    assert find(tmp_path / "m", today=TODAY) is None
    keep(model(), tmp_path / "m", today=TODAY + dt.timedelta(days=1))
    assert find(tmp_path / "m", today=TODAY + dt.timedelta(days=1)) is not None
