"""The only place that proposes what is made of raw fields about who a lead is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from propensity.features import fit
from propensity.roles.columns import EMAIL, Facts, Guess
from propensity.roles.exports import plain

# A kind is proposed where at least this share of a column's different values reads as it.
MIN_SHARE = 0.9
_RANGE = re.compile(r"\d[a-z]*\s*(?:-|\u2013|\u2014|to)\s*\S*\d|\d[a-z]*\s*\+|[<>]\s*\S*\d")
_TITLES = {"jobtitle", "title", "position", "role"}
_COUNTRIES = {"country", "countryregion", "ipcountry", "billingcountry", "companycountry", "nation"}


def propose_derived(guesses: Sequence[Guess], facts: Mapping[str, Facts]) -> tuple[tuple[Guess, ...], dict[str, str]]:
    """Propose what is derived from which column; a column that says the same in a worse form is set aside.

    Parameters
    ----------
    guesses : sequence of Guess
    facts : mapping of column to Facts

    Returns
    -------
    guesses : tuple of Guess
    kinds : dict of column to kind
        For ``features.derive``.
    """
    kinds: dict[str, str] = {}
    result = []
    for guess in guesses:
        kind = _kind(guess, facts[guess.column])
        if kind:
            kinds[guess.column] = kind
        if kind in {"range", "country"}:
            what = "number" if kind == "range" else "code"
            guess = replace(guess, role="ignore", reason=f"its {what} is used: features.derive")  # noqa: PLW2901
        result.append(guess)
    return tuple(result), kinds


def _kind(guess: Guess, fact: Facts) -> str:
    name, is_text = plain(guess.column), not fact.is_number and not fact.is_date and bool(fact.sample)
    if not is_text or guess.role not in {"fit", "ignore"}:
        return ""
    if np.mean([bool(EMAIL.fullmatch(text)) for text in fact.sample]) >= MIN_SHARE:
        return "email"
    if name in _TITLES:
        return "title"
    if name in _COUNTRIES:
        return "country"
    ranges = [bool(_RANGE.search(text)) for text in fact.sample]
    numbers = [bool(np.isfinite(fit.read_range(text))) for text in fact.sample]
    is_range = fact.n_levels > 2 and np.mean(numbers) >= MIN_SHARE and np.mean(ranges) >= MIN_SHARE / 2
    return "range" if is_range and guess.role == "fit" else ""
