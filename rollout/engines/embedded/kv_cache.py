"""The hf engine's key-value cache: one slot per sequence being decoded, and its two layouts.

    KVRecording  prompts, or whole sequences again after a push: packed attention that keeps each
                 layer's keys and values, to be copied into any number of slots
    Decoding     one new token per slot: written to the cache, then attended with all before it

Slots 0..B-1 are always the ones in use, so a step reads a slice of the cache and gathers nothing.
Every method runs under inference mode, in which the engine calls the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rollout.attention import Packing, Rule, masked

_STEP = 64  # tokens by which slots get longer at least
Index = npt.NDArray[np.int64]


@dataclass(slots=True, kw_only=True, eq=False)
class KVRecording:
    """Packed attention that remembers keys and values [T, H_kv, D] by layer."""

    packing: Packing
    stored: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, rule: Rule) -> Tensor:
        """As the packing does."""
        self.stored[layer] = (key, value)
        return self.packing.attend(layer, query, key, value, rule)


class SlotCache:
    """Keys and values [slots, length, H_kv, D] of every layer, growing in steps."""

    def __init__(self) -> None:
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}
        self._slots = 0
        self._length = 0

    def fill(self, source: KVRecording, sequences: Sequence[int], first_slot: int) -> None:
        """Copies sequences of `source`, in this order, into slots from `first_slot` on.

        One sequence may go to several slots. Nothing else in the cache changes.
        """
        lengths = np.array(source.packing.lengths)
        starts = lengths.cumsum() - lengths
        counts = lengths[list(sequences)]
        for layer, pair in source.stored.items():
            if layer not in self._layers:
                key, value = (x.new_empty(self._slots, self._length, *x.shape[1:]) for x in pair)
                self._layers[layer] = (key, value)
        self._grow(first_slot + len(counts), int(counts.max()))
        within = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
        slot = np.repeat(first_slot + np.arange(len(counts)), counts)
        device = source.packing.token_at.device
        taken = torch.from_numpy(within + np.repeat(starts[list(sequences)], counts)).to(device)
        place = torch.from_numpy(slot * self._length + within).to(device)
        for layer, pair in source.stored.items():
            for cached, new in zip(self._layers[layer], pair, strict=True):
                cached.flatten(0, 1).index_copy_(0, place, new.index_select(0, taken))

    def move(self, origin: Index, target: Index, length: int) -> None:
        """Copies the first `length` tokens of slots `origin` over those of slots `target`."""
        for pair in self._layers.values():
            for cached in pair:
                source = torch.from_numpy(origin).to(cached.device)
                cached[torch.from_numpy(target).to(cached.device), :length] = cached[
                    source, :length
                ]

    def decoding(self, lengths: Index, device: torch.device) -> "Decoding":
        """The layout of one more token on each of the first len(lengths) slots."""
        longest = int(lengths.max()) + 1
        self._grow(self._slots, longest)
        place = np.arange(len(lengths)) * self._length + lengths
        return Decoding(
            layers=self._layers,
            place=torch.from_numpy(place).to(device),
            visible=torch.from_numpy(np.arange(longest) <= lengths[:, None]).to(device),
            lengths=torch.from_numpy(lengths).to(device),
        )

    def _grow(self, slots: int, length: int) -> None:
        """Room for `slots` sequences of `length` tokens; what is cached stays."""
        if slots <= self._slots and length <= self._length:
            return
        slots = self._slots if slots <= self._slots else max(slots, 2 * self._slots)
        if length > self._length:
            length = -(-max(length, self._length * 3 // 2) // _STEP) * _STEP
        else:
            length = self._length
        for layer, pair in self._layers.items():
            key, value = (x.new_zeros(slots, length, *x.shape[2:]) for x in pair)
            for new, old in zip((key, value), pair, strict=True):
                new[: self._slots, : self._length] = old
            self._layers[layer] = (key, value)
        self._slots, self._length = slots, length


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decoding:
    """One token per slot, seeing itself and the slot's cache."""

    layers: dict[int, tuple[Tensor, Tensor]]  # [slots, length, H_kv, D] each
    place: Tensor  # [B] int64, where the new token's key goes, in the flat cache
    visible: Tensor  # [B, N] bool, the cached tokens that count, the new one among them
    lengths: Tensor  # [B] int64, tokens before the new one

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, rule: Rule) -> Tensor:
        """Attention of each slot's query [B, H, D] over its own cache; writes key and value."""
        slots, heads = key.shape[:2]
        longest = self.visible.shape[1]
        cached = self.layers[layer]
        for whole, new in zip(cached, (key, value), strict=True):
            whole.flatten(0, 1).index_copy_(0, self.place, new)
        keys, values = (whole[:slots, :longest].transpose(1, 2) for whole in cached)
        visible = self.visible
        if rule.window is not None and rule.window < longest:
            place = torch.arange(longest, device=visible.device)
            visible = visible & (place > self.lengths[:, None] - rule.window)
        # The query heads that share a key head stand in a row like so many tokens: no head of the
        # cache is repeated.
        # Sinks differ by query head, so those stay apart.
        split = query.shape[1] if rule.sinks is not None else heads
        grouped = query.reshape(slots, split, -1, query.shape[-1])
        out = masked(grouped, keys, values, visible[:, None, None], rule)
        return out.reshape(slots, query.shape[1], -1)
