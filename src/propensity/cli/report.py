"""The only place for the command `report`: everything worth seeing of a model, on one page."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from propensity.cli.models import find_model, store_folder
from propensity.cli.options import add_config, add_model, add_tables, optional_config
from propensity.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from propensity.cli.models import Found
    from propensity.config import Config
    from propensity.reporting import Card, Cards

BANDS = ("SQL", "MQL", "nurture")
# Leads of each band that the page shows.
N_CARDS = 12
CODE_LENGTH = 10


def add_report(commands: Any) -> None:
    """Describe `report`."""
    report = commands.add_parser(
        "report",
        help="everything worth seeing of a model, on one page",
        description="Write one HTML page that opens anywhere, also without a network: whether the model is worth "
        "anything, what is promised, the thresholds to be moved, when and for whom it was right, what moves scores, "
        "and the best leads of today by a code in place of a name.",
    )
    report.add_argument("leads", metavar="LEADS", nargs="?", help="leads to show; default: the config's leads")
    report.add_argument("-o", "--output", metavar="OUT", required=True, help="the page, .html")
    add_config(report)
    add_model(report)
    add_tables(report, cutoffs=False)
    report.set_defaults(action=run_report)


def run_report(options: argparse.Namespace) -> None:
    """Draw the page and write it."""
    from propensity.reporting import report_page
    from propensity.storage.writing import check_writable, holding, write_text

    output = Path(options.output)
    check_writable(output)
    if output.suffix.lower() not in {".html", ".htm"}:
        msg = f"The report is a page, got {output.name[-40:]!r}. Name a file that ends in .html."
        raise InputError(msg)
    config = optional_config(options)
    options.cutoffs = None
    with holding(output):
        found = find_model(options, config)
        write_text(output, report_page(found.model, cards=_cards(options, config, found)))
    if found.why:
        print(f"Note: {found.why}")
    print(f"Written: {output}")


def _cards(options: argparse.Namespace, config: Config | None, found: Found) -> Cards:
    """Score the leads and give the best of each band; where none can be read, the page says why."""
    from propensity.reporting import Cards

    try:
        return _best_leads(options, config, found)
    except InputError as error:
        if options.leads is not None:
            raise
        return Cards(why=f"No leads are shown. {error}")


def _best_leads(options: argparse.Namespace, config: Config | None, found: Found) -> Cards:
    import pandas as pd

    from propensity.cli.batch import chunk_rows
    from propensity.cli.progress import Pace, progress
    from propensity.cli.rows import rows_to_score
    from propensity.reporting import Cards
    from propensity.scoring import score
    from propensity.storage.states import state_key

    model = found.model
    rows, as_of = rows_to_score(options, config, model)
    n_leads, step = len(rows.frame), chunk_rows(rows.frame.shape[1])
    best: list[pd.DataFrame] = []
    with progress(quiet=False) as tell:
        pace = Pace(tell, "scoring", n_rows=n_leads)
        for start in range(0, n_leads, step):
            part = rows.some(slice(start, start + step))
            scored = score(
                part.frame,
                model=model,
                as_of=as_of,
                fallback_reason=found.rules_reason,
                standin_reason=found.standin_reason,
                aside=part.aside,
                n_before=start,
            ).frame
            best += [_top(scored[scored["band"] == band]) for band in BANDS]
            pace(min(start + step, n_leads))
    shown = pd.concat(best, ignore_index=True) if best else pd.DataFrame()
    if not len(shown):
        return Cards(why="None of the leads could be scored, so none is shown.")
    shown = shown.drop_duplicates(subset=[str(shown.columns[0])])
    key = state_key(store_folder(options.config) / "report")
    by_band = {
        band: tuple(
            _card(row, str(shown.columns[0]), key=key) for row in _top(shown[shown["band"] == band]).to_dict("records")
        )
        for band in BANDS
    }
    source = Path(options.leads).name if options.leads else "the file that the config names"
    return Cards(by_band=by_band, as_of=str(shown["as_of"].iloc[0] or ""), among=f"{n_leads:,} leads of {source}")


def _top(scored: pd.DataFrame) -> pd.DataFrame:
    """Give the best leads of one band."""
    return scored.sort_values(["probability", "points"], ascending=False, kind="stable").head(N_CARDS)


def _card(row: dict[Any, Any], lead_id: str, *, key: bytes) -> Card:
    """Show a lead by a code, from which nobody without the key finds its id."""
    from propensity.reporting import Card
    from propensity.storage.states import code_of

    known = not math.isnan(row["probability"])
    return Card(
        code=code_of(str(row[lead_id]), key=key)[:CODE_LENGTH],
        probability=f"{row['probability']:.1%}" if known else f"{row['points']:g} points",
        fit=_number(row["fit_pp"]),
        behaviour=_number(row["behaviour_pp"]),
        reasons=tuple(str(row[name]) for name in row if str(name).startswith("reason_") and row[name]),
        scored_by=str(row["scored_by"]),
    )


def _number(value: float) -> float:
    return 0.0 if math.isnan(value) else float(value)
