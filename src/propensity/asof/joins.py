"""The only place that says why the ids of two tables do not meet."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from propensity.errors import InputError

# A way of writing that makes more ids than this share the same is no mere way of writing.
MERGED_SHARE = 0.01

_FORMS: dict[str, Callable[[str], str]] = {
    "leading zeros are dropped: one of the files was probably opened in a spreadsheet": lambda key: re.sub(
        r"^0+(?=.)", "", key
    ),
    "letter case is ignored": str.casefold,
    "decimals of nothing (.0) are dropped": lambda key: re.sub(r"\.0+$", "", key),
    "ids of 18 characters are cut to the first 15, as Salesforce writes both": lambda key: (
        key[:15] if len(key) == 18 and key.isalnum() else key
    ),
}


@dataclass(frozen=True, kw_only=True)
class LeadKey:
    """The lead table's side of a join, for messages.

    Parameters
    ----------
    column, key : str
        The column that names leads or accounts, and the config key that names it.
    may_miss : bool
        Whether it is no error that none is met: a few leads may have done nothing yet.
    """

    column: str
    key: str
    may_miss: bool = False


def check_joined(theirs: pd.Series, ours: pd.Index, leads: LeadKey, *, what: str, column: object, key: str) -> None:
    """Refuse a table none of whose ids is a lead's.

    Parameters
    ----------
    theirs : Series of str
        Join keys of the table.
    ours : Index
        Join keys of the leads.
    leads : LeadKey
    what : str
        The table, in words.
    column, key : str
        Its column, and the config key that names it.

    Raises
    ------
    InputError
        None is met, and that may not be; or another way of writing would make them meet, which is no chance.
    """
    there = pd.Index(theirs.dropna().unique())
    if not len(there) or not len(ours) or there.isin(ours).any():
        return
    remedy = way_of_writing(there, ours)
    if remedy or not leads.may_miss:
        raise InputError(no_common_id(len(there), len(ours), leads, what=what, column=column, key=key, remedy=remedy))


def no_common_id(
    n_theirs: int, n_ours: int, leads: LeadKey, *, what: str, column: object, key: str, remedy: str = ""
) -> str:
    """Say that no id of a table is a lead's, and what to do."""
    next_step = (
        f"They match when {remedy}. Write them alike in both files."
        if remedy
        else f"Check that both columns ({key}, {leads.key}) name the same, and that the files are of the same leads."
    )
    return (
        f"None of the {n_theirs:,} different ids in column {str(column)!r} of the {what} ({key}) is among the "
        f"{n_ours:,} in column {leads.column!r} of the leads ({leads.key}). {next_step}"
    )


def way_of_writing(theirs: pd.Index, ours: pd.Index) -> str:
    """Say what two tables write differently, so that no id is met; empty where that is not why.

    Only a way that keeps the ids of each table apart counts: ids of Salesforce differ by letter case alone.

    Examples
    --------
    >>> way_of_writing(pd.Index(["7", "12"]), pd.Index(["007", "031"]))
    'leading zeros are dropped: one of the files was probably opened in a spreadsheet'
    >>> way_of_writing(pd.Index(["x7"]), pd.Index(["007"]))
    ''
    """
    for n in range(1, len(_FORMS) + 1):
        for words in itertools.combinations(_FORMS, n):
            left, right = theirs, ours
            for word in words:
                left, right = left.map(_FORMS[word]), right.map(_FORMS[word])
            kept = all(
                plain.nunique() >= (1 - MERGED_SHARE) * len(given) for plain, given in ((left, theirs), (right, ours))
            )
            if kept and left.isin(right).any():
                return ", and ".join(words)
    return ""
