"""The only place that says which field of a field history is which column of the leads, however each is spelled."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from propensity.roles.exports import SAME_FIELDS, plain
from propensity.schema import normalise_name, parse_number

MAX_SHOWN = 12
# No system keeps a history of more fields; what has more different words holds values.
MAX_FIELDS = 100
# A system's own mark on a name: Salesforce's custom fields end, HubSpot's properties begin with it.
_MARK = re.compile(r"^hs_(?:v2_)?|__c$", re.IGNORECASE)
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}")


def columns_of_fields(fields: Iterable[object], columns: Iterable[object]) -> dict[str, str]:
    """Give the column that each field is, the closest spelling first.

    Case, spaces and underscores do not count, nor a system's own marks; some fields have a label and another name
    beneath it. Where two columns are equally close, neither is taken.

    Parameters
    ----------
    fields, columns : iterable of names

    Returns
    -------
    dict of field to column
        As they are written; fields that are no column are left out.

    Examples
    --------
    >>> columns_of_fields(["Lead Status", "Tier__c", "Phone"], ["leadStatus", "tier"])
    {'Lead Status': 'leadStatus', 'Tier__c': 'tier'}
    >>> columns_of_fields(["hs_lead_status"], ["Status"]), columns_of_fields(["a b"], ["ab", "a_b"])
    ({'hs_lead_status': 'Status'}, {})
    """
    left = [*dict.fromkeys(map(str, fields))]
    free = [*dict.fromkeys(map(str, columns))]
    found: dict[str, str] = {}
    for fold in _FOLDS:
        alike: dict[str, list[str]] = {}
        for column in free:
            alike.setdefault(fold(column), []).append(column)
        # A field that two columns are equally like is settled by no looser spelling either.
        here = {field: alike[fold(field)] for field in left if fold(field) and fold(field) in alike}
        found |= {field: same[0] for field, same in here.items() if len(same) == 1}
        left = [field for field in left if field not in here]
        free = [column for column in free if column not in found.values()]
    return found


def _unmarked(name: str) -> str:
    return plain(_MARK.sub("", name.strip()))


def _label(name: str) -> str:
    return SAME_FIELDS.get(_unmarked(name), _unmarked(name))


_FOLDS: Sequence[Callable[[str], str]] = (normalise_name, plain, _unmarked, _label)


def renaming_query(query: str, column: str, names: Mapping[str, str]) -> str:
    r"""Write a query that calls fields as the leads' columns are called, over a file or what a query makes of it.

    Parameters
    ----------
    query : str
        Empty for the file as it is.
    column : str
        The history's column that names the field.
    names : mapping of field to column
        Nothing is written where all are called alike.

    Examples
    --------
    >>> renaming_query("", "Field", {"Status": "Lead Status", "Industry": "industry"})
    'SELECT * REPLACE (CASE "Field" WHEN \'Status\' THEN \'Lead Status\' ELSE "Field" END AS "Field") FROM source'
    """
    other = {field: name for field, name in names.items() if normalise_name(field) != normalise_name(name)}
    if not other:
        return query
    own = '"' + column.replace('"', '""') + '"'
    cases = " ".join(f"WHEN {_quoted(field)} THEN {_quoted(name)}" for field, name in other.items())
    source = f"({query})" if query else "source"
    return f"SELECT * REPLACE (CASE {own} {cases} ELSE {own} END AS {own}) FROM {source}"  # noqa: S608


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def shown(names: Iterable[object]) -> str:
    """List names for a message; only count them where they may be values of leads, as a wrongly named column holds.

    Examples
    --------
    >>> shown(["Lead Status", "Industry"]), shown(["ana@example.com", "12"])
    ("'Lead Status', 'Industry'", '2 that read like values, not names')
    """
    texts = [*dict.fromkeys(map(str, names))]
    if not texts:
        return "none"
    is_value = any("@" in text or parse_number(normalise_name(text)) is not None or _DATE.match(text) for text in texts)
    if is_value or len(texts) > MAX_FIELDS:
        return f"{len(texts):,} that read like values, not names"
    more = f" and {len(texts) - MAX_SHOWN:,} more" if len(texts) > MAX_SHOWN else ""
    return ", ".join(repr(text[:40]) for text in texts[:MAX_SHOWN]) + more
