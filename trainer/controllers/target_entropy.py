"""A coefficient that keeps the policy's entropy from falling below a level."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from recipes.slots.schedules import Controller, number
from recipes.slots.spec import JSON, Amount, MetricName


@number.controller(paper="https://arxiv.org/abs/2505.22312")
def target_entropy(
    *,
    target: Annotated[Amount, Field(gt=0, description="Target entropy in nats per token")],
    start: Annotated[Amount, Field(description="Coefficient of the first step")] = 0.0,
    delta: Annotated[Amount, Field(gt=0, description="Change of the coefficient per step")] = 0.005,
    low: Annotated[Amount, Field(description="Smallest coefficient")] = 0.0,
    high: Annotated[Amount, Field(gt=0, description="Largest coefficient")] = 1.0,
    metric: Annotated[MetricName, Field(description="Metric of the entropy")] = "policy/entropy",
) -> Controller:
    """For the `coef` of `entropy_bonus`: up by `delta` below the target, down above it.

    While the entropy is above the target the coefficient is off, and goes on from where it was
    once the entropy falls below. He et al. 2025 (Skywork-OR1). A step without the metric changes
    nothing.
    """
    return _Thermostat(
        target=target, delta=delta, low=low, high=high, metric=metric, coef=start, on=True
    )


@dataclass(kw_only=True)
class _Thermostat:
    target: float
    delta: float
    low: float
    high: float
    metric: str
    coef: float
    on: bool

    def value(self, step: int) -> float:
        return self.coef if self.on else 0.0

    def observe(self, metrics: Mapping[str, float]) -> None:
        if self.metric not in metrics:
            return
        self.on = metrics[self.metric] <= self.target
        change = self.delta if self.on else -self.delta
        self.coef = min(max(self.coef + change, self.low), self.high)

    def state_dict(self) -> dict[str, JSON]:
        return {"coef": self.coef, "on": self.on}

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        self.coef, self.on = float(state["coef"]), bool(state["on"])
