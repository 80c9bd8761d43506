"""A running average of a metric."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from recipes.slots.schedules import Controller, number
from recipes.slots.spec import JSON, MetricName, Signed


@number.controller(paper="https://doi.org/10.1007/BF00992696")
def ema_baseline(
    *,
    metric: Annotated[MetricName, Field(description="Metric to average")] = "reward/mean",
    decay: Annotated[float, Field(ge=0, lt=1, description="Weight of the past at each step")] = 0.9,
    start: Annotated[Signed, Field(description="Value before the first observation")] = 0.0,
) -> Controller:
    """Exponential moving average of a metric, starting at its first value.

    The baseline of `minus_baseline`, or with `metric: reward/std` the scale of `running_scale`.
    A step without the metric leaves it as it is.
    """
    return _Average(metric=metric, decay=decay, current=start)


@dataclass(kw_only=True)
class _Average:
    metric: str
    decay: float
    current: float
    seen: bool = False

    def value(self, step: int) -> float:
        return self.current

    def observe(self, metrics: Mapping[str, float]) -> None:
        if self.metric not in metrics:
            return
        new = metrics[self.metric]
        self.current = self.decay * self.current + (1 - self.decay) * new if self.seen else new
        self.seen = True

    def state_dict(self) -> dict[str, JSON]:
        return {"current": self.current, "seen": self.seen}

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        self.current, self.seen = float(state["current"]), bool(state["seen"])
