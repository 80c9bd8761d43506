"""Reward minus the reward of the greedy completion."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.advantages import advantage
from trainer.batch import TokenBatch
from trainer.ops.segments import actions_left, to_tokens


@advantage.register(needs=("greedy_rewards",), paper="https://arxiv.org/abs/2310.10505")
def remax(
    batch: TokenBatch,
    *,
    gamma: Annotated[
        Scheduled, Field(ge=0, le=1, description="Discount for each action token to the end")
    ] = 1.0,
    limit: Annotated[
        Scheduled, Field(gt=0, description="Largest absolute difference of the two rewards")
    ] = 5.0,
) -> torch.Tensor:
    """Reward minus that of the problem's greedy completion, on each action token.

    The baseline costs one more completion a problem and works for a single sample; `rloo` needs
    several samples and none more. Li et al. 2023. Departures: the authors' code discounts once
    more (also at the last token) and subtracts a token KL; here the last token is not discounted,
    and a KL goes into the `kl_penalty` shaping. A sample that scores as the greedy one gets zero.
    Returns advantages [T], in reward units; zero where `action_mask` is False.
    """
    difference = (batch.rewards - batch.greedy_rewards).clamp(-limit, limit)
    return to_tokens(difference, batch) * gamma ** actions_left(batch)
