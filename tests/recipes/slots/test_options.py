"""A recipe's entry becomes options, or a mistake with its path and the fix."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from recipes.errors import RecipeError
from recipes.slots.registry import (
    Registry,
    option_path,
)
from recipes.slots.spec import MetricName, Spec
from tests.support.shapes import AnyRegistry, Mode, error_of, shapes


def test_a_bare_word_is_an_entry_with_every_default() -> None:
    bound = shapes().bind("circle")
    assert bound.name == "circle"
    assert bound.options == {"radius": 1.0, "to": "ref", "coef": 1.0}
    assert bound.given == frozenset()


def test_given_options_are_remembered_even_when_they_equal_the_default() -> None:
    bound = shapes().bind({"name": "circle", "radius": 1.0})
    assert bound.given == {"radius"}


def test_a_bound_entry_stays_as_it_is() -> None:
    shape = shapes()
    bound = shape.bind({"name": "circle", "radius": 2.0})
    assert shape.bind(bound) is bound


def test_needs_follow_the_option_they_name() -> None:
    shape = shapes()
    assert shape.bind("circle").needs == ("ref_logprobs", "values")
    assert shape.bind({"name": "circle", "to": "old"}).needs == ("old_logprobs", "values")


def test_what_yaml_cannot_say_is_read_from_what_it_can() -> None:
    bound = shapes().bind({"name": "box", "sides": [1, 2], "mode": "exact", "folder": "a/b"})
    assert bound.options["sides"] == (1, 2)
    assert bound.options["mode"] is Mode.EXACT
    assert bound.options["folder"] == Path("a/b")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("crcle", "no shape called 'crcle'; did you mean 'circle'? (known: box, circle, pile)"),
        ("zzz", "no shape called 'zzz'; use one of: box, circle, pile"),
        (3, "expected a shape, `{name: ..., options}`, got 3; known: box, circle, pile"),
        ({"radius": 1}, "expected a shape, `{name: ..., options}`, got {'radius': 1}; known: "
         "box, circle, pile"),
        ({"name": "circle", "radios": 1}, "radios: circle has no such option; did you mean "
         "'radius'? (options: radius, to, coef)"),
        ({"name": "circle", "radius": "1"}, "radius: Input should be a valid number (got '1')"),
        ({"name": "circle", "radius": True}, "radius: Input should be a valid number (got True)"),
        ({"name": "circle", "to": "new"}, "to: Input should be 'ref' or 'old' (got 'new')"),
        ({"name": "circle", "coef": "x"}, "coef: Input should be a valid number (got 'x')"),
        ("box", "sides: box needs this option; set it"),
        ({"name": "box", "sides": [1, 2.5]}, "sides.1: Input should be a valid integer (got 2.5)"),
        ({"name": "pile", "parts": [{"name": "circle"}, {"name": "circle", "radius": 0}]},
         "parts.1.radius: Input should be greater than 0 (got 0)"),
        ({"name": "pile", "parts": ["crcle"]}, "parts.0: no shape called 'crcle'; did you mean "
         "'circle'? (known: box, circle, pile)"),
        ({"name": "pile", "parts": ["circle"], "weights": {"a": "b"}},
         "weights.a: Input should be a valid number (got 'b')"),
        ({"name": "box", "sides": 1, "label": 2}, "sides: Input should be a valid array (got 1)\n"
         "label: Input should be a valid string (got 2)"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_path_and_the_near_name(value: object, message: str) -> None:
    assert error_of(shapes(), value) == message


def test_an_article_fits_its_slot() -> None:
    slot: AnyRegistry = Registry("advantage estimator", params=("x",), packages=[])
    assert error_of(slot, 1).startswith("expected an advantage estimator,")


class Tool(BaseModel):
    name: str
    cost: float = 0.0


def test_an_option_that_is_a_record_names_what_is_wrong_inside() -> None:
    slot: AnyRegistry = Registry("slot", params=("x",), packages=[])

    @slot.register()
    def tools(x: float, *, use: list[Tool]) -> float:
        return x

    bound = slot.bind({"name": "tools", "use": [{"name": "a"}]})
    assert bound.options["use"] == [Tool(name="a")]
    message = error_of(slot, {"name": "tools", "use": [{"name": "a", "cost": "b"}]})
    assert message.startswith("use.0.cost: Input should be a valid number")


def test_a_union_names_the_option_and_not_its_branches() -> None:
    slot: AnyRegistry = Registry("slot", params=("x",), packages=[])

    @slot.register()
    def either(x: float, *, limit_options: int | list[int] = 1) -> float:
        return x

    assert error_of(slot, {"name": "either", "limit_options": "a"}).startswith(
        "limit_options: Input should be a valid integer (got 'a')"
    )


@pytest.mark.parametrize(
    ("location", "path"),
    [
        (("lr",), "lr"),
        (("lr", "float"), "lr"),
        (("lr", "constrained-float"), "lr"),
        (("terms", 0, "coef", "SlotEntry"), "terms.0.coef"),
        (("use", "list[int]", 1), "use.1"),
        (("use", "function-wrap[check()]"), "use"),
        (("float",), "float"),
        ((), ""),
    ],
)
def test_a_location_is_a_path_without_branches(location: tuple[int | str, ...], path: str) -> None:
    assert option_path(location) == path


def test_options_that_must_agree_are_looked_at_together() -> None:
    slot: AnyRegistry = Registry("slot", params=("x",), packages=[])

    def ordered(*, low: float, high: float) -> None:
        if low > high:
            raise RecipeError.of(f"low {low} is above high {high}", path="low")

    @slot.register(validate=ordered)
    def band(x: float, *, low: float = 0.0, high: float = 1.0) -> float:
        return x

    assert slot.bind("band").options == {"low": 0.0, "high": 1.0}
    assert error_of(slot, {"name": "band", "low": 2}) == "low: low 2.0 is above high 1.0"


def renamed_shapes() -> AnyRegistry:
    shape: AnyRegistry = Registry("shape", params=("x",), packages=[])

    @shape.register(formerly=("circle",), renamed={"radius": "size"})
    def disc(x: float, *, size: float) -> float:
        return x * size

    return shape


def test_an_old_function_name_is_answered_with_the_new_one():
    with pytest.raises(RecipeError, match=r"^shape `circle` is now `disc`; use the new name$"):
        renamed_shapes().bind({"name": "circle", "size": 1.0})


def test_an_old_option_is_answered_with_the_new_one_alone():
    with pytest.raises(RecipeError) as caught:
        renamed_shapes().bind({"name": "disc", "radius": 1.0})
    (fault,) = caught.value.faults  # and not that `size` is missing
    assert str(fault) == "radius: `radius` is now `size`; rename it"


def test_an_old_metric_is_answered_with_the_new_one():
    class Reader(Spec):
        metric: MetricName

    assert Reader(metric="reward/component/style").metric == "reward/component/style"
    with pytest.raises(ValueError, match="`reward/part/style` is now `reward/component/style`"):
        Reader(metric="reward/part/style")
