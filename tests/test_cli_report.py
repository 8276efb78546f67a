"""The command `report`: a page of the champion and its best leads, whole or not at all."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pandas as pd
import pytest

from flat_leads import POINTS, config, leads
from propensity import Tables, cli, load_model, predict, save_model, train

TOML = """\
[data]
leads = "leads.csv"
[columns]
id = "Lead"
target = "Won"
fit = ["Source"]
behaviour = ["Visits", "Age"]
date = "Created"
"""


def tell(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.run([*arguments])
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = config(columns={"date": "Created"}, rules=POINTS, learner={"max_trees": 10})
    model = train(Tables(leads=leads(700)), settings).model
    return save_model(model, tmp_path_factory.mktemp("model") / "bundle")


@pytest.fixture
def project(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROPENSITY_STATE_KEY", raising=False)
    Path("models").mkdir()
    Path("propensity.toml").write_text(TOML)
    leads(80, seed=3).to_csv("leads.csv", index=False)
    return bundle


def test_the_page_shows_the_best_leads_by_code_and_names_none(project: Path) -> None:
    code, out, err = tell("report", "-o", "report.html", "--model", str(project))
    assert (code, out) == (0, "Written: report.html\n"), err
    page = Path("report.html").read_text()
    bands = predict(pd.read_csv("leads.csv"), model=load_model(project))["band"].value_counts()
    assert page.count('<code class="of-lead">') == bands.clip(upper=12).sum()
    assert not [lead for lead in pd.read_csv("leads.csv")["Lead"] if lead in page]
    assert "among 80 leads of the file that the config names" in page
    assert Path("models/report.key").stat().st_mode & 0o077 == 0


def test_the_same_command_writes_the_same_page(project: Path) -> None:
    pages = []
    for name in ("one.html", "two.html"):
        assert tell("report", "leads.csv", "-o", name, "--model", str(project))[0] == 0
        pages.append(Path(name).read_bytes())
    assert pages[0] == pages[1]
    assert b"among 80 leads of leads.csv" in pages[0]


def test_without_leads_the_page_says_why(project: Path) -> None:
    Path("leads.csv").unlink()
    assert tell("report", "-o", "report.html", "--model", str(project))[0] == 0
    assert "No leads are shown. leads.csv does not exist" in Path("report.html").read_text()


@pytest.mark.usefixtures("project")
def test_without_a_model_the_rules_are_shown() -> None:
    code, out, _ = tell("report", "-o", "report.html")
    assert code == 0
    assert out.startswith("Note: ")
    assert "There is no model" in Path("report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("-o", "report.pdf"), 2, "Name a file that ends in .html"),
        (("missing.csv", "-o", "report.html"), 2, "missing.csv does not exist"),
        (("-o", "nowhere/report.html"), 5, "nowhere"),
    ],
)
def test_what_cannot_be_done_writes_nothing(project: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    found, _, err = tell("report", *arguments, "--model", str(project))
    assert found == code
    assert says in err
    assert not [*Path().glob("report.*")]


def test_one_lead_is_enough(project: Path) -> None:
    leads(80, seed=3).head(1).to_csv("one.csv", index=False)
    assert tell("report", "one.csv", "-o", "report.html", "--model", str(project))[0] == 0
    page = Path("report.html").read_text()
    assert page.count('<code class="of-lead">') == 1
    assert page.count("No lead is in this band.") == 2


@pytest.mark.parametrize("name", ["card.md", "card.html"])
def test_the_card_is_written_or_printed(project: Path, name: str) -> None:
    assert tell("card", "-o", name, "--model", str(project))[:2] == (0, f"Written: {name}\n")
    assert "Model card" in Path(name).read_text()
    code, out, _ = tell("card", "--model", str(project))
    assert (code, out.startswith("# Model card")) == (0, True)


@pytest.mark.usefixtures("project")
def test_without_a_model_there_is_no_card() -> None:
    code, _, err = tell("card", "-o", "card.md")
    assert (code, "There is no model to tell of" in err) == (2, True)
    assert tell("card", "-o", "card.pdf")[0] == 2
