"""SLOT loss: `(out, batch) -> LossOutput`, per token and not reduced. One file each."""

from typing import Protocol

from recipes.slots.registry import Registry
from recipes.slots.schedules import number
from trainer.batch import LossOutput, PolicyOutput, TokenBatch


class LossFunction(Protocol):
    """Pure: the values [T] are minimised; gradient only through `out`. Sees one microbatch."""

    def __call__(self, out: PolicyOutput, batch: TokenBatch) -> LossOutput: ...


loss: Registry[[PolicyOutput, TokenBatch], LossOutput] = Registry(
    "loss",
    params=("out", "batch"),
    packages=["trainer.losses"],
    numbers=number,
)
