"""SLOT shaping: `(batch) -> rewards [S]`: changes the rewards of the whole step."""

from typing import Any, Protocol

from torch import Tensor

from recipes.slots.registry import Registry
from recipes.slots.schedules import number
from trainer.batch.token_batch import TokenBatch


class ShapingFunction(Protocol):
    """Pure: reads the batch, writes nothing, returns a new tensor."""

    def __call__(self, batch: TokenBatch) -> Tensor: ...


shaping: Registry[Any, Any] = Registry(
    "shaping function", params=("batch",), packages=["trainer.shaping"], numbers=number
)
