"""SLOT selection: `(batch) -> keep [S] bool`: which samples of the step are trained."""

from typing import Any, Protocol

from torch import Tensor

from recipes.slots.registry import Registry
from recipes.slots.schedules import number
from trainer.batch.token_batch import TokenBatch


class SelectionFunction(Protocol):
    """Pure: reads the batch, writes nothing, returns a new tensor."""

    def __call__(self, batch: TokenBatch) -> Tensor: ...


selection: Registry[Any, Any] = Registry(
    "selection", params=("batch",), packages=["trainer.selections"], numbers=number
)
