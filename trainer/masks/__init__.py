"""SLOT mask: `(batch) -> bool [T]`: which tokens learn; several are combined with `and`."""

from typing import Any, Protocol

from torch import Tensor

from recipes.slots.registry import Registry
from recipes.slots.schedules import number
from trainer.batch.token_batch import TokenBatch


class MaskFunction(Protocol):
    """Pure: reads the batch, writes nothing, returns a new tensor."""

    def __call__(self, batch: TokenBatch) -> Tensor: ...


mask: Registry[Any, Any] = Registry(
    "mask", params=("batch",), packages=["trainer.masks"], numbers=number
)
