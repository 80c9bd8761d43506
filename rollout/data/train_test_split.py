"""Which generated prompts are never trained on: one in eight, by a hash of the text."""

import hashlib
from typing import Literal, TypeAlias

TrainTestSplit: TypeAlias = Literal["all", "train", "heldout"]
SHARE = 8  # one prompt in this many is held out


def is_held_out(prompt: str) -> bool:
    """The same prompts in every run, for every seed, and on every machine."""
    return hashlib.sha256(prompt.encode()).digest()[0] % SHARE == 0
