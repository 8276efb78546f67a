"""What a nightly run keeps beside its scores: bands held before, people left out."""

from __future__ import annotations

import contextlib
import io
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from propensity.cli import run
from propensity.synthetic import invent_leads


def tell(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([*arguments])
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Path:
    """A project whose likely leads convert, with a promise that any model keeps."""
    folder = tmp_path_factory.mktemp("nightly")
    (folder / "models").mkdir()
    shutil.copy(empty_registry, folder / "models" / "mlflow.db")
    world = invent_leads(n_history=900, n_new=80)
    converted = (world.probability > np.quantile(world.probability, 0.7)) ^ (np.arange(900) % 20 == 7)
    world.history.astype(str).assign(Converted=np.where(converted, "Yes", "No")).to_csv(
        folder / "leads.csv", index=False
    )
    world.new.astype(str).to_csv(folder / "new.csv", index=False)
    config = folder / "propensity.toml"
    assert tell("init", str(folder / "leads.csv"), "--target", "Converted", "-o", str(config))[0] == 0
    text = config.read_text().replace("origins = 5", "origins = 1").replace("max_trees = 3000", "max_trees = 20")
    config.write_text(text.replace("mql_recall = 0.9 ", "mql_recall = 0.7 "))
    code, _, err = tell("train", "-c", str(config), "--json")
    assert code == 0, err
    return folder


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PROPENSITY_STATE_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    return trained


def night(project: Path, leads: Path, as_of: str, *more: str) -> pd.DataFrame:
    code, _, err = tell(
        "score", str(leads), "-c", str(project / "propensity.toml"), "--as-of", as_of, "-o", "scores.csv", *more
    )
    assert code == 0, err
    return pd.read_csv("scores.csv", dtype={"Lead ID": str})


def quieter(project: Path, path: Path) -> Path:
    """The same leads with the behaviour of the one who did least."""
    leads = pd.read_csv(project / "new.csv", dtype=str)
    scores = night(project, project / "new.csv", "2026-01-01")
    calmest = leads.iloc[int(scores["probability"].argmin())]
    for name in leads.columns.drop(["Lead ID"]):
        leads[name] = calmest[name]
    leads.to_csv(path, index=False)
    return path


def test_a_lead_that_cools_keeps_its_band_for_one_night(project: Path, tmp_path: Path) -> None:
    calm, state = quieter(project, tmp_path / "calm.csv"), ["--state", "state.json"]
    first = night(project, project / "new.csv", "2026-01-05", *state)
    assert (first["band"] == first["band_raw"]).all()
    high = first["band"].isin(["SQL", "MQL"])
    assert high.sum() > 5
    second = night(project, calm, "2026-01-06", *state)
    assert (second["band_raw"] == "nurture").all()
    assert second["band"].tolist() == first["band"].tolist()
    assert not second.loc[high, "certified"].any()  # the promise is about leads that reach a threshold
    again = night(project, calm, "2026-01-06", *state)
    pd.testing.assert_frame_equal(again, second)  # repeated, not one more night
    third = night(project, calm, "2026-01-07", *state)
    assert (third["band"] == "nurture").all()


def test_a_run_as_of_an_earlier_day_holds_nothing_and_leaves_the_state(project: Path, tmp_path: Path) -> None:
    calm = quieter(project, tmp_path / "calm.csv")
    night(project, project / "new.csv", "2026-01-05", "--state", "state.json")
    before = Path("state.json").read_bytes()
    config = str(project / "propensity.toml")
    code, out, _ = tell(
        "score", str(calm), "-c", config, "--as-of", "2026-01-01", "-o", "scores.csv", "--state", "state.json"
    )
    assert code == 0
    assert "later than this run" in out
    assert (pd.read_csv("scores.csv")["band"] == "nurture").all()
    assert Path("state.json").read_bytes() == before


def test_no_id_is_in_the_state(project: Path) -> None:
    ids = night(project, project / "new.csv", "2026-01-05", "--state", "state.json")["Lead ID"]
    text = Path("state.json").read_text()
    assert not any(one in text for one in ids)


def test_people_who_objected_are_nowhere(project: Path) -> None:
    everyone = night(project, project / "new.csv", "2026-01-05", "--state", "state.json")
    gone = everyone["Lead ID"].iloc[[3, 5]]
    Path("objected.txt").write_text("\n".join([*gone, "nobody"]) + "\n")
    n_before = Path("state.json").read_text().count('":[')
    left = night(project, project / "new.csv", "2026-01-06", "--state", "state.json", "--suppress", "objected.txt")
    expected = everyone[~everyone["Lead ID"].isin(gone)].reset_index(drop=True)
    assert left["Lead ID"].tolist() == expected["Lead ID"].tolist()
    assert left["probability"].tolist() == expected["probability"].tolist()
    assert Path("state.json").read_text().count('":[') == n_before - 2
    config = str(project / "propensity.toml")
    asked = ["score", str(project / "new.csv"), "-c", config, "-o", "scores.csv", "--suppress", "objected.txt"]
    code, out, _ = tell(*asked)
    assert code == 0
    assert "2 rows are of people who objected: left out" in out
    assert "1 ids of people who objected are of no lead in this file" in out
    assert not any(one in out for one in gone)


def test_a_list_that_names_nobody_here_is_warned_of_and_an_earlier_run_forgets_too(project: Path) -> None:
    everyone = night(project, project / "new.csv", "2026-01-06", "--state", "state.json")
    config = str(project / "propensity.toml")
    asked = ("score", str(project / "new.csv"), "-c", config, "-o", "scores.csv", "--suppress", "objected.txt")
    Path("objected.txt").write_text("someone@example.com\n")
    code, out, err = tell(*asked)
    assert (code, "none of the 1 ids in objected.txt" in out) == (0, True), err
    n_before = Path("state.json").read_text().count('":[')
    Path("objected.txt").write_text(f"{everyone['Lead ID'].iloc[0]}\n")
    assert tell(*asked, "--state", "state.json", "--as-of", "2026-01-05")[0] == 0
    assert Path("state.json").read_text().count('":[') == n_before - 1
    Path("objected.txt").rename("objected.csv")
    code, _, err = tell(*asked[:-4], "-o", "objected.csv", "--suppress", "objected.csv")
    assert (code, "named twice" in err) == (2, True), err
    assert len(Path("objected.csv").read_text().split()) == 1


def test_where_everybody_objected_the_file_has_a_head_and_no_row(project: Path) -> None:
    leads = pd.read_csv(project / "new.csv", dtype=str)
    leads[["Lead ID"]].to_csv("objected.csv", index=False)
    left = night(project, project / "new.csv", "2026-01-05", "--suppress", "objected.csv")
    assert len(left) == 0
    assert {"Lead ID", "probability", "band", "model_version"} <= {*left.columns}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--state", "state.json", "--cutoffs", "cutoffs.csv"], "--cutoffs scores leads at many"),
        (["--suppress", "two.csv"], "none of them called 'Lead ID'"),
        (["--suppress", "empty.csv"], "holds no id"),
        (["--state", "broken.json"], "no state of this tool"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_nothing_written(project: Path, more: list[str], says: str) -> None:
    leads = pd.read_csv(project / "new.csv", dtype=str)
    leads[["Lead ID"]].assign(cutoff="2026-01-05").to_csv("cutoffs.csv", index=False)
    Path("two.csv").write_text("a,b\n1,2\n")
    Path("empty.csv").write_text("Lead ID\n\n\n")
    Path("broken.json").write_text("{}")
    Path("broken.json.key").write_text("k" * 32)
    code, _, err = tell(
        "score", str(project / "new.csv"), "-c", str(project / "propensity.toml"), "-o", "out.csv", *more
    )
    assert (code, says in err) == (2, True), err
    assert not Path("out.csv").exists()


def test_a_registry_that_is_down_is_answered_by_the_last_good_champion_and_each_row_says_so(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = night(project, project / "new.csv", "2026-01-05")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    standin = night(project, project / "new.csv", "2026-01-05")
    assert (standin["scored_by"] == "model").all()
    assert (standin["fallback_reason"] == "REGISTRY_UNAVAILABLE").all()
    pd.testing.assert_frame_equal(
        standin.drop(columns="fallback_reason"), usual.drop(columns="fallback_reason"), check_dtype=False
    )
    copies = project / "models" / "last_good"
    copies.rename(tmp_path / "away")
    try:
        alone = night(project, project / "new.csv", "2026-01-05")
    finally:
        (tmp_path / "away").rename(copies)
    assert (alone["scored_by"] == "rules").all()
    assert (alone["fallback_reason"] == "REGISTRY_UNAVAILABLE").all()


def test_reasons_that_fail_their_test_end_with_3_and_the_scores_written(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("propensity.scoring.fault_of_parts", lambda *_: "parts do not add up")
    asked = ("score", str(project / "new.csv"), "-c", str(project / "propensity.toml"), "-o", "scores.csv")
    code, _, err = tell(*asked)
    assert (code, "written, but without reasons: parts do not add up" in err) == (3, True), err
    scored = pd.read_csv("scores.csv")
    assert scored["probability"].notna().all()
    assert scored["reason_1"][scored["scored_by"] == "model"].isna().all()


def test_monitor_holds_scores_against_outcomes(project: Path) -> None:
    scored = night(project, project / "new.csv", "2026-07-05")
    won = np.where(scored["band"].isin(["SQL", "MQL"]), "Yes", "No")
    scored[["Lead ID"]].assign(Converted=won).to_csv("became.csv", index=False)
    config = ["-c", str(project / "propensity.toml")]
    asked = ("monitor", "--scores", "scores.csv", "--outcomes", "became.csv", *config, "--strict")
    code, _, err = tell(*asked)
    assert (code, "say who converted and not when" in err) == (2, True)
    asked = (*asked, "--as-of", "2026-12-01")
    Path("watch").mkdir()
    Path("watch/mine.txt").write_text("mine")
    code, out, err = tell(*asked, "-o", "watch")
    assert code == 0, err
    assert "SQLs convert" in out
    assert "No alarm" in out
    written = {"bands.csv", "funnel.csv", "rules.csv", "promises.png"}
    assert {path.name for path in Path("watch").iterdir()} == {*written, "mine.txt"}
    seen = night(project, project / "leads.csv", "2025-06-01")
    assert len(seen)
    past = ("monitor", "--scores", "scores.csv", "--outcomes", str(project / "leads.csv"), "--as-of", "2026-12-01")
    code, out, err = tell(*past, *config)
    assert (code, "they are no test of its promises" in out) == (0, True), err
    scored = night(project, project / "new.csv", "2026-07-05")
    scored[["Lead ID"]].assign(Converted=np.where(won == "Yes", "No", "Yes")).to_csv("became.csv", index=False)
    code, out, err = tell(*asked)
    assert (code, "recall promise counts as broken" in err) == (3, True), err


def test_rules_are_judged_fitted_and_taken_in(project: Path) -> None:
    config = ["-c", str(project / "propensity.toml")]
    before = (project / "propensity.toml").read_bytes()
    code, out, err = tell("rules", "audit", *config)
    assert code == 0, err
    assert "with the proposed points" in out
    fitted = project / "fitted.toml"
    assert tell("rules", "fit", *config, "-o", str(fitted))[0] == 0
    assert "# was " in fitted.read_text()
    assert tell("rules", "audit", "-c", str(fitted))[0] == 0
    Path("sheet.csv").write_text("signal,points,group\nPages viewed >= 3,10,behaviour\nUnheard of,3,fit\n")
    code, _, err = tell("rules", "import", "sheet.csv", *config)
    assert (code, "line 2: 'Unheard of' is neither" in err) == (2, True), err
    assert (project / "propensity.toml").read_bytes() == before
    Path("sheet.csv").write_text("signal,points\nPages viewed >= 3,10\n")
    takes = ("rules", "import", "sheet.csv", "-c", str(fitted))
    code, out, err = tell(*takes)
    assert (code, "0 rules gave way to them" in out) == (0, True), err
    assert "1 rules gave way to them" in tell(*takes)[1]
    assert "0 others stay." in tell(*takes, "--replace")[1]
    assert fitted.read_text().count("[[rules.points]]") == 1
    fitted.unlink()


def test_export_writes_what_a_crm_imports(project: Path) -> None:
    night(project, project / "new.csv", "2026-01-05")
    code, out, err = tell("export", "scores.csv", "--to", "hubspot", "-o", "hubspot.csv", "--external-id", "Lead ID")
    assert code == 0, err
    assert "found there by Lead ID" in out
    assert len(pd.read_csv("hubspot.csv")) == 80
    code, _, err = tell("export", "scores.csv", "--to", "salesforce", "-o", "sf.csv")
    assert (code, "--external-id" in err) == (2, True)
    assert not Path("sf.csv").exists()
