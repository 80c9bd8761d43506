"""SLOT shaping: `(batch) -> rewards [S]`: changes the rewards of the whole step."""

from typing import Any, Protocol

from torch import Tensor

from recipes.registry import Registry
from recipes.schedules import number
from trainer.batch import TokenBatch


class ShapingFunction(Protocol):
    """Pure: reads the batch, writes nothing, returns a new tensor."""

    def __call__(self, batch: TokenBatch) -> Tensor: ...


shaping: Registry[Any, Any] = Registry(
    "shaping function", params=("batch",), packages=["trainer.shaping"], numbers=number
)
