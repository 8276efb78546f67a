"""The only place where `score` writes its list for people, from the scores it has written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from propensity.errors import InputError

if TYPE_CHECKING:
    from propensity.model import PropensityModel

# Score rows looked at together.
CHUNK_ROWS = 20_000


def check_list(named: str | None, output: Path) -> Path | None:
    """Refuse early a list that could not be written; None where none is wanted.

    Raises
    ------
    InputError
        It is called otherwise than a page, or as the scores are.
    OutputError
        The place cannot be written.
    """
    from propensity.storage.writing import check_writable

    if named is None:
        return None
    path = Path(os.path.realpath(named))
    check_writable(path)
    if path.suffix.lower() not in {".html", ".htm"}:
        msg = f"--html writes a page, got {path.name[-40:]!r}. Name a file that ends in .html."
        raise InputError(msg)
    if path == output:
        msg = "-o and --html name the same file. Give the list a name of its own."
        raise InputError(msg)
    return path


def write_list(path: Path, scores: Path, model: PropensityModel, *, as_of: str) -> None:
    """Write the best leads of a score file as a page.

    Raises
    ------
    OutputError
        The page cannot be written.
    """
    from propensity.reporting import best_leads, leads_page
    from propensity.storage.chunks import open_leads
    from propensity.storage.writing import write_text

    file = open_leads(scores)
    assert file is not None  # noqa: S101 - we wrote it, and not zipped
    leads, counts = best_leads(file.chunks(CHUNK_ROWS))
    write_text(path, leads_page(leads, counts, agreement=model.agreement, as_of=as_of))
