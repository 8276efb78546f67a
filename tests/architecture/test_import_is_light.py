from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import propensity
from propensity.registry.store import SCORE_PATH

PACKAGE = Path(propensity.__file__).parent
HEAVY = {
    "pandas",
    "numpy",
    "sklearn",
    "scipy",
    "lightgbm",
    "mlflow",
    "shap",
    "matplotlib",
    "pyarrow",
    "pydantic",
    "rich",
    "optuna",
    "numba",
}
SCORING_NEEDS = {"numpy", "pandas", "lightgbm"}


def loaded_by(code: str) -> set[str]:
    """Top-level modules in a fresh Python after it has run the code."""
    report = "import json, sys; print('\\n' + json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["train", "--help"], ["score", "--help"], ["nonsense"]]
)
def test_asking_for_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import sys
sys.argv = ["propensity", *{arguments!r}]
from propensity.__main__ import main
try:
    main()
except SystemExit:
    pass
"""
    loaded = loaded_by(code)
    assert "argparse" in loaded
    assert loaded & HEAVY == set()


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import propensity; propensity.__version__; propensity.__all__") & HEAVY == set()


def test_reading_a_config_loads_no_learner() -> None:
    assert loaded_by("from propensity.config import parse_config") & HEAVY == {"pydantic"}


def test_scoring_loads_no_more_than_numpy_pandas_and_lightgbm_need() -> None:
    own = loaded_by("import numpy, pandas, lightgbm")
    scoring = loaded_by("import propensity.scoring, propensity.storage.bundles")
    assert (scoring - own) & HEAVY == set()


def modules_of_the_score_path() -> list[Path]:
    found = [PACKAGE / name for name in SCORE_PATH]
    return sorted(module for path in found for module in (path.glob("**/*.py") if path.is_dir() else [path]))


def imported_at_once(tree: ast.Module) -> Iterator[str]:
    """Names of modules imported when the module is: not within functions, not for types alone."""
    nodes: list[ast.stmt] = [*tree.body]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield str(node.module)
        elif isinstance(node, ast.If):
            is_for_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
            nodes += node.orelse if is_for_types else [*node.body, *node.orelse]
        elif isinstance(node, ast.Try):
            nodes += [*node.body, *(line for handler in node.handlers for line in handler.body), *node.orelse]
            nodes += node.finalbody
        elif isinstance(node, ast.With | ast.ClassDef):
            nodes += node.body


@pytest.mark.parametrize("module", modules_of_the_score_path(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_that_travels_with_a_model_imports_only_what_a_consumer_has(module: Path) -> None:
    travelling = {path.relative_to(PACKAGE).with_suffix("") for path in modules_of_the_score_path()}
    known = {".".join(("propensity", *path.parts)).removesuffix(".__init__") for path in travelling}
    for name in imported_at_once(ast.parse(module.read_text(encoding="utf-8"))):
        top = name.split(".")[0]
        if top == "propensity":
            assert name in known, f"{name} does not travel with a model"
        else:
            # Reasons by tables: a consumer without numba has them from LightGBM.
            more = {"numba"} if module.name == "treeshap.py" else set()
            assert top in sys.stdlib_module_names | SCORING_NEEDS | more, f"{name} is not among what a consumer needs"


def test_the_package_of_files_imports_nothing() -> None:
    tree = ast.parse((PACKAGE / "storage" / "__init__.py").read_text(encoding="utf-8"))
    assert [type(node) for node in tree.body] == [ast.Expr]  # its docstring alone
