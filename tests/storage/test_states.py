from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pytest

from propensity.errors import InputError
from propensity.hysteresis import Held
from propensity.storage.states import KEY_NAME, State, code_of, read_state, state_key, write_state

KEY = b"k" * 32


@pytest.fixture(autouse=True)
def no_key_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_NAME, raising=False)


def held(*leads: tuple[str, int]) -> Held:
    return Held(band=np.array([band for band, _ in leads], dtype=object), below=np.array([below for _, below in leads]))


def test_a_state_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    state = State(now={}, before={}).after(["a", "b"], held(("SQL", 0), ("MQL", 1)), as_of="2026-01-05")
    state = state.after(["b"], held(("nurture", 0)), as_of="2026-01-06")
    write_state(path, state, key=KEY)
    assert read_state(path, key=KEY) == state
    assert state.now == {"a": ("SQL", 0), "b": ("nurture", 0)}
    assert state.before == {"a": ("SQL", 0), "b": ("MQL", 1)}


def test_a_run_repeated_starts_where_it_had_started() -> None:
    first = State(now={}, before={}).after(["a"], held(("SQL", 0)), as_of="2026-01-05T00:00:00+00:00")
    second = first.after(["a"], held(("SQL", 1)), as_of="2026-01-06")
    again = second.held(["a", "new"], as_of="2026-01-06T00:00:00Z")
    assert (again.band.tolist(), again.below.tolist()) == (["SQL", ""], [0, 0])
    assert second.after(["a"], held(("SQL", 1)), as_of="2026-01-06") == second


def test_an_earlier_run_finds_nothing() -> None:
    state = State(now={}, before={}).after(["a"], held(("SQL", 0)), as_of="2026-01-05")
    assert state.base("2026-01-04") is None
    assert state.held(["a"], as_of="2026-01-04").band.tolist() == [""]


def test_who_objected_is_forgotten() -> None:
    state = State(now={}, before={}).after(["a", "b"], held(("SQL", 0), ("SQL", 0)), as_of="2026-01-05")
    left = state.after(["b"], held(("SQL", 0)), as_of="2026-01-06", without=["a"])
    assert {*left.now, *left.before} == {"b"}


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    key = state_key(path)
    assert state_key(path) == key
    assert len(key) >= 32
    assert stat.S_IMODE((tmp_path / "state.json.key").stat().st_mode) == 0o600


def test_a_key_of_the_environment_wins_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_NAME, "e" * 32)
    assert state_key(tmp_path / "state.json") == b"e" * 32
    assert [*tmp_path.iterdir()] == []
    monkeypatch.setenv(KEY_NAME, "short")
    with pytest.raises(InputError, match="at least 32 characters"):
        state_key(tmp_path / "state.json")


def test_a_state_whose_key_is_gone_or_another_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_state(path, State(as_of="2026-01-05", now={"a": ("SQL", 0)}, before={}), key=KEY)
    with pytest.raises(InputError, match=KEY_NAME):
        state_key(path)
    with pytest.raises(InputError, match="another key"):
        read_state(path, key=b"o" * 32)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema_version": 2}',
        json.dumps({"schema_version": 1, "key": "x", "as_of": "soon", "leads": {}}),
        json.dumps({"schema_version": 1, "key": "x", "as_of": "2026-01-05", "leads": {"a": ["VIP", 0, "", 0]}}),
        json.dumps({"schema_version": 1, "key": "x", "as_of": "2026-01-05", "leads": {"a": ["SQL"]}}),
    ],
)
def test_what_is_no_state_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(InputError, match="no state of this tool"):
        read_state(path, key=KEY)


def test_an_id_is_not_in_its_code() -> None:
    code = code_of("ann@example.com", key=KEY)
    assert "ann" not in code
    assert code == code_of("ann@example.com", key=KEY)
    assert code != code_of("ann@example.com", key=b"o" * 32)
    assert code_of(None, key=KEY) == ""


def test_a_state_changed_by_hand_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_state(path, State(now={}, before={}).after(["a"], held(("MQL", 1)), as_of="2026-01-05"), key=KEY)
    for old, new in (('"MQL",1', '"SQL",1'), ('"MQL",1', '"MQL",-9'), ("2026-01-05", "2026-01-04")):
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        with pytest.raises(InputError, match=r"changed by hand|no state"):
            read_state(path, key=KEY)
        path.write_text(text)
    assert read_state(path, key=KEY).now == {"a": ("MQL", 1)}


def test_a_key_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.json.key").write_bytes(b"\xff\xfe" * 40)
    with pytest.raises(InputError, match="cannot be read as text"):
        state_key(tmp_path / "state.json")
    (tmp_path / "other.json.key").mkdir()
    with pytest.raises(InputError, match="cannot be read as text"):
        state_key(tmp_path / "other.json")
