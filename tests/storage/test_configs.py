from __future__ import annotations

from pathlib import Path

import pytest

from propensity.config import Source
from propensity.errors import ConfigError, InputError
from propensity.storage.configs import load_config, read_tables


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "mine.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_the_path_to_the_leads_is_relative_to_the_config(tmp_path: Path) -> None:
    (tmp_path / "leads.csv").write_text("id,visits\n1,2\n")
    config = load_config(written(tmp_path, '[data]\nleads = "leads.csv"\n'))
    assert config.data.leads == Source(path=str(tmp_path / "leads.csv"))
    tables = read_tables(config)
    assert (tables.source, tables.leads.to_dict("records")) == ("leads.csv", [{"id": "1", "visits": "2"}])


def test_an_absolute_path_to_the_leads_stays(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.csv"
    assert load_config(written(tmp_path, f"[data]\nleads = '{elsewhere}'\n")).data.leads == Source(path=str(elsewhere))


def test_the_default_is_the_config_of_the_folder_one_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, '[data]\nleads = "leads.csv"\n').rename("propensity.toml")
    assert load_config().data.leads == Source(path="leads.csv")


def test_the_digest_does_not_change_with_the_folder(tmp_path: Path) -> None:
    digests = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        digests.append(load_config(written(tmp_path / name, '[data]\nleads = "leads.csv"\n')).digest_source())
    assert digests[0] == digests[1]


def test_a_config_that_is_not_there_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml does not exist. .* propensity init LEADS --target COLUMN"):
        load_config(tmp_path / "none.toml")


@pytest.mark.parametrize("text", ["[data\n", 'leads = "a"\nleads = "b"\n', b"\xff\xfe[\x00", b"name = '\xe9'"])
def test_what_is_no_toml_is_refused(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(ConfigError, match=r"mine\.toml is not TOML"):
        load_config(written(tmp_path, text))


@pytest.mark.parametrize("name", ["", "x" * 300])
def test_a_folder_or_an_impossible_name_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / name)


def test_a_setting_that_cannot_be_used_is_refused_under_the_name_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine\.toml cannot be used:\n  learner\.seed"):
        load_config(written(tmp_path, '[data]\nleads = "leads.csv"\n[learner]\nseed = -1\n'))


def test_leads_that_are_not_there_are_missed_when_they_are_read(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, '[data]\nleads = "leads.csv"\n'))
    with pytest.raises(InputError, match=r"leads\.csv does not exist"):
        read_tables(config)


def test_a_path_with_a_nul_is_refused(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, '[data]\nleads = "a\\u0000b"\n'))
    with pytest.raises(InputError, match="cannot be read"):
        read_tables(config)


def test_whose_an_event_is_and_its_type_are_kept_once_each(tmp_path: Path) -> None:
    for name, text in {
        "leads.csv": "Lead,Created\n7,2026-01-01\n",
        "events.csv": "who,occurred_at,action\n7,2026-01-02,visit\n7,2026-01-03,visit\n",
        "outcomes.csv": "who,converted_at\n7,2026-01-04\n",
    }.items():
        (tmp_path / name).write_text(text)
    files = '[data]\nleads = "leads.csv"\nevents = "events.csv"\noutcomes = "outcomes.csv"\n'
    columns = (
        '[columns]\nid = "Lead"\ndate = "Created"\nevent = {id = "WHO", type = "Action"}\noutcome = {id = "who"}\n'
    )
    tables = read_tables(load_config(written(tmp_path, f"{files}{columns}[labels]\nhorizon_days = 30\n")))
    assert tables.events is not None
    assert tables.outcomes is not None
    assert tables.events.dtypes.astype(str).to_dict() == {"who": "category", "occurred_at": "str", "action": "category"}
    assert {str(dtype) for frame in (tables.leads, tables.outcomes) for dtype in frame.dtypes} == {"str"}
