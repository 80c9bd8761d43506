"""A longer allowance where the policy was unsure (PixelThink)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled, ScheduledTokens, Signed
from trainer.batch import TokenBatch
from trainer.ops.components import component
from trainer.ops.segments import seq_mean
from trainer.shaping import shaping


@shaping.register(paper="https://arxiv.org/abs/2505.23727", tags=("length",))
def uncertain_length(
    batch: TokenBatch,
    *,
    words: Annotated[
        ScheduledTokens,
        Field(ge=0, description="Number of additional words allowed at full uncertainty"),
    ] = 25.0,
    slope: Annotated[
        Scheduled,
        Field(gt=0, description="Share of the reward lost per excess word, as in `length_aware`"),
    ] = 1 / 500,
    hard_from: Annotated[
        Signed, Field(description="Difficulty from which it applies, as in `length_aware`")
    ] = 5.0,
) -> torch.Tensor:
    """The reward of `length_aware`, with words * u more allowed on hard problems.

    u is the mean over the sampled tokens of 1 - their probability. Wang et al. 2025 (PixelThink).
    Departure: the paper takes the gap between the two most likely tokens, which engines do not
    return. The effect is small by construction: at most words * slope of the reward. Reads the
    components `base`, `difficulty` and `words_over`, so `length_aware` must be the whole verifier;
    samples without a limit keep their reward.
    Returns rewards [S], reward units.
    """
    base, rated = component(batch, "base"), component(batch, "difficulty")
    if "words_over" not in batch.component_names:  # no sample of this step has a limit
        return batch.rewards
    over = batch.components[:, batch.component_names.index("words_over")]
    unsure = seq_mean(1 - batch.behavior_logprobs.exp(), batch, batch.action_mask)
    score = (1 - slope * (over - words * unsure)).clamp(0, 1)
    applies = over.isfinite() & (rated >= hard_from) & (base > 0)
    return torch.where(applies, base * score, batch.rewards)
