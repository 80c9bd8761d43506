"""SLOT environment: `async (problem, context, sampling, n) -> list[Sample]`: plays one group."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from recipes.slots.registry import Registry
from rewards.types import Problem, Verdict
from rollout.generation import Engine
from rollout.render import Renderer
from rollout.types import Sample, Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutContext:
    """What an environment may use. `verify` never raises; a failed verifier gives MISSING."""

    engine: Engine
    renderer: Renderer
    verify: Callable[[Problem, str], Awaitable[Verdict]]


class Environment(Protocol):
    """Plays `n` rollouts of one problem; a failure of one is a Status on its sample.

    The whole group is one call, so that its samples can share the prompt's computation, or play
    against each other. Sample i has index i and draws from the stream (sampling.seed, i).
    """

    async def __call__(
        self, problem: Problem, context: RolloutContext, sampling: Sampling, n: int
    ) -> list[Sample]: ...


environment: Registry[[Problem, RolloutContext, Sampling, int], Awaitable[list[Sample]]] = Registry(
    "environment",
    params=("problem", "context", "sampling", "n"),
    packages=["rollout.environments"],
)
