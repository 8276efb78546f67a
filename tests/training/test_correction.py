from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from propensity.config import parse_config
from propensity.encoding import CategoryCode, Encoder
from propensity.learners import Shifts
from propensity.model import Learned
from propensity.schema import Column, Schema
from propensity.training import learn, learning, prepare
from propensity.training.correction import fit_shifts
from propensity.training.rows import Examples

N = 20000
CHANNELS = ("ads", "fair", "web", None)


def sigmoid(log_odds: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-log_odds)))


def found(
    off: dict[str | None, float],
    *,
    level: float = 0.0,
    from_block: int = 0,
    copies: int = 1,
    slope: float = 1.0,
    kept: tuple[str, ...] = ("ads", "fair", "web"),
) -> tuple[Shifts | None, dict[str, dict[str | None, float]]]:
    """Correct leads of true margins in five blocks, but for what these channels are off by, and all since block 3."""
    rng = np.random.default_rng(5)
    n_leads = N // copies
    channel = rng.choice(np.array(CHANNELS, dtype=object), n_leads)
    # The segment hangs on the channel: it is off as well, and for no reason of its own.
    segment = np.where((channel == "ads") & (rng.random(n_leads) < 0.8), "A", rng.choice(["B", "C"], n_leads))
    block = np.repeat(np.arange(5), n_leads // 5)
    margin = rng.normal(-0.8, 0.7, n_leads)
    moved = np.array([off.get(name, 0.0) for name in channel]) * (block >= from_block) + level * (block >= 3)
    y = (rng.random(n_leads) < sigmoid(margin + moved)).astype(float)
    channel, segment, block, margin, y = (np.repeat(part, copies) for part in (channel, segment, block, margin, y))
    read = pd.DataFrame({"Channel": channel, "Segment": segment})
    schema = Schema(
        columns=tuple(Column(name=str(name), family="fit", kind="category") for name in read), id=None, missing=()
    )
    codes = (CategoryCode(levels=kept), CategoryCode(levels=("A", "B", "C")))
    encoder = Encoder(names=("Channel", "Segment"), codes=codes)
    examples = Examples(
        leads=read, read=read, y=y, groups=np.arange(N) // copies, order=np.arange(N), fold=None, known=None
    )
    shifts = fit_shifts(
        margin / slope,
        examples,
        encoder.encode(read),
        encoder=encoder,
        schema=schema,
        block=block,
        used=block < 4,
        is_time=True,
    )
    return shifts, {} if shifts is None else shifts.by_segment(encoder)


def test_a_segment_that_is_off_is_corrected_short_of_a_prior_and_its_shadow_is_not() -> None:
    shifts, segments = found({"ads": -0.9})
    assert {name: [*values] for name, values in segments.items()} == {"Channel": ["ads"]}
    assert shifts is not None
    # Its blocks' own level takes a part of the -0.9, the prior another.
    assert -0.9 < segments["Channel"]["ads"] < -0.5


def test_leads_without_a_value_are_a_segment_too() -> None:
    assert [*found({None: -0.9})[1]["Channel"]] == [None]


@pytest.mark.parametrize(
    ("off", "level"),
    [({}, 0.0), ({"ads": -0.25}, 0.0), ({}, 1.0)],
    ids=["none is off", "off within what can be borne", "all moved together"],
)
def test_what_can_be_borne_or_is_no_segment_s_own_is_left_alone(off: dict[str | None, float], level: float) -> None:
    assert found(off, level=level) == (None, {})


def test_what_the_block_that_certifies_shows_is_not_looked_at() -> None:
    assert found({"ads": -3.0}, from_block=4) == (None, {})


def test_only_the_newest_blocks_before_it_are_held_against_their_outcomes() -> None:
    assert "ads" in found({"ads": -0.9}, from_block=2)[1]["Channel"]


def test_what_one_block_alone_shows_is_of_its_time() -> None:
    assert found({"ads": -1.5}, from_block=3) == (None, {})


def test_a_value_not_kept_by_name_is_not_corrected() -> None:
    shifts, segments = found({"ads": -0.9}, kept=("fair", "web"))
    assert not {"ads", "other"} & {*segments.get("Channel", {})}
    assert shifts is None or not any(shifts.margin(np.zeros((1, 2))))


def test_shifts_act_on_margins_so_that_calibrated_log_odds_move_by_what_was_found() -> None:
    once, twice = found({"ads": -0.9}, slope=1.0)[1], found({"ads": -0.9}, slope=2.0)[1]
    # Half the margins, half the shift; the calibrator's own prior draws a slope of two in a little.
    assert twice["Channel"]["ads"] == pytest.approx(once["Channel"]["ads"] / 2, rel=0.1)


def test_the_mean_of_a_term_is_that_of_all_rows() -> None:
    shifts, segments = found({"ads": -0.9})
    assert shifts is not None
    assert shifts.terms[0].mean == pytest.approx(segments["Channel"]["ads"] * 0.25, rel=0.05)


def test_rows_that_repeat_each_other_say_less() -> None:
    assert found({"ads": -0.9}, copies=1)[1]
    assert not found({"ads": -0.9}, copies=20)[1]  # as many rows, of a twentieth of the leads


# --- through training


def world(seed: int = 0, *, change: float = -1.3) -> pd.DataFrame:
    """Leads in order; from the middle on a lead of the ads converts far less often, and all else stands still."""
    rng = np.random.default_rng(seed)
    n_leads = 16000
    channel, visits = rng.choice(["ads", "fair", "mail", "web"], n_leads), rng.poisson(3, n_leads)
    # Effects of many regions take long to learn: forgetting what is older would cost more than it gains.
    region = rng.integers(0, 60, n_leads)
    is_late = np.arange(n_leads) >= 0.5 * n_leads
    log_odds = 0.4 * (visits - 3) - 0.4 + rng.normal(0, 0.7, 60)[region]
    log_odds += np.where((channel == "ads") & is_late, change, 0.0)
    return pd.DataFrame(
        {
            "Lead": [f"L{i:05d}" for i in range(n_leads)],
            "Channel": channel,
            "Region": [f"r{k}" for k in region],
            "Visits": visits,
            "Won": (rng.random(n_leads) < sigmoid(log_odds)).astype(int),
        }
    )


def taught(frame: pd.DataFrame) -> tuple[Learned, Examples]:
    """Learn on the first eight tenths; give the rows after them too."""
    config = parse_config(
        {
            "data": {"leads": "leads.csv"},
            "columns": {
                "id": "Lead",
                "target": "Won",
                "behaviour": ["Visits"],
                "fit": ["Channel", "Region"],
                "ordered": True,
            },
            "learner": {"max_trees": 6, "max_depth": 2},
        }
    )
    prepared = prepare(frame, config)
    cut = int(0.8 * len(frame))
    past, later = (prepared.examples.take(rows) for rows in (np.arange(cut), np.arange(cut, len(frame))))
    return learn(past, prepared, config), later


def test_where_a_channel_stops_converting_later_leads_are_scored_better(monkeypatch: pytest.MonkeyPatch) -> None:
    corrected, later = taught(world())
    assert corrected.blend.shifts is not None
    assert {*corrected.blend.shifts.by_segment(corrected.encoder)["Channel"]} >= {"ads"}
    monkeypatch.setattr(learning, "fit_shifts", lambda *_args, **_named: None)
    plain, _ = taught(world())
    is_ads = (later.read["Channel"] == "ads").to_numpy()
    losses: dict[bool, float] = {}
    off: dict[bool, float] = {}
    for model in (corrected, plain):
        p = model.probability(later.read)
        key = model is corrected
        losses[key] = float(-np.mean(later.y * np.log(p) + (1 - later.y) * np.log1p(-p)))
        off[key] = abs(float(np.log(later.y[is_ads].sum() / p[is_ads].sum())))
    assert losses[True] < losses[False]
    assert off[True] < 0.6 * off[False]
    # Thresholds moved with the probabilities: what is SQL is still what was certified.
    assert 0 < corrected.bands.sql < 1
    matrix = corrected.encoder.encode(later.read)
    _, parts, base = corrected.blend.explain(matrix)
    np.testing.assert_allclose(parts.sum(axis=1) + base, corrected.blend.margin(matrix), rtol=0, atol=1e-9)


def test_a_world_that_stands_still_is_not_corrected() -> None:
    assert taught(world(change=0.0))[0].blend.shifts is None
