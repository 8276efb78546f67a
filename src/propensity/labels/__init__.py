"""The only place where outcomes become labels: who converted, within which window, and from when that is known."""

from propensity.labels.examples import LabelledRows, make_examples
from propensity.labels.target import Target, read_target

__all__ = ["LabelledRows", "Target", "make_examples", "read_target"]
