"""The only place that guesses what files of leads, events and outcomes hold, and says why."""

from propensity.roles.columns import Given, Guess, guess_roles, words_of
from propensity.roles.exports import Known, recognise
from propensity.roles.fields import renaming_query
from propensity.roles.points import propose_rules
from propensity.roles.project import Project, propose_project
from propensity.roles.sheet import read_sheet
from propensity.roles.tables import SECTIONS, TableGuess, guess_table, lead_id_of

__all__ = [
    "SECTIONS",
    "Given",
    "Guess",
    "Known",
    "Project",
    "TableGuess",
    "guess_roles",
    "guess_table",
    "lead_id_of",
    "propose_project",
    "propose_rules",
    "read_sheet",
    "recognise",
    "renaming_query",
    "words_of",
]
