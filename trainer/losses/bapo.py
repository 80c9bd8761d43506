"""Clip bounds that follow the balance of positive and negative contributions."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from recipes.errors import RecipeError
from recipes.slots.spec import Amount, Scheduled
from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.losses import loss
from trainer.metrics import Mean
from trainer.ops.segments import log_policy_ratio, log_ratio

Range = Annotated[list[Amount], Field(min_length=3, max_length=3)]


def bound_stats(
    batch: TokenBatch,
    *,
    low: list[float],
    high: list[float],
    target: float,
    criterion: str,
    order: str,
    contribution: str,
) -> torch.Tensor:
    """The minibatch's lower and upper bound and its positive share, on every token -> [T, 3]."""
    mask = batch.train_mask
    ratio, credit = (
        log_ratio(batch.current_logprobs, batch.old_logprobs, batch).exp()[mask],
        batch.advantages[mask],
    )
    lows, highs = _steps(low), _steps(high)
    if order == "upper_first":  # one bound to its end and then the other
        moves = [(lows[0], upper) for upper in highs] + [(lower, highs[-1]) for lower in lows[1:]]
    else:
        moves = [(lower, highs[0]) for lower in lows] + [(lows[-1], upper) for upper in highs[1:]]
    for lower, upper in moves:
        rising = credit * ratio.clamp(max=upper)
        falling = -credit * ratio.clamp(min=lower)
        if contribution == "learning_tokens":
            rising, falling = rising * (ratio <= upper), falling * (ratio >= lower)
        positive = rising[credit > 0].double().sum()
        negative = falling[credit < 0].double().sum()
        total = positive + negative
        score = positive / total if criterion == "pos_over_total" else positive / negative
        if total == 0 or score >= target:
            break
    share = float(positive / total) if total > 0 else 0.5
    return torch.tensor([lower, upper, share]).expand(batch.num_tokens, 3)


def _steps(bound: list[float]) -> list[float]:
    """start, start + step, ... end."""
    start, end, step = bound
    count = int((end - start) / step + 1e-9)
    values = [start + k * step for k in range(count + 1)]
    return values if end - values[-1] < 1e-9 else [*values, end]


def _ranges(*, low: list[float], high: list[float], **_: object) -> None:
    for name, (start, end, step) in (("low", low), ("high", high)):
        if end < start or step <= 0:
            raise RecipeError.of(
                f"a range from {start:g} to {end:g} in steps of {step:g} is an empty range",
                path=name,
                fix="write [start, end, step] with a step above 0",
            )


@loss.register(
    needs=("old_logprobs",),
    paper="https://arxiv.org/abs/2510.18927",
    tags=("clip",),
    minibatch_stats=bound_stats,
    validate=_ranges,
)
def bapo(
    out: PolicyOutput,
    batch: TokenBatch,
    *,
    low: Annotated[Range, Field(description="Lower ratio bound: start, end, step")] = [  # noqa: B006
        0.6,
        0.9,
        0.02,
    ],
    high: Annotated[Range, Field(description="Upper ratio bound: start, end, step")] = [  # noqa: B006
        1.2,
        3.0,
        0.05,
    ],
    target: Annotated[
        Scheduled, Field(gt=0, description="Value that the criterion must reach")
    ] = 0.4,
    criterion: Annotated[
        Literal["pos_over_total", "pos_over_neg"],
        Field(description="Positive contribution over all, or over the negative one"),
    ] = "pos_over_total",
    order: Annotated[
        Literal["upper_first", "lower_first"], Field(description="Bound that is raised first")
    ] = "upper_first",
    contribution: Annotated[
        Literal["surrogate_value", "learning_tokens"],
        Field(description="Tokens that contribute: all, or only those that are not clipped"),
    ] = "surrogate_value",
) -> LossOutput:
    """The clipped surrogate with bounds raised until positive tokens carry enough of it.

    `ppo_clip` with the two bounds searched once an update, on the current ratios of the whole
    minibatch. Xi et al. 2025 (BAPO). Departures: the paper's own order (upper bound first) and
    criterion are the default, because raising the lower bound makes the negative side larger and
    can never help to reach the target; the authors' code raises it first, with pos_over_neg 1.0,
    and adds a dual clip of 3, which is left out.
    Without negative tokens, and on a balanced minibatch, the bounds stay at their start.
    Returns values [T], in advantage units.
    """
    ratio = log_policy_ratio(out, batch).exp()
    lower, upper, share = batch.minibatch_stats.unbind(1)
    plain = -batch.advantages * ratio
    clipped = -batch.advantages * torch.minimum(torch.maximum(ratio, lower), upper)
    mask, above, positive = batch.train_mask, clipped > plain, batch.advantages > 0
    metrics = {
        "clip_high_frac": Mean.over((above & positive).float(), mask),
        "clip_low_frac": Mean.over((above & ~positive).float(), mask),
        "bound_low": Mean.over(lower, mask),
        "bound_high": Mean.over(upper, mask),
        "positive_share": Mean.over(share, mask),
    }
    return LossOutput(values=torch.maximum(plain, clipped), metrics=metrics)
