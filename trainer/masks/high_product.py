"""Only the tokens with much credit at an undecided place (D3S, token level)."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import TokenBatch
from trainer.masks import mask


@mask.register(needs=("entropy",), paper="https://arxiv.org/abs/2509.22115")
def high_product(
    batch: TokenBatch,
    *,
    frac: Annotated[
        Scheduled,
        Field(gt=0, le=1, description="Share of the kept samples' action tokens; D3S raises it"),
    ] = 0.2,
) -> torch.Tensor:
    """The share of action tokens with the largest product of entropy and absolute advantage.

    `top_entropy` looks at the entropy alone. Wang et al. 2025 (D3S), which raises the share over
    the run: `frac: {name: linear, start: 0.2, end: 1.0, steps: ...}`. Departures: at least one
    token, rounded up, ties at the cut all kept; masked tokens leave the divisor. Without any
    advantage every action token is kept. Confidence: reconstructed from secondary sources; the
    published shares are not known.
    Returns bool [T].
    """
    acts = batch.action_mask
    if not bool(acts.any()):
        return torch.zeros_like(acts)
    product = batch.advantages.abs() * batch.entropy
    count = max(math.ceil(frac * int(acts.sum())), 1)
    threshold = product[acts].sort(descending=True).values[count - 1]
    return acts & (product >= threshold)
