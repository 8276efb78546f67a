"""What training does with lead, event and outcome files as they come: by the command line, from files."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.cli import run
from propensity.storage.configs import load_config, read_tables
from propensity.training import prepare_tables
from propensity.training.rows import Prepared

Frames = dict[str, pd.DataFrame]
Change = Callable[[Frames], Mapping[str, pd.DataFrame | bytes]]

TOML = (Path(__file__).parents[1] / "small_world.toml").read_text()
FIRST = {"leads": "Lead", "events": "lead_id", "outcomes": "lead_id"}
STAMP = {"leads": "Created", "events": "occurred_at", "outcomes": "converted_at"}
LONG, TEN_MEGABYTES = "X" * 70_000, "X" * 10_000_000


def csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False).encode()


def parquet(frame: pd.DataFrame) -> bytes:
    content = io.BytesIO()
    frame.to_parquet(content)
    return content.getvalue()


def with_rows(frame: pd.DataFrame, *rows: tuple[object, ...]) -> pd.DataFrame:
    return pd.concat([frame, pd.DataFrame([*rows], columns=frame.columns)], ignore_index=True)


def with_cell(frame: pd.DataFrame, row: int, column: str, cell: Any) -> pd.DataFrame:
    changed = frame.astype(object)
    changed.loc[row, column] = cell
    return changed


def again(frame: pd.DataFrame, column: str, form: str) -> pd.DataFrame:
    """Write a column of stamps in another form; the zone is left out unless the form names it."""
    return frame.assign(**{column: pd.to_datetime(frame[column]).dt.strftime(form)})


def write(folder: Path, files: Mapping[str, pd.DataFrame | bytes], toml: str) -> None:
    for name, content in files.items():
        path = folder / (name if "." in name else f"{name}.csv")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else csv(content))
    (folder / "propensity.toml").write_text(toml)


def edited(*pairs: tuple[str, str]) -> str:
    text = TOML
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


HISTORY = edited(('outcomes = "outcomes.csv"', 'outcomes = "outcomes.csv"\nfield_history = "history.csv"'))
CUTOFFS = edited(('outcomes = "outcomes.csv"', 'outcomes = "outcomes.csv"\ncutoffs = "cutoffs.csv"'))


@pytest.fixture
def refused(
    small_world: Frames, empty_registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Train from files that are wrong; give the message. Nothing is written, no cell is shown."""

    def message(change: Mapping[str, pd.DataFrame | bytes], *, toml: str = TOML) -> str:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "models").mkdir()
        shutil.copy(empty_registry, tmp_path / "models" / "mlflow.db")
        write(tmp_path, {**small_world, **change}, toml)
        before = {str(path): path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()}
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(["train"])
        said = "\n".join(line for line in err.getvalue().splitlines() if not re.match(r"\s+\d+% ", line))
        assert (code, out.getvalue()) == (2, ""), said
        assert {str(path): path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()} == before
        assert said.startswith("propensity train: ")
        assert re.search(r"L0\d\d\d|A\d+\b|XXXX", said) is None
        return said

    return message


@pytest.fixture
def audited(small_world: Frames, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Audit files that are odd but can be learned from; give what was said."""

    def said(change: Mapping[str, pd.DataFrame | bytes], *, toml: str = TOML) -> str:
        write(tmp_path, {**small_world, **change}, toml)
        assert run(["audit", "-c", str(tmp_path / "propensity.toml")]) == 0
        return capsys.readouterr().out

    return said


@pytest.fixture
def prepared(small_world: Frames, tmp_path: Path) -> Callable[..., Prepared]:
    """Read files that are odd but can be learned from, up to the training rows."""

    def rows(change: Mapping[str, pd.DataFrame | bytes] | None = None, *, toml: str = TOML) -> Prepared:
        write(tmp_path, {**small_world, **(change or {})}, toml)
        config = load_config(tmp_path / "propensity.toml")
        return prepare_tables(read_tables(config), config)

    return rows


@pytest.fixture(scope="module")
def plain(small_world: Frames, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The training rows of files that are as they should be."""
    folder = tmp_path_factory.mktemp("plain")
    write(folder, small_world, TOML)
    config = load_config(folder / "propensity.toml")
    return prepare_tables(read_tables(config), config)


# ---- files that are no tables ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["leads", "events", "outcomes", "history", "cutoffs"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "{}.csv is empty. Give a file with a header and rows."),
        (b"<!DOCTYPE html><html>Sign in</html>", "{}.csv is not a table: it starts with '<!DOCTYPE html>', a web page"),
        (b"lead_id\n1\n2\n", "{}.csv is not a table: no line of it splits into columns"),
        (b"lead_id,Lead,LEAD_ID\n1,1,1\n", "twice in {}.csv: LEAD_ID. Rename or remove one of each."),
    ],
    ids=["empty", "a web page", "one column", "a name twice"],
)
def test_a_file_that_is_no_table_is_named(refused: Callable[..., str], table: str, content: bytes, says: str) -> None:
    toml = {"history": HISTORY, "cutoffs": CUTOFFS}.get(table, TOML)
    assert says.format(table) in refused({table: content}, toml=toml)


HISTORY_NAMES = ["lead_id", "field", "value", "valid_from"]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("leads", "leads.csv (data.leads) has a header but no rows"),
        ("events", "The table of events (data.events, --events) has a header but no rows"),
        ("outcomes", "The table of outcomes (data.outcomes) has a header but no rows"),
        ("history", "The table of field changes (data.field_history) has a header but no rows"),
        ("cutoffs", "gives no cutoff of a known lead (there are no rows)"),
    ],
)
def test_a_header_alone_is_no_table(refused: Callable[..., str], small_world: Frames, table: str, says: str) -> None:
    headers = {
        **{name: frame.iloc[:0] for name, frame in small_world.items()},
        "history": pd.DataFrame(columns=HISTORY_NAMES),
        "cutoffs": pd.DataFrame(columns=["lead_id", "cutoff"]),
    }
    toml = {"history": HISTORY, "cutoffs": CUTOFFS}.get(table, TOML)
    assert says in refused({table: headers[table]}, toml=toml)


@pytest.mark.parametrize(
    ("table", "column", "key"),
    [
        ("leads", "Lead", "columns.id"),
        ("leads", "Created", "columns.date"),
        ("events", "lead_id", "columns.event.id"),
        ("events", "occurred_at", "columns.event.occurred_at"),
        ("events", "event_type", "columns.event.type"),
        ("outcomes", "lead_id", "columns.outcome.id"),
        ("outcomes", "converted_at", "columns.outcome.converted_at"),
    ],
)
def test_a_column_that_is_not_there_is_named_with_its_key(
    refused: Callable[..., str], small_world: Frames, table: str, column: str, key: str
) -> None:
    frame = small_world[table].assign(more="x").drop(columns=column)
    said = refused({table: frame})
    assert f"{key} names '{column}', which the file does not have." in said
    assert f"The file has: {', '.join(frame.columns)}." in said


@pytest.mark.parametrize("table", [*FIRST])
def test_a_file_without_a_header_shows_no_value(refused: Callable[..., str], small_world: Frames, table: str) -> None:
    content = small_world[table].to_csv(index=False, header=False).encode()
    assert "the first line of the file holds values, not names. Add a header." in refused({table: content})


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("leads", "No lead has an id: column 'Lead' (columns.id) is empty in every row."),
        ("events", "None of the events can be used (events of unknown leads 661). Check which columns name the lead"),
        ("outcomes", "None of the outcomes can be used (outcomes of unknown leads 66). Check which columns name"),
    ],
)
@pytest.mark.parametrize("cell", ["", "L9999"])
def test_tables_none_of_whose_rows_is_a_leads(
    refused: Callable[..., str], small_world: Frames, table: str, says: str, cell: str
) -> None:
    change = {table: small_world[table].assign(**{FIRST[table]: cell})}
    if table == "leads" and cell:
        change[table]["Industry"] = small_world[table]["Industry"]
        says = "Ids must name one lead each"
    elif cell:
        says = f"None of the 1 different ids in column 'lead_id' of the {table} (columns.{table[:-1]}.id) is among"
    assert says in refused(change)


# ---- Parquet and queries ---------------------------------------------------------------------------------------------


def from_parquet(query: str = "", path: str = "events.parquet") -> str:
    source = f'{{path = "{path}", query = """{query}"""}}' if query else f'"{path}"'
    return edited(('events = "events.csv"', f"events = {source}"))


EVERYTHING = "SELECT * FROM source"


@pytest.mark.parametrize("query", ["", EVERYTHING])
@pytest.mark.parametrize("spoil", ["half", "last byte", "pages", "magic alone"])
def test_parquet_that_is_broken_is_refused_with_and_without_a_query(
    refused: Callable[..., str], small_world: Frames, query: str, spoil: str
) -> None:
    whole = parquet(small_world["events"])
    content = {
        "half": whole[: len(whole) // 2],
        "last byte": whole[:-1],
        "pages": whole[:200] + b"\xff" * 600 + whole[800:],
        "magic alone": b"PAR1",
    }[spoil]
    said = refused({"events.parquet": content}, toml=from_parquet(query))
    assert "events.parquet" in said
    assert re.search(r"is not readable Parquet: .* Write it again|write the file again", said)


@pytest.mark.parametrize("query", ["", EVERYTHING])
@pytest.mark.parametrize(
    ("other", "says"),
    [
        (lambda frame: parquet(frame)[:900], "b.parquet in log is not readable Parquet"),
        (lambda _: b"", "b.parquet in log is not readable Parquet"),
        (csv, "b.parquet in log is not readable Parquet"),
        (
            lambda frame: parquet(frame.rename(columns={"event_type": "kind"})),
            "b.parquet in log has other columns than a.parquet. Write all parts with the same columns.",
        ),
    ],
    ids=["cut short", "without a byte", "a CSV", "other columns"],
)
def test_a_folder_with_one_bad_part_names_it(
    refused: Callable[..., str], small_world: Frames, query: str, other: Callable[[pd.DataFrame], bytes], says: str
) -> None:
    files = {"log/a.parquet": parquet(small_world["events"]), "log/b.parquet": other(small_world["events"])}
    assert says in refused(files, toml=from_parquet(query, "log"))


@pytest.mark.parametrize("query", ["", EVERYTHING])
def test_what_tools_leave_beside_the_parts_is_passed_over(
    prepared: Callable[..., Prepared], plain: Prepared, small_world: Frames, query: str
) -> None:
    events = small_world["events"]
    parts = {"log/a.parquet": parquet(events[:300]), "log/b.parquet": parquet(events[300:]), "log/_SUCCESS.x": b""}
    assert prepared(parts, toml=from_parquet(query, "log")).digest == plain.digest


@pytest.mark.parametrize("path", ["events.csv", "events.parquet"])
@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELEC * FROM source", "(ParserException). Parser Error: syntax error at or near"),
        (
            "SELECT whom FROM source",
            'Referenced column "whom" not found in FROM clause! Its one table is called source.',
        ),
        ("SELECT * FROM leads", "Table with name leads does not exist! Its one table is called source."),
        ("SELECT CAST(lead_id AS INT) AS lead_id FROM source", "A cell is not of the type it is cast to. Use TRY_CAST"),
        ("SELECT error(lead_id) FROM source", "Try it in DuckDB over that file"),
        ("SELECT * FROM source; SELECT 1", "must be one SELECT over the table source"),
        ("-- nothing", "must be one SELECT over the table source"),
        ("DROP TABLE source", "must be one SELECT over the table source"),
        ("COPY source TO 'written.csv'", "must be one SELECT over the table source"),
        ("ATTACH 'written.db'", "must be one SELECT over the table source"),
        ("SET enable_external_access = true", "must be one SELECT over the table source"),
        ("SELECT * FROM 'outcomes.csv'", "It may read the table source and nothing else"),
        ("SELECT * FROM read_csv('outcomes.csv')", "It may read the table source and nothing else"),
        ("SELECT * FROM glob('*')", "It may read the table source and nothing else"),
        ("SELECT * FROM source WHERE false", "The table of events (data.events, --events) has a header but no rows"),
        (
            "SELECT occurred_at, event_type FROM source",
            "columns.event.id names 'lead_id', which the file does not have",
        ),
    ],
)
def test_a_query_that_fails_says_why_and_reaches_nothing_else(
    refused: Callable[..., str], small_world: Frames, path: str, query: str, says: str
) -> None:
    files = {"events.parquet": parquet(small_world["events"])}
    said = refused(files, toml=from_parquet(query, path))
    assert says in said
    if "failed (" in said:
        assert "The file has: lead_id, occurred_at, event_type. The query: " in said
        assert said.rstrip().endswith(query)


# ---- cells of ten megabytes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("column", "cell"), [("Lead", TEN_MEGABYTES), ("Industry", LONG)], ids=["id", "feature"])
def test_a_long_cell_that_is_used_is_refused_by_its_row(
    refused: Callable[..., str], small_world: Frames, column: str, cell: str
) -> None:
    # Rows are counted as in the file: the leads are sorted, and have several rows each, further on.
    leads = with_cell(small_world["leads"].iloc[::-1].reset_index(drop=True), 40, column, cell)
    said = refused({"leads": leads})
    assert "1 rows hold a cell of more than 65,536 characters (first data rows 41)." in said


def test_a_type_of_ten_megabytes_is_refused_by_its_row(refused: Callable[..., str], small_world: Frames) -> None:
    said = refused({"events": with_cell(small_world["events"], 40, "event_type", TEN_MEGABYTES)})
    assert "1 events hold a type of more than 65,536 characters (column 'event_type', columns.event.type; " in said
    assert "first data rows 41" in said


def test_a_long_cell_is_no_date(refused: Callable[..., str], small_world: Frames) -> None:
    outcomes = with_cell(small_world["outcomes"], 3, "converted_at", LONG)
    assert "'converted_at' (columns.outcome.converted_at) must hold dates: 1 of 66" in refused({"outcomes": outcomes})


def test_a_long_cell_elsewhere_harms_nothing(
    prepared: Callable[..., Prepared], plain: Prepared, small_world: Frames
) -> None:
    events, outcomes = small_world["events"], small_world["outcomes"]
    rows = prepared(
        {
            "leads": with_cell(small_world["leads"], 3, "Account", LONG),
            "events": with_rows(events, (LONG, events["occurred_at"][0], TEN_MEGABYTES)),
            "outcomes": with_rows(outcomes, (LONG, outcomes["converted_at"][0])),
        }
    )
    assert rows.dropped["events_of_unknown_leads"] == rows.dropped["outcomes_of_unknown_leads"] == 1
    assert rows.digest == plain.digest


# ---- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [*STAMP])
@pytest.mark.parametrize("year", [2027, 2262, 2500])
def test_a_record_long_after_all_others_is_refused(
    refused: Callable[..., str], small_world: Frames, table: str, year: int
) -> None:
    # It would end the data: every label mature, and those of the newest leads false.
    frame = with_cell(small_world[table], 5, STAMP[table], f"{year}-06-01T00:00:00Z")
    said = refused({table: frame})
    assert re.search(r"1 of 88\d records are later than all others \(2025-12-31\) by [\d,]+ days or more\.", said)
    assert "set data.extracted_at" in said


@pytest.mark.parametrize("table", ["events", "history"])
def test_a_whole_table_of_another_time_is_refused(refused: Callable[..., str], small_world: Frames, table: str) -> None:
    events = small_world["events"]
    later = events.assign(occurred_at=events["occurred_at"].str.replace(r"^\d+", "2031", regex=True))
    change = {"lead_id": small_world["leads"]["Lead"], "field": "Industry", "value": "Retail"}
    history = pd.DataFrame({**change, "valid_from": "2031-01-01T00:00:00Z"})
    said = refused(
        {"events": later} if table == "events" else {"history": history}, toml=HISTORY if table == "history" else TOML
    )
    assert "records are later than all others (2025-12-" in said


@pytest.mark.parametrize(
    ("table", "what"),
    [("leads", "leads' dates of creation (columns.date)"), ("events", "events"), ("outcomes", "conversions")],
)
def test_a_record_after_the_stated_end_is_refused(
    refused: Callable[..., str], small_world: Frames, table: str, what: str
) -> None:
    toml = edited(("[columns]", "extracted_at = 2026-01-01T00:00:00Z\n[columns]"))
    frame = with_cell(small_world[table], 5, STAMP[table], "2026-01-09T00:00:00Z")
    said = refused({table: frame}, toml=toml)
    assert f"1 {what} are later than the end of the data (2026-01-01T00:00:00+00:00)." in said


def test_a_date_alone_of_the_last_day_is_not_the_future(prepared: Callable[..., Prepared], small_world: Frames) -> None:
    # It is known at the next midnight, which comes after an export at noon.
    toml = edited(("[columns]", "extracted_at = 2026-01-01T12:00:00Z\n[columns]"))
    leads = with_rows(small_world["leads"], ("L9999", "2026-01-01", "Retail", "A9"))
    assert len(prepared({"leads": leads}, toml=toml).examples.y) > 0


def test_events_before_creation_and_long_ago_change_no_window(
    prepared: Callable[..., Prepared], plain: Prepared, small_world: Frames
) -> None:
    odd = with_rows(
        small_world["events"], ("L0100", "1900-01-01T00:00:00Z", "visit"), ("L0101", "2020-01-01T00:00:00Z", "visit")
    )
    assert prepared({"events": odd}).digest == plain.digest


@pytest.mark.parametrize("placeholder", ["0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z", "1677-01-01", "soon"])
def test_a_placeholder_among_dates_is_none_and_counted(
    prepared: Callable[..., Prepared], small_world: Frames, placeholder: str
) -> None:
    odd = {
        "events": with_rows(small_world["events"], ("L0100", placeholder, "visit")),
        "leads": with_cell(small_world["leads"], 5, "Created", placeholder),
    }
    dropped = prepared(odd).dropped
    assert (dropped["events_without_time"], dropped["created_missing"]) == (1, 1)


def test_a_placeholder_in_a_short_table_is_refused_with_what_to_write_instead(
    refused: Callable[..., str], small_world: Frames
) -> None:
    said = refused({"outcomes": with_cell(small_world["outcomes"], 0, "converted_at", "9999-12-31")})
    assert "must hold dates: 1 of 66 filled cells are none" in said
    assert "within the years 1800 and 2999. Leave a cell empty where there is no date." in said


@pytest.mark.parametrize("table", [*STAMP])
def test_naive_and_aware_stamps_in_one_column_are_refused(
    refused: Callable[..., str], small_world: Frames, table: str
) -> None:
    column = STAMP[table]
    frame = with_cell(small_world[table], 7, column, "2025-12-01T10:00:00")
    said = refused({table: frame})
    assert f"Column '{column}' (columns." in said
    assert "mixes stamps with and without a time zone" in said
    assert "Write the zone on all of them or on none" in said


def test_naive_and_aware_columns_side_by_side_are_read_each_for_itself(
    prepared: Callable[..., Prepared], plain: Prepared, small_world: Frames
) -> None:
    events = small_world["events"]
    naive = events.assign(recorded_at=events["occurred_at"].str.rstrip("Z"))
    assert prepared({"events": naive}).digest == plain.digest
    # An hour east of Greenwich a naive stamp was an hour earlier, and is known no earlier than it happened.
    east = edited(("[columns]", 'timezone = "Etc/GMT-1"\n[columns]'))
    assert prepared({"events": naive}, toml=east).digest == plain.digest


def test_events_recorded_before_they_happened_are_known_when_they_happened(
    prepared: Callable[..., Prepared], plain: Prepared, small_world: Frames
) -> None:
    early = small_world["events"].assign(recorded_at="2025-01-01T00:00:00Z")
    assert prepared({"events": early}).digest == plain.digest


def test_clocks_that_change_neither_skip_nor_double_an_event(
    prepared: Callable[..., Prepared], plain: Prepared, small_world: Frames
) -> None:
    # 2:30 did not exist on 30 March 2025 in Ljubljana, and was there twice on 26 October.
    here = edited(("[columns]", 'timezone = "Europe/Ljubljana"\n[columns]'))
    naive = again(small_world["events"], "occurred_at", "%Y-%m-%d %H:%M:%S")
    odd = with_rows(naive, ("L0003", "2025-03-30 02:30:00", "visit"), ("L0090", "2025-10-26 02:30:00", "visit"))
    rows = prepared({"events": odd}, toml=here)
    assert any(said.startswith("2 times of events") for said in rows.said)
    assert rows.dropped.keys() == plain.dropped.keys()


def test_times_in_a_change_of_clocks_are_used_and_said(audited: Callable[..., str], small_world: Frames) -> None:
    here = edited(("[columns]", 'timezone = "Europe/Ljubljana"\n[columns]'))
    odd = {
        "events": with_rows(
            again(small_world["events"], "occurred_at", "%Y-%m-%d %H:%M:%S"),
            ("L0003", "2025-03-30 02:30:00", "visit"),
            ("L0090", "2025-10-26 02:30:00", "visit"),
        ),
        "leads": with_cell(
            again(small_world["leads"], "Created", "%Y-%m-%d %H:%M:%S"), 5, "Created", "2025-03-30 02:10:00"
        ),
    }
    said = audited(odd, toml=here)
    assert "2 times of events, outcomes and field changes stand in an hour that a change of clocks skips" in said
    assert "1 dates of creation stand in an hour" in said
    assert "event times in clock change" not in said


def test_events_before_their_lead_was_created_are_said(audited: Callable[..., str], small_world: Frames) -> None:
    leads, events = small_world["leads"], small_world["events"]
    created = pd.to_datetime(leads["Created"][100])
    day = created.strftime("%Y-%m-%d")
    odd = [(created - pd.Timedelta(days=2, hours=h)).strftime("%Y-%m-%dT%H:%M:%SZ") for h in range(3)]
    more = {"events": with_rows(events, *(("L0100", at, "visit") for at in odd))}
    assert "happened before" not in audited({})
    said = audited(more)
    assert (
        "3 events of 1 leads happened before their lead was created (columns.date), and count like any other." in said
    )
    # On the day of its creation nobody knows what came first, where no time is told.
    dated = {
        "leads": with_cell(again(leads, "Created", "%Y-%m-%d"), 100, "Created", day),
        "events": with_rows(events, ("L0100", f"{day}T00:00:01Z", "visit")),
    }
    assert "happened before" not in audited(dated)


def test_one_file_day_first_another_month_first_are_read_each_for_itself(
    prepared: Callable[..., Prepared], plain: Prepared, small_world: Frames
) -> None:
    files = {
        "events": again(small_world["events"], "occurred_at", "%d/%m/%Y %H:%M:%S"),
        "outcomes": again(small_world["outcomes"], "converted_at", "%m/%d/%Y %H:%M:%S"),
    }
    assert prepared(files).digest == plain.digest


def test_days_that_could_be_months_are_refused(refused: Callable[..., str], small_world: Frames) -> None:
    said = refused({"events": small_world["events"].assign(occurred_at="05/06/2025 10:00")})
    assert "'occurred_at' (columns.event.occurred_at) does not tell day from month (no value above 12)" in said


def test_day_first_and_month_first_in_one_column_are_refused(refused: Callable[..., str], small_world: Frames) -> None:
    events = small_world["events"]
    first, second = (again(events, "occurred_at", f"{form}/%Y %H:%M") for form in ("%d/%m", "%m/%d"))
    mixed = first.where(pd.Series(np.arange(len(first)) % 2 == 0), second)
    assert "does not tell day from month (both orders occur)" in refused({"events": mixed})


def epochs(frame: pd.DataFrame) -> pd.Series:
    return (pd.to_datetime(frame["occurred_at"]) - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(seconds=1)


@pytest.mark.parametrize("factor", [1, 1000, 1_000_000])
def test_epochs_of_one_unit_are_the_same_instants(
    prepared: Callable[..., Prepared], plain: Prepared, small_world: Frames, factor: int
) -> None:
    events = small_world["events"]
    assert prepared({"events": events.assign(occurred_at=epochs(events) * factor)}).digest == plain.digest


def test_epochs_of_two_units_are_refused(refused: Callable[..., str], small_world: Frames) -> None:
    events = small_world["events"]
    seconds = epochs(events)
    mixed = events.assign(occurred_at=seconds.where(events.index % 2 == 0, seconds * 1000))
    assert "not one kind of epoch (looks like: s, ms). Give seconds, milliseconds" in refused({"events": mixed})


# ---- leads, conversions, events that do not fit ----------------------------------------------------------------------


def test_odd_events_are_left_out_and_counted_and_their_order_means_nothing(
    prepared: Callable[..., Prepared], plain: Prepared, small_world: Frames
) -> None:
    events = small_world["events"]
    more = with_rows(
        pd.concat([events, events.head(7)]),
        ("L9999", "2025-06-01T00:00:00Z", "visit"),
        ("", "2025-06-01T00:00:00Z", "visit"),
        ("L0001", "", "visit"),
        ("L0001", "2025-06-01T00:00:00Z", " "),
    )
    odd = prepared({"events": more.sample(frac=1, random_state=5)})
    assert odd.digest == plain.digest
    counted = {name: n for name, n in odd.dropped.items() if name.startswith("events")}
    assert counted == {
        "events_of_unknown_leads": 2,
        "events_without_time": 1,
        "events_without_type": 1,
        "events_twice": 7,
    }


def test_an_audit_says_the_counts_that_training_says(audited: Callable[..., str], small_world: Frames) -> None:
    outcomes = small_world["outcomes"]
    said = audited(
        {
            "events": with_rows(small_world["events"], ("L9999", "2025-06-01T00:00:00Z", "visit")),
            "outcomes": with_rows(outcomes, (outcomes["lead_id"][0], "2025-12-30T00:00:00Z")),
        }
    )
    assert "  - not used: events of unknown leads 1, " in said
    assert "  - 1 conversions came after another of the same lead and were not used." in said


def test_what_is_left_out_is_said_on_the_terminal(
    small_world: Frames, empty_registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    shutil.copy(empty_registry, tmp_path / "models" / "mlflow.db")
    outcomes = small_world["outcomes"]
    files = {
        "events": with_rows(small_world["events"], ("L9999", "2025-06-01T00:00:00Z", "visit")),
        "outcomes": with_rows(outcomes, (outcomes["lead_id"][0], "2025-12-30T00:00:00Z")),
    }
    write(
        tmp_path,
        {**small_world, **files},
        edited(("horizon_days = 30", "horizon_days = 7\nmax_snapshots_per_lead = 1")),
    )
    assert run(["train"]) == 0
    said = capsys.readouterr().out
    assert "not used: events of unknown leads 1, immature" in said
    assert "1 conversions came after another of the same lead and were not used." in said


def test_a_table_of_events_without_types_is_refused(refused: Callable[..., str], small_world: Frames) -> None:
    said = refused({"events": small_world["events"].assign(event_type="")})
    assert "None of the events can be used (events without type 661)." in said
    assert "the type (columns.event.type)" in said


def test_a_value_column_that_was_named_must_hold_numbers(refused: Callable[..., str], small_world: Frames) -> None:
    toml = edited(('fit = ["Industry"]', 'fit = ["Industry"]\nevent = {value = "amount"}'))
    said = refused({"events": small_world["events"].assign(amount="much")}, toml=toml)
    assert "Column 'amount' (columns.event.value) must hold numbers: 661 of 661 filled cells are none." in said


@pytest.mark.parametrize("text", ["much", "inf", "1e200"])
def test_a_column_that_is_merely_called_value_may_hold_anything(
    prepared: Callable[..., Prepared], small_world: Frames, text: str
) -> None:
    assert prepared({"events": small_world["events"].assign(value=text)}).dropped["event_values_unreadable"] == 661


def test_conversions_before_creation_are_counted_and_teach_nothing(
    prepared: Callable[..., Prepared], small_world: Frames
) -> None:
    outcomes = with_cell(small_world["outcomes"], 0, "converted_at", "1900-01-01T00:00:00Z")
    rows = prepared({"outcomes": outcomes})
    assert rows.dropped["converted_before_creation"] == 1
    assert outcomes["lead_id"][0] not in {*rows.examples.leads["Lead"]}


def test_several_conversions_of_a_lead_count_once_unless_customers_come_back(
    prepared: Callable[..., Prepared], small_world: Frames
) -> None:
    outcomes = small_world["outcomes"]
    later = again(outcomes.head(20), "converted_at", "2025-12-%dT%H:%M:%SZ")
    files = {"outcomes": pd.concat([outcomes, later, outcomes.head(3)])}
    once = prepared(files)
    assert once.dropped["outcomes_twice"] == 3
    assert any(said.startswith("20 conversions came after another of the same lead") for said in once.said)
    repeat = prepared(files, toml=edited(("horizon_days = 30", "horizon_days = 30\nrepeat = true")))
    assert not any("came after another" in said for said in repeat.said)
    assert len(repeat.examples.y) > len(once.examples.y)


def test_outcomes_without_a_date_are_counted(
    prepared: Callable[..., Prepared], plain: Prepared, small_world: Frames
) -> None:
    open_leads = pd.DataFrame({"lead_id": small_world["leads"]["Lead"], "converted_at": ""})
    rows = prepared({"outcomes": pd.concat([small_world["outcomes"], open_leads])})
    assert rows.dropped["outcomes_without_time"] == 160
    assert rows.digest == plain.digest


@pytest.mark.parametrize(("at", "why"), [("2019-01-01T00:00:00Z", "converted before creation 66"), ("2025-12-31", "")])
def test_conversions_outside_every_window_are_refused(
    refused: Callable[..., str], small_world: Frames, at: str, why: str
) -> None:
    said = refused({"outcomes": small_world["outcomes"].assign(converted_at=at)})
    assert "None of the 66 conversions falls in a label window of 30 days after a cutoff" in said
    assert why in said


@pytest.mark.parametrize(("column", "cell"), [("Industry", "Other"), ("Created", "2025-09-09T00:00:00Z")])
def test_rows_of_one_id_that_differ_are_refused_by_row(
    refused: Callable[..., str], small_world: Frames, column: str, cell: str
) -> None:
    leads = pd.concat([small_world["leads"], small_world["leads"].head(3).assign(**{column: cell})])
    said = refused({"leads": leads})
    assert "3 rows repeat an id with other values (column 'Lead', first data rows 161, 162, 163)" in said


def test_rows_of_one_id_that_are_the_same_count_once(
    prepared: Callable[..., Prepared], plain: Prepared, small_world: Frames
) -> None:
    leads = small_world["leads"]
    more = pd.concat([leads, leads.head(2), leads.head(1).assign(Account="not used")])
    rows = prepared({"leads": more})
    assert (rows.dropped["identical_rows"], rows.digest) == (3, plain.digest)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda leads: leads.assign(Created=""), "No lead says when it was created, and is looked at from then on."),
        (lambda leads: leads.assign(Created="soon"), "'Created' (columns.date) must hold dates: 160 of 160"),
    ],
)
def test_leads_without_a_date_of_creation_are_refused(
    refused: Callable[..., str], small_world: Frames, change: Callable[[pd.DataFrame], pd.DataFrame], says: str
) -> None:
    assert says in refused({"leads": change(small_world["leads"])})


def test_no_column_for_the_date_of_creation_is_refused(refused: Callable[..., str]) -> None:
    said = refused({}, toml=edited(('date = "Created"\n', "")))
    assert "Name the column that does (columns.date), or give cutoffs of your own (data.cutoffs)." in said


@pytest.mark.parametrize("table", ["event", "outcome"])
def test_records_by_account_need_the_leads_account(refused: Callable[..., str], table: str) -> None:
    toml = edited(('fit = ["Industry"]', f'fit = ["Industry"]\n{table} = {{group = "Account"}}'))
    said = refused({}, toml=toml)
    assert f"{table}.group says that records belong to accounts: name the column of the lead table" in said


def test_ids_are_the_same_as_whole_numbers_floats_and_text(
    prepared: Callable[..., Prepared], plain: Prepared, small_world: Frames
) -> None:
    number = {name: i for i, name in enumerate(small_world["leads"]["Lead"])}
    forms = {"leads": int, "events": float, "outcomes": str}
    files = {
        table: frame.assign(**{FIRST[table]: frame[FIRST[table]].map(number).map(forms[table])})
        for table, frame in small_world.items()
    }
    rows = prepared(files)
    assert not [name for name in rows.dropped if "unknown" in name]
    # Which snapshots of a lead are taken hangs on its name: leads are compared, not rows.
    assert rows.examples.leads["Lead"].nunique() == plain.examples.leads["Lead"].nunique()


def test_an_id_of_18_signs_is_the_one_of_15(prepared: Callable[..., Prepared], small_world: Frames) -> None:
    short = {name: f"00Q{i:012d}" for i, name in enumerate(small_world["leads"]["Lead"])}  # no capital but the Q
    files = {
        table: frame.assign(**{FIRST[table]: frame[FIRST[table]].map(short) + ("EAA" if table == "events" else "")})
        for table, frame in small_world.items()
    }
    assert not [name for name in prepared(files).dropped if "unknown" in name]


# ---- cutoffs and field histories -------------------------------------------------------------------------------------


@pytest.fixture
def cutoffs(small_world: Frames) -> pd.DataFrame:
    days = ["2025-07-01T00:00:00Z", "2025-10-01T00:00:00Z"]
    return pd.concat([pd.DataFrame({"lead_id": small_world["leads"]["Lead"], "cutoff": day}) for day in days])


def test_odd_cutoffs_are_left_out_and_counted(prepared: Callable[..., Prepared], cutoffs: pd.DataFrame) -> None:
    odd = with_rows(
        pd.concat([cutoffs, cutoffs.head(5)]),
        ("L9999", "2025-10-01T00:00:00Z"),
        ("L0001", ""),
        ("L0001", "2031-01-01T00:00:00Z"),
        ("L0001", "2020-01-01T00:00:00Z"),
    )
    plain, found = prepared({"cutoffs": cutoffs}, toml=CUTOFFS), prepared({"cutoffs": odd}, toml=CUTOFFS)
    assert found.digest == plain.digest
    counted = {name: found.dropped[name] for name in found.dropped if name.startswith("cutoffs")}
    assert counted == {"cutoffs_of_unknown_leads": 1, "cutoffs_without_time": 1, "cutoffs_twice": 5}
    assert found.dropped["cutoff_before_creation"] == plain.dropped["cutoff_before_creation"] + 1
    assert found.dropped.get("immature", 0) + found.dropped["converted_or_closed_before_cutoff"] == 1 + (
        plain.dropped.get("immature", 0) + plain.dropped["converted_or_closed_before_cutoff"]
    )


@pytest.mark.parametrize(
    ("column", "cell", "says"),
    [
        (
            "lead_id",
            "L9999",
            "None of the 1 different ids in column 'lead_id' of the cutoffs (columns.cutoffs.id) is among",
        ),
        ("cutoff", "", "gives no cutoff of a known lead (cutoffs without time 320)"),
        ("cutoff", "2031-01-01T00:00:00Z", "No lead has a matured outcome: the tables end on 2025-12-31"),
        ("cutoff", "2020-01-01T00:00:00Z", "(cutoff before creation 160)"),
    ],
)
def test_cutoffs_that_give_no_row_are_refused(
    refused: Callable[..., str], cutoffs: pd.DataFrame, column: str, cell: str, says: str
) -> None:
    assert says in refused({"cutoffs": cutoffs.assign(**{column: cell})}, toml=CUTOFFS)


@pytest.fixture
def history(small_world: Frames) -> pd.DataFrame:
    ids = small_world["leads"]["Lead"].head(20)
    return pd.DataFrame({"lead_id": ids, "field": "Industry", "value": "Health", "valid_from": "2025-12-01T00:00:00Z"})


def test_before_its_first_change_a_field_is_as_the_history_says_or_unknown(
    prepared: Callable[..., Prepared], history: pd.DataFrame
) -> None:
    for old, expected in ((None, set()), ("Retail", {"retail"})):
        frame = history if old is None else history.assign(old_value=old)
        examples = prepared({"history": frame}, toml=HISTORY).examples
        changed = examples.leads["Lead"].isin(history["lead_id"]).to_numpy()
        assert {*examples.read.loc[changed, "Industry"].dropna()} == expected


def test_odd_field_changes_are_counted(prepared: Callable[..., Prepared], history: pd.DataFrame) -> None:
    odd = with_rows(history, ("L9999", "Industry", "x", "2025-12-01T00:00:00Z"), ("L0001", "Industry", "x", ""))
    dropped = prepared({"history": odd}, toml=HISTORY).dropped
    assert (dropped["field_changes_of_unknown_leads"], dropped["field_changes_without_time"]) == (1, 1)


@pytest.mark.parametrize(("column", "cell"), [("lead_id", ""), ("field", "Colour"), ("valid_from", "")])
def test_a_history_of_nothing_the_leads_have_is_refused(
    refused: Callable[..., str], history: pd.DataFrame, column: str, cell: str
) -> None:
    # Silence would leave today's values standing for those of long ago.
    said = refused({"history": history.assign(**{column: cell})}, toml=HISTORY)
    assert "No change in the field history is of a column of the leads" in said
    assert "Check which columns name the lead, the field and the time (columns.field_history)." in said
    fields = "'colour'" if column == "field" else "none"
    assert f"Its fields: {fields}. The leads' columns: 'Lead', 'Created', 'Industry', 'Account'." in said


def test_a_field_spelled_unlike_its_column_is_named_with_it(refused: Callable[..., str], history: pd.DataFrame) -> None:
    said = refused({"history": history.assign(field="Industry__c")}, toml=HISTORY)
    assert "Let data.field_history have a query that calls 'industry__c' as 'Industry'; init writes it." in said


def test_a_history_whose_fields_are_values_does_not_show_them(
    refused: Callable[..., str], history: pd.DataFrame
) -> None:
    said = refused({"history": history.assign(field="ana@firm.example")}, toml=HISTORY)
    assert "Its fields: 1 that read like values, not names." in said
