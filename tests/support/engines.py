"""What tests of vLLM engines share: a scenario that closes its engine, and the engine's error.

served(made, scenario)                  the scenario's result
gap(model, prompt, completion)          largest difference of log-probs from the model's own
Import them with `from tests.support.engines import gap, served`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import numpy as np
from torch import nn

from rollout.generation import Engine
from rollout.types import Completion
from tests.support.models import next_logprobs

T = TypeVar("T")
E = TypeVar("E", bound=Engine)


def gap(
    reference: nn.Module,
    prompt: Sequence[int],
    completion: Completion,
    *,
    first: int = 0,
    last: int | None = None,
) -> float:
    """Largest difference of the engine's log-probs from the model's own, over some new tokens."""
    ids = [*prompt, *completion.token_ids.tolist()]
    own = next_logprobs(reference, ids)[len(prompt) - 1 :].numpy()
    return float(np.abs(own - completion.logprobs)[first:last].max())


def served(made: E, scenario: Callable[[E], Awaitable[T]]) -> T:
    """The scenario's result; the engine is closed whatever happens."""

    async def run() -> T:
        try:
            return await scenario(made)
        finally:
            await made.close()

    return asyncio.run(run())
