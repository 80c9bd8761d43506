"""Supervised learning on right samples, beside the policy's own objective."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.metrics import Mean
from trainer.terms import term


@term.register(paper="https://arxiv.org/abs/2504.05118")
def demonstration_nll(
    out: PolicyOutput,
    batch: TokenBatch,
    *,
    of: Annotated[Literal["correct", "all"], Field(description="Samples to imitate")] = "correct",
) -> LossOutput:
    """Minus the log-prob of the tokens of right samples.

    Imitates what is right, whatever the baseline says of it: demonstrations in the buffer, and
    the model's own successes. Yue et al. 2025 (VAPO's positive-example loss, coefficient 0.1).
    Departure: the mean is over all tokens the term acts on, those of wrong samples included as 0;
    the paper divides by the right samples' tokens alone.
    Returns values [T], nats; zero on samples that are not imitated.
    """
    imitated = batch.correct if of == "correct" else torch.ones_like(batch.correct)
    chosen = imitated[batch.seq_ids]
    values = torch.where(chosen, -out.logprobs.float(), 0.0)
    metrics = {"demonstration_nll_mean": Mean.over(values, chosen & batch.train_mask)}
    return LossOutput(values=values, metrics=metrics)
