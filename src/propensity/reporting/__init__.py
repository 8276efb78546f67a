"""The only place that words what a person reads: summaries, the model card, the commented config."""

from propensity.reporting.card import card_page, whole_card
from propensity.reporting.findings import audit_json, audit_lines
from propensity.reporting.leads import best_leads, leads_page
from propensity.reporting.moves import Moves, changed_terms, moves_lines, terms_lines
from propensity.reporting.page import Card, Cards, report_page, run_note
from propensity.reporting.record import recorded_tables, training_record
from propensity.reporting.settings import config_text
from propensity.reporting.sheet import sheet_json, sheet_lines, text_with_points, text_with_rules
from propensity.reporting.summary import VERDICTS, band_lines, model_card, training_json, training_summary
from propensity.reporting.watched import watch_json, watch_lines

__all__ = [
    "VERDICTS",
    "Card",
    "Cards",
    "Moves",
    "audit_json",
    "audit_lines",
    "band_lines",
    "best_leads",
    "card_page",
    "changed_terms",
    "config_text",
    "leads_page",
    "model_card",
    "moves_lines",
    "recorded_tables",
    "report_page",
    "run_note",
    "sheet_json",
    "sheet_lines",
    "terms_lines",
    "text_with_points",
    "text_with_rules",
    "training_json",
    "training_record",
    "training_summary",
    "watch_json",
    "watch_lines",
    "whole_card",
]
