"""Collector: problems in, scored and filtered groups out; it decides how far ahead to work.

             GroupTask                GroupResult               Group            list[Group]
    sampler ----------> environment -------------> filter_group ------> buffer -----------> take
       ^                engine, verifier                |          put          take(n)       |
       |                                                |                                 the loop
       +------- observe: every group -------------------+                                     |
       |                                                |                                     |
       +-- _issue: tasks for free places <-- a group dropped or stale; publish(version) <-----+

Who produces: one asyncio task per group. Who waits: `take`, for enough groups; `_issue` never
waits, it starts what there is room for. Who unblocks: a finished task wakes `take`; a drop, a stale
group and `publish` make room; `stop` and a failed task make `take` raise.

`max_staleness: 0` is synchronous: `take` issues exactly what is missing, waits for all of it,
filters in the order of issue and refills the deficit; nothing is in flight between two steps.

`max_staleness: k` lets (k + 1) * groups_per_step groups exist at once: in flight, buffered, or in
the step that is being trained, whose groups hold their places until the next version is published.
So a group issued at version v, with less than (k + 1) * groups_per_step before it, has its turn at
version v + k at the latest. The limit is at admission: only a group that others overtook can
become stale, and it is counted. The tasks go on while the trainer computes only where that leaves
the event loop free, or where the engine works in other threads or processes.
"""

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from recipes.slots.spec import JSON
from rollout.buffers import Buffer
from rollout.collector.group_task import (
    GroupResult,
    GroupTask,
    derive_seed,
    filter_group,
    run_group,
)
from rollout.collector.ledger import Ledger, RolloutStats, SampleTracker
from rollout.environments import Environment, RolloutContext
from rollout.filters import Filter
from rollout.samplers import Sampler
from rollout.types import Bucket, Group, Interrupted, Sampling
from rollout.verification import CircuitBreaker

_OVERTAKEN = "older than max_staleness when its turn came"
_POLL_S = 0.1  # seconds between two looks at a stop, which may come from a signal handler


class NotEnoughGroups(Exception):
    """The filters left too few groups after all refills."""


class Collector:
    """Hands out `groups_per_step` groups a step, each at most `max_staleness` versions old.

    sampling: settings of a step, schedules resolved; the seed is set here
    max_refills: a step gives up when it dropped as many groups as this many full refills and the
        first round hold; a round that lacks a single group is no full refill
    greedy: also draw one sample a group at temperature 0, as a baseline
    """

    def __init__(
        self,
        *,
        sampler: Sampler,
        environment: Environment,
        context: RolloutContext,
        filters: Sequence[Filter],
        buffer: Buffer,
        sampling: Callable[[int], Sampling],
        group_size: int,
        groups_per_step: int,
        max_staleness: int,
        run_seed: int,
        ledger: Ledger,
        max_refills: int,
        greedy: bool = False,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        self._sampler = sampler
        self._environment = environment
        self._context = context
        self._filters = tuple(filters)
        self._buffer = buffer
        self._sampling = sampling
        self._group_size = group_size
        self._samples_per_group = group_size + greedy
        self._groups_per_step = groups_per_step
        self._max_staleness = max_staleness
        self._run_seed = run_seed
        # the same number of dropped groups ends a step, whatever a round asks for at once
        self._most_dropped = (max_refills + 1) * groups_per_step
        self._greedy = greedy
        self._breaker = breaker
        self._ledger = ledger
        self._tracker = SampleTracker(ledger)
        self._stats = RolloutStats()
        self._next_id = 0
        self._version = 0  # of the engine's weights; the step that is being collected
        self._tasks: dict[int, GroupTask] = {}  # in flight: issued, and not filtered yet
        self._running: dict[int, asyncio.Task[None]] = {}
        self._results: dict[int, GroupResult] = {}  # of tasks that ended
        self._groups_in_step = 0  # they hold their places until the next publish
        self._dropped: Counter[str] = Counter()  # reasons since the last full step
        self._stopping = False

    # -- a step, in the order of time ------------------------------------------------------------

    async def take(self, step: int) -> list[Group]:
        """The groups of step `step`, the version last published; `settle` must follow.

        Raises Interrupted, NotEnoughGroups, BreakerTripped, EngineDied.
        """
        assert step == self._version, "a step is collected with the weights of its own version"
        assert not self._tracker.in_step, "the last step's samples were not settled"
        taken: list[Group] = []
        for refill in range(self._most_dropped):
            missing = self._groups_per_step - len(taken)
            self._stats.refills += refill > 0
            self._evict()
            self._issue(missing)
            await self._wait(missing)
            self._finish_groups()
            self._evict()
            if self._tracker.buffered_groups >= missing:
                groups = self._buffer.take(missing, self._version)
                first = sum(self._tracker.hand_out(group) for group in groups)
                self._groups_in_step += first
                self._stats.reused += len(groups) - first
                taken += groups
            if len(taken) == self._groups_per_step:
                self._dropped.clear()
                self._check_ledger()
                return taken
            if self._dropped.total() >= self._most_dropped:
                break
        reasons = "; ".join(f"{count}x {reason}" for reason, count in self._dropped.most_common(5))
        raise NotEnoughGroups(
            f"step {step}: {len(taken) + self._tracker.buffered_groups} of {self._groups_per_step} "
            f"groups after {self._dropped.total()} others were dropped: {reasons or 'none'}. Give "
            "the filters problems they can keep (neither always solved nor never), relax them, or "
            "raise limits.max_refills"
        )

    def _evict(self) -> None:
        """Groups too old for this step leave the buffer."""
        for group in self._buffer.evict(self._version - self._max_staleness):
            self._dropped[_OVERTAKEN] += self._tracker.evict(group)

    def _issue(self, missing: int) -> None:
        """Issue tasks while there is room, and start every task that is not running.

        missing: groups that the step still lacks; what a synchronous collector may issue
        """
        ready = len(self._tasks) + self._tracker.buffered_groups
        if not self._max_staleness:
            room = missing - ready
        elif self._dropped.total() >= self._most_dropped:
            room = 0  # the step's refills are used up
        else:
            capacity = (self._max_staleness + 1) * self._groups_per_step
            room = capacity - ready - self._groups_in_step
        for problem in self._sampler.next(max(room, 0)):
            task = GroupTask(group_id=self._next_id, problem=problem, step=self._version)
            self._tasks[task.group_id] = task
            self._next_id += 1
            self._stats.issued += 1
            self._ledger.issue(self._samples_per_group)
        for group_id in sorted(self._tasks.keys() - self._running.keys() - self._results.keys()):
            self._running[group_id] = asyncio.create_task(self._run(self._tasks[group_id]))

    async def _run(self, task: GroupTask) -> None:
        """One group in its asyncio task; in the background its end makes room for the next."""
        seed = derive_seed(self._run_seed, task.group_id)
        self._results[task.group_id] = await run_group(
            task,
            self._environment,
            self._context,
            dataclasses.replace(self._sampling(task.step), seed=seed),
            group_size=self._group_size,
            greedy=self._greedy,
        )
        if self._max_staleness:
            self._finish_groups()
            self._issue(0)

    async def _wait(self, missing: int) -> None:
        """Until nothing runs any more; in the background, until `missing` groups are buffered.

        Raises what a task raised, and Interrupted.
        """
        while True:
            for group_id, running in list(self._running.items()):
                if running.done():
                    del self._running[group_id]
                    running.result()
            if self._stopping:
                raise Interrupted
            enough = self._max_staleness > 0 and self._tracker.buffered_groups >= missing
            if enough or not self._running:
                return
            await asyncio.wait(
                self._running.values(), timeout=_POLL_S, return_when=asyncio.FIRST_COMPLETED
            )

    def _finish_groups(self) -> None:
        """Results, in the order of issue: observed, counted, filtered, put into the buffer."""
        for group_id in sorted(self._results):
            result, task = self._results.pop(group_id), self._tasks.pop(group_id)
            if result.failure:
                self._ledger.settle(Bucket.ENGINE_ERROR, self._samples_per_group)
                self._dropped[result.failure] += 1
                self._stats.add_failed()
                continue
            self._ledger.issue(len(result.samples) - self._samples_per_group)  # extra players
            whole = Group(problem=task.problem, samples=result.samples, group_id=group_id)
            drawn = tuple(sample for sample in result.samples if sample.index >= 0)
            observed = dataclasses.replace(whole, samples=drawn)
            filtered = filter_group(whole, self._filters, min_scored=min(2, self._group_size))
            self._sampler.observe([observed])
            self._stats.add(observed, kept=filtered.kept is not None)
            self._stats.tokens += sum(sample.num_actions for sample in result.samples)
            for bucket, count in filtered.ended.items():
                self._ledger.settle(bucket, count)
            if filtered.kept is None:
                self._dropped[filtered.reason] += 1
            else:
                self._buffer.put(filtered.kept)
                self._tracker.buffer(filtered.kept)
        if self._breaker is not None:
            self._breaker.check()

    def _check_ledger(self) -> None:
        self._tracker.check(in_flight=len(self._tasks) * self._samples_per_group)

    def settle(self, ended: Mapping[int, Bucket]) -> None:
        """Where each sample of the step ended, by sample id."""
        self._tracker.settle(ended)
        self._check_ledger()

    def metrics(self) -> dict[str, float]:
        """Numbers of all groups finished since the last reading, and the ledger's; after settle."""
        stats, self._stats = self._stats, RolloutStats()
        return {**stats.metrics(), **self._ledger.metrics()}

    def publish(self, version: int) -> None:
        """The engine samples from weights `version` now: the step's places are free again."""
        self._version = version
        self._groups_in_step = 0
        if self._max_staleness:
            self._issue(0)

    # -- ending and resuming ---------------------------------------------------------------------

    def stop(self) -> None:
        """Make `take` raise Interrupted, now or at its next call; safe in a signal handler."""
        self._stopping = True

    async def close(self) -> None:
        """Cancel what runs, and wait until it has ended; may be called twice.

        The tasks stay in the state, and run again after a resume.
        """
        running = list(self._running.values())
        self._running.clear()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def state_dict(self) -> dict[str, JSON]:
        """Everything to go on exactly: unfinished groups will be requested again."""
        tasks = [self._tasks[group_id].state_dict() for group_id in sorted(self._tasks)]
        return {
            "next_id": self._next_id,
            "in_flight": {"tickets": tasks},
            "custody": self._tracker.state_dict(),
            "sampler": self._sampler.state_dict(),
            "buffer": self._buffer.state_dict(),
            "ledger": self._ledger.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        """To be called before the first `publish`, which starts the unfinished groups."""
        assert not self._tasks, "state is loaded into a collector that has not begun"
        self._next_id = state["next_id"]
        for saved in state["in_flight"]["tickets"]:
            task = GroupTask.from_state(saved)
            self._tasks[task.group_id] = task
        self._tracker.load_state_dict(state["custody"])
        self._sampler.load_state_dict(state["sampler"])
        self._buffer.load_state_dict(state["buffer"])
        self._ledger.load_state_dict(state["ledger"])
