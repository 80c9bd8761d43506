"""TokenBatch: one step's samples, packed end to end without padding.

TokenBatch      the samples; stages fill its fields one after the other
pack            groups of samples -> TokenBatch
share_out       which sequences go together through one forward pass, on which rank
PolicyOutput, LossOutput    what the policy computes of a microbatch, and a loss of that

Letters: T packed tokens, S sequences (samples), K named reward components. The sequences lie one
after the other; `seq_ids[t]` says which sequence token t belongs to. All tensors are on the CPU
until `policy` moves its own share.

Example, two samples of one problem, three and two sampled tokens after a prompt of two:

    token_ids    5 6 | 7 8 9   5 6 | 7 2
    seq_ids      0 0 | 0 0 0   1 1 | 1 1
    action_mask  F F | T T T   F F | T T
    lengths      [5, 4]        group_ids [0, 0]        rewards [1., 0.]
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt
import torch

from rollout.types import Group
from trainer.metrics import AnyMetric

if TYPE_CHECKING:
    from torch import Tensor


class NotComputed(RuntimeError):
    """A stage read a field that no earlier stage has filled."""


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT: Any = _Absent()


class _LaterField:
    """Descriptor of a field that is filled later; reading it early is an error with a cause.

    source: what computes the field where a slot function needs it; empty for a stage's own field
    """

    def __init__(self, hint: str, *, source: str = "") -> None:
        self._hint = hint
        self.source = source

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Any: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Tensor: ...
    def __get__(self, instance: object | None, owner: type) -> Any:
        if instance is None:
            return ABSENT  # the dataclass default
        value = instance.__dict__[self._name]
        if value is ABSENT:
            hint = self._hint.format(name=self._name)
            raise NotComputed(f"batch.{self._name}: {hint}")
        return value

    def __set__(self, instance: object, value: Tensor) -> None:
        instance.__dict__[self._name] = value


def _computed(source: str) -> Any:
    return _LaterField("no slot of this recipe declared needs=('{name}',)", source=source)


def _stage(stage: str) -> Any:
    return _LaterField(f"filled by the {stage} stage, which has not run yet")


PerToken: TypeAlias = "Tensor"  # [T, ...]
PerSequence: TypeAlias = "Tensor"  # [S, ...]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TokenBatch:
    """Frozen; stages make a new one with `replace`. Types and units beside each field.

    A computed field names its source: the rollout, the policy, or another model of the recipe. This
    is the one place that knows what a slot function may declare as `needs`, see `COMPUTED_BY`.
    """

    # always there
    token_ids: PerToken  # int64
    position_ids: PerToken  # int64, from 0 in each sequence
    seq_ids: PerToken  # int64 in [0, S), non-decreasing
    turn_ids: PerToken  # int64, from 0 in each sequence
    action_mask: PerToken  # bool, True where the policy sampled the token
    behavior_logprobs: PerToken  # f32, nats, under the sampling distribution; 0 off action_mask
    policy_version: PerToken  # int64; -1 off action_mask
    group_ids: PerSequence  # int64, equal for samples of one problem
    rewards: PerSequence  # f32, reward units
    correct: PerSequence  # bool, the verifier's word, untouched by shaping
    lengths: PerSequence  # int64, all tokens of the sequence
    status: PerSequence  # int64, a rollout.types.Status
    components: PerSequence  # [S, K] f32, named components of the reward; nan where absent
    component_names: tuple[str, ...]  # K names
    sample_ids: PerSequence  # int64, group_id * 2**16 + index: the same in every run

    # computed where a slot needs them
    old_logprobs: PerToken = _computed("policy")  # f32 at the start of the step
    current_logprobs: PerToken = _computed("policy")  # f32 at the start of the update
    entropy: PerToken = _computed("policy")  # f32, nats, of the distribution that gave the token
    ref_logprobs: PerToken = _computed("reference")  # f32 of the frozen reference
    teacher_logprobs: PerToken = _computed("teacher")  # f32 under a teacher model
    values: PerToken = _computed("critic")  # f32, expected return before the token
    next_values: PerToken = _computed("critic")  # f32, expected return after the token
    greedy_rewards: PerSequence = _computed("rollout")  # f32, of the problem's greedy sample
    pass_rates: PerSequence = _computed("rollout")  # f32 in [0, 1], correct share of the group

    # filled by stages
    advantages: PerToken = _stage("advantage")  # f32; 0 off action_mask
    train_mask: PerToken = _stage("mask")  # bool, which tokens learn
    importance_weights: PerToken = _stage("correction")  # f32; 0 drops a token from the numerator
    loss_weights: PerToken = _stage("reduction")  # f32; the objective is their weighted sum
    term_weights: PerToken = _stage("reduction")  # [T, number of terms] f32, coef not included
    minibatch_stats: PerToken = _stage("minibatch_stats")  # [T, K] f32, of the loss or a term

    def __repr__(self) -> str:
        filled = ", ".join(name for name in (*_PER_TOKEN, *_PER_SEQUENCE) if self.has(name))
        return f"<TokenBatch of {self.num_sequences} sequences, {self.num_tokens} tokens: {filled}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """For notebooks and hypothesis, which would otherwise read every field, filled or not."""
        printer.text(repr(self))

    @property
    def num_tokens(self) -> int:
        """T."""
        return len(self.token_ids)

    @property
    def num_sequences(self) -> int:
        """S."""
        return len(self.lengths)

    @property
    def first_actions(self) -> Tensor:
        """Position of each sequence's first sampled token -> [S] int64; without one, past all."""
        past_all = torch.iinfo(torch.long).max
        acts = torch.where(self.action_mask, self.position_ids, past_all)
        return torch.full_like(self.lengths, past_all).scatter_reduce(0, self.seq_ids, acts, "amin")

    def has(self, name: str) -> bool:
        """Whether the field has been filled."""
        return self.__dict__[name] is not ABSENT

    def tensors(self) -> dict[str, Tensor]:
        """Every filled tensor by name, for a dump."""
        return {k: v for k, v in self.__dict__.items() if isinstance(v, torch.Tensor)}

    def replace(self, **changes: Tensor) -> TokenBatch:
        """A copy with some fields set; the tensors are shared, never written to."""
        current = {f.name: self.__dict__[f.name] for f in dataclasses.fields(self)}
        unknown = set(changes) - set(current)
        assert not unknown, f"TokenBatch has no field {sorted(unknown)}"
        return TokenBatch(**{**current, **changes})

    def select(self, sequences: Sequence[int] | Tensor) -> TokenBatch:
        """The given sequences, in the given order; group ids stay as they are."""
        chosen = torch.as_tensor(sequences, dtype=torch.long)
        starts = self.lengths.cumsum(0) - self.lengths
        counts = self.lengths[chosen]
        total = int(counts.sum())
        seq_ids = torch.repeat_interleave(torch.arange(len(chosen)), counts, output_size=total)
        offset = torch.arange(total) - (counts.cumsum(0) - counts)[seq_ids]
        tokens = starts[chosen][seq_ids] + offset
        fields = {
            name: value[chosen if name in _PER_SEQUENCE else tokens]
            for name, value in self.tensors().items()
        }
        return self.replace(**{**fields, "seq_ids": seq_ids})

    def to(self, device: torch.device | str) -> TokenBatch:
        """Every filled tensor on `device`."""
        return self.replace(**{name: value.to(device) for name, value in self.tensors().items()})

    def minibatches(self, count: int, *, seed: int) -> Iterator[TokenBatch]:
        """`count` parts of whole groups, shuffled by `seed`; one part is the batch as it is.

        Fewer groups than parts give one part per group.
        """
        groups = torch.unique(self.group_ids)
        count = min(count, len(groups))
        if count <= 1:
            yield self
            return
        order = torch.randperm(len(groups), generator=torch.Generator().manual_seed(seed))
        for part in torch.tensor_split(groups[order], count):
            yield self.select(torch.isin(self.group_ids, part).nonzero().squeeze(1))


_PER_TOKEN = [f.name for f in dataclasses.fields(TokenBatch) if f.type == "PerToken"]
_PER_SEQUENCE = [f.name for f in dataclasses.fields(TokenBatch) if f.type == "PerSequence"]

COMPUTED_BY: Mapping[str, str] = {
    name: later.source
    for name, later in vars(TokenBatch).items()
    if isinstance(later, _LaterField) and later.source
}
"""Field that a slot function may need -> what computes it: rollout, policy, reference, or a section
of the recipe, critic or teacher."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PolicyOutput:
    """One forward pass over T packed tokens; position t speaks of token t given its past."""

    logprobs: Tensor  # [T] f32, nats, at the sampling temperature; 0 before the first action
    entropy: Tensor  # [T] f32, nats, of the distribution token t was drawn from; 0 likewise
    values: Tensor | None = None  # [T] f32, from a critic; only when some slot needs it
    value_logits: Tensor | None = None  # [T, bins] f32, of a classification critic


@dataclass(frozen=True, kw_only=True, eq=False)
class LossOutput:
    """Per-token loss to be minimised, not reduced, with metrics that carry their counts."""

    values: Tensor  # [T] f32
    metrics: Mapping[str, AnyMetric] = field(default_factory=dict)


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
    components = [[s.verdict.components.get(name, math.nan) for name in names] for s in samples]
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
        components=torch.tensor(components, dtype=torch.float32).reshape(len(samples), len(names)),
        component_names=names,
        sample_ids=torch.tensor([g.sample_id(s) for g, s in pairs]),
        pass_rates=torch.tensor([group.pass_rate for group, _ in pairs], dtype=torch.float32),
    )
    greedy = [next((s for s in group.samples if s.index < 0), None) for group, _ in pairs]
    scored = [s.verdict.reward for s in greedy if s is not None and not s.verdict.is_missing]
    if len(scored) == len(samples):
        batch = batch.replace(greedy_rewards=torch.tensor(scored, dtype=torch.float32))
    return batch


def _tokens(arrays: Sequence[npt.NDArray[np.generic]], dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(np.concatenate(arrays)).to(dtype)


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


def scored_tokens(batch: TokenBatch) -> Tensor:
    """Tokens [N] whose log-prob anybody may read: from a sequence's first action on.

    What lies before is prompt, in no mask. A sequence's first token has no past: never scored.
    """
    started = batch.position_ids >= batch.first_actions[batch.seq_ids]
    return (started & (batch.position_ids > 0)).nonzero().squeeze(1)
