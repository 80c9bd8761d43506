"""Advantages that a frozen value model gives away, without any reward of the step."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.advantages import advantage
from trainer.batch import TokenBatch
from trainer.ops.gae import gae_advantages
from trainer.ops.segments import whiten


@advantage.register(needs=("values", "next_values"), paper="https://arxiv.org/abs/2502.16944")
def dvpo(
    batch: TokenBatch,
    *,
    mode: Annotated[
        Literal["q_after", "td", "official"],
        Field(
            description="Form of the advantage; q_after: value after the token; td: what the "
            "token changed; "
            "official: the published code's trace of values alone"
        ),
    ] = "q_after",
    lam: Annotated[
        Scheduled, Field(ge=0, le=1, description="Decay of the trace, for `official`")
    ] = 0.95,
) -> torch.Tensor:
    """What a global value model, trained before and frozen, says of each token; whitened.

    `gae` learns its critic beside the policy and needs the step's rewards; this one reads neither.
    Huang et al. 2025 (DVPO). The paper's text has the value after the token (`q_after`), its code
    ("official") a trace over whitened values before the token with no reward at all, in which a
    high value at the end counts against the last token. Departures: values are whitened over
    sampled tokens, not over prompt and padding too; the KL is a term of the loss (`kl_k2`), not a
    reward a token. Equal values give zero everywhere: then only the KL acts.
    Returns advantages [T], in standard deviations; zero where `action_mask` is False.
    """
    acts = batch.action_mask
    if mode == "q_after":
        return whiten(batch.next_values.float(), acts)
    if mode == "td":
        return whiten((batch.next_values - batch.values).float(), acts)
    silent = batch.replace(
        values=whiten(batch.values.float(), acts), rewards=torch.zeros_like(batch.rewards)
    )
    decay = torch.full_like(batch.rewards, lam)
    return whiten(gae_advantages(silent, gamma=1.0, lam=decay), acts)
