"""The only place for the model as MLflow serves it: this file is logged as code, the bundle as its artifact.

It runs where this package is not installed: the scoring modules travel beside it.
"""

from __future__ import annotations

from typing import Any

import mlflow
import pandas as pd
from mlflow.models import set_model

from propensity.scoring import N_REASONS, score
from propensity.storage.bundles import load_bundle


class LeadPropensity(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
    """Score lead columns; rules answer where the model cannot."""

    def load_context(self, context: Any) -> None:
        """Verify and load the bundle."""
        self.model = load_bundle(context.artifacts["bundle"])

    # No hint on the input: MLflow would take it for a schema of its own and enforce it.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ARG002
        """Give the agreed score columns, one row a lead in input order.

        Parameters
        ----------
        context : PythonModelContext
            Unused.
        model_input : DataFrame
            Lead columns, any dtypes.
        params : dict or None
            ``reasons`` (how many, 4) and ``as_of`` (text, empty).
        """
        options = params or {}
        leads = model_input if isinstance(model_input, pd.DataFrame) else pd.DataFrame(model_input)
        given = leads if len(leads) else pd.DataFrame({str(name): [""] for name in leads.columns})
        n_reasons = int(options.get("reasons", N_REASONS))
        frame = score(given, model=self.model, as_of=str(options.get("as_of", "")), n_reasons=n_reasons).frame
        return frame.iloc[: len(leads)]


set_model(LeadPropensity())
