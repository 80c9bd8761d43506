"""One group from ticket to samples: the environment is called, its failures become data."""

import asyncio
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recipes.slots.spec import JSON
from rewards.types import Problem
from rollout.environments import Environment, RolloutContext
from rollout.serialize import problem_from_dict, problem_to_dict
from rollout.types import RolloutError, Sample, Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTask:
    """A group that was asked for."""

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
    """What became of a ticket."""

    ticket: GroupTask
    samples: tuple[Sample, ...]  # the greedy one, if any, last; empty when the whole group failed
    failure: str  # why the whole group failed; empty otherwise


def derive_seed(run_seed: int, group_id: int) -> int:
    """The group's seed: the same in every run, at whatever step the group is drawn."""
    return int(np.random.SeedSequence((run_seed, group_id)).generate_state(1, np.uint64)[0] >> 1)


async def run_group(
    ticket: GroupTask,
    environment: Environment,
    context: RolloutContext,
    sampling: Sampling,
    *,
    group_size: int,
    greedy: bool,
) -> GroupResult:
    """Play the group; with `greedy` also one sample at temperature 0, index -1.

    A RolloutError fails the whole group. Everything else (EngineDied, defects) is raised.
    """
    try:
        drawn = environment(ticket.problem, context, sampling, group_size)
        if not greedy:
            samples = await drawn
        else:
            best = dataclasses.replace(sampling, temperature=0.0)
            samples, baseline = await asyncio.gather(
                drawn, environment(ticket.problem, context, best, 1)
            )
            samples = [*samples, *(dataclasses.replace(s, index=-1) for s in baseline)]
    except RolloutError as error:
        failure = f"{type(error).__name__}: {error}"
        return GroupResult(ticket=ticket, samples=(), failure=failure)
    assert len(samples) >= group_size + greedy, "the environment returned too few samples"
    return GroupResult(ticket=ticket, samples=tuple(samples), failure="")
