"""The ledger: every sample that was asked for ends in exactly one bucket, and the counts add up.

    issued == sum of the buckets + in flight + buffered + in the step

Whoever lets go of a sample says where it ended; whoever forgets is found at the next step.
"""

from collections import Counter
from collections.abc import Mapping

from recipes.slots.spec import JSON

BUCKETS = {
    "trained": "in the loss",
    "zero_signal": "its group had no contrast, so no advantage",
    "filtered": "dropped by a filter, or left behind by samples without a verdict",
    "down_sampled": "left out of a group or step that was trained",
    "stale": "too many versions old when its turn came",
    "truncated": "dropped or masked because it hit a limit",
    "verifier_error": "the verifier gave no verdict",
    "engine_error": "the engine or the environment failed",
    "masked": "in the batch, but none of its tokens learned; greedy baselines too",
    "over_sampled": "finished or asked for, but never needed",
}


class LedgerError(AssertionError):
    """Samples were lost or counted twice: a defect of ours, with the numbers."""


class Ledger:
    """Counts samples from issue to end."""

    def __init__(self) -> None:
        self._issued = 0
        self._ended: Counter[str] = Counter()
        self._read_issued = 0  # as of the last reading of the metrics
        self._read: Counter[str] = Counter()

    @property
    def issued(self) -> int:
        return self._issued

    def count(self, bucket: str) -> int:
        """Samples that ended in the bucket, over the whole run."""
        return self._ended[bucket]

    def issue(self, n: int) -> None:
        """`n` samples were asked for."""
        self._issued += n

    def settle(self, bucket: str, n: int = 1) -> None:
        """`n` samples ended in the bucket."""
        if bucket not in BUCKETS:
            raise LedgerError(f"no bucket called '{bucket}' (known: {', '.join(BUCKETS)})")
        self._ended[bucket] += n

    def check(self, *, in_flight: int, buffered: int, in_step: int) -> None:
        """Raise LedgerError with all numbers unless every issued sample is somewhere."""
        found = self._ended.total() + in_flight + buffered + in_step
        if found != self._issued:
            ended = ", ".join(f"{name} {self._ended[name]}" for name in BUCKETS)
            raise LedgerError(
                f"{self._issued} samples were issued and {found} are accounted for: in flight "
                f"{in_flight}, buffered {buffered}, in the step {in_step}; {ended}"
            )

    def metrics(self) -> dict[str, float]:
        """Samples issued and ended, by bucket, since the last reading."""
        counts = {f"ledger/{name}": float(self._ended[name] - self._read[name]) for name in BUCKETS}
        counts["ledger/issued"] = float(self._issued - self._read_issued)
        self._read, self._read_issued = Counter(self._ended), self._issued
        return counts

    def state_dict(self) -> dict[str, JSON]:
        return {
            "issued": self._issued,
            "ended": dict(self._ended),
            "read_issued": self._read_issued,
            "read": dict(self._read),
        }

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        self._issued = state["issued"]
        self._ended = Counter(state["ended"])
        self._read_issued = state["read_issued"]
        self._read = Counter(state["read"])
