"""Reward minus a number that follows the run."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.advantages import advantage
from trainer.batch import TokenBatch
from trainer.ops.segments import to_tokens


@advantage.register(paper="https://doi.org/10.1007/BF00992696")
def minus_baseline(
    batch: TokenBatch,
    *,
    baseline: Annotated[
        Scheduled, Field(description="Baseline in reward units; usually {name: ema_baseline}")
    ] = 0.0,
    scale: Annotated[
        Scheduled, Field(gt=0, description="Divisor; usually 1, or an average of the spread")
    ] = 1.0,
) -> torch.Tensor:
    """Reward minus a running baseline, on each action token.

    The baseline comes from earlier steps, so a group of one and a group of equal rewards still
    learn, and a correction of the rewards (`debias_reward`) is not cancelled as it is by a group's
    own statistics. Williams 1992.
    Returns advantages [T], in reward units over `scale`; zero where `action_mask` is False.
    """
    return to_tokens((batch.rewards - baseline) / scale, batch)
