"""Time exact reasons beside what others take for them, on the same rows in one run.

Usage: OMP_NUM_THREADS=1 python benchmarks/speed.py [--rows 20000] [--rounds 5] [--forest 300x31x8 ...] [--sweep]
       [--bundle FOLDER --leads FEATURE_ROWS.parquet] (memory of 1 M and 10 M rows: benchmarks/batch.py)

Invented leads of 60 columns: 40 numbers with gaps, 20 categories of 5 to 100 levels. A forest is trees x leaves x depth
(0: any). Medians over alternating rounds; the slow ones look at fewer rows, told per row. One thread but where it says
two. `--sweep` tries sizes of units. Then a trained model (the sample's, or `--bundle`) on feature rows (`propensity
features`), repeated to `--rows`, the whole way from cells to score rows, and how long imports and commands take to
start. What else the machine did is metered, and said.
"""

import argparse
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import lightgbm as lgb
import numba
import numpy as np
import pandas as pd
import shap
from lightgbm.basic import _LIB
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from propensity.learners.treeshap import MAX_UNIT_BITS, Tables, build_tables, by_pattern, explain_forest, explain_row
from propensity.schema import partition
from propensity.scoring import predict_one, score
from propensity.storage.bundles import load_bundle

N_NUMBERS, N_CATEGORIES = 40, 20
N_SLOW, N_ALONE, N_TOP = 500, 2_000, 5
FORESTS = ("300x31x8", "1000x63x8", "300x31x0")
ROOT = Path(__file__).parents[1]
STARTS = {
    "python alone": ["-c", ""],
    "import propensity": ["-c", "import propensity"],
    "propensity --version": ["-m", "propensity", "--version"],
    "propensity score --help": ["-m", "propensity", "score", "--help"],
    "import pandas": ["-c", "import pandas"],
    "import lightgbm": ["-c", "import lightgbm"],
    "import propensity.scoring": ["-c", "import propensity.scoring"],
    "import mlflow": ["-c", "import mlflow"],
}


def invent(n_rows: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    weights = np.random.default_rng(99).normal(size=10)
    numbers = rng.normal(size=(n_rows, N_NUMBERS)).round(3)
    numbers[rng.random(numbers.shape) < 0.15] = np.nan
    sizes = np.linspace(5, 100, N_CATEGORIES).astype(int)
    categories = np.column_stack([rng.integers(0, size, n_rows) for size in sizes]).astype(float)
    categories[rng.random(categories.shape) < 0.05] = np.nan
    signal = 0.4 * np.nan_to_num(numbers[:, :10]) @ weights + 0.5 * np.sin(np.nan_to_num(categories[:, :5])).sum(axis=1)
    y = (rng.random(n_rows) < 1 / (1 + np.exp(3 - signal))).astype(float)
    return np.column_stack([numbers, categories]), y


def grow(asked: str) -> lgb.Booster:
    trees, leaves, depth = map(int, asked.split("x"))
    matrix, y = invent(60_000)
    params = {
        "objective": "binary",
        "num_leaves": leaves,
        "max_depth": depth or -1,
        "learning_rate": 0.05,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    data = lgb.Dataset(matrix, y, categorical_feature=[*range(N_NUMBERS, N_NUMBERS + N_CATEGORIES)])
    return lgb.train(params, data, num_boost_round=trees)


def medians(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Give median seconds of each, in alternating rounds after one that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if i:
                taken[name].append(time.perf_counter() - start)
    return {name: float(np.median(seconds)) for name, seconds in taken.items()}


def alone(run: Callable[[int], object], n_rows: int) -> tuple[float, float]:
    """Give the median and 99th of a hundred, in microseconds, over rows that differ."""
    taken = np.empty(n_rows)
    for i in range(n_rows):
        start = time.perf_counter()
        run(i)
        taken[i] = time.perf_counter() - start
    return float(np.median(taken) * 1e6), float(np.quantile(taken, 0.99) * 1e6)


def strongest(parts: np.ndarray) -> np.ndarray:
    return np.argpartition(-np.abs(parts), N_TOP, axis=-1)[..., :N_TOP]


def c_call(booster: lgb.Booster, n_features: int = N_NUMBERS + N_CATEGORIES) -> Callable[[np.ndarray], float]:
    """Give LightGBM's own call for one row, in C, set up once."""
    fast, length, out = ctypes.c_void_p(), ctypes.c_int64(), np.zeros(1)
    _LIB.LGBM_BoosterPredictForMatSingleRowFastInit(
        booster._handle,  # noqa: SLF001 - it has no other door
        1,
        0,
        -1,
        1,
        n_features,
        b"num_threads=1",
        ctypes.byref(fast),
    )
    place = out.ctypes.data_as(ctypes.POINTER(ctypes.c_double))

    def call(row: np.ndarray) -> float:
        _LIB.LGBM_BoosterPredictForMatSingleRowFast(
            fast, row.ctypes.data_as(ctypes.c_void_p), ctypes.byref(length), place
        )
        return float(out[0])

    return call


def time_forest(asked: str, matrix: np.ndarray, rounds: int) -> None:
    booster = grow(asked)
    text = booster.model_to_string()
    build_tables(text, n_features=matrix.shape[1])  # compiles
    start = time.perf_counter()
    tables = build_tables(text, n_features=matrix.shape[1])
    built = time.perf_counter() - start
    if tables is None:
        print(f"\n{asked}: tables do not hold it")
        return
    most = int(np.diff(tables.unit_bit).max())
    print(f"\n{asked}: tables built in {built:.2f} s, {tables.n_bytes / 1e6:.0f} MB, up to {most} bits a unit")
    slow = matrix[:N_SLOW]
    runs: dict[str, Callable[[], object]] = {
        "predict (no reasons)": lambda: booster.predict(matrix, raw_score=True, num_threads=1),
        "tables: margin and parts": lambda: explain_forest(tables, matrix, n_threads=1),
        "tables, top 5": lambda: strongest(explain_forest(tables, matrix, n_threads=1)[1]),
        "tables, two threads": lambda: explain_forest(tables, matrix, n_threads=2),
        "pred_contrib": lambda: booster.predict(slow, pred_contrib=True, num_threads=1),
        "shap.TreeExplainer": lambda: shap.TreeExplainer(booster).shap_values(slow),
    }
    taken = medians(runs, rounds)
    per_row = {
        name: taken[name] / (len(slow) if name in {"pred_contrib", "shap.TreeExplainer"} else len(matrix))
        for name in runs
    }
    print(f"  {'':26} {'rows/s':>9} {'x pred_contrib':>15} {'x predict':>10}")
    for name, seconds in per_row.items():
        against, raw = per_row["pred_contrib"] / seconds, per_row["predict (no reasons)"] / seconds
        print(f"  {name:26} {1 / seconds:>9,.0f} {against:>15.1f} {raw:>10.2f}")
    compare(booster, tables, matrix)
    call, turned = c_call(booster), by_pattern(tables)
    n_rows = min(N_ALONE, len(matrix))
    c50, c99 = alone(lambda i: call(matrix[i]), n_rows)
    own50, own99 = alone(lambda i: strongest(explain_row(turned, matrix[i])[1]), n_rows)
    slow50, _ = alone(lambda i: booster.predict(matrix[i : i + 1], pred_contrib=True, num_threads=1), n_rows // 10)
    print(
        f"  one lead, us (p50, p99): C call without reasons {c50:.0f}, {c99:.0f}; tables and top 5 {own50:.0f}, "
        f"{own99:.0f} ({own50 / c50:.1f} x); pred_contrib {slow50:.0f}"
    )


def compare(booster: lgb.Booster, tables: Tables, matrix: np.ndarray) -> None:
    margin, parts = explain_forest(tables, matrix)
    slow = np.asarray(booster.predict(matrix[:5_000], pred_contrib=True, num_threads=1))
    same = np.array_equal(margin, booster.predict(matrix, raw_score=True))
    print(
        f"  margins {'equal to the bit' if same else 'DIFFER'}; parts within "
        f"{np.abs(parts[:5_000] - slow[:, :-1]).max():.1e} of pred_contrib on {len(slow):,} rows; base + sum within "
        f"{np.abs(parts.sum(axis=1) + tables.base - margin).max():.1e} of the margin"
    )


def sweep(matrix: np.ndarray, rounds: int) -> None:
    """Try how many conditions a unit may have."""
    text = grow(FORESTS[0]).model_to_string()
    found = {bits: build_tables(text, n_features=matrix.shape[1], max_unit_bits=bits) for bits in range(5, 11)}
    taken = medians(
        {str(bits): lambda t=t: explain_forest(t, matrix, n_threads=1) for bits, t in found.items()}, rounds
    )
    print(f"\nBits a unit ({MAX_UNIT_BITS} is what ships)")
    for bits, tables in found.items():
        rate = len(matrix) / taken[str(bits)]
        print(
            f"  {bits:>2}  {rate:>9,.0f} rows/s  {tables.n_bytes / 1e6:>5.0f} MB  {len(tables.slot_feature):,} look-ups"
        )


def time_naive(rounds: int) -> None:
    """Time the usual way: encoders in a pipeline, five calibrated models, shap on each."""
    matrix, y = invent(20_000)
    names = [f"c{i}" for i in range(matrix.shape[1])]
    frame = pd.DataFrame(matrix, columns=names)
    frame[names[N_NUMBERS:]] = frame[names[N_NUMBERS:]].astype(object).map(lambda x: f"level {x}")
    encode = ColumnTransformer(
        [("words", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), names[N_NUMBERS:])],
        remainder="passthrough",
    )
    learner = lgb.LGBMClassifier(n_estimators=300, num_leaves=31, max_depth=8, verbose=-1, n_jobs=1)
    model = CalibratedClassifierCV(make_pipeline(encode, learner), cv=5).fit(frame, y)
    members = [fitted.estimator for fitted in model.calibrated_classifiers_]
    rows = frame.head(N_SLOW)

    def explained() -> None:
        model.predict_proba(rows)
        for member in members:
            shap.TreeExplainer(member[-1]).shap_values(member[0].transform(rows))

    taken = medians({"score": lambda: model.predict_proba(rows), "score and shap": explained}, rounds)
    print("\nThe usual way (ColumnTransformer, CalibratedClassifierCV(5), shap), 300x31x8, rows/s:")
    for name, seconds in taken.items():
        print(f"  {name:26} {len(rows) / seconds:>9,.0f}")


def time_model(bundle: Path, leads: Path, n_rows: int, rounds: int) -> None:
    model = load_bundle(bundle)
    learned = model.learned
    if learned is None:
        print("\nThe bundle holds rules alone.")
        return
    some = pd.read_parquet(leads)
    frame = pd.concat([some] * -(-n_rows // len(some)), ignore_index=True).head(n_rows)
    if model.schema.id is not None:
        frame[model.schema.id] = [f"L{i}" for i in range(len(frame))]
    matrix = learned.encoder.encode(partition(frame, model.schema).read)
    blend, slow = learned.blend, matrix[:N_SLOW]
    with_reasons = "cells to rows with 5 reasons"
    forests = [*blend.forests.values()]
    runs: dict[str, Callable[[], object]] = {
        "raw predict of its forests": lambda: [
            f.booster.predict(matrix, raw_score=True, num_threads=1) for f in forests
        ],
        "calibrated probability": lambda: learned.calibrator.probability(blend.margin(matrix)),
        "blend, margin and parts": lambda: blend.explain(matrix),
        "encoding read values": lambda: learned.encoder.encode(read),
        "cells to score rows": lambda: score(frame, model=model, n_reasons=0),
        with_reasons: lambda: score(frame, model=model, n_reasons=6),
        "the same parts by LightGBM": lambda: blend.lightgbm_contributions(slow),
    }
    read = partition(frame, model.schema).read
    taken = medians(runs, rounds)
    kinds = ", ".join(f"{name} {forest.n_trees}" for name, forest in sorted(blend.forests.items()))
    print(f"\nA trained model, {len(learned.encoder.names)} features; trees: {kinds or 'none'}")
    for name, seconds in taken.items():
        n = len(slow) if name == "the same parts by LightGBM" else len(matrix)
        print(f"  {name:30} {n / seconds:>10,.0f} rows/s")
    raw, n = taken["raw predict of its forests"], len(matrix)
    print(
        f"  against raw predict: calibrated {taken['calibrated probability'] / raw:.2f} x its time, with all parts "
        f"{taken['blend, margin and parts'] / raw:.2f} x; encoding is "
        f"{taken['encoding read values'] / taken[with_reasons]:.1%} of scoring with reasons"
    )
    explained = taken["blend, margin and parts"] / n
    print(f"  all parts {taken['the same parts by LightGBM'] / len(slow) / explained:.0f} x as fast as pred_contrib")
    cells = [lead for lead in some.to_dict("records") if not pd.isna(lead.get(str(model.schema.cutoff), 0))]
    # Those that the model answers: what it leaves to the rules is read from frames, and takes forty times as long.
    answered = [lead for lead in cells[:N_ALONE] if predict_one(lead, model=model)["scored_by"] == "model"]
    n_alone = min(len(answered), N_ALONE // 2, n)
    calls = [c_call(forest.booster, matrix.shape[1]) for forest in forests]
    c50, c99 = alone(lambda i: [call(matrix[i]) for call in calls], n_alone)
    row50, row99 = alone(lambda i: blend.explain(matrix[i : i + 1]), n_alone)
    one50, one99 = alone(lambda i: predict_one(answered[i], model=model, n_reasons=6), n_alone)
    print(
        f"  one lead, us (p50, p99): LightGBM's C calls without reasons {c50:.0f}, {c99:.0f}; margin and parts "
        f"{row50:.0f}, {row99:.0f}; dict to probability, band and reasons in words {one50:.0f}, {one99:.0f} "
        f"({one50 / c50:.1f} x)"
    )


def sample(folder: Path) -> tuple[Path, Path]:
    """Train on the sample data in a folder; give the bundle and feature rows."""
    shutil.copy(ROOT / "propensity.toml", folder)
    shutil.copytree(ROOT / "data", folder / "data")
    for more in (["train"], ["features", "-o", "rows.parquet"]):
        command = [sys.executable, "-m", "propensity", *more]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return next((folder / "models" / "bundles").iterdir()), folder / "rows.parquet"


def time_starts(rounds: int) -> None:
    runs = {
        name: lambda a=a: subprocess.run([sys.executable, *a], check=True, stdout=subprocess.DEVNULL)
        for name, a in STARTS.items()
    }
    print("\nFrom nothing, seconds:")
    for name, seconds in medians(runs, rounds).items():
        print(f"  {name:26} {seconds:>6.2f}")


def meter() -> float:
    """Time the same small work: what it takes longer than before, others took."""
    start = time.perf_counter()
    total = 0
    for i in range(2_000_000):
        total += i
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--forest", nargs="*", default=FORESTS)
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--leads", type=Path)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="shap")
    print(
        f"lightgbm {lgb.__version__}, numba {numba.__version__}, numpy {np.__version__}, shap {shap.__version__}, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}"
    )
    before = min(meter() for _ in range(5))
    matrix, _ = invent(options.rows, seed=1)
    for asked in options.forest:
        time_forest(asked, matrix, options.rounds)
    if options.forest:
        time_naive(options.rounds)
    if options.sweep:
        sweep(matrix, options.rounds)
    if options.bundle and options.leads:
        time_model(options.bundle, options.leads, options.rows, options.rounds)
    else:
        with tempfile.TemporaryDirectory() as folder:
            time_model(*sample(Path(folder)), options.rows, options.rounds)
    time_starts(options.rounds)
    slower = max(meter() for _ in range(5)) / before
    trust = "" if slower < 1.15 else " - NOT TO BE TRUSTED, something else ran"
    print(f"\nThe same work took {slower:.2f} x as long at the end{trust}; load {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
