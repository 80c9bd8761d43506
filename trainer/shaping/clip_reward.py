"""Rewards held inside a range."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.errors import RecipeError
from recipes.slots.spec import Signed
from trainer.batch import TokenBatch
from trainer.shaping import shaping


def _range(*, low: float, high: float) -> None:
    if high <= low:
        raise RecipeError.of(f"{low:g} is not below high {high:g}", path="low", fix="swap them")


@shaping.register(paper="https://doi.org/10.1038/nature14236", validate=_range)
def clip_reward(
    batch: TokenBatch,
    *,
    low: Annotated[Signed, Field(description="Smallest reward")] = -10.0,
    high: Annotated[Signed, Field(description="Largest reward")] = 10.0,
) -> torch.Tensor:
    """The reward, or the nearest end of [low, high].

    For reward models with rare wild scores; `running_scale` changes the unit of all of them.
    Mnih et al. 2015.
    Returns rewards [S], reward units.
    """
    return batch.rewards.clamp(low, high)
