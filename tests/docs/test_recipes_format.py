"""docs/recipes-format.md shows only what works."""

import re
import shlex
from pathlib import Path

import pytest

from recipes.loading.recipe_tree import load
from trainer.recipe.check import check
from trainer.recipe.config import read

PAGE = Path(__file__).parents[2] / "docs" / "recipes-format.md"
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
LINES = [line for _, text in BLOCKS for line in text.splitlines() if line.startswith("--set ")]
OVERRIDES = [line for line in LINES if not re.match(r"--set [^ ']+: ", line)]  # not the errors


def test_the_example_recipe_loads(tmp_path: Path) -> None:
    (recipe,) = [text for language, text in BLOCKS if text.startswith("# recipes/math/mine.yaml")]
    (tmp_path / "mine.yaml").write_text(recipe)
    loaded = load(tmp_path / "mine.yaml")
    assert loaded.tree["advantage"]["name"] == "grpo"
    assert loaded.tree["optimizer"]["lr"]["peak"] == 0.00002
    check(read(loaded), loaded)


@pytest.mark.parametrize("line", OVERRIDES)
def test_the_example_overrides_work(line: str, tmp_path: Path) -> None:
    (override,) = shlex.split(line, comments=True)[1:]
    (tmp_path / "mine.yaml").write_text(
        "advantage: grpo\nterms: [kl_k3]\nloss: {name: ppo_clip, clip_low: 0.1}\n"
    )
    before = load(tmp_path / "mine.yaml").tree
    assert load(tmp_path / "mine.yaml", [override]).tree != before


def test_the_page_has_examples_to_test() -> None:
    assert len(OVERRIDES) == 8
