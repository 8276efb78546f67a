"""The only place where outcomes become labels: who converted, within which window, and from when that is known."""

from propensity.labels.delays import HorizonProposal, first_immature, propose_horizon
from propensity.labels.examples import LabelledRows, make_examples
from propensity.labels.target import Target, read_target

__all__ = [
    "HorizonProposal",
    "LabelledRows",
    "Target",
    "first_immature",
    "make_examples",
    "propose_horizon",
    "read_target",
]
