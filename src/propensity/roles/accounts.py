"""The only place that knows which columns name a lead's account, and which of their words name none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from propensity.features import fit
from propensity.roles.exports import ACCOUNT_IDS, ACCOUNT_NAMES, plain
from propensity.schema import missing_words, read_texts

# A word that so many leads share names no account that buys, or one whose leads would take half of one of five test
# blocks along: either way it holds no split together. Few leads share words by chance.
MAX_SHARE = 0.10
MIN_SHARED = 20
# What people write who have no company, or will not say: by letters and digits alone.
_NOBODY = {"self", "selfemployed", "freelance", "freelancer", "independent", "individual", "private", "privateperson"}
_NOBODY |= {"personal", "student", "retired", "unemployed", "home", "nocompany", "notapplicable", "notprovided", "tbd"}
_NOBODY |= {"notset", "undefined", "other", "test", "gmail", "hotmail", "x", "xx", "xxx", "na", "none", "null"}
# What a company's name may end in; the same name without it is the same company, mostly.
_FORMS = {"inc", "incorporated", "llc", "ltd", "limited", "corp", "corporation", "co", "company", "plc", "gmbh", "ag"}
_FORMS |= {"kg", "se", "sa", "sas", "sarl", "srl", "spa", "bv", "nv", "ab", "as", "oy", "aps", "doo", "kft", "pty"}


def names_account(column: str) -> bool:
    """Say whether a column is called as systems call a lead's account, by id or by name.

    Examples
    --------
    >>> [names_account(name) for name in ("Company / Account", "AccountId", "Company size", "ConvertedAccountId")]
    [True, True, False, False]
    """
    return plain(column) in (*ACCOUNT_IDS, *ACCOUNT_NAMES)


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """How a column puts leads together.

    Parameters
    ----------
    n_accounts, n_leads : int
        Accounts, and leads that have one.
    n_largest : int
        Leads of the largest account.
    n_alone : int
        Leads without an account: each stands alone.
    stand_ins : tuple of str
        Words that name no account, as cells are compared; missing, for this column.
    n_nobody, n_frequent : int
        Leads who wrote a word that names nobody, and one that too many share.
    n_alike : int
        Accounts called as another is, but for punctuation and legal form.
    """

    n_accounts: int
    n_leads: int
    n_largest: int
    n_alone: int
    stand_ins: tuple[str, ...]
    n_nobody: int
    n_frequent: int
    n_alike: int

    def sentences(self, column: str) -> tuple[str, ...]:
        """Say how many accounts there are, and what was taken for none."""
        said = [
            f"Accounts by {column[:40]!r}: {self.n_accounts:,} of {self.n_leads:,} leads, "
            f"{self.n_leads / max(self.n_accounts, 1):.1f} leads an account, at most {self.n_largest:,}; "
            f"{self.n_alone:,} leads without one stand alone. All leads of one are on one side of every split."
        ]
        if self.n_nobody:
            said.append(
                f"  {self.n_nobody:,} leads name nobody there (self-employed, private and the like): no account."
            )
        if self.n_frequent:
            said.append(
                f"  {self.n_frequent:,} leads have a word there that more than {MAX_SHARE:.0%} of all have: taken for "
                "no account (data.missing). Take a word out of that list if it is one customer's name."
            )
        if self.n_alike:
            said.append(
                f"  {self.n_alike:,} names are another's but for punctuation or legal form, and count as accounts of "
                "their own: an account id, or one spelling, keeps them together."
            )
        return tuple(said)


def look_at_accounts(
    series: pd.Series, *, name: str, missing: Mapping[str, Sequence[str | float]], is_certain: bool = False
) -> Accounts:
    """Look at how a column puts leads together.

    Parameters
    ----------
    series : Series, shape (n_leads,)
    name : str
        The column.
    missing : mapping of column (or "*") to words
    is_certain : bool
        A person, or the key of another table, says that these are accounts. Then, and where it holds ids, frequent
        ones are accounts too.

    Examples
    --------
    >>> firms = pd.Series(["Acme", "ACME ", "Acme, Inc.", "Self-employed", "self-employed", "gmail.com", None])
    >>> found = look_at_accounts(firms, name="Company", missing={})
    >>> found.n_accounts, found.n_leads, found.n_alone, found.n_alike, found.stand_ins
    (2, 3, 4, 1, ('gmail.com', 'self-employed'))
    """
    n_each = read_texts(series, missing=missing_words(missing, name)).value_counts()
    nobody = [text for text in n_each.index if _is_nobody(text)]
    most = max(MAX_SHARE * len(series), MIN_SHARED)
    is_certain |= plain(name) in ACCOUNT_IDS
    frequent = [] if is_certain else [text for text in n_each.index[n_each > most] if text not in nobody]
    accounts = n_each.drop([*nobody, *frequent])
    return Accounts(
        n_accounts=len(accounts),
        n_leads=int(accounts.sum()),
        n_largest=int(accounts.max()) if len(accounts) else 0,
        n_alone=len(series) - int(accounts.sum()),
        stand_ins=tuple(sorted([*nobody, *frequent])),
        n_nobody=int(n_each[nobody].sum()),
        n_frequent=int(n_each[frequent].sum()),
        n_alike=len(accounts) - len({_without_form(text) for text in accounts.index}),
    )


def puts_together(accounts: Accounts) -> bool:
    """Say whether a column puts any leads together, and not all."""
    return 1 < accounts.n_accounts < accounts.n_leads


def _is_nobody(text: str) -> bool:
    return plain(text) in {*_NOBODY, ""} or fit.read_domain(f"x@{text}") == "free"


def _without_form(text: str) -> str:
    words = text.replace(".", "").replace(",", " ").split()
    while len(words) > 1 and plain(words[-1]) in {*_FORMS, ""}:
        words.pop()
    return plain("".join(words)) or text
