"""A slot: the signature is the schema, the function's name is the recipe's name."""

import enum
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from recipes.errors import RecipeError
from recipes.slots.registry import (
    Registry,
    SlotEntry,
    build,
    call_on_run_start,
    function_of,
    option_path,
    tags_of,
    to_plain,
)
from recipes.slots.schedules import number
from recipes.slots.spec import MetricName, Scheduled, Spec

AnyRegistry = Registry[Any, Any]


class Mode(enum.Enum):
    FAST = "fast"
    EXACT = "exact"


def shapes() -> AnyRegistry:
    """A registry with one function for every kind of option, made anew for each test."""
    shape: AnyRegistry = Registry(
        "shape", params=("x",), packages=[], numbers=number, slot_options={"coef": (float, 1.0)}
    )

    @shape.register(needs=("{to}_logprobs", "values"), paper="https://a", tags=("round",))
    def circle(
        x: float,
        *,
        radius: Annotated[Scheduled, Field(gt=0, description="in metres")] = 1.0,
        to: Literal["ref", "old"] = "ref",
    ) -> float:
        """A round thing.

        More about it.
        """
        return x * radius

    @shape.register()
    def box(
        x: float,
        *,
        sides: tuple[int, ...],
        mode: Mode = Mode.FAST,
        label: str = "",
        folder: Path = Path("."),
    ) -> tuple[Any, ...]:
        """A thing with sides."""
        return x, sides, mode, label, folder

    @shape.register()
    def pile(
        x: float,
        *,
        parts: Annotated[list[Annotated[SlotEntry, shape.nested]], Field(min_length=1)],
        weights: Mapping[str, float] = {},
    ) -> float:
        """Shapes made of shapes."""
        return sum(part(x) for part in parts)

    return shape


def error_of(registry: AnyRegistry, value: object) -> str:
    with pytest.raises(RecipeError) as caught:
        registry.bind(value)
    return str(caught.value)


# -- registering ---------------------------------------------------------------------------------


def test_what_is_known_of_a_function() -> None:
    entry = shapes().get("circle")
    assert entry.slot == "shape"
    assert entry.summary == "A round thing."
    assert entry.paper == "https://a"
    assert entry.tags == {"round"}
    assert entry.numbers == {"radius"}
    assert entry.option_default("radius") == 1.0
    assert entry.schema.model_fields["radius"].description == "in metres"
    assert Path(entry.file) == Path(__file__)
    assert "circle" in "".join(Path(entry.file).read_text().splitlines()[entry.line - 1 :][:2])


def test_a_registered_function_is_still_the_plain_function() -> None:
    slot: AnyRegistry = Registry("slot", params=("x",), packages=[])

    @slot.register()
    def double(x: float) -> float:
        """Twice."""
        return 2 * x

    assert double(2.0) == 4.0


def test_names_are_sorted_and_iterated_in_that_order() -> None:
    assert shapes().names() == ("box", "circle", "pile")
    assert [entry.name for entry in shapes()] == ["box", "circle", "pile"]


def wrong_position(batch: float, config: float, **kw: float) -> float:
    return 0.0


def wrong_name(data: float) -> float:
    return 0.0


def option_by_position(batch: float, eps: float = 1.0) -> float:
    return 0.0


@pytest.mark.parametrize(
    ("function", "got"),
    [
        (wrong_position, "('batch', 'config', 'kw')"),
        (wrong_name, "('data',)"),
        (option_by_position, "('batch', 'eps')"),
    ],
)
def test_a_signature_that_is_not_the_slots_is_refused(function: Any, got: str) -> None:
    slot: AnyRegistry = Registry("advantage estimator", params=("batch",), packages=[])
    with pytest.raises(TypeError) as caught:
        slot.register()(function)
    assert str(caught.value) == (
        f"advantage estimator '{function.__name__}' must take ('batch',), got {got}; "
        "options are keyword-only"
    )


def test_an_option_without_a_type_is_refused() -> None:
    slot: AnyRegistry = Registry("slot", params=("x",), packages=[])
    with pytest.raises(TypeError, match="slot 'loose': option 'eps' has no type"):

        @slot.register()
        def loose(x: float, *, eps=1.0):  # type: ignore[no-untyped-def]
            return x


def test_only_the_options_annotations_are_looked_up() -> None:
    source = "def disc(x: NotImported, *, radius: float = 1.0) -> AlsoNotImported: ..."
    names: dict[str, Any] = {}
    exec(f"from __future__ import annotations\n{source}", names)
    shape = shapes()
    shape.register()(names["disc"])
    assert shape.bind({"name": "disc", "radius": 2.0}).options == {"radius": 2.0, "coef": 1.0}


def test_an_option_may_not_hide_one_of_the_slots_own() -> None:
    slot: AnyRegistry = Registry(
        "term", params=("x",), packages=[], slot_options={"coef": (float, 1.0)}
    )
    with pytest.raises(TypeError, match="term 'kl': 'coef' is an option of the slot itself"):

        @slot.register()
        def kl(x: float, *, coef: float = 1.0) -> float:
            return x


def test_two_functions_of_one_name_are_refused_and_both_places_named() -> None:
    slot: AnyRegistry = Registry("slot", params=("x",), packages=[])
    slot.register()(lambda_named("same"))
    with pytest.raises(TypeError, match=r"two slots are called 'same': .*:\d+ and .*:\d+; rename"):
        slot.register()(lambda_named("same"))


def lambda_named(name: str) -> Any:
    def function(x: float) -> float:
        return x

    function.__name__ = name
    return function


def test_a_slot_may_have_a_second_kind_of_function() -> None:
    slot: AnyRegistry = Registry("slot", params=("x",), packages=[])

    @slot.register(params=())
    def factory(*, start: int = 0) -> int:
        return start

    assert slot.bind({"name": "factory", "start": 2}).options == {"start": 2}


def test_a_function_is_imported_by_its_name_and_the_rest_when_all_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "found_package"
    (package / "deeper").mkdir(parents=True)
    (package / "__init__.py").write_text(
        "from recipes.slots.registry import Registry\n"
        "slot = Registry('slot', params=('x',), packages=['found_package'])\n"
    )
    (package / "deeper" / "__init__.py").write_text("")
    function = "from found_package import slot\n@slot.register()\ndef {0}(x): return x\n"
    for name in ("one", "two", "deeper/helps"):
        (package / f"{name}.py").write_text(function.format(Path(name).name))
    monkeypatch.syspath_prepend(str(tmp_path))
    from found_package import slot  # type: ignore[import-not-found]

    assert "found_package.one" not in sys.modules
    assert slot.bind("one").name == "one"
    assert "found_package.two" not in sys.modules
    assert slot.names() == ("one", "two")
    assert slot.names() == ("one", "two")
    assert "found_package.deeper.helps" not in sys.modules, "a folder inside holds no functions"


def test_another_layer_may_add_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "added_module.py").write_text(
        "import added_registry\n@added_registry.slot.register()\ndef late(x): return x\n"
    )
    (tmp_path / "added_registry.py").write_text(
        "from recipes.slots.registry import Registry\n"
        "slot = Registry('slot', params=('x',), packages=[])\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    from added_registry import slot  # type: ignore[import-not-found]

    assert slot.names() == ()
    slot.extend("added_module")
    assert slot.names() == ("late",)


# -- binding -------------------------------------------------------------------------------------


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
        ("zzz", "no shape called 'zzz'; (known: box, circle, pile)"),
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


# -- calling -------------------------------------------------------------------------------------


def test_a_bound_function_has_its_options_and_nested_ones_are_functions() -> None:
    bound = shapes().bind({"name": "pile", "parts": ["circle", {"name": "circle", "radius": 3.0}]})
    assert function_of(bound)(2.0) == 2.0 + 6.0


def test_a_factory_is_called_with_context_and_nested_ones_are_built_first() -> None:
    slot: AnyRegistry = Registry("slot", params=("context",), packages=[])

    @slot.register()
    def leaf(context: str, *, size: int = 1) -> str:
        return f"{context}{size}"

    @slot.register()
    def tree(
        context: str,
        *,
        inner: Annotated[SlotEntry, slot.nested],
        named: Mapping[str, Annotated[SlotEntry, slot.nested]],
    ) -> object:
        return inner, dict(named)

    bound = slot.bind(
        {"name": "tree", "inner": "leaf", "named": {"a": {"name": "leaf", "size": 2}}}
    )
    assert build(bound, "x") == ("x1", {"a": "x2"})


def test_a_description_writes_every_default_out_and_binds_again() -> None:
    shape = shapes()
    entry = {"name": "pile", "parts": [{"name": "box", "sides": [1], "mode": "exact"}]}
    described = to_plain(shape.bind(entry))
    assert described == {
        "name": "pile",
        "parts": [
            {
                "name": "box",
                "sides": [1],
                "mode": "exact",
                "label": "",
                "folder": ".",
                "coef": 1.0,
            }
        ],
        "weights": {},
        "coef": 1.0,
    }
    assert to_plain(shape.bind(json.loads(json.dumps(described)))) == described


# -- JSON Schema ---------------------------------------------------------------------------------


def test_the_schema_is_valid_and_accepts_what_binds() -> None:
    schema = shapes().json_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for entry in (
        "circle",
        {"name": "circle", "radius": 2.0, "coef": 0.5},
        {"name": "circle", "radius": {"name": "linear", "start": 1, "end": 2, "steps": 3}},
        {"name": "box", "sides": [1, 2], "mode": "fast"},
        {"name": "pile", "parts": ["circle", {"name": "box", "sides": [1]}]},
    ):
        assert validator.is_valid(entry), entry
        shapes().bind(entry)


@pytest.mark.parametrize(
    "entry",
    [
        "box",  # has a required option
        "crcle",
        {"radius": 1.0},
        {"name": "circle", "radios": 1.0},
        {"name": "circle", "radius": 0},
        {"name": "circle", "radius": {"name": "linear", "start": 1}},
        {"name": "circle", "radius": {"name": "constant", "value": 1, "extra": 2}},
        {"name": "pile", "parts": []},
        {"name": "pile", "parts": [{"sides": 1}]},
    ],
)
def test_the_schema_refuses_what_does_not_bind(entry: object) -> None:
    validator = Draft202012Validator(shapes().json_schema())
    assert not validator.is_valid(entry)
    with pytest.raises(RecipeError):
        shapes().bind(entry)


def test_the_schema_carries_descriptions_for_editors() -> None:
    circle = shapes().json_schema()["$defs"]["circle"]
    assert circle["description"] == "A round thing."
    assert circle["properties"]["radius"]["description"] == "in metres"
    assert circle["properties"]["name"]["const"] == "circle"


def test_the_schema_of_schedules_is_valid_too() -> None:
    validator = Draft202012Validator(number.json_schema())
    assert validator.is_valid({"name": "piecewise", "values": [1, 2], "until": [3]})
    assert not validator.is_valid({"name": "piecewise", "values": [1, 2]})
    assert not validator.is_valid("constant")


# -- before a run ----------------------------------------------------------------------------------


def tools() -> tuple[AnyRegistry, list[str]]:
    """A registry whose functions note that they were made ready."""
    tool: AnyRegistry = Registry("tool", params=("x",), packages=[])
    seen: list[str] = []

    def sharpen(*, edge: str) -> None:
        if edge == "blunt":
            raise RecipeError.of("it is blunt", path="edge")
        seen.append(edge)

    @tool.register(tags=("sharp",), on_run_start=sharpen)
    def knife(x: float, *, edge: str = "steel") -> float:
        """Cuts."""
        return x

    @tool.register(tags=("heavy",), on_run_start=lambda *, inside: seen.append("box"))
    def box(x: float, *, inside: list[Annotated[SlotEntry, tool.nested]]) -> float:
        """Holds tools."""
        return x

    @tool.register()
    def cord(x: float) -> float:
        """Needs nothing."""
        return x

    return tool, seen


NESTED = {"name": "box", "inside": ["cord", {"name": "box", "inside": ["knife"]}]}


def test_what_is_inside_is_made_ready_first() -> None:
    tool, seen = tools()
    call_on_run_start(tool.bind(NESTED))
    assert seen == ["steel", "box", "box"]


def test_making_ready_may_be_refused() -> None:
    tool, seen = tools()
    with pytest.raises(RecipeError, match="it is blunt"):
        call_on_run_start(
            tool.bind({"name": "box", "inside": [{"name": "knife", "edge": "blunt"}]})
        )
    assert seen == []


def test_tags_are_those_of_everything_inside() -> None:
    tool, _ = tools()
    assert tags_of(tool.bind(NESTED)) == {"sharp", "heavy"}
    assert tags_of(tool.bind("cord")) == set()


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
