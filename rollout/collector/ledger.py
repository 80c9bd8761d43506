"""What is counted: where every sample ended, and what all finished groups looked like.

issued == sum of the buckets + in flight + buffered + in the step

Ledger          counts samples from issue to their bucket, and checks this equation
SampleTracker   knows which samples have not ended: those of the buffer and of the step
sample_buckets  the bucket of each sample of a step, once its batch is complete
RolloutStats    rewards and pass rates of all finished groups, the dropped ones included
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from statistics import fmean

from recipes.slots.spec import JSON
from rollout.types import Bucket, Group


class LedgerError(AssertionError):
    """Samples were lost or counted twice: a defect of temper, with the numbers."""


class Ledger:
    """Counts samples from issue to end, over the whole run."""

    def __init__(self) -> None:
        self._issued = 0
        self._ended: Counter[Bucket] = Counter()
        self._read_issued = 0  # as of the last reading of the metrics
        self._read: Counter[Bucket] = Counter()

    @property
    def issued(self) -> int:
        return self._issued

    def count(self, bucket: Bucket) -> int:
        """Samples that ended in the bucket, over the whole run."""
        return self._ended[bucket]

    def issue(self, n: int) -> None:
        """`n` samples were requested."""
        self._issued += n

    def settle(self, bucket: Bucket, n: int = 1) -> None:
        """`n` samples ended in the bucket."""
        self._ended[bucket] += n

    def check(self, *, in_flight: int, buffered: int, in_step: int) -> None:
        """Raise LedgerError with all numbers unless every issued sample is somewhere."""
        located = self._ended.total() + in_flight + buffered + in_step
        if located != self._issued:
            ended = ", ".join(f"{bucket} {self._ended[bucket]}" for bucket in Bucket)
            raise LedgerError(
                f"{self._issued} samples were issued and {located} are accounted for: in flight "
                f"{in_flight}, buffered {buffered}, in the step {in_step}; {ended}"
            )

    def metrics(self) -> dict[str, float]:
        """Samples issued and ended, by bucket, since the last reading."""
        counts = {f"ledger/{bucket}": float(self._ended[bucket] - self._read[bucket])
                  for bucket in Bucket}  # fmt: skip
        counts["ledger/issued"] = float(self._issued - self._read_issued)
        self._read, self._read_issued = Counter(self._ended), self._issued
        return counts

    def state_dict(self) -> dict[str, JSON]:
        return {
            "issued": self._issued,
            "ended": {bucket.value: count for bucket, count in self._ended.items()},
            "read_issued": self._read_issued,
            "read": {bucket.value: count for bucket, count in self._read.items()},
        }

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        self._issued = state["issued"]
        self._ended = Counter({Bucket(name): count for name, count in state["ended"].items()})
        self._read_issued = state["read_issued"]
        self._read = Counter({Bucket(name): count for name, count in state["read"].items()})


class SampleTracker:
    """Follows samples from the buffer through the step to their bucket in the ledger.

    A group that a buffer hands out again was settled the first time and is not counted twice.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._buffered: dict[int, int] = {}  # group id -> samples, of groups never handed out
        self._in_step: set[int] = set()  # ids of samples handed out and not yet settled

    @property
    def buffered_groups(self) -> int:
        """Groups in the buffer that no step has had."""
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
                self._ledger.settle(Bucket.MASKED)
            else:
                self._in_step.add(group.sample_id(sample))
        return True

    def evict(self, group: Group) -> bool:
        """The buffer removed the group as too old; False when a step had it before."""
        count = self._buffered.pop(group.group_id, 0)
        self._ledger.settle(Bucket.STALE, count)
        return count > 0

    def settle(self, ended: Mapping[int, Bucket]) -> None:
        """Sample id -> bucket for the whole step; samples of reused groups are passed over."""
        for sample_id in self._in_step & ended.keys():
            self._in_step.remove(sample_id)
            self._ledger.settle(ended[sample_id])
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


def sample_buckets(
    groups: Sequence[Group],
    *,
    selected: Collection[int],
    in_loss: Collection[int],
    with_signal: Collection[int],
) -> dict[int, Bucket]:
    """Sample id -> bucket, for every sample of the step except the greedy ones.

    groups: all groups of the step
    selected: ids of the samples that the selections left in the batch
    in_loss: ids of those with a token that counts in the loss
    with_signal: ids of those with such a token that the loss learns from
    """
    ended: dict[int, Bucket] = {}
    for group in groups:
        for sample in (s for s in group.samples if s.index >= 0):
            sample_id = group.sample_id(sample)
            if sample_id not in selected:
                ended[sample_id] = Bucket.DOWN_SAMPLED
            elif sample_id in with_signal:
                ended[sample_id] = Bucket.TRAINED
            elif sample_id in in_loss:
                ended[sample_id] = Bucket.ZERO_SIGNAL
            else:
                truncated = sample.status.is_truncated
                ended[sample_id] = Bucket.TRUNCATED if truncated else Bucket.MASKED
    return ended


class RolloutStats:
    """Numbers of the groups that finished between two readings."""

    def __init__(self) -> None:
        self._pass_rates: list[float] = []
        self._rewards: list[float] = []
        self._differ: list[bool] = []  # of groups with two scored samples or more
        self._finished = 0
        self._kept = 0
        self.issued = 0  # groups requested
        self.reused = 0  # groups that were trained before
        self.refills = 0  # rounds of fresh problems beyond the first
        self.tokens = 0  # sampled by all finished groups, greedy and other players' included

    def add(self, group: Group, *, kept: bool) -> None:
        """Count a finished group; `group` is as it was before any filter."""
        self._finished += 1
        self._kept += kept
        rewards = [sample.verdict.reward for sample in group.scored]
        self._rewards += rewards
        if rewards:
            self._pass_rates.append(group.pass_rate)
        if len(rewards) > 1:
            self._differ.append(len(set(rewards)) > 1)

    def add_failed(self) -> None:
        """Count a group of which no sample came back."""
        self._finished += 1

    def metrics(self) -> dict[str, float]:
        """The numbers so far; without those that no group was seen for."""
        rates = self._pass_rates
        numbers = {
            "rollout/groups": float(self._finished),
            "rollout/groups_issued": float(self.issued),
            "rollout/groups_reused": float(self.reused),
            "rollout/refills": float(self.refills),
            "rollout/tokens": float(self.tokens),
        }
        if self._finished:
            numbers["rollout/kept_frac"] = self._kept / self._finished
        if rates:
            numbers["rollout/pass_rate"] = fmean(rates)
            numbers["rollout/solved_all_frac"] = fmean(rate == 1 for rate in rates)
            numbers["rollout/solved_none_frac"] = fmean(rate == 0 for rate in rates)
            numbers["rollout/reward"] = fmean(self._rewards)
        if self._differ:
            numbers["rollout/useful_frac"] = fmean(self._differ)
        return numbers
