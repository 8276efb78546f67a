"""See how much calmer bands are when they are held, on invented leads whose scores move from week to week.

Usage: python benchmarks/hysteresis.py [--leads 5000] [--weeks 52]

A lead's true log-odds drift slowly about a level of its own (sd 0.10 a week, drawn back by a twentieth); its score adds
what one week's clicks and one training add to it (sd 0.25). A tenth of leads warms up for good in some week (+2).
Thresholds are those that a tenth (SQL) and three in ten (MQL) reach in the first week.
"""

import argparse

import numpy as np
from scipy import special

from propensity.hysteresis import Held, hold
from propensity.schema import MQL, NURTURE, SQL

MARGIN = 0.35


def scores(n_leads: int, n_weeks: int, *, seed: int) -> np.ndarray:
    """Weekly probabilities, shape (n_weeks, n_leads)."""
    rng = np.random.default_rng(seed)
    level = rng.normal(-2.0, 1.2, n_leads)
    warms_at = np.where(rng.random(n_leads) < 0.1, rng.integers(0, n_weeks, n_leads), n_weeks)
    drift = np.zeros(n_leads)
    found = np.empty((n_weeks, n_leads))
    for week in range(n_weeks):
        drift = 0.95 * drift + rng.normal(0, 0.10, n_leads)
        warm = 2.0 * (week >= warms_at)
        found[week] = special.expit(level + drift + warm + rng.normal(0, 0.25, n_leads))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leads", type=int, default=5000)
    parser.add_argument("--weeks", type=int, default=52)
    options = parser.parse_args()
    probability = scores(options.leads, options.weeks, seed=0)
    sql, mql = np.quantile(probability[0], [0.9, 0.7])
    raw = np.where(probability >= sql, SQL, np.where(probability >= mql, MQL, NURTURE)).astype(object)
    held, nights = Held.nothing(options.leads), []
    for week in range(options.weeks):
        held = hold(raw[week], probability[week], held, sql=sql, mql=mql, margin=MARGIN)
        nights.append(held.band)
    kept = np.array(nights)
    print("bands   changes a 100 lead-weeks   leads that change twice or more   weeks in another band than raw")
    per = 100 / (options.leads * (options.weeks - 1))
    for name, bands in (("raw", raw), ("held", kept)):
        changed = bands[1:] != bands[:-1]
        print(
            f"{name:5}   {changed.sum() * per:24.2f}   {(changed.sum(axis=0) >= 2).mean():31.0%}   "
            f"{(bands != raw).mean():30.1%}"
        )
    cut = 1 - (kept[1:] != kept[:-1]).sum() / (raw[1:] != raw[:-1]).sum()
    print(f"changes cut by {cut:.0%} (wanted: at least 60%)")


if __name__ == "__main__":
    main()
