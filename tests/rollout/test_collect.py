"""The collector with a scripted engine: a problem's prompt says how many of its samples are right.

`"2"` is a problem whose first two samples answer right. With `"2!"` the engine fails, with `"2?"`
the verifier raises, with `"2~"` the second verdict is missing.
"""

import asyncio
import dataclasses
import functools
import json

import pytest

from rewards.types import Verdict
from rollout.buffers.fifo import Fifo, fifo
from rollout.collect import Collector, Interrupted, NotEnoughGroups
from rollout.engines.scripted import Scripted, completion
from rollout.environments import RolloutContext
from rollout.environments.single_turn import single_turn
from rollout.filters.drop_uniform import drop_uniform
from rollout.filters.pass_rate_band import pass_rate_band
from rollout.ledger import Ledger
from rollout.samplers.uniform import uniform
from rollout.scoring import BreakerTripped, CircuitBreaker, Scorer
from rollout.types import EngineDied, EngineError, EnvError, Keep, Sampling
from tests.builders import CharacterRenderer, problem


class Rig:
    """A collector and its parts; prompts are handed out in the order given, again and again."""

    def __init__(self, prompts, *, size=4, per_step=2, staleness=0, **options):
        self.problems = [problem(f"{i}:{p}", prompt=p) for i, p in enumerate(prompts)]
        self.calls = []
        self.turns = {}  # how long a prompt takes, in turns of the event loop
        self.judged = 0
        self.engine = Scripted(self.reply, turns=lambda ids: self.turns.get(text(ids), 0))
        self.ledger = Ledger()
        self.scorer = Scorer(self.judge)
        self.sampler = InOrder(self.problems)
        self.buffer = fifo()
        context = RolloutContext(
            engine=self.engine, renderer=CharacterRenderer(), verify=self.scorer.verify
        )
        settings = {
            "sampler": self.sampler,
            "environment": self.environment,
            "context": context,
            "filters": [],
            "buffer": self.buffer,
            "sampling": lambda step: Sampling(max_tokens=4 + step),
            "group_size": size,
            "groups_per_step": per_step,
            "max_staleness": staleness,
            "run_seed": 0,
            "ledger": self.ledger,
            "max_refills": 3,
        }
        self.collector = Collector(**{**settings, **options})

    def reply(self, prompt_ids, i):
        prompt = text(prompt_ids)
        if prompt.endswith("!"):
            raise EngineError("no room")
        return completion([ord("r" if i < int(prompt[0]) else "w")])

    async def judge(self, asked, response):
        self.judged += 1
        prompt = asked.messages[0].content
        if prompt.endswith("?"):
            raise RuntimeError("judge is down")
        if prompt.endswith("~") and self.judged == 2:
            return Verdict.missing("no verdict in time")
        return Verdict.binary(response == "r")

    async def environment(self, asked, context, sampling, n):
        self.calls.append((asked.id, sampling))
        return await single_turn(asked, context, sampling, n)

    async def publish(self, version):
        await self.engine.load_weights(None, version)
        self.collector.publish(version)

    async def step(self, step):
        """One step of a loop in which everything is trained."""
        groups = await self.collector.take(step)
        self.collector.settle(all_trained(groups))
        await self.publish(step + 1)
        return groups

    async def steps(self, first, last):
        return [await self.step(step) for step in range(first, last)]


class InOrder:
    """A sampler without shuffling."""

    def __init__(self, problems):
        self.problems = problems
        self.position = 0
        self.observed = []

    def next(self, n):
        chosen = [self.problems[(self.position + i) % len(self.problems)] for i in range(n)]
        self.position += n
        return chosen

    def observe(self, groups):
        self.observed += [(g.problem.id, g.pass_rate) for g in groups]

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


def text(ids):
    return "".join(map(chr, ids))


def all_trained(groups):
    drawn = [(g.group_id, s.index) for g in groups for s in g.samples if s.index >= 0]
    return {group_id * 2**16 + index: "trained" for group_id, index in drawn}


def names(groups):
    return [g.problem.id for g in groups]


def counts(ledger, *buckets):
    return {bucket: ledger.count(bucket) for bucket in buckets}


def fingerprint(steps):
    return [
        (g.group_id, g.problem.id, [s.token_ids.tolist() for s in g.samples])
        for groups in steps
        for g in groups
    ]


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
    assert counts(rig.ledger, "trained", "zero_signal") == {"trained": 8, "zero_signal": 8}
    assert rig.ledger.issued == 16


def test_problems_outside_of_a_band_are_replaced():
    middling = functools.partial(pass_rate_band, low=0.5, high=0.5, closed="both")
    rig = Rig(["1", "2", "3", "2"], filters=[middling])  # so many of four samples are right
    groups = asyncio.run(rig.collector.take(0))
    assert names(groups) == ["1:2", "3:2"]
    rig.collector.settle(all_trained(groups))
    assert counts(rig.ledger, "trained", "filtered") == {"trained": 8, "filtered": 8}


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
    assert rig.ledger.count("verifier_error") == 1


def test_a_group_with_fewer_than_two_verdicts_is_dropped():
    rig = Rig(["1?", "1", "2"])
    groups = asyncio.run(rig.collector.take(0))
    assert names(groups) == ["1:1", "2:2"]
    assert rig.ledger.count("verifier_error") == 4


def test_a_group_of_one_needs_one_verdict():
    groups = asyncio.run(Rig(["1", "0"], size=1).collector.take(0))
    assert [len(g.samples) for g in groups] == [1, 1]


def test_a_failed_request_is_counted_and_its_siblings_go_on():
    rig = Rig(["1!", "1", "2"])
    assert names(asyncio.run(rig.collector.take(0))) == ["1:1", "2:2"]
    assert rig.ledger.count("engine_error") == 4


def test_an_environment_that_fails_loses_its_group_only():
    async def breaks(asked, context, sampling, n):
        if asked.id == "0:1":
            raise EnvError("the game crashed")
        return await single_turn(asked, context, sampling, n)

    rig = Rig(["1", "1", "2"], environment=breaks)
    assert names(asyncio.run(rig.collector.take(0))) == ["1:1", "2:2"]
    assert rig.ledger.count("engine_error") == 4


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
    assert counts(rig.ledger, "trained", "down_sampled") == {"trained": 4, "down_sampled": 4}


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
    rig.collector.settle(all_trained(groups))
    assert counts(rig.ledger, "trained", "masked") == {"trained": 4, "masked": 2}
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


def test_nothing_is_in_flight_between_two_steps():
    async def run():
        rig = Rig(["4", "1", "2"], filters=[drop_uniform])
        await rig.step(0)
        return rig.collector.state_dict()

    state = asyncio.run(run())
    assert state["in_flight"] == {"tickets": []}
    assert state["buffer"] == {"groups": []}


def test_a_sample_without_an_outcome_is_our_defect():
    rig = Rig(["1"])
    asyncio.run(rig.collector.take(0))
    with pytest.raises(AssertionError, match="8 samples of the step have no outcome"):
        rig.collector.settle({})


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
        asyncio.get_running_loop().call_later(0.01, before.collector.stop)
        with pytest.raises(Interrupted):
            await before.collector.take(0)
        await before.collector.close()
        return before.collector.state_dict()

    state = asyncio.run(interrupted())
    assert [ticket["group_id"] for ticket in state["in_flight"]["tickets"]] == [3]
    after = Rig(PROMPTS, filters=[drop_uniform])
    after.collector.load_state_dict(json.loads(json.dumps(state)))
    assert fingerprint(asyncio.run(after.steps(0, 2))) == fingerprint(expected)


# -- in the background ---------------------------------------------------------------------------


@pytest.mark.parametrize("staleness", [1, 2, 3])
def test_no_token_is_older_than_allowed_and_nothing_is_wasted(staleness):
    async def run():
        rig = Rig(["1", "2", "3", "4"], staleness=staleness)
        await rig.publish(0)
        ages = []
        for step in range(8):
            groups = await rig.collector.take(step)
            ages += [step - g.oldest_version for g in groups]
            rig.collector.settle(all_trained(groups))
            for _ in range(20):  # the trainer computes, and the event loop is free
                await asyncio.sleep(0)
            await rig.publish(step + 1)
        await rig.collector.close()
        return rig, ages

    rig, ages = asyncio.run(run())
    assert max(ages) == staleness
    assert rig.ledger.count("stale") == 0


def test_no_more_groups_exist_than_staleness_allows():
    async def run():
        rig = Rig(["1"], staleness=2, per_step=2)
        rig.turns = {"1": 10**9}
        await rig.publish(0)
        for _ in range(20):
            await asyncio.sleep(0)
        await rig.collector.close()
        return len(rig.calls)

    assert asyncio.run(run()) == 6  # (2 + 1) * 2


def test_trained_groups_hold_their_places_until_the_next_version():
    async def run():
        rig = Rig(["1"], staleness=1, per_step=2)
        await rig.publish(0)
        groups = await rig.collector.take(0)
        for _ in range(20):
            await asyncio.sleep(0)
        during = len(rig.calls)
        rig.collector.settle(all_trained(groups))
        await rig.publish(1)
        for _ in range(20):
            await asyncio.sleep(0)
        await rig.collector.close()
        return during, len(rig.calls)

    assert asyncio.run(run()) == (4, 6)


def test_a_group_that_others_overtook_ends_as_stale():
    async def run():
        rig = Rig(["1", *["2"] * 20], staleness=1, per_step=1)
        rig.turns = {"1": 30}  # group 0 starts at version 0 and ends some steps later
        await rig.publish(0)
        taken = []
        for step in range(8):
            groups = await rig.collector.take(step)
            taken += [(g.group_id, step - g.oldest_version) for g in groups]
            rig.collector.settle(all_trained(groups))
            for _ in range(10):
                await asyncio.sleep(0)
            await rig.publish(step + 1)
        await rig.collector.close()
        return rig, taken

    rig, taken = asyncio.run(run())
    assert 0 not in [group_id for group_id, _ in taken]
    assert max(age for _, age in taken) <= 1
    assert rig.ledger.count("stale") == 4


def test_a_dropped_group_is_replaced_in_the_background():
    async def run():
        rig = Rig(["4", "1", "0", "2", "3"], staleness=1, filters=[drop_uniform])
        await rig.publish(0)
        for _ in range(50):
            await asyncio.sleep(0)
        ready = len(rig.buffer)
        groups = await rig.collector.take(0)
        await rig.collector.close()
        return ready, names(groups)

    ready, taken = asyncio.run(run())
    assert ready == 4
    assert taken == ["1:1", "3:2"]


def test_filters_that_keep_nothing_end_the_background_too():
    async def run():
        rig = Rig(["4"], staleness=1, filters=[drop_uniform], max_refills=2)
        await rig.publish(0)
        try:
            await rig.collector.take(0)
        finally:
            await rig.collector.close()
        return rig

    with pytest.raises(NotEnoughGroups, match="all samples have the same reward"):
        asyncio.run(run())


def test_a_resume_asks_again_for_what_was_in_flight():
    async def begin():
        rig = Rig(["1", "2", "3"], staleness=1)
        rig.turns = {"3": 10**9}
        await rig.publish(0)
        await rig.step(0)
        for _ in range(20):
            await asyncio.sleep(0)
        state = json.loads(json.dumps(rig.collector.state_dict()))
        await rig.collector.close()
        return rig, state

    before, state = asyncio.run(begin())
    # issued 0 to 3, of which 0 and 1 were trained; then 4 and 5; 2 and 5 are the endless ones
    assert [ticket["group_id"] for ticket in state["in_flight"]["tickets"]] == [2, 5]
    assert [group["group_id"] for group in state["buffer"]["groups"]] == [3, 4]
    after = Rig(["1", "2", "3"], staleness=1)
    after.collector.load_state_dict(state)

    async def go_on():
        await after.publish(1)
        for _ in range(20):
            await asyncio.sleep(0)
        groups = await after.collector.take(1)
        await after.collector.close()
        return groups

    assert [g.group_id for g in asyncio.run(go_on())] == [2, 3]
    name, sampling = after.calls[0]
    assert name == "2:3"
    assert sampling.seed == before.calls[2][1].seed
    assert after.ledger.issued == before.ledger.issued


def test_a_group_that_is_trained_again_is_not_counted_again():
    class HalfOld(Fifo):
        """Hands out one fresh group and the one it handed out before."""

        def __init__(self):
            super().__init__()
            self.last = []

        def take(self, n, version):
            taken = [*self.last, *super().take(n - len(self.last), version)]
            self.last = taken[-1:]
            return taken

    async def run():
        rig = Rig(["1", "2", "3"], staleness=2, buffer=HalfOld())
        await rig.publish(0)
        steps = await rig.steps(0, 3)
        await rig.collector.close()
        return rig, steps

    rig, steps = asyncio.run(run())
    assert [[g.group_id for g in groups] for groups in steps] == [[0, 1], [1, 2], [2, 3]]
    assert rig.ledger.count("trained") == 4 * 4  # groups 0 to 3, each once
    assert rig.collector.metrics()["rollout/groups_reused"] == 2


def test_the_uniform_sampler_feeds_the_collector():
    problems = [problem(str(i), prompt="1") for i in range(4)]
    rig = Rig(["1"], sampler=uniform(problems, 0))
    steps = asyncio.run(rig.steps(0, 2))
    assert sorted(names(steps[0] + steps[1])) == ["0", "1", "2", "3"]
