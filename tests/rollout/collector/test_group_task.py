import asyncio
import json

import pytest

from rollout.collector.group_task import GroupTask, derive_seed, run_group
from rollout.types import EngineDied, EnvError, Sampling
from tests.support.builders import problem, sample

TICKET = GroupTask(group_id=3, problem=problem(columns={"entry": (1, 2)}), step=2)


def run(environment, *, size=2, greedy=False):
    sampling = Sampling(max_tokens=4, temperature=0.7, seed=5)
    played = run_group(TICKET, environment, None, sampling, group_size=size, greedy=greedy)
    return asyncio.run(played)


async def plain(asked, context, sampling, n):
    return [sample(sampling.temperature, index=i) for i in range(n)]


def test_a_group_is_what_the_environment_returns():
    played = run(plain)
    assert [s.index for s in played.samples] == [0, 1]
    assert played.failure == ""


def test_the_greedy_sample_comes_last_with_index_minus_one():
    played = run(plain, greedy=True)
    assert [s.index for s in played.samples] == [0, 1, -1]
    assert [s.verdict.reward for s in played.samples] == [0.7, 0.7, 0.0]


def test_a_rollout_error_fails_the_whole_group():
    async def breaks(asked, context, sampling, n):
        raise EnvError("no board")

    played = run(breaks)
    assert played.samples == ()
    assert played.failure == "EnvError: no board"


def test_a_dead_engine_is_nobodys_data():
    async def breaks(asked, context, sampling, n):
        raise EngineDied("gone")

    with pytest.raises(EngineDied):
        run(breaks)


def test_an_environment_that_loses_samples_is_a_defect():
    with pytest.raises(AssertionError, match="too few samples"):
        run(lambda asked, context, sampling, n: plain(asked, context, sampling, n - 1))


def test_seeds_depend_on_run_and_group_alone_and_fit_63_bits():
    seeds = {derive_seed(run_seed, group_id) for run_seed in range(4) for group_id in range(50)}
    assert len(seeds) == 200
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(0, 0) == 7896617691693857887  # another number would change every run


def test_a_ticket_survives_json():
    after = GroupTask.from_state(json.loads(json.dumps(TICKET.state_dict())))
    assert after == TICKET
