"""Centred reward, rescaled for the samples that carry no signal."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from trainer.advantages import advantage
from trainer.batch import TokenBatch
from trainer.ops.segments import group_is_uniform, group_mean, to_tokens


@advantage.register(paper="https://arxiv.org/abs/2504.02546", tags=("group_baseline",))
def gpg(
    batch: TokenBatch,
    *,
    count: Annotated[
        Literal["informative", "rewarded"],
        Field(
            description="Samples to divide by: those of non-uniform groups, or of non-zero reward"
        ),
    ] = "informative",
) -> torch.Tensor:
    """Reward minus the group's mean, times all samples over those that carry signal.

    `grpo` without `std_normalize`, kept at one scale while the share of uniform groups changes.
    Chu et al. 2025 (GPG). Departures: the paper's factor counts samples whose advantage is not
    zero (`informative`); a widely used implementation counts rewards that are not zero
    (`rewarded`). Confidence: formula from code read by others, the paper's reading from memory.
    Groups of one, and groups whose rewards are all equal, get zero.
    Returns advantages [T], in reward units; zero where `action_mask` is False.
    """
    centred = batch.rewards - group_mean(batch.rewards, batch)
    informative = ~group_is_uniform(batch.rewards, batch)
    counted = informative if count == "informative" else batch.rewards != 0
    scale = len(centred) / counted.sum().clamp(min=1)
    return to_tokens(torch.where(informative, centred * scale, torch.zeros_like(centred)), batch)
