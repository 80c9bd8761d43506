"""`recipes/schema.json`: every shipped file is valid as it is written, and mistakes are not."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from recipes.loading.yaml_nodes import parse
from tests.support.language_server import ROOT, language_server
from trainer.commands.cli import app

FILES = sorted([*ROOT.glob("recipes/**/*.yaml"), *ROOT.glob("eval/suites/*.yaml")])
SCHEMA = ROOT / "recipes" / "schema.json"
FREE = {"config"}  # options of a reasoning-gym task, which the task itself checks


@cache
def validator() -> Draft202012Validator:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def plain(text: str) -> Any:
    return parse(text, "file", "recipe").plain()


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def mutants(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The tree with one key misspelt, and with one value of a type that nothing takes."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            here = f"{path}.{key}"
            others = {k: v for k, v in tree.items() if k != key}
            yield f"{here} misspelt", {**others, f"{key}x": value}
            if key not in FREE:
                yield from ((where, {**tree, key: bad}) for where, bad in mutants(value, here))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            for where, bad in mutants(value, f"{path}.{index}"):
                yield where, [*tree[:index], bad, *tree[index + 1 :]]
    else:
        yield f"{path}: a mapping", {"nothing_is_called_so": tree}
        yield f"{path}: a list", [[tree]]
        yield f"{path}: the other kind", 3 if isinstance(tree, str) else f"{tree}"


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_shipped_file_is_valid_as_written_and_each_mistake_in_it_is_not(file: Path) -> None:
    tree = plain(file.read_text(encoding="utf-8"))
    assert [error.message for error in validator().iter_errors(tree)] == []
    made = list(mutants(tree))
    assert len(made) > 4
    assert [where for where, bad in made if validator().is_valid(bad)] == []


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_shipped_file_names_the_schema_for_editors(file: Path) -> None:
    first = file.read_text(encoding="utf-8").splitlines()[0]
    before, equals, path = first.partition("=")
    assert before + equals == "# yaml-language-server: $schema="
    assert (file.parent / path).resolve() == SCHEMA


@pytest.mark.parametrize(
    "text",
    [
        "extends: algorithms/grpo.yaml\nadvantage: {std_normalize: false}",
        "extends: [algorithms/ppo.yaml]\ncritic: null\nterms: []",
        "extends: mine.yaml\nloss: {clip_low: null}\noptimizer: {lr: {steps: 50}}",
        "advantage: rloo",
        "optimizer: {lr: {name: warmup, peak: 2e-5, warmup_steps: 10, end: 0.0, steps: 200}}",
        "sampling: {max_tokens: {name: linear, start: 100, end: 500, steps: 20}}",
        "verifier: {name: weighted, components: {a: math_equal, b: {name: format, pattern: x}}}",
        "evaluate: [{suite: sums, overrides: {name: mine, k: [1]}}]",
        "paper: [https://a, https://b]\ndescription: two papers",
        "{}",
        "",
    ],
)
def test_a_part_of_a_recipe_is_valid(text: str) -> None:
    assert [error.message for error in validator().iter_errors(plain(text))] == []


@pytest.mark.parametrize(
    "text",
    [
        "extends: 3",
        "advantage: rlo",
        "advantage: {std_normalise: false}",
        "optimizer: {lr: {name: warmup, peak: 2e-5, warmup: 10}}",
        "optimizer: {lr: 1e30}",
        "minibatches: 2147483648",
        "verifier: {name: weighted, components: {a: math_equal, b: {name: format, regex: x}}}",
        "evaluate: [{suite: sums, overrides: {nmae: mine}}]",
        "group_size: 8\nbatch_size: 64",  # of `temper train`, and of `temper sft`
        "- a list",
    ],
)
def test_a_mistake_is_refused(text: str) -> None:
    assert not validator().is_valid(plain(text))


def test_the_command_prints_the_committed_file() -> None:
    printed = CliRunner().invoke(app, ["schema"])
    assert printed.exit_code == 0
    assert printed.stdout == SCHEMA.read_text(encoding="utf-8")


def test_the_schema_is_small_and_describes_every_setting() -> None:
    text = SCHEMA.read_text(encoding="utf-8")
    assert len(text) < 300_000
    sections = json.loads(text)["$defs"]
    assert sections["loss-ppo_clip"]["properties"]["clip_low"]["description"]
    assert sections["train"]["properties"]["steps"]["description"]


@pytest.mark.slow
def test_the_language_server_of_editors_finds_the_schema_and_uses_it() -> None:
    with language_server() as server:
        found = {name_of(f): server.mistakes(f, f.read_text(encoding="utf-8")) for f in FILES}
        assert {name: mistakes for name, mistakes in found.items() if mistakes} == {}

        line = "# yaml-language-server: $schema=schema.json\n"
        file = ROOT / "recipes" / "not_there.yaml"
        assert server.mistakes(file, line + "advantage: {name: grpo, std_normalise: false}\n") == [
            "Property std_normalise is not allowed."
        ]
        assert server.mistakes(file, line + "groups_per_stepp: 3\n") == [
            "Property groups_per_stepp is not allowed."
        ]
        assert server.mistakes(file, line + "steps: many\n") != []

        text = line + "loss:\n  name: ppo_clip\n  \n"
        assert {"clip_low", "clip_high"} <= server.completions(file, text, 3, 2)
        assert {"grpo", "rloo"} <= server.completions(file, line + "advantage: \n", 1, 11)
