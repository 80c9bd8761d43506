"""The hf engine's records: what a call asked for, and its samples on their way."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from rollout.engines.embedded.kv_cache import Index, Recording
from rollout.types import Completion, Sampling


@dataclass(slots=True, kw_only=True, eq=False)
class Request:
    """`n` samples of one prompt."""

    prompt: Index  # [P], P > 0
    sampling: Sampling
    n: int
    limit: int  # new tokens, > 0
    stops: Callable[[Index], bool] | None  # whether new tokens [L] hold a stop string
    completions: dict[int, Completion] = field(default_factory=dict)  # by sample
    waiting: int = 0  # samples that have no slot yet
    prefill: "Prefill | None" = None

    @property
    def is_complete(self) -> bool:
        return len(self.completions) == self.n


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prefill:
    """A computed prompt, kept until the last sample of its request has a slot."""

    recording: Recording
    sequence: int  # of the recording
    logits: Tensor  # [V] of the first new token


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampleInFlight:
    """One sample of a request, waiting or running."""

    request: Request
    index: int
    uniform: Callable[[], float]  # next number in [0, 1) of the sample's own stream

    @classmethod
    def of(cls, request: Request, index: int) -> "SampleInFlight":
        """Sample `index`; its stream depends on that and the request's seed alone."""
        key = np.array([request.sampling.seed % 2**64, index], dtype=np.uint64)
        stream = np.random.Generator(np.random.Philox(key=key))
        return cls(request=request, index=index, uniform=stream.random)

    @property
    def prefill(self) -> Prefill:
        assert self.request.prefill is not None, "a sample is seated after its prompt is computed"
        return self.request.prefill
