"""The reward itself."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.advantages import advantage
from trainer.batch import TokenBatch
from trainer.ops.segments import actions_left, to_tokens


@advantage.register(paper="https://doi.org/10.1007/BF00992696")
def reinforce(
    batch: TokenBatch,
    *,
    gamma: Annotated[
        Scheduled, Field(ge=0, le=1, description="Discount for each action token to the end")
    ] = 1.0,
) -> torch.Tensor:
    """The sample's reward on each action token, discounted by its distance from the last.

    No baseline at all; `minus_baseline` takes one off, `reinforce_pp` whitens over the batch.
    Williams 1992. Tokens that are no actions do not count as distance.
    Returns advantages [T], in reward units; zero where `action_mask` is False.
    """
    return to_tokens(batch.rewards, batch) * gamma ** actions_left(batch)
