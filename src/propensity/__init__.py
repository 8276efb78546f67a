"""Lead propensity: calibrated probabilities, agreed bands, exact reasons, a visible fallback.

Names are loaded when they are used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from propensity.config import Config
    from propensity.model import PropensityModel
    from propensity.registry import load_model, register
    from propensity.schema import Tables
    from propensity.scoring import predict, predict_one
    from propensity.storage.bundles import save_model
    from propensity.storage.configs import load_config, read_tables
    from propensity.training import Audit, TrainingRun, train
    from propensity.training.audit import audit

__version__ = "0.1.0"

_HOMES = {
    "Audit": "training",
    "Config": "config",
    "PropensityModel": "model",
    "Tables": "schema",
    "TrainingRun": "training",
    "audit": "training",
    "load_config": "storage.configs",
    "load_model": "registry",
    "predict": "scoring",
    "predict_one": "scoring",
    "read_tables": "storage.configs",
    "register": "registry",
    "save_model": "storage.bundles",
    "train": "training",
}

__all__ = [
    "Audit",
    "Config",
    "PropensityModel",
    "Tables",
    "TrainingRun",
    "audit",
    "load_config",
    "load_model",
    "predict",
    "predict_one",
    "read_tables",
    "register",
    "save_model",
    "train",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        msg = f"module 'propensity' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(f"propensity.{_HOMES[name]}"), name)
