"""The only place that chooses the columns by whose values test leads are looked at apart."""

from __future__ import annotations

import numpy as np
import pandas as pd

from propensity.roles import Given, guess_roles, words_of
from propensity.schema import Schema

# A handful: the more segments, the further off one must be to stand out.
MAX_COLUMNS = 5
# More values name places or people rather than segments.
MAX_LEVELS = 30
# Where the lead came from, and what marketing sorts leads by: looked at before all others.
_NAMED = {"source", "channel", "origin", "medium", "campaign", "segment", "industry", "region", "country"}
_ROW = " row"


def segment_columns(read: pd.DataFrame, schema: Schema) -> tuple[str, ...]:
    """Choose the category columns most worth a look; outcomes have no say in it.

    Columns near a protected trait come first, then those whose names say where a lead came from or how marketing
    sorts leads, then those that divide the leads most evenly.

    Parameters
    ----------
    read : DataFrame, shape (n_rows, n_features)
        Canonical text.
    schema : Schema

    Returns
    -------
    tuple of str
        At most five names. No column that looks like personal data, whoever named it a feature.

    Examples
    --------
    >>> from propensity.schema import Column
    >>> names = ("Plan", "Lead source", "City")
    >>> columns = tuple(Column(name=name, family="fit", kind="category") for name in names)
    >>> schema = Schema(columns=columns, id=None, missing=())
    >>> read = pd.DataFrame({"Plan": ["a", "b"] * 50, "Lead source": ["web"] * 90 + ["ad"] * 10, "City": range(100)})
    >>> segment_columns(read.astype(str), schema)
    ('Lead source', 'Plan')
    """
    worth = {}
    for column in schema.columns:
        if column.kind == "category":
            shares = read[column.name].value_counts(normalize=True, dropna=False).to_numpy()
            if 1 < len(shares) <= MAX_LEVELS:
                # As many equal levels would be as hard to guess: the inverse of Simpson's index.
                worth[column.name] = 1 / float(np.square(shares).sum())
    # The id and the target are no features: none of these may be guessed to be one.
    answer, number = pd.Series("", index=read.index, dtype=object), np.arange(len(read))
    guesses = {
        name: guess_roles(read[[name]].assign(**{_ROW: number}), Given(id=_ROW), missing={}, answer=answer)[0]
        for name in worth
    }
    rank = {
        name: (not guess.is_sensitive, not {*words_of(name)} & _NAMED, -worth[name], name)
        for name, guess in guesses.items()
        if not guess.reason.startswith("personal data")
    }
    return tuple(sorted(rank, key=rank.__getitem__)[:MAX_COLUMNS])
