"""How each token's log-prob moves with its advantage, and fair draws among tokens.

The entropy of a softmax policy falls, to first order, by the covariance of the log-prob and the
advantage (https://arxiv.org/abs/2505.22617): the few tokens with the largest products are what
collapses it.
"""

from __future__ import annotations

import torch

from trainer.batch import TokenBatch


def covariance(logprobs: torch.Tensor, batch: TokenBatch) -> torch.Tensor:
    """Product of the centred log-prob and the centred advantage -> [T] f64; 0 off `train_mask`.

    The means are over all trained tokens of the batch, so it must be given a whole minibatch.
    """
    mask = batch.train_mask
    if not bool(mask.any()):
        return torch.zeros_like(logprobs, dtype=torch.float64)
    chosen = torch.where(mask, logprobs.detach().double(), 0.0)
    credit = torch.where(mask, batch.advantages.double(), 0.0)
    centred = chosen - chosen[mask].mean()
    return torch.where(mask, centred * (credit - credit[mask].mean()), 0.0)


def hash_keys(batch: TokenBatch) -> torch.Tensor:
    """A number for each token, as good as random -> [T] int64.

    It depends on the sample's id and the token's position alone: the same in every run, however
    the batch is packed, and different for every sample that the run ever draws.
    """
    state = batch.sample_ids[batch.seq_ids] * 1_000_003 + batch.position_ids
    for multiplier in (-4658895280553007687, -7723592293110705685):
        state = (state ^ ((state >> 29) & 0x7FFFFFFFF)) * multiplier
    return state ^ ((state >> 32) & 0xFFFFFFFF)


def smallest_k(
    count: int, order: torch.Tensor, among: torch.Tensor, ties: torch.Tensor
) -> torch.Tensor:
    """The `count` tokens of mask `among` with the smallest `order`, ties by `ties` -> bool [T]."""
    chosen = torch.zeros_like(among)
    tokens = among.nonzero().squeeze(1)
    tokens = tokens[ties[tokens].argsort(stable=True)]
    tokens = tokens[order[tokens].argsort(stable=True)]
    chosen[tokens[:count]] = True
    return chosen
