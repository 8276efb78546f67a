"""Whatever happens to lead, event and outcome files, nothing crashes and no lead is lost."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from propensity import read_tables
from propensity.cli import run
from propensity.errors import InputError
from propensity.storage.configs import load_config
from propensity.training import prepare_tables

Frames = dict[str, pd.DataFrame]

TOML = (Path(__file__).parents[1] / "small_world.toml").read_text()
CELLS = st.sampled_from(
    ["", " ", "-", "x", "0", "7", "7.0", "1e308", "nan", "inf", "0001-01-01", "9999-12-31T00:00:00Z", "1900-01-01"]
) | st.sampled_from(
    ["2025-12-01T10:00:00", "2025-02-30", "05/06/2025", "1700000000", "2031-01-01T00:00:00Z", "\u202e=1+1", "\ufeff"]
)
MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["leads", "events", "outcomes"]),
        st.sampled_from(["drop", "double", "shuffle", "blank", "shift", "garble", "swap", "lose a column"]),
        st.floats(0, 1),
        st.integers(0, 2**32 - 1),
        CELLS,
    ),
    min_size=1,
    max_size=4,
)


def mutated(tables: Frames, mutations: list[tuple[str, str, float, int, str]]) -> Frames:
    tables = {name: frame.astype(object) for name, frame in tables.items()}
    for table, what, share, seed, cell in mutations:
        frame, rng = tables[table], np.random.default_rng(seed)
        rows = rng.random(len(frame)) < share
        column = frame.columns[int(rng.integers(frame.shape[1]))]
        if what == "drop":
            frame = frame[~rows]
        elif what == "double":
            frame = pd.concat([frame, frame[rows]])
        elif what == "shuffle":
            frame = frame.iloc[rng.permutation(len(frame))]
        elif what in {"blank", "garble"}:
            # Most files are spoiled in a few cells, some in whole columns.
            rows &= rng.random(len(frame)) < rng.choice([0.01, 1.0])
            frame = frame.assign(**{column: frame[column].where(~rows, "" if what == "blank" else cell)})
        elif what == "shift":
            years = str(int(rng.integers(1, 9999))).zfill(4)
            frame = frame.assign(**{column: frame[column].where(~rows, years + frame[column].astype(str).str[4:])})
        elif what == "swap":
            frame = frame.rename(columns=dict(zip(frame.columns, frame.columns[::-1], strict=True)))
        elif frame.shape[1] > 2:
            frame = frame.drop(columns=column)
        tables[table] = frame.reset_index(drop=True)
    return tables


def write(folder: Path, tables: Frames) -> None:
    for name, frame in tables.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    (folder / "propensity.toml").write_text(TOML)


@pytest.fixture(scope="module")
def project(small_world: Frames, small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model in it, and files to spoil."""
    folder = tmp_path_factory.mktemp("laws")
    write(folder, small_world)
    shutil.copytree(small_bundle, folder / "bundle")
    return folder


def scoring_law(project: Path, tables: Frames) -> None:
    write(project, tables)
    output = project / "scores.csv"
    output.write_text("earlier")
    arguments = ["score", "--model", str(project / "bundle"), "-c", str(project / "propensity.toml"), "-o", str(output)]
    err = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        code = run([*arguments, "--as-of", "2025-12-15"])
    assert code in {0, 2, 4}
    if code:
        assert output.read_text() == "earlier"
        assert err.getvalue().startswith("propensity score: ")
        return
    written = pd.read_csv(output, dtype=str, keep_default_na=False)["Lead"].map(plain_id)
    given_ids = pd.read_csv(project / "leads.csv", dtype=str, keep_default_na=False)["Lead"].map(plain_id)
    assert {*given_ids} == {*written}
    # In the order of the file; what is not there twice is there once.
    assert [*dict.fromkeys(written)] == [*dict.fromkeys(given_ids)]


def plain_id(text: str) -> str:
    """Give an id as a score file writes it: padding is no part of it, and no cell is a formula."""
    return text.strip().removeprefix("'")


def training_law(project: Path, tables: Frames) -> None:
    write(project, tables)
    config = load_config(project / "propensity.toml")
    with contextlib.suppress(InputError):  # anything else is a crash
        prepared = prepare_tables(read_tables(config), config)
        assert prepared.examples.y.any()
        assert {*prepared.examples.leads["Lead"].map(str)} <= {*tables["leads"]["Lead"].map(str)}


@pytest.mark.parametrize("law", [scoring_law, training_law])
@given(mutations=MUTATIONS)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_spoiled_files_end_in_a_sentence_or_in_scores_of_every_lead(
    project: Path, small_world: Frames, law: Callable[[Path, Frames], Any], mutations: Any
) -> None:
    law(project, mutated(small_world, mutations))


@pytest.mark.slow
@pytest.mark.parametrize("law", [scoring_law, training_law])
@given(mutations=MUTATIONS)
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_many_spoiled_files_end_in_a_sentence_or_in_scores_of_every_lead(
    project: Path, small_world: Frames, law: Callable[[Path, Frames], Any], mutations: Any
) -> None:
    law(project, mutated(small_world, mutations))
