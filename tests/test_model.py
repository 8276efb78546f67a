from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.bands import Bands, Promise
from propensity.calibration import Calibrator
from propensity.config import RulesConfig
from propensity.encoding import CategoryCode, Encoder, NumberCode
from propensity.errors import BundleError
from propensity.explanations import Reference
from propensity.learners import CategoryTerm, Learners, Recipe, Shifts, Tuned, fit_stability
from propensity.model import (
    Learned,
    PropensityModel,
    bundle_files,
    invent_rows,
    model_from_files,
    rules_model,
    sealed,
    version_of,
)
from propensity.rules import build_rules
from propensity.schema import Column, Schema

SCHEMA = Schema(
    columns=(
        Column(name="Industry", family="fit", kind="category"),
        Column(name="Visits", family="behaviour", kind="number", missing=("", "n/a")),
    ),
    id="Lead",
    missing=("",),
)
ENCODER = Encoder(
    names=("Industry", "Visits"),
    codes=(CategoryCode(levels=("metals", "retail")), NumberCode(low=-8.0, high=16.0, typical=3.0)),
)
PROMISE = Promise(rate=0.6, certified=True, observed=0.7, low=0.61, n_leads=100, n_converted=70)
CALIBRATOR = Calibrator(slope=0.9, intercept=-0.1, limit=6.2, n_rows=500, n_positive=200)
SHEET = {"name": "demo", "column": "Demo", "op": "in", "value": ["yes", "now"], "points": 80, "group": "asked"}
RULES = build_rules(
    RulesConfig.model_validate({"points": [SHEET], "groups": {"asked": {"family": "behaviour", "max": 60}}}),
    missing={"*": ("",)},
)


def leads(n_leads: int = 400) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    industry = rng.choice(["metals", "retail", "rare"], n_leads)
    visits = np.where(rng.random(n_leads) < 0.1, np.nan, rng.poisson(3, n_leads))
    log_odds = np.where(industry == "metals", 1.0, -1.0) * (np.nan_to_num(visits, nan=3.0) - 3)
    y = rng.random(n_leads) < 1 / (1 + np.exp(-log_odds))
    return pd.DataFrame({"Industry": industry, "Visits": visits}), y.astype(float)


def model(share: float = 0.5, *, tuned: Tuned | None = None) -> PropensityModel:
    values, y = leads()
    kind = "small" if tuned is None else "tuned"
    recipe = Recipe(shares={kind: share, "linear": 1 - share}, n_trees={kind: 10}, tuned=tuned)
    bands = Bands(
        sql=0.7,
        mql=0.3,
        policy="promise",
        sql_promise=PROMISE,
        mql_promise=replace(PROMISE, certified=False),
        sql_share=0.1,
        mql_share=0.2,
        leads_per_week=41.5,
    )
    blend = Learners(lambda: ENCODER.encode(values), y, encoder=ENCODER, max_trees=3000, max_depth=4, seed=0).blend(
        recipe
    )
    return PropensityModel(
        schema=SCHEMA,
        rules=RULES,
        verdict="skill",
        learned=Learned(encoder=ENCODER, blend=blend, calibrator=CALIBRATOR, bands=bands),
        reference=Reference(margin_parts=(0.1, -0.2), typical=("metals", "3")),
        points_calibrator=replace(CALIBRATOR, slope=0.5),
        agreement={"policy": "promise", "sql_precision": 0.6},
        facts={"rows": 400, "target_means": "'1' means converted, '0' means not"},
        card="# Card\nfor ünïcode readers",
    )


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return bundle_files(model())


def changed(files: dict[str, bytes], name: str, change: Callable[[Any], Any]) -> dict[str, bytes]:
    """Rewrite one JSON file, as someone who also mended every hash would."""
    return {**files, name: json.dumps(change(json.loads(files[name]))).encode()}


def test_probability_is_the_calibrated_margin_of_the_encoded_values() -> None:
    learned = model().learned
    assert learned is not None
    values, _ = leads()
    margin = learned.blend.margin(ENCODER.encode(values))
    np.testing.assert_array_equal(learned.probability(values), CALIBRATOR.probability(margin))
    assert ((learned.probability(values) > 0) & (learned.probability(values) < 1)).all()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_model_written_and_read_is_the_same_model(share: float) -> None:
    original = sealed(model(share))
    written = bundle_files(original)
    again = model_from_files(written)
    assert replace(again, rules=original.rules) == original  # the sheet is compared by what it says
    assert again.rules.to_dict() == original.rules.to_dict()
    assert bundle_files(again) == written
    assert ("forest_0.txt" in written, "linear.json" in written) == (share > 0, share < 1)


def test_rules_alone_are_a_bundle_too() -> None:
    alone = replace(rules_model(RULES, replace(SCHEMA, columns=())), card="rules")
    written = bundle_files(alone)
    assert "blend.json" not in written
    again = model_from_files(written)
    assert (again.learned, again.reference, again.points_calibrator) == (None, None, None)
    assert again.rules.digest == RULES.digest


def test_the_manifest_names_every_file_with_its_size_and_sha256(files: dict[str, bytes]) -> None:
    named = json.loads(files["manifest.json"])["files"]
    assert named == {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in files.items()
        if name != "manifest.json"
    }


def test_the_version_is_the_beginning_of_the_manifests_sha256(files: dict[str, bytes]) -> None:
    expected = hashlib.sha256(files["manifest.json"]).hexdigest()[:12]
    assert sealed(model()).version == version_of(files["manifest.json"]) == expected
    assert model_from_files(files).version == expected


def test_rules_alone_are_versioned_by_their_own_digest() -> None:
    assert rules_model(RULES, SCHEMA).version == f"rules-{RULES.digest[:12]}"


def test_the_same_model_is_the_same_bytes(files: dict[str, bytes]) -> None:
    assert bundle_files(model()) == files


def test_settings_that_tuning_found_come_back_with_the_forest_they_made() -> None:
    tuned = Tuned(settings={"num_leaves": 9, "learning_rate": 0.08, "extra_trees": True}, n_trials=7, is_used=True)
    made, plain = model(tuned=tuned), model()
    assert made.learned is not None
    assert plain.learned is not None
    assert made.learned.blend.forests["tuned"] != plain.learned.blend.forests["small"]
    assert model_from_files(bundle_files(made)) == sealed(made)


def test_no_cell_of_a_lead_is_in_the_bundle(files: dict[str, bytes]) -> None:
    assert not [name for name, content in files.items() if b"rare" in content]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        pytest.param("manifest.json", lambda _: [], id="a manifest that is a list"),
        pytest.param("manifest.json", lambda m: {**m, "verdict": "superb"}, id="an unknown verdict"),
        pytest.param("schema.json", lambda s: {**s, "columns": s["columns"][:1]}, id="a column less"),
        pytest.param("schema.json", lambda _: None, id="no schema"),
        pytest.param("encoder.json", lambda e: {**e, "codes": e["codes"][:1]}, id="a code less"),
        pytest.param("linear.json", lambda m: {**m, "terms": m["terms"][:1]}, id="a term less"),
        pytest.param("blend.json", lambda b: {**b, "depth": 3}, id="a setting more"),
        pytest.param("blend.json", lambda b: {**b, "shares": {"small": "half"}}, id="a share in words"),
        pytest.param("blend.json", lambda b: {**b, "shares": {"oracle": 1.0}}, id="a learner there is none of"),
        pytest.param(
            "blend.json", lambda b: {**b, "shares": {"tuned": 0.3, "linear": 0.7}}, id="tuned without settings"
        ),
        pytest.param(
            "blend.json", lambda b: {**b, "tuned": {"settings": {"num_leaves": "9"}, "n_trials": 3}}, id="words"
        ),
        pytest.param("blend.json", lambda b: {**b, "tuned": None}, id="tuned into nothing"),
        pytest.param("calibrator.json", lambda c: {"slope": c["slope"]}, id="half a calibrator"),
        pytest.param("thresholds.json", lambda t: {**t, "sql_promise": 1}, id="a promise that is a number"),
        pytest.param("reasons.json", lambda _: {}, id="no reasons"),
        pytest.param("rules.json", lambda r: {**r, "sheet": {"rules": [{}]}}, id="an empty rule"),
        pytest.param("calibrator.json", lambda c: {**c, "slope": float("nan")}, id="no JSON number"),
    ],
)
def test_files_that_do_not_fit_together_are_refused(
    files: dict[str, bytes], name: str, change: Callable[[Any], Any]
) -> None:
    with pytest.raises(BundleError) as caught:
        model_from_files(changed(files, name, change))
    assert caught.value.fallback_reason == "HASH_MISMATCH"


@pytest.mark.parametrize(
    "name", ["manifest.json", "schema.json", "forest_0.txt", "linear.json", "reasons.json", "card.md"]
)
def test_a_bundle_that_lost_a_file_is_refused(files: dict[str, bytes], name: str) -> None:
    rest = {other: content for other, content in files.items() if other != name}
    with pytest.raises(BundleError, match="do not fit together"):
        model_from_files(rest)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000], ids=["empty", "cut", "no text", "deep"])
def test_a_file_that_is_no_json_is_refused(files: dict[str, bytes], content: bytes) -> None:
    with pytest.raises(BundleError, match="do not fit together"):
        model_from_files({**files, "schema.json": content})


def test_a_broken_forest_is_refused_before_lightgbm_reads_it(files: dict[str, bytes]) -> None:
    with pytest.raises(BundleError, match="trees cannot be trusted"):
        model_from_files({**files, "forest_0.txt": files["forest_0.txt"][:-200]})


def test_skill_without_a_model_is_refused() -> None:
    alone = bundle_files(replace(model(), learned=None, reference=None))
    with pytest.raises(BundleError, match="verdict does not fit"):
        model_from_files(alone)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        pytest.param("calibrator.json", lambda c: {**c, "intercept": c["intercept"] + 1e-6}, id="another intercept"),
        pytest.param("blend.json", lambda b: {**b, "shares": {"small": 0.4, "linear": 0.6}}, id="another blend"),
        pytest.param("linear.json", lambda m: {**m, "intercept": 0.0}, id="another line"),
        pytest.param("canaries.json", lambda c: {**c, "margins": c["margins"][:-1]}, id="a margin less"),
        pytest.param("canaries.json", lambda c: {**c, "rows": c["rows"][:-1]}, id="a row less"),
        pytest.param("canaries.json", lambda _: {}, id="no canary"),
        pytest.param("canaries.json", lambda _: [], id="a list of none"),
    ],
)
def test_a_model_that_does_not_reproduce_its_canaries_is_refused(
    files: dict[str, bytes], name: str, change: Callable[[Any], Any]
) -> None:
    with pytest.raises(BundleError, match="does not reproduce") as caught:
        model_from_files(changed(files, name, change))
    assert caught.value.fallback_reason == "CANARY_FAILED"


def test_invented_rows_lie_within_what_the_encoder_follows() -> None:
    rows = invent_rows(ENCODER, n_rows=2000)
    codes, numbers = rows[:, 0], rows[:, 1]
    assert set(codes[~np.isnan(codes)]) == {0.0, 1.0, 2.0}
    assert np.nanmin(numbers) >= -8
    assert np.nanmax(numbers) <= 16
    # A tenth is missing; two thousand draws know that to 0.007.
    assert np.isnan(rows).mean(axis=0) == pytest.approx([0.1, 0.1], abs=0.02)


def test_invented_rows_are_always_the_same() -> None:
    assert invent_rows(ENCODER).shape == (32, 2)
    np.testing.assert_array_equal(invent_rows(ENCODER), invent_rows(ENCODER))


def with_stability() -> PropensityModel:
    original = model()
    assert original.learned is not None
    linear = original.learned.blend.linear
    assert linear is not None
    values, y = leads()
    stability = fit_stability(
        ENCODER.encode(values),
        y,
        linear=linear,
        strength=0.1,
        groups=np.arange(len(y)),
        weight=None,
        scale=1.2,
        calibration=(0.001, 0.0, 0.01),
    )
    return replace(original, learned=replace(original.learned, stability=stability))


def test_ranges_travel_with_the_bundle_and_older_bundles_have_none(files: dict[str, bytes]) -> None:
    again = model_from_files(bundle_files(with_stability())).learned
    older = model_from_files(files).learned
    assert again is not None
    assert older is not None
    rows = invent_rows(ENCODER)
    margin = again.blend.margin(rows)
    assert (again.spread(rows, margin) > 0).all()
    assert np.isnan(older.spread(rows, margin)).all()


def test_a_stability_of_another_model_is_refused() -> None:
    def cut(stability: dict[str, Any]) -> dict[str, Any]:
        return {**stability, "rest": stability["rest"][:-1]}

    with pytest.raises(BundleError):
        model_from_files(changed(bundle_files(with_stability()), "stability.json", cut))


def with_shifts() -> PropensityModel:
    original = model()
    assert original.learned is not None
    shifts = Shifts(terms={0: CategoryTerm(values=(0.0, -0.6, 0.0), missing=0.3, mean=-0.2)})
    blend = replace(original.learned.blend, shifts=shifts)
    return replace(original, learned=replace(original.learned, blend=blend))


def test_corrected_segments_travel_with_the_bundle_and_older_bundles_have_none(files: dict[str, bytes]) -> None:
    written = bundle_files(with_shifts())
    again, older = model_from_files(written), model_from_files(files)
    assert bundle_files(again) == written
    assert again.learned is not None
    assert older.learned is not None
    assert ("shifts.json" in files, older.learned.blend.shifts) == (False, None)
    rows = invent_rows(ENCODER)
    moved = again.learned.blend.margin(rows) - older.learned.blend.margin(rows)
    assert moved == pytest.approx(np.where(np.isnan(rows[:, 0]), 0.3, np.where(rows[:, 0] == 1, -0.6, 0.0)), abs=1e-12)


def test_shifts_of_another_encoder_are_refused_and_changed_ones_miss_their_canaries() -> None:
    def change(**changes: Any) -> Callable[[Any], Any]:
        return lambda shifts: {"terms": [{**term, **changes} for term in shifts["terms"]]}

    written = bundle_files(with_shifts())
    for foreign in ({"column": 1}, {"column": 9}, {"values": [0.0]}):
        with pytest.raises(BundleError) as caught:
            model_from_files(changed(written, "shifts.json", change(**foreign)))
        assert caught.value.fallback_reason == "HASH_MISMATCH"
    with pytest.raises(BundleError) as caught:
        model_from_files(changed(written, "shifts.json", change(values=[0.0, 0.6, 0.0])))
    assert caught.value.fallback_reason == "CANARY_FAILED"
