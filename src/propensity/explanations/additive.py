"""The only place where contributions become percentage points against a typical lead.

Every step is exactly additive: margin parts times the slope are calibrated log-odds parts, and the rescale to
percentage points is the Aumann-Shapley value of the logistic function of a sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from propensity.encoding import MIN_LEVEL_ROWS

if TYPE_CHECKING:
    from propensity.calibration import Calibrator
    from propensity.schema import Schema

MAX_VALUE_CHARACTERS = 40
# Whole floats beyond are no numbers people count in.
MAX_WHOLE = 1e15
# Fewer leads than this would make a percentile a single lead's.
MIN_REACH_LEADS = 20
# Log-odds closer than this are one: a quotient of what lies between them is noise.
TINY_LOG_ODDS = 1e-6
# Parts further than this from the score they explain explain another one.
PARTS_TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The typical nurture lead of training that reasons compare with.

    Parameters
    ----------
    margin_parts : tuple of float
        Mean contribution of each feature among those leads.
    typical : tuple of str
        What those leads usually hold, in words, one a feature.
    reach : tuple of (float, float) or None
        Between which values nine in ten SQL leads lie, one a feature: 5th and 95th percentile. None for what is no
        number, and where too few leads would tell of single ones. Empty in older bundles.
    members : mapping of learner to tuple of float
        Mean contribution of each feature by each learner of the blend among those leads. Empty in older bundles.
    """

    margin_parts: tuple[float, ...]
    typical: tuple[str, ...]
    reach: tuple[tuple[float, float] | None, ...] = ()
    members: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Give the reference as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Reference:
        """Restore a reference from `to_dict`."""
        reach = tuple(None if ends is None else (float(ends[0]), float(ends[1])) for ends in values.get("reach", ()))
        return cls(
            margin_parts=tuple(values["margin_parts"]),
            typical=tuple(values["typical"]),
            reach=reach,
            members={str(name): tuple(map(float, parts)) for name, parts in values.get("members", {}).items()},
        )


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why each lead's probability differs from the reference lead's.

    Parameters
    ----------
    log_odds_parts : array of float, shape (n_leads, n_features)
        `reference_log_odds` plus a row's parts is its calibrated log-odds.
    points : array of float, shape (n_leads, n_features)
        Percentage points; a row's points sum to 100 (probability - reference_probability).
    reference_log_odds, reference_probability : float
    members : tuple of (float, array of float, shape (n_leads, n_features))
        The share each learner has in the whole, and its own log-odds parts against its own reference. Empty: they
        were not asked.
    """

    log_odds_parts: np.ndarray
    points: np.ndarray
    reference_log_odds: float
    reference_probability: float
    members: tuple[tuple[float, np.ndarray], ...] = ()

    def agreement(self) -> np.ndarray:
        """Give which share of the learners puts each part on the side it is on; 1 where they were not asked.

        Returns
        -------
        array of float in [0, 1], shape (n_leads, n_features)
        """
        if not self.members:
            return np.ones(self.log_odds_parts.shape)
        side = np.sign(self.log_odds_parts)
        return np.asarray(sum(share * (np.sign(parts) == side) for share, parts in self.members))


def show_number(number: float) -> str:
    """Write a number as briefly as people need it: whole ones whole, large ones without decimals.

    Examples
    --------
    >>> [show_number(number) for number in (3.0, 2.5, 707.81389, 3162277.66, 2024.0, 1e20)]
    ['3', '2.5', '707.8', '3,162,278', '2024', '1e+20']
    """
    if abs(number) >= MAX_WHOLE:
        return f"{number:.4g}"
    if number.is_integer():
        return str(int(number))
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def fit_reference(
    contributions: np.ndarray,
    values: pd.DataFrame,
    schema: Schema,
    *,
    is_nurture: np.ndarray,
    is_sql: np.ndarray | None = None,
    members: Mapping[str, np.ndarray] | None = None,
) -> Reference:
    """Describe the typical nurture lead, and within what SQL leads lie.

    Parameters
    ----------
    contributions : array of float, shape (n_leads, n_features)
        Margin parts of training rows.
    values : DataFrame, shape (n_leads, n_features)
    schema : Schema
    is_nurture : array of bool, shape (n_leads,)
        All rows are used where none is.
    is_sql : array of bool or None, shape (n_leads,)
        None: nothing is told of SQL leads.
    members : mapping of learner to array of float, shape (n_leads, n_features), or None
        Margin parts by each learner of the blend.

    Returns
    -------
    Reference
    """
    chosen = is_nurture if is_nurture.any() else np.ones(len(is_nurture), dtype=bool)
    typical = []
    for column in schema.columns:
        cells = values.loc[chosen, column.name]
        if cells.isna().mean() > 0.5:
            typical.append("not given")
        elif column.kind == "number":
            typical.append(show_number(float(cells.median())))
        else:
            counts = cells.value_counts()
            # A level of a few leads could name one of them, and is no more typical than another.
            most = [str(level) for level, n in counts.items() if n == counts.max() >= MIN_LEVEL_ROWS]
            typical.append(min(most)[:MAX_VALUE_CHARACTERS] if most else "various")
    means = [float(part) for part in contributions[chosen].mean(axis=0)]
    reach: list[tuple[float, float] | None] = [None] * len(schema.columns)
    if is_sql is not None:
        cells = values[is_sql]
        reach = [_reach(cells[column.name]) if column.kind == "number" else None for column in schema.columns]
    own = {name: tuple(map(float, parts[chosen].mean(axis=0))) for name, parts in sorted((members or {}).items())}
    return Reference(margin_parts=tuple(means), typical=tuple(typical), reach=tuple(reach), members=own)


def _reach(cells: pd.Series) -> tuple[float, float] | None:
    known = cells.dropna()
    if len(known) < MIN_REACH_LEADS:
        return None
    # Values that leads have, not between them: nobody makes one and a half visits.
    low, high = known.quantile([0.05, 0.95], interpolation="nearest")
    return float(low), float(high)


def fault_of_parts(margin: np.ndarray, contributions: np.ndarray, base: float) -> str:
    """Say what is wrong with the parts of margins; empty where nothing is.

    Parameters
    ----------
    margin : array of float, shape (n_leads,)
    contributions : array of float, shape (n_leads, n_features)
    base : float

    Examples
    --------
    >>> fault_of_parts(np.array([1.0, 3.0]), np.array([[0.5], [2.5]]), 0.5)
    ''
    >>> fault_of_parts(np.array([1.0, 3.0]), np.array([[0.5], [0.5]]), 0.5)
    'parts of 1 of 2 leads do not add up to the score'
    """
    off = ~(np.abs(contributions.sum(axis=1) + base - margin) <= PARTS_TOLERANCE)
    return f"parts of {off.sum():,} of {len(off):,} leads do not add up to the score" if off.any() else ""


def explain(
    contributions: np.ndarray,
    base: float,
    margin: np.ndarray,
    probability: np.ndarray,
    *,
    calibrator: Calibrator,
    reference: Reference,
    members: Mapping[str, tuple[float, np.ndarray]] | None = None,
) -> Explanation:
    """Carry margin contributions through calibration into percentage points.

    Parameters
    ----------
    contributions : array of float, shape (n_leads, n_features)
        Margin parts.
    base : float
    margin : array of float, shape (n_leads,)
        base + parts, but for what 32-bit tables round away.
    probability : array of float, shape (n_leads,)
        As shown, so that the points sum to the shown difference.
    calibrator : Calibrator
    reference : Reference
    members : mapping of learner to (float, array of float, shape (n_leads, n_features)), or None
        Shares, and margin parts by each learner of the blend. Not asked where the reference does not know them.

    Returns
    -------
    Explanation
    """
    contributions = shared_out(contributions, margin - base)
    start = np.array(reference.margin_parts)
    parts = calibrator.slope * (contributions - start)
    reference_margin = np.array([base + start.sum()])
    reference_log_odds = float(calibrator.log_odds(reference_margin)[0])
    total = parts.sum(axis=1)
    clipped = calibrator.log_odds(margin)
    # Where the limit holds a lead's log-odds (or the reference's), its parts shrink alike so that the sum stays exact.
    moved = clipped - reference_log_odds
    ratio = np.divide(moved, total, out=np.ones_like(total), where=np.abs(total) > 1e-12)
    parts = parts * ratio[:, None]
    reference_probability = float(calibrator.probability(reference_margin)[0])
    # The mean slope of the logistic function on the way; next to the reference, where a quotient is noise, its tangent.
    scale = np.divide(
        calibrator.probability(margin) - reference_probability,
        moved,
        out=np.full_like(moved, reference_probability * (1 - reference_probability)),
        where=np.abs(moved) > TINY_LOG_ODDS,
    )
    # What rounding of the shown probability leaves over is shared out too.
    points = shared_out(100 * parts * scale[:, None], 100 * (probability - reference_probability))
    asked = members if members and {*members} == {*reference.members} else {}
    own_start = {name: np.array(reference.members[name]) for name in asked}
    return Explanation(
        log_odds_parts=parts,
        points=points,
        reference_log_odds=reference_log_odds,
        reference_probability=reference_probability,
        members=tuple((share, calibrator.slope * (own - own_start[name])) for name, (share, own) in asked.items()),
    )


def shared_out(parts: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Make each row sum to its total, what is missing shared out by size so that it can swell no part."""
    size = np.abs(parts)
    whole = size.sum(axis=1)
    share = np.divide(total - parts.sum(axis=1), whole, out=np.zeros_like(whole), where=whole > 1e-12)
    return np.asarray(parts + size * share[:, None])


def family_points(explanation: Explanation, schema: Schema) -> dict[str, np.ndarray]:
    """Sum percentage points by family.

    Returns
    -------
    dict of family to array of float, shape (n_leads,)
    """
    families = schema.families
    return dict(zip(families, _summed(explanation.points, tuple(families.values())).T, strict=True))


def grouped(explanation: Explanation, columns: tuple[tuple[int, ...], ...]) -> Explanation:
    """Give the explanation with the parts of columns that belong together summed up; each column belongs to one group.

    Examples
    --------
    >>> parts = np.array([[1.0, -3.0, 0.5]])
    >>> whole = Explanation(log_odds_parts=parts, points=parts, reference_log_odds=0.0, reference_probability=0.5)
    >>> grouped(whole, ((0, 2), (1,))).points.tolist()
    [[1.5, -3.0]]
    """
    return replace(
        explanation,
        log_odds_parts=_summed(explanation.log_odds_parts, columns),
        points=_summed(explanation.points, columns),
        members=tuple((share, _summed(parts, columns)) for share, parts in explanation.members),
    )


def _summed(parts: np.ndarray, columns: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """Sum the columns of each group, left to right whatever the batch; nothing for a group of none."""
    sums = np.zeros((len(parts), len(columns)))
    filled, order, starts = _layout(columns)
    if len(starts) and len(parts):
        sums[:, filled] = np.add.reduceat(np.ascontiguousarray(parts[:, order]), starts, axis=1)
    return sums


@cache
def _layout(columns: tuple[tuple[int, ...], ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give the groups that hold columns, these columns group by group, and where each group starts among them."""
    filled = np.array([i for i, own in enumerate(columns) if own], dtype=int)
    order = np.array([place for own in columns for place in own], dtype=int)
    starts = np.cumsum([0, *(len(columns[i]) for i in filled[:-1])]) if len(filled) else filled
    return filled, order, starts


def strongest(explanation: Explanation, names: Sequence[str], row: int) -> list[tuple[str, float, float]]:
    """List all parts of one lead: name, log-odds part, percentage points; strongest first."""
    parts, points = explanation.log_odds_parts[row], explanation.points[row]
    order = np.argsort(-np.abs(parts), kind="stable")
    return [(names[j], float(parts[j]), float(points[j])) for j in order]
