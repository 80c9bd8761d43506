"""Numbers over the run: worked values, the ends, and what is refused when a recipe is read."""

import math
from typing import Annotated, Any

import pytest
from pydantic import Field, ValidationError

from recipes.errors import RecipeError
from recipes.slots.registry import Registry, SlotEntry
from recipes.slots.schedules import number
from recipes.slots.spec import Scheduled, ScheduledInt, Spec

slot: Registry[Any, Any] = Registry("slot", params=("x",), packages=[], numbers=number)


@slot.register()
def bounded(
    x: float,
    *,
    clip: Annotated[Scheduled, Field(gt=0, lt=1, description="share")] = 0.2,
    length: Annotated[ScheduledInt, Field(ge=1)] = 8,
) -> float:
    """A function with a Scheduled and a ScheduledInt."""
    return x


class Section(Spec):
    lr: Annotated[SlotEntry | float, number.entry]
    max_tokens: Annotated[SlotEntry | Annotated[int, Field(gt=0)], number.entry] = 16
    free: number.field = 1.0  # type: ignore[name-defined]


def at(step: int, entry: dict[str, object]) -> float:
    bound = number.bind(entry)
    return float(bound.entry.function(step, **bound.options))


@pytest.mark.parametrize(
    ("entry", "values"),
    [
        ({"name": "constant", "value": 0.3}, {0: 0.3, 9: 0.3}),
        ({"name": "linear", "start": 0.2, "end": 0.4, "steps": 4},
         {0: 0.2, 1: 0.25, 2: 0.3, 4: 0.4, 5: 0.4, 1000: 0.4}),
        ({"name": "linear", "start": 1, "end": 0, "steps": 1}, {0: 1, 1: 0}),
        # half a cosine: at a third of the way (1 + cos 60) / 2 = 3/4 is left
        ({"name": "cosine", "start": 1.0, "end": 0.0, "steps": 6},
         {0: 1.0, 2: 0.75, 3: 0.5, 4: 0.25, 6: 0.0, 7: 0.0}),
        ({"name": "cosine", "start": 0.0, "end": 2.0, "steps": 2}, {0: 0.0, 1: 1.0, 2: 2.0}),
        # up in four steps of a quarter, then half a cosine over the six that are left
        ({"name": "warmup", "peak": 1.0, "warmup_steps": 4, "end": 0.0, "steps": 10},
         {0: 0.25, 1: 0.5, 3: 1.0, 4: 1.0, 6: 0.75, 7: 0.5, 10: 0.0, 99: 0.0}),
        ({"name": "piecewise", "values": [8.0, 16.0, 32.0], "until": [10, 20]},
         {0: 8, 9: 8, 10: 16, 19: 16, 20: 32, 999: 32}),
        ({"name": "piecewise", "values": [5.0], "until": []}, {0: 5, 999: 5}),
    ],
)  # fmt: skip
def test_worked_values(entry: dict[str, object], values: dict[int, float]) -> None:
    for step, value in values.items():
        assert math.isclose(at(step, entry), value, abs_tol=1e-12), step


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "linear", "start": 0.2, "end": 0.4, "steps": 0},
         "steps: Input should be greater than 0 (got 0)"),
        ({"name": "linear", "start": 0.2, "end": 0.4}, "steps: linear needs this option; set it"),
        ({"name": "cosin", "start": 0},
         "no schedule called 'cosin'; did you mean 'cosine'? "),
        ({"name": "piecewise", "values": [1.0, 2.0], "until": [5, 6]},
         "until: piecewise has 2 values and 2 ends; give one value more than ends: the last value "
         "has no end"),
        ({"name": "piecewise", "values": [1.0, 2.0, 3.0], "until": [6, 5]},
         "until: the ends [6, 5] do not rise; list them in rising order"),
        ({"name": "piecewise", "values": [1.0, 2.0, 3.0], "until": [5, 5]},
         "until: the ends [5, 5] do not rise; list them in rising order"),
        ({"name": "warmup", "peak": 1.0, "warmup_steps": 5, "end": 0.0, "steps": 5},
         "warmup_steps: the warmup takes 5 of 5 steps and leaves none to decay; make it smaller "
         "than steps"),
    ],
)  # fmt: skip
def test_a_schedule_that_cannot_work_is_refused_when_it_is_read(
    entry: dict[str, object], message: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        number.bind(entry)
    assert str(caught.value).startswith(message)


def linear(start: float, end: float) -> dict[str, object]:
    return {"name": "linear", "start": start, "end": end, "steps": 4}


def test_a_number_is_a_float_or_a_schedule() -> None:
    assert slot.bind({"name": "bounded", "clip": 0.5}).options["clip"] == 0.5
    schedule = slot.bind({"name": "bounded", "clip": linear(0.2, 0.4)}).options["clip"]
    assert isinstance(schedule, SlotEntry)
    assert (schedule.name, schedule.options["end"]) == ("linear", 0.4)


def test_numbers_and_counts_are_told_apart() -> None:
    entry = slot.get("bounded")
    assert entry.numbers == {"clip", "length"}
    assert entry.counts == {"length"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip": 0}, "clip: Input should be greater than 0 (got 0)"),
        ({"clip": True}, "clip: Input should be a valid number (got True)"),
        ({"clip": "linear"}, "clip: Input should be a valid number (got 'linear')"),
        ({"length": 2.5}, "length: Input should be a valid integer (got 2.5)"),
        ({"clip": {"name": "linear", "start": 0.1, "end": 0.2, "steps": 2.5}},
         "clip.steps: Input should be a valid integer (got 2.5)"),
        ({"clip": {"start": 0.1}}, "clip: expected a schedule, `{name: ..., options}`, got"),
        # bounds hold along the schedule: 0.4 - 0.25 per step is 0.15 at 1 and -0.1 at 2
        ({"clip": {"name": "linear", "start": 0.4, "end": -0.6, "steps": 4}},
         "clip: linear gives -0.35 at step 3: Input should be greater than 0; keep the whole"),
        ({"clip": {"name": "warmup", "peak": 1.5, "warmup_steps": 3, "end": 0.1, "steps": 9}},
         "clip: warmup gives 1.5 at step 2: Input should be less than 1; keep the whole"),
        ({"clip": {"name": "piecewise", "values": [0.1, 5.0, 0.1], "until": [3, 6]}},
         "clip: piecewise gives 5 at step 3: Input should be less than 1; keep the whole"),
        ({"length": {"name": "linear", "start": 4, "end": 0.4, "steps": 4}},
         "length: linear gives 0 at step 4: Input should be greater than or equal to 1; keep"),
    ],
)  # fmt: skip
def test_a_number_outside_its_bounds_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        slot.bind({"name": "bounded", **options})
    assert str(caught.value).startswith(message)


def test_a_number_keeps_its_description() -> None:
    assert slot.get("bounded").schema.model_fields["clip"].description == "share"


def test_settings_of_a_section_may_be_schedules_too() -> None:
    section = Section.model_validate({"lr": linear(1, 0), "max_tokens": linear(8, 16), "free": 2})
    assert section.model_dump(mode="json") == {
        "lr": {"name": "linear", "start": 1.0, "end": 0.0, "steps": 4},
        "max_tokens": {"name": "linear", "start": 8.0, "end": 16.0, "steps": 4},
        "free": 2.0,
    }
    again = Section.model_validate(section.model_dump())
    assert again == section


@pytest.mark.parametrize("max_tokens", [0, 1.5, linear(8, 0)])
def test_the_bounds_of_a_section_hold_for_its_schedules(max_tokens: object) -> None:
    with pytest.raises(ValidationError, match="max_tokens"):
        Section.model_validate({"lr": 1e-3, "max_tokens": max_tokens})


class Counting:
    """A controller that returns how often it looked."""

    def __init__(self, start: float) -> None:
        self.seen = start

    def value(self, step: int) -> float:
        return self.seen


def test_a_controller_registers_beside_the_schedules_and_is_not_asked_along_the_run() -> None:
    own = type(number)("schedule", params=("step",), packages=[])
    users: Registry[Any, Any] = Registry("slot", params=("x",), packages=[], numbers=own)

    @own.controller(paper="https://example.org")
    def counting(*, start: float = -1.0) -> Counting:
        """Counts."""
        return Counting(start)

    @users.register()
    def user(x: float, *, coef: Annotated[Scheduled, Field(ge=0)] = 0.0) -> float:
        """Takes a number."""
        return x + coef

    bound = users.bind({"name": "user", "coef": {"name": "counting"}}).options["coef"]
    assert bound.entry.tags == {"controller"}
    assert bound.entry.function(**bound.options).value(0) == -1.0
