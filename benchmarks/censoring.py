"""What training labels are worth, on invented worlds whose true probabilities are known.

    python benchmarks/censoring.py [--draws 100]

Mean label of the rows that teach, against the mean true probability of *all* rows at the same cutoffs (every lead that
was open then), by how fast a segment decides. Beside ours the labels people make by hand; and what comes of weighing
one over the snapshots of a lead that are left, against the truth of these very rows, weighed alike. Three sets of rows:
leads at their creation and leads on the weekly calendar, in a world where conversions come 15 or 60 days after creation
on average (12,000 leads, 540 days); leads on a monthly calendar in the invented CRM (1,000 leads).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from propensity.asof import DAY, NEVER, Conversions, microseconds, to_stamps
from propensity.config import LabelsConfig
from propensity.labels import make_examples
from propensity.synthetic import invent_crm
from propensity.synthetic.crm import LARGE

N_DAYS = 540
OURS = "ours"


@dataclass(frozen=True, kw_only=True)
class World:
    """Leads, when each converted (NEVER: not by the end), and what only an inventor knows."""

    created: np.ndarray
    converted: np.ndarray
    is_slow: np.ndarray
    end: int
    labels: LabelsConfig
    at_creation: bool
    truth: Callable[[np.ndarray, np.ndarray], np.ndarray]


def simple_world(seed: int, *, at_creation: bool) -> World:
    """Invent 12,000 leads that convert, if ever, an exponential delay after creation: 15 days on average, or 60."""
    rng = np.random.default_rng(seed)
    n = 12_000
    created = (rng.uniform(0, N_DAYS, n) * DAY).astype(np.int64)
    is_slow = rng.random(n) < 0.5
    ever = 1 / (1 + np.exp(2.3 - rng.normal(0, 1, n)))
    mean_days = np.where(is_slow, 60.0, 15.0)
    at = created + (rng.exponential(mean_days) * DAY).astype(np.int64)
    labels = LabelsConfig()

    def truth(lead: np.ndarray, cutoff: np.ndarray) -> np.ndarray:
        """P(converts within the horizon | has not by the cutoff), by Bayes."""
        age = (cutoff - created[lead]) / DAY
        later = np.exp(-age / mean_days[lead])
        within = 1 - np.exp(-labels.horizon_days / mean_days[lead])
        return np.asarray(ever[lead] * later * within / (1 - ever[lead] * (1 - later)))

    known = np.where((rng.random(n) < ever) & (at < N_DAYS * DAY), at, NEVER)
    return World(
        created=created,
        converted=known,
        is_slow=is_slow,
        end=N_DAYS * DAY,
        labels=labels,
        at_creation=at_creation,
        truth=truth,
    )


def crm_world(seed: int) -> World:
    """Take 1,000 leads of the invented CRM, seen every four weeks."""
    crm = invent_crm(seed=seed, n_leads=1000)
    ids = crm.leads["Lead ID"]
    sold = ids.map(crm.outcomes.set_index("lead_id")["converted_at"])
    labels = LabelsConfig(snapshot_every_days=28)
    return World(
        created=microseconds(pd.to_datetime(crm.leads["Created"], utc=True)),
        converted=microseconds(pd.to_datetime(sold, utc=True)),
        is_slow=crm.leads["Company size"].isin(LARGE).to_numpy(),
        end=int(microseconds(pd.Series([crm.end]))[0]),
        labels=labels,
        at_creation=False,
        truth=lambda lead, cutoff: crm.true_probability(
            ids.iloc[lead], to_stamps(cutoff), horizon_days=labels.horizon_days
        ),
    )


def all_rows(world: World, *, until: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give every (lead, cutoff) up to an instant at which the lead was open, and what the scheme weighs it.

    Of a lead's n places on the calendar the first and k - 1 of the others are taken, 1/k each: before it is known
    which, the first weighs 1/k and another (k - 1) / (n - 1) / k.
    """
    labels, created = world.labels, world.created
    if world.at_creation:
        lead = np.flatnonzero(created <= until)
        cutoff, weight = created[lead], np.ones(len(lead))
    else:
        step = labels.snapshot_every_days * DAY
        oldest, newest = (world.end - created) // step, -((until - world.end) // step)
        n = np.maximum(oldest - newest + 1, 0)
        lead = np.repeat(np.arange(len(created)), n)
        place = np.arange(len(lead)) - np.repeat(np.cumsum(n) - n, n)
        cutoff = world.end - (oldest[lead] - place) * step
        k = np.minimum(labels.max_snapshots_per_lead, n)[lead]
        weight = np.where(place == 0, 1.0, (k - 1) / np.maximum(n[lead] - 1, 1)) / k
    is_open = cutoff <= world.converted[lead]
    return lead[is_open], cutoff[is_open], weight[is_open]


def one_draw(world: World) -> list[dict[str, object]]:
    """Give mean labels and what is true, by kind of label and segment."""
    labels, end = world.labels, world.end
    ripe = end - (labels.horizon_days + labels.ingest_lag_days) * DAY
    known = world.converted < NEVER
    taught = make_examples(
        world.created,
        Conversions(key=np.flatnonzero(known), at=world.converted[known], notes={}),
        labels,
        extracted_at=end,
        names=np.char.add("L", np.arange(len(world.created)).astype(str)).astype(object),
        chosen=(np.arange(len(world.created)), world.created) if world.at_creation else None,
    )
    lead, cutoff, weight = all_rows(world, until=end)
    p = world.truth(lead, cutoff)
    at = world.converted[lead]
    early = (at < cutoff + labels.horizon_days * DAY).astype(float)
    is_ripe = cutoff <= ripe
    is_kept = is_ripe | (early == 1)
    here, then, scheme = all_rows(world, until=ripe)
    ripe_truth = pd.Series(p[is_ripe], index=pd.MultiIndex.from_arrays([lead[is_ripe], cutoff[is_ripe]]))
    everything = (lead, p, weight)
    rows = {
        OURS: (
            (taught.lead, taught.y, taught.weight),
            (here, ripe_truth.reindex(pd.MultiIndex.from_arrays([here, then])).to_numpy(), scheme),
        ),
        "converted so far": ((lead, (at < NEVER).astype(float), weight), everything),
        "in window, immature = 0": ((lead, early, weight), everything),
        "early conversions kept": ((lead[is_kept], early[is_kept], weight[is_kept]), everything),
    }
    if not world.at_creation:
        one = 1 / np.bincount(taught.lead)[taught.lead]
        own = ripe_truth.reindex(pd.MultiIndex.from_arrays([taught.lead, taught.cutoff])).to_numpy()
        rows["one a lead, over rows left"] = ((taught.lead, taught.y, one), (taught.lead, own, one))
    result = []
    for kind, (label, truth) in rows.items():
        for segment, is_in in (("fast", ~world.is_slow), ("slow", world.is_slow)):
            y, meant = (np.average(value[is_in[who]], weights=w[is_in[who]]) for who, value, w in (label, truth))
            result.append({"labels": kind, "segment": segment, "label": y, "truth": meant})
    return result


def main() -> None:
    """Print pooled relative biases with two standard errors over worlds."""
    from rich.progress import track

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=100)
    options = parser.parse_args()
    worlds: dict[str, Callable[[int], World]] = {
        "delays of 15 and 60 days, leads at creation": lambda seed: simple_world(seed, at_creation=True),
        "delays of 15 and 60 days, weekly calendar": lambda seed: simple_world(seed, at_creation=False),
        "invented CRM, monthly calendar": crm_world,
    }
    for title, invent in worlds.items():
        table = pd.DataFrame([row for seed in track(range(options.draws), title) for row in one_draw(invent(seed))])
        print(f"\n{title}, {options.draws} draws\n\n| labels | fast | slow |\n|---|---|---|")
        for kind, part in table.groupby("labels", sort=False):
            cells = []
            for _, rows in part.groupby("segment"):
                ratio = rows["label"].mean() / rows["truth"].mean()
                # The error of a ratio of means, by the delta method.
                spread = (rows["label"] - ratio * rows["truth"]).std(ddof=1) / rows["truth"].mean()
                cells.append(f"{ratio - 1:+.1%} ± {2 * spread / np.sqrt(len(rows)):.1%}")
            print(f"| {kind} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
