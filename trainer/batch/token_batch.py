"""TokenBatch: one step's samples, packed end to end without padding.

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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import torch

if TYPE_CHECKING:
    from torch import Tensor


class NotComputed(RuntimeError):
    """A stage read a field that no earlier stage has filled."""


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT: Any = _Absent()


class _Field:
    """Descriptor of a field that a later stage fills; reading it early is an error with a cause."""

    def __init__(self, hint: str) -> None:
        self._hint = hint

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


def _needed() -> Any:
    return _Field("no slot of this recipe declared needs=('{name}',)")


def _stage(stage: str) -> Any:
    return _Field(f"filled by the {stage} stage, which has not run yet")


TOKEN_FIELDS = (
    "token_ids",
    "position_ids",
    "seq_ids",
    "turn_ids",
    "action_mask",
    "behavior_logprobs",
    "policy_version",
    "old_logprobs",
    "current_logprobs",
    "ref_logprobs",
    "values",
    "next_values",
    "entropy",
    "teacher_logprobs",
    "advantages",
    "train_mask",
    "importance_weights",
    "loss_weights",
    "term_weights",
    "minibatch_stats",
)
SEQUENCE_FIELDS = (
    "group_ids",
    "rewards",
    "correct",
    "lengths",
    "status",
    "components",
    "sample_ids",
    "baseline",
    "greedy_rewards",
    "pass_rates",
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TokenBatch:
    """Frozen; stages make a new one with `replace`. Shapes and units beside each field."""

    # always there
    token_ids: Tensor  # [T] int64
    position_ids: Tensor  # [T] int64, from 0 in each sequence
    seq_ids: Tensor  # [T] int64 in [0, S), non-decreasing
    turn_ids: Tensor  # [T] int64, from 0 in each sequence
    action_mask: Tensor  # [T] bool, True where the policy sampled the token
    behavior_logprobs: Tensor  # [T] f32, nats, under the sampling distribution; 0 off action_mask
    policy_version: Tensor  # [T] int64; -1 off action_mask
    group_ids: Tensor  # [S] int64, equal for samples of one problem
    rewards: Tensor  # [S] f32, reward units
    correct: Tensor  # [S] bool, the verifier's word, untouched by shaping
    lengths: Tensor  # [S] int64, all tokens of the sequence
    status: Tensor  # [S] int64, a rollout.types.Status
    components: Tensor  # [S, K] f32, named components of the reward; nan where absent
    component_names: tuple[str, ...]  # K names
    sample_ids: Tensor  # [S] int64, group_id * 2**16 + index: the same in every run

    # filled by stages
    old_logprobs: Tensor = _needed()  # [T] f32 at the start of the step
    current_logprobs: Tensor = _needed()  # [T] f32 at the start of the update, for minibatch_stats
    ref_logprobs: Tensor = _needed()  # [T] f32 of the frozen reference
    values: Tensor = _needed()  # [T] f32, expected return before the token
    next_values: Tensor = _needed()  # [T] f32, expected return after the token
    entropy: Tensor = _needed()  # [T] f32, nats, of the distribution that gave the token
    teacher_logprobs: Tensor = _needed()  # [T] f32 under a teacher model
    advantages: Tensor = _stage("advantage")  # [T] f32; 0 off action_mask
    train_mask: Tensor = _stage("mask")  # [T] bool, which tokens learn
    importance_weights: Tensor = _stage("correction")  # [T] f32; 0 drops a token from the numerator
    loss_weights: Tensor = _stage("reduction")  # [T] f32; the objective is their weighted sum
    term_weights: Tensor = _stage("reduction")  # [T, number of terms] f32, coef not included
    minibatch_stats: Tensor = _stage("minibatch_stats")  # [T, K] f32, of the loss or a term
    baseline: Tensor = _needed()  # [S] f32, reward units, from a controller
    greedy_rewards: Tensor = _needed()  # [S] f32, of the problem's greedy sample
    pass_rates: Tensor = _needed()  # [S] f32 in [0, 1], correct share of the sample's whole group

    def __repr__(self) -> str:
        filled = ", ".join(f for f in (*TOKEN_FIELDS, *SEQUENCE_FIELDS) if self.has(f))
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
        fields: dict[str, Any] = {"component_names": self.component_names}
        for name in TOKEN_FIELDS:
            value = self.__dict__[name]
            fields[name] = value if value is ABSENT else value[tokens]
        for name in SEQUENCE_FIELDS:
            value = self.__dict__[name]
            fields[name] = value if value is ABSENT else value[chosen]
        fields["seq_ids"] = seq_ids
        return TokenBatch(**fields)

    def to(self, device: torch.device | str) -> TokenBatch:
        """Every filled tensor on `device`."""
        fields = {f.name: self.__dict__[f.name] for f in dataclasses.fields(self)}
        moved: dict[str, Any] = {
            k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in fields.items()
        }
        return TokenBatch(**moved)

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
