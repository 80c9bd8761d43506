"""The embedded engine: samples from the training module itself, in its own process and thread."""

from typing import Annotated

from pydantic import Field

from recipes.slots.spec import Parallel
from rollout.engines import engine
from rollout.generation import Engine, EngineContext


@engine.register(tags=("trainer_arithmetic",))
def hf(
    context: EngineContext,
    *,
    max_batch: Annotated[
        Parallel, Field(gt=0, description="Maximum number of sequences decoded at the same time")
    ] = 256,
) -> Engine:
    """Samples from the training module itself: no second copy of the weights, no server.

    For laptops, small models and tests; `vllm` is faster on a GPU. Needs a model that packed
    attention serves (docs/models.md). Log-probs come from the very function that
    training uses. Its cache grows with the longest sequence in the batch and is given back
    whenever nothing is being sampled.
    """
    from rollout.engines.embedded.engine import HfEngine  # torch and transformers

    return HfEngine(context, max_batch)
