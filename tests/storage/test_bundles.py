from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.bands import fit_bands
from propensity.calibration import fit_calibrator
from propensity.config import AgreementConfig, ColumnsConfig, RulesConfig
from propensity.encoding import fit_encoder
from propensity.errors import BundleError
from propensity.explanations import fit_reference
from propensity.learners import Learners, Recipe
from propensity.model import Learned, PropensityModel, bundle_files, rules_model, sealed, version_of
from propensity.rules import build_rules
from propensity.schema import NURTURE, infer_schema, validate
from propensity.scoring import score
from propensity.storage.bundles import MAX_FILE_BYTES, MAX_MANIFEST_BYTES, load_bundle, save_model

MISSING = {"*": ("", "unknown")}
RARE = "Owl breeding in Ribnica"
N_ATTACKS = 200


def leads(n_leads: int, *, seed: int = 0) -> pd.DataFrame:
    """Leads that convert the more, the more pages they saw; one of them is in a trade of its own."""
    rng = np.random.default_rng(seed)
    pages, trade = rng.poisson(4, n_leads), rng.choice(["Health", "Retail", "Software"], n_leads)
    chance = 1 / (1 + np.exp(3 - 0.5 * pages - (trade == "Software")))
    return pd.DataFrame(
        {
            "Lead ID": [f"secret-id-{i}" for i in range(n_leads)],
            "Email": [f"person{i}@example.com" for i in range(n_leads)],
            "Trade": np.where(np.arange(n_leads) == 7, RARE, trade),
            "Employees": np.where(rng.random(n_leads) < 0.2, "", rng.integers(1, 500, n_leads).astype(str)),
            "Pages": pages,
            "Converted": np.where(rng.random(n_leads) < chance, "yes", "no"),
        }
    )


def fitted(*, seed: int = 0, forest_share: float = 0.5) -> PropensityModel:
    """A small model of both learners, with rules behind it; quality is of no concern here."""
    history = leads(600, seed=seed)
    y = (history["Converted"] == "yes").to_numpy(dtype=float)
    columns = ColumnsConfig(id="Lead ID", fit=("Trade", "Employees"), behaviour=("Pages",), count=("Pages",))
    schema, _ = infer_schema(history, columns, availability={}, missing=MISSING)
    read = validate(history, schema).read
    encoder = fit_encoder(read, schema)
    matrix = encoder.encode(read)
    recipe = Recipe(shares={"small": forest_share, "linear": 1 - forest_share}, n_trees={"small": 8})
    blend = Learners(lambda: matrix, y, encoder=encoder, max_trees=3000, max_depth=3, seed=0).blend(recipe)
    calibrator = fit_calibrator(blend.margin(matrix), y, np.arange(600) // 150, period=np.arange(600) // 150)
    probability = calibrator.probability(blend.margin(matrix))
    bands = fit_bands(
        probability[:400],
        probability[400:],
        y[400:],
        agreement=AgreementConfig(),
        base_rate=float(y.mean()),
        leads_per_week=10.0,
        n_positive=int(y.sum()),
    )
    contributions = blend.explain(matrix).contributions
    sheet = {"name": "reader", "column": "Pages", "op": ">=", "value": 5, "points": 30, "group": "what they did"}
    limits = {"what they did": {"family": "behaviour", "min": -10, "max": 50}}
    rules = build_rules(RulesConfig.model_validate({"points": [sheet], "groups": limits}), missing=MISSING)
    return sealed(
        PropensityModel(
            schema=schema,
            rules=rules,
            verdict="skill",
            learned=Learned(encoder=encoder, blend=blend, calibrator=calibrator, bands=bands),
            reference=fit_reference(contributions, read, schema, is_nurture=bands.assign(probability) == NURTURE),
            points_calibrator=calibrator,
            agreement=AgreementConfig().model_dump(mode="json"),
            facts={"rows": 600, "target": "Converted"},
            card="# Model card\n",
        )
    )


@pytest.fixture(scope="module")
def model() -> PropensityModel:
    return fitted()


@pytest.fixture(scope="module")
def files(model: PropensityModel) -> dict[str, bytes]:
    return bundle_files(model)


@pytest.fixture
def bundle(model: PropensityModel, tmp_path: Path) -> Path:
    return save_model(model, tmp_path / "bundle")


def reseal(bundle: Path) -> None:
    """Make the manifest fit whatever the bundle holds, as a careful forger would."""
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    manifest["files"] = {
        entry.name: {"size": entry.stat().st_size, "sha256": hashlib.sha256(entry.read_bytes()).hexdigest()}
        for entry in bundle.iterdir()
        if entry.name != "manifest.json"
    }
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def edit_manifest(bundle: Path, **changes: Any) -> None:
    path = bundle / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}))


def reason_of_refusal(bundle: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(bundle)
    return caught.value.fallback_reason


@pytest.mark.parametrize("forest_share", [0.0, 0.5, 1.0])
def test_a_model_that_was_saved_and_loaded_scores_the_same_bits(tmp_path: Path, forest_share: float) -> None:
    model = fitted(forest_share=forest_share)
    again = load_bundle(save_model(model, tmp_path / "bundle"))
    fresh = leads(200, seed=5)
    pd.testing.assert_frame_equal(score(fresh, model=again).frame, score(fresh, model=model).frame, check_exact=True)
    assert bundle_files(again) == bundle_files(model)
    learners = {"linear.json": forest_share < 1, "forest_0.txt": forest_share > 0}
    assert {name: (tmp_path / "bundle" / name).exists() for name in learners} == learners


def test_rules_alone_are_a_bundle_too(model: PropensityModel, tmp_path: Path) -> None:
    alone = rules_model(model.rules, model.schema)
    again = load_bundle(save_model(alone, tmp_path / "bundle"))
    fresh = leads(20, seed=5)
    assert (again.learned, again.verdict) == (None, "rules_only")
    assert score(fresh, model=again).frame["points"].to_list() == score(fresh, model=alone).frame["points"].to_list()


def test_a_model_is_known_by_its_manifest(model: PropensityModel, bundle: Path) -> None:
    manifest = (bundle / "manifest.json").read_bytes()
    assert load_bundle(bundle).version == model.version == version_of(manifest)
    digest = hashlib.sha256(manifest).hexdigest()
    assert load_bundle(bundle, expected_sha256=digest).version == digest[:12]


def test_a_valid_bundle_that_is_not_the_registered_one_is_refused(bundle: Path) -> None:
    with pytest.raises(BundleError, match="is not the one that was registered") as caught:
        load_bundle(bundle, expected_sha256="0" * 64)
    assert caught.value.fallback_reason == "HASH_MISMATCH"


def test_the_manifest_names_every_file(bundle: Path) -> None:
    named = json.loads((bundle / "manifest.json").read_bytes())["files"]
    assert {*named, "manifest.json"} == {entry.name for entry in bundle.iterdir()}


def test_nothing_in_a_bundle_is_a_pickle(files: dict[str, bytes]) -> None:
    for content in files.values():
        assert not content.startswith((b"\x80", b"PK"))  # of pickle's protocols from 2 on; of torch, skops, numpy zips
        assert content.decode("utf-8").isprintable() or "\n" in content.decode()
        with pytest.raises((pickle.UnpicklingError, ValueError, KeyError, IndexError, EOFError)):
            pickle.loads(content)  # noqa: S301 - our own text, and the point is that it is none


def test_no_value_of_a_training_lead_is_in_a_bundle(files: dict[str, bytes]) -> None:
    text = b"\n".join(files.values()).decode().casefold()
    assert "software" in text  # a level of hundreds of leads
    for private in ("secret-id", "person", "example.com", RARE.casefold(), "owl"):
        assert private not in text


def test_a_new_bundle_replaces_the_older_one(bundle: Path) -> None:
    other = fitted(seed=1)
    save_model(other, bundle)
    assert load_bundle(bundle).version == other.version


def test_a_folder_that_is_no_bundle_is_left_alone(model: PropensityModel, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError, match="is no bundle; it is left alone"):
        save_model(model, tmp_path)
    with pytest.raises(BundleError, match="is no bundle; it is left alone"):
        save_model(model, tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("name", ["", "none", "x" * 300, "a\0b"])
def test_where_there_is_no_bundle_there_is_no_model(tmp_path: Path, name: str) -> None:
    assert reason_of_refusal(tmp_path / name) == "MODEL_MISSING"


def test_a_file_cut_short_anywhere_is_refused(bundle: Path, files: dict[str, bytes]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(N_ATTACKS):
        name = rng.choice([*files])
        (bundle / name).write_bytes(files[name][: rng.integers(0, len(files[name]))])
        assert reason_of_refusal(bundle) == "HASH_MISMATCH"
        (bundle / name).write_bytes(files[name])
    load_bundle(bundle)


def test_a_flipped_bit_in_any_file_is_refused(bundle: Path, files: dict[str, bytes]) -> None:
    rng = np.random.default_rng(1)
    for name in sorted({*files} - {"manifest.json"}):
        for _ in range(25):
            content = bytearray(files[name])
            content[rng.integers(0, len(content))] ^= 1 << int(rng.integers(0, 8))
            (bundle / name).write_bytes(content)
            assert reason_of_refusal(bundle) == "HASH_MISMATCH"
        (bundle / name).write_bytes(files[name])
    load_bundle(bundle)


def test_a_flipped_bit_in_the_manifest_is_another_bundle_than_the_registered_one(
    bundle: Path, files: dict[str, bytes]
) -> None:
    manifest, rng = files["manifest.json"], np.random.default_rng(2)
    for _ in range(N_ATTACKS):
        content = bytearray(manifest)
        content[rng.integers(0, len(content))] ^= 1 << int(rng.integers(0, 8))
        (bundle / "manifest.json").write_bytes(content)
        with pytest.raises(BundleError):
            load_bundle(bundle, expected_sha256=hashlib.sha256(manifest).hexdigest())


def test_files_swapped_between_two_valid_bundles_are_refused(bundle: Path, tmp_path: Path) -> None:
    other = save_model(fitted(seed=1), tmp_path / "other")
    names = [entry.name for entry in bundle.iterdir() if (other / entry.name).read_bytes() != entry.read_bytes()]
    assert {"forest_0.txt", "linear.json", "calibrator.json", "canaries.json", "manifest.json"} <= {*names}
    for name in names:
        own = (bundle / name).read_bytes()
        shutil.copy(other / name, bundle / name)
        assert reason_of_refusal(bundle) == "HASH_MISMATCH"
        (bundle / name).write_bytes(own)


def test_the_learner_of_another_model_does_not_reproduce_the_canaries(bundle: Path, tmp_path: Path) -> None:
    other = save_model(fitted(seed=1), tmp_path / "other")
    for name in ("forest_0.txt", "linear.json", "calibrator.json"):
        own = (bundle / name).read_bytes()
        shutil.copy(other / name, bundle / name)
        reseal(bundle)
        assert reason_of_refusal(bundle) == "CANARY_FAILED"
        (bundle / name).write_bytes(own)


@pytest.mark.parametrize("name", ["model.pkl", "forest_1.txt", "python_model.skops", ".hidden", "MLmodel"])
def test_a_file_slipped_in_is_refused(bundle: Path, name: str) -> None:
    (bundle / name).write_bytes(pickle.dumps("gotcha"))
    assert reason_of_refusal(bundle) == "HASH_MISMATCH"


@pytest.mark.parametrize("name", ["model.pkl", "python_model.skops", "loader.py", "conda.yaml", "forest_1234.txt"])
def test_a_file_that_no_bundle_has_is_refused_though_the_manifest_names_it(bundle: Path, name: str) -> None:
    (bundle / name).write_bytes(pickle.dumps("gotcha"))
    reseal(bundle)
    assert reason_of_refusal(bundle) == "HASH_MISMATCH"


@pytest.mark.parametrize(
    "name", ["../secret.json", "/etc/passwd", "sub/rules.json", "rules.json\0", "..", "", "RULES.JSON"]
)
def test_a_name_that_leads_out_of_the_bundle_is_refused(bundle: Path, name: str) -> None:
    (bundle.parent / "secret.json").write_text("{}")
    listed = json.loads((bundle / "manifest.json").read_bytes())["files"]
    content = {"size": 2, "sha256": hashlib.sha256(b"{}").hexdigest()}
    edit_manifest(bundle, files={**listed, name: content})
    with pytest.raises(BundleError, match="names a file that no bundle has"):
        load_bundle(bundle)


@pytest.mark.parametrize("name", ["manifest.json", "rules.json", "forest_0.txt"])
def test_a_link_is_refused_though_it_leads_to_the_right_bytes(bundle: Path, tmp_path: Path, name: str) -> None:
    (bundle / name).rename(tmp_path / "elsewhere")
    (bundle / name).symlink_to(tmp_path / "elsewhere")
    assert reason_of_refusal(bundle) == "HASH_MISMATCH"


def test_a_folder_in_place_of_a_file_is_refused(bundle: Path) -> None:
    (bundle / "rules.json").unlink()
    (bundle / "rules.json").mkdir()
    assert reason_of_refusal(bundle) == "HASH_MISMATCH"


@pytest.mark.parametrize(("name", "size"), [("manifest.json", MAX_MANIFEST_BYTES), ("rules.json", MAX_FILE_BYTES)])
def test_a_file_too_large_is_refused_unread(bundle: Path, name: str, size: int) -> None:
    with (bundle / name).open("ab") as file:
        file.truncate(size + 1)  # sparse: takes no room
    with pytest.raises(BundleError, match="too large"):
        load_bundle(bundle)


@pytest.mark.parametrize("version", [2, 99, 0, -1, "1", None, [1]])
def test_another_layout_is_refused(bundle: Path, version: object) -> None:
    edit_manifest(bundle, schema_version=version)
    with pytest.raises(BundleError, match="this version reads 1"):
        load_bundle(bundle)


@pytest.mark.parametrize("missing", ["canaries.json", "forest_0.txt", "linear.json", "rules.json", "card.md"])
def test_a_missing_file_is_refused_though_the_manifest_does_not_miss_it(bundle: Path, missing: str) -> None:
    (bundle / missing).unlink()
    assert reason_of_refusal(bundle) == "HASH_MISMATCH"
    reseal(bundle)
    with pytest.raises(BundleError):
        load_bundle(bundle)


@pytest.mark.parametrize("verdict", ["great", None, 1, ["skill"]])
def test_an_unknown_verdict_is_refused(bundle: Path, verdict: object) -> None:
    edit_manifest(bundle, verdict=verdict)
    assert reason_of_refusal(bundle) == "HASH_MISMATCH"


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"schema_version": 1, "files": []}',
        b'{"schema_version": 1, "files": {"rules.json": 1}}',
        b'{"schema_version": 1, "files": {"rules.json": {"size": NaN, "sha256": ""}}}',
        b'{"schema_version": 1, "files": {"rules.json": {"size": Infinity, "sha256": ""}}}',
        b'{"schema_version": 1, "files": {"rules.json": {"size": 1e999, "sha256": ""}}}',
        b'{"schema_version": 1, "files": {}}',
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, manifest: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(manifest)
    assert reason_of_refusal(tmp_path) == "HASH_MISMATCH"


def replace_in(name: str, edit: Callable[[Any], None]) -> Callable[[Path], None]:
    def change(bundle: Path) -> None:
        values = json.loads((bundle / name).read_bytes())
        edit(values)
        (bundle / name).write_text(json.dumps(values))

    return change


FORGERIES: dict[str, Callable[[Path], object]] = {
    "NaN slope": replace_in("calibrator.json", lambda v: v.update(slope=float("nan"))),
    "infinite threshold": replace_in("thresholds.json", lambda v: v.update(sql=float("-inf"))),
    "NaN fact": replace_in("manifest.json", lambda v: v["facts"].update(rows=float("nan"))),
    "slope beyond a float": replace_in("calibrator.json", lambda v: v.update(slope=10**400)),
    "share beyond a float": replace_in("blend.json", lambda v: v.update(shares={"small": 10**400})),
    "canary beyond a float": replace_in("canaries.json", lambda v: v["margins"].__setitem__(0, 10**400)),
    "threshold in words": replace_in("thresholds.json", lambda v: v.update(sql="low")),
    "reasons of another model": replace_in("reasons.json", lambda v: v["margin_parts"].pop()),
    "id that is no name": replace_in("schema.json", lambda v: v.update(id=[7])),
    "rule that is no rule": replace_in("rules.json", lambda v: v["sheet"]["rules"][0].update(cap=[])),
    "unknown key": replace_in("calibrator.json", lambda v: v.update(gain=2)),
    "another feature": replace_in("schema.json", lambda v: v["columns"][0].update(name="Score")),
    "no feature": replace_in("encoder.json", lambda v: v.update(names=[], codes=[])),
    "deep nesting": lambda bundle: (bundle / "rules.json").write_bytes(b"[" * 100_000),
    "no JSON": lambda bundle: (bundle / "encoder.json").write_bytes(pickle.dumps({"names": []})),
    "no text": lambda bundle: (bundle / "card.md").write_bytes(b"\xff\xfe\xff"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")  # numbers that overflow in a forged model
def test_a_forged_bundle_with_a_fitting_manifest_is_refused(bundle: Path, forgery: str) -> None:
    FORGERIES[forgery](bundle)
    reseal(bundle)
    with pytest.raises(BundleError):
        load_bundle(bundle)


# Runs in a process of its own: what a forged forest can do to LightGBM's parser would take the tests along.
FORGER = r"""
import hashlib, json, random, sys, warnings
from pathlib import Path
from propensity.errors import BundleError
from propensity.storage.bundles import load_bundle
import numpy as np

warnings.simplefilter("ignore")
bundle, n_attacks, rng = Path(sys.argv[1]), int(sys.argv[2]), random.Random(0)
files = {entry.name: entry.read_bytes() for entry in bundle.iterdir()}
VALUES = [None, True, 0, -1, 2**31, 10**400, 1e308, -0.5, "", "x", "\0", [], [1], {}, {"a": 1}, float("inf")]

def paths(value, at=()):
    yield at
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from paths(value[key], (*at, key))

def forged_json(content):
    root = json.loads(content)
    *parents, last = rng.choice([at for at in paths(root) if at])
    place = root
    for key in parents:
        place = place[key]
    old = place[last]
    if rng.random() < 0.2:
        del place[last]
    elif isinstance(old, float) and rng.random() < 0.5:
        place[last] = old * (1 + rng.choice([1e-6, 0.5, -2]))
    else:
        place[last] = rng.choice(VALUES)
    return json.dumps(root).encode()

def forged_text(content):
    text = bytearray(content)
    at, sign = rng.randrange(len(text)), rng.choice(b"0123456789-.e =\n")
    text[at : at + rng.choice([0, 1, 1])] = bytes([sign]) * rng.choice([0, 1, 1])
    return bytes(text)

counts = {"refused": 0, "loaded": 0}
for _ in range(n_attacks):
    name = rng.choice([name for name in files if name not in {"card.md", "manifest.json"}])
    content = forged_json(files[name]) if name.endswith(".json") else forged_text(files[name])
    manifest = json.loads(files["manifest.json"])
    manifest["files"][name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (bundle / name).write_bytes(content)
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    try:
        learned = load_bundle(bundle).learned
    except BundleError:
        counts["refused"] += 1
    else:
        counts["loaded"] += 1
        canaries = json.loads((bundle / "canaries.json").read_bytes())
        rows = np.array(canaries["rows"], dtype=float)
        probability = learned.calibrator.probability(learned.blend.margin(rows))
        np.testing.assert_allclose(probability, canaries["probabilities"], rtol=0, atol=1e-9)
    (bundle / name).write_bytes(files[name])
print(json.dumps(counts))
"""


def test_forgeries_with_a_fitting_manifest_are_refused_or_score_as_their_canaries_say(bundle: Path) -> None:
    command = [sys.executable, "-c", FORGER, str(bundle), str(N_ATTACKS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    counts = json.loads(done.stdout)
    assert counts["refused"] + counts["loaded"] == N_ATTACKS
    # Most edits of what a score needs are seen; those of words for people and of unused digits are not.
    assert counts["refused"] > N_ATTACKS / 2
