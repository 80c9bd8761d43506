"""What all finished groups looked like, those included that no step will train on."""

from collections.abc import Sequence
from statistics import fmean

from rollout.types import Group


class RolloutStats:
    """Numbers of the groups that finished between two readings."""

    def __init__(self) -> None:
        self._pass_rates: list[float] = []
        self._rewards: list[float] = []
        self._finished = 0
        self._kept = 0
        self.issued = 0  # groups asked for
        self.reused = 0  # groups that were trained before
        self.refills = 0  # rounds of fresh problems beyond the first
        self.tokens = 0  # sampled by all finished groups, greedy and other players' included

    def add(self, group: Group, *, kept: bool) -> None:
        """Count a finished group; `group` is as it was before any filter."""
        self._finished += 1
        self._kept += kept
        if group.scored:
            self._pass_rates.append(group.pass_rate)
            self._rewards += [s.verdict.reward for s in group.scored]

    def add_failed(self) -> None:
        """Count a group that no sample came back of."""
        self._finished += 1

    def metrics(self) -> dict[str, float]:
        """The numbers so far; without those that nothing was seen for."""
        found = {
            "rollout/groups": float(self._finished),
            "rollout/groups_issued": float(self.issued),
            "rollout/groups_reused": float(self.reused),
            "rollout/refills": float(self.refills),
            "rollout/tokens": float(self.tokens),
        }
        if self._finished:
            found["rollout/kept_frac"] = self._kept / self._finished
        if self._pass_rates:
            found["rollout/pass_rate"] = fmean(self._pass_rates)
            all_right, none_right = (_share(self._pass_rates, rate) for rate in (1.0, 0.0))
            found["rollout/solved_all_frac"] = all_right
            found["rollout/solved_none_frac"] = none_right
            found["rollout/useful_frac"] = 1.0 - all_right - none_right
            found["rollout/reward"] = fmean(self._rewards)
        return found


def _share(values: Sequence[float], of: float) -> float:
    return sum(value == of for value in values) / len(values)
