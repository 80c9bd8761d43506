"""Distillation from a teacher on the policy's own samples."""

from __future__ import annotations

import torch

from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.metrics import Mean
from trainer.ops.segments import LARGEST, log_policy_ratio
from trainer.terms import term


@term.register(needs=("teacher_logprobs", "old_logprobs"), paper="https://arxiv.org/abs/2306.13649")
def teacher_kl(out: PolicyOutput, batch: TokenBatch) -> LossOutput:
    """The difference of policy's and teacher's log-prob (no gradient) times the policy's ratio.

    Its value is an unbiased KL(policy || teacher), its gradient that KL's exact one for the token,
    on fresh samples and, through the ratio, on stale ones; the KL of later tokens is not credited
    to earlier ones. `kl_k2` to a reference has the same gradient on fresh samples.
    Agarwal et al. 2024 (on-policy distillation). Departures: reverse KL only, from one sampled
    token a position instead of the whole vocabulary; differences are held within +-20 nats.
    Returns values [T], nats; zero where `action_mask` is False.
    """
    gap = (out.logprobs.detach().float() - batch.teacher_logprobs).clamp(-LARGEST, LARGEST)
    ratio = log_policy_ratio(out, batch).exp()
    metrics = {"teacher_gap": Mean.over(gap, batch.train_mask)}
    return LossOutput(values=torch.where(batch.action_mask, gap * ratio, 0.0), metrics=metrics)
