"""SLOT source: where problems come from. Factories `(*, options) -> list[Row]`. One file each."""

from typing import Any

from recipes.slots.registry import Registry

source: Registry[Any, Any] = Registry("problem source", params=(), packages=["rollout.sources"])
