"""Calling what a recipe filled a slot with, and what is inside its options."""

import json
from collections.abc import Mapping
from typing import Annotated

import pytest

from recipes.errors import RecipeError
from recipes.slots.registry import (
    Registry,
    SlotEntry,
    build,
    call_on_run_start,
    function_of,
    tags_of,
    to_plain,
)
from tests.support.shapes import AnyRegistry, shapes


def test_a_bound_function_has_its_options_and_nested_ones_are_functions() -> None:
    bound = shapes().bind({"name": "pile", "parts": ["circle", {"name": "circle", "radius": 3.0}]})
    assert function_of(bound)(2.0) == 2.0 + 6.0


def test_a_factory_is_called_with_context_and_nested_ones_are_built_first() -> None:
    slot: AnyRegistry = Registry("slot", params=("context",), packages=[])

    @slot.register()
    def leaf(context: str, *, size: int = 1) -> str:
        return f"{context}{size}"

    @slot.register()
    def tree(
        context: str,
        *,
        inner: Annotated[SlotEntry, slot.nested],
        named: Mapping[str, Annotated[SlotEntry, slot.nested]],
    ) -> object:
        return inner, dict(named)

    bound = slot.bind(
        {"name": "tree", "inner": "leaf", "named": {"a": {"name": "leaf", "size": 2}}}
    )
    assert build(bound, "x") == ("x1", {"a": "x2"})


def test_a_description_writes_every_default_out_and_binds_again() -> None:
    shape = shapes()
    entry = {"name": "pile", "parts": [{"name": "box", "sides": [1], "mode": "exact"}]}
    described = to_plain(shape.bind(entry))
    assert described == {
        "name": "pile",
        "parts": [
            {
                "name": "box",
                "sides": [1],
                "mode": "exact",
                "label": "",
                "folder": ".",
                "coef": 1.0,
            }
        ],
        "weights": {},
        "coef": 1.0,
    }
    assert to_plain(shape.bind(json.loads(json.dumps(described)))) == described


def tools() -> tuple[AnyRegistry, list[str]]:
    """A registry whose functions note that they were made ready."""
    tool: AnyRegistry = Registry("tool", params=("x",), packages=[])
    seen: list[str] = []

    def sharpen(*, edge: str) -> None:
        if edge == "blunt":
            raise RecipeError.of("it is blunt", path="edge")
        seen.append(edge)

    @tool.register(tags=("sharp",), on_run_start=sharpen)
    def knife(x: float, *, edge: str = "steel") -> float:
        """Cuts."""
        return x

    @tool.register(tags=("heavy",), on_run_start=lambda *, inside: seen.append("box"))
    def box(x: float, *, inside: list[Annotated[SlotEntry, tool.nested]]) -> float:
        """Holds tools."""
        return x

    @tool.register()
    def cord(x: float) -> float:
        """Needs nothing."""
        return x

    return tool, seen


NESTED = {"name": "box", "inside": ["cord", {"name": "box", "inside": ["knife"]}]}


def test_what_is_inside_is_made_ready_first() -> None:
    tool, seen = tools()
    call_on_run_start(tool.bind(NESTED))
    assert seen == ["steel", "box", "box"]


def test_making_ready_may_be_refused() -> None:
    tool, seen = tools()
    with pytest.raises(RecipeError, match="it is blunt"):
        call_on_run_start(
            tool.bind({"name": "box", "inside": [{"name": "knife", "edge": "blunt"}]})
        )
    assert seen == []


def test_tags_are_those_of_everything_inside() -> None:
    tool, _ = tools()
    assert tags_of(tool.bind(NESTED)) == {"sharp", "heavy"}
    assert tags_of(tool.bind("cord")) == set()
