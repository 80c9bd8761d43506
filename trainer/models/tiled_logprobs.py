"""Log-probabilities and entropy of given tokens without ever holding a [tokens, vocabulary] tensor.

The logits of 8 192 tokens over 152 k words are 5 GB, and the usual path holds several copies. Here
only one tile of them exists at a time, forward and backward; the backward pass computes each tile
again. Everything after the matrix product is fp32 (fp64 for fp64 weights).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

TILE_ELEMENTS = 2**26  # logits of one tile: 256 MB of fp32; the backward pass holds four such


@dataclass(frozen=True, slots=True, kw_only=True)
class LogitShape:
    """What a model does to its logits after the matrix product, and the sampling temperature."""

    scale: float = 1.0
    softcap: float = 0.0  # logits become cap * tanh(logits / cap); 0: they stay
    temperature: float = 1.0

    def __call__(self, raw: Tensor) -> Tensor:
        """Logits at the sampling temperature; writes over `raw`."""
        raw = raw.mul_(self.scale)
        if self.softcap:
            raw = raw.div_(self.softcap).tanh_().mul_(self.softcap)
        return raw.div_(self.temperature)

    def backward(self, gradient: Tensor, logits: Tensor) -> Tensor:
        """Gradient of the raw logits from that of the shaped ones; writes over `gradient`."""
        if self.softcap:
            squashed = logits * (self.temperature / self.softcap)
            gradient = gradient.mul_(1 - squashed.square_())
        return gradient.mul_(self.scale / self.temperature)


PLAIN = LogitShape()


def token_logprobs(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    bias: Tensor | None = None,
    shape: LogitShape = PLAIN,
    tile_elements: int = TILE_ELEMENTS,
) -> tuple[Tensor, Tensor]:
    """Log-prob of each target under softmax(shape(hidden @ weight.T + bias)), and its entropy.

    hidden [N, H], weight [V, H], bias [V], targets [N]. Both results carry a gradient; the
    entropy's costs nothing unless somebody uses it.

    Returns (logprobs [N], entropy [N]), fp32, nats. No tokens give empty tensors that are still
    attached to the graph.
    """
    tile = max(1, tile_elements // weight.shape[0])
    result: tuple[Tensor, Tensor] = _TiledHead.apply(  # type: ignore[no-untyped-call]
        hidden, weight, bias, targets, shape, tile
    )
    return result


class _TiledHead(torch.autograd.Function):
    """One tile of tokens at a time; saves the inputs and two numbers a token."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        shape: LogitShape,
        tile: int,
    ) -> tuple[Tensor, Tensor]:
        wide = torch.promote_types(hidden.dtype, torch.float32)
        logprobs = hidden.new_empty(len(targets), dtype=wide)
        normalisers, entropy = torch.empty_like(logprobs), torch.empty_like(logprobs)
        for part in _tiles(len(targets), tile):
            logits = _logits(hidden[part], weight, bias, shape)
            normaliser = logits.logsumexp(dim=1)
            chosen = logits.gather(1, targets[part, None]).squeeze(1)
            logprobs[part] = chosen - normaliser
            normalisers[part] = normaliser
            probabilities = (logits - normaliser[:, None]).exp_()
            entropy[part] = normaliser - torch.linalg.vecdot(probabilities, logits)
        ctx.save_for_backward(hidden, weight, bias, targets, normalisers, entropy)
        ctx.shape, ctx.tile = shape, tile
        ctx.set_materialize_grads(False)
        return logprobs, entropy

    @staticmethod
    def backward(
        ctx: Any, of_logprobs: Tensor | None, of_entropy: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets, normalisers, entropy = ctx.saved_tensors
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        for_hidden = torch.zeros_like(hidden) if wants_hidden else None
        # A sum over many tiles loses its small parts in bf16, so it is kept wide until the end.
        for_weight = torch.zeros_like(weight, dtype=normalisers.dtype) if wants_weight else None
        for_bias = normalisers.new_zeros(len(weight)) if wants_bias else None
        for part in _tiles(len(targets), ctx.tile):
            logits = _logits(hidden[part], weight, bias, ctx.shape)
            gradient = _of_logits(
                logits,
                targets[part],
                normalisers[part],
                entropy[part],
                None if of_logprobs is None else of_logprobs[part],
                None if of_entropy is None else of_entropy[part],
            )
            gradient = ctx.shape.backward(gradient, logits)
            if for_bias is not None:
                for_bias += gradient.sum(dim=0)
            narrow = gradient.to(weight.dtype)
            if for_hidden is not None:
                for_hidden[part] = narrow @ weight
            if for_weight is not None:
                for_weight += narrow.T @ hidden[part]
        return (
            for_hidden,
            None if for_weight is None else for_weight.to(weight.dtype),
            None if for_bias is None else for_bias.to(bias.dtype),
            None,
            None,
            None,
        )


def _tiles(count: int, tile: int) -> list[slice]:
    return [slice(start, min(start + tile, count)) for start in range(0, count, tile)]


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, shape: LogitShape) -> Tensor:
    raw = functional.linear(hidden, weight, bias)
    return shape(raw.to(torch.promote_types(raw.dtype, torch.float32)))


def _of_logits(
    logits: Tensor,
    targets: Tensor,
    normaliser: Tensor,
    entropy: Tensor,
    of_logprobs: Tensor | None,
    of_entropy: Tensor | None,
) -> Tensor:
    """Gradient of a tile's logits: g_l (onehot - p) - g_h p (log p + entropy)."""
    logs = logits - normaliser[:, None]
    if of_entropy is None:
        assert of_logprobs is not None, "a backward pass without any gradient"
        gradient = logs.exp_().mul_(-of_logprobs[:, None])
    else:
        factor = (logs + entropy[:, None]).mul_(of_entropy[:, None])
        if of_logprobs is not None:
            factor += of_logprobs[:, None]
        gradient = logs.exp_().mul_(factor).neg_()
    if of_logprobs is not None:
        gradient.scatter_add_(1, targets[:, None], of_logprobs[:, None])
    return gradient


class Head(nn.Module):
    """The output layer of a language model as the trainer uses it.

    It registers the layer's own parameters (no copy), so that whoever shards the model by hooks on
    modules gathers them here too.
    """

    def __init__(self, layer: nn.Linear, shape: LogitShape) -> None:
        super().__init__()
        self.weight = layer.weight
        self.bias = layer.bias
        self.shape = shape

    def forward(self, hidden: Tensor, targets: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """See `token_logprobs`."""
        shape = LogitShape(
            scale=self.shape.scale, softcap=self.shape.softcap, temperature=temperature
        )
        return token_logprobs(
            hidden,
            self.weight,
            targets,
            bias=self.bias,
            shape=shape,
        )
