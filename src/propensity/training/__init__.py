"""The only place for training: rows from files, then the recipe."""

from propensity.training.audit import Audit, audit
from propensity.training.recipe import (
    TrainingRun,
    fit_points_calibrator,
    learn,
    out_of_fold_blocks,
    splits,
    train,
)
from propensity.training.rows import Examples, Prepared, prepare
from propensity.training.tables import prepare_tables

__all__ = [
    "Audit",
    "Examples",
    "Prepared",
    "TrainingRun",
    "audit",
    "fit_points_calibrator",
    "learn",
    "out_of_fold_blocks",
    "prepare",
    "prepare_tables",
    "splits",
    "train",
]
