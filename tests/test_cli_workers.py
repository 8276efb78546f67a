"""Processes that work for one: in order, and gone with it whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from propensity.cli.workers import workers
from propensity.errors import BundleError, WorkerError

# `eval` of an expression over some names: a function that every process finds.
DIE = "__import__('os').kill(__import__('os').getpid(), 9) if x == 2 else x"
SCRIPT = """
import sys
from propensity.cli.workers import workers
with workers(2, eval, "__import__('time').sleep(60)") as apply:
    print("begun", flush=True)
    [*apply([{}, {}, {}, {}])]
"""


def test_results_come_in_the_order_of_the_things() -> None:
    with workers(2, eval, "x * 10") as apply:
        first = apply([{"x": x} for x in range(7)])
        second = apply([{"x": x} for x in range(7, 9)])
        assert [*first, *second] == [10 * x for x in range(9)]


def test_an_error_is_raised_here_as_it_was_there() -> None:
    with pytest.raises(ZeroDivisionError) as caught, workers(2, eval, "1 / x") as apply:
        [*apply([{"x": 1}, {"x": 0}])]
    assert "Traceback" in caught.value.__notes__[0]
    raising = "__import__('propensity.storage.bundles').storage.bundles.load_bundle('nowhere')"
    with pytest.raises(BundleError) as refused, workers(1, eval, raising) as apply:
        [*apply([{}])]
    assert refused.value.fallback_reason == "MODEL_MISSING"


def test_one_process_that_is_killed_ends_the_work_at_once() -> None:
    start = time.monotonic()
    with pytest.raises(WorkerError, match="ended before its time"), workers(2, eval, DIE) as apply:
        [*apply([{"x": x} for x in range(20)])]
    assert time.monotonic() - start < 20


def test_the_environment_is_as_before() -> None:
    before = {**os.environ}
    with workers(1, eval, "__import__('os').environ['OMP_NUM_THREADS']") as apply:
        assert {**os.environ} == before
        assert [*apply([{}])] == ["1"]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc to see the processes it started")
@pytest.mark.parametrize("delays", [(0.0,), (0.3,), (0.05, 0.05), (0.2, 0.1, 0.1)])
@pytest.mark.parametrize("to_all", [False, True])
def test_ctrl_c_ends_everything_however_often_and_early(delays: tuple[float, ...], *, to_all: bool) -> None:
    command = [sys.executable, "-c", SCRIPT]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    if delays[0]:
        assert process.stdout.readline() == "begun\n"
    for delay in delays:
        time.sleep(delay)
        if process.poll() is None:
            (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
    process.communicate(timeout=20)
    for _ in range(100):  # nobody of its session is left
        left = subprocess.run(["ps", "-o", "pid=", "-s", str(process.pid)], capture_output=True, text=True, check=False)
        if not left.stdout.strip():
            break
        time.sleep(0.05)
    assert not left.stdout.strip()
