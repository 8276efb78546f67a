"""The only place for what learns margins from the float matrix: boosted trees, a linear model, their blend."""

from propensity.learners.blend import Blend, Recipe, candidate_margins, choose_recipe, fit_blend
from propensity.learners.forest import Forest, check_forest_text, fit_forest
from propensity.learners.linear import LinearModel, fit_linear

__all__ = [
    "Blend",
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
