"""Wins and losses in the group, by factors in order of importance (HERON)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.errors import RecipeError
from recipes.slots.spec import Scheduled
from trainer.batch import TokenBatch
from trainer.ops.components import component
from trainer.shaping import shaping

_NONE: list[str] = []


def _factors_are_known(*, factors: list[str], lower_is_better: list[str], **_: object) -> None:
    unknown = [name for name in lower_is_better if name not in factors]
    if unknown:
        raise RecipeError.of(
            f"'{unknown[0]}' is not among the factors",
            path="lower_is_better",
            fix=f"factors: {', '.join(factors)}",
        )


@shaping.register(
    paper="https://arxiv.org/abs/2309.02632",
    tags=("replaces_reward",),
    validate=_factors_are_known,
)
def heron(
    batch: TokenBatch,
    *,
    factors: Annotated[
        list[str], Field(min_length=1, description="Components, the most important first")
    ],
    lower_is_better: Annotated[list[str], Field(description="Factors of which less is better")] = (
        _NONE
    ),
    margin: Annotated[
        Scheduled,
        Field(ge=0, description="Smallest difference that counts, in standard deviations"),
    ] = 0.5,
) -> torch.Tensor:
    """Pairs won less pairs lost against the samples of the same group, over their number: -1 to 1.

    A pair is decided by the first factor in which the two differ by more than the margin; later
    factors are not looked at, and a pair that none decides is a draw. Bukharin et al. 2023. The
    verifier `ranked` gives an absolute place instead, without knowing the group. Departures: the
    paper trains a reward model on the pairs, here they are the reward; the published margin is
    tuned by task. With margins the relation is not transitive. A sample without one of the factors
    is in no pair and gets 0, as does a group of one; a factor that does not vary decides nothing.
    Returns rewards [S], share of pairs.
    """
    signs = [-1 if name in lower_is_better else 1 for name in factors]
    columns = torch.stack(
        [sign * component(batch, name) for sign, name in zip(signs, factors, strict=True)]
    )
    known = columns.isfinite().all(dim=0)
    rewards = torch.zeros_like(batch.rewards)
    if not known.any():
        return rewards
    margins = margin * columns[:, known].std(dim=1, correction=0)
    for group in torch.unique(batch.group_ids):
        members = ((batch.group_ids == group) & known).nonzero().squeeze(1)
        if len(members) > 1:
            decided = torch.zeros(len(members), len(members), dtype=torch.bool)
            beaten = decided.clone()  # [i, j]: whether sample i is preferred to j
            for values, least in zip(columns[:, members], margins, strict=True):
                above = values[:, None] > values[None, :] + least
                beaten |= above & ~decided
                decided |= above | above.T
            score = (beaten.sum(dim=1) - beaten.sum(dim=0)) / (len(members) - 1)
            rewards[members] = score.to(rewards.dtype)
    return rewards
