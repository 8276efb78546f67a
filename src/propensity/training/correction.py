"""The only place that decides which segments' level is corrected, and by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from propensity.calibration import INTERCEPT_PRECISION, fit_calibrator, log_odds_shift, sigmoid
from propensity.encoding import OTHER, CategoryCode, Encoder
from propensity.evaluation import MIN_CONVERTED_SHIFT, segment_levels
from propensity.learners import CategoryTerm, Shifts
from propensity.schema import Schema
from propensity.training.rows import Examples
from propensity.training.segments import segment_columns

# Older blocks were judged by models that knew less of the present than the one that ships: what they were off by, it
# may have learned since.
N_RECENT = 2
# A shift is found on calibrated log-odds and divided by the slope to act on margins. Arbitrary, and far from the slopes
# of models that rank: where margins hardly do, there is nothing to correct.
MIN_SLOPE = 0.25
# How seldom chance alone would have each block say so.
MAX_CHANCE = 0.05


def fit_shifts(
    margin: np.ndarray,
    examples: Examples,
    matrix: np.ndarray,
    *,
    encoder: Encoder,
    schema: Schema,
    block: np.ndarray,
    used: np.ndarray,
    is_time: bool,
) -> Shifts | None:
    """Correct the segments whose level is off beyond chance and beyond what can be borne, drawn towards no change.

    Out-of-fold margins are calibrated, each block at its own level, so that a level that moved for all is no segment's
    fault. The column with the most evidence is corrected, then the others are looked at again on corrected margins: two
    columns that name the same leads do not both answer for them.

    Parameters
    ----------
    margin : array of float, shape (n_rows,)
        Out-of-fold log-odds.
    examples : Examples
    matrix : array of float, shape (n_rows, n_features)
        From `encoder`.
    encoder : Encoder
    schema : Schema
        Its columns are the encoder's; the same few that the report tells apart are looked at.
    block : array of int, shape (n_rows,)
        Out-of-fold block of each row.
    used : array of bool, shape (n_rows,)
        Rows that have a margin and certify nothing. Where blocks are in time, the newest two blocks of them are held
        against their outcomes, and both must say so.
    is_time : bool

    Returns
    -------
    Shifts or None
        None where no segment is flagged. A value that fewer than ten leads share, or that is not kept by name, is
        never corrected.
    """
    recent = np.unique(block[used])[-N_RECENT:]
    held = used & np.isin(block, recent) if is_time else used
    y, weight = examples.y, examples.weights
    if float((weight * y)[held].sum()) < MIN_CONVERTED_SHIFT:
        return None
    left = [encoder.names.index(name) for name in segment_columns(examples.read[held].reset_index(drop=True), schema)]
    terms: dict[int, CategoryTerm] = {}
    while left:
        slope = fit_calibrator(margin[used], y[used], block[used], weight=weight[used]).slope
        if slope < MIN_SLOPE:
            break
        probability = np.full(len(y), np.nan)
        probability[held] = _at_own_level(slope * margin[held], y[held], block[held], weight[held])
        levels = partial(_levels, examples, probability, {str(column): matrix[:, column] for column in left})
        found = _flagged(levels(held))
        if is_time:
            found = _held_by_all(found, [levels(held & (block == b)) for b in recent])
        if not len(found):
            break
        column = int(str(found.groupby("column")["evidence"].sum().idxmax()))
        terms[column] = _term(found[found["column"] == str(column)], matrix[:, column], encoder, column, slope=slope)
        margin = margin + terms[column].apply(matrix[:, column])
        left.remove(column)
    return Shifts(terms=terms) if terms else None


def _levels(
    examples: Examples, probability: np.ndarray, slices: Mapping[str, np.ndarray], rows: np.ndarray
) -> pd.DataFrame:
    """Hold the segments of some rows against their outcomes."""
    return segment_levels(
        examples.y[rows],
        probability[rows],
        {name: codes[rows] for name, codes in slices.items()},
        groups=examples.groups[rows],
        weight=examples.weights[rows],
    )


def _at_own_level(log_odds: np.ndarray, y: np.ndarray, block: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Give probabilities once each block's log-odds are shifted to the level of its outcomes."""
    level = np.zeros(len(y))
    for inside in (block == b for b in np.unique(block)):
        level[inside] = log_odds_shift(
            log_odds[inside], y[inside], precision=INTERCEPT_PRECISION, weight=weight[inside]
        )
    return sigmoid(log_odds + level)


def _flagged(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the segments to be corrected, with how much likelier a Poisson count of its own level is."""
    # What is not kept by name are other leads tomorrow than today.
    is_named = ~table["segment"].isin(["other", str(float(OTHER))])
    found = table[table["is_off"] & table["is_far"] & table["shift"].notna() & is_named]
    converted, expected = found["converted"].to_numpy(dtype=float), found["expected"].to_numpy(dtype=float)
    return found.assign(evidence=converted * np.log(converted / expected) - (converted - expected))


def _held_by_all(found: pd.DataFrame, by_block: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Keep the segments that every block holds to be off to the same side, beyond chance.

    A month comes once a year, and a strike ends: what one block alone shows is of its time, not of the segment.
    """
    for table in by_block:
        told = found.merge(table, on=["column", "segment"], how="left", suffixes=("", " there"))
        is_same = np.sign(told["oe there"] - 1) == np.sign(told["oe"] - 1)
        found = found[(is_same & (told["p_value there"] < MAX_CHANCE)).to_numpy()]
    return found


def _term(found: pd.DataFrame, codes: np.ndarray, encoder: Encoder, column: int, *, slope: float) -> CategoryTerm:
    """Give a column's shifts on the scale of margins."""
    code = encoder.codes[column]
    n_codes = code.n_codes if isinstance(code, CategoryCode) else 0
    shift = {str(segment): float(by) / slope for segment, by in zip(found["segment"], found["shift"], strict=True)}
    values = tuple(shift.get(str(float(k)), 0.0) for k in range(n_codes))
    term = CategoryTerm(values=values, missing=shift.get("missing", 0.0), mean=0.0)
    return replace(term, mean=float(term.apply(codes).mean()))
