"""The only place for the fitted model as a value: what a bundle holds and what scoring needs."""

from __future__ import annotations

import hashlib
import json
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, get_args

import lightgbm as lgb
import numpy as np
import pandas as pd

from propensity.bands import Bands, Frontier
from propensity.calibration import Calibrator
from propensity.encoding import CategoryCode, Encoder
from propensity.errors import BundleError
from propensity.explanations import Group, Reference, fault_of_parts, reason_groups
from propensity.features.plan import FeaturePlan
from propensity.guards import Guard
from propensity.learners import (
    KINDS,
    LINEAR,
    TUNED,
    Blend,
    Forest,
    LinearModel,
    Monotone,
    Recipe,
    Shifts,
    Stability,
    check_forest_text,
)
from propensity.rules import Rules
from propensity.schema import Schema

Verdict = Literal["skill", "no_skill", "rules_only"]
VERDICTS = get_args(Verdict)
N_CANARIES = 32
# How far contributions by tables may be from LightGBM's own.
MAX_FROM_LIGHTGBM = 1e-5
# Of the bundle's layout: another number is another layout, and refused.
SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What was learned from leads: everything between read values and bands.

    Parameters
    ----------
    encoder : Encoder
    blend : Blend
    calibrator : Calibrator
    bands : Bands
    stability : Stability or None
        What the ranges of scores come from; None in older bundles.
    monotone : Monotone or None
        The directions that scores were asked to be held to; None where there were none.
    frontier : Frontier or None
        What other thresholds would bring; None in older bundles.
    guard : Guard or None
        Which rows are too unlike what taught; None in older bundles.
    """

    encoder: Encoder
    blend: Blend
    calibrator: Calibrator
    bands: Bands
    stability: Stability | None = None
    monotone: Monotone | None = None
    frontier: Frontier | None = None
    guard: Guard | None = None

    @property
    def directions(self) -> tuple[int, ...]:
        """Which way margins go with each feature (1 up, -1 down, 0 any); nothing where they may go any way."""
        if self.monotone is None or not self.monotone.is_held:
            return ()
        return tuple(self.monotone.directions.get(name, 0) for name in self.encoder.names)

    def spread(self, matrix: np.ndarray, margin: np.ndarray) -> np.ndarray:
        """Give how far each lead's log-odds move from one training to the next; NaN where that was not measured.

        Parameters
        ----------
        matrix : array of float, shape (n_leads, n_features)
        margin : array of float, shape (n_leads,)

        Returns
        -------
        array of float, shape (n_leads,)
            Standard deviations.
        """
        if self.stability is None or self.blend.linear is None:
            return np.full(len(matrix), np.nan)
        return self.stability.spread(matrix, margin, linear=self.blend.linear, slope=self.calibrator.slope)

    def probability(self, values: pd.DataFrame) -> np.ndarray:
        """Give each lead's calibrated probability of conversion.

        Parameters
        ----------
        values : DataFrame, shape (n_leads, n_features)
            As `schema.partition` reads them.

        Returns
        -------
        array of float in [0, 1], shape (n_leads,)
        """
        return self.calibrator.probability(self.blend.margin(self.encoder.encode(values)))


@dataclass(frozen=True, kw_only=True)
class PropensityModel:
    """A model and the rules behind it.

    Parameters
    ----------
    schema : Schema
    rules : Rules
    verdict : {"skill", "no_skill", "rules_only"}
        Only a model with skill answers itself.
    learned : Learned or None
        None where there was too little to learn from.
    reference : Reference or None
        The typical nurture lead; there with `learned`.
    points_calibrator : Calibrator or None
        Maps the rules' points to probability where history allowed.
    agreement : dict
        What marketing and sales agreed on, as plain JSON values.
    facts : dict
        Plain JSON values for people and checks: rows, base rate, digests, what the target means.
    card : str
        The model card, Markdown.
    record : dict
        What training found, as plain JSON values: see `reporting.training_record`. Empty for older bundles.
    plan : FeaturePlan
        Which features are made of events and raw fields.
    version : str
        First 12 hex digits of the manifest's sha256; ``rules-`` and the rules' digest without a model;
        empty before the model is a bundle.
    """

    schema: Schema
    rules: Rules
    verdict: Verdict
    learned: Learned | None = None
    reference: Reference | None = None
    points_calibrator: Calibrator | None = None
    agreement: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    card: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)
    plan: FeaturePlan = field(default_factory=FeaturePlan)
    version: str = ""

    @cached_property
    def reason_groups(self) -> tuple[Group, ...]:
        """Which columns make one reason."""
        return reason_groups(self.schema, self.plan)


def sealed(model: PropensityModel) -> PropensityModel:
    """Give the model with its version, which its files determine."""
    return replace(model, version=version_of(bundle_files(model)["manifest.json"]))


def version_of(manifest: bytes) -> str:
    """Give the version that a manifest's bytes stand for: the first 12 hex digits of their sha256."""
    return hashlib.sha256(manifest).hexdigest()[:12]


def bundle_files(model: PropensityModel) -> dict[str, bytes]:
    """Write the model as the files of a bundle: JSON and LightGBM text, nothing that runs.

    Returns
    -------
    dict of file name to bytes
        The same bytes for the same model. ``manifest.json`` names every other file with its size and sha256.
    """
    learned, reference = model.learned, model.reference
    parts: dict[str, Any] = {
        "schema.json": model.schema.to_dict(),
        "agreement.json": dict(model.agreement),
        "features.json": model.plan.to_dict(),
        "rules.json": {
            "sheet": model.rules.to_dict(),
            "calibrator": model.points_calibrator.to_dict() if model.points_calibrator else None,
        },
    }
    texts = {"card.md": model.card}
    if learned is not None and reference is not None:
        blend = learned.blend
        parts |= {
            "encoder.json": learned.encoder.to_dict(),
            "blend.json": blend.recipe.to_dict(),
            "calibrator.json": learned.calibrator.to_dict(),
            "thresholds.json": learned.bands.to_dict(),
            "reasons.json": reference.to_dict(),
            "canaries.json": _canaries(learned),
        }
        if blend.linear is not None:
            parts["linear.json"] = blend.linear.to_dict()
        if blend.shifts is not None:
            parts["shifts.json"] = blend.shifts.to_dict()
        if learned.stability is not None:
            parts["stability.json"] = learned.stability.to_dict()
        if learned.monotone is not None:
            parts["monotone.json"] = learned.monotone.to_dict()
        if learned.guard is not None:
            parts["guard.json"] = learned.guard.to_dict()
        if learned.frontier is not None:
            parts["frontier.json"] = learned.frontier.to_dict()
        texts |= {_forest_file(i): blend.forests[kind].text for i, kind in enumerate(sorted(blend.forests))}
    if model.record:
        parts["record.json"] = dict(model.record)
    files = {name: _json_bytes(part) for name, part in parts.items()}
    files |= {name: text.encode() for name, text in texts.items()}
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "verdict": model.verdict,
        "facts": dict(model.facts),
        "libraries": {"lightgbm": lgb.__version__, "numpy": np.__version__, "pandas": pd.__version__},
        "files": {
            name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in sorted(files.items())
        },
    }
    return {"manifest.json": _json_bytes(manifest), **dict(sorted(files.items()))}


def model_from_files(files: Mapping[str, bytes]) -> PropensityModel:
    """Read a model from the files of a bundle whose hashes were verified.

    Parameters
    ----------
    files : mapping of file name to bytes
        ``manifest.json`` and all it names.

    Returns
    -------
    PropensityModel

    Raises
    ------
    BundleError
        A file does not say what it must, or the model does not reproduce its canaries.
    """
    try:
        manifest = _from_json(files["manifest.json"])
        schema = Schema.from_dict(_from_json(files["schema.json"]))
        rules = _from_json(files["rules.json"])
        learned = _learned(files, schema) if "blend.json" in files else None
        model = PropensityModel(
            schema=schema,
            rules=Rules.from_dict(rules["sheet"]),
            verdict=manifest["verdict"],
            learned=learned,
            reference=Reference.from_dict(_from_json(files["reasons.json"])) if learned else None,
            points_calibrator=Calibrator.from_dict(rules["calibrator"]) if rules["calibrator"] else None,
            agreement=_from_json(files["agreement.json"]),
            facts=manifest["facts"],
            card=files["card.md"].decode(),
            record=_from_json(files["record.json"]) if "record.json" in files else {},
            plan=FeaturePlan.from_dict(_from_json(files["features.json"])),
            version=version_of(files["manifest.json"]),
        )
        _check_facts(model)
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
        RecursionError,
        ArithmeticError,
        OSError,
    ) as error:
        msg = f"The bundle's files do not fit together ({type(error).__name__}). Train again, or restore a copy."
        raise BundleError(msg, fallback_reason="HASH_MISMATCH") from error
    if model.verdict not in VERDICTS or (model.verdict == "skill" and learned is None):
        msg = "The bundle's verdict does not fit its files. Train again, or restore a copy."
        raise BundleError(msg, fallback_reason="HASH_MISMATCH")
    if learned is not None and not _reproduces(learned, files["canaries.json"]):
        msg = "The model does not reproduce the scores stored with it. Train again, or restore a copy."
        raise BundleError(msg, fallback_reason="CANARY_FAILED")
    return model


def _check_facts(model: PropensityModel) -> None:
    """Refuse facts that scoring or reporting would stumble over."""
    facts = model.facts
    if not isinstance(model.record, dict):
        msg = "the record is no object"
        raise TypeError(msg)
    if not (model.schema.id is None or isinstance(model.schema.id, str)) or not isinstance(facts.get("date", ""), str):
        msg = "a column's name is no text"
        raise TypeError(msg)
    zoneinfo.ZoneInfo(facts.get("timezone", "UTC"))
    pd.Timestamp(facts.get("data_end", "") or "2000-01-01T00:00Z") + pd.Timedelta(
        days=int(facts.get("max_age_days", 1))
    )


def _learned(files: Mapping[str, bytes], schema: Schema) -> Learned:
    encoder = Encoder.from_dict(_from_json(files["encoder.json"]))
    if encoder.names != schema.names or len(encoder.codes) != len(encoder.names):
        msg = "encoder and schema name other columns"
        raise ValueError(msg)
    blend = _blend(files, encoder)
    stability = None
    if "stability.json" in files:
        stability = Stability.from_dict(_from_json(files["stability.json"]))
        if blend.linear is None or not stability.fits(blend.linear):
            msg = "the stability is of another linear model"
            raise ValueError(msg)
    monotone = None
    if "monotone.json" in files:
        monotone = Monotone.from_dict(_from_json(files["monotone.json"]), names=encoder.names)
    frontier = Frontier.from_dict(_from_json(files["frontier.json"])) if "frontier.json" in files else None
    guard = None
    if "guard.json" in files:
        guard = Guard.from_dict(_from_json(files["guard.json"]))
        if {len(guard.weights), len(guard.filled), len(guard.covered), len(guard.ranged)} != {len(encoder.names)}:
            msg = "the guard is of other columns"
            raise ValueError(msg)
    return Learned(
        encoder=encoder,
        blend=blend,
        calibrator=Calibrator.from_dict(_from_json(files["calibrator.json"])),
        bands=Bands.from_dict(_from_json(files["thresholds.json"])),
        stability=stability,
        monotone=monotone,
        frontier=frontier,
        guard=guard,
    )


def _blend(files: Mapping[str, bytes], encoder: Encoder) -> Blend:
    recipe = Recipe.from_dict(_from_json(files["blend.json"]))
    names = [name for name, _ in recipe.weights()]
    if not {*names} <= {LINEAR, TUNED, *KINDS} or not all(share <= 1 for _, share in recipe.named()):
        msg = "the blend names learners or shares that there are none of"
        raise ValueError(msg)
    if TUNED in names and recipe.tuned is None:
        msg = "the blend names a tuned forest and no settings of it"
        raise ValueError(msg)
    forests: dict[str, Forest] = {}
    for i, kind in enumerate(name for name in names if name != LINEAR):
        text = files[_forest_file(i)].decode()
        check_forest_text(text, n_features=len(encoder.names))
        forests[kind] = Forest(text)
    linear = None
    if LINEAR in names:
        linear = LinearModel.from_dict(_from_json(files["linear.json"]))
        if len(linear.terms) != len(encoder.names):
            msg = "the linear model has other columns"
            raise ValueError(msg)
    shifts = None
    if "shifts.json" in files:
        shifts = Shifts.from_dict(_from_json(files["shifts.json"]))
        if not shifts.fits(encoder):
            msg = "the shifts are of other columns"
            raise ValueError(msg)
    return Blend(recipe=recipe, forests=forests, linear=linear, shifts=shifts)


def _forest_file(number: int) -> str:
    """Name the file of a forest: they are numbered in the order of their kinds."""
    return f"forest_{number}.txt"


def _canaries(learned: Learned) -> dict[str, Any]:
    rows = invent_rows(learned.encoder)
    return {
        "rows": [[None if np.isnan(cell) else float(cell) for cell in row] for row in rows],
        "margins": learned.blend.margin(rows).tolist(),
        "probabilities": learned.calibrator.probability(learned.blend.margin(rows)).tolist(),
    }


def _reproduces(learned: Learned, canaries: bytes) -> bool:
    """Score the invented rows again: another platform may differ in the last bits, a broken model differs more."""
    try:
        stored = _from_json(canaries)
        cells = [[np.nan if cell is None else cell for cell in row] for row in stored["rows"]]
        rows = np.array(cells, dtype=float).reshape(N_CANARIES, len(learned.encoder.names))
        margins, contributions, base = learned.blend.explain(rows)
        return bool(
            np.allclose(margins, stored["margins"], rtol=0, atol=1e-9)
            and np.allclose(learned.calibrator.probability(margins), stored["probabilities"], rtol=0, atol=1e-9)
            and np.allclose(contributions, learned.blend.lightgbm_contributions(rows), rtol=0, atol=MAX_FROM_LIGHTGBM)
            and not fault_of_parts(margins, contributions, base)
        )
    except (KeyError, TypeError, ValueError, IndexError, lgb.basic.LightGBMError):
        return False


def _json_bytes(value: object) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def _from_json(content: bytes) -> Any:
    def refuse(constant: str) -> None:
        msg = f"{constant} is no JSON number"
        raise ValueError(msg)

    return json.loads(content, parse_constant=refuse)


def rules_model(rules: Rules, schema: Schema) -> PropensityModel:
    """Wrap rules as the model that answers when there is no other.

    Parameters
    ----------
    rules : Rules
    schema : Schema
        Needs no feature: the id column and the words for missing.
    """
    return PropensityModel(schema=schema, rules=rules, verdict="rules_only", version=f"rules-{rules.digest[:12]}")


def invent_rows(encoder: Encoder, *, n_rows: int = N_CANARIES) -> np.ndarray:
    """Invent encoded rows from the encoder alone; no lead is among them.

    Parameters
    ----------
    encoder : Encoder
    n_rows : int

    Returns
    -------
    array of float, shape (n_rows, n_features)
        Numbers within the range the encoder keeps, any code, about one cell in ten missing. Always the same.
    """
    rng = np.random.default_rng(20)
    matrix = np.empty((n_rows, len(encoder.names)))
    for i, code in enumerate(encoder.codes):
        if isinstance(code, CategoryCode):
            matrix[:, i] = rng.integers(0, code.n_codes, n_rows)
        else:
            matrix[:, i] = np.round(rng.uniform(code.low, code.high, n_rows), 6)
    return np.where(rng.random(matrix.shape) < 0.1, np.nan, matrix)
