"""Steps of a synchronous collector; what drops, fails and stops. Rig and prompts: `collectors`."""

import asyncio
import dataclasses
import functools
import json

import pytest

from rollout.collector.collector import NotEnoughGroups
from rollout.collector.ledger import LedgerError
from rollout.environments.single_turn import single_turn
from rollout.filters.drop_uniform import drop_uniform
from rollout.filters.pass_rate_band import pass_rate_band
from rollout.types import Bucket, EngineDied, EnvError, Interrupted, Keep
from rollout.verification import BreakerTripped, CircuitBreaker
from tests.support.collectors import Rig, all_trained, counts, fingerprint, names

# -- synchronous ---------------------------------------------------------------------------------


def test_a_step_gets_its_groups_in_the_order_of_issue():
    rig = Rig(["1", "2", "3"], per_step=3)
    rig.turns = {"1": 5, "2": 3}
    groups = asyncio.run(rig.collector.take(0))
    assert names(groups) == ["0:1", "1:2", "2:3"]
    assert [g.group_id for g in groups] == [0, 1, 2]
    assert [g.pass_rate for g in groups] == [0.25, 0.5, 0.75]


def test_dropped_groups_are_replaced_by_as_many_fresh_ones():
    rig = Rig(["4", "1", "0", "2", "3"], filters=[drop_uniform])
    groups = asyncio.run(rig.collector.take(0))
    # first round 4 and 1, second 0, third 2: four groups of four, two of them without signal
    assert names(groups) == ["1:1", "3:2"]
    assert len(rig.calls) == 4
    rig.collector.settle(all_trained(groups))
    assert counts(rig.ledger) == {"trained": 8, "zero_signal": 8}
    assert rig.ledger.issued == 16


def test_problems_outside_of_a_band_are_replaced():
    middling = functools.partial(pass_rate_band, low=0.5, high=0.5, closed="both")
    rig = Rig(["1", "2", "3", "2"], filters=[middling])  # so many of four samples are right
    groups = asyncio.run(rig.collector.take(0))
    assert names(groups) == ["1:2", "3:2"]
    rig.collector.settle(all_trained(groups))
    assert counts(rig.ledger) == {"trained": 8, "filtered": 8}


def test_too_few_groups_after_all_refills_is_an_error_that_counts_the_reasons():
    rig = Rig(["4", "0"], filters=[drop_uniform], max_refills=2)
    with pytest.raises(
        NotEnoughGroups, match=r"0 of 2 groups after 6 .*6x all samples have the sa"
    ):
        asyncio.run(rig.collector.take(0))
    assert len(rig.calls) == 6  # two in each of three rounds


def test_a_single_group_may_be_asked_for_as_often_as_whole_refills_hold():
    # "1" is kept at once; then one group a round, five of them dropped before the next "2"
    rig = Rig(["1", "4", "0", "4", "0", "4", "2"], filters=[drop_uniform], max_refills=2)
    groups = asyncio.run(rig.collector.take(0))
    assert names(groups) == ["0:1", "6:2"]
    rig.collector.settle(all_trained(groups))
    assert rig.collector.metrics()["rollout/refills"] == 5


def test_what_was_kept_is_told_when_a_step_gives_up():
    rig = Rig(["1", "4", "0", "4", "0", "4", "0", "2"], filters=[drop_uniform], max_refills=2)
    with pytest.raises(NotEnoughGroups, match="1 of 2 groups after 6 others were dropped"):
        asyncio.run(rig.collector.take(0))


def test_the_sampler_and_the_metrics_see_dropped_groups_too():
    rig = Rig(["4", "1", "2"], filters=[drop_uniform])
    asyncio.run(rig.collector.take(0))
    assert rig.sampler.observed == [("0:4", 1.0), ("1:1", 0.25), ("2:2", 0.5)]
    metrics = rig.collector.metrics()
    assert metrics["rollout/pass_rate"] == pytest.approx((1.0 + 0.25 + 0.5) / 3)
    assert metrics["rollout/solved_all_frac"] == pytest.approx(1 / 3)
    assert metrics["rollout/kept_frac"] == pytest.approx(2 / 3)
    assert metrics["rollout/groups"] == 3
    assert metrics["rollout/groups_issued"] == 3
    assert metrics["rollout/refills"] == 1
    assert metrics["rollout/tokens"] == 12  # three groups of four samples of one token


def test_metrics_are_those_since_the_last_reading():
    async def two_steps(rig):
        await rig.step(0)
        first = rig.collector.metrics()
        await rig.step(1)
        return first, rig.collector.metrics()

    for metrics in asyncio.run(two_steps(Rig(["1"], size=4, per_step=2))):
        assert metrics["ledger/issued"] == metrics["ledger/trained"] == 8
        assert metrics["rollout/groups"] == 2


def test_a_sample_without_a_verdict_leaves_its_group():
    rig = Rig(["1~"], per_step=1, size=3)
    [group] = asyncio.run(rig.collector.take(0))
    assert [s.index for s in group.samples] == [0, 2]
    assert rig.ledger.count(Bucket.VERIFIER_ERROR) == 1


def test_a_group_with_fewer_than_two_verdicts_is_dropped():
    rig = Rig(["1?", "1", "2"])
    groups = asyncio.run(rig.collector.take(0))
    assert names(groups) == ["1:1", "2:2"]
    assert rig.ledger.count(Bucket.VERIFIER_ERROR) == 4


def test_a_group_of_one_needs_one_verdict():
    groups = asyncio.run(Rig(["1", "0"], size=1).collector.take(0))
    assert [len(g.samples) for g in groups] == [1, 1]


def test_a_failed_request_is_counted_and_its_siblings_go_on():
    rig = Rig(["1!", "1", "2"])
    assert names(asyncio.run(rig.collector.take(0))) == ["1:1", "2:2"]
    assert rig.ledger.count(Bucket.ENGINE_ERROR) == 4


def test_an_environment_that_fails_loses_its_group_only():
    async def breaks(asked, context, sampling, n):
        if asked.id == "0:1":
            raise EnvError("the game crashed")
        return await single_turn(asked, context, sampling, n)

    rig = Rig(["1", "1", "2"], environment=breaks)
    assert names(asyncio.run(rig.collector.take(0))) == ["1:1", "2:2"]
    assert rig.ledger.count(Bucket.ENGINE_ERROR) == 4


def test_a_group_that_fails_loses_its_greedy_sample_too():
    async def breaks(asked, context, sampling, n):
        if asked.id == "0:1":
            raise EnvError("the game crashed")
        return await single_turn(asked, context, sampling, n)

    rig = Rig(["1", "2"], environment=breaks, per_step=1, greedy=True)
    assert names(asyncio.run(rig.collector.take(0))) == ["1:2"]
    assert rig.ledger.count(Bucket.ENGINE_ERROR) == 5  # four drawn and one greedy


@pytest.mark.parametrize("staleness", [0, 1])
def test_a_dead_engine_ends_the_step(staleness):
    async def run():
        rig = Rig(["1"], staleness=staleness)
        await rig.engine.close()
        try:
            await rig.collector.take(0)
        finally:
            await rig.collector.close()

    with pytest.raises(EngineDied):
        asyncio.run(run())


@pytest.mark.parametrize("staleness", [0, 1])
def test_too_many_missing_verdicts_end_the_step(staleness):
    breaker = CircuitBreaker(0.5, window=8, min_count=4)

    async def run():
        rig = Rig(["1?"], staleness=staleness, breaker=breaker)
        rig.scorer.breaker = breaker
        try:
            await rig.collector.take(0)
        finally:
            await rig.collector.close()

    with pytest.raises(BreakerTripped, match="judge is down"):
        asyncio.run(run())


def test_a_filter_may_keep_a_part_of_a_group():
    def first_two(group):
        return Keep(group=dataclasses.replace(group, samples=group.samples[:2]))

    rig = Rig(["1"], filters=[first_two])
    groups = asyncio.run(rig.collector.take(0))
    assert [len(g.samples) for g in groups] == [2, 2]
    rig.collector.settle(all_trained(groups))
    assert counts(rig.ledger) == {"trained": 4, "down_sampled": 4}


def test_the_greedy_sample_is_a_baseline_that_no_filter_sees():
    seen = []

    def watch(group):
        seen.append([s.index for s in group.samples])
        return Keep(group=group)

    rig = Rig(["1"], size=2, greedy=True, filters=[watch])
    groups = asyncio.run(rig.collector.take(0))
    assert seen == [[0, 1], [0, 1]]
    assert [[s.index for s in g.samples] for g in groups] == [[0, 1, -1]] * 2
    assert sorted(sampling.temperature for _, sampling in rig.calls) == [0.0, 0.0, 1.0, 1.0]
    # one of two is right; the greedy sample, right as well, changes no pass rate
    assert rig.sampler.observed == [("0:1", 0.5), ("0:1", 0.5)]
    rig.collector.settle(all_trained(groups))
    assert counts(rig.ledger) == {"trained": 4, "masked": 2}
    assert rig.collector.metrics()["rollout/tokens"] == 6


def test_a_group_keeps_its_seed_at_whatever_step_it_is_drawn():
    first, later = Rig(["1"], per_step=4), Rig(["1"], per_step=2)
    asyncio.run(first.steps(0, 1))
    asyncio.run(later.steps(0, 2))
    seeds = [sampling.seed for _, sampling in first.calls]
    assert seeds == [sampling.seed for _, sampling in later.calls]
    assert len(set(seeds)) == 4


def test_sampling_settings_are_those_of_the_step():
    rig = Rig(["1"], per_step=1)
    asyncio.run(rig.steps(0, 3))
    assert [sampling.max_tokens for _, sampling in rig.calls] == [4, 5, 6]


def test_a_step_is_taken_under_its_own_version_only():
    rig = Rig(["1"])
    with pytest.raises(AssertionError, match="weights of its own version"):
        asyncio.run(rig.collector.take(1))


def test_nothing_is_in_flight_between_two_steps():
    async def run():
        rig = Rig(["4", "1", "2"], filters=[drop_uniform])
        await rig.step(0)
        return rig.collector.state_dict()

    state = asyncio.run(run())
    assert state["in_flight"] == {"tasks": []}
    assert state["buffer"] == {"groups": []}


def test_a_sample_without_an_outcome_is_our_defect():
    rig = Rig(["1"])
    asyncio.run(rig.collector.take(0))
    with pytest.raises(AssertionError, match="8 samples of the step have no outcome"):
        rig.collector.settle({})


def test_a_sample_that_never_comes_back_stops_the_next_step():
    rig = Rig(["1", "2"], per_step=1)
    asyncio.run(rig.step(0))
    rig.ledger.issue(1)  # as if one more had been requested and never came back
    with pytest.raises(LedgerError, match="9 samples were issued and 8 are accounted for"):
        asyncio.run(rig.collector.take(1))


def test_a_sample_that_is_settled_twice_stops_the_run_when_the_step_is_settled():
    rig = Rig(["1"], per_step=1)
    groups = asyncio.run(rig.collector.take(0))
    rig.ledger.settle(Bucket.STALE)
    with pytest.raises(LedgerError, match="4 samples were issued and 5 are accounted for"):
        rig.collector.settle(all_trained(groups))


# -- stopping and resuming -----------------------------------------------------------------------


@pytest.mark.parametrize("staleness", [0, 1])
def test_a_stop_is_heard_while_waiting(staleness):
    async def run():
        rig = Rig(["1"], staleness=staleness)
        rig.turns = {"1": 10**9}
        asyncio.get_running_loop().call_later(0.01, rig.collector.stop)
        try:
            await rig.collector.take(0)
        finally:
            await rig.collector.close()

    with pytest.raises(Interrupted):
        asyncio.run(run())


def test_a_stop_is_remembered():
    rig = Rig(["1"])
    rig.collector.stop()
    with pytest.raises(Interrupted):
        asyncio.run(rig.collector.take(0))


def test_closing_waits_until_every_task_has_ended_however_it_ends():
    ended = []

    async def tidies_up(asked, context, sampling, n):
        try:
            await asyncio.sleep(10**6)
        finally:
            await asyncio.sleep(0)
            ended.append(asked.id)
            raise ValueError("the connection was closed")

    async def run():
        rig = Rig(["1", "2"], environment=tidies_up)
        taking = asyncio.ensure_future(rig.collector.take(0))
        await asyncio.sleep(0.01)
        rig.collector.stop()
        with pytest.raises(Interrupted):
            await taking
        await rig.collector.close()
        await rig.collector.close()

    asyncio.run(run())
    assert sorted(ended) == ["0:1", "1:2"]


PROMPTS = ["4", "1", "0", "2", "3", "1", "2", "0", "4"]


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_resume_equals_never_stopped(stop_after):
    whole = Rig(PROMPTS, filters=[drop_uniform])
    expected = asyncio.run(whole.steps(0, 5))
    before, after = Rig(PROMPTS, filters=[drop_uniform]), Rig(PROMPTS, filters=[drop_uniform])
    start = asyncio.run(before.steps(0, stop_after))
    after.collector.load_state_dict(json.loads(json.dumps(before.collector.state_dict())))

    async def go_on():
        await after.publish(stop_after)
        return await after.steps(stop_after, 5)

    assert fingerprint(start + asyncio.run(go_on())) == fingerprint(expected)
    assert after.collector.state_dict() == whole.collector.state_dict()


def test_a_step_that_was_interrupted_is_played_again_in_full():
    expected = asyncio.run(Rig(PROMPTS, filters=[drop_uniform]).steps(0, 2))
    before = Rig(PROMPTS, filters=[drop_uniform])
    before.turns = {"2": 10**9}  # the second refill of the first step never ends

    async def interrupted():
        taking = asyncio.ensure_future(before.collector.take(0))
        while len(before.calls) < 4:
            await asyncio.sleep(0)
        before.collector.stop()
        with pytest.raises(Interrupted):
            await taking
        await before.collector.close()
        return before.collector.state_dict()

    state = asyncio.run(interrupted())
    assert [task["group_id"] for task in state["in_flight"]["tasks"]] == [3]
    after = Rig(PROMPTS, filters=[drop_uniform])
    after.collector.load_state_dict(json.loads(json.dumps(state)))
    assert fingerprint(asyncio.run(after.steps(0, 2))) == fingerprint(expected)
