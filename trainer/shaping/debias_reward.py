"""Undoes a verifier's known error rates, on average."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from recipes.errors import RecipeError
from recipes.slots.spec import Requires, Scheduled
from trainer.batch import TokenBatch
from trainer.shaping import shaping


def _rates(*, false_positive: object, false_negative: object, **_: object) -> None:
    numbers = [r for r in (false_positive, false_negative) if isinstance(r, float)]
    if len(numbers) == 2 and sum(numbers) >= 1:
        raise RecipeError.of(
            f"error rates {numbers[0]:g} and {numbers[1]:g} add up to 1 or more: such a verifier "
            "says nothing, or the opposite",
            path="false_negative",
            fix="measure the rates again; below 1 together",
        )


@shaping.register(
    paper="https://arxiv.org/abs/2510.00915",
    tags=("affine", "replaces_reward"),
    requires=[
        Requires(
            slot="advantage",
            tag="group_baseline",
            absent=True,
            why="is cancelled by {name}: it shifts and scales all rewards alike, and the group's "
            "mean and spread undo that",
            fix="use advantage: reinforce or minus_baseline, or leave the correction out",
        )
    ],
    validate=_rates,
)
def debias_reward(
    batch: TokenBatch,
    *,
    false_positive: Annotated[
        Scheduled, Field(ge=0, lt=1, description="Share of wrong answers that pass")
    ],
    false_negative: Annotated[
        Scheduled, Field(ge=0, lt=1, description="Share of right answers that fail")
    ],
    form: Annotated[
        Literal["backward", "forward"],
        Field(
            description="Form of the correction: rescaled reward, or reweighted score, which "
            "never divides"
        ),
    ] = "backward",
) -> torch.Tensor:
    """The reward whose expectation, over the verifier's errors, is that of a perfect verifier's.

    Both forms are affine in the verdict. A group's mean and deviation (`grpo`) cancel them
    completely; a group's mean alone (`rloo`) turns `backward` into a learning rate, and `forward`
    gives it the plain advantages back: use `reinforce` or `minus_baseline`. Cai et al. 2025.
    Reads `correct`, so apply it before other shaping. Confidence: equations from a third-party
    implementation, checked.
    `forward` is 0 or below; its expected update is the clean one times 1 - both rates.
    Returns rewards [S], reward units.
    """
    passed = batch.correct.float()
    if form == "forward":
        return torch.where(batch.correct, false_negative, false_negative - 1.0)
    return (passed - false_positive) / (1 - false_positive - false_negative)
