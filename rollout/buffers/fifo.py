"""First issued, first trained."""

from collections.abc import Mapping

from recipes.slots.spec import JSON
from rollout.buffers import Buffer, buffer
from rollout.serialize import group_from_dict, group_to_dict
from rollout.types import Group


class Fifo:
    """Groups leave in the order of their issue, whatever order they finished in; each once."""

    def __init__(self) -> None:
        self._groups: dict[int, Group] = {}

    def put(self, group: Group) -> None:
        assert group.group_id not in self._groups, f"group {group.group_id} was put twice"
        self._groups[group.group_id] = group

    def take(self, n: int, version: int) -> list[Group]:
        """The `n` groups issued first; fewer when there are fewer."""
        return [self._groups.pop(group_id) for group_id in sorted(self._groups)[:n]]

    def evict(self, oldest_version: int) -> list[Group]:
        old = sorted(i for i, g in self._groups.items() if g.oldest_version < oldest_version)
        return [self._groups.pop(group_id) for group_id in old]

    def __len__(self) -> int:
        return len(self._groups)

    def state_dict(self) -> dict[str, JSON]:
        return {"groups": [group_to_dict(self._groups[i]) for i in sorted(self._groups)]}

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        groups = [group_from_dict(group) for group in state["groups"]]
        self._groups = {group.group_id: group for group in groups}


@buffer.register()
def fifo() -> Buffer:
    """Each group is trained once, in the order of issue; the plain queue."""
    return Fifo()
