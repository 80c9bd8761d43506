"""The analytic advantage of the best of k draws."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import BelowGroupSize, ScheduledInt
from trainer.advantages import advantage
from trainer.batch import TokenBatch
from trainer.ops.segments import group_count, group_sum, to_tokens


@advantage.register(paper="https://arxiv.org/abs/2508.10751", tags=("group_baseline",))
def pass_at_k(
    batch: TokenBatch,
    *,
    k: Annotated[
        ScheduledInt,
        Field(gt=0, description="Number of draws of which one must be correct"),
        BelowGroupSize(
            "counts sets of {value} samples out of a group of {group_size}: there is one such set, "
            "and nothing to tell its samples apart"
        ),
    ] = 4,
) -> torch.Tensor:
    """What a correct, or a wrong, sample adds to pass@k, averaged over all sets of k samples.

    Pushes problems that are rarely solved more than `grpo` does; another method of the same
    nickname is `best_minus_second`. Chen et al. 2025; formula checked against all k-subsets.
    Reads `correct`, not the shaped reward. k = 1 is `grpo` with the population's deviation.
    Departure: in a group smaller than k, k is the group's size. Groups without a correct sample,
    and those where every set of k holds one, get zero.
    Returns advantages [T], in standard deviations; zero where `action_mask` is False.
    """
    count = group_count(batch).long()
    wrong = count - group_sum(batch.correct.float(), batch).long()
    samples = zip(count.tolist(), wrong.tolist(), batch.correct.tolist(), strict=True)
    values = []
    for size, fails, right in samples:
        draws = min(k, size)
        failing = math.comb(fails, draws) / math.comb(size, draws)  # sets without a correct sample
        deviation = math.sqrt(failing * (1 - failing))
        if deviation == 0:
            values.append(0.0)
        elif right:
            values.append(failing / deviation)
        else:
            failing_with_it = math.comb(fails - 1, draws - 1) / math.comb(size - 1, draws - 1)
            values.append((failing - failing_with_it) / deviation)
    return to_tokens(torch.tensor(values, dtype=torch.float32), batch)
