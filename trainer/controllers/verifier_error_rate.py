"""The error rate of a verifier, estimated from the verdicts that were checked again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from recipes.slots.schedules import Controller, number
from recipes.slots.spec import JSON, Requires


@number.controller(
    formerly=("appeal_rate",),
    paper="https://arxiv.org/abs/2510.00915",
    requires=[
        Requires(
            slot="verifier",
            tag="double_checked",
            why="estimates nothing: the verdicts of {name} are never checked again",
            fix="set verifier: {name: double_checked, first: ..., second: ...}, or set a rate",
        )
    ],
)
def verifier_error_rate(
    *,
    of: Annotated[Literal["false_negative", "false_positive"], Field(description="Kind of error")],
    use: Annotated[
        Literal["estimate", "low", "high"],
        Field(
            description="Value to use: the estimate, or an end of its 95% interval; low "
            "corrects least"
        ),
    ] = "estimate",
    start: Annotated[
        float, Field(ge=0, lt=0.5, description="Rate before the first estimate")
    ] = 0.0,
    decay: Annotated[float, Field(ge=0, lt=1, description="Weight of the past at each step")] = 0.9,
    limit: Annotated[
        float, Field(gt=0, lt=0.5, description="Largest rate; two of them stay below 1 together")
    ] = 0.45,
) -> Controller:
    """The error rate of a `double_checked` verifier, for `debias_reward`.

    An exponential average of the logged rate that starts at `start`, where `ema_baseline` starts at
    the first value it observes: an early estimate is made from few checks. Cai et al. 2025. A step
    without an estimate changes nothing. The rate is that of the verdicts that are trained on, after
    repair.
    """
    suffix = "" if use == "estimate" else f"_{use}"
    return _Rate(metric=f"verifier/{of}{suffix}", decay=decay, limit=limit, current=start)


@dataclass(kw_only=True)
class _Rate:
    metric: str
    decay: float
    limit: float
    current: float

    def value(self, step: int) -> float:
        return min(self.current, self.limit)

    def observe(self, metrics: Mapping[str, float]) -> None:
        if self.metric in metrics:
            self.current = self.decay * self.current + (1 - self.decay) * metrics[self.metric]

    def state_dict(self) -> dict[str, JSON]:
        return {"current": self.current}

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        self.current = float(state["current"])
