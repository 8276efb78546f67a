"""The only place that lays out the list of scored leads that marketing and sales work from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from propensity.reporting.pages import environment, script_json
from propensity.schema import MQL, NURTURE, SQL, UNSCORED

# More leads than this are no list that anyone reads; the score file holds all.
MAX_LEADS = 5_000
# Leads that stand in the page itself, for print and without JavaScript; the others are shown as one scrolls.
N_FIRST = 100
BANDS = (SQL, MQL, NURTURE, UNSCORED)
_SCORES = ("probability", "points", "fit_pp", "behaviour_pp")


def best_leads(parts: Iterable[pd.DataFrame], *, most: int = MAX_LEADS) -> tuple[pd.DataFrame, dict[str, int]]:
    """Pick the best leads of score rows, and count all of them.

    Parameters
    ----------
    parts : iterable of DataFrame
        Score rows, some at a time; cells as text or as they are.
    most : int

    Returns
    -------
    leads : DataFrame, shape (up to most, n_columns)
        By band, then the likeliest first; of equal ones the first in the file.
    counts : dict of band to int
        Of all rows.

    Examples
    --------
    >>> rows = pd.DataFrame({"Lead": ["a", "b", "c"], "band": ["MQL", "SQL", "SQL"]})
    >>> rows = rows.assign(probability=["0.2", "0.5", "0.9"], points="", fit_pp="", behaviour_pp="")
    >>> leads, counts = best_leads([rows.head(2), rows.tail(1)], most=2)
    >>> leads["Lead"].to_list(), counts
    (['c', 'b'], {'SQL': 2, 'MQL': 1, 'nurture': 0, 'unscored': 0})
    """
    counts = dict.fromkeys(BANDS, 0)
    held = pd.DataFrame()
    for part in parts:
        numbers = {name: pd.to_numeric(part[name], errors="coerce") for name in _SCORES}
        held = pd.concat([held, part.assign(**numbers)], ignore_index=True)
        for band, n in part["band"].value_counts().items():
            counts[str(band)] += int(n)
        rank = held["band"].map({band: i for i, band in enumerate(BANDS)})
        ordered = held.assign(_rank=rank).sort_values(
            ["_rank", "probability", "points"], ascending=[True, False, False], kind="stable"
        )
        held = ordered.drop(columns="_rank").head(most).reset_index(drop=True)
    return held, counts


def leads_page(leads: pd.DataFrame, counts: Mapping[str, int], *, agreement: Mapping[str, Any], as_of: str = "") -> str:
    """Write the list as one HTML page that asks nothing of a network.

    Parameters
    ----------
    leads : DataFrame
        As `best_leads` gives them; the first column names them.
    counts : mapping of band to int
        Of all leads that were scored.
    agreement : mapping
        Whose each band is and what they do with it.
    as_of : str

    Returns
    -------
    str
    """
    reasons = [name for name in leads.columns if str(name).startswith("reason_")]
    rows = [
        {
            "id": _text(row[leads.columns[0]]),
            "band": str(row["band"]),
            "probability": _number(row["probability"]),
            "fit": _number(row["fit_pp"]),
            "behaviour": _number(row["behaviour_pp"]),
            "points": _number(row["points"]),
            "by": _text(row["scored_by"]),
            "why": _text(row["fallback_reason"]),
            "reasons": [_text(row[name]) for name in reasons if _text(row[name])],
        }
        for row in leads.to_dict("records")
    ]
    steps = {band: _step(agreement.get(band.lower())) for band in BANDS}
    data = {"id": str(leads.columns[0]) if len(leads.columns) else "lead", "rows": rows, "steps": steps}
    return (
        environment()
        .get_template("leads.html.j2")
        .render(
            rows=rows[:N_FIRST],
            steps=steps,
            n_shown=len(rows),
            n_all=sum(counts.values()),
            counts=counts,
            bands=BANDS,
            id_name=data["id"],
            as_of=as_of[:10],
            data=script_json(data),
        )
    )


def _step(agreed: Any) -> str:
    if not isinstance(agreed, Mapping):
        return ""
    return ": ".join(str(agreed[key]) for key in ("owner", "action") if agreed.get(key))


def _text(cell: Any) -> str:
    return "" if cell is None or cell is pd.NA or cell != cell else str(cell)  # noqa: PLR0124 - NaN is not itself


def _number(cell: Any) -> float | None:
    return None if pd.isna(cell) else round(float(cell), 6)
