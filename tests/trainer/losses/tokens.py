"""A batch in which each token's ratio and advantage are what the test says."""

from collections.abc import Sequence

import torch

from tests.support.builders import annotated, batch, output
from trainer.batch import PolicyOutput, TokenBatch


def at(
    ratios: Sequence[Sequence[float]],
    advantages: Sequence[Sequence[float]],
    *,
    correct: Sequence[bool] | None = None,
    rates: Sequence[float] | None = None,
) -> tuple[PolicyOutput, TokenBatch]:
    """One sample for each row, behind a prompt of one token; the policy, and the batch.

    Old log-probs are -1 everywhere.
    """
    of = batch(
        [[float(c) for c in correct or [True] * len(ratios)]],
        [[len(row) for row in ratios]],
        prompts=[1],
    )
    old = torch.full((of.num_tokens,), -1.0) * of.action_mask
    credit = torch.tensor([v for row in advantages for v in (0.0, *row)])
    of = annotated(of.replace(old_logprobs=old, advantages=credit))
    if rates is not None:
        of = of.replace(pass_rates=torch.tensor(rates))
    flat = torch.tensor([v for row in ratios for v in (1.0, *row)])
    return output(of, logprobs=old + flat.log()), of


def on_actions(values: torch.Tensor, of: TokenBatch) -> list[float]:
    return values.detach()[of.action_mask].tolist()
