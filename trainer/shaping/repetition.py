"""A penalty on saying the same again."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Count, Scheduled
from trainer.batch import TokenBatch
from trainer.ops.segments import seq_count
from trainer.shaping import shaping


@shaping.register(paper="https://arxiv.org/abs/2502.03373")
def repetition(
    batch: TokenBatch,
    *,
    penalty: Annotated[
        Scheduled,
        Field(ge=0, description="Penalty of a fully repetitive response, in reward units"),
    ] = 0.1,
    size: Annotated[Count, Field(gt=0, description="Tokens in a row that count as a phrase")] = 20,
) -> torch.Tensor:
    """Reward minus the penalty times the share of the sample's n-grams seen earlier in it.

    Stops a policy that fills its budget when length pays (`cosine_length`). Yeo et al. 2025.
    Departure: one penalty for the sample; the paper places it on the repeating tokens. N-grams
    run over the sampled tokens, across turns. A sample shorter than `size` has none.
    Returns rewards [S], reward units.
    """
    acts = batch.action_mask
    ends = seq_count(batch, acts).cumsum(0)[:-1].tolist()
    samples = torch.tensor_split(batch.token_ids[acts], ends)
    shares = []
    for sample in samples:
        tokens = sample.tolist()
        grams = [tuple(tokens[at : at + size]) for at in range(len(tokens) - size + 1)]
        shares.append(1 - len(set(grams)) / len(grams) if grams else 0.0)
    return batch.rewards - penalty * torch.tensor(shares, dtype=torch.float32)
