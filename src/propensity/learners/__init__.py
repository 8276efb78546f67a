"""The only place for what learns margins from the float matrix: boosted trees, a linear model, their blend."""

from propensity.learners.blend import (
    LINEAR,
    Blend,
    Candidate,
    Recipe,
    candidate_margins,
    choose_recipe,
    fit_blend,
)
from propensity.learners.forest import KINDS, Forest, check_forest_text, fit_forest
from propensity.learners.linear import LinearModel, fit_linear

__all__ = [
    "KINDS",
    "LINEAR",
    "Blend",
    "Candidate",
    "Forest",
    "LinearModel",
    "Recipe",
    "candidate_margins",
    "check_forest_text",
    "choose_recipe",
    "fit_blend",
    "fit_forest",
    "fit_linear",
]
