"""Tickets that are being played: one asyncio task each, results kept until somebody asks."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from recipes.slots.spec import JSON
from rollout.collector.group_task import GroupResult, GroupTask

_POLL_S = 0.1  # whoever waits looks up this often: a stop may come from a signal handler


class InFlight:
    """Starts tickets, waits for them and gives up what they made, in the order of issue.

    played: called at the end of each task, when its result is there to be taken
    """

    def __init__(
        self, run: Callable[[GroupTask], Awaitable[GroupResult]], played: Callable[[], None]
    ) -> None:
        self._run = run
        self._on_played = played
        self._tickets: dict[int, GroupTask] = {}  # asked for, result not taken
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._played: dict[int, GroupResult] = {}

    def __len__(self) -> int:
        """Groups asked for whose result nobody has taken."""
        return len(self._tickets)

    def add(self, ticket: GroupTask) -> None:
        """Take a ticket in; `start` starts it."""
        self._tickets[ticket.group_id] = ticket

    def start(self) -> None:
        """Start every ticket that has no task, in the order of issue."""
        idle = self._tickets.keys() - self._tasks.keys() - self._played.keys()
        for group_id in sorted(idle):
            self._tasks[group_id] = asyncio.create_task(self._play(self._tickets[group_id]))

    async def _play(self, ticket: GroupTask) -> None:
        self._played[ticket.group_id] = await self._run(ticket)
        self._on_played()

    async def wait(self, enough: Callable[[], bool]) -> None:
        """Until `enough()` or nothing runs any more; raises what a task or `enough` raises."""
        while True:
            running = self._running()
            if enough() or not running:
                return
            await asyncio.wait(running, timeout=_POLL_S, return_when=asyncio.FIRST_COMPLETED)

    def _running(self) -> list[asyncio.Task[None]]:
        for group_id, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[group_id]
                task.result()
        return list(self._tasks.values())

    def take(self) -> list[GroupResult]:
        """The results that are there, in the order of issue; they are in flight no more."""
        results = [self._played.pop(group_id) for group_id in sorted(self._played)]
        for result in results:
            del self._tickets[result.ticket.group_id]
        return results

    async def close(self) -> None:
        """Cancel all tasks; the tickets stay, so that the state can still be saved."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def state_dict(self) -> dict[str, JSON]:
        """The tickets; they will be played again."""
        return {"tickets": [self._tickets[i].state_dict() for i in sorted(self._tickets)]}

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        assert not self._tickets, "state is loaded into a collector that has not begun"
        for ticket in state["tickets"]:
            self.add(GroupTask.from_state(ticket))
