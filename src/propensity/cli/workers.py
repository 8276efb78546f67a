"""The only place for other processes: each does what it is told, one thing after the other, and is worth nothing alone.

A process has a pipe of its own and shares no lock with any other: one that dies is noticed at once and keeps nobody
waiting. Signals are for the one that started them; it ends them all, whatever happens to it.
"""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from propensity.errors import WorkerError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
_SIGNALS = {signal.SIGINT, signal.SIGTERM}


@contextlib.contextmanager
def workers(
    n_processes: int, do: Callable[[Any, Any], Any], given: Any
) -> Iterator[Callable[[Iterable[Any]], Iterator[Any]]]:
    """Give what works on many things in as many processes.

    Parameters
    ----------
    n_processes : int
    do : callable (given, thing) -> result
        A function of a module, so that another process finds it.
    given : object
        The same for all; told to each process once.

    Yields
    ------
    callable (things) -> results
        Begins at once; results come in the order of the things.

    Raises
    ------
    WorkerError
        A process ended before its time. What it raised itself is raised here.
    """
    started: list[_Worker] = []
    free: SimpleQueue[_Worker] = SimpleQueue()

    def work(thing: Any) -> Any:
        worker = free.get()
        try:
            return worker.work(do, given, thing)
        finally:
            free.put(worker)

    # A thread for each process, which waits for it: the pipes of spawned ones are read while they are busy.
    threads = ThreadPoolExecutor(n_processes)
    try:
        with _signals_held(), _environment(_ONE_THREAD), _this_package_first():
            for _ in range(n_processes):
                started.append(_Worker())
                free.put(started[-1])
        yield lambda things: threads.map(work, things)
    finally:
        with _signals_held():
            for worker in started:
                worker.process.kill()  # nothing in it is worth keeping; whoever waits for it goes on
            threads.shutdown(cancel_futures=True)
            for worker in started:
                worker.end()


class _Worker:
    """A process, started anew and not split off: threads of this one would be split off in the middle of their work."""

    def __init__(self) -> None:
        context = mp.get_context("spawn")
        self._here, there = context.Pipe()
        self._is_told = False
        self.process = context.Process(target=_work, args=(there,), daemon=True)
        self.process.start()
        there.close()  # so that the end of the process is the end of what can be read

    def work(self, do: Callable[[Any, Any], Any], given: Any, thing: Any) -> Any:
        try:
            if not self._is_told:
                self._here.send((do, given))
                self._is_told = True
            self._here.send(thing)
            result, error = self._here.recv()
        except (EOFError, OSError) as error:
            msg = "a process that scores ended before its time; most often, memory ran out."
            raise WorkerError(msg) from error
        if error is not None:
            raise error
        return result

    def end(self) -> None:
        self.process.join()
        self._here.close()


def _work(there: Connection) -> None:
    """Do one thing after the other, until nobody asks any more."""
    with contextlib.suppress(EOFError, OSError):
        do, given = there.recv()
        while True:
            thing = there.recv()
            result, fault = None, None
            try:
                result = do(given, thing)
            except Exception as error:  # noqa: BLE001 - it is raised where the work was asked for
                error.add_note("".join(traceback.format_exception(error)))
                fault = error
            there.send((result, fault))


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back: they come after. Processes started meanwhile never hear of them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _this_package_first() -> Iterator[None]:
    """Let processes find this very package: a model that MLflow loaded puts its own copy of a part of it in the way."""
    own = str(Path(__file__).parents[2])
    sys.path.insert(0, own)
    try:
        yield
    finally:
        sys.path.remove(own)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
