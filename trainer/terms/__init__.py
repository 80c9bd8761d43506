"""SLOT term: `(out, batch) -> LossOutput`, per token and not reduced. One file each."""

from typing import Annotated, Literal, Protocol

from pydantic import Field

from recipes.slots.registry import Registry
from recipes.slots.schedules import number
from trainer.batch import LossOutput, PolicyOutput, TokenBatch


class TermFunction(Protocol):
    """Pure: the values [T] are minimised; gradient only through `out`. Sees one microbatch."""

    def __call__(self, out: PolicyOutput, batch: TokenBatch) -> LossOutput: ...


term: Registry[[PolicyOutput, TokenBatch], LossOutput] = Registry(
    "term",
    params=("out", "batch"),
    packages=["trainer.terms"],
    numbers=number,
    slot_options={
        "coef": (
            Annotated[number.field, Field(description="Coefficient of the term in the objective")],
            1.0,
        ),
        "mask": (
            Annotated[
                Literal["train", "action", "observation"],
                Field(description="Tokens that the term is computed on"),
            ],
            "train",
        ),
        "reduction": (
            Annotated[
                Literal["loss", "token_mean"],
                Field(description="Reduction of the term: the loss's own, or a mean over tokens"),
            ],
            "loss",
        ),
    },
)
