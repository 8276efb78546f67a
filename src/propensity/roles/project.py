"""The only place that puts guesses together: what a project's files hold, as `propensity.toml` will say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from propensity.asof import NEVER, join_keys, microseconds, read_conversions, read_stamps
from propensity.errors import InputError
from propensity.features import ANY_EVENT, MIN_TYPE_LEADS
from propensity.labels import HorizonProposal, propose_horizon, read_target
from propensity.roles.accounts import look_at_accounts
from propensity.roles.columns import EMAIL, Facts, Given, Guess, guess_roles, look_at, named_roles, words_of
from propensity.roles.derived import propose_derived
from propensity.roles.exports import ACCOUNT_NAMES, BECAME, COLUMNS, TELLS_WON, is_bought, is_lost, plain, stage_of
from propensity.roles.fields import columns_of_fields, shown
from propensity.roles.points import propose_event_rules, propose_rules
from propensity.roles.tables import TableGuess, check_given, guess_table
from propensity.schema import POSITIVE_WORDS, Tables, missing_words, normalise_name, read_texts

# A share of leads that convert again which is worth a word.
REPEAT_SHARE = 0.05
Words = Mapping[str, Sequence[str | float]]

# What belongs together, the first that fits: an e-mail that was clicked is no page.
FAMILIES: tuple[tuple[str, frozenset[str]], ...] = (
    ("email", frozenset({"email", "mail", "newsletter", "unsubscribe", "unsubscribed", "bounce", "bounced"})),
    ("sales asked", frozenset({"demo", "trial", "quote", "meeting", "call", "chat", "contact", "sale", "sales"})),
    ("content", frozenset({"content", "download", "ebook", "whitepaper", "webinar", "video", "brochure", "blog"})),
    ("product", frozenset({"login", "feature", "app", "signup", "invited", "onboarding", "workspace"})),
    ("web", frozenset({"visit", "page", "view", "pageview", "session", "pricing", "search", "link", "scroll"})),
)
# Words of columns that are as they stand today, although they say who a lead is.
_TODAY = {"score", "grade", "points", "point", "likelihood", "priority"}
_FROM_THE_START = {"original", "first", "initial", "source"}


@dataclass(frozen=True, kw_only=True)
class Project:
    """What is proposed for `propensity.toml`.

    Parameters
    ----------
    guesses : tuple of Guess
        The lead table's columns, in the file's order.
    rules : tuple of dict
        Lines of ``[[rules.points]]``.
    positive, base_rate, target_sentence : str, float, str or None
        Of the target, in flat projects.
    derive : dict of column to kind
    tables : dict of table to TableGuess
    stages : dict of event type to column
        Lead columns that say when a stage was entered.
    families : dict of family to event types
    fields : dict of field to column
        The field history's fields and the lead columns they are.
    horizon : HorizonProposal or None
        In projects of tables.
    horizon_days : int or None
        As the user said; None: as proposed.
    notes : tuple of str
        Sentences a person should read.
    """

    guesses: tuple[Guess, ...]
    rules: tuple[Mapping[str, Any], ...] = ()
    positive: str | None = None
    base_rate: float | None = None
    target_sentence: str = ""
    derive: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, TableGuess] = field(default_factory=dict)
    stages: Mapping[str, str] = field(default_factory=dict)
    families: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    horizon: HorizonProposal | None = None
    horizon_days: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def has_tables(self) -> bool:
        """Whether rows will be (lead, cutoff) pairs."""
        return self.horizon is not None

    def column(self, role: str) -> str | None:
        """Give the lead table's column of a role; None where there is none."""
        return next((guess.column for guess in self.guesses if guess.role == role), None)


def propose_project(
    tables: Tables,
    given: Given,
    *,
    missing: Words,
    positive: str | None = None,
    horizon_days: int | None = None,
    names: Mapping[str, str] | None = None,
) -> Project:
    """Propose a project: of leads, events and outcomes where there are such, else of one flat file.

    A lead file that says when leads came in and when they converted is enough for rows in time, unless a target
    is named.

    Parameters
    ----------
    tables : Tables
        As read, through the queries of a known export.
    given : Given
    missing : mapping of column (or "*") to words
    positive : str or None
        The target's word for converted.
    horizon_days : int or None
    names : mapping of table to file name or None
        For messages.

    Returns
    -------
    Project

    Raises
    ------
    InputError
        What the files lack, and what to name.
    """
    leads = tables.leads
    beside: dict[str, pd.DataFrame] = {
        table: frame
        for table in ("events", "outcomes", "cutoffs", "field_history")
        if (frame := getattr(tables, table)) is not None
    }
    check_given({"leads": leads, **beside}, names=names or {})
    facts = look_at(leads, missing=missing)
    named = named_roles(leads, given, facts, missing=missing, has_answer=False)
    of_role = {role: column for column, (role, _) in named.items()}
    said = {column for column, (_, reason) in named.items() if reason == "you said so"}
    # What a person says of a column stands.
    stamps = {role: column for role, column in _lead_stamps(facts).items() if column not in said}
    created = of_role.get("date")
    if not beside and not (given.target is None and created and "converted_at" in stamps):
        guesses = guess_roles(leads, given, missing=missing, facts=facts)
        return _flat(leads, guesses, facts, positive=positive, missing=missing)
    if "outcomes" not in beside and "converted_at" not in stamps:
        msg = (
            "Nothing says when leads converted, and rows in time need it. Give the file of conversions with --outcomes "
            "(lead_id, converted_at), or a lead file with a date of it, such as 'Converted Date'."
        )
        raise InputError(msg)
    if created is None and "cutoffs" not in beside:
        msg = (
            "Nothing says when leads came in, and rows in time begin there. Name the lead file's column with --date, "
            "or give cutoffs of your own with --cutoffs."
        )
        raise InputError(msg)
    lead_id = of_role.get("id") or (str(leads.columns[0]) if leads.shape[1] == 1 else None)
    if lead_id is None:
        msg = "No column of the lead file was taken for its id, by which other tables name a lead. Name it with --id."
        raise InputError(msg)
    return _tables_project(
        leads,
        beside,
        # When it converted says more than that it did.
        replace(given, target=None, ignore=(*given.ignore, *([given.target] if given.target else []))),
        facts=facts,
        stamps=stamps,
        lead_id=lead_id,
        created=created,
        group=of_role.get("group"),
        missing=missing,
        horizon_days=horizon_days,
        names=names or {},
    )


def _flat(
    leads: pd.DataFrame,
    guesses: tuple[Guess, ...],
    facts: Mapping[str, Facts],
    *,
    positive: str | None,
    missing: Words,
) -> Project:
    guesses, notes = _with_accounts(guesses, leads, missing=missing)
    guesses, derive = propose_derived(guesses, facts)
    rules = tuple(propose_rules(leads, guesses, missing=missing, derive=derive))
    target = next((guess.column for guess in guesses if guess.role == "target"), None)
    if target is None:
        return Project(guesses=guesses, rules=rules, derive=derive, notes=notes)
    read = read_target(leads[target], positive=positive, missing=missing_words(missing, target), name=target)
    return Project(
        guesses=guesses,
        rules=rules,
        derive=derive,
        positive=positive or read.positive[0],
        base_rate=float(np.nanmean(read.y)),
        target_sentence=read.sentence,
        notes=notes,
    )


def _with_accounts(
    guesses: Sequence[Guess], leads: pd.DataFrame, *, missing: Words, is_certain: bool = False
) -> tuple[tuple[Guess, ...], tuple[str, ...]]:
    """Mark the words of the group that name no account, and say how many accounts there are."""
    notes: list[str] = []
    result = []
    for guess in guesses:
        if guess.role == "group":
            is_said = is_certain or guess.reason == "you said so"
            accounts = look_at_accounts(leads[guess.column], name=guess.column, missing=missing, is_certain=is_said)
            guess = replace(guess, missing=accounts.stand_ins)  # noqa: PLW2901
            notes += () if plain(guess.column) in BECAME else accounts.sentences(guess.column)
        result.append(guess)
    return tuple(result), tuple(notes)


def _lead_stamps(facts: Mapping[str, Facts]) -> dict[str, str]:
    """Find the lead table's stamps: when it converted, was lost (by role), and entered stages (by event type)."""
    found: dict[str, str] = {}
    dates = {name: fact for name, fact in facts.items() if fact.is_date}
    headers = {plain(name): name for name in dates}
    for role, aliases in COLUMNS["leads"].items():
        named = [headers[alias] for alias in aliases if alias in headers]
        found |= dict.fromkeys([role], named[0]) if named else {}
    for name in dates:
        stage = stage_of(name)
        if stage is None:
            continue
        if is_bought(stage):
            found.setdefault("converted_at", name)
        elif is_lost(stage):
            found.setdefault("closed_lost_at", name)
        else:
            found.setdefault(f"entered {normalise_name(stage)}", name)
    return found


def _tables_project(
    leads: pd.DataFrame,
    beside: Mapping[str, pd.DataFrame],
    given: Given,
    *,
    facts: Mapping[str, Facts],
    stamps: Mapping[str, str],
    lead_id: str,
    created: str | None,
    group: str | None,
    missing: Words,
    horizon_days: int | None,
    names: Mapping[str, str],
) -> Project:
    people = [name for name, fact in facts.items() if _is_email(fact)]
    firm = [group] if group else []
    # An address says whose record it is; a company's name, written by hand, only where there is none.
    by_hand = group is not None and not given.group and plain(group) in ACCOUNT_NAMES
    keys = [lead_id, *(people + firm if by_hand else firm + people)]
    guessed = _guess_tables(leads, beside, keys, missing=missing, names=names)
    account, key = group, _named_by(guessed, group if given.group else None)
    group = key or group
    outcomes = guessed.get("outcomes")
    by_lead = {role: column for role, column in stamps.items() if role in COLUMNS["leads"]}
    if outcomes is not None:
        by_lead.pop("converted_at", None)
    at = _converted_at(leads, beside.get("outcomes"), outcomes, column=by_lead.get("converted_at"), missing=missing)
    answer = pd.Series(np.where(at < NEVER, "yes", "no"), dtype=object)
    guesses = guess_roles(leads, replace(given, group=group), missing=missing, facts=facts, answer=answer)
    if group and not given.group:
        why = "other tables name leads by it" if key else "keeps leads together"
        guesses = tuple(replace(g, reason=why) if g.role == "group" else g for g in guesses)
    guesses, accounts = _with_accounts(guesses, leads, missing=missing, is_certain=key is not None)
    stages = {kind: column for kind, column in stamps.items() if kind not in COLUMNS["leads"]}
    fields, unlike = _fields(leads, beside.get("field_history"), guessed.get("field_history"))
    if unlike:
        del guessed["field_history"]
    history = {normalise_name(column) for column in fields.values()}
    guesses = tuple(_in_time(guess, by_lead=by_lead, stages=stages, history=history) for guess in guesses)
    guesses, derive = propose_derived(guesses, facts)
    created_at = (
        _first_cutoff(leads[lead_id], beside["cutoffs"], guessed["cutoffs"], missing=missing)
        if created is None
        else _stamps_of(leads, created, missing)
    )
    known = [*created_at[created_at < NEVER], *at[at < NEVER]]
    horizon = propose_horizon(created_at, at, extracted_at=int(max(known)) if known else 0)
    kinds = _kinds(beside.get("events"), guessed.get("events"), missing=missing)
    return Project(
        guesses=guesses,
        rules=(*propose_rules(leads, guesses, missing=missing, derive=derive), *propose_event_rules(kinds)),
        derive=derive,
        tables=guessed,
        stages=stages,
        families=_families(kinds),
        fields=fields,
        horizon=horizon,
        horizon_days=horizon_days,
        notes=(
            *accounts,
            *_said_of_keys(guessed, key=key, account=account),
            *unlike,
            *_notes(beside.get("outcomes"), outcomes, missing=missing),
        ),
    )


def _guess_tables(
    leads: pd.DataFrame,
    beside: Mapping[str, pd.DataFrame],
    keys: Sequence[str],
    *,
    missing: Words,
    names: Mapping[str, str],
) -> dict[str, TableGuess]:
    """Guess the other tables; `keys` are the lead columns by which they may name a lead, its id first."""
    guessed: dict[str, TableGuess] = {}
    became = [str(column) for column in leads.columns if plain(column) in BECAME]
    for table, frame in beside.items():
        # Only events and outcomes may belong to an account or a person; a cutoff and a field are a lead's own.
        able = keys if table in {"events", "outcomes"} else keys[:1]
        if table == "outcomes":
            # One column names accounts: that of the events, if they do. Events by what conversion fills would be known
            # of those who converted alone.
            by_account = [guess.lead_column for guess in guessed.values() if "group" in guess.columns]
            able = [*dict.fromkeys((able[0], *by_account, *sorted(became, key=_most_telling), *able[1:]))]
        values = {name: leads[name] for name in able}
        guessed[table] = guess_table(frame, table, values, name=names.get(table, table), missing=missing)
    return guessed


def _most_telling(column: str) -> int:
    return [*BECAME].index(plain(column))


def _said_of_keys(guessed: Mapping[str, TableGuess], *, key: str | None, account: str | None) -> tuple[str, ...]:
    """Say by which columns records were joined to leads, what else would have, and what that costs."""
    said = []
    for table, guess in guessed.items():
        own = guess.columns.get("id") or guess.columns["group"]
        if table not in {"events", "outcomes"} or not (guess.others or "group" in guess.columns):
            continue
        others = "; ".join(f"{lead} = {column}: {n:,}" for lead, column, n in guess.others)
        said.append(
            f"{table.capitalize()} name leads by {guess.lead_column} = {own}: {guess.n_matched:,} of {guess.n_rows:,} "
            f"rows match{f' (others: {others}; taken is the most telling that matches)' if others else ''}."
        )
    if key is not None and plain(key) in BECAME:
        what = "the account" if plain(key) == "convertedaccountid" else "the deal or person"
        said.append(
            f"{key!r} is filled when a lead converts: it joins outcomes to leads, and is no feature. It names {what} "
            "of converted leads alone, so splits keep no other leads of one account together."
        )
        if plain(key) == "convertedaccountid":
            said.append(
                "Any won deal of the account counts for each of its leads, an older customer's too. A file of "
                "conversions by lead id, or by ConvertedOpportunityId, says whose deal it was."
            )
    if key is not None and account is not None and key != account:
        said.append(
            f"{account[:40]!r} names accounts too, but one column is the group, and other tables need {key[:40]!r}. "
            f"Leads of one {account[:40]!r} may be on both sides of a split. Tables that name the lead's id mend that."
        )
    return tuple(said)


def _named_by(guessed: Mapping[str, TableGuess], said: str | None) -> str | None:
    """Give the lead table's column that other tables name accounts or people by, if they do."""
    named = {guess.lead_column for guess in guessed.values() if "group" in guess.columns}
    if len(named) > 1 or (said and named - {said}):
        msg = (
            f"Events and outcomes name leads by different columns ({', '.join(repr(n[:40]) for n in sorted(named))}). "
            "Give files that both name the lead's id, or the same account."
        )
        raise InputError(msg)
    return next(iter(named), None)


def _is_email(fact: Facts) -> bool:
    return bool(fact.sample) and bool(np.mean([bool(EMAIL.fullmatch(text)) for text in fact.sample]) > 0.5)


def _in_time(guess: Guess, *, by_lead: Mapping[str, str], stages: Mapping[str, str], history: set[str]) -> Guess:
    """Say what a lead column is where rows are in time: what stands there today was not known at every cutoff."""
    if guess.reason == "you said so":
        return guess
    for role in ("converted_at", "closed_lost_at"):
        if by_lead.get(role) == guess.column:
            return replace(guess, role=role, reason="by its name")
    if guess.column in stages.values():
        return replace(guess, role="stage", reason="when a stage was entered: an event")
    if normalise_name(guess.column) in history and guess.role in {"fit", "behaviour", "outcome"}:
        return replace(guess, role="fit", reason="as it was at each cutoff, by the field history")
    words = {*words_of(guess.column)}
    if guess.role == "behaviour" and not words & _FROM_THE_START:
        return replace(guess, role="ignore", reason="as it stands today; events know what a lead did when")
    if guess.role == "fit" and words & _TODAY:
        return replace(guess, role="ignore", reason="as it stands today, not as it was at each cutoff")
    return replace(guess, role="fit") if guess.role == "behaviour" else guess


def _stamps_of(frame: pd.DataFrame, column: str, missing: Words, *, date_is_start: bool = False) -> np.ndarray:
    where = {"key": "columns", "timezone": "UTC", "missing": missing}
    return microseconds(read_stamps(frame, column, date_is_start=date_is_start, **where).at)  # type: ignore[arg-type]


def _converted_at(
    leads: pd.DataFrame,
    frame: pd.DataFrame | None,
    guess: TableGuess | None,
    *,
    column: str | None,
    missing: Words,
) -> np.ndarray:
    """Give each lead's first conversion; NEVER where there is none."""
    if frame is None or guess is None:
        return _stamps_of(leads, str(column), missing, date_is_start=True)
    by = join_keys(leads[guess.lead_column], missing=missing_words(missing, guess.lead_column))
    codes, keys = pd.factorize(by)
    won = read_conversions(
        frame,
        key=guess.columns.get("id") or guess.columns["group"],
        converted_at=guess.columns["converted_at"],
        keys=pd.Index(keys),
        timezone="UTC",
        missing=missing,
    )
    return np.append(won.first(len(keys)), NEVER)[codes]


def _first_cutoff(ids: pd.Series, frame: pd.DataFrame, guess: TableGuess, *, missing: Words) -> np.ndarray:
    """Give each lead's first cutoff, from which on it is watched where nothing says when it came in."""
    own = guess.columns["id"]
    at = pd.Series(_stamps_of(frame, guess.columns["cutoff"], missing))
    first = at.groupby(join_keys(frame[own], missing=missing_words(missing, own)).to_numpy()).min()
    keys = join_keys(ids, missing=missing_words(missing, str(ids.name)))
    return first.reindex(keys.to_numpy(), fill_value=NEVER).to_numpy()


def _fields(
    leads: pd.DataFrame, frame: pd.DataFrame | None, guess: TableGuess | None
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Give the lead column of each field of the history; where none has one, say so."""
    if frame is None or guess is None:
        return {}, ()
    fields = frame[guess.columns["field"]].dropna().unique()
    found = columns_of_fields(fields, leads.columns)
    if found:
        return found, ()
    return {}, (
        f"The field history is left out: none of its fields ({shown(fields)}) is a column of the leads "
        f"({shown(leads.columns)}). Give leads with that column, or call it alike.",
    )


def _kinds(frame: pd.DataFrame | None, guess: TableGuess | None, *, missing: Words) -> list[str]:
    """Give the event types that enough leads had to be features, in alphabetical order."""
    if frame is None or guess is None:
        return []
    kind = read_texts(frame[guess.columns["type"]], missing=missing_words(missing, guess.columns["type"]))
    owner = frame[guess.columns.get("id") or guess.columns["group"]].reset_index(drop=True)
    n_leads = owner.groupby(kind).nunique()
    return sorted(str(name) for name in n_leads.index[n_leads >= MIN_TYPE_LEADS] if name != ANY_EVENT)


def _families(kinds: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Put event types that say the same kind of thing together; a family of one says no more than its type."""
    found: dict[str, list[str]] = {}
    for kind in kinds:
        words = {*words_of(kind)}
        name = next((name for name, markers in FAMILIES if markers & words), None)
        if name is not None:
            found.setdefault(name, []).append(kind)
    return {name: tuple(members) for name, members in sorted(found.items()) if len(members) > 1}


def _notes(frame: pd.DataFrame | None, guess: TableGuess | None, *, missing: Words) -> tuple[str, ...]:
    if frame is None or guess is None:
        return ()
    column = guess.columns.get("id") or guess.columns["group"]
    n_each = join_keys(frame[column], missing=missing_words(missing, column)).value_counts()
    share = float((n_each > 1).mean()) if len(n_each) else 0.0
    said = [*_not_all_won(frame, missing=missing)]
    if share > REPEAT_SHARE:
        said.append(
            f"{share:.0%} of those who converted did so more than once. If your customers come back, set labels.repeat "
            "= true; else the first conversion counts."
        )
    return tuple(said)


def _not_all_won(frame: pd.DataFrame, *, missing: Words) -> tuple[str, ...]:
    """Say that records of outcomes which are no sales count as such, where the table tells them apart itself."""
    headers = {plain(column): column for column in frame.columns}
    told = next((headers[name] for name in TELLS_WON if name in headers), None)
    if told is None:
        return ()
    words = read_texts(frame[told], missing=missing_words(missing, str(told)))
    n_other = int((~words.isin(POSITIVE_WORDS)).sum())
    if not n_other:
        return ()
    return (
        f"Every row of outcomes with a date counts as a conversion, and {n_other:,} of {len(frame):,} do not say won "
        f"in {str(told)[:40]!r}. If they are none, give data.outcomes a query that keeps the won ones.",
    )
