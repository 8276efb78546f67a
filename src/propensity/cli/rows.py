"""The only place for what a command scores: the rows of its files, as of an instant, and what is said of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from propensity.cli.options import read_as_of
from propensity.cli.terminal import say
from propensity.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from propensity.config import Config
    from propensity.features import ScoringRows
    from propensity.model import PropensityModel
    from propensity.storage.chunks import LeadFile

# Counts that are nobody's fault, in words.
NOTES = {
    "events_of_unknown_leads": "{:,} events are of leads that are not in this file; passed over",
    "field_changes_of_unknown_leads": "{:,} field changes are of leads that are not in this file; passed over",
    "suppressed": "{:,} rows are of people who objected: left out, and nowhere kept",
    "listed_not_here": "{:,} ids of people who objected are of no lead in this file",
}
# Why nobody scores a row, in words.
ASIDE = {
    "created_later": "leads were created after {cutoff}, as of which scores are",
    "already_converted": "leads had converted before {cutoff} (labels.repeat = false)",
    "unknown_lead": "rows name a lead that the lead file does not hold",
    "no_cutoff": "rows have no cutoff",
}


@dataclass(frozen=True, kw_only=True)
class Source:
    """Rows to be scored, read as often as wanted, some at a time.

    Parameters
    ----------
    columns : tuple of str
    chunks : callable
        Given how many rows to read at a time, and which columns may do (None: all), gives them in order, as
        `ScoringRows`.
    as_of : str
        The instant of rows that do not say their own; empty where it must be found.
    dated : str
        The column whose newest stamp is that instant; empty where there is none.
    timezone : str
        Zone of its stamps that name none.
    notes : mapping of str to int
    warnings : tuple of str
    """

    columns: tuple[str, ...]
    chunks: Callable[[int, Collection[str] | None], Iterator[ScoringRows]]
    as_of: str
    dated: str = ""
    timezone: str = "UTC"
    notes: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def named_inputs(options: argparse.Namespace, config: Config | None) -> list[Path]:
    """Name every file that scores are read from but the model, there or not."""
    data = config.data if config else None
    own = [data.events, data.outcomes, data.field_history] if data else []
    leads = data.leads.path if data and data.leads and options.leads is None else options.leads
    beside = [options.events, options.cutoffs, getattr(options, "suppress", None), options.config]
    return [Path(path) for path in (leads, *beside, *(source.path for source in own if source)) if path]


def check_inputs_kept(output: Path, options: argparse.Namespace, config: Config | None) -> None:
    """Refuse an output that is one of the inputs."""
    data = config.data if config else None
    own = [data.leads, data.cutoffs] if data else []
    beside = [getattr(options, name, None) for name in ("suppress", "state")]
    named = [*named_inputs(options, config), options.leads, *beside, *(source.path for source in own if source)]
    if any(path and Path(path).resolve() == output.resolve() for path in beside):
        msg = f"{output.name} is named twice: as the output (-o), and by --suppress or --state. Name another output."
        raise InputError(msg)
    for source in named:
        if source and Path(source).is_dir() and Path(source).resolve() in output.resolve().parents:
            msg = (
                f"{output.name} would lie in {Path(source).name}, a folder that is read. Name an output elsewhere with "
                "-o."
            )
            raise InputError(msg)
        if source and output.exists() and Path(source).exists() and output.samefile(source):
            msg = f"{output.name} is one of the files that are read and would be lost. Name another output with -o."
            raise InputError(msg)


def source_to_score(options: argparse.Namespace, config: Config | None, model: PropensityModel) -> Source:
    """Give what is to be scored: a file of rows as the model takes them is never held whole.

    Rows that must first be made of several tables are, and ready rows of a project whose outcomes say who converted.
    """
    from propensity.features import ScoringRows

    file = _file_to_score(options, config, model)
    if file is None:
        rows, as_of = rows_to_score(options, config, model)

        def held(n_rows: int, columns: Collection[str] | None) -> Iterator[ScoringRows]:  # noqa: ARG001 - all are there
            for start in range(0, max(len(rows.frame), 1), n_rows):
                yield rows.some(slice(start, start + n_rows))

        columns = tuple(str(name) for name in rows.frame.columns)
        return Source(columns=columns, chunks=held, as_of=as_of, notes=rows.notes, warnings=rows.warnings)

    def read(n_rows: int, columns: Collection[str] | None) -> Iterator[ScoringRows]:
        for frame in file.chunks(n_rows, columns=columns):
            yield ScoringRows(frame=frame)

    dated, timezone = _date_column(model, config)
    return Source(
        columns=file.columns, chunks=read, as_of=read_as_of(options.as_of), dated=dated or "", timezone=timezone
    )


def _file_to_score(options: argparse.Namespace, config: Config | None, model: PropensityModel) -> LeadFile | None:
    """Give the lead file where its rows are scored as they are; None where more than itself makes them."""
    import pandas as pd

    from propensity.scoring import wants_features
    from propensity.storage.chunks import open_leads

    own = config.data.leads if config else None
    path = options.leads or (own.path if own else None)
    has_rows = config is not None and config.has_tables and model.schema.cutoff is not None
    own_cutoffs = config is not None and config.columns.cutoff and not options.as_of
    if path is None or (own and own.query) or options.events or options.cutoffs or has_rows or own_cutoffs:
        return None
    file = open_leads(Path(path))
    return None if file is None or wants_features(pd.DataFrame(columns=[*file.columns]), model) else file


def rows_to_score(
    options: argparse.Namespace, config: Config | None, model: PropensityModel
) -> tuple[ScoringRows, str]:
    """Read what is to be scored, feature rows where the model takes those, and the instant it is as of."""
    from propensity.features import (
        NO_CUTOFF,
        UNKNOWN_LEAD,
        ScoringRows,
        converted_rows,
        features_as_of,
        first_conversions,
    )
    from propensity.scoring import active_share, expected_columns, wants_features
    from propensity.storage.tables import read_table

    as_of = read_as_of(options.as_of)
    named = getattr(options, "cutoffs", None)
    if named and as_of:
        msg = (
            "--as-of and --cutoffs both say as of when to score: each lead at its own cutoff, or all at one. Give one."
        )
        raise InputError(msg)
    cutoffs = read_table(Path(named)) if named else None
    own = config.data.leads if config else None
    leads: pd.DataFrame | None = None
    if options.leads is not None:
        leads = read_table(Path(options.leads), query=own.query if own else "")
    elif own is not None:
        leads = read_table(Path(own.path), query=own.query)
    elif cutoffs is None:
        msg = "Name the leads to score: propensity score LEADS -o scores.csv, or the cutoffs to score them at."
        raise InputError(msg)
    at, asked, notes, is_known = None, None, {}, None
    if cutoffs is not None:
        leads, asked, is_known = _leads_at_cutoffs(leads, cutoffs, config, model)
        at = asked.where(is_known)
        notes = {"rows_without_a_cutoff_of_a_known_lead": int(at.isna().sum())} if at.isna().any() else {}
    assert leads is not None  # noqa: S101 - one of the three gave them
    if cutoffs is None and config is not None and config.columns.cutoff and not as_of:
        from propensity.asof import read_stamps

        where = {"timezone": config.data.timezone, "missing": config.data.missing}
        at = read_stamps(leads, config.columns.cutoff, key="columns.cutoff", date_is_start=True, **where).at  # type: ignore[arg-type]
    plan = model.plan
    history, won = tables_beside(config)
    if not options.events and not wants_features(leads, model):
        if at is not None and model.schema.cutoff is not None:
            leads = leads.assign(**{model.schema.cutoff: at})
        has_rows = config is not None and config.has_tables and model.schema.cutoff is not None
        aside = converted_rows(leads, plan, config, outcomes=won) if config and has_rows else None
        rows = ScoringRows(frame=leads, notes=notes, asked=asked, aside=aside)
        return rows, as_of or _newest_date(leads, model, config)
    rows = features_as_of(
        leads,
        plan,
        events=events_to_score(options, config, model),
        field_history=history,
        as_of=as_of,
        cutoffs=at,
        converted_at=first_conversions(leads, plan, config, outcomes=won) if config else None,
        active_share=active_share(model),
        also=expected_columns(model),
    )
    if is_known is not None and rows.aside is not None:
        rows.aside[~is_known & (rows.aside == NO_CUTOFF)] = UNKNOWN_LEAD
    return replace(rows, notes={**notes, **rows.notes}, asked=asked), as_of


def events_to_score(options: argparse.Namespace, config: Config | None, model: PropensityModel) -> pd.DataFrame | None:
    """Read the events that the model was trained with; None where it was trained without."""
    from propensity.features import few_texts
    from propensity.storage.tables import read_table

    source = config.data.events if config else None
    if not model.plan.has_events:
        if options.events:
            msg = "The model was trained without events. Take --events out."
            raise InputError(msg)
        return None
    path = options.events or (source.path if source else None)
    if path is None:
        msg = "The model was trained with events. Name them: --events FILE, or data.events in the config."
        raise InputError(msg)
    return read_table(Path(path), query=source.query if source else "", categories=few_texts(model.plan))


def _leads_at_cutoffs(
    leads: pd.DataFrame | None, cutoffs: pd.DataFrame, config: Config | None, model: PropensityModel
) -> tuple[pd.DataFrame, pd.Series, np.ndarray]:
    """Give one row a row of the cutoff file, in its order: the lead's own columns, the cutoff, whether it is known.

    Nothing is known of a lead that the lead file does not hold, at any cutoff.
    """
    import numpy as np
    import pandas as pd

    from propensity.asof import check_joined, join_keys, read_stamps
    from propensity.config import CutoffColumns
    from propensity.features import lead_key
    from propensity.schema import Schema, find_column, normalise_name, partition
    from propensity.scoring import expected_columns

    names = config.columns.cutoffs if config else CutoffColumns()
    where = {"timezone": model.plan.timezone, "missing": model.plan.missing}
    at = read_stamps(cutoffs, names.cutoff, key="columns.cutoffs.cutoff", date_is_start=True, **where).at  # type: ignore[arg-type]
    if at.isna().all():
        msg = (
            f"Column {names.cutoff!r} of the cutoffs (columns.cutoffs.cutoff) holds no date. Give each lead its cutoff."
        )
        raise InputError(msg)
    lead_id = model.schema.id or names.id
    # Called as the config says, else as in the lead table.
    there = {normalise_name(name) for name in cutoffs.columns}
    named = names.id if normalise_name(names.id) in there else lead_id
    ids = cutoffs[find_column(cutoffs, named, key="columns.cutoffs.id")].reset_index(drop=True)
    if leads is None:
        return pd.DataFrame({lead_id: ids}), at, np.ones(len(ids), dtype=bool)
    own = find_column(leads, lead_id, key="columns.id")
    here = {normalise_name(name) for name in leads.columns}
    also = [name for name in expected_columns(model) if normalise_name(name) in here]
    partition(
        leads, Schema(columns=(), id=lead_id, missing=model.schema.missing), also=also
    )  # refuses ids that conflict
    keys = join_keys(leads[own], missing=model.schema.missing)
    first = leads[~keys.duplicated().to_numpy() & keys.notna().to_numpy()].reset_index(drop=True)
    there = pd.Index(join_keys(first[own], missing=model.schema.missing))
    wanted = join_keys(ids, missing=model.schema.missing)
    owner = replace(lead_key(model.plan), column=str(own))
    check_joined(wanted, there, owner, what="cutoffs", column=named, key="columns.cutoffs.id")
    place = there.get_indexer(pd.Index(wanted))
    rows = first.reindex(place).reset_index(drop=True)
    rows[own] = ids
    if at.where(place >= 0).isna().all():
        msg = (
            "No row of the cutoffs has a cutoff of a lead in the lead file. Check which columns name the lead "
            "(columns.cutoffs.id, columns.id)."
        )
        raise InputError(msg)
    return rows, at, place >= 0


def _date_column(model: PropensityModel, config: Config | None) -> tuple[str | None, str]:
    """Name the column of the lead file that holds dates, and the zone of stamps that name none."""
    name = model.facts.get("date") or (config.columns.date if config else None)
    return name, model.facts.get("timezone") or (config.data.timezone if config else "UTC")


def _newest_date(leads: pd.DataFrame, model: PropensityModel, config: Config | None) -> str:
    """Give the newest stamp of the lead file; empty where it has no date column."""
    from propensity.asof import parse_stamps
    from propensity.schema import normalise_name, read_texts

    name, timezone = _date_column(model, config)
    found = [column for column in leads.columns if name and normalise_name(column) == normalise_name(name)]
    if not found:
        return ""
    column = leads[found[0]]
    filled = read_texts(column, missing=model.schema.missing).notna().to_numpy()
    try:
        newest = parse_stamps(column.where(filled), timezone=timezone, name=str(name)).newest
    except InputError:
        return ""  # the date is no feature: unreadable ones leave the day unknown, and score all the same
    return "" if newest is None else newest.isoformat()


def tables_beside(config: Config | None) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    """Read the field history and the outcomes of a project; None each where it has none."""
    from propensity.storage.tables import read_table

    named = (config.data.field_history, config.data.outcomes) if config else (None, None)
    history, outcomes = (read_table(Path(one.path), query=one.query) if one else None for one in named)
    return history, outcomes


def raw_rows(
    path: Path, options: argparse.Namespace, config: Config | None, model: PropensityModel
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a lead file, and apart from it the rows of the lead that was asked for (``--lead``)."""
    from propensity.storage.tables import read_table

    whole = read_table(path, query=config.data.leads.query if config and config.data.leads else "")
    return whole, whole.iloc[places_of(whole, model, options.lead, what=path.name)].reset_index(drop=True)


def places_of(leads: pd.DataFrame, model: PropensityModel, lead: str, *, what: str) -> np.ndarray:
    """Give the rows of one lead, known by its id, or by the number of its row where leads have none."""
    import numpy as np

    from propensity.schema import find_column, read_ids

    if model.schema.id is None:
        numbers = np.arange(1, len(leads) + 1).astype(str)
        places = np.flatnonzero(numbers == lead.strip())
    else:
        ids = read_ids(leads[find_column(leads, model.schema.id, key="columns.id")], missing=())
        places = np.flatnonzero((ids == lead.strip()).to_numpy())
    if not len(places):
        msg = f"No such lead in {what} (--lead). Give the id exactly as the file writes it."
        raise InputError(msg)
    return places


def said_aside(aside: Mapping[str, int], as_of: str, *, result: str) -> list[str]:
    """Say in words how many rows nobody scores, and why."""
    cutoff = as_of or "their cutoff"
    return [f"{aside[why]:,} {words.format(cutoff=cutoff)}: {result}" for why, words in ASIDE.items() if aside.get(why)]


def print_notes(notes: Mapping[str, int], warnings: Sequence[str]) -> None:
    """Print the counts and warnings of a run."""
    for name, n in notes.items():
        if n:
            say("  " + NOTES.get(name, name.replace("_", " ") + ": {:,}").format(n))
    for warning in warnings:
        say(f"  Warning: {warning}")
