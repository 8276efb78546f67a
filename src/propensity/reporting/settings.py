"""The only place that writes `propensity.toml`: what was guessed and why, for a person to correct."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from propensity.bands import default_precision
from propensity.roles import SECTIONS, renaming_query

if TYPE_CHECKING:
    from propensity.roles import Guess, Project

# Most that each proposed group of rules may give.
GROUP_MAX = {"fit": 50, "behaviour": 60}
# And the least: who a lead is opens doors, what it did may close them.
GROUP_MIN = {"fit": 0, "behaviour": -30}


def config_text(
    project: Project,
    *,
    sources: Mapping[str, tuple[str, str]],
    is_ordered: bool,
    missing_words: Sequence[str],
) -> str:
    """Write a commented `propensity.toml` that a person can correct.

    Parameters
    ----------
    project : Project
    sources : mapping of table to (path, query)
        Paths relative to the config; an empty query for a file as it is.
    is_ordered : bool
        Whether row order is time order.
    missing_words : sequence of str
        Words that mean nothing is known, in any column.
    """
    return "\n".join(
        [
            "# What the columns are and what was agreed. Correct what was guessed wrongly; every key has one home.",
            "",
            *_data(project, sources, missing_words),
            "",
            *_columns(project, is_ordered=is_ordered),
            *(["", *_labels(project), "", *_features(project)] if project.has_tables else _derive_alone(project)),
            "",
            "[evaluation]",
            "origins = 5  # how often the past is asked to predict what came next",
            '# audit_groups = ["Gender"]  # whose groups the card holds side by side; no feature is made of them here',
            "",
            "[learner]",
            "seed = 0",
            "max_trees = 3000  # keeps exact reasons cheap",
            "max_depth = 8",
            'monotone = {}  # {Visits = "increasing"}: all else equal, more never lowers a score; or "decreasing"; for '
            "columns of numbers and event types; left out where past leads say otherwise",
            "",
            *_agreement(project.base_rate),
            "",
            *_rules(project),
            "",
            "[registry]",
            'name = "lead-propensity"',
            "max_age_days = 180",
            "",
        ]
    )


def _data(project: Project, sources: Mapping[str, tuple[str, str]], missing_words: Sequence[str]) -> list[str]:
    lines = ["[data]"]
    for table, (path, query) in sources.items():
        if table != "leads" and table not in project.tables:  # left out, as the terminal says
            continue
        if table == "field_history":
            query = renaming_query(query, project.tables[table].columns["field"], project.fields)  # noqa: PLW2901
        value = f"{{path = {toml_value(path)}, query = {toml_value(query)}}}" if query else toml_value(path)
        lines.append(f"{table} = {value}")
    # "*" stands for every column, so a column of that name has no words of its own.
    sentinels = {
        guess.column: [word if isinstance(word, str) else int(word) for word in guess.missing]
        for guess in project.guesses
        if guess.missing and guess.column != "*"
    }
    missing = ", ".join(
        [
            f'"*" = {toml_value([*missing_words])}',
            *(f"{toml_value(name)} = {toml_value(words)}" for name, words in sentinels.items()),
        ]
    )
    if project.has_tables:
        lines.append('timezone = "UTC"  # of stamps that name none')
        lines.append("# extracted_at = YYYY-MM-DDThh:mm:ssZ  # up to when the files know; default: their newest stamp")
    return [*lines, f"missing = {{{missing}}}  # words that mean nothing is known; a column's own are added"]


def _columns(project: Project, *, is_ordered: bool) -> list[str]:
    by_role: dict[str, list[Guess]] = {}
    for guess in project.guesses:
        by_role.setdefault(guess.role, []).append(guess)
    lines = ["[columns]"]
    for role in ("id", "group", "target"):
        lines += [f"{role} = {toml_value(guess.column)}  # {guess.reason}" for guess in by_role.get(role, [])]
    if project.positive is not None:
        lines.append(f"positive = {toml_value(project.positive)}  # this value means converted")
    newer = "a lead is looked at from then on" if project.has_tables else "newer leads test what older ones taught"
    lines += [f"date = {toml_value(guess.column)}  # {guess.reason}; {newer}" for guess in by_role.get("date", [])]
    for role in ("converted_at", "closed_lost_at"):
        lines += [f"{role} = {toml_value(guess.column)}  # {guess.reason}" for guess in by_role.get(role, [])]
    if is_ordered:
        lines.append("ordered = true  # row order is time order")
    aside = by_role.get("outcome", [])
    for role in ("fit", "behaviour"):
        lines += _column_list(role, [*by_role.get(role, []), *(aside if role == "behaviour" else [])])
    lines += _column_list("ignore", by_role.get("ignore", []))
    counts = [guess.column for guess in project.guesses if guess.is_count and guess.role in {"fit", "behaviour"}]
    if counts:
        lines.append(f"count = {toml_value(counts)}  # never negative; a negative value is an error")
    lines += _beside(project)
    if aside:
        lines += ["", '[availability]  # "outcome" sets a column aside; "static" restores it']
        lines += [f'{toml_value(guess.column)} = "outcome"  # {guess.reason}' for guess in aside]
    return lines


def _beside(project: Project) -> list[str]:
    """Write what the columns of other tables are, and which of the lead table are events."""
    lines = []
    if project.stages:
        lines.append(f"stages = {_table(project.stages)}  # lead columns that say when a stage was entered: events")
    for table, guess in project.tables.items():
        lines.append(f"{SECTIONS[table]} = {_table(guess.columns)}")
    return lines


def _labels(project: Project) -> list[str]:
    days, why = 90, "the usual horizon"
    if project.horizon is not None:
        days, why = project.horizon.days, project.horizon.sentence
    if project.horizon_days is not None:
        days, why = project.horizon_days, f"you said so; proposed was {why}"
    return [
        "[labels]",
        f"horizon_days = {days}  # converted in [cutoff, cutoff + horizon); {why}",
        "ingest_lag_days = 2  # how late records arrive: a label is known from cutoff + horizon + this on",
        "snapshot_every_days = 7  # the calendar that leads are scored on",
        "max_snapshots_per_lead = 4  # more of one lead say little more",
        "repeat = false  # true: a lead can convert again, as customers of a shop do",
    ]


def _features(project: Project) -> list[str]:
    lines = [
        "[features]",
        "windows_days = [7, 30, 90]  # events are counted in the last so many days",
        "half_life_days = 14  # after so many days an event adds half to the intensity",
        "lookback_days = 365  # nothing older counts, for any lead",
    ]
    if project.families:
        lines.append(f"families = {_table(project.families)}  # event types that say the same kind of thing")
    return [*lines, *_derive(project)]


def _derive_alone(project: Project) -> list[str]:
    return ["", "[features]", *_derive(project)] if project.derive else []


def _derive(project: Project) -> list[str]:
    return [f"derive = {_table(project.derive)}  # what is made of raw fields"] if project.derive else []


def _agreement(base_rate: float | None) -> list[str]:
    lines = [
        "[agreement]  # what marketing and sales agree on; another agreement is another model version",
        'policy = "promise"  # what SQL keeps: a precision; or "capacity", what sales can work; or "profit", its cost',
    ]
    if base_rate is not None:
        rate = default_precision(base_rate)
        lines.append(
            f"sql_precision = {rate}  # SQLs convert at this rate or more; three times the base rate of {base_rate:.1%}"
        )
    else:
        lines.append("# sql_precision = 0.30  # SQLs convert at this rate or more; default: three times the base rate")
    return [
        *lines,
        "mql_recall = 0.9  # MQL and SQL together hold this share of all conversions",
        "confidence = 0.9  # how sure the two promises must be, together",
        "# capacity_per_week = 42  # leads sales can work in a week, kept under every policy; needs columns.date",
        "# leads_per_rep = 7  # that one rep works in a week: what one more would find is told",
        "# cost_per_contact = 20.0  # with what a win brings, in one currency: no lead is SQL whose call does not pay",
        "# value_per_win = 900.0",
        '# value_column = ""  # a column that tells what each lead would bring, known when it is scored',
        "uncertified_top = 0.05  # called SQL, marked uncertified, when the promise cannot be certified",
        'sql = {owner = "sales", action = "call within a day"}',
        'mql = {owner = "marketing", action = "nurture"}',
        "hysteresis_logit = 0.35  # with score --state: a lead leaves its band only this far below it, twice in a row",
        '# conversion = "signed contract"  # what counts as one, in words both sides read alike',
        "# review_on = 2027-01-01  # until when this stands; later scores say that it was to be looked at",
    ]


def _rules(project: Project) -> list[str]:
    groups = {role: [rule for rule in project.rules if rule.get("group") == role] for role in GROUP_MAX}
    gains = {role: sum(max(_most(rule), 0) for rule in members) for role, members in groups.items()}
    most = sum(min(gain, GROUP_MAX[role]) for role, gain in gains.items()) or 100
    limits = ", ".join(
        f'{role} = {{family = "{role}", min = {GROUP_MIN[role]}, max = {GROUP_MAX[role]}}}' for role in GROUP_MAX
    )
    lines = [
        "[rules]  # the points sheet behind the model; proposed from names, not from outcomes",
        f"mql = {round(0.4 * most)}  # 40 % of the most a lead can reach",
        f"sql = {round(0.7 * most)}  # 70 %",
        "points_to_double_odds = 20",
        "# base_rate = 0.05  # what converts at mql points where no history tells it; scores say that it is a prior",
        f"groups = {{{limits}}}  # a group's points stay within",
    ]
    for rule in project.rules:
        lines += ["", "[[rules.points]]", *(f"{key} = {toml_value(value)}" for key, value in rule.items())]
    return lines


def _most(rule: Mapping[str, Any]) -> float:
    """Give the most a proposed line can give: its cap where events add up."""
    points = float(rule.get("points", 0))
    return min(float(rule["cap"]), 2 * points) if points > 0 and "cap" in rule else points


def _column_list(role: str, members: Sequence[Guess]) -> list[str]:
    if not members:
        return [f"{role} = []"]
    lines = [f"{role} = ["]
    for guess in members:
        notes = [guess.reason if role == "ignore" else ""]
        notes.append("sensitive: near a protected trait, watch it" if guess.is_sensitive else "")
        notes.append("set aside below" if guess.role == "outcome" else "")
        comment = "; ".join(note for note in notes if note)
        lines.append(f"    {toml_value(guess.column)},{f'  # {comment}' if comment else ''}")
    return [*lines, "]"]


def _table(values: Mapping[str, object]) -> str:
    """Write an inline table; keys are quoted where TOML needs it.

    Examples
    --------
    >>> print(_table({"id": "Lead", "a b": ["x"]}))
    {id = "Lead", "a b" = ["x"]}
    """
    plain = {key: key if key.isascii() and key.replace("_", "a").isalnum() else toml_value(key) for key in values}
    return "{" + ", ".join(f"{plain[key]} = {toml_value(value)}" for key, value in values.items()) + "}"


def toml_value(value: object) -> str:
    r"""Write a value as TOML: JSON's strings, numbers and lists are TOML's too, but for the delete character.

    Examples
    --------
    >>> print(toml_value('a "b"'), toml_value([1, 2.5, True]))
    "a \"b\"" [1, 2.5, true]
    """
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
