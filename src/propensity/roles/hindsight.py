"""The only place that knows which columns are written after the fact: by their names, or by what they hold.

The word lists are a prior, not a proof. They say what lead teams and their tools call such columns, not what any one
file holds.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

# So many filled cells, all of one outcome that is not nearly everybody's, were written after the fact.
MIN_TELLING = 25
MAX_RATE = 0.8

# What only a result, or people working the lead, can write. Alone enough to set a column aside.
_STRONG_WORDS = {"won", "last", "stage", "disposition", "owner", "modified", "updated", "contacted", "rating", "latest"}
# The same as CRMs write them in one word.
_STRONG_WORDS |= {"lifecyclestage", "dealstage", "leadstage", "leadstatus", "lastcontacted", "lastactivitydate"}
_STRONG_WORDS |= {"lastmodifieddate", "contactowner", "leadowner", "hubspotowner"}
_STRONG_STARTS = ("converted", "disqualif", "invoice", "churn", "lost", "closed")
_STRONG_PHRASES: tuple[str, ...] = ("is converted", "close date", "day to close", "opportunity id", "contract signed")
_STRONG_PHRASES += ("became customer", "lead status", "lifecycle stage", "deal stage", "next step", "close reason")
_STRONG_PHRASES += ("likelihood to close", "associated deal", "recent deal", "first deal", "total revenue")
_STRONG_WHOLE = {"status", "statecode", "statuscode"}
# A surname is known from the start.
_INNOCENT_PHRASES = ("last name",)
# Often a result or a judgement, often not ("marital status", "annual revenue"): these need a statistic beside them.
_WEAK_WORDS = {"duration", "score", "index", "grade", "reason", "note", "outcome", "status", "conversion", "spend"}
_WEAK_WORDS |= {"revenue", "amount", "paid", "assigned", "next", "profile"}
_WEAK_STARTS = ("deal", "purchase", "order")


def strong_word(words: Sequence[str]) -> str:
    """Give the word of a name that alone says the column is written after the fact; empty where none does.

    Parameters
    ----------
    words : sequence of str
        As `roles.words_of` splits a header.

    Examples
    --------
    >>> strong_word(("lead", "owner")), strong_word(("day", "to", "close")), strong_word(("last", "name"))
    ('owner', 'day to close', '')
    >>> strong_word(("status",)), strong_word(("marital", "status"))
    ('status', '')
    """
    joined = " ".join(words)
    if joined in _STRONG_WHOLE:
        return joined
    for phrase in _INNOCENT_PHRASES:
        joined = f" {joined} ".replace(f" {phrase} ", " ").strip()
    for word in joined.split():
        if word in _STRONG_WORDS or word.startswith(_STRONG_STARTS):
            return word
    return next((phrase for phrase in _STRONG_PHRASES if f" {phrase} " in f" {joined} "), "")


def weak_word(words: Sequence[str]) -> str:
    """Give the word of a name that says so where a statistic agrees; empty where none does.

    Examples
    --------
    >>> weak_word(("call", "duration")), weak_word(("annual", "revenue")), weak_word(("industry",))
    ('duration', 'revenue', '')
    """
    return next((word for word in words if word in _WEAK_WORDS or word.startswith(_WEAK_STARTS)), "")


def is_relabelling(values: pd.Series, answer: pd.Series) -> bool:
    """Say whether a column is the target in other words: each of its values goes with one outcome, and back.

    Parameters
    ----------
    values, answer : Series, shape (n_leads,)
        Missing where not known.

    Examples
    --------
    >>> is_relabelling(pd.Series(["in", "out", "in"]), pd.Series(["yes", "no", "yes"]))
    True
    """
    both = values.notna() & answer.notna()
    pairs = pd.DataFrame({"a": values[both], "b": answer[both]}).drop_duplicates()
    return bool(both.mean() > 0.5 and len(pairs) == pairs["a"].nunique() == pairs["b"].nunique() == answer.nunique())


def tells_by_being_filled(values: pd.Series, answer: pd.Series) -> bool:
    """Say whether a column has values for leads of one outcome alone: a deal's amount, a reason for losing.

    Where 25 are filled and the outcome's rate is below 0.8, chance does this 4 times in 1,000 (0.8 to the 25th).
    """
    told = answer[values.notna()].dropna()
    return bool(
        len(told) >= MIN_TELLING and len(told.unique()) == 1 and (answer.dropna() == told.iloc[0]).mean() < MAX_RATE
    )
