"""The tiled head gives the log-probs, entropies and gradients of the plain one."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from trainer.models.tiled_logprobs import LogitShape, token_logprobs

SHAPES = [
    LogitShape(),
    LogitShape(temperature=0.7),
    LogitShape(scale=0.25, softcap=2.0, temperature=1.3),
]


def make(tokens=11, hidden=5, words=7, dtype=torch.float64, bias=True):
    generator = torch.Generator().manual_seed(0)

    def normal(*size):
        return torch.randn(*size, generator=generator, dtype=torch.float64).to(dtype)

    return (
        normal(tokens, hidden).requires_grad_(),
        normal(words, hidden).requires_grad_(),
        normal(words).requires_grad_() if bias else None,
        torch.randint(words, (tokens,), generator=generator),
    )


def plain(hidden, weight, bias, targets, shape):
    """The whole [tokens, vocabulary] at once, by torch's own log_softmax."""
    logits = torch.nn.functional.linear(hidden, weight, bias) * shape.scale
    if shape.softcap:
        logits = shape.softcap * torch.tanh(logits / shape.softcap)
    logs = (logits / shape.temperature).log_softmax(dim=1)
    return logs.gather(1, targets[:, None]).squeeze(1), -(logs.exp() * logs).sum(dim=1)


def test_two_words_by_hand():
    # logits (0, ln 3): p = (1/4, 3/4); entropy = -(1/4 ln 1/4 + 3/4 ln 3/4) = 0.5623
    hidden, weight = torch.tensor([[1.0]]), torch.tensor([[0.0], [1.0986123]])
    logprobs, entropy = token_logprobs(hidden, weight, torch.tensor([0]))
    torch.testing.assert_close(logprobs, torch.tensor([-1.3862944]))
    torch.testing.assert_close(entropy, torch.tensor([0.5623351]))


def test_temperature_two_halves_the_logits_by_hand():
    # logits (0, ln 9) / 2 = (0, ln 3): p = (1/4, 3/4)
    hidden, weight = torch.tensor([[1.0]]), torch.tensor([[0.0], [2.1972246]])
    shape = LogitShape(temperature=2.0)
    logprobs, _ = token_logprobs(hidden, weight, torch.tensor([1]), shape=shape)
    torch.testing.assert_close(logprobs, torch.tensor([-0.2876821]))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tile", [1, 4, 100])
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_equal_the_plain_head_in_fp64(shape, tile, bias):
    inputs = make(bias=bias)
    reference = plain(*inputs, shape)
    hidden, weight, offset, targets = inputs
    ours = token_logprobs(
        hidden,
        weight,
        targets,
        bias=offset,
        shape=shape,
        tile_elements=tile * len(weight),
    )
    leaves = [leaf for leaf in inputs[:3] if leaf is not None]
    scales = torch.linspace(-1, 2, len(targets), dtype=torch.float64)

    def gradients(logprobs, entropy):
        return torch.autograd.grad((scales * logprobs + scales.flip(0) * entropy).sum(), leaves)

    for mine, theirs in zip(ours, reference, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(gradients(*ours), gradients(*reference), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("which", [0, 1])
def test_each_output_alone_has_its_own_gradient(which):
    hidden, weight, bias, targets = make()
    ours = token_logprobs(hidden, weight, targets, bias=bias)
    reference = plain(hidden, weight, bias, targets, LogitShape())
    mine = torch.autograd.grad(ours[which].sum(), [hidden, weight, bias])
    theirs = torch.autograd.grad(reference[which].sum(), [hidden, weight, bias])
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


def test_fp32_gradient_is_close_to_the_plain_one():
    hidden, weight, bias, targets = make(tokens=200, hidden=32, words=300, dtype=torch.float32)
    logprobs, _ = token_logprobs(hidden, weight, targets, bias=bias, tile_elements=300 * 7)
    reference, _ = plain(hidden, weight, bias, targets, LogitShape())
    mine = torch.autograd.grad(logprobs.sum(), [hidden, weight, bias])
    theirs = torch.autograd.grad(reference.sum(), [hidden, weight, bias])
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_bf16_weights_give_fp32_results_and_bf16_gradients():
    hidden, weight, bias, targets = make(dtype=torch.bfloat16)
    logprobs, entropy = token_logprobs(hidden, weight, targets, bias=bias)
    assert logprobs.dtype == entropy.dtype == torch.float32
    logprobs.sum().backward()
    assert hidden.grad.dtype == weight.grad.dtype == bias.grad.dtype == torch.bfloat16


def test_frozen_weight_gets_no_gradient_and_hidden_still_does():
    hidden, weight, _, targets = make()
    logprobs, _ = token_logprobs(hidden, weight.detach(), targets)
    logprobs.sum().backward()
    assert hidden.grad is not None
    assert weight.grad is None


def test_no_tokens_give_an_attached_nothing():
    hidden, weight, bias, targets = make(tokens=0)
    logprobs, entropy = token_logprobs(hidden, weight, targets, bias=bias)
    assert logprobs.shape == entropy.shape == (0,)
    logprobs.sum().backward()
    assert torch.equal(weight.grad, torch.zeros_like(weight))


class Largest(TorchDispatchMode):
    """Remembers the most elements that any operator returned."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return out


def test_never_holds_more_than_a_tile_of_logits():
    # 1 000 tokens x 400 words would be 400 000 elements; a tile of 10 tokens is 4 000.
    hidden, weight, _, targets = make(tokens=1000, hidden=3, words=400, dtype=torch.float32)
    with Largest() as largest:
        logprobs, entropy = token_logprobs(hidden, weight, targets, tile_elements=4000)
        (logprobs + entropy).sum().backward()
    assert largest.elements == 4000


def test_many_small_parts_of_a_bf16_gradient_add_up():
    # Two words of equal logits: each token adds 1/2 to the gradient of the other word's weight and
    # bias. A sum kept in bf16 stops at 128, where 1/2 is half of its resolution.
    hidden = torch.ones(512, 1, dtype=torch.bfloat16)
    weight = torch.zeros(2, 1, dtype=torch.bfloat16, requires_grad=True)
    bias = torch.zeros(2, dtype=torch.bfloat16, requires_grad=True)
    targets = torch.zeros(512, dtype=torch.long)
    logprobs, _ = token_logprobs(hidden, weight, targets, bias=bias, tile_elements=2)
    logprobs.sum().backward()
    assert weight.grad.flatten().tolist() == [256, -256]
    assert bias.grad.tolist() == [256, -256]
