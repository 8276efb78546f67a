"""The only place for how long work tells how far it is."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

# Where there is no bar that moves, a line is written no more often than this.
LINE_SECONDS = 10.0


@contextlib.contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[str, float], None]]:
    """Give a progress bar on a terminal, plain lines elsewhere, nothing where JSON is wanted."""
    if quiet:
        yield lambda _what, _share: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description:45}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("starting", total=1.0)
            yield lambda what, share: bar.update(task, description=what, completed=share)
    else:
        yield lambda what, share: print(f"  {share:4.0%} {what}", file=sys.stderr)


class Pace:
    """How fast rows are worked through, and how long the rest takes.

    Parameters
    ----------
    tell : callable
        As `progress` gives it.
    doing : str
        What is done, such as "scoring".
    n_rows : int or None
        All there are; None where that is not known yet.
    n_done : int
        Of them, those done before.
    clock : callable
        Gives seconds.
    """

    def __init__(
        self,
        tell: Callable[[str, float], None],
        doing: str,
        *,
        n_rows: int | None = None,
        n_done: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell, self._doing, self._n_rows, self._n_before, self._clock = tell, doing, n_rows, n_done, clock
        self._start = self._told = clock()

    def __call__(self, n_done: int) -> None:
        """Tell how far it is, once so many rows are done."""
        now = self._clock()
        if not sys.stderr.isatty() and now - self._told < LINE_SECONDS:
            return
        self._told = now
        rate = (n_done - self._n_before) / max(now - self._start, 1e-9)
        if self._n_rows is None:
            self._tell(f"{self._doing}: {n_done:,} leads, {rate:,.0f} a second", 0.0)
            return
        left = (self._n_rows - n_done) / max(rate, 1e-9)
        what = f"{self._doing}: {n_done:,} of {self._n_rows:,} leads, {rate:,.0f} a second, {_span(left)} left"
        self._tell(what, n_done / max(self._n_rows, 1))


def _span(seconds: float) -> str:
    """Write how long something takes.

    Examples
    --------
    >>> _span(7.2), _span(130), _span(7300)
    ('8 s', '3 min', '2 h 2 min')
    """
    if seconds <= 90:
        return f"{-int(-seconds // 1)} s"
    minutes = -int(-seconds // 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
