"""SLOT source: where problems come from. Factories `(*, options) -> list[Row]`. One file each."""

from recipes.slots.registry import Registry
from rollout.types import Row

source: Registry[[], list[Row]] = Registry(
    "problem source", params=(), packages=["rollout.sources"]
)
