"""Keeps both modes of a policy that may choose whether to think, then shortens (AutoThink)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import TokenBatch
from trainer.ops.components import component
from trainer.ops.segments import group_sum, seq_count
from trainer.shaping import shaping

_SLOPE = 2.0  # of the balance, as published


@shaping.register(paper="https://arxiv.org/abs/2505.10832", tags=("length",))
def think_stages(
    batch: TokenBatch,
    *,
    alpha: Annotated[
        Scheduled, Field(ge=0, description="Strength of the length reward on right answers")
    ] = 0.0,
    beta: Annotated[
        Scheduled, Field(ge=0, description="Strength of the length reward on wrong answers")
    ] = 0.0,
    gamma: Annotated[
        Scheduled,
        Field(ge=0, le=1, description="Share of a mode above which its reward is reduced"),
    ] = 0.5,
    thinks: Annotated[
        str, Field(description="Component that is 1 for a thought and 0 for none")
    ] = "thinks",
) -> torch.Tensor:
    """The rewards of `think_modes`, with lengths weighed in a group and modes balanced in the step.

    First, among the right and among the wrong answers of a group, z is the length in standard
    deviations: right ones get -1 + exp(-alpha z) added, wrong ones 1 - exp(-beta z), so that right
    answers are short and wrong ones were at least tried. Then the mode whose share p of the step is
    above gamma is drawn towards a poor reward (0 and -1 thinking, 1 and -2 directly) by d = clip(2
    (p - gamma), 0, 1). Tu et al. 2025 (AutoThink). The stages are schedules: (0, 0, 0.5) keeps both
    modes alive, (0, 0, 1) lets the policy choose, (0.05, 0.05, 1) shortens. Lengths are sampled
    tokens. An answer alone in its class has no z; a sample without the component is in no share and
    is not balanced.
    Returns rewards [S], reward units.
    """
    thought = component(batch, thinks)
    right = batch.correct
    pull = torch.where(right, torch.expm1(-alpha * _z(batch)), -torch.expm1(-beta * _z(batch)))
    rewards = batch.rewards + pull
    known = thought.isfinite()
    for mode, when_right, when_wrong in ((1.0, 0.0, -1.0), (0.0, 1.0, -2.0)):
        chosen = thought == mode
        share = float(chosen.sum()) / max(int(known.sum()), 1)
        weight = min(max(_SLOPE * (share - gamma), 0.0), 1.0)
        poor = torch.where(right, when_right, when_wrong)
        rewards = torch.where(chosen, (1 - weight) * rewards + weight * poor, rewards)
    return rewards


def _z(batch: TokenBatch) -> torch.Tensor:
    """Length in standard deviations among the equally right of the group -> [S]; 0 if alone."""
    length = seq_count(batch, batch.action_mask).to(batch.rewards.dtype)
    z = torch.zeros_like(batch.rewards)
    for chosen in (batch.correct, ~batch.correct):
        count = group_sum(chosen.to(length.dtype), batch)
        mean = group_sum(length * chosen, batch) / count.clamp(min=1)
        squares = group_sum((length - mean) ** 2 * chosen, batch)
        spread = (squares / (count - 1).clamp(min=1)).sqrt().clamp(min=1e-6)
        z = torch.where(chosen & (count > 1), (length - mean) / spread, z)
    return z
