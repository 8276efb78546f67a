"""The only place that invents leads, and therefore knows the true probability of each."""

from propensity.synthetic.crm import Crm, invent_crm
from propensity.synthetic.flat import World, invent_leads

__all__ = ["Crm", "World", "invent_crm", "invent_leads"]
