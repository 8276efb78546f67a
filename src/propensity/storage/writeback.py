"""The only place that turns score files into files that a CRM imports: HubSpot, Salesforce."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from propensity.errors import InputError
from propensity.schema import UNSCORED, read_ids
from propensity.storage.scores import neutralise
from propensity.storage.writing import check_writable, replacing

Target = Literal["hubspot", "salesforce"]

_SALESFORCE_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
# A spreadsheet, and some importers, would run such a cell; ids are not changed, so they are refused.
_RISKY = re.compile(r"^[=+\-@\t\r]")
# Of a Salesforce text field.
MAX_TEXT = 255


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was made of a score file.

    Parameters
    ----------
    frame : DataFrame
        One row a lead, text as it is written.
    n_unscored, n_older : int
        Rows left out: nobody scored them, or a newer row of the same lead is there.
    """

    frame: pd.DataFrame
    n_unscored: int
    n_older: int


_HEADS = {
    "hubspot": {
        "probability": "Propensity score",
        "band": "Propensity band",
        "reason": "Propensity reason {}",
        "scored_by": "Propensity scored by",
        "as_of": "Propensity scored at",
        "model_version": "Propensity model",
    },
    "salesforce": {
        "probability": "Propensity_Score__c",
        "band": "Propensity_Band__c",
        "reason": "Propensity_Reason_{}__c",
        "scored_by": "Propensity_Scored_By__c",
        "as_of": "Propensity_Scored_At__c",
        "model_version": "Propensity_Model__c",
    },
}


def make_export(scores: pd.DataFrame, *, to: Target, external_id: str = "", n_reasons: int = 3) -> Exported:
    """Turn score rows into the rows a CRM imports.

    Parameters
    ----------
    scores : DataFrame
        As `score` writes them; the first column holds the ids.
    to : {"hubspot", "salesforce"}
    external_id : str
        Head of the id column where ids are none of the CRM's own; empty: ``Record ID`` (``Email`` where ids are
        addresses) and ``Id``.
    n_reasons : int
        How many reasons go along, as far as the scores have them.

    Returns
    -------
    Exported
        Probabilities as points of a hundred, with one decimal. Unscored leads are left out, and of several rows of a
        lead all but the newest.

    Raises
    ------
    InputError
        These are no score rows, or an id is none that the CRM takes.
    """
    absent = [name for name in ("as_of", "probability", "band", "scored_by", "model_version") if name not in scores]
    if absent or scores.columns[0] == "row":
        what = f"columns {', '.join(absent)} are absent" if absent else "its leads have no ids"
        msg = f"These are no scores a CRM can take: {what}. Give a file of `propensity score`, of leads with ids."
        raise InputError(msg)
    scored = scores["band"].ne(UNSCORED).to_numpy() & scores["band"].notna().to_numpy()
    kept = scores[scored].reset_index(drop=True)
    ids = read_ids(kept.iloc[:, 0], missing=())
    at = pd.to_datetime(kept["as_of"], utc=True, format="ISO8601")
    order = np.argsort(at.fillna(pd.Timestamp(0, tz="UTC")).to_numpy(), kind="stable")
    newest = np.sort(order[~ids.iloc[order].duplicated(keep="last").to_numpy()])
    kept = kept.iloc[newest].reset_index(drop=True)
    ids, at = ids.iloc[newest].reset_index(drop=True), at.iloc[newest].reset_index(drop=True)
    heads = _HEADS[to]
    frame = pd.DataFrame({_id_head(ids, to=to, external_id=external_id, row=np.flatnonzero(scored)[newest]): ids})
    points = pd.to_numeric(kept["probability"], errors="coerce") * 100
    frame[heads["probability"]] = points.map(lambda one: f"{one:.1f}", na_action="ignore").fillna("")
    frame[heads["band"]] = kept["band"]
    reasons = [name for name in scores.columns if re.fullmatch(r"reason_\d+", str(name))][:n_reasons]
    for i, name in enumerate(reasons):
        frame[heads["reason"].format(i + 1)] = kept[name].fillna("").astype(str).map(_cut)
    frame[heads["scored_by"]] = kept["scored_by"]
    stamp = "%Y-%m-%d" if to == "hubspot" else "%Y-%m-%dT%H:%M:%SZ"
    frame[heads["as_of"]] = at.dt.strftime(stamp).fillna("")
    frame[heads["model_version"]] = kept["model_version"]
    return Exported(frame=frame, n_unscored=int((~scored).sum()), n_older=int(scored.sum()) - len(newest))


def _id_head(ids: pd.Series, *, to: Target, external_id: str, row: np.ndarray) -> str:
    """Name the id column, once every id is one that the CRM takes."""
    texts = ids.fillna("").astype(str)
    risky = np.flatnonzero(texts.str.contains(_RISKY).to_numpy() | (texts == "").to_numpy())
    if len(risky):
        msg = (
            f"The id in data row {row[risky[0]] + 1} of the scores begins like a formula, or is empty: a spreadsheet "
            "on the way would change it. Mend it in the CRM, or leave the row out."
        )
        raise InputError(msg)
    if external_id:
        return external_id
    if to == "hubspot":
        is_address = texts.str.fullmatch(_EMAIL).to_numpy()
        if len(texts) and is_address.all():
            return "Email"
        strange = np.flatnonzero(~texts.str.fullmatch(r"\d+").to_numpy())
        if len(strange):
            msg = (
                f"The id in data row {row[strange[0]] + 1} of the scores is no Record ID of HubSpot (digits alone), "
                'and not all ids are e-mail addresses. Name the property that holds such ids: --external-id "Lead ID".'
            )
            raise InputError(msg)
        return "Record ID"
    strange = np.flatnonzero(~texts.str.fullmatch(_SALESFORCE_ID).to_numpy())
    if len(strange):
        msg = (
            f"The id in data row {row[strange[0]] + 1} of the scores is no Salesforce id (15 or 18 letters, digits). "
            "Name the field that holds such ids: --external-id My_Id__c."
        )
        raise InputError(msg)
    return "Id"


def _cut(text: str) -> str:
    """Cut a text to what a field holds, at a word."""
    if len(text) <= MAX_TEXT:
        return text
    return text[: MAX_TEXT - 1].rsplit(" ", 1)[0][: MAX_TEXT - 1] + "…"


def write_export(exported: Exported, path: Path) -> None:
    """Write the rows as CSV in UTF-8, whole or not at all; what a spreadsheet would run is made text."""
    check_writable(path)
    with replacing(path) as temporary:
        neutralise(exported.frame).to_csv(temporary, index=False, lineterminator="\n")
