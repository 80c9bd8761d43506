"""SLOT source: where problems come from. Factories `(*, options) -> list[Row]`. One file each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recipes.slots.registry import Registry
from recipes.slots.spec import JSON
from rewards.types import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of data, before the recipe's prompt template and system prompt."""

    id: str
    prompt: str | tuple[Message, ...]
    answer: str
    verifier: str = ""  # name of the one that judges it, among those of `by_row`
    where: str  # file and line, or task and index: named in errors
    columns: Mapping[str, JSON] = field(default_factory=dict)


source: Registry[Any, Any] = Registry("problem source", params=(), packages=["rollout.sources"])
