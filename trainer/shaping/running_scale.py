"""Rewards in units of a spread that follows the run."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Epsilon, Scheduled
from trainer.batch import TokenBatch
from trainer.shaping import shaping


@shaping.register(paper="https://arxiv.org/abs/2005.12729", tags=("affine",))
def running_scale(
    batch: TokenBatch,
    *,
    scale: Annotated[
        Scheduled,
        Field(gt=0, description="Spread of rewards; {name: ema_baseline, metric: reward/std}"),
    ],
    centre: Annotated[Scheduled, Field(description="Reward that is mapped to 0")] = 0.0,
    eps: Annotated[Epsilon, Field(gt=0, description="Constant added to the scale")] = 1e-6,
) -> torch.Tensor:
    """Reward minus `centre`, over `scale`, both running averages of earlier steps.

    Keeps a reward model's unit from setting the learning rate of an estimator that does not
    normalise (`gae`, `reinforce`); `grpo` cancels it. Engstrom et al. 2020 on why it matters.
    Returns rewards [S], without unit.
    """
    return (batch.rewards - centre) / (scale + eps)
