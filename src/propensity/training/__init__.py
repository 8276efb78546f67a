"""The only place for training: rows from files, then the recipe."""

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
    "Examples",
    "Prepared",
    "TrainingRun",
    "fit_points_calibrator",
    "learn",
    "out_of_fold_blocks",
    "prepare",
    "prepare_tables",
    "splits",
    "train",
]
