"""The JSON Schema of a slot accepts entries as files hold them, and describes them for editors."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from recipes.slots.json_schema import files_schema
from recipes.slots.schedules import number
from tests.support.shapes import shapes


def definitions() -> dict[str, Any]:
    schema = files_schema({}, [shapes(), number])
    Draft202012Validator.check_schema(schema)
    return schema["$defs"]


def accepts(slot: str, entry: object) -> bool:
    schema = {"$ref": f"#/$defs/{slot}", "$defs": definitions()}
    return Draft202012Validator(schema).is_valid(entry)


@pytest.mark.parametrize(
    "entry",
    [
        "circle",
        {"name": "circle", "radius": 2.0, "coef": 0.5},
        {"name": "circle", "radius": {"name": "linear", "start": 1, "end": 2, "steps": 3}},
        {"name": "box", "sides": [1, 2], "mode": "fast"},
        {"name": "pile", "parts": ["circle", {"name": "box", "sides": [1]}]},
    ],
)
def test_the_schema_accepts_what_binds(entry: Any) -> None:
    assert accepts("shape", entry)
    shapes().bind(entry)


@pytest.mark.parametrize(
    "entry",
    [
        {"radius": 1.0},  # over an entry of a file that is extended
        {"name": "box"},  # its sides are set there
        {"name": "circle", "radius": None},  # as if it had never been set there
        {"radius": {"end": 3.0}},
    ],
)
def test_the_schema_accepts_a_part_that_is_merged_into_an_entry(entry: object) -> None:
    assert accepts("shape", entry)


@pytest.mark.parametrize(
    "entry",
    [
        "box",  # has a required option
        "crcle",
        {"name": "crcle"},
        {"name": "circle", "radios": 1.0},
        {"radios": 1.0},
        {"name": "box", "radius": 1.0},
        {"name": "circle", "radius": 0},
        {"name": "circle", "radius": "2"},
        {"name": "circle", "radius": {"name": "linear", "begin": 1}},
        {"name": "circle", "radius": {"name": "constant", "value": 1, "extra": 2}},
        {"name": "pile", "parts": []},
        {"name": "pile", "parts": [{"side": 1}]},
    ],
)
def test_the_schema_refuses_a_misspelt_key_and_a_wrong_value(entry: object) -> None:
    assert not accepts("shape", entry)


def test_the_schema_carries_descriptions_for_editors() -> None:
    circle = definitions()["shape-circle"]
    assert circle["description"] == "A round thing."
    assert circle["properties"]["radius"]["description"] == "in metres"
    assert circle["properties"]["radius"]["default"] == 1.0
    assert circle["properties"]["name"] == {"const": "circle", "description": "A round thing."}


def test_a_function_without_required_options_may_be_a_bare_word() -> None:
    assert accepts("schedule", {"name": "piecewise", "values": [1, 2], "until": [3]})
    assert not accepts("schedule", "constant")
