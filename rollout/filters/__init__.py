"""SLOT filter: `(group) -> Keep(group) | Drop(reason, bucket)`, pure. One file each."""

from typing import Protocol

from recipes.slots.registry import Registry
from rollout.types import Decision, Group


class Filter(Protocol):
    """Decides on one finished group; dropped groups are replaced by fresh ones."""

    def __call__(self, group: Group) -> Decision: ...


filter_: Registry[[Group], Decision] = Registry(
    "filter", params=("group",), packages=["rollout.filters"]
)
