from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flat_leads import POINTS, config, leads
from propensity.training import fit_points_calibrator, learn, prepare


def test_bands_are_certified_on_leads_that_chose_nothing() -> None:
    frame, settings = leads(1000), config(columns={"ordered": True})
    turned = frame.assign(Won=np.where(np.arange(1000) >= 900, 1 - frame["Won"], frame["Won"]))
    learned, otherwise = (
        learn(prepared.examples, prepared, settings)
        for prepared in (prepare(given, settings) for given in (frame, turned))
    )
    # The chain starts at 40 %: blocks of 100 rows, five to choose and the last to certify; all six calibrate.
    assert learned.calibrator.n_rows == 600
    assert learned.bands.mql_promise.n_leads == frame["Won"].iloc[900:].sum()
    assert learned.blend.recipe == otherwise.blend.recipe
    assert learned.bands != otherwise.bands


def test_the_newest_period_says_most_of_the_level() -> None:
    """The last tenth of leads converts far more often than what is known of them tells."""
    frame, settings = leads(2000), config(columns={"ordered": True})
    risen = frame.assign(
        Won=np.where(np.arange(2000) >= 1800, np.maximum(frame["Won"], frame["Age"] > 35), frame["Won"])
    )
    before, after = (
        learn(prepared.examples, prepared, settings).calibrator.intercept
        for prepared in (prepare(given, settings) for given in (frame, risen))
    )
    assert before == pytest.approx(0, abs=0.2)
    assert after > before + 0.5


def test_points_follow_the_level_in_time_too() -> None:
    settings = config(columns={"ordered": True}, rules=POINTS)
    frame = leads(2000)
    risen = frame.assign(Won=np.where(np.arange(2000) >= 1800, 1, frame["Won"]))
    before, after = (
        fit_points_calibrator(prepared.rules, prepared.examples)
        for prepared in (prepare(given, settings) for given in (frame, risen))
    )
    assert before is not None
    assert after is not None
    assert after.intercept > before.intercept + 0.5


def test_rows_taken_from_a_whole_teach_as_rows_of_their_own() -> None:
    settings = config()
    prepared = prepare(leads(900), settings)
    taken = prepared.examples.take(np.arange(300, 900))
    learned = learn(taken, prepared, settings)
    alone = learn(replace(taken, place=None), prepared, settings)
    assert taken.place is not None
    assert learned.blend.recipe == alone.blend.recipe
    assert learned.blend.linear == alone.blend.linear
    assert learned.bands == alone.bands
