"""SLOT shaping: `(batch) -> rewards [S]`: changes the rewards of the whole step."""

from __future__ import annotations

from typing import Protocol

import torch

from recipes.slots.registry import Registry
from recipes.slots.schedules import number
from trainer.batch import TokenBatch


class ShapingFunction(Protocol):
    """Pure: reads the batch, writes nothing, returns a new tensor."""

    def __call__(self, batch: TokenBatch) -> torch.Tensor: ...


shaping: Registry[[TokenBatch], torch.Tensor] = Registry(
    "shaping function", params=("batch",), packages=["trainer.shaping"], numbers=number
)
