"""The only place that invents a flat lead file: one row a lead, with the true probability of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit as sigmoid

N_HISTORY = 3000
N_NEW = 300
_TITLES = {"Assistant": 0.0, "Specialist": 0.0, "Manager": 0.3, "Director": 0.8, "Chief of staff": 0.6, "Student": -2.0}
_INDUSTRIES = {"Software": 0.5, "Manufacturing": 0.2, "Retail": -0.2, "Health": 0.0, "Public sector": -0.7}
_SOURCES = {
    "Organic search": 0.2,
    "Referral": 0.9,
    "Webinar": 0.5,
    "Paid ads": -0.4,
    "Trade fair": 0.1,
    "Cold list": -1.2,
}
_COUNTRIES = ("Slovenia", "Austria", "Germany", "Italy", "Croatia")
_FIRST = ("Ana", "Luka", "Maja", "Jan", "Eva", "Nik", "Sara", "Tim")


@dataclass(frozen=True, kw_only=True)
class World:
    """Invented leads and what only an inventor knows.

    Parameters
    ----------
    history : DataFrame
        Leads whose outcome is known, oldest first.
    new : DataFrame
        Newer leads without an outcome.
    probability : array of float, shape (n_history,)
        The true chance that each lead of the history converts.
    """

    history: pd.DataFrame
    new: pd.DataFrame
    probability: np.ndarray


def invent_leads(*, seed: int = 0, n_history: int = N_HISTORY, n_new: int = N_NEW) -> World:
    """Invent a CRM export: fit, behaviour, personal data, and a status written after the fact.

    Parameters
    ----------
    seed : int
    n_history, n_new : int

    Returns
    -------
    World
        Always the same for the same arguments.

    Examples
    --------
    >>> world = invent_leads(n_history=200, n_new=10)
    >>> len(world.history), len(world.new), "Converted" in world.new
    (200, 10, False)
    """
    rng = np.random.default_rng(seed)
    n = n_history + n_new
    created = pd.Timestamp("2025-01-01") + pd.to_timedelta(np.sort(rng.uniform(0, 540, n)), unit="D")
    title, industry, source = (rng.choice([*table], n) for table in (_TITLES, _INDUSTRIES, _SOURCES))
    employees = np.round(np.exp(rng.normal(4, 1.5, n))).astype(int) + 1
    interest = rng.normal(0, 1, n)
    pages = rng.poisson(np.exp(1.2 + 0.6 * interest))
    pricing = rng.poisson(np.exp(-1.2 + 0.9 * interest))
    opened = rng.poisson(np.exp(0.8 + 0.4 * interest))
    clicked = rng.binomial(opened, 0.25)
    webinars = rng.poisson(np.exp(-1.8 + 0.5 * interest))
    demo = rng.random(n) < sigmoid(-3.2 + 1.2 * interest)
    silent = np.round(rng.exponential(20, n) * np.exp(-0.3 * interest)).astype(int)
    log_odds = (
        -3.1
        + np.array([_TITLES[t] for t in title])
        + np.array([_INDUSTRIES[i] for i in industry])
        + np.array([_SOURCES[s] for s in source])
        + 0.25 * np.minimum(np.log(employees), 6) * (industry == "Software")
        + 0.5 * np.log1p(pricing)
        + 0.2 * np.log1p(pages)
        + 0.3 * clicked
        + 0.35 * webinars
        + 1.4 * demo
        - 0.02 * silent
        + 0.6 * np.linspace(0, 1, n)  # the base rate drifts
    )
    probability = sigmoid(log_odds)
    converted = rng.random(n) < probability
    first = rng.choice(_FIRST, n)
    known = rng.random(n) > 0.12
    status = np.where(converted, "Closed - won", rng.choice(["Open", "Nurture", "Closed - lost"], n))
    leads = pd.DataFrame(
        {
            "Lead ID": [f"L{i:05d}" for i in range(1, n + 1)],
            "Created": created.strftime("%Y-%m-%d %H:%M"),
            "First name": first,
            "Email": [f"{name.lower()}{i}@example.com" for i, name in enumerate(first)],
            "Job title": title,
            "Industry": industry,
            "Employees": pd.Series(employees.astype(object)).where(known, ""),
            "Country": rng.choice(_COUNTRIES, n),
            "Lead source": source,
            "Pages viewed": pages,
            "Pricing page visits": pricing,
            "Emails opened": opened,
            "Emails clicked": clicked,
            "Webinars attended": webinars,
            "Demo requested": np.where(demo, "Yes", "No"),
            "Days since visit": silent,
            "Newsletter": rng.choice(["Yes", "No", "unknown"], n),
            "Lead status": status,
            "Converted": np.where(converted, "Yes", "No"),
        }
    )
    new = leads.iloc[n_history:].drop(columns="Converted").assign(**{"Lead status": "Open"}).reset_index(drop=True)
    return World(history=leads.iloc[:n_history], new=new, probability=probability[:n_history])
