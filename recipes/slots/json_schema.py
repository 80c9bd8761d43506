"""JSON Schema of recipe files as users write them: for completion, hover and checks in an editor.

A file may leave any key to those that it extends, and `null` clears what they set: so nothing is
required, and every setting may be null. A misspelt key, a value of a wrong type, and a number
beyond its bounds are refused at any depth. Each function is described once, wherever it is used.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic import create_model as build_model
from pydantic.json_schema import models_json_schema

from recipes.slots.registry import Registry
from recipes.slots.spec import ENTRY_OF, JSON

_NULL = {"type": "null"}
_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, _NULL]}
_ABOUT = {
    "extends": {"description": "Files below this one, the later over the earlier", **_TEXTS},
    "paper": {"description": "Link to the paper, or a list of links; not a setting", **_TEXTS},
    "description": {"description": "Purpose of the file; not a setting", **_TEXTS},
}


def files_schema(
    kinds: Mapping[str, type[BaseModel]], registries: Iterable[Registry[Any, Any]]
) -> dict[str, JSON]:
    """The schema of a file of one of the kinds, complete or to be extended."""
    slots = list(registries)
    entries = {r.slot: {f"{r.slot}-{entry.name}": entry for entry in r} for r in slots}
    models = {name: entry.schema for by_name in entries.values() for name, entry in by_name.items()}
    models |= kinds
    named = [_named(name, model) for name, model in models.items()]
    links, shared = models_json_schema([(model, "validation") for model in named])
    described: dict[str, JSON] = {name: _as_written(s) for name, s in shared["$defs"].items()}
    of_model = {
        name: links[model, "validation"]["$ref"].rpartition("/")[2]
        for name, model in zip(models, named, strict=True)
    }
    for registry in slots:
        functions = entries[registry.slot]
        for name, entry in functions.items():
            definition = described[of_model[name]]
            definition["description"] = entry.summary
            called = {"const": entry.name, "description": entry.summary}
            definition["properties"] = {"name": called, **definition["properties"]}
        described[_key(registry.slot)] = {
            "anyOf": [
                {"enum": list(registry.bare_names())},
                *({"$ref": f"#/$defs/{of_model[name]}"} for name in functions),
            ]
        }
    for kind in kinds:
        described[of_model[kind]]["properties"] |= _ABOUT
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "anyOf": [*({"$ref": f"#/$defs/{of_model[kind]}"} for kind in kinds), _NULL],
        "$defs": dict(sorted(described.items())),
    }


def _key(name: str) -> str:
    return name.replace(" ", "_")


def _named(name: str, model: type[BaseModel]) -> type[BaseModel]:
    """The same model under the name that its definition is to have."""
    return build_model(_key(name), __base__=model, __doc__=model.__doc__)


def _as_written(schema: JSON) -> JSON:
    """A part of a schema for part of a file: nothing required, and null for every setting."""
    if isinstance(schema, list):
        return [_as_written(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if ENTRY_OF in schema:
        about = {key: schema[key] for key in ("description", "default") if key in schema}
        return {"$ref": f"#/$defs/{_key(schema[ENTRY_OF])}", **about}
    written = {
        key: _as_written(value)
        for key, value in schema.items()
        if key not in ("title", "required", "properties", "default")
    }
    if "default" in schema:
        written["default"] = schema["default"]
    if "properties" in schema:
        written["properties"] = {
            name: _or_null(_as_written(inner)) for name, inner in schema["properties"].items()
        }
    return written


def _or_null(schema: dict[str, JSON]) -> dict[str, JSON]:
    if isinstance(schema.get("type"), str) and "enum" not in schema and "const" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    if "anyOf" in schema:
        return (
            schema if _NULL in schema["anyOf"] else {**schema, "anyOf": [*schema["anyOf"], _NULL]}
        )
    about: dict[str, JSON] = {k: schema[k] for k in ("description", "default") if k in schema}
    plain = {key: value for key, value in schema.items() if key not in about}
    return {**about, "anyOf": [plain, _NULL]} if plain else schema
