"""A coefficient that keeps the KL from the reference at a level."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from recipes.slots.schedules import Controller, number
from recipes.slots.spec import JSON, Amount, MetricName

LARGEST_ERROR = 0.2


@number.controller(paper="https://arxiv.org/abs/1909.08593")
def target_kl(
    *,
    target: Annotated[Amount, Field(gt=0, description="Target KL in the metric's unit")],
    start: Annotated[Amount, Field(gt=0, description="Coefficient of the first step")] = 0.1,
    rate: Annotated[
        Amount, Field(gt=0, description="Ratio of samples per step to the horizon in samples")
    ] = 0.1,
    metric: Annotated[MetricName, Field(description="Metric of the KL")] = "term/kl_k3_mean",
) -> Controller:
    """For the `coef` of a KL term: grows while the KL is above the target, shrinks below it.

    Each step multiplies by 1 + rate * error, where error is the KL's relative distance from the
    target, held within +-0.2. Ziegler et al. 2019. A step without the metric changes nothing.
    """
    return _Proportional(target=target, rate=rate, metric=metric, coef=start)


@dataclass(kw_only=True)
class _Proportional:
    target: float
    rate: float
    metric: str
    coef: float

    def value(self, step: int) -> float:
        return self.coef

    def observe(self, metrics: Mapping[str, float]) -> None:
        if self.metric not in metrics:
            return
        error = metrics[self.metric] / self.target - 1
        self.coef *= 1 + self.rate * min(max(error, -LARGEST_ERROR), LARGEST_ERROR)

    def state_dict(self) -> dict[str, JSON]:
        return {"coef": self.coef}

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        self.coef = float(state["coef"])
