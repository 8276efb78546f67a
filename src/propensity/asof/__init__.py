"""The only place for time: stamps to aware UTC instants, records to what was known when."""

from propensity.asof.joins import LeadKey, check_joined, no_common_id, way_of_writing
from propensity.asof.newest import Newest
from propensity.asof.records import (
    DAY,
    NEVER,
    Conversions,
    Events,
    History,
    as_known,
    check_not_after,
    join_keys,
    joined,
    known_before,
    microseconds,
    newest_record,
    read_conversions,
    read_events,
    read_history,
    read_stages,
    read_stamps,
    to_stamps,
)
from propensity.asof.stamps import Stamps, parse_stamps

__all__ = [
    "DAY",
    "NEVER",
    "Conversions",
    "Events",
    "History",
    "LeadKey",
    "Newest",
    "Stamps",
    "as_known",
    "check_joined",
    "check_not_after",
    "join_keys",
    "joined",
    "known_before",
    "microseconds",
    "newest_record",
    "no_common_id",
    "parse_stamps",
    "read_conversions",
    "read_events",
    "read_history",
    "read_stages",
    "read_stamps",
    "to_stamps",
    "way_of_writing",
]
