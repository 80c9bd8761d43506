"""The law that ties reward to entropy, fitted while the run goes on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from recipes.slots.schedules import Controller, number
from recipes.slots.spec import JSON, MetricName, Signed


@number.controller(paper="https://arxiv.org/abs/2505.22617")
def entropy_law(
    *,
    reward: Annotated[MetricName, Field(description="Metric of the reward R")] = "reward/correct",
    entropy: Annotated[MetricName, Field(description="Metric of the entropy H")] = "policy/entropy",
    default: Annotated[Signed, Field(description="Value before two different entropies")] = 1.0,
) -> Controller:
    """Ceiling b - a of the reward under R = -a e^H + b, by least squares over the steps so far.

    What the reward would be once all entropy is spent: a number to watch, or to stop by. Cui et
    al. 2025. Linear in (a, b) once e^H is formed, so five sums hold the whole fit.
    """
    return EntropyLaw(reward=reward, entropy=entropy, default=default)


@dataclass(kw_only=True)
class EntropyLaw:
    """Least squares of R on e^H, one step at a time."""

    reward: str = "reward/correct"
    entropy: str = "policy/entropy"
    default: float = 1.0
    count: int = 0
    mean_x: float = 0.0  # of e^H
    mean_y: float = 0.0  # of R
    var_x: float = 0.0  # sums of products of deviations, kept as running updates
    cov_xy: float = 0.0

    def observe(self, metrics: Mapping[str, float]) -> None:
        if self.reward not in metrics or self.entropy not in metrics:
            return
        x, y = math.exp(metrics[self.entropy]), metrics[self.reward]
        self.count += 1
        from_x, from_y = x - self.mean_x, y - self.mean_y
        self.mean_x += from_x / self.count
        self.mean_y += from_y / self.count
        self.var_x += from_x * (x - self.mean_x)
        self.cov_xy += from_x * (y - self.mean_y)

    @property
    def coefficients(self) -> tuple[float, float] | None:
        """(a, b), or None while the entropies seen do not differ."""
        if self.var_x <= 0:
            return None
        slope = self.cov_xy / self.var_x
        return -slope, self.mean_y - slope * self.mean_x

    def value(self, step: int) -> float:
        """The ceiling b - a, at entropy 0."""
        found = self.coefficients
        return self.default if found is None else found[1] - found[0]

    def state_dict(self) -> dict[str, JSON]:
        return {
            "count": self.count,
            "mean_x": self.mean_x,
            "mean_y": self.mean_y,
            "var_x": self.var_x,
            "cov_xy": self.cov_xy,
        }

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        self.count = int(state["count"])
        self.mean_x, self.mean_y = float(state["mean_x"]), float(state["mean_y"])
        self.var_x, self.cov_xy = float(state["var_x"]), float(state["cov_xy"])
