"""Centred reward over a Beta density fitted to the step's pass rates (BNPO)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.errors import RecipeError
from recipes.slots.spec import Signed
from trainer.advantages import advantage
from trainer.batch import TokenBatch
from trainer.ops.components import component
from trainer.ops.segments import group_mean, to_tokens

LARGEST_WEIGHT = 1e6
FLAT = 1e-8  # a variance of the pass rates below this says nothing about their shape


def _range(*, low: float, high: float, **_: object) -> None:
    if high <= low:
        raise RecipeError.of(f"{low:g} is not below high {high:g}", path="low", fix="swap them")


@advantage.register(
    renamed={"parts": "components"},
    paper="https://arxiv.org/abs/2506.02864",
    tags=("group_baseline",),
    validate=_range,
)
def beta_norm(
    batch: TokenBatch,
    *,
    low: Annotated[Signed, Field(description="Smallest reward, mapped to 0")] = 0.0,
    high: Annotated[Signed, Field(description="Largest reward, mapped to 1")] = 1.0,
    components: Annotated[
        list[str],
        Field(
            description="Reward components to normalise separately and average; [] = the "
            "reward itself"
        ),
    ] = [],  # noqa: B006 - never written to
) -> torch.Tensor:
    """Reward minus the group's mean, over a Beta density of that mean which follows the step.

    `grpo` always divides by the spread sqrt(p (1 - p)), which is the special case alpha = beta =
    3/2 up to a constant; here alpha and beta are fitted to the groups of the step by moments. Xiao
    et al. 2025; with `components` the paper's advantage decomposition, for several binary rewards.
    Departures: equal pass rates in all groups (or a single group) give alpha = beta = 1, where the
    authors' code gives NaN. Groups that are all right or all wrong get zero. A sample
    without one of the components is left out of that component's rates and of its average.
    Returns advantages [T], about reward units; zero where `action_mask` is False.
    """
    named = [component(batch, name) for name in components] or [batch.rewards]
    if any((values < low).any() or (values > high).any() for values in named):
        raise RecipeError.of(
            f"beta_norm expects rewards from {low:g} to {high:g}, and this step has others",
            fix="set low and high to the smallest and largest reward that can occur",
        )
    each = [_normalized((values - low) / (high - low), batch) for values in named]
    return to_tokens(torch.stack(each).nanmean(0).nan_to_num(0.0), batch)


def _normalized(rewards: torch.Tensor, batch: TokenBatch) -> torch.Tensor:
    """The advantage of one reward in [0, 1] -> [S]; nan where a sample has no such reward."""
    known = rewards.isfinite()
    rates = group_mean(rewards, batch, known)
    _, dense = torch.unique(batch.group_ids[known], return_inverse=True)
    groups = int(dense.max()) + 1 if len(dense) else 0
    each = torch.zeros(groups, dtype=torch.float64).index_put((dense,), rates[known].double())
    alpha = beta = torch.ones((), dtype=torch.float64)
    if groups >= 2 and float(each.var()) >= FLAT:  # fitted to the groups' pass rates by moments
        mean, variance = each.mean(), each.var()
        size = mean * (1 - mean) / variance - 1
        alpha = (1 + size * mean / 3).clamp(min=1)
        beta = (1 + size * (1 - mean) / 3).clamp(min=1)
    log_norm = torch.lgamma(alpha) + torch.lgamma(beta) - torch.lgamma(alpha + beta)
    right, wrong = rates.double(), 1 - rates.double()
    log_density = torch.xlogy(alpha - 1, right) + torch.xlogy(beta - 1, wrong) - log_norm
    weight = (-log_density).exp().clamp(max=LARGEST_WEIGHT).float()
    return (rewards - rates) * weight
