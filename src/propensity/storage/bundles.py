"""The only place that reads a bundle from disk, verified before anything in it is parsed, and that writes one."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pandas as pd

from propensity.errors import BundleError, InputError
from propensity.model import SCHEMA_VERSION, PropensityModel, bundle_files, model_from_files, version_of
from propensity.scoring import score
from propensity.storage.writing import write_folder

MAX_MANIFEST_BYTES = 2**20
MAX_FILE_BYTES = 2**29
_NAMES = re.compile(
    r"(schema|features|encoder|linear|blend|calibrator|thresholds|agreement|rules|reasons|canaries|stability|shifts|monotone|frontier|guard|record)\.json|forest_\d{1,3}\.txt|card\.md"
)


def save_model(model: PropensityModel, path: str | Path) -> Path:
    """Write a model as a bundle directory, whole or not at all.

    Parameters
    ----------
    model : PropensityModel
    path : str or Path
        A new folder, or an older bundle, which is replaced.

    Returns
    -------
    Path

    Raises
    ------
    OutputError
        The place cannot be written.
    BundleError
        A folder that is no bundle stands there.
    """
    path = Path(path)
    if path.exists() and not (path / "manifest.json").is_file() and (not path.is_dir() or any(path.iterdir())):
        msg = f"{path.name} exists and is no bundle; it is left alone. Name a new folder."
        raise BundleError(msg, fallback_reason="MODEL_MISSING")
    write_folder(path, bundle_files(model))
    load_bundle(path)  # a bundle that does not load must be found now, not by the nightly job
    return path


def load_bundle(path: str | Path, *, expected_sha256: str = "") -> PropensityModel:
    """Read a bundle: names, sizes and hashes first, then its files, then its canaries.

    Parameters
    ----------
    path : str or Path
    expected_sha256 : str
        Of the manifest, as the registry remembers it; empty to take the manifest's word.

    Returns
    -------
    PropensityModel

    Raises
    ------
    BundleError
        Absent, cut short, tampered with, or of another layout.
    """
    try:
        return _rehearsed(_verified(Path(path), expected_sha256=expected_sha256))
    except OSError as error:
        msg = f"The bundle cannot be read: {error.strerror or error}. Name a bundle folder."
        raise BundleError(msg, fallback_reason="MODEL_MISSING") from error
    # A manifest that fits edited files proves nothing of what is in them.
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, InputError) as error:
        msg = f"The bundle's files do not fit together ({type(error).__name__}). Train again, or restore a copy."
        raise BundleError(msg, fallback_reason="HASH_MISMATCH") from error


def _rehearsed(model: PropensityModel) -> PropensityModel:
    """Score two invented leads, one of them empty, so that a model that loads is one that scores."""
    cells = {name: [None, "1"] for name in model.schema.names}
    key = {} if model.schema.id is None else {model.schema.id: ["a", "b"]}
    score(pd.DataFrame({**key, **cells}, index=[0, 1]), model=model)
    return model


def _verified(path: Path, *, expected_sha256: str) -> PropensityModel:
    """Read a bundle whose files are those it was saved with."""
    manifest_path = path / "manifest.json"
    if not manifest_path.is_file():
        msg = f"{path} holds no model: manifest.json is missing. Name a bundle folder."
        raise BundleError(msg, fallback_reason="MODEL_MISSING")
    manifest = _read(manifest_path, limit=MAX_MANIFEST_BYTES)
    digest = hashlib.sha256(manifest).hexdigest()
    if expected_sha256 and digest != expected_sha256:
        msg = f"Bundle {version_of(manifest)} is not the one that was registered. Train again, or restore a copy."
        raise BundleError(msg, fallback_reason="HASH_MISMATCH")
    listed = _listed(manifest)
    strangers = sorted({entry.name for entry in path.iterdir()} - {*listed, "manifest.json"})
    if strangers:
        msg = f"The bundle holds files its manifest does not name ({len(strangers)}). Restore a copy."
        raise BundleError(msg, fallback_reason="HASH_MISMATCH")
    files = {"manifest.json": manifest}
    for name, (size, sha256) in listed.items():
        content = _read(path / name, limit=MAX_FILE_BYTES)
        if len(content) != size or hashlib.sha256(content).hexdigest() != sha256:
            msg = f"{name} is not the file the bundle was saved with. Train again, or restore a copy."
            raise BundleError(msg, fallback_reason="HASH_MISMATCH")
        files[name] = content
    return model_from_files(files)


def _listed(manifest: bytes) -> dict[str, tuple[int, str]]:
    """Read which files a manifest names, none of them outside the fixed list."""
    try:
        values = json.loads(manifest)
        found = {str(name): (int(file["size"]), str(file["sha256"])) for name, file in values["files"].items()}
        version = values["schema_version"]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        msg = "manifest.json is not a bundle's manifest. Train again, or restore a copy."
        raise BundleError(msg, fallback_reason="HASH_MISMATCH") from error
    if version != SCHEMA_VERSION:
        msg = f"The bundle's layout is {version!r}; this version reads {SCHEMA_VERSION}. Use the version that wrote it."
        raise BundleError(msg, fallback_reason="HASH_MISMATCH")
    if not all(_NAMES.fullmatch(name) for name in found):
        msg = "manifest.json names a file that no bundle has. Restore a copy."
        raise BundleError(msg, fallback_reason="HASH_MISMATCH")
    return found


def _read(path: Path, *, limit: int) -> bytes:
    """Read a regular file of bounded size; a link is refused."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > limit:
        msg = f"{path.name} is missing, a link, or too large. Train again, or restore a copy."
        raise BundleError(msg, fallback_reason="HASH_MISMATCH")
    return path.read_bytes()
