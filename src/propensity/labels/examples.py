"""The only place that decides at which cutoffs a lead is looked at, and whether it converted after each.

Instants are int64 microseconds since 1970. The label of (lead, cutoff) is 1 iff a conversion falls in
``[cutoff, cutoff + horizon)``; it is known from ``cutoff + horizon + ingest lag`` on. Earlier, both classes are
left out: to keep the early conversions of young leads and drop only the rest would promise too much. Leads closed as
lost for good (``closed_lost_is_final``) teach early all the same, and bend labels the other way: in a simulation of
delays of 15 and 60 days by -9 % for rows at creation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from propensity.asof import DAY, NEVER, Conversions

if TYPE_CHECKING:
    from propensity.config import LabelsConfig

# More leads than this share converting after they were closed as lost make "closed lost" no outcome.
MAX_REOPENED = 0.01


@dataclass(frozen=True, kw_only=True)
class LabelledRows:
    """(lead, cutoff) pairs whose outcome is known, in order of lead and cutoff.

    Parameters
    ----------
    lead : array of int, shape (n_rows,)
        Position in the lead table.
    cutoff : array of int64, shape (n_rows,)
    y : array of {0.0, 1.0}, shape (n_rows,)
    weight : array of float, shape (n_rows,)
        The calendar's snapshots of one lead add up to 1, those after it converted among them; chosen cutoffs count
        1 each.
    dropped : dict of str to int
        Leads (or chosen rows) that gave none, by reason.
    """

    lead: np.ndarray
    cutoff: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    dropped: Mapping[str, int]


def make_examples(
    created_at: np.ndarray,
    conversions: Conversions,
    labels: LabelsConfig,
    *,
    extracted_at: int,
    names: np.ndarray,
    keys: np.ndarray | None = None,
    closed_lost_at: np.ndarray | None = None,
    chosen: tuple[np.ndarray, np.ndarray] | None = None,
    seed: int = 0,
) -> LabelledRows:
    """Make training rows: snapshots on the calendar leads are served on, or the cutoffs a user chose.

    The calendar is anchored backwards from `extracted_at`. A lead is looked at from its creation on, until it
    converts (unless leads convert again) or is closed as lost. At most ``max_snapshots_per_lead`` are taken of its
    calendar, without regard to how long it stayed: the first, and others at random by a hash of the lead's name, so
    that the file's order means nothing. Those after it converted or was closed are then left out.

    Parameters
    ----------
    created_at : array of int64, shape (n_leads,)
        NEVER where unknown.
    conversions : Conversions
        By key.
    labels : LabelsConfig
    extracted_at : int
        Up to when the tables know.
    names : array of str, shape (n_leads,)
        Join keys of the leads.
    keys : array of int or None, shape (n_leads,)
        Each lead's key in `conversions`; None where that is its position.
    closed_lost_at : array of int64 or None, shape (n_leads,)
    chosen : (lead, cutoff) arrays or None
        The user's own pairs.
    seed : int

    Returns
    -------
    LabelledRows

    Examples
    --------
    A lead created on day 0 that converts on day 20, seen weekly from day 30 backwards (days 2, 9, 16; on
    day 23 it has converted):

    >>> from propensity.config import LabelsConfig
    >>> won = Conversions(key=np.array([0]), at=np.array([20 * DAY]), notes={})
    >>> labels = LabelsConfig(horizon_days=7, ingest_lag_days=0)
    >>> rows = make_examples(np.array([0]), won, labels, extracted_at=30 * DAY, names=np.array(["a"]))
    >>> (rows.cutoff // DAY).tolist(), rows.y.tolist(), rows.weight.tolist()
    ([2, 9, 16], [0.0, 0.0, 1.0], [0.25, 0.25, 0.25])
    """
    n_leads = len(created_at)
    keys = np.arange(n_leads) if keys is None else keys
    first = conversions.first(int(keys.max()) + 1 if n_leads else 0)[keys] if n_leads else np.empty(0, np.int64)
    closed = np.full(n_leads, NEVER) if closed_lost_at is None else closed_lost_at
    is_closed = closed < NEVER
    n_reopened = int((is_closed & (first < NEVER) & (first > closed)).sum())
    is_final = labels.closed_lost_is_final and n_reopened <= MAX_REOPENED * max(int(is_closed.sum()), 1)
    notes = {
        "reopened": n_reopened,
        "converted_before_creation": int(((first < created_at) & (created_at < NEVER)).sum()),
    }
    gone = np.minimum(np.full(n_leads, NEVER) if labels.repeat else first, closed)
    horizon, lag = labels.horizon_days * DAY, labels.ingest_lag_days * DAY
    if chosen is None:
        until = np.where(is_final & is_closed, extracted_at, extracted_at - horizon - lag)
        lead, cutoff, first_cutoff = _calendar(created_at, until, labels, extracted_at=extracted_at)
        kept = _some(lead, cutoff, names, most=labels.max_snapshots_per_lead, seed=seed)
        lead, cutoff = lead[kept], cutoff[kept]
        # The share of a snapshot is fixed before it is known how long the lead stays: were it one of those left, leads
        # about to convert, who have few, would count more than those like them who never do.
        weight = 1 / np.bincount(lead, minlength=n_leads)[lead]
        is_open = (cutoff <= gone[lead]) & (gone >= created_at)[lead]
        lead, cutoff, weight = lead[is_open], cutoff[is_open], weight[is_open]
        is_seen = first_cutoff <= np.minimum(gone, extracted_at)
        notes["created_missing"] = int((created_at == NEVER).sum())
        notes["converted_before_first_cutoff"] = int(
            (~is_seen & (first < NEVER) & (first >= created_at) & (created_at <= extracted_at)).sum()
        )
    else:
        lead, cutoff = chosen
        early = (cutoff < created_at[lead]) & (created_at[lead] < NEVER)
        over = (gone[lead] < cutoff) & ~early
        notes |= {"cutoff_before_creation": int(early.sum()), "converted_or_closed_before_cutoff": int(over.sum())}
        lead, cutoff = lead[~early & ~over], cutoff[~early & ~over]
        weight = np.ones(len(lead))
    lost = is_final & (closed[lead] < np.minimum(cutoff + horizon, extracted_at - lag))
    matured = (cutoff + horizon + lag <= extracted_at) | lost
    if chosen is None:
        told = np.zeros(n_leads, dtype=bool)
        told[lead[matured]] = True
        notes["immature"] = int((is_seen & (gone >= created_at) & ~told).sum())
    else:
        notes["immature"] = int((~matured).sum())
    lead, cutoff, weight = lead[matured], cutoff[matured], weight[matured]
    at = conversions.following(keys[lead], cutoff)
    order = np.lexsort((cutoff, lead))
    return LabelledRows(
        lead=lead[order],
        cutoff=cutoff[order],
        y=(at < cutoff + horizon).astype(float)[order],
        weight=weight[order],
        dropped={name: n for name, n in notes.items() if n},
    )


def _calendar(
    created_at: np.ndarray, until: np.ndarray, labels: LabelsConfig, *, extracted_at: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give every (lead, cutoff) on the calendar from creation on, and each lead's first; not by what it did."""
    step = labels.snapshot_every_days * DAY
    leads = np.flatnonzero(created_at <= extracted_at)
    oldest = (extracted_at - created_at[leads]) // step
    newest = np.maximum(-((until[leads] - extracted_at) // step), 0)
    n_each = np.maximum(oldest - newest + 1, 0)
    lead = np.repeat(leads, n_each)
    start = np.repeat(np.cumsum(n_each) - n_each, n_each)
    weeks_back = np.repeat(oldest, n_each) - (np.arange(len(lead)) - start)
    first = np.full(len(created_at), NEVER)
    first[leads] = extracted_at - oldest * step
    return lead, extracted_at - weeks_back * step, first


def _some(lead: np.ndarray, cutoff: np.ndarray, names: np.ndarray, *, most: int, seed: int) -> np.ndarray:
    """Keep the first cutoff of each lead and others by a hash of its name, at most so many."""
    hashed = pd.util.hash_array(names.astype(object), categorize=False)[lead]
    # One more round mixes name, cutoff and seed: neighbouring weeks must not go together.
    mixed = pd.util.hash_array(hashed ^ pd.util.hash_array((cutoff + seed).astype(np.uint64)))
    frame = pd.DataFrame({"lead": lead, "cutoff": cutoff, "mixed": mixed})
    is_first = ~frame.sort_values(["lead", "cutoff"], kind="stable").duplicated("lead").sort_index().to_numpy()
    rank = (
        frame.assign(later=~is_first).sort_values(["lead", "later", "mixed"], kind="stable").groupby("lead").cumcount()
    )
    return np.flatnonzero(rank.sort_index().to_numpy() < most)
