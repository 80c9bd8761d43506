"""Numbers that change over the run: `lr: {name: linear, start: 1e-3, end: 0, steps: 100}`.

A schedule is a pure function of the step. Controllers (`trainer/controllers/`) register here too:
factories of objects with `value(step)`, `observe(metrics)` and a state. Whoever receives the
number cannot tell the difference: it is given a float.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Protocol

from pydantic import Field

from recipes.errors import RecipeError
from recipes.slots.options import ScheduledHook
from recipes.slots.registry import F, Registry
from recipes.slots.spec import JSON, Count, Requires, Signed


class Controller(Protocol):
    """A number that follows the run's metrics."""

    def value(self, step: int) -> float: ...
    def observe(self, metrics: Mapping[str, float]) -> None: ...
    def state_dict(self) -> dict[str, JSON]: ...
    def load_state_dict(self, state: Mapping[str, JSON]) -> None: ...


class ScheduleRegistry(Registry[Any, Any]):
    """Schedules `(step) -> float`, and controllers: factories `() -> Controller`."""

    def controller(
        self,
        *,
        paper: str = "",
        requires: Sequence[Requires] = (),
        validate: Callable[..., None] | None = None,
        formerly: Sequence[str] = (),
    ) -> Callable[[F], F]:
        """Decorator for a factory of a Controller."""
        return self.register(
            paper=paper,
            tags=("controller",),
            requires=requires,
            params=(),
            validate=validate,
            formerly=formerly,
        )

    @property
    def entry(self) -> ScheduledHook:
        """For a setting that may be a schedule: `lr: Annotated[SlotEntry | float, number.entry]`.

        Bounds go inside: `Annotated[SlotEntry | Annotated[int, Field(gt=0)], number.entry]`.
        """
        return ScheduledHook(self)

    @property
    def field(self) -> Any:
        """The annotation of a Scheduled without bounds: a float, or an entry of this registry."""
        return Annotated[Signed, self.entry]


number = ScheduleRegistry("schedule", params=("step",), packages=["recipes.slots.schedules"])
Steps = Annotated[Count, Field(gt=0, description="Length in training steps")]


Start = Annotated[Signed, Field(description="Value at step 0")]
End = Annotated[Signed, Field(description="Value after the last step of the schedule")]


@number.register()
def constant(
    step: int, *, value: Annotated[Signed, Field(description="Value at every step")]
) -> float:
    """The same number at every step."""
    return value


@number.register()
def linear(step: int, *, start: Start, end: End, steps: Steps) -> float:
    """From `start` to `end` in a straight line over `steps`, then `end`."""
    return start + (end - start) * min(step / steps, 1.0)


@number.register()
def cosine(step: int, *, start: Start, end: End, steps: Steps) -> float:
    """From `start` to `end` along half a cosine over `steps`, then `end`."""
    return end + (start - end) * (1 + math.cos(math.pi * min(step / steps, 1.0))) / 2


def _decay_follows_warmup(*, warmup_steps: int, steps: int, **_: float) -> None:
    if warmup_steps >= steps:
        raise RecipeError.of(
            f"the warmup takes {warmup_steps} of {steps} steps and leaves none to decay",
            path="warmup_steps",
            fix="make it smaller than steps",
        )


@number.register(validate=_decay_follows_warmup)
def warmup(
    step: int,
    *,
    peak: Annotated[Signed, Field(description="Value at the end of the warmup")],
    warmup_steps: Annotated[
        Count, Field(gt=0, description="Length of the warmup in training steps")
    ],
    end: End,
    steps: Steps,
) -> float:
    """Linear from `peak / warmup_steps` to `peak`, then half a cosine to `end` at `steps`."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    return cosine(step - warmup_steps, start=peak, end=end, steps=steps - warmup_steps)


def _pieces_agree(*, values: list[float], until: list[int]) -> None:
    if len(values) != len(until) + 1:
        raise RecipeError.of(
            f"piecewise has {len(values)} values and {len(until)} ends",
            path="until",
            fix="give one value more than ends: the last value has no end",
        )
    if until != sorted(set(until)):
        raise RecipeError.of(
            f"the ends {until} do not rise", path="until", fix="list them in rising order"
        )


@number.register(validate=_pieces_agree)
def piecewise(
    step: int,
    *,
    values: Annotated[list[Signed], Field(description="Values, one more than ends")],
    until: Annotated[list[Count], Field(description="Steps at which each value but the last ends")],
) -> float:
    """`values[i]` before step `until[i]`; the last value, which has no end, from there on."""
    for value, end in zip(values, until, strict=False):
        if step < end:
            return value
    return values[-1]
