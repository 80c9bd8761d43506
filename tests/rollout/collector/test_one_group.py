"""One group: what the environment makes of its task, and what the filters leave of it."""

import asyncio
import dataclasses
import json
from collections import Counter

import pytest

from rollout.collector.collector import GroupTask, derive_seed, filter_group, run_group
from rollout.filters.drop_uniform import drop_uniform
from rollout.types import EngineDied, EnvError, Keep, Sampling, Status
from tests.support.builders import group, problem, sample

# -- running -------------------------------------------------------------------------------------

TASK = GroupTask(group_id=3, problem=problem(columns={"entry": (1, 2)}), step=2)


def run(environment, *, size=2, greedy=False):
    sampling = Sampling(max_tokens=4, temperature=0.7, seed=5)
    result = run_group(TASK, environment, None, sampling, group_size=size, greedy=greedy)
    return asyncio.run(result)


async def plain(asked, context, sampling, n):
    return [sample(sampling.temperature, index=i) for i in range(n)]


def test_a_group_is_what_the_environment_returns():
    result = run(plain)
    assert [s.index for s in result.samples] == [0, 1]
    assert result.failure == ""


def test_the_greedy_sample_comes_last_with_index_minus_one():
    result = run(plain, greedy=True)
    assert [s.index for s in result.samples] == [0, 1, -1]
    assert [s.verdict.reward for s in result.samples] == [0.7, 0.7, 0.0]


def test_a_rollout_error_fails_the_whole_group():
    async def breaks(asked, context, sampling, n):
        raise EnvError("no board")

    result = run(breaks)
    assert result.samples == ()
    assert result.failure == "EnvError: no board"


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


def test_a_task_survives_json():
    after = GroupTask.from_state(json.loads(json.dumps(TASK.state_dict())))
    assert after == TASK


# -- filtering -----------------------------------------------------------------------------------


def with_greedy(rewards, *, greedy_missing=False, missing=()):
    base = group(rewards, missing=missing)
    greedy = sample(1.0, index=-1, missing=greedy_missing)
    return dataclasses.replace(base, samples=(*base.samples, greedy))


def first(n):
    return lambda g: Keep(group=dataclasses.replace(g, samples=g.samples[:n]))


def test_a_whole_group_passes_without_filters():
    result = filter_group(group([1, 1]), [], min_scored=2)
    assert [s.index for s in result.kept.samples] == [0, 1]
    assert result.ended == Counter()


def test_missing_samples_leave_by_their_cause():
    statuses = [Status.COMPLETED, Status.ERROR_ENGINE, Status.COMPLETED, Status.COMPLETED]
    result = filter_group(group([1, 0, 0, 1], statuses=statuses, missing=[1, 2]), [], min_scored=2)
    assert [s.index for s in result.kept.samples] == [0, 3]
    assert result.ended == Counter(engine_error=1, verifier_error=1)


def test_too_few_verdicts_drop_the_group_and_say_why():
    result = filter_group(group([1, 0, 0], missing=[1, 2]), [], min_scored=2)
    assert result.kept is None
    assert result.ended == Counter(verifier_error=2, filtered=1)
    assert result.reason == "too few samples with a verdict (verifier_error)"


def test_of_two_causes_the_more_frequent_one_is_named():
    statuses = [Status.COMPLETED, Status.ERROR_ENGINE, Status.COMPLETED, Status.COMPLETED]
    result = filter_group(group([1] * 4, statuses=statuses, missing=[1, 2, 3]), [], min_scored=2)
    assert result.ended == Counter(verifier_error=2, engine_error=1, filtered=1)
    assert result.reason == "too few samples with a verdict (verifier_error)"


def test_every_sample_of_a_dropped_group_ends_in_the_filters_bucket():
    result = filter_group(group([1, 1, 1], missing=[0]), [drop_uniform], min_scored=2)
    assert result.kept is None
    assert result.ended == Counter(verifier_error=1, zero_signal=2)
    assert result.reason == "all samples have the same reward"


def test_what_a_filter_leaves_out_is_down_sampled():
    result = filter_group(group([1, 0, 1, 0]), [first(3), first(2)], min_scored=2)
    assert [s.index for s in result.kept.samples] == [0, 1]
    assert result.ended == Counter(down_sampled=2)


def test_a_later_filter_may_drop_what_an_earlier_one_left():
    result = filter_group(group([1, 1, 0]), [first(2), drop_uniform], min_scored=2)
    assert result.ended == Counter(down_sampled=1, zero_signal=2)


def test_no_filter_sees_the_greedy_sample():
    seen = []

    def watch(g):
        seen.extend(s.index for s in g.samples)
        return Keep(group=g)

    result = filter_group(with_greedy([1, 0]), [watch], min_scored=2)
    assert seen == [0, 1]
    assert [s.index for s in result.kept.samples] == [0, 1, -1]


def test_the_greedy_sample_is_dropped_with_its_group():
    result = filter_group(with_greedy([0, 0]), [drop_uniform], min_scored=2)
    assert result.ended == Counter(zero_signal=3)


def test_a_greedy_sample_without_a_verdict_drops_the_group():
    result = filter_group(with_greedy([1, 0], greedy_missing=True), [], min_scored=2)
    assert result.kept is None
    assert result.ended == Counter(verifier_error=1, filtered=2)
