"""The JSON Schema of a slot accepts what binds, and describes it for editors."""

import pytest
from jsonschema import Draft202012Validator

from recipes.errors import RecipeError
from recipes.slots.schedules import number
from tests.support.shapes import shapes


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
