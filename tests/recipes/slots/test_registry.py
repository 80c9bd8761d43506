"""A slot: the signature is the schema, the function's name is the recipe's name."""

import sys
from pathlib import Path
from typing import Any

import pytest

from recipes.slots.registry import (
    Registry,
)
from tests.support.shapes import AnyRegistry, shapes


def test_what_is_known_of_a_function() -> None:
    entry = shapes().get("circle")
    assert entry.slot == "shape"
    assert entry.summary == "A round thing."
    assert entry.paper == "https://a"
    assert entry.tags == {"round"}
    assert entry.numbers == {"radius"}
    assert entry.schema.model_fields["radius"].default == 1.0
    assert entry.schema.model_fields["radius"].description == "in metres"
    assert Path(entry.file).name == "shapes.py"
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
