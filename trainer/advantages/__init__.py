"""SLOT advantage: `(batch) -> advantages [T]`: credit per token."""

from typing import Any, Protocol

from torch import Tensor

from recipes.slots.registry import Registry
from recipes.slots.schedules import number
from trainer.batch.token_batch import TokenBatch


class AdvantageEstimator(Protocol):
    """Pure: reads the batch, writes nothing, returns a new tensor."""

    def __call__(self, batch: TokenBatch) -> Tensor: ...


advantage: Registry[Any, Any] = Registry(
    "advantage estimator", params=("batch",), packages=["trainer.advantages"], numbers=number
)
