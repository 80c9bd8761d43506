"""What an engine is told when it is made."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineContext:
    """Facts stated once in the recipe that every engine needs."""

    folder: Path  # model folder in Hugging Face format
    dtype: str  # "float32" or "bfloat16"
    context_length: int  # prompt and completion together, tokens
    stop_ids: Sequence[int]  # ids that end a completion
    seed: int
    max_lora_rank: int = 0  # 0: no adapters will be loaded
    max_staleness: int = 0  # published versions that may be in use at once, less one
