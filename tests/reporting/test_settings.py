from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from propensity.config import MISSING_WORDS, Config, Source, parse_config
from propensity.labels import HorizonProposal
from propensity.reporting import config_text
from propensity.roles import Given, Guess, Project, TableGuess, guess_roles, propose_rules
from propensity.schema import normalise_name
from propensity.synthetic import invent_leads


def parsed(text: str) -> Config:
    return parse_config(tomllib.loads(text))


def text_of(project: Project, *, leads: str = "l.csv", is_ordered: bool = False) -> str:
    return config_text(project, sources={"leads": (leads, "")}, is_ordered=is_ordered, missing_words=MISSING_WORDS)


def written(
    guesses: Sequence[Guess], rules: Sequence[dict[str, Any]] = (), *, positive: str | None = None, leads: str = "l.csv"
) -> Config:
    project = Project(guesses=tuple(guesses), rules=tuple(rules), positive=positive, base_rate=0.1)
    return parsed(text_of(project, leads=leads))


NASTY = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("\"'\\#=[]{}*,.\n\r\t\0\x1b\x7f\x80\u2028\ufeff"),
    ),
    min_size=1,
    max_size=30,
)
LIMITS = {"fit": 50, "behaviour": 60}
ROLES = ["id", "group", "target", "date", "fit", "behaviour", "ignore", "outcome"]


@given(names=st.lists(NASTY, unique_by=normalise_name, min_size=8, max_size=12), positive=NASTY, leads=NASTY)
def test_whatever_columns_are_called_the_config_reads_back_as_it_was_guessed(
    names: list[str], positive: str, leads: str
) -> None:
    roles: list[Any] = [ROLES[i] if i < len(ROLES) else ("fit", "behaviour")[i % 2] for i in range(len(names))]
    guesses = [
        Guess(
            column=name,
            role=role,
            reason="because",
            is_count=role == "behaviour",
            is_sensitive=role == "fit",
            missing=(999.0, -1.0) if role == "behaviour" else (),
        )
        for name, role in zip(names, roles, strict=True)
    ]
    rules = [{"name": f"{name}: yes", "column": name, "op": "==", "value": name, "points": 5} for name in names]
    config = written(guesses, rules, positive=positive, leads=leads)
    by_role = {role: [name for name, own in zip(names, roles, strict=True) if own == role] for role in ROLES}
    columns = config.columns
    assert config.data.leads == Source(path=leads)
    assert [columns.id, columns.group, columns.target, columns.date] == names[:4]
    assert columns.positive == positive
    assert columns.fit == tuple(by_role["fit"])
    # What is set aside stays among the columns, so that one line brings it back.
    assert columns.behaviour == tuple(by_role["behaviour"] + by_role["outcome"])
    assert columns.ignore == tuple(by_role["ignore"])
    assert columns.count == tuple(by_role["behaviour"])
    assert config.availability == dict.fromkeys(by_role["outcome"], "outcome")
    assert config.data.missing == {"*": MISSING_WORDS} | {
        name: (999, -1) for name in by_role["behaviour"] if name != "*"
    }
    assert [(rule.column, rule.value) for rule in config.rules.points] == [(name, name) for name in names]


def test_what_is_guessed_of_invented_leads_is_a_config_that_trains() -> None:
    world = invent_leads(n_history=1200, n_new=5)
    missing = {"*": MISSING_WORDS}
    guesses = guess_roles(world.history, Given(), missing=missing)
    config = written(guesses, propose_rules(world.history, guesses, missing=missing), positive="yes")
    assert (config.columns.id, config.columns.target, config.columns.date) == ("Lead ID", "Converted", "Created")
    assert config.availability == {"Lead status": "outcome"}
    assert {"Email", "First name"} <= {*config.columns.ignore}
    assert config.agreement.sql_precision == 0.3  # three times the base rate of 0.1
    gains = {group: sum(r.points for r in config.rules.points if r.group == group and r.points > 0) for group in LIMITS}
    most = sum(min(gains[group], limit) for group, limit in LIMITS.items())
    assert (config.rules.mql, config.rules.sql) == (round(0.4 * most), round(0.7 * most))


def test_a_file_with_nothing_to_use_still_gives_a_config() -> None:
    guesses = [Guess(column="a", role="ignore", reason="empty")]
    config = parsed(text_of(Project(guesses=tuple(guesses)), is_ordered=True))
    assert (config.columns.fit, config.columns.behaviour, config.columns.ignore) == ((), (), ("a",))
    assert config.columns.ordered
    assert config.agreement.sql_precision is None


def test_each_guess_is_explained_beside_its_column() -> None:
    guesses = [
        Guess(column="Email", role="ignore", reason="personal data: e-mail addresses"),
        Guess(column="Age", role="fit", reason="what the lead is", is_sensitive=True),
        Guess(column="Won", role="target", reason="by its name"),
        Guess(column="Status", role="outcome", reason="its name says it is written after the fact (status)"),
    ]
    text = text_of(Project(guesses=tuple(guesses), positive="1", base_rate=0.1))
    lines = [line.strip() for line in text.splitlines()]
    assert '"Email",  # personal data: e-mail addresses' in lines
    assert '"Age",  # sensitive: near a protected trait, watch it' in lines
    assert 'target = "Won"  # by its name' in lines
    assert '"Status",  # set aside below' in lines
    assert '"Status" = "outcome"  # its name says it is written after the fact (status)' in lines


def test_a_project_of_tables_says_whose_records_are_and_how_long_to_wait() -> None:
    project = Project(
        guesses=(
            Guess(column="Lead", role="id", reason="by its name"),
            Guess(column="Born", role="date", reason="by its name"),
            Guess(column="Firm", role="group", reason="keeps leads together"),
        ),
        derive={"Job title": "title"},
        tables={
            "events": TableGuess(columns={"id": "who", "type": 'a "kind"'}, lead_column="Lead", n_rows=9, n_matched=9),
            "outcomes": TableGuess(columns={"group": "firm"}, lead_column="Firm", n_rows=2, n_matched=1),
        },
        stages={"entered mql": 'Date entered "MQL"'},
        families={"sales asked": ("demo", "call")},
        horizon=HorizonProposal(days=60, share=0.93, n_conversions=120, follow_up_days=400.0),
    )
    query = 'SELECT 1 AS "k" FROM source'
    sources = {"leads": ("l.csv", ""), "events": ("e.csv", query), "outcomes": ("o.csv", "")}
    text = config_text(project, sources=sources, is_ordered=False, missing_words=MISSING_WORDS)
    config = parsed(text)
    assert config.data.events == Source(path="e.csv", query=query)
    assert (config.columns.event.id, config.columns.event.type) == ("who", 'a "kind"')
    assert config.columns.outcome.group == "firm"
    assert config.columns.stages == {"entered mql": 'Date entered "MQL"'}
    assert config.features.families == {"sales asked": ("demo", "call")}
    assert config.features.derive == {"Job title": "title"}
    assert config.labels.horizon_days == 60
    assert "within them 93% of conversions come" in text
    own = config_text(replace(project, horizon_days=30), sources=sources, is_ordered=False, missing_words=MISSING_WORDS)
    assert parsed(own).labels.horizon_days == 30
    assert "you said so; proposed was 60 days" in own
