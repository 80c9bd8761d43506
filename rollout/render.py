"""Messages to token ids and back. Ids are the truth: they are never made from text twice."""

from collections.abc import Sequence
from typing import Any, Protocol

from rewards.types import Message


class Renderer(Protocol):
    """What the rollout side needs of a tokenizer."""

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The chat template's ids up to where the assistant starts to speak."""
        ...

    def text(self, token_ids: Sequence[int]) -> str:
        """Decoded text of sampled ids, special tokens left out."""
        ...


Tokenizer = Any  # a transformers tokenizer; transformers ships no types
