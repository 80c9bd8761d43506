"""One group, from its task to what may be trained: the environment runs it, the filters decide.

GroupTask --run_group--> GroupResult --filter_group--> FilterResult
            environment,               samples without a verdict leave,
            engine, verifier           filters keep or drop the rest
"""

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recipes.slots.spec import JSON
from rewards.types import Problem
from rollout.environments import Environment, RolloutContext
from rollout.filters import Filter
from rollout.serialize import problem_from_dict, problem_to_dict
from rollout.types import Bucket, Drop, Group, RolloutError, Sample, Sampling, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTask:
    """A group that was requested."""

    group_id: int
    problem: Problem
    step: int  # whose sampling settings it uses

    def state_dict(self) -> dict[str, JSON]:
        problem = problem_to_dict(self.problem)
        return {"group_id": self.group_id, "problem": problem, "step": self.step}

    @classmethod
    def from_state(cls, state: Mapping[str, JSON]) -> "GroupTask":
        problem = problem_from_dict(state["problem"])
        return cls(group_id=state["group_id"], problem=problem, step=state["step"])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupResult:
    """What came of a task."""

    task: GroupTask
    samples: tuple[Sample, ...]  # the greedy one, if any, last; empty when the whole group failed
    failure: str  # why the whole group failed; empty otherwise


def derive_seed(run_seed: int, group_id: int) -> int:
    """The group's seed: the same in every run, at whatever step the group is drawn."""
    return int(np.random.SeedSequence((run_seed, group_id)).generate_state(1, np.uint64)[0] >> 1)


async def run_group(
    task: GroupTask,
    environment: Environment,
    context: RolloutContext,
    sampling: Sampling,
    *,
    group_size: int,
    greedy: bool,
) -> GroupResult:
    """Run the group; with `greedy` also one sample at temperature 0, index -1.

    A RolloutError fails the whole group. Everything else (EngineDied, defects) is raised.
    """
    try:
        drawn = environment(task.problem, context, sampling, group_size)
        if not greedy:
            samples = await drawn
        else:
            likeliest = dataclasses.replace(sampling, temperature=0.0)
            samples, baseline = await asyncio.gather(
                drawn, environment(task.problem, context, likeliest, 1)
            )
            samples = [*samples, *(dataclasses.replace(s, index=-1) for s in baseline)]
    except RolloutError as error:
        failure = f"{type(error).__name__}: {error}"
        return GroupResult(task=task, samples=(), failure=failure)
    assert len(samples) >= group_size + greedy, "the environment returned too few samples"
    return GroupResult(task=task, samples=tuple(samples), failure="")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilterResult:
    """The part of a group that goes on, and where its other samples ended."""

    kept: Group | None
    ended: Counter[Bucket]  # samples by bucket
    reason: str  # why nothing is kept; empty otherwise


def filter_group(group: Group, filters: Sequence[Filter], *, min_scored: int) -> FilterResult:
    """Samples without a verdict leave; fewer than `min_scored` left drops the group; then filters.

    A greedy sample (index -1) is a baseline: no filter sees it, and a group whose greedy sample
    has no verdict is dropped. It comes last in the kept group.
    """
    ended = Counter(
        Bucket.ENGINE_ERROR if sample.status is Status.ERROR_ENGINE else Bucket.VERIFIER_ERROR
        for sample in group.samples
        if sample.verdict.is_missing
    )
    greedy = tuple(s for s in group.scored if s.index < 0)
    drawn = tuple(s for s in group.scored if s.index >= 0)
    current = dataclasses.replace(group, samples=drawn)
    drop: Drop | None = None
    if len(drawn) < min_scored:
        [(cause, _)] = ended.most_common(1)
        drop = Drop(reason=f"too few samples with a verdict ({cause})")
    elif any(s.verdict.is_missing for s in group.samples if s.index < 0):
        drop = Drop(reason="the greedy sample has no verdict")
    else:
        for decide in filters:
            decision = decide(current)
            if isinstance(decision, Drop):
                drop = decision
                break
            current = decision.group
            assert current.samples, "a filter kept a group without samples; it should drop it"
    ended[Bucket.DOWN_SAMPLED] += len(drawn) - len(current.samples)
    if drop is not None:
        ended[drop.bucket] += len(current.samples) + len(greedy)
        return FilterResult(kept=None, ended=+ended, reason=drop.reason)
    kept = dataclasses.replace(current, samples=(*current.samples, *greedy))
    return FilterResult(kept=kept, ended=+ended, reason="")
