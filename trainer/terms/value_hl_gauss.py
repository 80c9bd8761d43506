"""Cross-entropy of a critic that classifies the return into bins."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.errors import RecipeError
from recipes.slots.spec import Amount, Scheduled, Signed
from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.metrics import Mean
from trainer.ops.gae import returns
from trainer.ops.value_bins import bin_centres, hl_gauss, two_hot
from trainer.terms import term


def _range(*, low: float, high: float, **_: object) -> None:
    if high <= low:
        raise RecipeError.of(f"{low:g} is not below high {high:g}", path="low", fix="swap them")


@term.register(
    needs=("values",),
    paper="https://arxiv.org/abs/2403.03950",
    tags=("critic", "value_logits"),
    validate=_range,
)
def value_hl_gauss(
    out: PolicyOutput,
    batch: TokenBatch,
    *,
    low: Annotated[Signed, Field(description="Lower edge of the first bin, reward units")] = -0.1,
    high: Annotated[Signed, Field(description="Upper edge of the last bin, reward units")] = 1.1,
    sigma: Annotated[
        Amount, Field(description="Width of the target in bin widths; 0 = two-hot")
    ] = 0.75,
    gamma: Annotated[Scheduled, Field(ge=0, le=1, description="Discount for each token")] = 1.0,
    lam: Annotated[
        Scheduled,
        Field(ge=0, le=1, description="Decay of the target's trace; 1 = Monte Carlo returns"),
    ] = 1.0,
) -> LossOutput:
    """Cross-entropy between the critic's bins and the return, spread over bins by a Gaussian.

    Steadier under noisy and moving targets than `value_loss`. Farebrother et al. 2024 (HL-Gauss,
    two-hot). Departures: returns are held inside [low, high], outside of which the target has no
    mass (`return_low_frac` and `return_high_frac` count them; the other metrics are of the whole
    return); there is no value clip. Range and number of bins must be the critic head's own.
    Tokens that are no actions give 0.
    Returns values [T], nats.
    """
    assert out.value_logits is not None, "needs a critic of bins, and the policy has none"
    logits = out.value_logits.float()
    whole = returns(batch, gamma=gamma, lam=lam)
    target = whole.clamp(low, high)
    bins = logits.shape[1]
    wanted = hl_gauss(target, low, high, bins, sigma) if sigma else two_hot(target, low, high, bins)
    values = -(wanted * logits.log_softmax(1)).sum(1)
    said = logits.detach().softmax(1) @ bin_centres(low, high, bins).to(logits)
    mask = batch.action_mask
    metrics = {
        "value_error": Mean.over((said - whole) ** 2, mask),
        "return_mean": Mean.over(whole, mask),
        "return_square": Mean.over(whole**2, mask),
        "return_low_frac": Mean.over((whole < low).float(), mask),
        "return_high_frac": Mean.over((whole > high).float(), mask),
    }
    return LossOutput(values=torch.where(mask, values, 0.0), metrics=metrics)
