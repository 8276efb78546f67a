"""The only place that guesses what files of leads, events and outcomes hold, and says why."""

from propensity.roles.columns import Given, Guess, guess_roles, words_of
from propensity.roles.exports import Known, recognise
from propensity.roles.points import propose_rules
from propensity.roles.project import Project, propose_project
from propensity.roles.tables import SECTIONS, TableGuess, guess_table

__all__ = [
    "SECTIONS",
    "Given",
    "Guess",
    "Known",
    "Project",
    "TableGuess",
    "guess_roles",
    "guess_table",
    "propose_project",
    "propose_rules",
    "recognise",
    "words_of",
]
