"""The only place for what a lead table must look like: cells, columns, rows."""

from propensity.schema.cells import (
    NEGATIVE_WORDS,
    POSITIVE_WORDS,
    canonical_text,
    missing_words,
    normalise_name,
    parse_number,
    read_ids,
    read_numbers,
    read_texts,
)
from propensity.schema.columns import EXPECTED_FILL, Column, Schema, Tables, find_column, infer_schema, resolve_columns
from propensity.schema.rows import (
    MQL,
    NURTURE,
    SQL,
    UNSCORED,
    LeadRows,
    content_digest,
    partition,
    row_hashes,
    validate,
)

__all__ = [
    "EXPECTED_FILL",
    "MQL",
    "NEGATIVE_WORDS",
    "NURTURE",
    "POSITIVE_WORDS",
    "SQL",
    "UNSCORED",
    "Column",
    "LeadRows",
    "Schema",
    "Tables",
    "canonical_text",
    "content_digest",
    "find_column",
    "infer_schema",
    "missing_words",
    "normalise_name",
    "parse_number",
    "partition",
    "read_ids",
    "read_numbers",
    "read_texts",
    "resolve_columns",
    "row_hashes",
    "validate",
]
