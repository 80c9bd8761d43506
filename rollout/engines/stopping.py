"""Whether newly sampled tokens end with a stop string."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recipes.errors import RecipeError

_BYTES = 4  # a token may be one byte, and a character four of them
_MARGIN = 8  # tokens without text of their own


class StopStrings:
    """True as soon as the text of the new tokens holds one of `strings`.

    Meant to be asked after every token: only as many tokens as could hold a string are decoded.
    """

    def __init__(self, folder: Path, strings: tuple[str, ...]) -> None:
        self._strings = strings
        self._tail = _BYTES * max(len(s) for s in strings) + _MARGIN
        self._tokenizer = _tokenizer(folder)

    def __call__(self, new_ids: npt.NDArray[np.integer[Any]]) -> bool:
        text: str = self._tokenizer.decode(new_ids[-self._tail :].tolist())
        return any(string in text for string in self._strings)


@functools.cache
def _tokenizer(folder: Path) -> Any:
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
