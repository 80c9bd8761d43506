"""Normalised inside strata of a group, blended with the whole group's (SAN)."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from recipes.slots.spec import Amount, Epsilon, Requires, Scheduled
from trainer.advantages import advantage
from trainer.batch import TokenBatch
from trainer.ops.components import component
from trainer.ops.segments import group_mean, group_std, to_tokens


@advantage.register(
    paper="https://arxiv.org/abs/2510.06214",
    tags=("group_baseline",),
    requires=[
        Requires(
            slot="environment",
            tag="multi_turn",
            why="by turns equals grpo: {name} plays one turn, so a group is one stratum",
            fix="name an environment of several turns, or the reward component that names the "
            "stratum, advantage.by",
            when={"by": "turns"},
        )
    ],
)
def stratified(
    batch: TokenBatch,
    *,
    by: Annotated[
        str, Field(description="Reward component that names the stratum, or `turns`")
    ] = "turns",
    blend: Annotated[
        Scheduled, Field(ge=0, le=1, description="Weight of the stratum; the group has the rest")
    ] = 0.8,
    cap: Annotated[
        Amount, Field(gt=0, description="Value from which all samples share one stratum")
    ] = 4.0,
    ddof: Annotated[
        Literal[0, 1],
        Field(
            description="Degrees of freedom subtracted in both standard deviations; 0 = population"
        ),
    ] = 1,
    eps: Annotated[
        Epsilon, Field(gt=0, description="Constant added to each standard deviation")
    ] = 1e-6,
) -> torch.Tensor:
    """A blend of the reward normalised inside (problem, stratum) and inside the problem.

    Compares a trajectory with those of its own shape, such as its number of tool calls, where
    `grpo` lets the shapes with higher rewards push down all others. The blend's group term is what
    still favours a better stratum. Zhu et al. 2025 (Stratified GRPO). One stratum is `grpo`.
    Departures: the paper's blend is not given, 0.8 is a placeholder; its theory uses ddof 0.
    Confidence: reconstructed from secondary sources, no official code.
    A stratum of one, or of equal rewards, or a sample without the component, has no term of its
    own; equal groups get zero.
    Returns advantages [T], in standard deviations; zero where `action_mask` is False.
    """
    if by == "turns":  # one more than a sample's tool calls
        last = torch.zeros(batch.num_sequences, dtype=torch.long)
        label = last.scatter_reduce(0, batch.seq_ids, batch.turn_ids, "amax").float() + 1
    else:
        label = component(batch, by)
    label = label.clamp(max=cap)
    alone = -1.0 - torch.arange(len(label))  # a stratum of one for each sample without a label
    label = torch.where(label.isnan(), alone, label)
    pairs = torch.stack([batch.group_ids.double(), label.double()], dim=1)
    _, strata = torch.unique(pairs, dim=0, return_inverse=True)
    inside = _standardized(batch.replace(group_ids=strata), ddof, eps)
    across = _standardized(batch, ddof, eps)
    return to_tokens(blend * inside + (1 - blend) * across, batch)


def _standardized(batch: TokenBatch, ddof: int, eps: float) -> torch.Tensor:
    """Distance from the group's mean in its standard deviations -> [S]."""
    centred = batch.rewards - group_mean(batch.rewards, batch)
    return centred / (group_std(batch.rewards, batch, ddof=ddof) + eps)
