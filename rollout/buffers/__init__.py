"""SLOT buffer: finished groups that wait for training. Factories `(*, options) -> Buffer`."""

from collections.abc import Mapping
from typing import Protocol

from recipes.slots.registry import Registry
from recipes.slots.spec import JSON
from rollout.types import Group


class Buffer(Protocol):
    """Holds groups between the collector and the step."""

    def put(self, group: Group) -> None: ...
    def take(self, n: int, version: int) -> list[Group]:
        """Up to `n` groups for the step that trains version `version`; they leave the buffer."""
        ...

    def evict(self, oldest_version: int) -> list[Group]:
        """Remove and return the groups with a token older than `oldest_version`."""
        ...

    def __len__(self) -> int: ...
    def state_dict(self) -> dict[str, JSON]: ...
    def load_state_dict(self, state: Mapping[str, JSON]) -> None: ...


buffer: Registry[[], Buffer] = Registry("buffer", params=(), packages=["rollout.buffers"])
