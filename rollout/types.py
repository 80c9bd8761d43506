"""The records of generation: settings, completions, trajectories, groups, decisions.

A two-turn trajectory, eight tokens long, of which the policy sampled four:

    token_ids         11  12 | 21  22 | 31 | 23  24 ... prompt, reply, observation, reply
    action_mask        F   F |  T   T |  F |  T   T
    behavior_logprobs  0   0 |-.1 -.7 |  0 |-.2 -.1     0 where action_mask is False
    policy_version    -1  -1 |  3   3 | -1 |  3   4     -1 where action_mask is False
    turn_ids           0   0 |  0   0 |  1 |  1   1
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum, StrEnum

import numpy as np
import numpy.typing as npt

from recipes.slots.spec import JSON
from rewards.types import Message, Problem, Verdict

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

_GROUP_STRIDE = 2**16  # largest group size that a sample id can tell apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to draw one completion."""

    max_tokens: int  # most new tokens, > 0
    temperature: float = 1.0  # 0 is greedy
    top_p: float = 1.0  # in (0, 1]
    stop: tuple[str, ...] = ()  # strings that end the completion, besides the end token
    seed: int = 0  # sample i of a call draws from the stream (seed, i)


class Finish(Enum):
    """Why a completion ended."""

    STOP = "stop"  # the end token, or a stop string
    LENGTH = "length"  # max_tokens, or the context was full
    ABORT = "abort"  # the engine gave up on it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Completion:
    """What an engine returns for one request; the end token, when sampled, is the last id."""

    token_ids: Ints  # [L]
    logprobs: Floats  # [L] of the sampled token, under the sampling distribution
    policy_version: Ints  # [L] version of the weights that sampled it
    finish: Finish


class Status(IntEnum):
    """How a trajectory ended; closed, because masks and the ledger depend on it."""

    COMPLETED = 0
    TRUNCATED_TOKENS = 1
    TRUNCATED_TURNS = 2
    ERROR_ENGINE = 5

    @property
    def is_truncated(self) -> bool:
        return self in (Status.TRUNCATED_TOKENS, Status.TRUNCATED_TURNS)


class Bucket(StrEnum):
    """Where a sample ended. Each ends in exactly one bucket; a metric is `ledger/<bucket>`."""

    TRAINED = "trained"  # in the loss
    ZERO_SIGNAL = "zero_signal"  # its group had no contrast, so no advantage
    FILTERED = "filtered"  # dropped by a filter, or left behind by samples without a verdict
    DOWN_SAMPLED = "down_sampled"  # left out of a group or step that was trained
    STALE = "stale"  # too many versions old when its turn came
    TRUNCATED = "truncated"  # dropped or masked because it hit a limit
    VERIFIER_ERROR = "verifier_error"  # the verifier gave no verdict
    ENGINE_ERROR = "engine_error"  # the engine or the environment failed
    MASKED = "masked"  # in the batch, but none of its tokens learned; greedy baselines too


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One trajectory, flat: prompt, replies and observations in one sequence of L tokens."""

    token_ids: Ints  # [L]
    action_mask: Bools  # [L] True where the policy sampled the token
    behavior_logprobs: Floats  # [L] 0 where not sampled
    policy_version: Ints  # [L] -1 where not sampled
    turn_ids: Ints  # [L] from 0, rising
    role: str  # who spoke: "policy" unless an environment has several players
    verdict: Verdict
    answer: str  # final answer as extracted; empty when there is none
    status: Status
    index: int  # position in its group, from 0; -1 for the greedy sample of a baseline

    @property
    def num_actions(self) -> int:
        return int(self.action_mask.sum())

    @property
    def oldest_version(self) -> int:
        """Of the sampled tokens; a trajectory without any counts as fresh (a large number)."""
        versions = self.policy_version[self.action_mask]
        return int(versions.min()) if len(versions) else 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """All samples of one problem, drawn together."""

    problem: Problem
    samples: tuple[Sample, ...]
    group_id: int  # counts up over the run in the order of issue; unique

    @property
    def scored(self) -> tuple[Sample, ...]:
        """Samples whose verdict counts."""
        return tuple(s for s in self.samples if not s.verdict.is_missing)

    @property
    def pass_rate(self) -> float:
        """Share of the scored samples that are correct; 0 when none is scored."""
        scored = self.scored
        return sum(s.verdict.correct for s in scored) / len(scored) if scored else 0.0

    def sample_id(self, sample: Sample) -> int:
        """A number for the sample that is the same in every run of the recipe."""
        return self.group_id * _GROUP_STRIDE + sample.index

    @property
    def oldest_version(self) -> int:
        return min((s.oldest_version for s in self.samples), default=2**31 - 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Keep:
    """Train on this group, which may be a part of the one that came in."""

    group: Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Not trained: the reason is counted and logged, and the samples end in the bucket."""

    reason: str
    bucket: Bucket = Bucket.FILTERED

    def __post_init__(self) -> None:
        given: object = self.bucket  # a filter may be a user's code
        if not isinstance(given, Bucket):
            known = ", ".join(f"Bucket.{bucket.name}" for bucket in Bucket)
            raise TypeError(
                f"Drop(reason={self.reason!r}): {given!r} is not a bucket of the ledger; "
                f"use a member of rollout.types.Bucket ({known})"
            )


Decision = Keep | Drop


class RolloutError(Exception):
    """A failure at the boundary of one rollout: recorded on the sample, never fatal to siblings.

    RolloutError
        EngineError      the engine refused the request, or did not answer in time
        EnvError         an environment broke; what environments raise to lose their group alone
    """


class EngineError(RolloutError):
    pass


class EnvError(RolloutError):
    pass


class EngineDied(Exception):
    """The whole engine is gone; the run saves a checkpoint and ends."""


class Interrupted(Exception):
    """A stop was requested while the collector was waiting for groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of data, before the recipe's prompt template and system prompt."""

    id: str
    prompt: str | tuple[Message, ...]
    answer: str
    verifier: str = ""  # name of the one that judges it, among those of `by_row`
    where: str  # file and line, or task and index: named in errors
    columns: Mapping[str, JSON] = field(default_factory=dict)
