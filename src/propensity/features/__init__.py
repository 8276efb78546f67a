"""The only place where tables and cutoffs become features.

Names are loaded when they are used: a consumer of a flat model needs no event engine.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from propensity.features.behaviour import behaviour_features
    from propensity.features.fit import derive, derived_names
    from propensity.features.frame import (
        MIN_TYPE_LEADS,
        LeadTables,
        ScoringRows,
        choose_types,
        feature_frame,
        features_as_of,
        few_texts,
        instant_of,
        key_column,
        lead_key,
        read_lead_tables,
        reading_plan,
        with_derived,
    )
    from propensity.features.outcomes import account_of, conversions_of, converted_rows, first_conversions
    from propensity.features.plan import ANY_EVENT, CUTOFF, NO_CUTOFF, UNKNOWN_LEAD, FeaturePlan

_HOMES = {
    "ANY_EVENT": "plan",
    "CUTOFF": "plan",
    "MIN_TYPE_LEADS": "frame",
    "NO_CUTOFF": "plan",
    "UNKNOWN_LEAD": "plan",
    "FeaturePlan": "plan",
    "LeadTables": "frame",
    "ScoringRows": "frame",
    "account_of": "outcomes",
    "behaviour_features": "behaviour",
    "choose_types": "frame",
    "conversions_of": "outcomes",
    "converted_rows": "outcomes",
    "derive": "fit",
    "derived_names": "fit",
    "feature_frame": "frame",
    "features_as_of": "frame",
    "few_texts": "frame",
    "first_conversions": "outcomes",
    "instant_of": "frame",
    "key_column": "frame",
    "lead_key": "frame",
    "read_lead_tables": "frame",
    "reading_plan": "frame",
    "with_derived": "frame",
}

__all__ = [
    "ANY_EVENT",
    "CUTOFF",
    "MIN_TYPE_LEADS",
    "NO_CUTOFF",
    "UNKNOWN_LEAD",
    "FeaturePlan",
    "LeadTables",
    "ScoringRows",
    "account_of",
    "behaviour_features",
    "choose_types",
    "conversions_of",
    "converted_rows",
    "derive",
    "derived_names",
    "feature_frame",
    "features_as_of",
    "few_texts",
    "first_conversions",
    "instant_of",
    "key_column",
    "lead_key",
    "read_lead_tables",
    "reading_plan",
    "with_derived",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        msg = f"module 'propensity.features' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(f"propensity.features.{_HOMES[name]}"), name)
