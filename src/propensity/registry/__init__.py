"""The only place that speaks to MLflow: log, register, alias, fetch."""

from propensity.registry.store import Registered, Store, load_model, register

__all__ = ["Registered", "Store", "load_model", "register"]
