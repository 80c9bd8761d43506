"""Of each group, the samples whose rewards vary most (PODS)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import BelowGroupSize, Count
from trainer.batch import TokenBatch
from trainer.ops.max_variance import max_variance_subset
from trainer.selections import selection


@selection.register(paper="https://arxiv.org/abs/2504.13818", slot_defaults={"statistics": "kept"})
def max_variance(
    batch: TokenBatch,
    *,
    keep: Annotated[
        Count,
        Field(ge=2, description="Samples of each group that are trained"),
        BelowGroupSize("keeps {value} samples of a group of {group_size}: nothing is left out"),
    ] = 4,
) -> torch.Tensor:
    """The `keep` samples of each group whose rewards have the largest variance.

    Every group keeps its share; `advantage_variance` compares over the whole step. Xu et al. 2025
    (PODS). As in the published trainers the advantages are computed over the kept samples; with
    `statistics: all` the baseline and the spread are those of the whole group: decision 15 compares
    the two. The samples left out are `down_sampled`. Rewards are those after shaping. Groups of at
    most `keep` samples stay whole; of a group without variance the first `keep` stay, with
    advantages of zero. Ties go by sample id, and of equal variances the one with fewer large
    rewards is taken. Confidence: abstract and secondary sources.
    Returns keep [S] bool.
    """
    chosen = torch.zeros(batch.num_sequences, dtype=torch.bool)
    for group in torch.unique(batch.group_ids):
        members = (batch.group_ids == group).nonzero().squeeze(1)
        rewards, names = batch.rewards[members], batch.sample_ids[members]
        if len(members) <= keep:
            chosen[members] = True
        elif bool((rewards == rewards[0]).all()):
            chosen[members[names.argsort()[:keep]]] = True
        else:
            chosen[members[max_variance_subset(rewards, names, keep)]] = True
    return chosen
