"""Settings that cannot be meant are refused when the recipe is read, with their line.

Every number of every kind of recipe and of every registered function has two bounds: the walk below
finds them in the JSON Schemas, names those without, and tries values beyond both.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, ValidationError, create_model

from recipes.errors import RecipeError
from recipes.loading.validate import faults_of
from recipes.slots.registry import Registry
from recipes.slots.spec import Scheduled, Spec
from tools.docs_slots import SLOTS
from trainer.recipe.check import load_recipe
from trainer.recipe.kinds import KINDS

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class NumericOption:
    """A number in a recipe, by its dotted path; `*` is any key and `0` any index."""

    path: str
    lower: float | None  # the last value that is accepted, or the first that is refused
    upper: float | None


def numbers(schema: Schema, path: str, definitions: Schema) -> Iterator[NumericOption]:
    """Every number that the schema describes; entries of slots are walked by themselves."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    properties = schema.get("properties", {})
    if "enum" in schema or "const" in schema:
        return
    if schema.get("type") in ("integer", "number"):
        lower = max(
            (schema[k] for k in ("minimum", "exclusiveMinimum") if k in schema), default=None
        )
        upper = min(
            (schema[k] for k in ("maximum", "exclusiveMaximum") if k in schema), default=None
        )
        yield NumericOption(path, lower, upper)
    for name, inner in properties.items():
        yield from numbers(inner, f"{path}.{name}".lstrip("."), definitions)
    for word, step in (("items", "0"), ("additionalProperties", "*")):
        if isinstance(schema.get(word), Mapping):
            yield from numbers(schema[word], f"{path}.{step}", definitions)
    for word in ("anyOf", "oneOf", "prefixItems"):
        for inner in schema.get(word, ()):
            yield from numbers(inner, path, definitions)


def of_model(model: type[BaseModel]) -> list[NumericOption]:
    schema = model.model_json_schema()
    return list(dict.fromkeys(numbers(schema, "", schema.get("$defs", {}))))


MODELS: dict[str, type[BaseModel]] = {
    **{f"temper {command}": model for command, model in KINDS.items()},
    **{f"{s.registry.slot} {e.name}": e.schema for s in SLOTS for e in s.registry},
}
REGISTRIES: dict[str, Registry[Any, Any]] = {s.registry.slot: s.registry for s in SLOTS}


def without_bounds(model: type[BaseModel]) -> list[str]:
    return [option.path for option in of_model(model) if None in (option.lower, option.upper)]


def holding(path: str, value: float) -> Any:
    """Plain settings in which `value` is at `path`; three of it where it is in a list."""
    for step in reversed(path.split(".")):
        value = [value] * 3 if step == "0" else {"any" if step == "*" else step: value}  # type: ignore[assignment]
    return value


def refused(owner: str, model: type[BaseModel], settings: Any) -> list[str]:
    """The paths of the faults of these settings, as a user reads them."""
    slot, _, name = owner.rpartition(" ")
    try:
        if slot in REGISTRIES:
            REGISTRIES[slot].bind({"name": name, **settings})
        else:
            model.model_validate(settings)
    except RecipeError as error:
        return [fault.path for fault in error.faults]
    except ValidationError as error:
        return [fault.path for fault in faults_of(error, Spec)]
    return []


def accepted_beyond(owner: str, model: type[BaseModel], option: NumericOption) -> list[float]:
    """Values beyond a bound of the option that are not refused at its path."""
    at = option.path.replace("*", "any")
    places = {at, at.removesuffix(".0"), at.replace(".0", ".1"), at.replace(".0", ".2")}
    assert option.lower is not None and option.upper is not None
    beyond = (option.lower - 1, option.upper + 1, -(10**12), 10**12)
    return [
        value
        for value in beyond
        if not places & {*refused(owner, model, holding(option.path, value))}
    ]


@pytest.mark.parametrize("owner", MODELS)
def test_every_number_has_two_bounds_and_is_refused_beyond_them(owner: str) -> None:
    assert without_bounds(MODELS[owner]) == []
    accepted = {o.path: accepted_beyond(owner, MODELS[owner], o) for o in of_model(MODELS[owner])}
    assert {path: values for path, values in accepted.items() if values} == {}


def test_the_walk_reaches_numbers_at_any_depth() -> None:
    found = {owner: {option.path for option in of_model(model)} for owner, model in MODELS.items()}
    assert "watch.bounds.0.max_growth" in found["temper train"]
    assert "critic.optimizer.betas.0" in found["temper train"]
    assert "pairs.factors.0.margin" in found["temper reward"]
    assert "levels.*.0" in found["verifier ranked"]
    assert "until.0" in found["schedule piecewise"]
    assert sum(len(options) for options in found.values()) > 280


def test_a_number_without_a_bound_is_named() -> None:
    loose = create_model(
        "loose",
        plain=(int, 0),
        above=(Annotated[float, Field(gt=0)], 1.0),
        inside=(list[dict[str, float | None]], []),
        bounded=(Annotated[Scheduled, Field(ge=0)], 1.0),
        flag=(bool, False),
    )
    assert without_bounds(loose) == ["plain", "above", "inside.0.*"]


@pytest.mark.parametrize("value", [1e30, 2147483648, -1])
@pytest.mark.parametrize(
    "path",
    ["checkpoint.every", "optimizer.eps", "sharding.timeout_s", "model.lora.rank", "minibatches"],
)
def test_a_typing_mistake_is_refused_by_the_recipe(path: str, value: float) -> None:
    with pytest.raises(RecipeError, match=path):
        load_recipe("smoke/grpo", [f"{path}={value:.0f}"])


@pytest.mark.parametrize(
    "setting",
    [
        *("seed=-1", "seed=1180591620717411303424", "seed=4294967296"),
        *("sampling.temperature=.inf", "sampling.temperature=1e9", "sampling.temperature=-1"),
        *("optimizer.lr=2147483648", "optimizer.lr=-1e-5", "group_size=65536", "steps=10000000000"),
        "optimizer.lr={name: linear, start: 100.0, end: 0.0, steps: 2}",
        *("loggers=[{name: jsonl, file: ..}]", "loggers=[{name: jsonl, file: .}]"),
        *("loggers=[{name: jsonl, file: a/b}]", "loggers=[{name: jsonl, file: ''}]"),
        "engine={name: vllm_server, urls: ['http://']}",
        "engine={name: vllm_server, urls: ['http://a b']}",
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(setting: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("smoke/grpo", [setting])
    assert str(caught.value).startswith("--set ")


@pytest.mark.parametrize(
    "setting",
    ["seed=4294967295", "sampling.temperature=100.0", "optimizer.lr=0.5", "group_size=65535"],
)
def test_a_setting_at_its_bound_is_accepted(setting: str) -> None:
    load_recipe("smoke/grpo", [setting])


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000", "https://serve-1:8100/v1", "http://[::1]:80"]
)
def test_an_address_with_a_host_is_accepted(url: str) -> None:
    load_recipe("smoke/grpo", [f"engine={{name: vllm_server, urls: ['{url}']}}"])
