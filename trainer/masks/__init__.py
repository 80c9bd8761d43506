"""SLOT mask: `(batch) -> bool [T]`: which tokens learn; several are combined with `and`."""

from __future__ import annotations

from typing import Protocol

import torch

from recipes.slots.registry import Registry
from recipes.slots.schedules import number
from trainer.batch import TokenBatch


class MaskFunction(Protocol):
    """Pure: reads the batch, writes nothing, returns a new tensor."""

    def __call__(self, batch: TokenBatch) -> torch.Tensor: ...


mask: Registry[[TokenBatch], torch.Tensor] = Registry(
    "mask", params=("batch",), packages=["trainer.masks"], numbers=number
)
