"""The vllm engine's records: a call, its samples on their way, and what each asks of vLLM."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from rollout.generation import StopStrings
from rollout.types import Completion, Finish, Sampling

if TYPE_CHECKING:
    from vllm import SamplingParams


@dataclass(slots=True, kw_only=True, eq=False)
class FlyingSample:
    """One sample; each push of weights starts a new leg of it, from the tokens it has."""

    prompt: list[int]
    sampling: Sampling
    index: int
    limit: int  # new tokens in all
    stops: StopStrings | None
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    leg: int = 0
    completion: Completion | None = None

    @property
    def seed(self) -> int:
        """Of this leg: a function of the sampling seed and the sample's number alone."""
        entropy = [self.sampling.seed % 2**64, self.index, self.leg]
        return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)

    def params(self, stop_ids: Sequence[int]) -> "SamplingParams":
        """vLLM's settings for the rest of the sample."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            temperature=self.sampling.temperature,
            top_p=self.sampling.top_p,
            seed=self.seed,
            max_tokens=self.limit - len(self.ids),
            stop_token_ids=list(stop_ids),
            ignore_eos=True,  # the recipe's stop ids are the ones that count
            logprobs=0,  # of the sampled token alone
            flat_logprobs=True,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )

    def extend(self, ids: Sequence[int], logprobs: Sequence[float], version: int) -> None:
        """Add new tokens; raises FloatingPointError where a log-prob is not a number."""
        if not np.isfinite(logprobs).all():
            raise FloatingPointError("the model's logits are not finite")
        self.ids += ids
        self.logprobs += logprobs
        self.versions += [version] * len(ids)

    @property
    def has_stop_string(self) -> bool:
        return self.stops is not None and self.stops(np.array(self.ids))

    def cut_at_stop_string(self, start: int) -> bool:
        """Drop what follows the first stop string that ends at `start` or later, if one does."""
        if self.stops is None:
            return False
        for end in range(start + 1, len(self.ids) + 1):
            if self.stops(np.array(self.ids[:end])):
                del self.ids[end:], self.logprobs[end:], self.versions[end:]
                return True
        return False

    def end(self, finish: Finish) -> None:
        """No more tokens will come."""
        self.completion = Completion(
            token_ids=np.array(self.ids, dtype=np.int32),
            logprobs=np.array(self.logprobs, dtype=np.float32),
            policy_version=np.array(self.versions, dtype=np.int32),
            finish=finish,
        )


@dataclass(slots=True, kw_only=True, eq=False)
class Call:
    """The samples of one `generate`, and who waits for them."""

    samples: list[FlyingSample]
    future: asyncio.Future[None]

    def settle(self) -> None:
        """Wake the waiter once every sample has ended."""
        complete = all(sample.completion is not None for sample in self.samples)
        if complete and not self.future.done():
            self.future.set_result(None)

    @property
    def completions(self) -> list[Completion]:
        return [sample.completion for sample in self.samples if sample.completion is not None]
