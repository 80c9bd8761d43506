"""SLOT correction: `(batch) -> is_weights [T]`: weights for the gap between engine and trainer."""

from typing import Any, Protocol

from torch import Tensor

from recipes.registry import Registry
from recipes.schedules import number
from trainer.batch import TokenBatch


class CorrectionFunction(Protocol):
    """Pure: reads the batch, writes nothing, returns a new tensor."""

    def __call__(self, batch: TokenBatch) -> Tensor: ...


correction: Registry[Any, Any] = Registry(
    "correction", params=("batch",), packages=["trainer.corrections"], numbers=number
)
