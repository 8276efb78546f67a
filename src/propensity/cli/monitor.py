"""The only place for the command `monitor`: whether promises held."""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from propensity.cli.models import find_model
from propensity.cli.options import add_config, add_json, add_model, read_as_of
from propensity.cli.terminal import say
from propensity.errors import InputError, PromiseError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from propensity.config import Config
    from propensity.model import PropensityModel
    from propensity.monitoring import Expected, Scored, Watch


def add_monitor(commands: Any) -> None:
    """Describe `monitor`."""
    monitor = commands.add_parser(
        "monitor",
        help="did the promises hold? scores against what became of the leads",
        description="Take scores of past runs and what became of their leads; say whether each promise held, by "
        "a test that may be looked at every day; show what bands converted at, the way from lead to customer, and "
        "whether bands grew or shrank more than chance explains.",
    )
    monitor.add_argument(
        "--scores", metavar="F", action="append", required=True, help="what `score` wrote; repeat for several runs"
    )
    monitor.add_argument(
        "--outcomes", metavar="F", required=True, help="who converted when, or one row a lead with the target"
    )
    monitor.add_argument("--leads", metavar="F", help="the lead table; default: the config's leads")
    monitor.add_argument("--by", metavar="COL", help="lead column to part by; default: one called source or channel")
    monitor.add_argument("--worked", metavar="COL", help="lead column that is filled once sales worked a lead")
    monitor.add_argument(
        "--as-of",
        metavar="T",
        default="",
        help="up to when outcomes are known; default: data.extracted_at, else their newest",
    )
    monitor.add_argument("-o", "--output", metavar="DIR", help="also write tables (CSV) and a plot there")
    monitor.add_argument("--strict", action="store_true", help="exit 3 on an alarm")
    add_config(monitor)
    add_model(monitor)
    add_json(monitor)
    monitor.set_defaults(action=run_monitor)


def run_monitor(options: argparse.Namespace) -> None:
    """Read scores and outcomes, hold one against the other, say what was found."""
    from propensity.monitoring import ALARM, read_outcomes, read_scored, watch
    from propensity.reporting import watch_json, watch_lines
    from propensity.storage.configs import load_config
    from propensity.storage.tables import read_table

    config = load_config(options.config)
    known_to, is_said = _known_to(options, config)
    answering = find_model(options, config)
    model = answering.model
    scored = read_scored(
        {Path(path).name: read_table(Path(path)) for path in options.scores}, missing=model.schema.missing
    )
    own = config.data.outcomes
    outcomes = read_table(Path(options.outcomes), query=own.query if own else "")
    leads = _lead_table(options, config)
    promised, warnings = _promised(scored, answering.model, by_rules=bool(answering.rules_reason))
    if answering.standin_reason:
        warnings.append(answering.why)
    found = watch(
        scored,
        read_outcomes(outcomes, scored, config, known_to=known_to, is_said=is_said, leads=leads),
        _expected(model, config),
        source=_column_of(scored, leads, config, options.by or _source_name(leads), key="--by"),
        worked=_worked(scored, leads, config, options.worked),
        promised=promised,
    )
    if options.output:
        _write(found, Path(options.output))
    if options.json:
        print(json.dumps({**watch_json(found), "warnings": warnings}, allow_nan=False))
    else:
        if answering.rules_reason:
            print(f"No model tells what was promised; the config does. {answering.why}")
        say("\n".join(watch_lines(found, alarm=ALARM)))
        for warning in warnings:
            say(f"Warning: {warning}")
        if options.output:
            print(f"Written: {options.output}")
    if options.strict and found.alarms:
        msg = f"{'; '.join(found.alarms)}."
        raise PromiseError(msg)


def _promised(scored: Scored, model: PropensityModel, *, by_rules: bool) -> tuple[np.ndarray, list[str]]:
    """Say which rows the promises are about: those of this model, of leads it had not learned from."""
    import numpy as np
    import pandas as pd

    from propensity.asof import microseconds

    promised = np.ones(len(scored.lead), dtype=bool)
    warnings: list[str] = []
    if by_rules:
        return promised, warnings
    is_model, own = scored.by == "model", scored.version == model.version
    others = sorted({*scored.version[is_model & ~own]})
    if others:
        warnings.append(
            f"{int((is_model & ~own).sum()):,} score rows are of other models ({', '.join(others[:5])}): what model "
            f"{model.version} promises is not held against them. Name theirs with --model."
        )
    end = model.facts.get("data_end", "")
    taught = is_model & own
    if end:
        taught &= scored.as_of < int(microseconds(pd.Series(pd.to_datetime([end], utc=True)))[0])
    else:
        taught[:] = False
    if taught.any():
        warnings.append(
            f"{int(taught.sum()):,} score rows are as of before {end[:10]}, up to when the model knew what became of "
            "leads: they are no test of its promises, and left out of them."
        )
    return own & ~taught, warnings


def _known_to(options: argparse.Namespace, config: Config) -> tuple[int | None, bool]:
    """Give up to when outcomes are known, in microseconds, and whether that was asked for; None where nobody said."""
    import pandas as pd

    from propensity.asof import microseconds, parse_stamps

    text = read_as_of(options.as_of)
    if text:
        at = parse_stamps(pd.Series([text]), timezone=config.data.timezone, name="--as-of").at
        return int(microseconds(at)[0]), True
    extracted = config.data.extracted_at
    if extracted is None:
        return None, False
    # The config may be older than the outcomes: their newest stamp counts where it is later.
    return int(microseconds(pd.Series(pd.to_datetime([extracted], utc=True)))[0]), False


def _lead_table(options: argparse.Namespace, config: Config) -> pd.DataFrame | None:
    from propensity.storage.tables import read_table

    own = config.data.leads
    if options.leads is not None:
        return read_table(Path(options.leads), query=own.query if own else "")
    if own is not None and Path(own.path).exists():
        return read_table(Path(own.path), query=own.query)
    return None


def _expected(model: PropensityModel, config: Config) -> Expected:
    """Give what was promised: by the model, else by the agreement as it stands in the config."""
    from propensity.bands import default_precision
    from propensity.monitoring import Expected

    if model.learned is not None:
        bands = model.learned.bands
        return Expected(sql_rate=bands.sql_promise.rate, mql_recall=bands.mql_promise.rate)
    agreed = config.agreement
    rate = agreed.sql_precision or (default_precision(config.rules.base_rate) if config.rules.base_rate else None)
    if rate is None:
        msg = "Nothing says what was promised: there is no model, and agreement.sql_precision is not set. Set it."
        raise InputError(msg)
    return Expected(sql_rate=rate, mql_recall=agreed.mql_recall)


def _source_name(leads: pd.DataFrame | None) -> str | None:
    """Give the lead column that says where leads come from, by its name."""
    from propensity.schema import normalise_name

    names = [] if leads is None else [str(name) for name in leads.columns]
    return next((name for name in names if {*normalise_name(name).split()} & {"source", "channel"}), None)


def _column_of(
    scored: Scored, leads: pd.DataFrame | None, config: Config, name: str | None, *, key: str
) -> np.ndarray | None:
    """Give what a column of the lead table says of each scored lead; None where no column was named."""
    import numpy as np

    from propensity.asof import join_keys
    from propensity.schema import find_column, missing_words, read_texts

    if name is None:
        return None
    if leads is None:
        msg = f"{key} names a lead column, and there is no lead table. Give it: --leads F."
        raise InputError(msg)
    column = find_column(leads, name, key=key)
    own = find_column(leads, str(config.columns.id), key="columns.id")
    texts = read_texts(leads[column], missing=missing_words(config.data.missing, str(column)))
    keys = join_keys(leads[own], missing=missing_words(config.data.missing, str(own)))
    told = dict(zip(keys, texts, strict=True))
    return np.array([told.get(one) or "unknown" for one in scored.leads], dtype=object)


def _worked(scored: Scored, leads: pd.DataFrame | None, config: Config, name: str | None) -> np.ndarray | None:
    import numpy as np

    from propensity.schema import NEGATIVE_WORDS

    found = _column_of(scored, leads, config, name, key="--worked")
    if found is None:
        return None
    no = {*NEGATIVE_WORDS, "unknown", "not worked", "open", "new"}
    return np.array([one not in no for one in found], dtype=bool)


def _write(found: Watch, folder: Path) -> None:
    """Write tables and the plot."""
    from propensity.plotting import plot_watch
    from propensity.storage.scores import table_csv
    from propensity.storage.writing import make_folder, replacing

    files = {f"{name}.csv": table_csv(getattr(found, name)).encode() for name in ("bands", "funnel", "rules")}
    content = io.BytesIO()
    plot_watch(found).savefig(content, format="png", dpi=120)
    files["promises.png"] = content.getvalue()
    # File by file: the folder is the user's, and may hold more.
    make_folder(folder)
    for name, written in files.items():
        with replacing(folder / name) as temporary:
            temporary.write_bytes(written)
