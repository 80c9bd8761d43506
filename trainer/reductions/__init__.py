"""SLOT reduction: `(batch) -> loss_weights [T]`: the objective is their weighted sum."""

from __future__ import annotations

from typing import Protocol

import torch

from recipes.slots.registry import Registry
from recipes.slots.schedules import number
from trainer.batch import TokenBatch


class ReductionFunction(Protocol):
    """Pure: reads the batch, writes nothing, returns a new tensor."""

    def __call__(self, batch: TokenBatch) -> torch.Tensor: ...


reduction: Registry[[TokenBatch], torch.Tensor] = Registry(
    "reduction", params=("batch",), packages=["trainer.reductions"], numbers=number
)
