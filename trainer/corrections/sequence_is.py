"""One importance weight for a whole sequence."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import TokenBatch
from trainer.corrections import correction
from trainer.ops.segments import LARGEST, log_engine_ratio, sequence_log_ratio


@correction.register(needs=("old_logprobs",), paper="https://fengyao.notion.site/off-policy-rl")
def sequence_is(
    batch: TokenBatch,
    *,
    cap: Annotated[Scheduled, Field(gt=0, description="Largest weight")] = 3.0,
    above: Annotated[
        Literal["drop", "truncate"], Field(description="Treatment of a weight above `cap`")
    ] = "drop",
) -> torch.Tensor:
    """The ratio of old policy to engine of the whole sequence, on each of its tokens.

    Unbiased for a sequence's reward, where `truncated_is` weighs each token alone; its variance
    grows with length. `drop` is TRL's default, `truncate` the sequence form of truncated
    importance sampling. Empty completions have no token to weigh.
    Returns importance_weights [T]; zero where `action_mask` is False.
    """
    total = sequence_log_ratio(log_engine_ratio(batch), batch).clamp(-LARGEST, LARGEST)
    ratio = total.exp()
    kept = ratio.clamp(max=cap) if above == "truncate" else torch.where(ratio > cap, 0.0, ratio)
    return kept[batch.seq_ids] * batch.action_mask
