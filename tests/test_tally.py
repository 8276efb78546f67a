"""Parts of a batch are counted as the batch is."""

import json

import numpy as np
import pandas as pd

from propensity.features.plan import CONVERTED
from propensity.tally import Tally

FRAME = pd.DataFrame(
    {
        "band": ["SQL", "unscored", "MQL", "SQL", "unscored"],
        "scored_by": ["model", "", "rules", "model", ""],
        "fallback_reason": ["", "ALREADY_CONVERTED", "LOW_COVERAGE", "", "INVALID_ROW"],
    }
)
ASIDE = np.array(["", CONVERTED, "", "", ""], dtype=object)


def tally(rows: slice) -> Tally:
    return Tally.of(FRAME[rows], ASIDE[rows], n_degraded=1, notes={"too_long": 2}, absent=("Faxes",))


def test_parts_add_up_to_the_whole() -> None:
    whole = Tally.of(FRAME, ASIDE, n_degraded=2, notes={"too_long": 4}, absent=("Faxes",))
    total = Tally() + tally(slice(0, 2)) + tally(slice(2, 5))
    assert total.summary() == whole.summary()
    assert total.reasons(without=[CONVERTED]) == whole.reasons(without=[CONVERTED])


def test_reasons_leave_out_those_set_aside_for_such_reasons() -> None:
    assert tally(slice(0, 5)).reasons(without=[CONVERTED]) == {"LOW_COVERAGE": 1, "INVALID_ROW": 1}
    assert tally(slice(0, 5)).reasons(without=[])["ALREADY_CONVERTED"] == 1


def test_json_holds_all_of_it() -> None:
    told = tally(slice(0, 5))
    assert Tally.of_json(json.loads(json.dumps(told.to_json()))) == told
