"""The only place that words what a person reads: summaries, the model card, the commented config."""

from propensity.reporting.findings import audit_json, audit_lines
from propensity.reporting.settings import config_text
from propensity.reporting.summary import VERDICTS, band_lines, model_card, training_json, training_summary

__all__ = [
    "VERDICTS",
    "audit_json",
    "audit_lines",
    "band_lines",
    "config_text",
    "model_card",
    "training_json",
    "training_summary",
]
