"""Worker processes: deadlines, crashes, memory, back-pressure, and nothing left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rewards.workers.pool import Workers
from rewards.workers.process import Failure

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def workers() -> Iterator[Workers]:
    pool = Workers(count=1, memory_mb=1024)
    yield pool
    pool.close()


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead but not yet reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def gone_within(pids: list[int], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def test_a_value_comes_back(workers: Workers) -> None:
    outcome = workers.call_blocking("math:sqrt", 9, deadline_s=5)
    assert outcome.value == 3.0
    assert not outcome.failed


def test_a_worker_is_reused(workers: Workers) -> None:
    pids = {workers.call_blocking("os:getpid", deadline_s=5).value for _ in range(5)}
    assert len(pids) == 1
    assert pids != {os.getpid()}


def test_a_call_over_its_deadline_is_killed_and_the_next_one_works(workers: Workers) -> None:
    first = workers.call_blocking("os:getpid", deadline_s=5).value
    late = workers.call_blocking("time:sleep", 60, deadline_s=0.2)
    assert late.failure is Failure.DEADLINE
    assert late.reason == "no result within 0.2 s; it was stopped"
    assert not alive(first)
    assert workers.call_blocking("math:sqrt", 4, deadline_s=5).value == 2.0


def test_a_computation_that_never_lets_go_of_the_interpreter_is_killed_too(
    workers: Workers,
) -> None:
    outcome = workers.call_blocking("operator:pow", 10, 10**9, deadline_s=0.3)
    assert outcome.failure is Failure.DEADLINE


def test_an_exception_is_reported_and_costs_no_worker(workers: Workers) -> None:
    before = workers.call_blocking("os:getpid", deadline_s=5).value
    outcome = workers.call_blocking("math:sqrt", -1, deadline_s=5)
    assert outcome.failure is Failure.RAISED
    assert "ValueError" in outcome.reason
    assert workers.call_blocking("os:getpid", deadline_s=5).value == before


@pytest.mark.parametrize(("target", "sign"), [("os:_exit", "status 3"), ("os:abort", "signal 6")])
def test_a_worker_that_dies_gives_the_reason(workers: Workers, target: str, sign: str) -> None:
    arguments = [3] if target == "os:_exit" else []
    outcome = workers.call_blocking(target, *arguments, deadline_s=5)
    assert outcome.failure is Failure.DIED
    assert sign in outcome.reason
    assert workers.call_blocking("math:sqrt", 4, deadline_s=5).value == 2.0


def test_memory_beyond_the_limit_is_refused_and_the_worker_replaced(workers: Workers) -> None:
    before = workers.call_blocking("os:getpid", deadline_s=5).value
    outcome = workers.call_blocking("operator:mul", "x", 3 << 30, deadline_s=5)
    assert outcome.failure is Failure.RAISED
    assert "MemoryError" in outcome.reason
    assert workers.call_blocking("os:getpid", deadline_s=5).value != before


def test_a_function_that_is_not_there_is_an_error_not_a_hang(workers: Workers) -> None:
    outcome = workers.call_blocking("math:no_such_thing", deadline_s=5)
    assert outcome.failure is Failure.RAISED
    assert "no_such_thing" in outcome.reason


def test_what_is_not_plain_data_is_refused_in_both_directions(workers: Workers) -> None:
    inwards = workers.call_blocking("builtins:len", {1, 2}, deadline_s=5)
    outwards = workers.call_blocking("builtins:object", deadline_s=5)
    assert inwards.failure is Failure.RAISED
    assert outwards.failure is Failure.RAISED
    assert "not plain data" in inwards.reason
    assert "JSON" in outwards.reason


def test_the_deadline_does_not_run_while_a_call_is_queued(workers: Workers) -> None:
    async def three() -> list[bool]:
        calls = [workers.call("time:sleep", 0.4, deadline_s=0.9) for _ in range(3)]
        return [outcome.failed for outcome in await asyncio.gather(*calls)]

    assert asyncio.run(three()) == [False, False, False]


def test_an_idle_worker_that_was_killed_is_replaced_without_failing_the_call(
    workers: Workers,
) -> None:
    pid = workers.call_blocking("os:getpid", deadline_s=5).value
    os.kill(pid, signal.SIGKILL)
    assert workers.call_blocking("math:sqrt", 16, deadline_s=5).value == 4.0


def test_a_worker_killed_in_the_middle_of_a_call_fails_that_call_alone(workers: Workers) -> None:
    pid = workers.call_blocking("os:getpid", deadline_s=5).value
    threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
    outcome = workers.call_blocking("time:sleep", 60, deadline_s=30)
    assert outcome.failure is Failure.DIED
    assert outcome.reason == "the worker died: signal 9"
    assert workers.call_blocking("math:sqrt", 4, deadline_s=5).value == 2.0


def test_many_calls_at_once_get_their_own_results() -> None:
    pool = Workers(count=2)

    async def squares() -> list[float]:
        calls = [pool.call("math:pow", number, 2, deadline_s=10) for number in range(300)]
        return [outcome.value for outcome in await asyncio.gather(*calls)]

    assert asyncio.run(squares()) == [float(number**2) for number in range(300)]
    pool.close()


def test_a_cancelled_caller_gives_its_place_back() -> None:
    pool = Workers(count=1)

    async def cancelled_then_asked() -> float:
        first = asyncio.ensure_future(pool.call("time:sleep", 0.3, deadline_s=5))
        second = asyncio.ensure_future(pool.call("time:sleep", 60, deadline_s=5))
        await asyncio.sleep(0.05)
        second.cancel()
        await first
        outcome = await pool.call("math:sqrt", 25, deadline_s=5)
        return outcome.value

    assert asyncio.run(cancelled_then_asked()) == 5.0
    pool.close()


def test_threads_with_event_loops_of_their_own_share_a_pool(workers: Workers) -> None:
    results: dict[int, float] = {}

    def ask(number: int) -> None:
        outcome = asyncio.run(workers.call("math:sqrt", number * number, deadline_s=20))
        results[number] = outcome.value

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert results == {number: float(number) for number in range(8)}


def test_closing_ends_the_calls_under_way_and_the_processes() -> None:
    pool = Workers(count=1)
    pid = pool.call_blocking("os:getpid", deadline_s=5).value
    threading.Timer(0.2, pool.close).start()
    outcome = pool.call_blocking("time:sleep", 60, deadline_s=30)
    assert outcome.failure is Failure.CLOSED
    assert gone_within([pid], 10)
    assert pool.call_blocking("math:sqrt", 4, deadline_s=5).failure is Failure.CLOSED


def test_a_worker_does_not_import_torch_for_the_mathematics(workers: Workers) -> None:
    verdict = workers.call_blocking(
        "rewards.math.verdict:judge", "2", r"\boxed{2}", "anywhere", "", deadline_s=20
    )
    assert verdict.value["correct"]
    loaded = workers.call_blocking("builtins:eval", "'torch' in __import__('sys').modules",
                                   deadline_s=5)  # fmt: skip
    assert loaded.value is False


PARENT = """
import subprocess, sys, threading
from rewards.workers.pool import Workers
pool = Workers(count=2)
job = "tests.support.worker_jobs:leave_child"
threads = [threading.Thread(target=pool.call_blocking, args=(job, number),
                            kwargs={"deadline_s": 60}, daemon=True) for number in range(2)]
for thread in threads:
    thread.start()
threads[0].join()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the guard of a worker is Linux's")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_busy_workers_and_what_they_started_die_with_their_parent(
    how: signal.Signals, tmp_path: Path
) -> None:
    """Each worker starts a child, and a grandchild in a session of its own, and then sleeps."""
    environment = {**os.environ, "HOME": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, env=environment)
    until = time.monotonic() + 60
    while len(notes := list(tmp_path.glob("pids-*"))) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    pids = [int(word) for note in notes for word in note.read_text().split()]
    assert len(pids) == 6 and all(alive(pid) for pid in pids)
    parent.send_signal(how)
    parent.wait(timeout=20)
    assert gone_within(pids, 10)


def test_what_a_call_started_dies_with_its_worker(workers: Workers, tmp_path: Path) -> None:
    late = workers.call_blocking(
        "tests.support.worker_jobs:leave_child", 0, str(tmp_path), deadline_s=3
    )
    assert late.failure is Failure.DEADLINE
    [note] = tmp_path.glob("pids-*")
    assert gone_within([int(word) for word in note.read_text().split()], 10)
