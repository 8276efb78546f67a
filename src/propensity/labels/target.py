"""The only place where a target column becomes 0, 1 or unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from propensity.errors import InputError
from propensity.schema import NEGATIVE_WORDS, POSITIVE_WORDS, canonical_text, read_texts

# A column of more values than this is no target, and its values may be people.
MAX_SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class Target:
    """A target column, read.

    Parameters
    ----------
    y : array of float, shape (n_leads,)
        1 converted, 0 did not, NaN unknown.
    positive, negative : tuple of str
        The words that were read as 1 and as 0.
    """

    y: np.ndarray
    positive: tuple[str, ...]
    negative: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What was read as what, in words."""
        return f"{_list(self.positive)} means converted, {_list(self.negative)} means not"


def read_target(series: pd.Series, *, positive: str | None, missing: Sequence[str], name: str) -> Target:
    """Read a target column of yes/no, true/false, 1/0, won/lost or any two words.

    Parameters
    ----------
    series : Series of any dtype
    positive : str or None
        The word that means converted; None where the words speak for themselves.
    missing : sequence of str
        Canonical words that mean unknown. Unknown is not negative.
    name : str
        The column, for messages.

    Returns
    -------
    Target

    Raises
    ------
    InputError
        One class, more than two, or two words of which neither is known to mean converted.

    Examples
    --------
    >>> read_target(pd.Series(["Won", "lost", None]), positive=None, missing=(), name="Status").y
    array([ 1.,  0., nan])
    """
    wanted = None if positive is None else canonical_text(positive)
    texts = read_texts(series, missing=[word for word in missing if word != wanted])
    words = sorted({str(word) for word in texts.dropna().unique()})
    is_known = all(word in POSITIVE_WORDS | NEGATIVE_WORDS for word in words)
    if wanted is not None and wanted not in words:
        msg = (
            f"columns.positive is {positive!r}, which column {name!r} does not hold. It holds {_quote(words)}. "
            "Name the value that means converted."
        )
        raise InputError(msg)
    if wanted is not None and not (is_known and wanted in POSITIVE_WORDS):
        yes = [wanted]
    else:
        yes = [word for word in words if word in POSITIVE_WORDS]
    no = [word for word in words if word not in yes]
    many = len(words) > 2 and len(no) > 1 and not all(word in NEGATIVE_WORDS for word in no)
    if len(words) < 2 or (is_known and not (yes and no)):
        msg = (
            f"Target {name!r} must hold two outcomes, got {len(words)} ({_quote(words)}). "
            "Give leads that converted and leads that did not."
        )
        raise InputError(msg)
    if many:
        msg = (
            f"Target {name!r} must hold two outcomes, got {len(words)} ({_quote(words)}). "
            "Leave cells of undecided leads empty, and name the value that means converted (columns.positive)."
        )
        raise InputError(msg)
    if not yes:
        msg = (
            f"Target {name!r} holds {_quote(words)}, neither of which is known to mean converted. "
            "Name it: --positive VALUE, or columns.positive."
        )
        raise InputError(msg)
    y = np.where(texts.isna().to_numpy(), np.nan, texts.isin(yes).to_numpy(dtype=float))
    return Target(y=y, positive=tuple(yes), negative=tuple(no))


def _list(words: Sequence[str]) -> str:
    return ", ".join(repr(word[:40]) for word in words[:MAX_SHOWN])


def _quote(words: Sequence[str]) -> str:
    """Show the words that outcomes are written in; others may be a lead's own values and are only counted."""
    known = [repr(word) for word in words if word in POSITIVE_WORDS | NEGATIVE_WORDS]
    others = len(words) - len(known)
    return ", ".join([*known[:MAX_SHOWN], *([f"{others} other values"] if others else [])]) or "nothing"
