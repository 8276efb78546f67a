"""Run the notebooks and keep them with what they showed, so that they can be read where nothing runs.

Usage: python notebooks [NAME ...]
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import jupytext
import nbclient

FOLDER = Path(__file__).parent
# Folders of one machine and addresses in memory say nothing to a reader, and differ each time.
PASSING = (
    (re.compile(r"/(?:tmp|var|home|root|Users|private)/[^\s'\"<>,)]*/"), ""),
    (re.compile(r" at 0x[0-9a-f]+"), ""),
)


def tidy(text: str) -> str:
    """Take out what is of one machine."""
    for pattern, instead in PASSING:
        text = pattern.sub(instead, text)
    return text


def kept(path: Path) -> None:
    """Run one notebook and write it beside its script."""
    notebook = jupytext.read(path)
    with tempfile.TemporaryDirectory() as folder:
        nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell["metadata"] = {}
        cell["id"] = f"cell-{notebook.cells.index(cell)}"
        # What tools print about themselves on standard error is nobody's result.
        outputs = [one for one in cell.get("outputs", []) if one.get("name") != "stderr"]
        for output in outputs:
            if "text" in output:
                output["text"] = tidy(output["text"])
            for kind, content in output.get("data", {}).items():
                if kind.startswith("text/"):
                    output["data"][kind] = tidy(content)
        if cell["cell_type"] == "code":
            cell["outputs"] = outputs
    notebook["metadata"] = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    jupytext.write(notebook, path.with_suffix(".ipynb"))
    print(f"{path.stem}: {path.with_suffix('.ipynb').stat().st_size / 1000:,.0f} kB")


if __name__ == "__main__":
    for script in sorted(FOLDER.glob("0*.py")):
        if not sys.argv[1:] or script.stem in sys.argv[1:]:
            kept(script)
