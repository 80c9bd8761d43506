"""Every shipped recipe loads, checks and explains; every fragment completes a smoke recipe."""

import pytest
from rich.console import Console

from recipes.loading.recipe_tree import PACKAGE, load
from trainer.commands.explain import explain_recipe
from trainer.recipe.check import check, load_recipe
from trainer.recipe.config import read

RUNS = sorted(
    path.relative_to(PACKAGE).as_posix()
    for path in PACKAGE.rglob("*.yaml")
    if path.parent.name in {"math", "gym", "smoke", "code", "agents"} or path.stem == "quickstart"
)
TRAINING = [name for name in RUNS if not name.endswith("_sft.yaml") and "reward" not in name]
FRAGMENTS = sorted(
    path.relative_to(PACKAGE).as_posix() for path in (PACKAGE / "algorithms").glob("*.yaml")
)


def test_there_are_recipes_to_test():
    assert "quickstart.yaml" in TRAINING
    assert "math/math_qwen2.5_32b_4x8gpu.yaml" in TRAINING
    assert "algorithms/grpo.yaml" in FRAGMENTS


@pytest.mark.parametrize("name", TRAINING)
def test_the_recipe_checks(name):
    load_recipe(name, [])


@pytest.mark.parametrize("name", TRAINING)
def test_the_recipe_explains_every_function_with_its_file(name):
    console = Console(record=True, width=200, file=open("/dev/null", "w"))  # noqa: SIM115
    explain_recipe(name, [], console)
    text = console.export_text()
    recipe, _ = load_recipe(name, [])
    assert f"{recipe.advantage.name}" in text
    assert f"trainer/advantages/{recipe.advantage.name}.py:" in text
    assert "default" in text and f"recipes/{name}" in text


@pytest.mark.parametrize("name", FRAGMENTS)
def test_the_fragment_completes_a_smoke_recipe(name, tmp_path):
    file = tmp_path / "run.yaml"
    text = (PACKAGE / "smoke" / "grpo.yaml").read_text()
    file.write_text(text.replace("algorithms/grpo.yaml", name))
    sets = ["group_size=8", "minibatches=2", "steps=200"]
    if "stratified" in name:  # by turns it needs an environment of several
        sets += ["advantage.by=calls"]
    loaded = load(file, sets)
    assert loaded.papers, f"{name} names no paper"
    check(read(loaded), loaded)
