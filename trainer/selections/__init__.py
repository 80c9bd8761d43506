"""SLOT selection: `(batch) -> keep [S] bool`: which samples of the step are trained."""

from __future__ import annotations

from typing import Annotated, Literal, Protocol

import torch
from pydantic import Field

from recipes.slots.registry import Registry
from recipes.slots.schedules import number
from trainer.batch import TokenBatch


class SelectionFunction(Protocol):
    """Pure: reads the batch, writes nothing, returns a new tensor."""

    def __call__(self, batch: TokenBatch) -> torch.Tensor: ...


Statistics = Annotated[
    Literal["all", "kept"],
    Field(description="Samples that the advantages compare: all of them, or the kept ones alone"),
]
selection: Registry[[TokenBatch], torch.Tensor] = Registry(
    "selection",
    params=("batch",),
    packages=["trainer.selections"],
    numbers=number,
    slot_options={"statistics": (Statistics, "all")},
)
