"""A policy over five one-token answers, on which expectations over samples are exact sums."""

from collections.abc import Callable

import torch
from torch import Tensor

from tests.support.builders import annotated, batch, output
from trainer.batch import LossOutput, PolicyOutput, TokenBatch

LOGITS = torch.tensor([0.5, -1.0, 0.2, 1.5, 0.0])
REFERENCE = torch.tensor([0.0, 0.3, -0.7, 1.0, 0.4]).log_softmax(0)


def expected_gradient(term: Callable[[PolicyOutput, TokenBatch], LossOutput]) -> Tensor:
    """E over tokens of the policy of the term's gradient by the logits, samples held fixed."""
    logits = LOGITS.clone().requires_grad_()
    logprobs = logits.log_softmax(0)
    of = annotated(batch([[0] * 5], [[1] * 5], prompts=[0])).replace(
        ref_logprobs=REFERENCE, old_logprobs=REFERENCE, teacher_logprobs=REFERENCE
    )
    out = output(of, logprobs=logprobs)
    live = PolicyOutput(logprobs=logprobs, entropy=out.entropy)
    (logprobs.detach().exp() * term(live, of).values).sum().backward()
    assert logits.grad is not None
    return logits.grad


def reverse_kl() -> Tensor:
    """Gradient of KL(policy || reference) by the logits."""
    logits = LOGITS.clone().requires_grad_()
    logprobs = logits.log_softmax(0)
    (logprobs.exp() * (logprobs - REFERENCE)).sum().backward()
    assert logits.grad is not None
    return logits.grad


def forward_kl() -> Tensor:
    """Gradient of KL(reference || policy) by the logits."""
    logits = LOGITS.clone().requires_grad_()
    (REFERENCE.exp() * (REFERENCE - logits.log_softmax(0))).sum().backward()
    assert logits.grad is not None
    return logits.grad
