"""The interface between training and generation, and what all engines share.

Engine, WeightSource    how the trainer and environments see an engine, and engines the weights
EngineContext           what an engine is made with
check_prompt, NO_ROOM, StopStrings    what every engine does with a request
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from recipes.errors import RecipeError
from rollout.types import Completion, EngineError, Finish, Sampling

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

_BYTES = 4  # a token may be one byte, and a character four of them
_MARGIN = 8  # tokens that add no text

NO_ROOM = Completion(
    token_ids=np.zeros(0, dtype=np.int32),
    logprobs=np.zeros(0, dtype=np.float32),
    policy_version=np.zeros(0, dtype=np.int32),
    finish=Finish.LENGTH,
)
"""The completion of a prompt that fills the context."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineContext:
    """Facts stated once in the recipe that every engine needs."""

    folder: Path  # model folder in Hugging Face format
    dtype: str  # "float32" or "bfloat16"
    context_length: int  # prompt and completion together, tokens
    stop_ids: Sequence[int]  # ids that end a completion
    seed: int
    max_lora_rank: int = 0  # 0: no adapters will be loaded
    logs: Path | None = None  # folder for what the engine's own processes write; temporary without
    max_staleness: int = 0  # published versions that may be in use at once, less one

    def room(self, prompt_ids: Sequence[int], sampling: Sampling) -> int:
        """Most new tokens; 0 or less when the prompt fills the context."""
        return min(sampling.max_tokens, self.context_length - len(prompt_ids))

    def stop_strings(self, sampling: Sampling) -> "StopStrings | None":
        """The sampling's stop strings for this model's tokenizer; None without any."""
        return StopStrings(self.folder, sampling.stop) if sampling.stop else None


def check_prompt(prompt_ids: Sequence[int], vocabulary: int) -> None:
    """Raise EngineError unless there are ids, all of them in the model's vocabulary."""
    if not prompt_ids or min(prompt_ids) < 0 or max(prompt_ids) >= vocabulary:
        raise EngineError(
            f"a prompt of {len(prompt_ids)} tokens that is empty or has ids outside "
            f"0..{vocabulary - 1}: does the tokenizer belong to this model?"
        )


class StopStrings:
    """True as soon as the text of the new tokens holds one of `strings`.

    Meant to be called after every token: only as many tokens as could hold a string are decoded.
    """

    def __init__(self, folder: Path, strings: tuple[str, ...]) -> None:
        self._strings = strings
        self._tail = _BYTES * max(len(s) for s in strings) + _MARGIN
        self._tokenizer = _tokenizer_of(folder)

    def __call__(self, new_ids: npt.NDArray[np.signedinteger]) -> bool:
        text: str = self._tokenizer.decode(new_ids[-self._tail :].tolist())
        return any(string in text for string in self._strings)


@functools.cache
def _tokenizer_of(folder: Path) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model folder, read once."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise RecipeError.of(
            f"stop strings need a tokenizer, and {folder} has none ({error})",
            path="sampling.stop",
            fix="save the tokenizer beside the model, or leave stop empty",
        ) from error
