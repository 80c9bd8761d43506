import asyncio

import pytest

from rollout.collector.group_task import GroupResult, GroupTask
from rollout.collector.in_flight import InFlight
from tests.support.builders import problem


def ticket(group_id):
    return GroupTask(group_id=group_id, problem=problem(), step=0)


def flight(turns, events, *, loaded=None):
    async def run(one):
        events.append(f"start {one.group_id}")
        for _ in range(turns[one.group_id]):
            await asyncio.sleep(0)
        if turns[one.group_id] == 13:
            raise ValueError("unlucky")
        events.append(f"end {one.group_id}")
        return GroupResult(ticket=one, samples=(), failure="")

    in_flight = InFlight(run, lambda: None)
    if loaded is not None:
        in_flight.load_state_dict(loaded)
        return in_flight
    for group_id in turns:
        in_flight.add(ticket(group_id))
    return in_flight


async def drain(in_flight):
    in_flight.start()
    await in_flight.wait(lambda: False)
    return [played.ticket.group_id for played in in_flight.take()]


def test_results_come_in_the_order_of_issue():
    events = []
    assert asyncio.run(drain(flight({2: 5, 0: 9, 1: 1}, events))) == [0, 1, 2]
    assert events == ["start 0", "start 1", "start 2", "end 1", "end 2", "end 0"]


def test_what_a_task_raises_is_raised_by_wait():
    with pytest.raises(ValueError, match="unlucky"):
        asyncio.run(drain(flight({0: 13, 1: 10**9}, [])))


def test_wait_ends_as_soon_as_there_is_enough():
    async def run():
        events = []
        in_flight = flight({0: 10**9, 1: 2}, events)
        in_flight.start()
        await in_flight.wait(lambda: "end 1" in events)
        left = len(in_flight)
        taken = [played.ticket.group_id for played in in_flight.take()]
        await in_flight.close()
        return left, taken, len(in_flight)

    assert asyncio.run(run()) == (2, [1], 1)


def test_a_cancelled_ticket_stays_in_the_state_and_can_be_started_again():
    async def run():
        in_flight = flight({4: 3}, [])
        in_flight.start()
        await in_flight.close()
        await in_flight.close()
        return await drain(flight({4: 3}, [], loaded=in_flight.state_dict()))

    assert asyncio.run(run()) == [4]
