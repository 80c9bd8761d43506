"""SLOT term: `(out, batch) -> LossOutput`, per token and not reduced. One file each."""

from typing import Any, Literal, Protocol

from recipes.slots.registry import Registry
from recipes.slots.schedules import number
from trainer.batch.outputs import LossOutput, PolicyOutput
from trainer.batch.token_batch import TokenBatch


class TermFunction(Protocol):
    """Pure: the values [T] are minimised; gradient only through `out`. Sees one microbatch."""

    def __call__(self, out: PolicyOutput, batch: TokenBatch) -> LossOutput: ...


term: Registry[Any, Any] = Registry(
    "term",
    params=("out", "batch"),
    packages=["trainer.terms"],
    numbers=number,
    slot_options={
        "coef": (number.field, 1.0),
        "mask": (Literal["train", "action", "observation"], "train"),
        "reduction": (Literal["loss", "token_mean"], "loss"),
    },
)
