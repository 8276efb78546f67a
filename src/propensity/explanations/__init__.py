"""The only place where contributions become reasons: in percentage points against a typical lead, and in words."""

from propensity.explanations.additive import (
    Explanation,
    Reference,
    explain,
    family_points,
    fault_of_parts,
    fit_reference,
    grouped,
    strongest,
)
from propensity.explanations.change import Change, Steps, attribute
from propensity.explanations.dependence import dependence
from propensity.explanations.importance import importance
from propensity.explanations.lift import Action, Lift, find_lift
from propensity.explanations.wording import Evidence, Group, reason_groups, reason_texts, show_value

__all__ = [
    "Action",
    "Change",
    "Evidence",
    "Explanation",
    "Group",
    "Lift",
    "Reference",
    "Steps",
    "attribute",
    "dependence",
    "explain",
    "family_points",
    "fault_of_parts",
    "find_lift",
    "fit_reference",
    "grouped",
    "importance",
    "reason_groups",
    "reason_texts",
    "show_value",
    "strongest",
]
