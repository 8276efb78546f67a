"""The only place for training: rows from files, then the recipe."""

from propensity.training.audit import Audit, audit
from propensity.training.learning import fit_points_calibrator, learn
from propensity.training.recipe import TrainingRun, train
from propensity.training.rows import Examples, Prepared, prepare
from propensity.training.splitting import out_of_fold_blocks, splits
from propensity.training.tables import prepare_tables
from propensity.training.tuning import Allowance

__all__ = [
    "Allowance",
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
