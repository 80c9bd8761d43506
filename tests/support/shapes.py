"""A registry with one function for every kind of option."""

import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from recipes.errors import RecipeError
from recipes.slots.registry import (
    Registry,
    SlotEntry,
)
from recipes.slots.schedules import number
from recipes.slots.spec import Scheduled

AnyRegistry = Registry[Any, Any]


class Mode(enum.Enum):
    FAST = "fast"
    EXACT = "exact"


def shapes() -> AnyRegistry:
    """A registry with one function for every kind of option, made anew for each test."""
    shape: AnyRegistry = Registry(
        "shape", params=("x",), packages=[], numbers=number, slot_options={"coef": (float, 1.0)}
    )

    @shape.register(needs=("{to}_logprobs", "values"), paper="https://a", tags=("round",))
    def circle(
        x: float,
        *,
        radius: Annotated[Scheduled, Field(gt=0, description="in metres")] = 1.0,
        to: Literal["ref", "old"] = "ref",
    ) -> float:
        """A round thing.

        More about it.
        """
        return x * radius

    @shape.register()
    def box(
        x: float,
        *,
        sides: tuple[int, ...],
        mode: Mode = Mode.FAST,
        label: str = "",
        folder: Path = Path("."),
    ) -> tuple[Any, ...]:
        """A thing with sides."""
        return x, sides, mode, label, folder

    @shape.register()
    def pile(
        x: float,
        *,
        parts: Annotated[list[Annotated[SlotEntry, shape.nested]], Field(min_length=1)],
        weights: Mapping[str, float] = {},
    ) -> float:
        """Shapes made of shapes."""
        return sum(part(x) for part in parts)

    return shape


def error_of(registry: AnyRegistry, value: object) -> str:
    with pytest.raises(RecipeError) as caught:
        registry.bind(value)
    return str(caught.value)
