"""Several rewards, each normalised in its group before they are added (GDPO)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Epsilon, Signed
from trainer.advantages import advantage
from trainer.batch import TokenBatch
from trainer.ops.components import component
from trainer.ops.segments import group_mean, group_std, to_tokens


@advantage.register(paper="https://arxiv.org/abs/2601.05242", tags=("group_baseline",))
def multi_reward(
    batch: TokenBatch,
    *,
    weights: Annotated[
        dict[str, Signed], Field(min_length=1, description="Weight of each component of the reward")
    ],
    eps: Annotated[
        Epsilon, Field(gt=0, description="Constant added to each standard deviation")
    ] = 1e-6,
) -> torch.Tensor:
    """The weighted sum of group-normalised reward components, standardised over the step's samples.

    `grpo` normalises the sum, in which the component with the largest spread drowns the others.
    GDPO 2026; the same as TRL's `normalize_then_sum`. A component that does not vary in a group
    adds zero there; a step in which nothing varies gets zero. A sample without one of the
    components is left out of that component's statistics; one without any of them gets zero.
    Returns advantages [T], in standard deviations; zero where `action_mask` is False.
    """
    total = torch.zeros_like(batch.rewards)
    scored = torch.zeros_like(batch.rewards, dtype=torch.bool)
    for name, weight in weights.items():
        values = component(batch, name)
        known = values.isfinite()
        scored |= known
        centred = values - group_mean(values, batch, known)
        scaled = weight * centred / (group_std(values, batch, mask=known) + eps)
        total = total + torch.where(known, scaled, 0.0)
    if not scored.any():
        return to_tokens(total, batch)
    spread = total[scored].std() if scored.sum() > 1 else torch.zeros(())
    standard = (total - total[scored].mean()) / (spread + eps)
    return to_tokens(torch.where(scored, standard, 0.0), batch)
