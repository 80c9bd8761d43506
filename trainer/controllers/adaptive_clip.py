"""A clip bound that keeps the share of clipped tokens at a level."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from recipes.errors import RecipeError
from recipes.slots.schedules import Controller, number
from recipes.slots.spec import JSON, Amount, MetricName


def _order(*, start: float, low: float, high: float, **_: object) -> None:
    if not low <= start <= high:
        raise RecipeError.of(
            f"the bound starts at {start:g}, outside of {low:g} to {high:g}",
            path="start",
            fix="set low <= start <= high",
        )


@number.controller(validate=_order)
def adaptive_clip(
    *,
    target: Annotated[float, Field(gt=0, lt=1, description="Share of clipped tokens")] = 0.01,
    start: Annotated[Amount, Field(gt=0, description="Bound of the first step")] = 0.2,
    low: Annotated[Amount, Field(gt=0, description="Tightest bound")] = 0.1,
    high: Annotated[Amount, Field(gt=0, description="Widest bound")] = 0.4,
    delta: Annotated[Amount, Field(gt=0, description="Change of the bound per step")] = 0.01,
    metric: Annotated[
        MetricName, Field(description="Metric of the clipped share")
    ] = "loss/clip_high_frac",
) -> Controller:
    """For `clip_high` or `clip_low`: wider while too many tokens are clipped, else tighter.

    Follows the run from step to step; `bapo` searches its bounds anew in every update. A plain
    thermostat of our own, not a published rule. At the target, and in a step without the metric,
    the bound stays.
    """
    return _Bound(target=target, low=low, high=high, delta=delta, metric=metric, bound=start)


@dataclass(kw_only=True)
class _Bound:
    target: float
    low: float
    high: float
    delta: float
    metric: str
    bound: float

    def value(self, step: int) -> float:
        return self.bound

    def observe(self, metrics: Mapping[str, float]) -> None:
        share = metrics.get(self.metric, self.target)
        direction = (share > self.target) - (share < self.target)
        self.bound = min(max(self.bound + direction * self.delta, self.low), self.high)

    def state_dict(self) -> dict[str, JSON]:
        return {"bound": self.bound}

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        self.bound = float(state["bound"])
