"""The README is run as a user would run it: its commands and its Python, top to bottom, in an empty folder."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from propensity.cli import run
from propensity.config import parse_config

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


# MLflow warns of its own deprecations while it loads.
@pytest.mark.filterwarnings("ignore")
def test_readme_commands_and_python_run_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # set_tracking_uri of the consumer's snippet is undone with it
    lines = [line for block in blocks("console") for line in block.splitlines() if line.startswith("propensity ")]
    # The two files a reader has of its own: who objected (here nobody who is scored), and its points sheet.
    (tmp_path / "objected.txt").write_text("nobody\n", encoding="utf-8")
    (tmp_path / "sheet.csv").write_text("signal,points\ndemo request,30\n", encoding="utf-8")
    assert lines[0] == "propensity sample ."
    for line in lines:
        assert run(shlex.split(line, comments=True)[1:]) == 0, line
        if line.startswith("propensity init"):
            # That the lines run is tested here, not how well a model does: a quick one will do.
            settings = tmp_path / "propensity.toml"
            text = re.sub(r"max_trees = \d+", "max_trees = 30", settings.read_text(encoding="utf-8"))
            settings.write_text(re.sub(r"origins = \d+", "origins = 1", text), encoding="utf-8")
    scored = (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()
    assert len(scored) == 1 + 306
    for block in blocks("python"):
        names: dict[str, object] = {}
        exec(block, names)  # noqa: S102 - the README's own lines
        assert len(names["scores"]) > 0  # type: ignore[arg-type]


def test_readme_names_every_command_and_every_exit_code() -> None:
    own = ("features", "sample", "export", "monitor", "rules")
    for command in ("init", "audit", "train", "report", "card", "score", "explain", *own):
        assert f"propensity {command}" in README
    for code in (0, 2, 3, 4, 5, 6, 7):
        assert re.search(rf"\b{code} [a-z]", README.split("Exit codes:")[1])


def test_readme_settings_are_accepted() -> None:
    for block in blocks("toml"):
        parse_config(tomllib.loads(block))
