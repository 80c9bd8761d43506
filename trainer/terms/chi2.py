"""The square root of the chi-squared divergence from the reference, sequence by sequence."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.metrics import Mean
from trainer.ops.segments import seq_count, seq_sum
from trainer.terms import term

LINEAR_FROM = 10.0  # nats; above, the exponential goes on along its tangent
FLOOR = 1e-4  # of the mean divergence, below which its root has no gradient


def divergence_stats(batch: TokenBatch) -> torch.Tensor:
    """The minibatch's mean divergence over samples with an action, on every token -> [T, 1]."""
    each = _divergence(batch.current_logprobs, batch)
    present = seq_count(batch, batch.action_mask) > 0
    mean = each[present].mean() if bool(present.any()) else each.new_zeros(())
    return mean.expand(batch.num_tokens, 1)


@term.register(
    needs=("ref_logprobs",),
    paper="https://arxiv.org/abs/2403.03185",
    tags=("kl", "sequence_value"),
    minibatch_stats=divergence_stats,
)
def chi2(
    out: PolicyOutput,
    batch: TokenBatch,
    *,
    root: Annotated[
        bool,
        Field(
            description="Whether to use the root of the minibatch's mean, in place of the "
            "divergence itself"
        ),
    ] = True,
) -> LossOutput:
    """e^l + e^-l - 2 of the sequence's log ratio to the reference, or that under a square root.

    Punishes a policy that goes where the reference never does far harder than `kl_k2`, which is
    what keeps a proxy reward meaningful. Laidlaw et al. 2025 (named ORPO there).
    Gradient on the policy's own samples: half that of chi2(policy || reference) plus that of
    KL(reference || policy). Under the root each sample is weighed by 1 / (2 root) of the whole
    minibatch, and below 1e-4 there is none. Give it `sequence_mean`. l is a sum over tokens, and
    beyond +-10 the exponential goes on as a straight line, which long samples reach soon.
    Confidence: official code read; the gradient checked numerically. Empty completions give 0.
    Returns values [T], the same on all action tokens of a sample.
    """
    each = _divergence(out.logprobs, batch)
    beyond = (_log_ratio(out.logprobs, batch).abs() > LINEAR_FROM).float()
    metrics = {"chi2_mean": Mean.over(each), "chi2_linear_frac": Mean.over(beyond)}
    values = each[batch.seq_ids]
    if root:
        mean = batch.minibatch_stats[:, 0]
        size = mean.clamp(min=FLOOR).sqrt()
        bent = (values + mean) / (2 * size)  # value and gradient of the root of the mean, in a mean
        values = torch.where(mean > FLOOR, bent, size)
    return LossOutput(values=values * batch.action_mask, metrics=metrics)


def _divergence(logprobs: torch.Tensor, batch: TokenBatch) -> torch.Tensor:
    ratio = _log_ratio(logprobs, batch)
    return _exp(ratio) + _exp(-ratio) - 2


def _log_ratio(logprobs: torch.Tensor, batch: TokenBatch) -> torch.Tensor:
    """Of each sequence's action tokens, policy to reference -> [S]; 0 without one."""
    return seq_sum(logprobs.float() - batch.ref_logprobs, batch, batch.action_mask)


def _exp(values: torch.Tensor) -> torch.Tensor:
    """e^x, and its tangent from LINEAR_FROM on."""
    curved = values.clamp(max=LINEAR_FROM).exp()
    return curved + (values - LINEAR_FROM).clamp(min=0) * torch.tensor(LINEAR_FROM).exp()
