"""What every loss and term must satisfy, one assertion function a property."""

import torch
from torch import Tensor

from tests.contracts.ragged import Case, assert_close, assert_unmodified, policy, snapshot
from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.metrics import Metrics


def check(case: Case, of: TokenBatch, out: PolicyOutput) -> tuple[LossOutput, Tensor]:
    """[T] f32 values and a gradient, both finite; the batch left as it was.

    Returns the output, and the gradient of the values' plain sum by `logprobs`.
    """
    of = case.with_stats(of, out.logprobs)
    before = snapshot(of)
    result = case.call(out, of)
    assert result.values.shape == (of.num_tokens,)
    assert result.values.dtype == torch.float32
    assert bool(result.values.isfinite().all())
    assert_unmodified(of, before)
    names = Metrics(result.metrics).numbers()
    assert case.bound.name not in names, "the objective logs the function's value by this name"
    gradients = _gradients(result.values, out)
    assert all(bool(gradient.isfinite().all()) for gradient in gradients.values())
    return result, gradients["logprobs"]


def _gradients(values: Tensor, out: PolicyOutput) -> dict[str, Tensor]:
    """Of the plain sum, by each leaf of the policy's output; zeros where none reaches."""
    leaves = {"logprobs": out.logprobs, "entropy": out.entropy, "values": out.values}
    if out.value_logits is not None:
        leaves["value_logits"] = out.value_logits
    present = {name: leaf for name, leaf in leaves.items() if leaf is not None}
    anchored = values.sum() + sum((leaf.sum() * 0 for leaf in present.values()), torch.zeros(()))
    return dict(zip(present, torch.autograd.grad(anchored, list(present.values())), strict=True))


def part_of(out: PolicyOutput, of: TokenBatch, order: Tensor) -> PolicyOutput:
    """The same policy on some of the sequences."""
    tokens = torch.cat([(of.seq_ids == s).nonzero().squeeze(1) for s in order.tolist()])
    return PolicyOutput(
        logprobs=out.logprobs.detach()[tokens].requires_grad_(),
        entropy=out.entropy.detach()[tokens].requires_grad_(),
        values=None if out.values is None else out.values.detach()[tokens].requires_grad_(),
        value_logits=None
        if out.value_logits is None
        else out.value_logits.detach()[tokens].requires_grad_(),
    )


def check_order_of_sequences(case: Case, of: TokenBatch, order: Tensor) -> None:
    """Another order of the sequences gives the same values and gradients in that order."""
    out = policy(of, shift=0.3)
    result, gradient = check(case, of, out)
    moved, moved_gradient = check(case, of.select(order), part_of(out, of, order))
    tokens = torch.cat([(of.seq_ids == s).nonzero().squeeze(1) for s in order.tolist()])
    assert_close(moved.values, result.values[tokens], "values")
    assert_close(moved_gradient, gradient[tokens], "gradient")


def check_split(case: Case, of: TokenBatch) -> None:
    """A minibatch in two microbatches gives the values and gradients of the whole."""
    out = policy(of, shift=0.3)
    whole = case.with_stats(of, out.logprobs)
    result = case.call(out, whole)
    gradients = _gradients(result.values, out)
    for part in torch.arange(of.num_sequences).tensor_split(2):
        if not len(part):
            continue
        micro_out = part_of(out, of, part)
        micro = case.call(micro_out, whole.select(part))
        tokens = torch.isin(of.seq_ids, part)
        assert_close(micro.values, result.values[tokens], "values")
        for name, gradient in _gradients(micro.values, micro_out).items():
            assert_close(gradient, gradients[name][tokens], f"gradient of {name}")


def check_bfloat16(case: Case, of: TokenBatch) -> None:
    """bfloat16 log-probs are taken up to float32 before any sum."""
    out = policy(of, shift=0.3)
    coarse = PolicyOutput(
        logprobs=out.logprobs.detach().bfloat16().requires_grad_(),
        entropy=out.entropy.detach().bfloat16().requires_grad_(),
        values=None if out.values is None else out.values.detach().bfloat16().requires_grad_(),
        value_logits=out.value_logits,
    )
    _, gradient = check(case, of, coarse)
    assert gradient.dtype == torch.bfloat16
