"""Repeat orders from a shop's raw event log, trained and scored from files alone, beside simpler answers.

Usage: PROPENSITY_DATA=folder python benchmarks/retail.py [--train DAY DAY] [--origin DAY]

The folder holds online_retail/online_retail.parquet (UCI Online Retail, its dates moved forward by twelve years).
Customers with an order before a day: who orders within 60 days of it? Two files are written, a `propensity.toml` and
the cutoffs to learn from; `propensity train` and `propensity score --cutoffs` do the rest. With other days than the
default, what to configure can be tried on times before the one that is tested.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from propensity import cli
from propensity.metrics import Interval, cluster_weights, measure
from propensity.storage.tables import read_table

TRAIN, ORIGIN = ("2023-05-01", "2023-07-01"), "2023-10-01"
HORIZON_DAYS = 60

# An order is an invoice that was not cancelled and sells something for money; rows without a customer say nothing.
ORDERS = "CustomerID IS NOT NULL AND NOT starts_with(InvoiceNo, 'C') AND Quantity > 0 AND UnitPrice > 0"
EVENTS_QUERY = f"""
SELECT CAST(CustomerID AS INTEGER) AS customer, min(InvoiceDate) AS at, sum(Quantity * UnitPrice) AS amount,
       CASE WHEN starts_with(InvoiceNo, 'C') THEN 'cancellation' ELSE 'order' END AS action
FROM (SELECT DISTINCT * FROM source)
WHERE ({ORDERS}) OR (CustomerID IS NOT NULL AND starts_with(InvoiceNo, 'C'))
GROUP BY InvoiceNo, CustomerID
"""  # noqa: S608 - a constant
ORDERS_QUERY = f"SELECT DISTINCT CAST(CustomerID AS INTEGER) AS customer, InvoiceDate AS at FROM source WHERE {ORDERS}"  # noqa: S608

CONFIG = """\
[data]
events = {{path = '{log}', query = '''{events}'''}}
outcomes = {{path = '{log}', query = '''{orders}'''}}
cutoffs = "cutoffs.csv"

[columns]
id = "customer"
event = {{occurred_at = "at", type = "action", value = "amount"}}
outcome = {{converted_at = "at"}}
cutoffs = {{id = "customer"}}

[labels]
horizon_days = {horizon}
ingest_lag_days = 0
repeat = true
"""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one protocol gave.

    Parameters
    ----------
    said : str
        What `propensity train` printed.
    past : DataFrame
        Columns ``customer, cutoff, y`` of the rows that taught.
    test : DataFrame
        The same of the rows that were scored.
    probability : array of float, shape (n_test,)
        As `propensity score` wrote it.
    frame, past_frame : DataFrame
        Features of test and past rows, as `propensity features` wrote them.
    """

    said: str
    past: pd.DataFrame
    test: pd.DataFrame
    probability: np.ndarray
    frame: pd.DataFrame
    past_frame: pd.DataFrame


def customers_at(orders: pd.DataFrame, days: Sequence[str]) -> pd.DataFrame:
    """Give a row for each customer and day before which it had ordered, and whether it ordered again in time."""
    at = pd.to_datetime(orders["at"])
    parts = []
    # Written with its time: a date alone is read as the end of that day, and orders of the day would be both known
    # and asked for.
    for day in map(pd.Timestamp, days):
        known = np.sort(orders["customer"][at < day].unique())
        ahead = orders["customer"][(at >= day) & (at < day + pd.Timedelta(days=HORIZON_DAYS))]
        parts.append(
            pd.DataFrame({"customer": known, "cutoff": f"{day:%Y-%m-%dT%H:%M:%S}", "y": np.isin(known, ahead) * 1.0})
        )
    return pd.concat(parts, ignore_index=True)


def run_protocol(log: Path, *, train: Sequence[str], origin: str) -> Result:
    """Train at some days and score at a later one, through the command line in a folder of its own."""
    orders = read_table(log, query=ORDERS_QUERY)
    past, test = customers_at(orders, train), customers_at(orders, [origin])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        toml = CONFIG.format(log=log.resolve(), events=EVENTS_QUERY, orders=ORDERS_QUERY, horizon=HORIZON_DAYS)
        (folder / "propensity.toml").write_text(toml)
        past[["customer", "cutoff"]].to_csv(folder / "cutoffs.csv", index=False)
        test[["customer", "cutoff"]].to_csv(folder / "test.csv", index=False)
        at = ["--config", str(folder / "propensity.toml")]
        said = _command("train", *at)
        wanted = {"scores": ("score", "test"), "test": ("features", "test"), "past": ("features", "cutoffs")}
        for output, (command, rows) in wanted.items():
            made = str(folder / f"{output}_made.parquet")
            _command(command, *at, "--cutoffs", str(folder / f"{rows}.csv"), "-o", made)
        made = {output: pd.read_parquet(folder / f"{output}_made.parquet") for output in wanted}
    return Result(
        said=said,
        past=past,
        test=test,
        probability=made["scores"]["probability"].to_numpy(dtype=float),
        frame=made["test"],
        past_frame=made["past"],
    )


def _command(*arguments: str) -> str:
    """Run a command of the package; give what it said, and stop where it failed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.run(arguments)
    if code:
        msg = f"propensity {arguments[0]} ended with {code}: {err.getvalue()}"
        raise RuntimeError(msg)
    return out.getvalue() + err.getvalue()


def beside(result: Result) -> dict[str, np.ndarray]:
    """Give what simpler answers say of the test rows: frequency alone, and plain learners on the same features."""
    y = result.past["y"].to_numpy()
    numbers = [
        name
        for name in result.frame
        if name != "customer" and pd.api.types.is_numeric_dtype(result.frame[name]) and result.past_frame[name].any()
    ]
    past, test = result.past_frame[numbers], result.frame[numbers]
    plain = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler(), LogisticRegression(max_iter=5000))
    frequency = make_pipeline(StandardScaler(), LogisticRegression())
    lifetime = ["order rate"]
    return {
        "order rate alone": frequency.fit(past[lifetime], y).predict_proba(test[lifetime])[:, 1],
        "logistic regression": plain.fit(past, y).predict_proba(test)[:, 1],
        "LightGBM default": lgb.LGBMClassifier(verbosity=-1)
        .fit(past.set_axis(range(len(numbers)), axis=1), y)
        .predict_proba(test.set_axis(range(len(numbers)), axis=1))[:, 1],
        "constant (past rate)": np.full(len(test), y.mean()),
    }


def figures(y: np.ndarray, probability: np.ndarray) -> dict[str, Interval]:
    """Measure with 95 % intervals over customers drawn with replacement; one row a customer."""
    return dict(measure(y, probability, weights=cluster_weights(np.arange(len(y)), seed=0)))


def main() -> None:
    """Run one protocol and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", nargs="+", default=TRAIN, metavar="DAY", help=f"default: {' '.join(TRAIN)}")
    parser.add_argument("--origin", default=ORIGIN, metavar="DAY", help=f"the day that is scored, default: {ORIGIN}")
    options = parser.parse_args()
    folder = os.environ.get("PROPENSITY_DATA")
    if not folder:
        sys.exit("Set PROPENSITY_DATA to the folder that holds the public files.")
    log = Path(folder) / "online_retail" / "online_retail.parquet"
    result = run_protocol(log, train=options.train, origin=options.origin)
    for day, rows in pd.concat([result.past, result.test]).groupby("cutoff"):
        part = "scored" if day.startswith(options.origin) else "taught"
        print(f"{day[:10]}  {part}  {len(rows):,} customers, {rows['y'].mean():.1%} ordered within {HORIZON_DAYS} days")
    print(*re.findall(r".*cross-fitted.*", result.said), sep="\n")
    y = result.test["y"].to_numpy()
    print(f"\n{'':22}{'AUC':>24}{'log loss':>26}{'ECE':>10}")
    for name, probability in {"propensity": result.probability, **beside(result)}.items():
        found = figures(y, probability)
        cells = [
            f"{found[m].value:.4f} ({found[m].low:.4f}-{found[m].high:.4f})".rjust(26) for m in ("auc", "log_loss")
        ]
        print(f"{name:20}{''.join(cells)}{found['ece'].value:>10.4f}")


if __name__ == "__main__":
    main()
