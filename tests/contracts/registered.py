"""Every function of a rollout slot as a recipe entry, with options that let it be called.

A function that cannot do without options gives examples in its own test file:

    EXAMPLES = [{"size": 4}]            # tests/rollout/sources/test_sums.py

so a new function enters the contracts without a change here.
"""

import importlib
from pathlib import Path
from typing import Any

import pytest

from recipes.slots.registry import Registry

ROOT = Path(__file__).resolve().parents[2]


def entries(registry: Registry[Any, Any]) -> list[Any]:
    """`{name, options}` of every function of the slot, once for each of its examples."""
    found = []
    for known in registry:
        path = Path(known.file).resolve().relative_to(ROOT)
        test = ".".join(["tests", *path.parent.parts, f"test_{path.stem}"])
        examples = vars(importlib.import_module(test)).get("EXAMPLES", [{}])
        for number, options in enumerate(examples):
            label = f"{known.name}-{number}" if number else known.name
            found.append(pytest.param({"name": known.name, **options}, id=label))
    return found
