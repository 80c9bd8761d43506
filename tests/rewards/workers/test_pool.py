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

    with closing(Workers(count=2, pending=3)) as workers:
        assert [outcome.value for outcome in asyncio.run(many())] == [2 * n for n in range(50)]


def test_a_closed_pool_answers_at_once():
    workers = Workers(count=1)
    workers.close()
    assert workers.call_blocking(f"{JOBS}:double", 1, deadline_s=5).failure is Failure.CLOSED
