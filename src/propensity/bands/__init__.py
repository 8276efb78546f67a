"""The only place for bands: what was agreed on, the thresholds it becomes, the frontier it was chosen from."""

from propensity.bands.agreed import (
    MIN_POSITIVES_CERTIFIED,
    agreed_deal,
    default_precision,
    fit_bands,
    growth_to_certify,
)
from propensity.bands.frontier import Frontier, trace_frontier
from propensity.bands.policies import (
    Certifying,
    capacity_threshold,
    lower_bound,
    precision_threshold,
    recall_threshold,
    top_threshold,
    upper_bound,
)
from propensity.bands.thresholds import DECIMALS, NOBODY, Bands, Deal, Policy, Promise

__all__ = [
    "DECIMALS",
    "MIN_POSITIVES_CERTIFIED",
    "NOBODY",
    "Bands",
    "Certifying",
    "Deal",
    "Frontier",
    "Policy",
    "Promise",
    "agreed_deal",
    "capacity_threshold",
    "default_precision",
    "fit_bands",
    "growth_to_certify",
    "lower_bound",
    "precision_threshold",
    "recall_threshold",
    "top_threshold",
    "trace_frontier",
    "upper_bound",
]
