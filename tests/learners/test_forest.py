from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys

import lightgbm as lgb
import numpy as np
import pytest
import shap
from scipy import special
from sklearn.metrics import roc_auc_score

from propensity.errors import BundleError
from propensity.learners import Forest, check_forest_text, fit_forest

N_FEATURES = 3


def some_leads(n_leads: int = 600, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two numbers, one of them often missing, and a category of six codes; the outcome hangs on all three."""
    rng = np.random.default_rng(seed)
    visits = rng.poisson(3, n_leads).astype(float)
    pages = np.where(rng.random(n_leads) < 0.3, np.nan, rng.normal(size=n_leads))
    source = rng.integers(0, 6, n_leads).astype(float)
    log_odds = np.where(source % 2 == 0, visits - 3, 3 - visits) + np.where(np.isnan(pages), 1.0, pages)
    y = (rng.random(n_leads) < 1 / (1 + np.exp(-log_odds))).astype(float)
    return np.column_stack([visits, pages, source]), y


@pytest.fixture(scope="module")
def forest() -> Forest:
    matrix, y = some_leads()
    return fit_forest(matrix, y, categorical=(2,), n_trees=20, max_depth=4, seed=0)


def resized(text: str) -> str:
    """Declare the sizes the trees now have, as a careful forger would."""
    head, *blocks = text.removesuffix("end of trees\n").split("Tree=")
    sizes = " ".join(str(len(f"Tree={block}".encode())) for block in blocks)
    lines = [f"tree_sizes={sizes}" if line.startswith("tree_sizes=") else line for line in head.split("\n")]
    return "Tree=".join(["\n".join(lines), *blocks]) + "end of trees\n"


def edited(text: str, old: str, new: str) -> str:
    """Replace a field's first occurrence and mend the sizes."""
    assert old in text
    return resized(text.replace(old, new, 1))


def test_forest_ranks_leads_it_never_saw() -> None:
    matrix, y = some_leads(2000)
    fresh, y_fresh = some_leads(2000, seed=1)
    fitted = fit_forest(matrix, y, categorical=(2,), n_trees=200, max_depth=8, seed=0)
    # The true log-odds reach 0.860, which nothing can beat; no feature alone reaches 0.66.
    assert 0.82 < roc_auc_score(y_fresh, fitted.margin(fresh)) < 0.861


def test_trees_that_start_from_the_truth_find_nothing_to_say() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(4000, N_FEATURES))
    truth = 2 * matrix[:, 0] - 2
    y = (rng.random(4000) < 1 / (1 + np.exp(-truth))).astype(float)
    started, plain = (
        fit_forest(matrix, y, categorical=(), n_trees=20, max_depth=4, seed=0, kind="on_linear", start=start)
        for start in (truth, None)
    )
    # What is left is noise: less than a tenth of what the trees must say by themselves, the level among it.
    assert np.abs(started.margin(matrix)).mean() < 0.1 * np.abs(plain.margin(matrix)).mean()


def test_margin_of_the_first_trees_is_that_of_a_forest_stopped_there(forest: Forest) -> None:
    matrix, y = some_leads()
    shorter = fit_forest(matrix, y, categorical=(2,), n_trees=7, max_depth=4, seed=0)
    np.testing.assert_array_equal(forest.margin(matrix, n_trees=7), shorter.margin(matrix))
    assert (forest.n_trees, shorter.n_trees) == (20, 7)


def test_text_without_its_trailer_predicts_the_bits_of_lightgbm_itself() -> None:
    matrix, y = some_leads()
    forest = fit_forest(matrix, y, categorical=(2,), n_trees=5, max_depth=4, seed=0)
    again = lgb.Booster(model_str=forest.text).model_to_string()
    assert again.startswith(forest.text.removesuffix("end of trees\n"))
    assert "parameters:" not in forest.text


def test_contributions_and_base_sum_to_the_margin(forest: Forest) -> None:
    matrix, _ = some_leads(seed=2)
    _, parts, base = forest.explain(matrix)
    assert parts.shape == matrix.shape
    # Tables hold 32-bit numbers.
    np.testing.assert_allclose(parts.sum(axis=1) + base, forest.margin(matrix), rtol=0, atol=1e-6)


def test_contributions_are_those_of_shap() -> None:
    matrix, y = some_leads()
    forest = fit_forest(matrix[:, :2], y, categorical=(), n_trees=30, max_depth=4, seed=0)
    explainer = shap.TreeExplainer(forest.booster, feature_perturbation="tree_path_dependent")
    explainer.model.model_type = "internal"  # shap's own kernel; else it would ask LightGBM again
    leads = np.nan_to_num(matrix[:, :2])  # shap's kernel sends missing values another way
    _, parts, base = forest.explain(leads)
    np.testing.assert_allclose(parts, explainer.shap_values(leads), rtol=0, atol=1e-6)
    assert base == pytest.approx(float(np.ravel(explainer.expected_value)[0]), abs=1e-9)


def test_no_lead_has_no_margin_and_no_contribution(forest: Forest) -> None:
    nobody = np.empty((0, N_FEATURES))
    assert forest.margin(nobody).shape == (0,)
    assert forest.explain(nobody).contributions.shape == (0, N_FEATURES)


def test_a_lead_alone_scores_as_in_a_batch_bit_for_bit(forest: Forest) -> None:
    matrix, _ = some_leads(60, seed=5)
    alone = np.concatenate([forest.margin(row[None, :]) for row in matrix])
    np.testing.assert_array_equal(alone, forest.margin(matrix))
    parts = np.concatenate([forest.explain(row[None, :]).contributions for row in matrix])
    np.testing.assert_array_equal(parts, forest.explain(matrix).contributions)


def test_depth_is_bounded() -> None:
    matrix, y = some_leads()
    stumps = fit_forest(matrix, y, categorical=(2,), n_trees=5, max_depth=1, seed=0)
    assert {tree["num_leaves"] for tree in stumps.booster.dump_model()["tree_info"]} == {2}


@pytest.mark.parametrize(("n_columns", "most"), [(10, 254), (1_020, 50)])
def test_numbers_of_wide_files_have_fewer_thresholds(n_columns: int, most: int) -> None:
    rng = np.random.default_rng(3)
    matrix = np.zeros((2_000, n_columns))
    matrix[:, 0] = rng.normal(size=2_000)
    y = (rng.random(2_000) < special.expit(2 * np.sin(9 * matrix[:, 0]))).astype(int)
    forest = fit_forest(matrix, y, categorical=(), n_trees=400, max_depth=8, seed=0, kind="extra")
    trees = forest.booster.trees_to_dataframe()
    n_thresholds = trees.loc[trees["split_feature"].notna(), "threshold"].nunique()
    assert most / 2 < n_thresholds <= most


def test_another_seed_is_another_forest(forest: Forest) -> None:
    matrix, y = some_leads()
    assert fit_forest(matrix, y, categorical=(2,), n_trees=20, max_depth=4, seed=1).text != forest.text


def test_training_gives_the_same_bytes_at_any_number_of_threads(forest: Forest) -> None:
    script = (
        "import hashlib, sys, numpy as np\n"
        "from propensity.learners import fit_forest\n"
        "matrix = np.array(eval(sys.stdin.read(), {'nan': np.nan}))\n"
        "fitted = fit_forest(matrix[:, :3], matrix[:, 3], categorical=(2,), n_trees=20, max_depth=4, seed=0)\n"
        "print(hashlib.sha256(fitted.text.encode()).hexdigest())\n"
    )
    matrix, y = some_leads()
    table = repr(np.column_stack([matrix, y]).tolist())
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            input=table,
            env={**os.environ, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for threads in ("1", "2")
    }
    assert digests == {hashlib.sha256(forest.text.encode()).hexdigest()}


@pytest.mark.parametrize(
    ("matrix", "y", "categorical", "n_trees"),
    [
        pytest.param(*some_leads(), (2,), 20, id="numbers and a category, with missing values"),
        pytest.param(some_leads()[0][:, :2], some_leads()[1], (), 5, id="numbers alone"),
        pytest.param(some_leads()[0][:, 2:], some_leads()[1], (0,), 5, id="a category alone"),
        pytest.param(np.arange(2000.0)[:, None] % 70, np.arange(2000.0) % 7 % 2, (0,), 5, id="seventy levels"),
        pytest.param(np.full((200, 2), np.nan), np.tile([0.0, 1.0], 100), (), 3, id="nothing known: single leaves"),
        pytest.param(np.ones((200, 1)), np.tile([0.0, 1.0], 100), (0,), 3, id="one level: single leaves"),
        pytest.param(some_leads()[0], np.zeros(600), (2,), 3, id="nobody converted"),
        pytest.param(some_leads()[0], np.ones(600), (2,), 3, id="all converted"),
        pytest.param(np.array([[0.0], [1.0]] * 10), np.array([0.0, 1.0] * 10), (), 3, id="twenty leads"),
        pytest.param(some_leads()[0] * 1e29, some_leads()[1], (), 3, id="numbers near the largest allowed"),
    ],
)
def test_an_honest_forest_is_never_refused(
    matrix: np.ndarray, y: np.ndarray, categorical: tuple[int, ...], n_trees: int
) -> None:
    fitted = fit_forest(matrix, y, categorical=categorical, n_trees=n_trees, max_depth=8, seed=0)
    check_forest_text(fitted.text, n_features=matrix.shape[1])
    assert np.isfinite(fitted.margin(matrix)).all()


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("version=v4", "version=v3", "version 4"),
        ("num_class=1", "num_class=3", "several classes"),
        ("num_tree_per_iteration=1", "num_tree_per_iteration=2", "several classes"),
        ("max_feature_idx=2", "max_feature_idx=9", "other features"),
        ("feature_names=f0 ", "feature_names=", "names are others"),
        ("feature_infos=[", "feature_infos=[0:1] [", "ranges are missing"),
        ("objective=binary sigmoid:1", "objective=regression", "not binary"),
        ("objective=", "objection=", "'objective'"),
        ("label_index=0", "label_index=0\nlabel_index=0", "twice"),
        ("Tree=1\n", "Tree=2\n", "out of order"),
        ("Tree=1\n", "Tree=one\n", "out of order"),
        ("num_leaves=", "num_leaves=-", "no leaf"),
        ("num_leaves=", "num_leaves=9", "another length"),
        ("num_cat=", "num_cat=-1", "no leaf"),
        ("is_linear=0", "is_linear=1", "linear"),
        ("leaf_value=", "leaf_value=nan ", "another length"),
        ("leaf_value=0.", "leaf_value=1e9999", "not finite"),
        ("leaf_value=0.", "leaf_value=nan", "a number is not one"),
        ("leaf_weight=", "leaf_weight=1_0", "a number is not one"),
        ("split_gain=", "split_gain=\u0661", "never writes"),
        ("split_feature=", "split_feature= ", "another length"),
        ("split_feature=", "split_feature=7", "no feature"),
        ("split_feature=", "split_feature=-1", "no feature"),
        ("threshold=", "threshold=0 ", "another length"),
        ("decision_type=", "decision_type=9", "no known kind"),
        ("left_child=1 ", "left_child=2 ", "not reached once"),
        ("cat_boundaries=0", "cat_boundaries=1", "overlap"),
        ("cat_threshold=", "cat_threshold=-", "set is broken"),
        ("shrinkage=", "shrinkage=inf", "a number is not one"),
    ],
)
def test_a_forged_field_is_refused_by_name(forest: Forest, old: str, new: str, word: str) -> None:
    # A tree that opens with a category split, so that every field stands in the first one named.
    with pytest.raises(BundleError, match=word) as caught:
        check_forest_text(edited(forest.text, old, new), n_features=N_FEATURES)
    assert caught.value.fallback_reason == "HASH_MISMATCH"


def one_tree(**fields: str) -> str:
    """Write a forest of one tree of three leaves by hand: node 0 parts f0 at 0.5, node 1 parts f1 by a set."""
    tree = {
        "num_leaves": "3",
        "num_cat": "1",
        "split_feature": "0 1",
        "split_gain": "2 1",
        "threshold": "0.5 0",
        "decision_type": "2 1",
        "left_child": "-1 -2",
        "right_child": "1 -3",
        "leaf_value": "0.25 0.5 -0.75",
        "leaf_weight": "1 1 1",
        "leaf_count": "4 3 3",
        "internal_value": "0 0",
        "internal_weight": "3 2",
        "internal_count": "10 6",
        "cat_boundaries": "0 1",
        "cat_threshold": "6",
        "is_linear": "0",
        "shrinkage": "1",
        **fields,
    }
    lines = "".join(f"{name}={value}\n" for name, value in tree.items())
    head = (
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\n"
        "objective=binary sigmoid:1\nfeature_names=f0 f1\nfeature_infos=[0:1] 0:1:2\ntree_sizes=0\n\n"
    )
    return resized(f"{head}Tree=0\n{lines}\n\nend of trees\n")


def test_a_tree_written_by_hand_says_what_it_was_written_to_say() -> None:
    text = one_tree()
    check_forest_text(text, n_features=2)
    # Left of 0.5: leaf 0. Else codes 1 and 2 (binary 110 is 6) go left, all others and missing right.
    matrix = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 0.0], [1.0, np.nan]])
    assert Forest(text).margin(matrix).tolist() == [0.25, 0.5, 0.5, -0.75, -0.75]


@pytest.mark.parametrize(
    ("lead", "parts"),
    [
        # Of ten leads in training four, three and three reached the leaves 0.25, 0.5 and -0.75; knowing nothing, the
        # expected margin is 0.025. Each part is the mean gain from learning a feature first and last.
        pytest.param([0.0, 0.0], [(0.225 - 0.15) / 2, (0.375 + 0.0) / 2], id="known: 0.25; only f1: 0.4"),
        pytest.param([1.0, 0.0], [(-0.15 + 0.1) / 2, (0.375 + 0.625) / 2], id="only f0: -0.125; only f1: 0.4"),
        pytest.param([1.0, 1.0], [(-0.15 - 0.4) / 2, (-0.375 - 0.625) / 2], id="only f0: -0.125; only f1: -0.35"),
    ],
)
def test_contributions_of_a_tree_written_by_hand_are_its_shapley_values(lead: list[float], parts: list[float]) -> None:
    numbers = {"num_cat": "0", "threshold": "0.5 0.5", "decision_type": "2 2"}
    _, found, base = Forest(one_tree(**numbers)).explain(np.array([lead]))
    np.testing.assert_allclose(found[0], parts, rtol=1e-7, atol=0)
    assert base == pytest.approx(0.025, abs=1e-12)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        pytest.param({"left_child": "0 -2"}, "not reached once", id="a node is its own child"),
        pytest.param({"left_child": "-1 -1"}, "not reached once", id="a leaf is reached twice"),
        pytest.param({"left_child": "-1 -9"}, "not reached once", id="a leaf beyond the last"),
        pytest.param({"cat_boundaries": "0 2"}, "another length", id="a set longer than the words there are"),
        pytest.param({"cat_threshold": "4294967296"}, "set is broken", id="a word of more than 32 bits"),
        pytest.param({"threshold": "0.5 1"}, "has no set", id="the second of one sets"),
        pytest.param({"threshold": "0.5 0.5"}, "has no set", id="half a set"),
        pytest.param({"threshold": "0.5 -1"}, "has no set", id="a set before the first"),
        pytest.param({"num_cat": "0"}, "has no set", id="a category split without sets"),
        pytest.param({"internal_count": "10"}, "another length", id="a count is missing"),
        pytest.param({"leaf_weight": "1 1 1e999"}, "not finite", id="an infinite weight"),
        pytest.param({"leaf_count": ""}, "another length", id="no counts"),
        pytest.param({"decision_type": "-2 1"}, "no known kind", id="a negative decision"),
        pytest.param({"leaf_count": "4 3 3e0"}, "invalid literal", id="a count that is no whole number"),
        pytest.param({"is_linear": "0\n"}, "not a field", id="a blank line among the fields"),
        pytest.param({"shrinkage": "1=1"}, "not a field", id="a value with an equals sign"),
        pytest.param({"left_child": "-1 -2.0"}, "invalid literal", id="a child that is no whole number"),
    ],
)
def test_a_forged_tree_is_refused(fields: dict[str, str], word: str) -> None:
    with pytest.raises(BundleError, match=word):
        check_forest_text(one_tree(**fields), n_features=2)


def chain(n_nodes: int) -> dict[str, str]:
    """A tree that is one long branch."""
    ones, nodes = " ".join(["1"] * n_nodes), range(n_nodes)
    return {
        "num_leaves": str(n_nodes + 1),
        "num_cat": "0",
        **dict.fromkeys(("split_gain", "internal_value", "internal_weight", "internal_count", "threshold"), ones),
        **dict.fromkeys(("leaf_value", "leaf_weight", "leaf_count"), f"{ones} 1"),
        "split_feature": " ".join(["0"] * n_nodes),
        "decision_type": " ".join(["2"] * n_nodes),
        "left_child": " ".join(str(-1 - node) for node in nodes),
        "right_child": " ".join(str(node + 1 if node + 1 < n_nodes else -1 - n_nodes) for node in nodes),
    }


def test_a_tree_of_eight_levels_passes_and_one_of_nine_does_not() -> None:
    check_forest_text(one_tree(**chain(8)), n_features=2)
    with pytest.raises(BundleError, match="deeper than 8"):
        check_forest_text(one_tree(**chain(9)), n_features=2)


def test_nodes_that_reach_each_other_in_a_circle_are_refused() -> None:
    # Nodes 1 and 2 are each reached once, by each other, and node 0 has two leaves: prediction would be safe here,
    # but a walk over all nodes would never end.
    circle = {
        "num_leaves": "4",
        "split_feature": "0 1 0",
        "split_gain": "2 1 1",
        "threshold": "0.5 0 0.2",
        "decision_type": "2 1 2",
        "left_child": "-1 2 1",
        "right_child": "-2 -3 -4",
        "leaf_value": "1 2 3 4",
        "leaf_weight": "1 1 1 1",
        "leaf_count": "1 1 1 1",
        "internal_value": "0 0 0",
        "internal_weight": "1 1 1",
        "internal_count": "4 2 2",
    }
    with pytest.raises(BundleError, match="own ancestor"):
        check_forest_text(one_tree(**circle), n_features=2)


@pytest.mark.parametrize("text", ["", "tree\n", "{}", "end of trees\n", "\x00" * 100, "tree_sizes=1\nend of trees\n"])
def test_what_is_no_forest_is_refused(text: str) -> None:
    with pytest.raises(BundleError, match="cannot be trusted"):
        check_forest_text(text, n_features=N_FEATURES)


def test_a_tree_of_another_size_than_declared_is_refused(forest: Forest) -> None:
    with pytest.raises(BundleError, match="tree 0 has another size"):
        check_forest_text(forest.text.replace("Tree=0\n", "Tree=0\n\n"), n_features=N_FEATURES)


def test_a_forest_that_lost_a_tree_is_refused(forest: Forest) -> None:
    cut = forest.text[: forest.text.index("Tree=19")] + "end of trees\n"
    with pytest.raises(BundleError, match="trees are missing"):
        check_forest_text(cut, n_features=N_FEATURES)


def truncations(text: str, rng: random.Random, n: int) -> list[str]:
    cuts = [text[: rng.randrange(len(text))] for _ in range(n)]
    # A forger also writes the end back and mends the sizes.
    return [*cuts, *(cut + "end of trees\n" for cut in cuts), *(resized(cut) for cut in cuts)]


def line_edits(text: str, rng: random.Random, n: int) -> list[str]:
    odd = ["", "0", "1", "-1", "-2", "7", "99999999", "-99999999", "4294967296", "1e308", "nan", "inf", "1_0", "x", "."]
    texts = []
    for _ in range(n):
        lines = text.split("\n")
        at = rng.randrange(len(lines))
        match rng.randrange(5):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, lines[rng.randrange(len(lines))])
            case 2:
                other = rng.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
            case 3:
                name, equals, values = lines[at].partition("=")
                cells = values.split(" ")
                cells[rng.randrange(len(cells))] = rng.choice(odd)
                lines[at] = name + equals + " ".join(cells)
            case _:
                name, equals, values = lines[at].partition("=")
                cells = values.split(" ")
                cells.insert(rng.randrange(len(cells)), rng.choice(cells))
                lines[at] = name + equals + " ".join(cells)
        texts.append("\n".join(lines))
    return [*texts, *(resized(changed) for changed in texts if changed.endswith("end of trees\n"))]


def byte_flips(text: str, rng: random.Random, n: int) -> list[str]:
    texts = []
    for _ in range(n):
        content = bytearray(text.encode())
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(7)  # stays ASCII, as a reader of text demands
        texts.append(content.decode())
    return texts


LOADS = """
import json, sys
import numpy as np
from propensity.learners import Forest
matrix = np.array([[0.0, np.nan, 1.0], [5.0, 1.0, np.nan], [np.nan, -2.0, 5.0], [1e30, -1e30, 200.0]])
for text in json.load(sys.stdin):
    forest = Forest(text)
    assert forest.margin(matrix).shape == (4,)
    assert forest.explain(matrix).contributions.shape == (4, 3)
print("alive")
"""


def test_no_damaged_text_that_passes_the_check_kills_the_process() -> None:
    matrix, y = some_leads()
    text = fit_forest(matrix, y, categorical=(2,), n_trees=4, max_depth=4, seed=0).text
    rng = random.Random(0)  # noqa: S311 - damage, not secrets
    accepted: list[str] = []
    n_refused = 0
    for damaged in [*truncations(text, rng, 300), *line_edits(text, rng, 700), *byte_flips(text, rng, 500)]:
        try:
            check_forest_text(damaged, n_features=N_FEATURES)
        except BundleError:
            n_refused += 1
        else:
            accepted.append(damaged)
    assert n_refused > 1500  # nearly all; what is left changed a number into another number
    assert len(accepted) > 50  # or the next lines would prove nothing
    loaded = subprocess.run(
        [sys.executable, "-c", LOADS], input=json.dumps(accepted), capture_output=True, text=True, check=False
    )
    assert (loaded.returncode, loaded.stdout) == (0, "alive\n"), loaded.stderr[-2000:]


def test_forest_that_splits_missing_from_all_others_is_honest() -> None:
    rng = np.random.default_rng(0)
    column = rng.random(600)
    y = (rng.random(600) < 0.5).astype(float)
    column[y == 1] = np.where(rng.random(int(y.sum())) < 0.9, np.nan, column[y == 1])
    forest = fit_forest(column[:, None], y, categorical=(), n_trees=3, max_depth=3, seed=0)
    assert "inf" in forest.text
    check_forest_text(forest.text, n_features=1)
