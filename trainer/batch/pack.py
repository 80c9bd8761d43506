"""Groups of samples -> one packed TokenBatch; nothing is padded, missing verdicts never come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from rollout.types import Group, Sample
from trainer.batch.token_batch import TokenBatch


def pack(groups: Sequence[Group]) -> TokenBatch:
    """All scored samples of `groups`, in their order, as one batch.

    A greedy sample (index -1) is no training data: its reward fills `greedy_rewards` of its group.
    Empty completions stay, as sequences without action tokens.
    """
    pairs = [(group, sample) for group in groups for sample in group.samples if sample.index >= 0]
    samples = [sample for _, sample in pairs]
    assert samples, "a step without samples"
    assert not any(s.verdict.is_missing for s in samples), "a missing verdict reached the batch"
    lengths = torch.tensor([len(s.token_ids) for s in samples])
    names = tuple(sorted({name for s in samples for name in s.verdict.components}))
    batch = TokenBatch(
        token_ids=_tokens([s.token_ids for s in samples], torch.long),
        position_ids=torch.cat([torch.arange(n) for n in lengths.tolist()]),
        seq_ids=torch.repeat_interleave(torch.arange(len(samples)), lengths),
        turn_ids=_tokens([s.turn_ids for s in samples], torch.long),
        action_mask=_tokens([s.action_mask for s in samples], torch.bool),
        behavior_logprobs=_tokens([s.behavior_logprobs for s in samples], torch.float32),
        policy_version=_tokens([s.policy_version for s in samples], torch.long),
        group_ids=torch.tensor([group.group_id for group, _ in pairs]),
        rewards=torch.tensor([s.verdict.reward for s in samples], dtype=torch.float32),
        correct=torch.tensor([s.verdict.correct for s in samples]),
        lengths=lengths,
        status=torch.tensor([int(s.status) for s in samples]),
        components=_components(samples, names),
        component_names=names,
        sample_ids=torch.tensor([g.sample_id(s) for g, s in pairs]),
        pass_rates=torch.tensor([group.pass_rate for group, _ in pairs], dtype=torch.float32),
    )
    greedy = [next((s for s in group.samples if s.index < 0), None) for group, _ in pairs]
    scored = [s.verdict.reward for s in greedy if s is not None and not s.verdict.is_missing]
    if len(scored) == len(samples):
        batch = batch.replace(greedy_rewards=torch.tensor(scored, dtype=torch.float32))
    return batch


def _tokens(arrays: Sequence[npt.NDArray[np.generic]], dtype: torch.dtype) -> torch.Tensor:
    return torch.from_numpy(np.concatenate(arrays)).to(dtype)


def _components(samples: Sequence[Sample], names: Sequence[str]) -> torch.Tensor:
    rows = [[s.verdict.components.get(name, float("nan")) for name in names] for s in samples]
    return torch.tensor(rows, dtype=torch.float32).reshape(len(samples), len(names))
