"""SLOT engine: draws completions from the policy's current weights. One file per engine."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from recipes.slots.registry import Registry
from rollout.types import Completion, Sampling

if TYPE_CHECKING:
    import torch


class WeightSource(Protocol):
    """The trainer's weights, as an engine may take them.

    Which way an engine uses is its own affair; a source offers all of them. Every method may be
    collective over ranks: the trainer calls `load_weights` on rank 0 only after `prepare`.
    """

    @property
    def folder(self) -> Path:
        """The model folder the run started from: configuration, tokenizer, first weights."""

    @property
    def shared_module(self) -> "torch.nn.Module | None":
        """The training module itself where its weights are whole in this process, else None."""

    def named_tensors(self) -> Iterator[tuple[str, "torch.Tensor"]]:
        """Full weights by checkpoint name, adapters merged on a copy, tied head included."""

    def adapter_folder(self, version: int) -> Path | None:
        """A PEFT adapter saved for this version, or None when the run trains all weights."""


class Engine(Protocol):
    """The seam between training and generation; `scripted` is the shipped fake."""

    async def generate(
        self, prompt_ids: Sequence[int], sampling: Sampling, n: int
    ) -> list[Completion]:
        """`n` completions of one prompt; sample i draws from the stream (sampling.seed, i).

        Raises EngineError when this request failed, EngineDied when the engine is gone.
        """
        ...

    async def load_weights(self, weights: WeightSource, version: int) -> None:
        """Sample from these weights from now on, and stamp tokens with `version`."""
        ...

    async def close(self) -> None:
        """Release processes and memory; may be called twice."""
        ...


engine: Registry[Any, Any] = Registry("engine", params=("context",), packages=["rollout.engines"])
"""Factories `(context: EngineContext, *, options) -> Engine`."""
