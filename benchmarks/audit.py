"""Run the leakage audit and the data checks on public files, columns that `init` would set aside left in.

Usage: PROPENSITY_DATA=folder python benchmarks/audit.py [bank] [shoppers] [salvirt] [noise] [wide]

The folder holds bank_marketing/, online_shoppers/ and salvirt_b2b/ (UCI and CC BY sets). Their documentation calls
bank's `duration` and shoppers' `PageValues` leaks, and no other column. `noise` and `wide` are invented here and need
no folder: how often columns of noise are flagged, and what a file of 5,000 columns costs.
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from propensity.config import MISSING_WORDS, Config, parse_config
from propensity.leakage import ColumnAudit, audit_columns
from propensity.quality import find_flaws
from propensity.roles import Given, guess_roles
from propensity.schema import Column, Schema
from propensity.storage.tables import read_leads
from propensity.training.rows import prepare

FILES = {
    "bank": ("bank_marketing/bank-additional-full.csv", Given(is_ordered=True), {"duration"}),
    "shoppers": ("online_shoppers/online_shoppers_intention.csv", Given(), {"PageValues"}),
    "salvirt": ("salvirt_b2b/B2B_dataset.csv", Given(target="Status"), set()),
}
RATES, SIZES = (0.5, 0.1, 0.01), (448, 5000)


def configure(leads: pd.DataFrame, given: Given) -> Config:
    """Take every column for a feature that is no target, id or date and that `init` could use but for its name."""
    guesses = guess_roles(leads, given, missing={"*": MISSING_WORDS})
    role = {guess.column: guess.role for guess in guesses}
    used = [name for name, is_what in role.items() if is_what in {"fit", "behaviour", "outcome"}]
    target = next(name for name, is_what in role.items() if is_what == "target")
    words = {"*": list(MISSING_WORDS)} | {guess.column: list(guess.missing) for guess in guesses if guess.missing}
    return parse_config(
        {
            "data": {"leads": "unused", "missing": words},
            "columns": {"target": target, "fit": used, "ordered": given.is_ordered},
        }
    )


def show(title: str, audits: Sequence[ColumnAudit], seconds: float) -> None:
    """Print what was found, the quarantined columns first."""
    counts = {verdict: sum(a.verdict == verdict for a in audits) for verdict in ("QUARANTINE", "REVIEW", "OK")}
    print(f"\n{title}: {len(audits)} columns, {counts}, {seconds:.1f} s")
    for audit in sorted(audits, key=lambda a: ("QUARANTINE", "REVIEW", "OK").index(a.verdict)):
        if audit.verdict == "OK" and not audit.evidence:
            continue
        price = f"; {audit.price.sentence}" if audit.price else ""
        print(f"  {audit.verdict:10} {audit.column} (round {audit.round}){price}")
        for evidence in audit.evidence:
            print(f"             {evidence.code:6} {evidence.value:.2f}  {evidence.sentence}")


def real(folder: Path, name: str) -> None:
    """Audit one public file as `train` reads it."""
    path, given, leaks = FILES[name]
    leads = read_leads(folder / path).leads
    prepared = prepare(leads, configure(leads, given))
    examples = prepared.examples
    began = time.perf_counter()
    audits = audit_columns(
        examples.read, examples.y, schema=prepared.schema, groups=examples.groups, declared={}, from_events=(), seed=0
    )
    show(f"{name}, {len(examples.y):,} rows", audits, time.perf_counter() - began)
    for flaw in find_flaws(examples.leads, examples.read, examples.y, schema=prepared.schema, order=examples.order):
        print(f"  {flaw.code:10} {flaw.column or 'the file'}: {flaw.sentence}")
    caught = {a.column for a in audits if a.verdict == "QUARANTINE"}
    print(f"  leaks caught: {sorted(leaks & caught)} of {sorted(leaks)}; others quarantined: {sorted(caught - leaks)}")


def invent(n_rows: int, n_columns: int, *, rate: float, seed: int) -> tuple[pd.DataFrame, np.ndarray, Schema]:
    """Invent noise of all kinds: numbers, amounts with many zeros, rare and many levels, gaps."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n_rows) < rate).astype(float)
    columns, kinds = {}, []
    for i in range(n_columns):
        kind = i % 4
        if kind == 0:
            values = pd.Series(rng.normal(size=n_rows))
        elif kind == 1:
            values = pd.Series(np.where(rng.random(n_rows) < 0.7, 0.0, rng.exponential(size=n_rows)))
        else:
            levels = np.array([f"level {k}" for k in range(3 if kind == 2 else n_rows // 8)], dtype=object)
            values = pd.Series(rng.choice(levels, n_rows), dtype=object)
        columns[f"c{i}"] = values.where(rng.random(n_rows) < rng.choice([1.0, 0.9, 0.4, 0.06]))
        kinds.append(Column(name=f"c{i}", family="fit", kind="number" if kind < 2 else "category"))
    return pd.DataFrame(columns), y, Schema(columns=tuple(kinds), id=None, missing=())


def noise() -> None:
    """Count flagged columns of noise over sizes and base rates."""
    for n_rows in SIZES:
        for rate in RATES:
            verdicts = []
            began = time.perf_counter()
            for seed in range(5):
                read, y, schema = invent(n_rows, 40, rate=rate, seed=seed)
                audits = audit_columns(
                    read, y, schema=schema, groups=np.arange(n_rows), declared={}, from_events=(), seed=seed
                )
                verdicts += [a.verdict for a in audits]
            flagged = {v: verdicts.count(v) for v in ("QUARANTINE", "REVIEW")}
            print(
                f"noise, {n_rows} rows, base rate {rate}: {flagged} of {len(verdicts)}, "
                f"{(time.perf_counter() - began) / 5:.1f} s a file"
            )


def wide() -> None:
    """Audit 5,000 columns of noise with one leak among them."""
    read, y, schema = invent(5000, 5000, rate=0.1, seed=0)
    rng = np.random.default_rng(1)
    read["c0"] = np.where(rng.random(len(y)) < 0.05, 1 - y, y)
    began = time.perf_counter()
    audits = audit_columns(read, y, schema=schema, groups=np.arange(len(y)), declared={}, from_events=(), seed=0)
    show("5,000 rows x 5,000 columns of noise but one (c0)", audits, time.perf_counter() - began)


def main(names: Sequence[str]) -> None:
    """Run what is named, or all."""
    folder = os.environ.get("PROPENSITY_DATA")
    for name in FILES:
        if names and name not in names:
            continue
        if not folder:
            sys.exit("Set PROPENSITY_DATA to the folder that holds the public files.")
        real(Path(folder), name)
    for run in (noise, wide):
        if not names or run.__name__ in names:
            run()


if __name__ == "__main__":
    main(sys.argv[1:])
