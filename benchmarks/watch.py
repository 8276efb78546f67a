"""See whether the watch cries wolf, and how soon it sees a broken promise, on invented outcomes.

Usage: python benchmarks/watch.py [--runs 2000]

* false alarms: outcomes at exactly the promised rate, 3,000 of them, looked at after each; wanted: at most 5 %.
* delay: outcomes 10 points below it; the median number until the alarm; wanted: at most 200.
* weekly test: the usual way, a z-test at 5 % each week of 25 outcomes over all so far; its false alarms.
"""

import argparse

import numpy as np

from propensity.monitoring import ALARM, e_process

N_LABELS = 3000
WEEKLY = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    print("promised   false alarms   weekly test   delay at 10 points below (median, 90th of a hundred)")
    for rate in (0.25, 0.5, 0.8):
        cried = weekly = 0
        delays = []
        for _ in range(options.runs):
            kept = (rng.random(N_LABELS) < rate).astype(float)
            cried += bool((e_process(kept, rate) >= ALARM).any())
            n = np.arange(WEEKLY, N_LABELS + 1, WEEKLY)
            z = (np.cumsum(kept)[n - 1] / n - rate) / np.sqrt(rate * (1 - rate) / n)
            weekly += bool((z < -1.645).any())
            broken = (rng.random(N_LABELS) < rate - 0.1).astype(float)
            seen = np.flatnonzero(e_process(broken, rate) >= ALARM)
            delays.append(seen[0] + 1 if len(seen) else N_LABELS)
        print(
            f"{rate:8.2f}   {cried / options.runs:12.1%}   {weekly / options.runs:11.1%}   "
            f"{np.median(delays):6.0f}, {np.quantile(delays, 0.9):.0f}"
        )


if __name__ == "__main__":
    main()
