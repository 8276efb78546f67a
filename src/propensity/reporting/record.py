"""The only place for what a bundle remembers of its training, so that report and card can be written from it alone."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from propensity.reporting.summary import training_json

if TYPE_CHECKING:
    from propensity.training import TrainingRun

# Figures are rounded: the bundle's bytes must not hang on the last bits.
DIGITS = 6


def training_record(run: TrainingRun) -> dict[str, Any]:
    """Give what training found as plain JSON values: counts, figures and tables, nothing of a single lead.

    Parameters
    ----------
    run : TrainingRun

    Returns
    -------
    dict
        As `training_json` gives it but for ``model``, and under ``tables`` those of the evaluation and how points go
        with values: ``columns`` and ``data``, row by row.
    """
    tables = {} if run.evaluation is None else run.evaluation.tables()
    tables = {**tables, "dependence": run.dependence} if len(run.dependence) else tables
    found = {name: part for name, part in training_json(run, {}).items() if name != "model"}
    found["learner"] = {name: part for name, part in found["learner"].items() if part is not None}
    found["tables"] = {
        name: {"columns": [*table], "data": table.to_numpy(dtype=object).tolist()} for name, table in tables.items()
    }
    plain: dict[str, Any] = _plain(found)
    return plain


def recorded_tables(record: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Give the tables of the evaluation again, as `Evaluation.tables` gave them."""
    found = {}
    for name, table in record["tables"].items():
        frame = pd.DataFrame(table["data"], columns=table["columns"])
        # What is unknown in every row was a number.
        found[name] = frame.astype({column: float for column in frame if frame[column].isna().all()})
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return float(value)  # a count of weighted rows: to the last one
    if isinstance(value, float | np.floating):
        return float(f"{value:.{DIGITS}g}") if isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
