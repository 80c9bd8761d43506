"""Which sequences go together through one forward pass, on which rank."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from trainer.batch.token_batch import TokenBatch


def share_out(lengths: Sequence[int], max_tokens: int, ranks: int) -> list[list[list[int]]]:
    """Microbatches [rank][index] of sequence numbers, the same count on every rank.

    Sequences are never cut; one longer than `max_tokens` is a microbatch of its own. Longest first,
    so that neighbours have like lengths (attention pads the least) and ranks like loads; the budget
    is lowered as far as the count of microbatches allows, so that they are even. Microbatches may
    be empty; there is at least one on every rank.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    rounds = max(1, -(-len(_bins(order, lengths, max_tokens)) // ranks))
    low, high = 1, max_tokens
    while low < high:
        middle = (low + high) // 2
        if len(_bins(order, lengths, middle)) <= rounds * ranks:
            high = middle
        else:
            low = middle + 1
    bins = _bins(order, lengths, high)
    bins += [[] for _ in range(rounds * ranks - len(bins))]
    shares: list[list[list[int]]] = [[] for _ in range(ranks)]
    for start in range(0, len(bins), ranks):
        row = bins[start : start + ranks]
        # There and back: the rank that got the longest of this row gets the shortest of the next.
        for rank, members in enumerate(row if start // ranks % 2 == 0 else row[::-1]):
            shares[rank].append(members)
    return shares


def _bins(order: Sequence[int], lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Neighbours of `order` together while they fit."""
    bins: list[list[int]] = []
    load = max_tokens
    for index in order:
        if load + lengths[index] > max_tokens:
            bins.append([])
            load = 0
        bins[-1].append(index)
        load += lengths[index]
    return bins


def trained_sequences(batch: TokenBatch) -> list[int]:
    """Sequences with a token of non-zero weight; the others cannot change the gradient.

    All of them while no reduction has given weights.
    """
    if not batch.has("loss_weights"):
        return list(range(batch.num_sequences))
    weighs = batch.loss_weights != 0
    if batch.has("term_weights"):
        weighs = weighs | (batch.term_weights != 0).any(dim=1)
    return [int(i) for i in torch.unique(batch.seq_ids[weighs])]


def scored_tokens(batch: TokenBatch) -> torch.Tensor:
    """Tokens [N] whose log-prob anybody may read: from a sequence's first action on.

    What lies before is prompt, in no mask. A sequence's first token has no past: never scored.
    """
    started = batch.position_ids >= batch.first_actions[batch.seq_ids]
    return (started & (batch.position_ids > 0)).nonzero().squeeze(1)
