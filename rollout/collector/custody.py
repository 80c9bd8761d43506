"""Where the living samples are: in the buffer, or in the step that is being trained.

The ledger counts ends; this knows who has not ended yet, so that both add up. A group that a
buffer hands out again was settled the first time and is not counted twice.
"""

from collections.abc import Mapping

from recipes.slots.spec import JSON
from rollout.collector.ledger import Ledger
from rollout.types import Group


class SampleTracker:
    """Follows samples from the buffer to their bucket."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._buffered: dict[int, int] = {}  # group id -> samples, of groups never handed out
        self._in_step: set[int] = set()  # ids of samples handed out and not yet settled

    @property
    def buffered_groups(self) -> int:
        """Groups in the buffer that no step has seen."""
        return len(self._buffered)

    @property
    def in_step(self) -> int:
        """Samples handed out and not yet settled."""
        return len(self._in_step)

    def buffer(self, group: Group) -> None:
        """The group was put into the buffer."""
        self._buffered[group.group_id] = len(group.samples)

    def hand_out(self, group: Group) -> bool:
        """The group went into the step; False when a step had it before. Greedy samples end."""
        if self._buffered.pop(group.group_id, 0) == 0:
            return False
        for sample in group.samples:
            if sample.index < 0:
                self._ledger.settle("masked")
            else:
                self._in_step.add(group.sample_id(sample))
        return True

    def evict(self, group: Group) -> bool:
        """The buffer gave the group up as too old; False when a step had it before."""
        count = self._buffered.pop(group.group_id, 0)
        self._ledger.settle("stale", count)
        return count > 0

    def settle(self, outcomes: Mapping[int, str]) -> None:
        """Sample id -> bucket for the whole step; samples of reused groups are passed over."""
        for sample_id in self._in_step & outcomes.keys():
            self._in_step.remove(sample_id)
            self._ledger.settle(outcomes[sample_id])
        assert not self._in_step, f"{len(self._in_step)} samples of the step have no outcome"

    def check(self, *, in_flight: int) -> None:
        """Raise LedgerError unless every issued sample is somewhere."""
        buffered = sum(self._buffered.values())
        self._ledger.check(in_flight=in_flight, buffered=buffered, in_step=len(self._in_step))

    def state_dict(self) -> dict[str, JSON]:
        assert not self._in_step, "state is saved between steps, when all samples are settled"
        return {"buffered": [[group_id, count] for group_id, count in self._buffered.items()]}

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        self._buffered = {int(group_id): int(count) for group_id, count in state["buffered"]}
