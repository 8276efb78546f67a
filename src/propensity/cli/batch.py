"""The only place that scores a batch part by part: in constant memory, on every core, and never lost when stopped.

Rows flow one way: a chunk is read, each of its slices becomes score rows in some process, and the chunk is kept by the
journal before the next one is. The next chunk is read while one is scored; no more than that is ever held. At the end
the parts are joined. Chunks and slices are the same whatever the machine, so that the bytes are too.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from propensity.cli.workers import workers
from propensity.errors import InputError
from propensity.tally import Tally

if TYPE_CHECKING:
    import pandas as pd

    from propensity.cli.nightly import KeptBands
    from propensity.cli.rows import Source
    from propensity.cli.survey import Survey
    from propensity.features import ScoringRows
    from propensity.hysteresis import Held
    from propensity.model import PropensityModel
    from propensity.storage.journal import Journal
    from propensity.storage.scores import ScoreFormat

# A chunk holds about so many cells: a few dozen megabytes, a second or two of work.
CHUNK_CELLS = 2_000_000
MAX_CHUNK_ROWS, MIN_CHUNK_ROWS = 32_768, 1_024
N_SLICES = 4
MIN_SLICE_ROWS = 1_024
# A process takes seconds to start: fewer chunks than this are scored sooner without.
MIN_SHARED_CHUNKS = 3
STATE_SUFFIX = ".held"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is wanted of every part of a batch; the same in each process.

    Parameters
    ----------
    model : PropensityModel
    format : ScoreFormat
    chunk_rows : int
        How many rows are read at a time.
    as_of, newest, n_reasons, fallback_reason, standin_reason
        As for `scoring.score`.
    """

    model: PropensityModel
    chunk_rows: int
    format: ScoreFormat
    as_of: str
    newest: str
    n_reasons: int
    fallback_reason: str
    standin_reason: str

    def score(
        self, rows: ScoringRows, held: Held | None = None, n_before: int = 0, reasons_fault: str = ""
    ) -> tuple[pd.DataFrame, Tally, Held | None]:
        """Score some rows, of which there is at least one and none twice."""
        from propensity.scoring import score

        scores = score(
            rows.frame,
            model=self.model,
            as_of=self.as_of,
            newest=self.newest,
            n_reasons=self.n_reasons,
            fallback_reason=self.fallback_reason,
            standin_reason=self.standin_reason,
            aside=rows.aside,
            asked=rows.asked,
            held=held,
            n_before=n_before,
            reasons_fault=reasons_fault,
        )
        return scores.frame, scores.tally, scores.held

    def head(self, source: Source) -> pd.DataFrame:
        """Give the columns of score rows, and no row: they are those of any."""
        first = next(source.chunks(self.chunk_rows, None))
        return self.score(first.some(slice(1)))[0].iloc[:0]


@dataclass(frozen=True, kw_only=True)
class _Slice:
    """Some rows to be scored in one go."""

    rows: ScoringRows
    held: Held | None
    n_before: int
    reasons_fault: str


# Of a slice: its part of the file, its counts, and which band each lead is held in.
_Scored: TypeAlias = "tuple[bytes, Tally, Held | None]"


class _ReasonsFailed(Exception):  # noqa: N818 - no error: the batch goes on without them
    """The reasons of some part failed their test, so that none has any."""


def chunk_rows(n_columns: int) -> int:
    """Give how many rows a chunk has, by how wide they are alone.

    Examples
    --------
    >>> chunk_rows(10), chunk_rows(500), chunk_rows(10_000)
    (32768, 4000, 1024)
    """
    return min(MAX_CHUNK_ROWS, max(MIN_CHUNK_ROWS, CHUNK_CELLS // max(n_columns, 1)))


def rows_done(journal: Journal) -> int:
    """Count the rows whose scores are kept."""
    return sum(int(line["rows"]) for line in journal.lines)


def score_parts(
    source: Source,
    survey: Survey,
    asked: Asked,
    *,
    bands: KeptBands,
    journal: Journal,
    report: Callable[[int], None],
) -> Tally:
    """Score what the journal has not yet, and give the counts of all of it.

    Parameters
    ----------
    source : Source
    survey : Survey
        What was found when it was looked through.
    asked : Asked
    bands : KeptBands
    journal : Journal
    report : callable
        Told how many rows of the source are done.

    Returns
    -------
    Tally

    Raises
    ------
    InputError
        Rows cannot be read.
    OutputError
        A part cannot be written.
    WorkerError
        A process ended before its time.
    """
    fault = next((str(line["tally"]["reasons_fault"]) for line in journal.lines), "")
    n_left = len(survey.stays) - rows_done(journal)
    with _scorers(asked, n_chunks=-(-n_left // asked.chunk_rows)) as apply:
        go = partial(
            _score_chunks,
            source,
            survey,
            n_rows=asked.chunk_rows,
            bands=bands,
            journal=journal,
            report=report,
            apply=apply,
        )
        try:
            go(reasons_fault=fault)
        except _ReasonsFailed as failed:
            journal.restart()
            go(reasons_fault=str(failed))
    return sum((Tally.of_json(line["tally"]) for line in journal.lines), Tally())


def _score_chunks(
    source: Source,
    survey: Survey,
    *,
    n_rows: int,
    bands: KeptBands,
    journal: Journal,
    report: Callable[[int], None],
    apply: Callable[[Iterable[_Slice]], Iterator[_Scored]],
    reasons_fault: str,
) -> None:
    keep = partial(_keep, journal, key=bands.key_digest, is_known=bool(reasons_fault))
    n_before, n_kept = 0, len(journal.lines)
    scored: _Chunk | None = None
    for number, read in enumerate(source.chunks(n_rows, None)):
        n_here = len(read.frame)
        if n_before + n_here > len(survey.stays):
            raise changed()
        if number >= n_kept:
            rows = read.some(survey.stays[n_before : n_before + n_here])
            known = bands.held(rows.frame)
            slices = _slices(rows, None if known is None else known[1], n_before, reasons_fault)
            done = None if scored is None else scored.wait()
            # No process is idle while what is done is written.
            begun = _Chunk(n_rows=n_here, codes=None if known is None else known[0], results=apply(slices))
            if done is not None:
                keep(done)
                report(n_before)
            scored = begun
        n_before += n_here
    if scored is not None:
        keep(scored.wait())
    report(n_before)
    if n_before != len(survey.stays):
        raise changed()


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    """A chunk whose slices are scored, or have been."""

    n_rows: int
    codes: np.ndarray | None
    results: Iterable[_Scored]

    def wait(self) -> _Chunk:
        return replace(self, results=[*self.results])


def _slices(rows: ScoringRows, held: Held | None, n_before: int, reasons_fault: str) -> list[_Slice]:
    n = len(rows.frame)
    n_slices = min(N_SLICES, -(-n // MIN_SLICE_ROWS))
    ends = [n * i // n_slices for i in range(n_slices + 1)] if n else []
    return [
        _Slice(
            rows=rows.some(slice(start, stop)),
            held=None if held is None else held.take(np.arange(start, stop)),
            n_before=n_before + start,
            reasons_fault=reasons_fault,
        )
        for start, stop in pairwise(ends)
    ]


def _keep(journal: Journal, chunk: _Chunk, *, key: str, is_known: bool) -> None:
    """Keep a chunk whose slices are done."""
    from propensity.cli.nightly import part_of_state
    from propensity.hysteresis import Held

    results = [*chunk.results]
    tally = sum((tally for _, tally, _ in results), Tally())
    if tally.reasons_fault and not is_known:
        raise _ReasonsFailed(tally.reasons_fault)
    parts = {f".{i}.rows": content for i, (content, _, _) in enumerate(results)}
    if chunk.codes is not None:
        state = [Held.nothing(0), *(held for _, _, held in results if held is not None)]
        band, below = (np.concatenate([getattr(held, name) for held in state]) for name in ("band", "below"))
        parts[STATE_SUFFIX] = part_of_state(chunk.codes, Held(band=band, below=below))
    journal.add(parts, {"rows": chunk.n_rows, "key": key, "tally": tally.to_json()})


@contextlib.contextmanager
def _scorers(asked: Asked, *, n_chunks: int) -> Iterator[Callable[[Iterable[_Slice]], Iterator[_Scored]]]:
    """Give what scores slices, in order: this process, or as many others as there are cores."""
    n_processes = min(N_SLICES, _n_cores())
    if n_processes == 1 or n_chunks < MIN_SHARED_CHUNKS:
        yield lambda slices: map(partial(_score_slice, asked), slices)
        return
    with workers(n_processes, _score_slice, asked) as apply:
        yield apply


def _n_cores() -> int:
    """Give how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _score_slice(asked: Asked, part: _Slice) -> _Scored:
    frame, tally, held = asked.score(part.rows, part.held, part.n_before, part.reasons_fault)
    return asked.format.part(frame), tally, held


def changed() -> InputError:
    """Give the error that what is read is not what was looked through."""
    msg = "The files that are read changed while they were read. Nothing was written: run it again once they rest."
    return InputError(msg)
