"""What scoring from lead, event and cutoff files does with files as they come: no lead is lost, nothing is silent."""

from __future__ import annotations

import contextlib
import io
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from propensity.cli import run

Frames = dict[str, pd.DataFrame]

EARLIER = "earlier scores\n"
AS_OF = "2025-12-15"
TOML = (Path(__file__).parent / "small_world.toml").read_text()
# Nothing says who converted, so every lead that was there is to be scored.
OPEN = TOML.replace('outcomes = "outcomes.csv"\n', "")
# Leads convert again, so those who did once are to be scored too.
REPEAT = TOML.replace("horizon_days = 30\n", "horizon_days = 30\nrepeat = true\n")


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a command left on the terminal, and the scores it wrote."""

    code: int
    out: str
    err: str
    scores: pd.DataFrame | None

    @property
    def notes(self) -> dict[str, int]:
        return dict(json.loads(self.out)["notes"])


@pytest.fixture
def scored(
    small_bundle: Path, small_world: Frames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Told]:
    """Score from files; give what was told. What is refused leaves earlier scores as they were."""

    def tell(change: Mapping[str, pd.DataFrame | bytes], *more: str, toml: str = TOML) -> Told:
        monkeypatch.chdir(tmp_path)
        for name, content in {**small_world, **change}.items():
            data = content if isinstance(content, bytes) else content.to_csv(index=False).encode()
            Path(f"{name}.csv").write_bytes(data)
        Path("propensity.toml").write_text(toml)
        Path("scores.csv").write_text(EARLIER)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(["score", "--model", str(small_bundle), "-o", "scores.csv", "--json", *more])
        if code != 0:
            assert (Path("scores.csv").read_text(), out.getvalue()) == (EARLIER, "")
            assert re.search(r"L0\d\d\d|A\d+\b|XXXX", err.getvalue()) is None
            return Told(code=code, out="", err=err.getvalue(), scores=None)
        scores = pd.read_csv("scores.csv", dtype=str, keep_default_na=False)
        return Told(code=code, out=out.getvalue(), err=err.getvalue(), scores=scores)

    return tell


def with_rows(frame: pd.DataFrame, *rows: tuple[object, ...]) -> pd.DataFrame:
    return pd.concat([frame, pd.DataFrame([*rows], columns=frame.columns)], ignore_index=True)


def with_cell(frame: pd.DataFrame, row: int, column: str, cell: Any) -> pd.DataFrame:
    changed = frame.astype(object)
    changed.loc[row, column] = cell
    return changed


@pytest.fixture
def usual(scored: Callable[..., Told]) -> Told:
    return scored({}, "--as-of", AS_OF)


def test_every_lead_is_in_the_output_and_the_unborn_are_counted(usual: Told, small_world: Frames) -> None:
    assert usual.scores is not None
    assert usual.scores["Lead"].to_list() == small_world["leads"]["Lead"].to_list()
    n_unborn = int((small_world["leads"]["Created"] > AS_OF).sum())
    assert (usual.scores["fallback_reason"] == "INVALID_ROW").sum() == n_unborn
    assert usual.notes["not_there_at_the_cutoff"] == n_unborn


def test_leads_created_after_the_instant_are_unscored_and_no_fault_of_the_file(
    scored: Callable[..., Told], small_bundle: Path, small_world: Frames, capsys: Any
) -> None:
    as_of = "2025-06-01T00:00Z"
    is_unborn = (small_world["leads"]["Created"] > as_of).to_list()
    assert 80 < sum(is_unborn) < 160
    told = scored({}, "--as-of", as_of, toml=OPEN)
    assert told.scores is not None
    assert told.scores["Lead"].to_list() == small_world["leads"]["Lead"].to_list()
    assert (told.scores["band"] == "unscored").to_list() == is_unborn
    assert (told.scores["probability"] == "").to_list() == is_unborn
    assert json.loads(told.out)["degraded"] == 0
    for command, of_them in (("score", "as of which scores are: not scored"), ("features", "their rows are empty")):
        output = {"score": "scores.csv", "features": "rows.parquet"}[command]
        assert run([command, "--model", str(small_bundle), "--as-of", as_of, "-o", output]) == 0
        said = capsys.readouterr().out
        assert f"  {sum(is_unborn)} leads were created after {as_of}" in said
        assert of_them in said
        assert re.search("INVALID_ROW|not there|could not be scored", said) is None


def test_a_lead_is_there_from_the_instant_of_its_creation_on(scored: Callable[..., Told], small_world: Frames) -> None:
    born = pd.Timestamp(small_world["leads"]["Created"][80])
    for instant, is_there in ((born, True), (born - pd.Timedelta(seconds=1), False)):
        told = scored({}, "--as-of", instant.isoformat())
        assert told.scores is not None
        assert (told.scores["scored_by"][80] == "model") == is_there


def test_broken_rows_are_a_share_of_the_leads_that_were_there(scored: Callable[..., Told], small_world: Frames) -> None:
    leads, as_of = small_world["leads"], "2025-06-01T00:00Z"
    n_born = int((leads["Created"] <= as_of).sum())
    assert n_born < 80
    for n_broken, code in ((n_born // 5, 0), (n_born // 5 + 1, 4)):
        broken = leads.assign(Industry=leads["Industry"].where(leads.index >= n_broken, "x" * 70_000))
        told = scored({"leads": broken}, "--as-of", as_of, toml=OPEN)
        assert told.code == code
    assert f"of {n_born} rows cannot be scored by the model (INVALID_ROW: {n_born // 5 + 1});" in told.err


def in_time(frame: pd.DataFrame, column: str) -> pd.Series:
    return pd.to_datetime(frame[column], utc=True)


def converted_before(small_world: Frames, as_of: str) -> list[bool]:
    """Say of each lead whether it had converted before an instant, from the tables alone."""
    won = small_world["outcomes"][in_time(small_world["outcomes"], "converted_at") < pd.Timestamp(as_of, tz="UTC")]
    return small_world["leads"]["Lead"].isin(won["lead_id"]).to_list()


def test_leads_that_had_converted_stay_unscored_and_are_no_fault_of_the_file(
    scored: Callable[..., Told], small_bundle: Path, small_world: Frames, capsys: Any
) -> None:
    is_over = converted_before(small_world, AS_OF)
    assert 40 < sum(is_over) < 100
    told, all_scored = scored({}, "--as-of", AS_OF), scored({}, "--as-of", AS_OF, toml=OPEN)
    assert told.scores is not None
    assert all_scored.scores is not None
    assert (told.scores["fallback_reason"] == "ALREADY_CONVERTED").to_list() == is_over
    assert told.scores["Lead"].to_list() == small_world["leads"]["Lead"].to_list()
    over = told.scores[is_over]
    assert [{*over[name]} for name in ("band", "scored_by", "probability", "points")] == [
        {"unscored"},
        {""},
        {""},
        {""},
    ]
    others = [not one for one in is_over]
    pd.testing.assert_frame_equal(told.scores[others], all_scored.scores[others])
    summary = json.loads(told.out)
    assert (summary["aside"]["already_converted"], summary["degraded"]) == (sum(is_over), 0)
    for command, of_them in (("score", "not scored"), ("features", "their rows are empty")):
        Path("propensity.toml").write_text(TOML)
        output = {"score": "scores.csv", "features": "rows.parquet"}[command]
        assert run([command, "--model", str(small_bundle), "--as-of", AS_OF, "-o", output]) == 0
        said = f"  {sum(is_over)} leads had converted before {AS_OF} (labels.repeat = false): {of_them}\n"
        assert said in capsys.readouterr().out


def test_customers_who_come_back_are_scored(scored: Callable[..., Told]) -> None:
    again, all_scored = scored({}, "--as-of", AS_OF, toml=REPEAT), scored({}, "--as-of", AS_OF, toml=OPEN)
    assert again.scores is not None
    assert all_scored.scores is not None
    pd.testing.assert_frame_equal(again.scores, all_scored.scores)
    assert "already_converted" not in json.loads(again.out)["aside"]


def test_a_conversion_at_or_after_the_cutoff_changes_nothing(scored: Callable[..., Told]) -> None:
    won = pd.Timestamp("2025-12-01T12:00:00Z")
    outcomes = pd.DataFrame({"lead_id": ["L0100"], "converted_at": [won.isoformat()]})
    second = pd.Timedelta(seconds=1)
    plain = scored({}, "--as-of", won.isoformat(), toml=OPEN)
    told = scored({"outcomes": outcomes}, "--as-of", won.isoformat())
    assert told.scores is not None
    assert plain.scores is not None
    pd.testing.assert_frame_equal(told.scores, plain.scores)
    later = scored({"outcomes": outcomes}, "--as-of", (won + second).isoformat())
    assert later.scores is not None
    assert later.scores["Lead"][later.scores["fallback_reason"] == "ALREADY_CONVERTED"].to_list() == ["L0100"]
    at = [("L0100", at.isoformat()) for at in (won - second, won, won + second)]
    own = scored({"outcomes": outcomes, "cutoffs": at_cutoffs(*at)}, "--cutoffs", "cutoffs.csv")
    assert own.scores is not None
    assert own.scores["scored_by"].to_list() == ["model", "model", ""]


def test_a_date_of_conversion_in_the_lead_file_counts_where_there_is_one(
    scored: Callable[..., Told], small_world: Frames
) -> None:
    toml = OPEN.replace('date = "Created"', 'date = "Created"\nconverted_at = "Won on"')
    won = small_world["leads"].merge(small_world["outcomes"], left_on="Lead", right_on="lead_id", how="left")
    leads = small_world["leads"].assign(**{"Won on": won["converted_at"]})
    told = scored({"leads": leads}, "--as-of", AS_OF, toml=toml)
    assert told.scores is not None
    is_over = (told.scores["fallback_reason"] == "ALREADY_CONVERTED").to_list()
    assert is_over == converted_before(small_world, AS_OF)
    # A file of new leads need not have that column.
    assert json.loads(scored({}, "--as-of", AS_OF, toml=toml).out)["aside"].keys() == {"created_later"}


def test_leads_whose_account_had_converted_stay_unscored(scored: Callable[..., Told]) -> None:
    toml = TOML.replace('date = "Created"', 'date = "Created"\ngroup = "Account"\noutcome = {group = "Account"}')
    outcomes = pd.DataFrame({"Account": ["A3"], "converted_at": ["2025-11-01T00:00:00Z"]})
    told = scored({"outcomes": outcomes}, "--as-of", AS_OF, toml=toml)
    assert told.scores is not None
    over = told.scores["Lead"][told.scores["fallback_reason"] == "ALREADY_CONVERTED"]
    assert over.to_list() == ["L0006", "L0007"]


def test_training_and_scoring_call_the_same_leads_converted(scored: Callable[..., Told], small_world: Frames) -> None:
    """A row that is no example because its lead had converted is no row to score, and the other way round."""
    from propensity import Tables
    from propensity.config import parse_config
    from propensity.training import prepare_tables

    cutoffs = at_cutoffs(
        *((f"L{i:04d}", f"2025-{month:02d}-01T00:00:00Z") for i in range(160) for month in range(3, 12))
    )
    config = parse_config(tomllib.loads(TOML.replace("[columns]", 'cutoffs = "cutoffs.csv"\n[columns]')))
    tables = {name: small_world[name] for name in ("leads", "events", "outcomes")}
    dropped = prepare_tables(Tables(cutoffs=cutoffs, **tables), config).dropped  # type: ignore[arg-type]
    told = scored({"cutoffs": cutoffs}, "--cutoffs", "cutoffs.csv")
    aside = json.loads(told.out)["aside"]
    assert aside["already_converted"] == dropped["converted_or_closed_before_cutoff"] > 0
    assert aside["created_later"] == dropped["cutoff_before_creation"] > 0


def test_a_file_of_customers_alone_is_written_without_a_score(scored: Callable[..., Told], small_world: Frames) -> None:
    customers = small_world["leads"][converted_before(small_world, AS_OF)]
    told = scored({"leads": customers}, "--as-of", AS_OF, "--strict")
    assert told.scores is not None
    assert {*told.scores["fallback_reason"]} == {"ALREADY_CONVERTED"}
    assert len(told.scores) == len(customers)


def test_a_lead_that_had_converted_is_explained_as_such(
    scored: Callable[..., Told], small_bundle: Path, small_world: Frames, capsys: Any
) -> None:
    scored({}, "--as-of", AS_OF)
    lead = small_world["leads"]["Lead"][converted_before(small_world, AS_OF)].iloc[0]
    words = ["explain", "leads.csv", "--lead", lead, "--as-of", AS_OF, "--model", str(small_bundle)]
    assert run(words) == 0
    assert f"Lead {lead}: unscored (ALREADY_CONVERTED)" in capsys.readouterr().out


def test_an_instant_before_every_lead_is_refused(scored: Callable[..., Told], small_world: Frames) -> None:
    told = scored({}, "--as-of", "2024-01-01")
    first = pd.Timestamp(small_world["leads"]["Created"].min()).isoformat()
    assert told.code == 2
    assert (
        "No lead was there yet: all 160 were created after the instant to score as of (2024-01-01T00:00:00+00:00). "
        f"The earliest of them was created at {first}. Name a later instant."
    ) in told.err
    early = at_cutoffs(("L0100", "2024-01-01T00:00:00Z"), ("L0101", "2024-02-01T00:00:00Z"))
    told = scored({"cutoffs": early}, "--cutoffs", "cutoffs.csv")
    assert told.code == 2
    assert "after their own cutoffs (the latest is 2024-02-01T00:00:00+00:00)." in told.err


def test_odd_events_change_no_score_and_are_counted(
    scored: Callable[..., Told], usual: Told, small_world: Frames
) -> None:
    events = small_world["events"]
    odd = with_rows(
        pd.concat([events, events.head(7)]),
        ("L9999", "2025-06-01T00:00:00Z", "visit"),
        ("L0001", "", "visit"),
        ("L0001", "2025-06-01T00:00:00Z", ""),
        ("L0001", "2031-06-01T00:00:00Z", "visit"),
        ("L0001", "2262-06-01T00:00:00Z", "visit"),
        ("L0001", "1900-01-01T00:00:00Z", "visit"),
        ("L0001", "9999-12-31T00:00:00Z", "visit"),
    )
    told = scored({"events": odd.sample(frac=1, random_state=3)}, "--as-of", AS_OF)
    assert usual.scores is not None
    assert told.scores is not None
    pd.testing.assert_frame_equal(told.scores, usual.scores)
    assert {name: n - usual.notes.get(name, 0) for name, n in told.notes.items() if name.startswith("events")} == {
        "events_of_unknown_leads": 1,
        "events_without_time": 2,
        "events_without_type": 1,
        "events_twice": 7,
        "events_after_that_instant": 2,
    }


def test_counts_are_words_on_the_terminal(
    scored: Callable[..., Told], small_bundle: Path, small_world: Frames, capsys: Any
) -> None:
    scored({"events": with_rows(small_world["events"], ("L9999", "2025-06-01T00:00:00Z", "visit"))}, "--as-of", AS_OF)
    for command in (["score", "-o", "scores.csv"], ["features", "-o", "rows.parquet"]):
        assert run([*command, "--model", str(small_bundle), "--as-of", AS_OF]) == 0
        said = capsys.readouterr().out
        assert "  1 events are of leads that are not in this file; passed over\n" in said
        assert "Warning: All" not in said


def test_events_of_other_leads_alone_are_warned_of_and_scored_as_none(
    scored: Callable[..., Told], small_bundle: Path, small_world: Frames, capsys: Any
) -> None:
    """A handful of leads may have done nothing yet; a wrong column looks the same."""
    events = small_world["events"].assign(lead_id="X" + small_world["events"]["lead_id"])
    assert scored({"events": events}, "--as-of", AS_OF).code == 2
    few = small_world["leads"].head(3)
    told = scored({"events": events, "leads": few}, "--as-of", AS_OF)
    assert (told.code, told.notes["events_of_unknown_leads"]) == (0, len(events))
    warning, own_past = json.loads(told.out)["warnings"]
    assert own_past.startswith("the model learned from records up to 2025-12-31")
    assert warning.startswith(f"All {len(events)} events are of leads that are not in this file, which are scored as")
    assert "Check that column 'lead_id' of the events (columns.event.id) names leads as column 'Lead'" in warning
    assert run(["score", "--model", str(small_bundle), "--as-of", AS_OF, "-o", "scores.csv"]) == 0
    assert f"  Warning: {warning}\n" in capsys.readouterr().out


def test_ids_written_in_two_ways_are_refused_however_few_the_leads(
    scored: Callable[..., Told], small_world: Frames
) -> None:
    events = small_world["events"].assign(lead_id=small_world["events"]["lead_id"].str.lower())
    told = scored({"events": events, "leads": small_world["leads"].head(3)}, "--as-of", AS_OF)
    assert told.code == 2
    assert "among the 3 in column 'Lead' of the leads (columns.id). They match when letter case is ignored" in told.err


@pytest.mark.parametrize(("as_of", "is_late"), [("2026-01-01", False), ("2026-03-01", True)])
def test_a_log_that_ends_long_before_the_instant_is_warned_of(
    scored: Callable[..., Told], as_of: str, is_late: bool
) -> None:
    warnings = json.loads(scored({}, "--as-of", as_of).out)["warnings"]
    assert len(warnings) == is_late
    assert all(re.match(r"The newest event is of 2025-12-\d\d, \d\d days before 2026-03-01", one) for one in warnings)


def test_a_log_is_late_once_it_is_silent_longer_than_ever(scored: Callable[..., Told], small_world: Frames) -> None:
    """Take two weeks out of the log: it was silent for so long before."""
    events = small_world["events"]
    gap = events[(events["occurred_at"] < "2025-11-01") | (events["occurred_at"] > "2025-11-15")]
    for frame, as_of, n in ((events, "2026-01-08", 1), (gap, "2026-01-08", 0), (gap, "2026-01-20", 1)):
        assert len(json.loads(scored({"events": frame}, "--as-of", as_of).out)["warnings"]) == n


def test_a_stray_record_does_not_say_as_of_when_to_score(scored: Callable[..., Told], small_world: Frames) -> None:
    odd = {"events": with_rows(small_world["events"], ("L0001", "2031-06-01T00:00:00Z", "visit"))}
    told = scored(odd)
    assert told.code == 2
    assert "1 of 822 records are later than all others (2025-12-31) by 1,977 days or more." in told.err
    assert "name the instant to score as of: --as-of 2026-01-01." in told.err
    assert scored(odd, "--as-of", AS_OF).code == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"events": b""}, "events.csv is empty"),
        ({"events": b"<html>"}, "events.csv is not a table: it starts with '<html>', a web page"),
        ({"events": b"lead_id,occurred_at,event_type\n"}, "The table of events (data.events, --events) has a header"),
        ({"events": b"lead_id\n1\n"}, "events.csv is not a table"),
        ({"events": b"lead_id,occurred_at\n1,2025-01-01\n"}, "columns.event.type names 'event_type', which the file"),
        ({"events": b"lead_id,occurred_at,event_type,Lead_ID\n1,2025-01-01,x,1\n"}, "twice in events.csv: Lead_ID"),
        ({"leads": b"Lead,Created,Industry\n"}, "The file has a header but no rows."),
        ({"leads": b"Created,Industry\n2025-01-01,Retail\n"}, "columns.id names 'Lead', which the file does not have"),
    ],
)
def test_files_that_are_no_tables_are_refused(scored: Callable[..., Told], change: dict[str, bytes], says: str) -> None:
    told = scored(change, "--as-of", AS_OF)
    assert told.code == 2
    assert says in told.err


@pytest.mark.parametrize(
    ("table", "column", "key"),
    [("events", "occurred_at", "columns.event.occurred_at"), ("leads", "Created", "columns.date")],
)
def test_mixed_zones_are_refused(
    scored: Callable[..., Told], small_world: Frames, table: str, column: str, key: str
) -> None:
    told = scored({table: with_cell(small_world[table], 3, column, "2025-12-01T10:00:00")}, "--as-of", AS_OF)
    assert told.code == 2
    assert f"Column '{column}' ({key}) mixes stamps with and without a time zone" in told.err


@pytest.mark.parametrize("instant", [("--as-of", AS_OF), ("--cutoffs", "cutoffs.csv")])
def test_leads_of_one_id_that_differ_are_refused_by_row(
    scored: Callable[..., Told], small_world: Frames, instant: tuple[str, str]
) -> None:
    leads = pd.concat([small_world["leads"], small_world["leads"].head(2).assign(Industry="Other")])
    told = scored({"leads": leads, "cutoffs": at_cutoffs(*GOOD)}, *instant)
    assert told.code == 2
    assert "2 rows repeat an id with other values (column 'Lead', first data rows 161, 162)" in told.err


@pytest.mark.parametrize(
    ("table", "column", "length"),
    [
        ("leads", "Lead", 10_000_000),
        ("leads", "Industry", 70_000),
        ("leads", "Account", 70_000),
        ("events", "lead_id", 70_000),
        ("events", "event_type", 10_000_000),
    ],
)
def test_a_cell_beyond_all_measure_costs_its_own_row_at_most(
    scored: Callable[..., Told], small_world: Frames, table: str, column: str, length: int
) -> None:
    told = scored({table: with_cell(small_world[table], 3, column, "X" * length)}, "--as-of", AS_OF)
    assert told.scores is not None
    assert len(told.scores) == 160
    is_bad = table == "leads" and column != "Account"
    assert told.notes.get("too_long", 0) == is_bad
    # Besides it, leads created after the instant have no features.
    n_unborn = int((small_world["leads"]["Created"] > AS_OF).sum())
    assert (told.scores["fallback_reason"] == "INVALID_ROW").sum() == n_unborn + is_bad
    assert (told.scores["fallback_reason"][3] == "INVALID_ROW") == is_bad


def test_leads_without_an_id_stay_in_their_place(scored: Callable[..., Told], small_world: Frames) -> None:
    leads = small_world["leads"]
    told = scored({"leads": leads.assign(Lead=leads["Lead"].where(leads.index > 2, ""))}, "--as-of", AS_OF)
    assert told.scores is not None
    assert told.scores["band"].head(4).eq("unscored").to_list() == [True, True, True, False]
    assert (len(told.scores), told.notes["missing_ids"]) == (160, 3)


# ---- cutoffs ---------------------------------------------------------------------------------------------------------


def at_cutoffs(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame([*rows], columns=["lead_id", "cutoff"])


GOOD = [(f"L{i:04d}", "2025-12-01T00:00:00Z") for i in range(100, 130)]


def test_rows_of_the_cutoffs_that_cannot_be_scored_stay_and_are_counted(scored: Callable[..., Told]) -> None:
    odd = [("L9999", "2025-12-01T00:00:00Z"), ("L0101", "2020-01-01T00:00:00Z"), ("", "2025-12-01T00:00:00Z")]
    told = scored({"cutoffs": at_cutoffs(*GOOD, *odd, ("L0102", ""), GOOD[0])}, "--cutoffs", "cutoffs.csv", toml=OPEN)
    assert told.scores is not None
    assert told.scores["Lead"].to_list() == [name for name, _ in [*GOOD, *odd, ("L0102", "")]]
    assert {*told.scores["scored_by"].head(30)} == {"model"}
    # A lead that the lead file does not hold, one before its creation, one without an id, one without a cutoff.
    assert {*told.scores["fallback_reason"].tail(4)} == {"INVALID_ROW"}
    assert {*told.scores["scored_by"].tail(4)} == {""}
    assert told.notes["rows_without_a_cutoff_of_a_known_lead"] == 3
    assert told.notes["identical_rows"] == 1


def test_every_row_of_the_cutoffs_is_in_the_output_whatever_became_of_it(scored: Callable[..., Told]) -> None:
    of_one = [("L0101", f"2020-01-0{day}T00:00:00Z") for day in (1, 2, 3)]
    unknown = [("U1", f"2025-12-0{day}T00:00:00Z") for day in (1, 2)]
    rows = [*GOOD, *of_one, *unknown]
    told = scored({"cutoffs": at_cutoffs(*rows)}, "--cutoffs", "cutoffs.csv", toml=OPEN)
    assert told.scores is not None
    assert told.scores["Lead"].to_list() == [lead for lead, _ in rows]
    assert json.loads(told.out)["aside"] == {"created_later": 3, "unknown_lead": 2}
    assert "identical_rows" not in told.notes


def test_rows_of_the_cutoffs_that_nobody_scores_are_told_apart_in_words(
    scored: Callable[..., Told], small_bundle: Path, capsys: Any
) -> None:
    odd = [
        ("L0101", "2020-01-01T00:00:00Z"),
        ("U1", "2025-12-01T00:00:00Z"),
        ("U2", "2025-12-01T00:00:00Z"),
        ("L0102", ""),
    ]
    scored({"cutoffs": at_cutoffs(*GOOD, *odd)}, "--cutoffs", "cutoffs.csv", toml=OPEN)
    assert run(["score", "--model", str(small_bundle), "--cutoffs", "cutoffs.csv", "-o", "scores.csv"]) == 0
    said = capsys.readouterr().out
    assert "  1 leads were created after their cutoff, as of which scores are: not scored\n" in said
    assert "  2 rows name a lead that the lead file does not hold: not scored\n" in said
    assert "  1 rows have no cutoff: not scored\n" in said
    assert re.search("INVALID_ROW|could not be scored", said) is None


def test_many_rows_of_the_cutoffs_that_name_no_known_lead_are_a_broken_file(scored: Callable[..., Told]) -> None:
    unknown = [(f"U{i}", "2025-12-01T00:00:00Z") for i in range(9)]
    before = [(f"L{i:04d}", "2020-01-01T00:00:00Z") for i in range(9)]
    assert scored({"cutoffs": at_cutoffs(*GOOD, *before)}, "--cutoffs", "cutoffs.csv", toml=OPEN).code == 0
    told = scored({"cutoffs": at_cutoffs(*GOOD, *before, *unknown)}, "--cutoffs", "cutoffs.csv", toml=OPEN)
    assert told.code == 4
    assert "23% of 39 rows cannot be scored by the model (INVALID_ROW: 9)" in told.err


@pytest.mark.parametrize(
    ("cutoffs", "says"),
    [
        (b"", "cutoffs.csv is empty"),
        (b"lead_id,cutoff\n", "Column 'cutoff' of the cutoffs (columns.cutoffs.cutoff) holds no date"),
        (b"lead_id,cutoff\nL0100,\n", "Column 'cutoff' of the cutoffs (columns.cutoffs.cutoff) holds no date"),
        (b"lead_id,at\nL0100,2025-12-01\n", "columns.cutoffs.cutoff names 'cutoff', which the file does not have"),
        (b"lead_id,cutoff\n7,2025-12-01\n", "None of the 1 different ids in column 'lead_id' of the cutoffs"),
        (b"lead_id,cutoff\nL0100,2025-12-01T00:00Z\nL0101,2025-12-01T00:00\n", "mixes stamps with and without"),
    ],
)
def test_cutoffs_that_say_nothing_are_refused(scored: Callable[..., Told], cutoffs: bytes, says: str) -> None:
    told = scored({"cutoffs": cutoffs}, "--cutoffs", "cutoffs.csv")
    assert told.code == 2
    assert says in told.err


def test_one_instant_and_own_cutoffs_exclude_each_other(scored: Callable[..., Told]) -> None:
    told = scored({"cutoffs": at_cutoffs(*GOOD)}, "--cutoffs", "cutoffs.csv", "--as-of", AS_OF)
    assert told.code == 2
    assert "--as-of and --cutoffs both say as of when to score" in told.err


@pytest.mark.parametrize("name", ["leads.csv", "events.csv", "outcomes.csv"])
def test_no_file_that_a_project_reads_is_written_over(
    scored: Callable[..., Told], small_bundle: Path, name: str, capsys: Any
) -> None:
    scored({}, "--as-of", AS_OF)
    before = Path(name).read_bytes()
    assert run(["score", "--model", str(small_bundle), "-o", name, "--as-of", AS_OF]) == 2
    assert f"{name} is one of the files that are read and would be lost." in capsys.readouterr().err
    assert Path(name).read_bytes() == before


def test_init_tells_files_given_in_each_others_place(
    small_world: Frames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, frame in small_world.items():
        frame.to_csv(f"{name}.csv", index=False)
    assert run(["init", "leads.csv", "--events", "outcomes.csv", "--outcomes", "events.csv"]) == 2
    assert capsys.readouterr().err == (
        "propensity init: outcomes.csv (--events) looks like a file of conversions, "
        "events.csv (--outcomes) looks like an event log; did you swap --events and --outcomes?\n"
    )
    assert not Path("propensity.toml").exists()
