"""Stages of a curriculum: which one is being learned, and when the next one begins."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from recipes.slots.spec import JSON
from rewards.types import Problem
from rollout.curriculum.pass_rates import PassRates


class Stages:
    """Draws from the current stage, reviews the earlier ones, moves on when it is learned.

    bound:  mean pass rate above which a stage is learned
    window: groups of the stage that the mean is over; fewer never end a stage
    review: share of draws from the stages before
    """

    def __init__(self, known: PassRates, *, bound: float, window: int, review: float) -> None:
        self._known = known
        self._bound = bound
        self._window = window
        self._review = review
        self.current = 0
        self._recent: list[float] = []  # pass rates of the last groups of the current stage

    def draw(self, stages: npt.NDArray[np.int64]) -> Problem:
        """The next problem; stages: [N] each problem's stage, from 0, none of them empty."""
        known = self._known
        review = self.current > 0 and known.rng().random() < self._review
        among = stages < self.current if review else stages == self.current
        return known.draw(known.longest_ago(among))

    def observe(self, told: Sequence[tuple[int, float]], stages: npt.NDArray[np.int64]) -> None:
        """(index, pass rate) of finished groups; those of other stages decide nothing."""
        for index, rate in told:
            if stages[index] != self.current:
                continue
            self._recent = [*self._recent, rate][-self._window :]
            full = len(self._recent) == self._window
            learned = full and sum(self._recent) / self._window > self._bound
            if learned and self.current < stages.max():
                self.current += 1
                self._recent = []

    def state_dict(self) -> dict[str, JSON]:
        return {"current": self.current, "recent": list(self._recent)}

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        self.current = int(state["current"])
        self._recent = [float(rate) for rate in state["recent"]]
