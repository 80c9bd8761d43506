import asyncio
from contextlib import closing

import pytest

from rewards.workers.pool import Workers
from rewards.workers.process import Failure, clean_environment

pytestmark = pytest.mark.slow
JOBS = "tests.support.worker_jobs"


def call(name, *args, deadline_s=5.0, prepare="", **settings):
    with closing(Workers(count=1, **settings)) as workers:
        return workers.call_blocking(
            f"{JOBS}:{name}", *args, deadline_s=deadline_s, prepare=prepare and f"{JOBS}:{prepare}"
        )


def test_a_value_comes_back():
    outcome = call("double", 21)
    assert (outcome.value, outcome.failed) == (42, False)


@pytest.mark.parametrize(
    ("job", "failure", "reason"),
    [
        ("fail", Failure.RAISED, "ValueError: not 3 (worker_jobs.py:"),
        ("odd", Failure.RAISED, "TypeError: Object of type set is not JSON serializable"),
        ("die", Failure.DIED, "the worker died: exit status 5"),
        ("absent", Failure.RAISED, "AttributeError: "),
    ],
)
def test_a_failure_has_a_kind_and_a_reason(job, failure, reason):
    outcome = call(job, 3)
    assert outcome.failure is failure
    assert reason in outcome.reason


def test_what_is_too_slow_is_killed_and_the_next_call_gets_a_new_process():
    with closing(Workers(count=1)) as workers:
        first = workers.call_blocking(f"{JOBS}:process", 0, deadline_s=5)
        slow = workers.call_blocking(f"{JOBS}:sleep", 60, deadline_s=0.2)
        last = workers.call_blocking(f"{JOBS}:process", 0, deadline_s=5)
    assert slow.failure is Failure.DEADLINE
    assert first.value != last.value


def test_preparation_is_not_under_the_deadline():
    outcome = call("prepared", 7, prepare="prepare", deadline_s=0.2)
    assert outcome.value == [7]


def test_preparation_has_a_limit_of_its_own():
    outcome = call("double", 7, prepare="prepare", start_s=0.2)
    assert outcome.failure is Failure.START


def test_workers_see_where_things_lie_and_what_is_named(monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "hush")
    monkeypatch.setenv("NAMED", "open")
    seen = call("variables", 0, environment=("NAMED",)).value
    assert {"PATH", "NAMED"} <= set(seen)
    assert "SOME_API_KEY" not in seen
    assert "SOME_API_KEY" not in clean_environment()


def test_calls_wait_for_their_turn_and_all_come_back():
    async def many():
        calls = (workers.call(f"{JOBS}:double", n, deadline_s=5) for n in range(50))
        return await asyncio.gather(*calls)

    with closing(Workers(count=2)) as workers:
        assert [outcome.value for outcome in asyncio.run(many())] == [2 * n for n in range(50)]


def test_a_closed_pool_answers_at_once():
    workers = Workers(count=1)
    workers.close()
    assert workers.call_blocking(f"{JOBS}:double", 1, deadline_s=5).failure is Failure.CLOSED


def test_async_functions_wait_side_by_side_in_one_process():
    async def many(workers):
        calls = (workers.call(f"{JOBS}:meet", n, deadline_s=20) for n in range(8))
        return await asyncio.gather(*calls)

    with closing(Workers(count=1, at_once=8)) as workers:
        outcomes = asyncio.run(many(workers))
    assert [outcome.value[0] for outcome in outcomes] == list(range(8))
    assert len({outcome.value[1] for outcome in outcomes}) == 1  # one process


def test_no_more_calls_are_under_way_than_allowed():
    async def many(workers):
        calls = (workers.call(f"{JOBS}:most_at_once", 0.05, deadline_s=20) for _ in range(12))
        return await asyncio.gather(*calls)

    with closing(Workers(count=1, at_once=3)) as workers:
        assert max(outcome.value for outcome in asyncio.run(many(workers))) == 3


def test_a_late_async_call_is_cancelled_and_costs_the_others_nothing():
    async def both(workers):
        late = workers.call(f"{JOBS}:wait", 60, deadline_s=0.3)
        fine = workers.call(f"{JOBS}:wait", 0.6, deadline_s=20)
        return await asyncio.gather(late, fine)

    with closing(Workers(count=1, at_once=4)) as workers:
        before = workers.call_blocking(f"{JOBS}:process", 0, deadline_s=20).value
        late, fine = asyncio.run(both(workers))
        after = workers.call_blocking(f"{JOBS}:process", 0, deadline_s=20).value
    assert late.failure is Failure.DEADLINE
    assert fine.value == 0.6
    assert before == after


def test_a_call_that_takes_its_process_down_does_not_take_the_others_with_it():
    async def both(workers):
        fine = workers.call(f"{JOBS}:wait", 0.5, deadline_s=20)
        stuck = workers.call(f"{JOBS}:sleep", 60, deadline_s=0.2)  # blocks the whole process
        return await asyncio.gather(fine, stuck)

    with closing(Workers(count=1, at_once=2)) as workers:
        workers.call_blocking(f"{JOBS}:process", 0, deadline_s=20)
        fine, stuck = asyncio.run(both(workers))
    assert stuck.failure is Failure.DEADLINE
    assert fine.value == 0.5


def test_a_process_says_goodbye_at_the_end_and_runs_what_is_due_at_exit(tmp_path):
    note = tmp_path / "note"
    with closing(Workers(count=1, at_end=f"{JOBS}:goodbye")) as workers:
        workers.call_blocking(f"{JOBS}:remember", str(note), deadline_s=20)
    assert note.read_text() == "goodbye, at exit"


def test_a_process_that_has_served_its_time_is_replaced(tmp_path):
    note = tmp_path / "note"
    with closing(Workers(count=1, recycle=2, at_end=f"{JOBS}:goodbye")) as workers:
        workers.call_blocking(f"{JOBS}:remember", str(note), deadline_s=20)
        pids = [workers.call_blocking(f"{JOBS}:process", 0, deadline_s=20).value for _ in range(3)]
    assert pids[0] != pids[1] == pids[2]
    assert note.read_text() == "goodbye, at exit"


def test_an_odd_character_can_be_printed(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")
    assert call("say", "\u2713 \ud800").value == "said"


def test_memory_is_what_a_process_allocates_not_its_addresses():
    assert call("reserve", 4 << 30, memory_mb=512).value == "reserved"
    outcome = call("allocate", 1 << 30, memory_mb=512)
    assert "out of memory" in outcome.reason
