"""Laws of scoring that hold for any table, however odd."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.config import parse_config
from propensity.errors import PropensityError
from propensity.model import PropensityModel
from propensity.schema import Tables
from propensity.scoring import Scores, score
from propensity.training import train

BANDS = {"SQL", "MQL", "nurture", "unscored"}


@pytest.fixture(scope="session")
def model() -> PropensityModel:
    """A model without an id column, so that every row of a table is a lead of its own."""
    rng = np.random.default_rng(0)
    visits, source = rng.poisson(3, 600), rng.choice(["fair", "referral", "web"], 600)
    spend = np.where(rng.random(600) < 0.7, np.nan, rng.lognormal(3, 1, 600))
    log_odds = np.where(source == "referral", visits - 3, 3 - visits)
    won = (rng.random(600) < 1 / (1 + np.exp(-log_odds))).astype(int)
    leads = pd.DataFrame({"Visits": visits, "Source": source, "Spend": spend, "Won": won})
    settings = {
        "data": {"leads": "leads.csv"},
        "columns": {"target": "Won", "fit": ["Source"], "behaviour": ["Visits", "Spend"], "count": ["Visits"]},
        "learner": {"max_trees": 30},
        "rules": {"points": [{"name": "spends", "column": "Spend", "op": ">", "value": 10, "points": 50}]},
    }
    fitted = train(Tables(leads=leads), parse_config(settings)).model
    assert fitted.verdict == "skill"
    return fitted


CELLS = st.one_of(
    st.none(),
    st.floats(),
    st.integers(),
    st.text(max_size=20),
    st.sampled_from(
        ["web", " WEB", "referral", "3", "1,5", "1e400", "-inf", "NaN", "n/a", "=1+1", "\x00", "x" * 70_000]
    ),
    st.booleans(),
    st.dates(),
    st.datetimes(),
    st.timedeltas(),
    st.decimals(),
    st.binary(max_size=5),
    st.just(pd.NA),
    st.just(pd.NaT),
    st.just(Decimal("1.5")),
    st.just(dt.UTC),
    st.just(3 + 4j),
)
# One kind of cell a column, as files have it: True and 1 in one column would be one value to pandas.
COLUMNS = st.one_of(*(st.just(kind) for kind in (CELLS, st.floats(), st.integers(-5, 50), st.text(max_size=9))))


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Draw a table of one to eight rows with some of the model's columns, and others."""
    n_rows = draw(st.integers(1, 8))
    names = draw(st.sets(st.sampled_from(["Visits", "Source", "Spend", "Extra", " visits2 "]), max_size=5))
    columns = {
        name: pd.Series(draw(st.lists(draw(COLUMNS), min_size=n_rows, max_size=n_rows)), dtype=object)
        for name in draw(st.permutations(sorted(names)))
    }
    return pd.DataFrame(columns, index=range(n_rows))


def written(scores: Scores) -> list[str]:
    """Rows as text in which no bit of a float is lost, without their numbers."""
    return [repr(tuple(row)) for row in scores.frame.drop(columns="row").itertuples(index=False)]


@given(frame=tables())
def test_any_table_is_scored_row_for_row(model: PropensityModel, frame: pd.DataFrame) -> None:
    scored = score(frame, model=model).frame
    assert scored["row"].to_list() == list(range(1, len(frame) + 1))
    assert set(scored["band"]) <= BANDS
    assert set(scored["scored_by"]) <= {"model", "rules"}
    assert ((scored["scored_by"] == "rules") == (scored["fallback_reason"] != "")).all()
    probability = scored["probability"].to_numpy()
    assert np.isfinite(probability).all()  # points are mapped to probability too
    assert ((probability >= 0) & (probability <= 1)).all()
    by_model = scored["scored_by"] == "model"
    assert np.isfinite(scored.loc[by_model, ["fit_pp", "behaviour_pp"]].to_numpy()).all()


@given(frame=tables(), data=st.data())
def test_permuting_rows_and_columns_only_permutes_scores(
    model: PropensityModel, frame: pd.DataFrame, data: st.DataObject
) -> None:
    rows = data.draw(st.permutations(range(len(frame))))
    columns = data.draw(st.permutations(list(frame.columns)))
    whole = written(score(frame, model=model))
    assert written(score(frame[columns].iloc[rows], model=model)) == [whole[i] for i in rows]


@given(
    visits=st.lists(st.one_of(st.none(), st.integers(-3, 60), st.floats()), min_size=1, max_size=6),
    source=st.lists(st.one_of(st.none(), st.text(max_size=5)), min_size=6, max_size=6),
)
def test_a_batch_is_its_rows_scored_one_by_one(
    model: PropensityModel, visits: list[float | None], source: list[str | None]
) -> None:
    frame = pd.DataFrame(
        {"Visits": pd.Series(visits, dtype=object), "Source": pd.Series(source[: len(visits)], dtype=object)}
    )
    alone = [written(score(frame.iloc[[i]], model=model))[0] for i in range(len(frame))]
    assert written(score(frame, model=model)) == alone


@given(
    ids=st.lists(st.one_of(st.none(), st.text(max_size=3), st.integers(0, 3), st.floats(0, 3)), min_size=1, max_size=6),
    visits=st.integers(0, 9),
)
def test_no_lead_with_an_id_is_lost_or_doubled_or_the_file_is_refused(
    model: PropensityModel, ids: list[object], visits: int
) -> None:
    frame = pd.DataFrame({"Lead": pd.Series(ids, dtype=object), "Visits": visits, "Source": "web"})
    named = PropensityModel(
        schema=type(model.schema)(columns=model.schema.columns, id="Lead", missing=model.schema.missing),
        rules=model.rules,
        verdict=model.verdict,
        learned=model.learned,
        reference=model.reference,
    )
    try:
        scores = score(frame, model=named)
    except PropensityError:
        return
    assert len(scores.frame) + scores.tally.notes.get("identical_rows", 0) == len(frame)
    kept = [value for value in scores.frame["Lead"] if not pd.isna(value)]
    assert all(any(value is given or value == given for given in ids) for value in kept)
