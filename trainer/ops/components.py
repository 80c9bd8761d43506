"""Named components of the reward, as a function that reads one asks for them."""

from __future__ import annotations

import torch

from recipes.errors import RecipeError
from recipes.slots.registry import did_you_mean
from trainer.batch import TokenBatch


def component(batch: TokenBatch, name: str) -> torch.Tensor:
    """The component `name` of each sample -> [S]; nan where a sample has no such component.

    Raises RecipeError when no sample of the step has it.
    """
    if name not in batch.component_names:
        known = ", ".join(batch.component_names) or "none"
        raise RecipeError.of(
            f"no sample has a component called '{name}'",
            fix=f"{did_you_mean(name, batch.component_names)}(components of this step: {known})",
        )
    return batch.components[:, batch.component_names.index(name)]
