"""The only place for what learns margins from the float matrix: boosted trees, a linear model, their blend."""

from propensity.learners.blend import (
    LINEAR,
    STRENGTH,
    TUNED,
    Blend,
    Candidate,
    Learners,
    Recipe,
    Tuned,
    choose_recipe,
    gain_error,
    is_sure,
    kinds_for,
    margin_loss,
)
from propensity.learners.forest import KINDS, ON_LINEAR, Forest, check_forest_text, fit_forest
from propensity.learners.linear import CategoryTerm, LinearModel, fit_linear
from propensity.learners.monotone import DIRECTIONS, Monotone, weigh_constraints
from propensity.learners.recency import HALF_LIVES, choose_half_life, recency_weights
from propensity.learners.shifts import Shifts
from propensity.learners.stability import REACH, Stability, calibrator_moves, deal, fit_stability, scale_of
from propensity.learners.tuning import Fold, MayGoOn, check_tuner, search_settings

__all__ = [
    "DIRECTIONS",
    "HALF_LIVES",
    "KINDS",
    "LINEAR",
    "ON_LINEAR",
    "REACH",
    "STRENGTH",
    "TUNED",
    "Blend",
    "Candidate",
    "CategoryTerm",
    "Fold",
    "Forest",
    "Learners",
    "LinearModel",
    "MayGoOn",
    "Monotone",
    "Recipe",
    "Shifts",
    "Stability",
    "Tuned",
    "calibrator_moves",
    "check_forest_text",
    "check_tuner",
    "choose_half_life",
    "choose_recipe",
    "deal",
    "fit_forest",
    "fit_linear",
    "fit_stability",
    "gain_error",
    "is_sure",
    "kinds_for",
    "margin_loss",
    "recency_weights",
    "scale_of",
    "search_settings",
    "weigh_constraints",
]
