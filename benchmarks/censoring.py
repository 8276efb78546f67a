"""What training labels are worth, on invented worlds whose true probabilities are known.

    python benchmarks/censoring.py [--draws 100]

For each world: the mean label of the kept training rows against the mean true probability of the rows they stand
for, by how fast a segment decides. Beside it the labels people make by hand: every row, converted so far.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from propensity.asof import NEVER, microseconds, read_conversions, to_stamps
from propensity.config import LabelsConfig
from propensity.labels import make_examples
from propensity.labels.examples import DAY
from propensity.synthetic import invent_crm

LARGE = ("201-500", "501-1,000", "1,001-5,000", "10,000+")


def one_world(seed: int) -> list[dict[str, object]]:
    """Give for each segment and kind of label the weighted sums of labels and of true probabilities."""
    crm = invent_crm(seed=seed, n_leads=1000)
    names = crm.leads["Lead ID"].to_numpy(dtype=object)
    created = microseconds(pd.to_datetime(crm.leads["Created"], utc=True))
    won = read_conversions(
        crm.outcomes, key="lead_id", converted_at="converted_at", keys=pd.Index(names), timezone="UTC", missing={}
    )
    labels, end = LabelsConfig(), int(microseconds(pd.Series([crm.end]))[0])
    is_large = crm.leads["Company size"].isin(LARGE).to_numpy()
    first = won.first(len(names))
    rows = make_examples(created, won, labels, extracted_at=end, names=names)
    # By hand: a row a lead and month it was open, immature or not.
    step, horizon = 4 * labels.snapshot_every_days * DAY, labels.horizon_days * DAY
    oldest = (end - created) // step
    lead = np.repeat(np.arange(len(names)), oldest)
    back = np.concatenate([np.arange(1, n + 1) for n in oldest])
    cutoff = end - back * step
    is_open = cutoff <= first[lead]
    lead, cutoff = lead[is_open], cutoff[is_open]
    at = first[lead]
    so_far = (at < NEVER).astype(float)
    early = (at < cutoff + horizon).astype(float)
    is_kept = (cutoff + horizon + 2 * DAY <= end) | (early == 1)
    kinds = {
        "ours": (rows.lead, rows.y, rows.weight),
        "converted so far": (lead, so_far, np.ones(len(lead))),
        "window, immature = 0": (lead, early, np.ones(len(lead))),
        "early positives kept": (lead[is_kept], early[is_kept], np.ones(int(is_kept.sum()))),
    }
    month = crm.true_probability(pd.Series(names[lead]), to_stamps(cutoff), horizon_days=labels.horizon_days)
    mine = crm.true_probability(pd.Series(names[rows.lead]), to_stamps(rows.cutoff), horizon_days=labels.horizon_days)
    result = []
    for kind, (who, y, weight) in kinds.items():
        # Ours stands for its own rows, as which are kept hangs on the calendar alone; by hand, all rows are meant.
        base, truth, its = (who, mine, weight) if kind == "ours" else (lead, month, np.ones(len(lead)))
        for segment, is_in in (("fast", ~is_large), ("slow", is_large)):
            label = np.average(y[is_in[who]], weights=weight[is_in[who]])
            meant = np.average(truth[is_in[base]], weights=its[is_in[base]])
            result.append({"seed": seed, "labels": kind, "segment": segment, "label": label, "truth": meant})
    return result


def main() -> None:
    """Print pooled relative biases with their standard errors over worlds."""
    from rich.progress import track

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=100)
    options = parser.parse_args()
    table = pd.DataFrame([row for seed in track(range(options.draws)) for row in one_world(seed)])
    print(f"{options.draws} worlds; relative bias of the mean label, and two standard errors\n")
    for (kind, segment), part in table.groupby(["labels", "segment"], sort=False):
        bias = part["label"].mean() / part["truth"].mean() - 1
        ratio = (part["label"] - part["truth"] * (1 + bias)) / part["truth"].mean()
        error = ratio.std(ddof=1) / np.sqrt(len(part))
        print(f"{kind:22} {segment}  {bias:+7.2%}  +- {2 * error:.2%}")


if __name__ == "__main__":
    main()
