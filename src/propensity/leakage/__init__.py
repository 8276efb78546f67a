"""The only place that judges whether a feature knows the future, with evidence, and says what leaving it out costs.

A leak is about when a value was written, not about how strong it is. So names and declarations come first, and
statistics ask for what strength alone does not show: certainty, implications without exception, filled cells that
tell the outcome, and one column that carries the whole model. All of them must also be beyond chance, the number of
looks counted in, so that a file of 5,000 columns of noise passes.
"""

from propensity.leakage.audit import audit_columns
from propensity.leakage.evidence import ColumnAudit, Evidence, Price, Verdict, judge
from propensity.leakage.tables import age_bands, compare_as_of, compare_open

__all__ = [
    "ColumnAudit",
    "Evidence",
    "Price",
    "Verdict",
    "age_bands",
    "audit_columns",
    "compare_as_of",
    "compare_open",
    "judge",
]
