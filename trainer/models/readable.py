"""A model folder whose files are damaged is the user's to mend, not a traceback."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from recipes.errors import RecipeError


@contextmanager
def readable_model(path: str) -> Iterator[None]:
    """Within it, files of the model at `path` that cannot be read raise RecipeError."""
    from safetensors import SafetensorError

    try:
        yield
    except (json.JSONDecodeError, SafetensorError) as error:
        raise RecipeError.of(
            f"a file of the model '{path}' cannot be read: {type(error).__name__}: {error!s:.300}",
            path="model.path",
            fix="copy or fetch the model again: the file is damaged, or was cut off",
        ) from error
