"""A collector that works ahead: staleness, places, what others overtook, and resuming it."""

import asyncio
import json

import pytest

from rollout.buffers.fifo import Fifo
from rollout.collector.collector import NotEnoughGroups
from rollout.filters.drop_uniform import drop_uniform
from rollout.samplers.uniform import uniform
from rollout.types import Bucket
from tests.support.builders import problem
from tests.support.collectors import Rig, all_trained, names


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
    assert rig.ledger.count(Bucket.STALE) == 0


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
    assert rig.ledger.count(Bucket.STALE) == 4


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
    assert [task["group_id"] for task in state["in_flight"]["tasks"]] == [2, 5]
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
    assert sampling.max_tokens == 4  # group 2 was issued in step 0, and is sampled as step 0 is
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
    assert rig.ledger.count(Bucket.TRAINED) == 4 * 4  # groups 0 to 3, each once
    assert rig.collector.metrics()["rollout/groups_reused"] == 2


def test_the_uniform_sampler_feeds_the_collector():
    problems = [problem(str(i), prompt="1") for i in range(4)]
    rig = Rig(["1"], sampler=uniform(problems, 0))
    steps = asyncio.run(rig.steps(0, 2))
    assert sorted(names(steps[0] + steps[1])) == ["0", "1", "2", "3"]
