"""Collector: problems in, scored and filtered groups out; it decides how far ahead to work.

              GroupTask          Sample          Group             list[Group]
    sampler ----------> play ---------> sift --------> buffer -------------> take
       ^            environment        filters    put          take(n)        |
       |         engine, verifier         |                                the loop
       +----- observe: every group -------+                                   |
       |                                  |                                   |
       +-- _fill: tickets for free places +-- a group dropped or stale        |
                                          +-- publish(version) <--------------+

Who produces: one asyncio task per ticket. Who waits: `take`, for enough groups; `_fill` never
waits, it issues what there is room for. Who unblocks: a finished task wakes `take`; a drop, a stale
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

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from recipes.slots.spec import JSON
from rollout.buffers import Buffer
from rollout.collector.custody import SampleTracker
from rollout.collector.filtering import filter_group
from rollout.collector.group_task import GroupResult, GroupTask, derive_seed, run_group
from rollout.collector.in_flight import InFlight
from rollout.collector.ledger import Ledger
from rollout.collector.stats import RolloutStats
from rollout.environments import Environment, RolloutContext
from rollout.filters import Filter
from rollout.samplers import Sampler
from rollout.types import Group, Interrupted, Sampling
from rollout.verification.breaker import CircuitBreaker

_OVERTAKEN = "older than max_staleness when its turn came"


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
        self._groups_per_step = groups_per_step
        self._max_staleness = max_staleness
        self._run_seed = run_seed
        self._max_refills = max_refills
        self._greedy = greedy
        self._breaker = breaker
        self._ledger = ledger
        self._tally = RolloutStats()
        self._next_id = 0
        self._step = 0
        self._version = 0
        self._in_flight = InFlight(self._play, self._on_played)
        self._tracker = SampleTracker(ledger)
        self._groups_in_step = 0  # they hold their places until the next publish
        self._dropped: Counter[str] = Counter()  # reasons since the last full step
        self._stopping = False

    # -- the loop's side -------------------------------------------------------------------------

    async def take(self, step: int) -> list[Group]:
        """The groups of step `step`; `settle` must be told what became of their samples.

        Raises Interrupted, NotEnoughGroups, BreakerTripped, EngineDied.
        """
        assert not self._tracker.in_step, "the last step's samples were not settled"
        self._step = step
        self._groups_in_step = 0
        wanted = self._groups_per_step
        taken: list[Group] = []
        for refill in range(self._most_dropped):
            self._tally.refills += refill > 0
            self._evict()
            self._fill(wanted - len(taken))
            await self._in_flight.wait(functools.partial(self._has, wanted - len(taken)))
            self._finish_played()
            self._evict()
            if self._tracker.buffered_groups >= wanted - len(taken):
                taken += self._draw(wanted - len(taken))
            if len(taken) == wanted:
                self._dropped.clear()
                self._check_ledger()
                return taken
            if self._dropped.total() >= self._most_dropped:
                break
        raise NotEnoughGroups(self._shortage(len(taken) + self._tracker.buffered_groups))

    def settle(self, outcomes: Mapping[int, str]) -> None:
        """Where each sample of the step ended: sample id -> bucket of the ledger."""
        self._tracker.settle(outcomes)
        self._check_ledger()

    def publish(self, version: int) -> None:
        """The engine samples from weights `version` now: the step's places are free again."""
        self._version = version
        self._step = max(self._step, version)
        self._groups_in_step = 0
        if self._max_staleness:
            self._fill(0)

    def stop(self) -> None:
        """Make `take` raise Interrupted, now or at its next call; safe in a signal handler."""
        self._stopping = True

    def metrics(self) -> dict[str, float]:
        """Numbers of all groups finished since the last reading, and the ledger's; after settle."""
        tally, self._tally = self._tally, RolloutStats()
        return {**tally.metrics(), **self._ledger.metrics()}

    async def close(self) -> None:
        """Cancel what is in flight; may be called twice."""
        await self._in_flight.close()

    # -- issuing and finishing -------------------------------------------------------------------

    def _fill(self, missing: int) -> None:
        """Issue tickets while there is room, and start every ticket that has no task.

        missing: groups that the step still lacks; what a synchronous collector may issue
        """
        for problem in self._sampler.next(self._room(missing)):
            ticket = GroupTask(group_id=self._next_id, problem=problem, step=self._step)
            self._in_flight.add(ticket)
            self._next_id += 1
            self._tally.issued += 1
            self._ledger.issue(self._samples_per_group)
        self._in_flight.start()

    def _room(self, missing: int) -> int:
        """How many more groups may exist; none once the step's refills are used up."""
        ready = len(self._in_flight) + self._tracker.buffered_groups
        if not self._max_staleness:
            return max(missing - ready, 0)
        if self._dropped.total() >= self._most_dropped:
            return 0
        capacity = (self._max_staleness + 1) * self._groups_per_step
        return max(capacity - ready - self._groups_in_step, 0)

    @property
    def _most_dropped(self) -> int:
        """Groups that a step may drop; whatever is asked for at once, it is the same number."""
        return (self._max_refills + 1) * self._groups_per_step

    @property
    def _samples_per_group(self) -> int:
        return self._group_size + self._greedy

    async def _play(self, ticket: GroupTask) -> GroupResult:
        seed = derive_seed(self._run_seed, ticket.group_id)
        return await run_group(
            ticket,
            self._environment,
            self._context,
            dataclasses.replace(self._sampling(ticket.step), seed=seed),
            group_size=self._group_size,
            greedy=self._greedy,
        )

    def _on_played(self) -> None:
        """In the background mode a group that ends makes room for the next one."""
        if self._max_staleness:
            self._finish_played()
            self._fill(0)

    def _has(self, missing: int) -> bool:
        """Whether `take` may stop waiting; a synchronous one waits for all that was issued."""
        if self._stopping:
            raise Interrupted
        return self._max_staleness > 0 and self._tracker.buffered_groups >= missing

    def _finish_played(self) -> None:
        """Finished groups, in the order of issue: observed, filtered, put into the buffer."""
        for played in self._in_flight.take():
            self._finish_group(played)
        if self._breaker is not None:
            self._breaker.check()

    def _finish_group(self, played: GroupResult) -> None:
        ticket = played.ticket
        if played.failure:
            self._ledger.settle("engine_error", self._samples_per_group)
            self._dropped[played.failure] += 1
            self._tally.add_failed()
            return
        self._ledger.issue(len(played.samples) - self._samples_per_group)  # extra players
        whole = Group(problem=ticket.problem, samples=played.samples, group_id=ticket.group_id)
        drawn = tuple(s for s in played.samples if s.index >= 0)
        observed = dataclasses.replace(whole, samples=drawn)
        result = filter_group(whole, self._filters, min_scored=min(2, self._group_size))
        self._sampler.observe([observed])
        self._tally.add(observed, kept=result.kept is not None)
        self._tally.tokens += sum(sample.num_actions for sample in played.samples)
        for bucket, count in result.ended.items():
            self._ledger.settle(bucket, count)
        if result.kept is None:
            self._dropped[result.reason] += 1
        else:
            self._buffer.put(result.kept)
            self._tracker.buffer(result.kept)

    # -- taking ----------------------------------------------------------------------------------

    def _evict(self) -> None:
        """Groups too old for this step leave the buffer."""
        for group in self._buffer.evict(self._version - self._max_staleness):
            self._dropped[_OVERTAKEN] += self._tracker.evict(group)

    def _draw(self, n: int) -> list[Group]:
        """Up to `n` groups from the buffer; their samples are in the step from now on."""
        groups = self._buffer.take(n, self._version)
        first = sum(self._tracker.hand_out(group) for group in groups)
        self._groups_in_step += first
        self._tally.reused += len(groups) - first
        return groups

    def _check_ledger(self) -> None:
        self._tracker.check(in_flight=len(self._in_flight) * self._samples_per_group)

    def _shortage(self, found: int) -> str:
        reasons = "; ".join(f"{count}x {reason}" for reason, count in self._dropped.most_common(5))
        return (
            f"step {self._step}: {found} of {self._groups_per_step} groups after "
            f"{self._dropped.total()} others were dropped: {reasons or 'none'}. Give the filters "
            "problems they can keep (neither always solved nor never), relax them, or raise "
            "limits.max_refills"
        )

    # -- state -----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, JSON]:
        """Everything to go on exactly: unfinished groups will be asked for again."""
        return {
            "next_id": self._next_id,
            "in_flight": self._in_flight.state_dict(),
            "custody": self._tracker.state_dict(),
            "sampler": self._sampler.state_dict(),
            "buffer": self._buffer.state_dict(),
            "ledger": self._ledger.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        """To be called before the first `publish`, which starts the unfinished groups."""
        self._next_id = state["next_id"]
        self._in_flight.load_state_dict(state["in_flight"])
        self._tracker.load_state_dict(state["custody"])
        self._sampler.load_state_dict(state["sampler"])
        self._buffer.load_state_dict(state["buffer"])
        self._ledger.load_state_dict(state["ledger"])
