"""The hf engine's batch: which samples are decoded now, and one token more for each of them.

    add ---> waiting ---admit---> running (slots 0..B-1) ---finished---> DecodeRequest.completions
             samples    prompt    one token a step, all                  slot closed at once by
             in order   computed  in one forward                         the last one in use
                        once

The state of the running samples is one numpy row per slot; Python loops only over samples that
come or go. The engine (engine.py) calls `step`, and chooses the weights.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rollout.attention import Layout, packing_of
from rollout.engines.embedded.kv_cache import Index, KVRecording, SlotCache
from rollout.engines.embedded.sampling import sample_tokens
from rollout.types import Bools, Completion, Finish, Sampling

Forward = Callable[[Tensor, Tensor, Layout, Tensor | None], Tensor]
"""(ids [T], positions [T], layout, which tokens to score; None: all) -> logits [K, V] f32."""

_MOST_TOKENS = 8192  # of prompts in one forward; a longer single one goes alone

_STATE = np.dtype(
    [
        ("prompt", np.int64),  # tokens
        ("count", np.int64),  # tokens sampled; the newest of them is not cached yet
        ("limit", np.int64),
        ("newest", np.int64),  # token id
        ("temperature", np.float32),
        ("top_p", np.float32),
    ]
)
_DRAWN = np.dtype([("id", np.int32), ("logprob", np.float32), ("version", np.int32)])


@dataclass(slots=True, kw_only=True, eq=False)
class DecodeRequest:
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

    recording: KVRecording
    sequence: int  # of the recording
    logits: Tensor  # [V] of the first new token


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampleInFlight:
    """One sample of a request, waiting or running."""

    request: DecodeRequest
    index: int
    uniform: Callable[[], float]  # next number in [0, 1) of the sample's own stream

    @classmethod
    def of(cls, request: DecodeRequest, index: int) -> "SampleInFlight":
        """Sample `index`; its stream depends on that and the request's seed alone."""
        key = np.array([request.sampling.seed % 2**64, index], dtype=np.uint64)
        stream = np.random.Generator(np.random.Philox(key=key))
        return cls(request=request, index=index, uniform=stream.random)

    @property
    def prefill(self) -> Prefill:
        assert self.request.prefill is not None, "a sample is seated after its prompt is computed"
        return self.request.prefill


class Batch:
    """Every requested sample that the engine has not returned yet."""

    def __init__(self, *, stop_ids: Sequence[int], max_slots: int, device: torch.device) -> None:
        self._stop_ids = np.array(stop_ids, dtype=np.int64)
        self._max_slots = max_slots
        self._device = device
        self._waiting: deque[SampleInFlight] = deque()
        self._running: list[SampleInFlight] = []
        self._state: npt.NDArray[np.void] = np.zeros(0, _STATE)  # [slots]
        self._drawn: npt.NDArray[np.void] = np.zeros((0, 0), _DRAWN)  # [slots, tokens]
        self._cache = SlotCache()

    @property
    def is_empty(self) -> bool:
        return not self._waiting and not self._running

    def add(self, request: DecodeRequest) -> None:
        """Queue a request's samples."""
        request.waiting = request.n
        self._waiting.extend(SampleInFlight.of(request, i) for i in range(request.n))

    def cancel(self, request: DecodeRequest) -> None:
        """Forget a request whose caller has gone away."""
        self._waiting = deque(s for s in self._waiting if s.request is not request)
        self._close(np.array([s.request is request for s in self._running], dtype=np.bool_))

    def step(self, forward: Forward, version: int) -> list[DecodeRequest]:
        """One token for every running sample, and the first one for those let in now.

        Returns the requests that this completed. The batch must not be empty.
        """
        scored: list[Tensor] = []
        if self._running:  # logits [B, V] after the newest token of each
            before = self._state[: len(self._running)]
            lengths = before["prompt"] + before["count"] - 1
            ids = torch.from_numpy(before["newest"].copy()).to(self._device)
            layout = self._cache.decoding(lengths, self._device)
            scored.append(forward(ids, layout.lengths, layout, None))
        if self._waiting and len(self._running) < self._max_slots:
            scored.append(self._admit(forward))
        logits = scored[0] if len(scored) == 1 else torch.cat(scored)
        running = len(self._running)
        state = self._state[:running]
        uniform = np.array([sample.uniform() for sample in self._running], dtype=np.float32)
        tokens, logprobs = sample_tokens(logits, state["temperature"], state["top_p"], uniform)
        if not np.isfinite(logprobs).all():
            raise FloatingPointError("the model's logits are not finite")
        slots, place = np.arange(running), state["count"].copy()
        self._drawn["id"][slots, place] = tokens
        self._drawn["logprob"][slots, place] = logprobs
        self._drawn["version"][slots, place] = version
        state["newest"] = tokens
        state["count"] += 1
        return self._retire(tokens)

    def recompute(self, forward: Forward) -> None:
        """Build the cache again under new weights: what has been sampled stays, and goes on."""
        for sample in self._waiting:
            sample.request.prefill = None
        sequences = [
            np.concatenate([sample.request.prompt, drawn[: state["count"] - 1]])
            for sample, state, drawn in zip(
                self._running, self._state, self._drawn["id"], strict=False
            )
        ]
        first = 0
        while first < len(sequences):  # as many at once as one forward can take
            last, tokens = first + 1, len(sequences[first])
            while last < len(sequences) and tokens + len(sequences[last]) <= _MOST_TOKENS:
                tokens += len(sequences[last])
                last += 1
            recording, _ = self._read(forward, sequences[first:last])
            self._cache.fill(recording, range(last - first), first)
            first = last

    def _admit(self, forward: Forward) -> Tensor:
        """Give free slots to waiting samples; returns logits [A, V] of their first tokens."""
        free = self._max_slots - len(self._running)
        unread: list[DecodeRequest] = []
        taken: list[SampleInFlight] = []
        tokens = 0
        while self._waiting and len(taken) < free:
            request = self._waiting[0].request
            if request.prefill is None and request not in unread:
                tokens += len(request.prompt)
                if unread and tokens > _MOST_TOKENS:
                    break
                unread.append(request)
            taken.append(self._waiting.popleft())
        if unread:
            recording, logits = self._read(forward, [request.prompt for request in unread])
            for i, request in enumerate(unread):
                request.prefill = Prefill(recording=recording, sequence=i, logits=logits[i])
        # Every prompt is computed: the samples take the next slots.
        first = len(self._running)
        old_slots, old_tokens = self._drawn.shape
        slots = max(old_slots, first + len(taken))
        longest = max(old_tokens, *(s.request.limit for s in taken))
        if (slots, longest) != (old_slots, old_tokens):
            state, drawn = np.zeros(slots, _STATE), np.zeros((slots, longest), _DRAWN)
            state[:old_slots], drawn[:old_slots, :old_tokens] = self._state, self._drawn
            self._state, self._drawn = state, drawn
        first_logits: list[Tensor] = []
        for recording, seated in groupby(taken, lambda sample: sample.prefill.recording):
            prefills = [sample.prefill for sample in seated]
            self._cache.fill(recording, [p.sequence for p in prefills], first + len(first_logits))
            first_logits += [p.logits for p in prefills]
        for slot, sample in enumerate(taken, first):
            request, sampling = sample.request, sample.request.sampling
            start = (len(request.prompt), 0, request.limit, 0)
            self._state[slot] = (*start, sampling.temperature, sampling.top_p)
            request.waiting -= 1
            if request.waiting == 0:
                request.prefill = None
        self._running += taken
        return torch.stack(first_logits)

    def _read(self, forward: Forward, sequences: list[Index]) -> tuple[KVRecording, Tensor]:
        """Keys and values of whole sequences, and logits [S, V] after the last token of each."""
        recording = KVRecording(packing=packing_of([len(s) for s in sequences], self._device))
        ids = torch.from_numpy(np.concatenate(sequences)).to(self._device)
        positions = torch.from_numpy(np.concatenate([np.arange(len(s)) for s in sequences]))
        last = recording.packing.cu_seqlens[1:].long() - 1
        logits = forward(ids, positions.to(self._device), recording, last)
        return recording, logits

    def _retire(self, tokens: Index) -> list[DecodeRequest]:
        """Hand over the samples that the newest tokens [B] ended, and close their slots."""
        state = self._state[: len(tokens)]
        stopped = (tokens[:, None] == self._stop_ids).any(1)
        for slot, sample in enumerate(self._running):
            if sample.request.stops is not None and not stopped[slot]:
                ids = self._drawn["id"][slot, : state["count"][slot]]
                stopped[slot] = sample.request.stops(ids)
        ended = stopped | (state["count"] >= state["limit"])
        if not ended.any():
            return []
        complete: list[DecodeRequest] = []
        for slot in np.flatnonzero(ended):
            sample, drawn = self._running[slot], self._drawn[slot, : state["count"][slot]]
            sample.request.completions[sample.index] = Completion(
                token_ids=drawn["id"].copy(),
                logprobs=drawn["logprob"].copy(),
                policy_version=drawn["version"].copy(),
                finish=Finish.STOP if stopped[slot] else Finish.LENGTH,
            )
            if sample.request.is_complete:
                complete.append(sample.request)
        self._close(ended)
        return complete

    def _close(self, gone: Bools) -> None:
        """Free slots; the last ones in use move into the holes."""
        keep = int((~gone).sum())
        holes = np.flatnonzero(gone[:keep])
        movers = keep + np.flatnonzero(~gone[keep:])
        if len(holes):
            longest = int((self._state["prompt"] + self._state["count"])[movers].max()) - 1
            self._cache.move(movers, holes, longest)
            self._state[holes], self._drawn[holes] = self._state[movers], self._drawn[movers]
            for hole, mover in zip(holes, movers, strict=True):
                self._running[hole] = self._running[mover]
        del self._running[keep:]
        if self.is_empty:  # the memory is free for training
            self._cache = SlotCache()
            self._state, self._drawn = np.zeros(0, _STATE), np.zeros((0, 0), _DRAWN)
