"""The only place for the fitted model as a value: what a bundle holds and what scoring needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from propensity.bands import Bands
from propensity.calibration import Calibrator
from propensity.encoding import CategoryCode, Encoder
from propensity.explanations import Reference
from propensity.learners import Blend
from propensity.rules import Rules
from propensity.schema import Schema

Verdict = Literal["skill", "no_skill", "rules_only"]
N_CANARIES = 32


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What was learned from leads: everything between read values and bands.

    Parameters
    ----------
    encoder : Encoder
    blend : Blend
    calibrator : Calibrator
    bands : Bands
    """

    encoder: Encoder
    blend: Blend
    calibrator: Calibrator
    bands: Bands

    def probability(self, values: pd.DataFrame) -> np.ndarray:
        """Give each lead's calibrated probability of conversion.

        Parameters
        ----------
        values : DataFrame, shape (n_leads, n_features)
            As `schema.partition` reads them.

        Returns
        -------
        array of float in [0, 1], shape (n_leads,)
        """
        return self.calibrator.probability(self.blend.margin(self.encoder.encode(values)))


@dataclass(frozen=True, kw_only=True)
class PropensityModel:
    """A model and the rules behind it.

    Parameters
    ----------
    schema : Schema
    rules : Rules
    verdict : {"skill", "no_skill", "rules_only"}
        Only a model with skill answers itself.
    learned : Learned or None
        None where there was too little to learn from.
    reference : Reference or None
        The typical nurture lead; there with `learned`.
    points_calibrator : Calibrator or None
        Maps the rules' points to probability where history allowed.
    agreement : dict
        What marketing and sales agreed on, as plain JSON values.
    facts : dict
        Plain JSON values for people and checks: rows, base rate, digests, what the target means.
    card : str
        The model card, Markdown.
    version : str
        First 12 hex digits of the manifest's sha256; ``rules-`` and the rules' digest without a model;
        empty before the model is a bundle.
    """

    schema: Schema
    rules: Rules
    verdict: Verdict
    learned: Learned | None = None
    reference: Reference | None = None
    points_calibrator: Calibrator | None = None
    agreement: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    card: str = ""
    version: str = ""


def rules_model(rules: Rules, schema: Schema) -> PropensityModel:
    """Wrap rules as the model that answers when there is no other.

    Parameters
    ----------
    rules : Rules
    schema : Schema
        Needs no feature: the id column and the words for missing.
    """
    return PropensityModel(schema=schema, rules=rules, verdict="rules_only", version=f"rules-{rules.digest[:12]}")


def invent_rows(encoder: Encoder, *, n_rows: int = N_CANARIES) -> np.ndarray:
    """Invent encoded rows from the encoder alone; no lead is among them.

    Parameters
    ----------
    encoder : Encoder
    n_rows : int

    Returns
    -------
    array of float, shape (n_rows, n_features)
        Numbers within the training range, any code, about one cell in ten missing. Always the same.
    """
    rng = np.random.default_rng(20)
    matrix = np.empty((n_rows, len(encoder.names)))
    for i, code in enumerate(encoder.codes):
        if isinstance(code, CategoryCode):
            matrix[:, i] = rng.integers(0, code.n_codes, n_rows)
        else:
            matrix[:, i] = np.round(rng.uniform(code.low, code.high, n_rows), 6)
    return np.where(rng.random(matrix.shape) < 0.1, np.nan, matrix)
