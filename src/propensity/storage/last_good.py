"""The only place that keeps a copy of the champion that answered last, for the night the registry does not."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from propensity.errors import BundleError, OutputError
from propensity.storage.bundles import load_bundle, save_model
from propensity.storage.writing import write_text

if TYPE_CHECKING:
    from propensity.model import PropensityModel

# A copy that was not confirmed for longer than this answers no more.
MAX_DAYS = 30
_NOTE = "kept.json"


@dataclass(frozen=True, kw_only=True)
class LastGood:
    """A verified copy.

    Parameters
    ----------
    model : PropensityModel
    kept_on : date
        When the registry last said that this is the champion.
    """

    model: PropensityModel
    kept_on: dt.date


def keep(model: PropensityModel, folder: Path, *, today: dt.date) -> None:
    """Keep a copy of a model that was verified; where the place cannot be written, none is kept.

    Parameters
    ----------
    model : PropensityModel
    folder : Path
        Of this model's name.
    today : date
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        copy = folder / model.version
        note = {"version": model.version, "kept_on": today.isoformat()}
        text = json.dumps(note) + "\n"
        path = folder / _NOTE
        if copy.is_dir() and path.is_file() and path.read_text(encoding="utf-8") == text:
            return
        if copy.is_dir() and not _is_whole(copy):
            shutil.rmtree(copy)
        if not copy.is_dir():
            save_model(model, copy)
        write_text(path, text)
        for other in folder.iterdir():
            if other.is_dir() and other != copy:
                shutil.rmtree(other, ignore_errors=True)
    except (OSError, OutputError):
        return  # a copy is a help for another night, not this one's work


def _is_whole(copy: Path) -> bool:
    try:
        load_bundle(copy)
    except BundleError:
        return False
    return True


def find(folder: Path, *, today: dt.date) -> LastGood | None:
    """Give the copy, verified again; None where there is none, it is spoilt, or it is too old."""
    try:
        note = json.loads((folder / _NOTE).read_text(encoding="utf-8"))
        kept_on = dt.date.fromisoformat(note["kept_on"])
        version = str(note["version"])
        if not version.isalnum() or not 0 <= (today - kept_on).days <= MAX_DAYS:
            return None
        model = load_bundle(folder / version)
    except (OSError, ValueError, KeyError, TypeError, BundleError):
        return None
    return LastGood(model=model, kept_on=kept_on) if model.version == version else None
