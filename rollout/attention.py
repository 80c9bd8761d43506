"""The one attention function of training and generation, plugged into transformers as "temper".

    trainer    model(ids [1, T], position_ids [1, T], use_cache=False, packing=packing_of(lengths))
    hf engine  the same call; its prefill and decode layouts carry the cache      (kv_cache.py)

Both sides hand the model one row of T tokens, and a *layout* that says which of them see which.
Everything around attention works token by token and needs no layout. Sharing the function, not
only the weights, is what keeps the sampler's log-probs within rounding of the trainer's: scale,
soft-cap, window and grouped heads are read from the model in a single place. A model that supports
transformers' attention interface runs unchanged; its masks are never built.

What a model hides from a layer in its mask alone, such as a chunk's border, is not known here.
`supports` refuses the kinds that a configuration names (chunked, linear, recurrent layers), and
under the name "temper-checked" every mask that a model builds is compared with the layer's own
arguments: `trainer.models.served` does so once, when a model is loaded.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

from recipes.errors import RecipeError

ATTENTION = "temper"
"""Name to load a model with: `from_pretrained(..., attn_implementation=ATTENTION)`."""

CHECKED = "temper-checked"
"""The same attention, which raises RecipeError where a layer's mask hides more or less than it."""

_LAYER_TYPES = {"full_attention", "sliding_attention"}
_SHORT = 64  # tokens; padding below this width costs less than one more kernel call


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How scores become weights, by the arguments of the model's layer."""

    scale: float | None  # None: 1 / sqrt(head dim)
    window: int | None  # a token sees itself and window - 1 before it; None: all before it
    softcap: float | None  # scores pass through softcap * tanh(score / softcap)
    dropout: float  # probability, 0 outside training
    sinks: Tensor | None = None  # [H] score of a place without a value, which takes some weight

    @property
    def is_fused(self) -> bool:
        """Whether a fused kernel computes it; none knows soft-caps or sinks."""
        return self.softcap is None and self.sinks is None


class Layout(Protocol):
    """Which tokens of the row see which."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, rule: Rule) -> Tensor:
        """Attention of query [T, H, D] over key, value [T, H_kv, D]; returns [T, H, D]."""


class _Layer(Protocol):
    layer_idx: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Packing:
    """Sequences end to end, each seeing only itself.

    Attention runs on a right-padded view of query, key and value only. The view has one block per
    class of lengths, so that a long sequence among short ones pads nobody to more than twice its
    length (or 64). Example, lengths [1, 3]: one block of width 3,
    padded_from [1 2 3 0 0 0], token_at [3 0 1 2].
    """

    lengths: tuple[int, ...]  # S lengths, > 0
    cu_seqlens: Tensor  # [S + 1] int32, where each sequence starts, then T
    max_length: int
    padded_from: Tensor  # [P] int64, token shown at each place; padding repeats the last one
    token_at: Tensor  # [T] int64, place of each token
    blocks: tuple[tuple[int, int], ...]  # (rows, width) in the order of padded_from

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, rule: Rule) -> Tensor:
        """Causal attention inside each sequence."""
        del layer
        sizes = [rows * width for rows, width in self.blocks]
        padded: list[list[Tensor]] = []  # query, key, value: one [rows, H, width, D] per block
        for x in (query, key, value):
            parts = torch.split(_gather(x, self.padded_from, self.token_at, padding=True), sizes)
            padded.append(
                [
                    part.view(*block, *x.shape[1:]).transpose(1, 2)
                    for part, block in zip(parts, self.blocks, strict=True)
                ]
            )
        outputs = [causal(q, k, v, rule) for q, k, v in zip(*padded, strict=True)]
        flat = [out.transpose(1, 2).flatten(0, 1) for out in outputs]
        places = flat[0] if len(flat) == 1 else torch.cat(flat)
        return _gather(places, self.token_at, self.padded_from, padding=False)


def packing_of(lengths: Sequence[int] | Tensor, device: torch.device | str = "cpu") -> Packing:
    """The layout of sequences with these lengths, laid end to end in this order."""
    sizes = [int(n) for n in lengths]
    assert sizes and min(sizes) > 0, "a packing needs sequences of at least one token"
    members: list[list[int]] = []  # of each block, longest first
    widest = 0
    for index in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        if not members or (widest > _SHORT and 2 * sizes[index] < widest):
            members.append([])
            widest = sizes[index]
        members[-1].append(index)
    blocks = [(len(member), sizes[member[0]]) for member in members]
    count = torch.tensor(sizes)
    start = count.cumsum(0) - count
    padded_from: list[Tensor] = []
    place = torch.empty(len(sizes), dtype=torch.long)  # [S] where a sequence's row starts
    base = 0
    for (rows, width), chosen in zip(blocks, members, strict=True):
        block = torch.tensor(chosen)
        column = torch.arange(width).expand(rows, width)
        inside = column.minimum(count[block, None] - 1)
        padded_from.append((start[block, None] + inside).flatten())
        place[block] = base + torch.arange(rows) * width
        base += rows * width
    total = sum(sizes)
    sequence = torch.repeat_interleave(torch.arange(len(sizes)), count, output_size=total)
    return Packing(
        lengths=tuple(sizes),
        cu_seqlens=F.pad(count.cumsum(0), (1, 0)).to(device, torch.int32),
        max_length=max(sizes),
        padded_from=torch.cat(padded_from).to(device),
        token_at=(torch.arange(total) + (place - start)[sequence]).to(device),
        blocks=tuple(blocks),
    )


class _Gather(torch.autograd.Function):
    """Rows `index` of x. Its gradient is a gather or a plain copy too: nothing is summed.

    Padding shows copies of real tokens, whose gradient is zero because no real query sees what
    lies after it. So the way back takes each real place once, in a fixed order, on any device.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, inverse: Tensor, padding: bool) -> Tensor:
        ctx.save_for_backward(index, inverse)
        ctx.padding = padding
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (grad,) = gradients
        index, inverse = ctx.saved_tensors
        if ctx.padding:
            return grad.index_select(0, inverse), None, None, None
        whole = grad.new_zeros(len(inverse), *grad.shape[1:])
        return whole.index_copy_(0, index, grad), None, None, None


def _gather(x: Tensor, index: Tensor, inverse: Tensor, *, padding: bool) -> Tensor:
    """x[index]; `inverse` is where each row of x went (padding) or which rows were taken."""
    rows: Tensor = _Gather.apply(x, index, inverse, padding)  # type: ignore[no-untyped-call]
    return rows


def causal(query: Tensor, key: Tensor, value: Tensor, rule: Rule) -> Tensor:
    """Each token over itself and those before it, in every row; heads are grouped as they come.

    query [S, H, L, D], key and value [S, H_kv, L, D]. Returns [S, H, L, D].
    """
    length = query.shape[2]
    windowed = rule.window is not None and rule.window < length
    if not windowed and rule.is_fused:
        return F.scaled_dot_product_attention(
            query,
            key,
            value,
            dropout_p=rule.dropout,
            is_causal=True,
            scale=rule.scale,
            enable_gqa=query.shape[1] != key.shape[1],
        )
    place = torch.arange(length, device=query.device)
    visible = place[:, None] >= place
    if rule.window is not None:
        visible = visible & (place > place[:, None] - rule.window)
    return masked(query, key, value, visible, rule)


def masked(query: Tensor, key: Tensor, value: Tensor, visible: Tensor, rule: Rule) -> Tensor:
    """Each query over the keys where `visible` is True; every query must see one at least.

    query [S, H, L, D], key and value [S, H_kv, N, D], visible broadcasts to [S, 1, L, N].
    """
    if rule.is_fused:
        return F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=visible,
            dropout_p=rule.dropout,
            scale=rule.scale,
            enable_gqa=query.shape[1] != key.shape[1],
        )
    scale = 1 / math.sqrt(query.shape[-1]) if rule.scale is None else rule.scale
    rows, heads, length, width = query.shape
    grouped = query.reshape(rows, key.shape[1], heads // key.shape[1], length, width)
    scores = grouped @ key.unsqueeze(2).transpose(-1, -2) * scale
    if rule.softcap is not None:
        scores = torch.tanh(scores / rule.softcap) * rule.softcap
    if visible.dim() == 4:
        visible = visible.unsqueeze(2)
    scores = scores.float().masked_fill(~visible, -torch.inf)
    if rule.sinks is not None:
        sinks = rule.sinks.float().view(1, *grouped.shape[1:3], 1, 1).expand(*scores.shape[:-1], 1)
        scores = torch.cat([scores, sinks], dim=-1)
    weights = scores.softmax(-1)[..., : key.shape[2]].to(value.dtype)
    weights = F.dropout(weights, rule.dropout, training=rule.dropout > 0)
    return (weights @ value.unsqueeze(2)).flatten(1, 2)


def attention(
    module: _Layer,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packing: Layout | None = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    position_bias: Tensor | None = None,
    is_causal: bool | None = None,
    **_unused: object,
) -> tuple[Tensor, None]:
    """Attention as transformers' interface calls it: query [B, H, L, D]; returns [B, L, H, D].

    Without a layout each row is one sequence, right-padded at will.
    """
    if position_bias is not None or is_causal is False or attention_mask is not None:
        raise unserved("passes its layers a mask or a position bias, or is not causal")
    rule = Rule(scale=scaling, window=sliding_window, softcap=softcap, dropout=dropout, sinks=s_aux)
    if packing is not None:
        assert query.shape[0] == 1, "a layout describes one row of tokens"
        query, key, value = (x.squeeze(0).transpose(0, 1) for x in (query, key, value))
        return packing.attend(module.layer_idx, query, key, value, rule).unsqueeze(0), None
    assert query.shape[2] == key.shape[2], "attention 'temper' keeps no transformers cache"
    return causal(query, key, value, rule).transpose(1, 2), None


def no_mask(
    *, attention_mask: Tensor | None = None, use_vmap: bool = False, **_unused: object
) -> None:
    """The mask that a model builds for this attention: none; padding and overlays are refused."""
    if attention_mask is not None or use_vmap:
        raise unserved("gives attention a mask of tokens, or changes the causal mask")


def unserved(fact: str) -> RecipeError:
    """The refusal of a model for which packed attention would compute something else."""
    return RecipeError.of(
        f"the model {fact}, which packed attention does not",
        path="model.path",
        fix="use another model",
    )


def mask_table(
    *,
    mask_function: Callable[..., Tensor],
    local_size: int | None = None,
    attention_mask: Tensor | None = None,
    use_vmap: bool = False,
    **_unused: object,
) -> Tensor:
    """The mask that a model builds, at a few places [P]: [1, 1, P + 1, P], the places first.

    The places are near the powers of two and near the borders of a window or chunk, so that two
    masks that differ in either differ in the table. Needs a sequence of any length only.
    """
    no_mask(attention_mask=attention_mask, use_vmap=use_vmap)
    borders = [2**k for k in range(21)] + ([] if local_size is None else [local_size])
    near = {border + i for border in [*borders, 2 * borders[-1]] for i in (-1, 0, 1)}
    places = torch.tensor(sorted(near))
    zero = torch.zeros((), dtype=torch.long)
    visible = mask_function(zero, zero, places[:, None], places[None, :])
    visible = visible.expand(len(places), len(places))
    return torch.cat([places[None], visible.long()])[None, None]


def checked_attention(
    module: _Layer,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **arguments: Any,
) -> tuple[Tensor, None]:
    """`attention`, after a comparison of the layer's `mask_table` with the arguments it gives."""
    window = arguments.get("sliding_window")
    if attention_mask is None:
        if window is not None:
            raise unserved("gives a layer a window without a mask")
    else:
        if attention_mask.dtype != torch.long or attention_mask.dim() != 4:
            raise unserved("builds a mask itself")
        places, visible = attention_mask[0, 0, 0], attention_mask[0, 0, 1:].bool()
        distance = places[:, None] - places
        expected = distance >= 0
        if window is not None:
            expected &= distance < window
        if not torch.equal(visible, expected):
            raise unserved("hides other tokens from a layer than those outside its window")
    return attention(module, query, key, value, None, **arguments)


def supports(model: PreTrainedModel) -> bool:
    """Whether every layer of the model is causal attention through transformers' interface."""
    config = model.config.get_text_config().to_dict()
    layer_types = set(config.get("layer_types") or ())
    return bool(
        model.is_backend_compatible() and not model._is_stateful and layer_types <= _LAYER_TYPES
    )


AttentionInterface.register(ATTENTION, attention)
AttentionMaskInterface.register(ATTENTION, no_mask)
AttentionInterface.register(CHECKED, checked_attention)
AttentionMaskInterface.register(CHECKED, mask_table)
