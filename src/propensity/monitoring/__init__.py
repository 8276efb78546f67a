"""The only place that watches what was promised once leads' outcomes are known."""

from propensity.monitoring.evidence import ALARM, Volume, Watched, e_process, watch_promise, watch_volume
from propensity.monitoring.scored import Outcomes, Scored, read_outcomes, read_scored
from propensity.monitoring.watch import Expected, Watch, watch

__all__ = [
    "ALARM",
    "Expected",
    "Outcomes",
    "Scored",
    "Volume",
    "Watch",
    "Watched",
    "e_process",
    "read_outcomes",
    "read_scored",
    "watch",
    "watch_promise",
    "watch_volume",
]
