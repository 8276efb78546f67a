"""The only place for what learns margins from the float matrix: boosted trees, a linear model, their blend."""

from propensity.learners.blend import (
    LINEAR,
    Blend,
    Candidate,
    Recipe,
    candidate_margins,
    choose_recipe,
    even_margin,
    fit_blend,
    kinds_for,
    margin_loss,
)
from propensity.learners.forest import KINDS, ON_LINEAR, Forest, check_forest_text, fit_forest
from propensity.learners.linear import LinearModel, fit_linear
from propensity.learners.recency import HALF_LIVES, choose_half_life, recency_weights

__all__ = [
    "HALF_LIVES",
    "KINDS",
    "LINEAR",
    "ON_LINEAR",
    "Blend",
    "Candidate",
    "Forest",
    "LinearModel",
    "Recipe",
    "candidate_margins",
    "check_forest_text",
    "choose_half_life",
    "choose_recipe",
    "even_margin",
    "fit_blend",
    "fit_forest",
    "fit_linear",
    "kinds_for",
    "margin_loss",
    "recency_weights",
]
