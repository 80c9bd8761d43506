"""Every preset on a smoke recipe: it explains all of itself, and it trains without a bad number."""

import math
from pathlib import Path

import pytest
from rich.console import Console
from transformers import AutoModelForTokenClassification, AutoTokenizer

from recipes.loading.recipe_tree import PACKAGE
from recipes.slots.registry import relative
from tests.support.runs import numbers, tiny_base
from trainer.commands.explain import explain_recipe, pipeline
from trainer.commands.train import run_training
from trainer.recipe.check import load_recipe

PRESETS = sorted(path.stem for path in (PACKAGE / "algorithms").glob("*.yaml"))
STEPS = 3
NEEDED = {  # what the preset's own comment asks to be set with the run
    "d3s": [f"selections.0.frac.steps={STEPS}", f"masks.0.frac.steps={STEPS}"],
    "dapo": ["shaping.0.limit=8", "shaping.0.buffer=4"],
    "dr_grpo": ["reduction.length=8"],
    "stratified_grpo": [
        "verifier={name: weighted, components: {digit: {name: format, pattern: '[0-4]'}}}",
        "advantage.by=digit",
    ],
    "top_entropy": ["shaping.0.limit=8", "shaping.0.buffer=4"],
    "vapo": ["critic.pretrain_steps=1"],
}
pytestmark = pytest.mark.parametrize("preset", PRESETS)


def laid_over_smoke(preset: str, folder: Path) -> tuple[str, list[str]]:
    """A recipe file, and the settings that it needs at this size."""
    file = folder / "run.yaml"
    file.write_text(f"extends: [smoke/grpo.yaml, algorithms/{preset}.yaml]\n")
    sets = ["group_size=8", "minibatches=2", f"steps={STEPS}", "checkpoint.every=0"]
    places = [f"model.path={folder / 'base'}", f"output={folder / 'run'}"]
    if preset == "dvpo":  # follows a value model that a run before it has trained
        places.append(f"critic.path={folder / 'values'}")
    return str(file), [*sets, *places, *NEEDED.get(preset, [])]


def random_values(base: Path, to: Path) -> None:
    """A value model with a random head."""
    AutoModelForTokenClassification.from_pretrained(base, num_labels=1).save_pretrained(to)
    AutoTokenizer.from_pretrained(base).save_pretrained(to)


def test_explain_names_every_function_with_its_line_and_paper(preset: str, tmp_path: Path):
    name, sets = laid_over_smoke(preset, tmp_path)
    console = Console(record=True, width=200, file=open("/dev/null", "w"))  # noqa: SIM115
    explain_recipe(name, sets, console)
    text = console.export_text()
    recipe, loaded = load_recipe(name, sets)
    assert loaded.papers
    for link in loaded.papers:
        assert f"paper: {link}" in text
    for path, bound in pipeline(recipe):
        place = f"{relative(bound.entry.file)}:{bound.entry.line}"
        [line] = [row for row in text.splitlines() if row.startswith(f"{path} ")]
        assert bound.name in line and place in line, path
        assert bound.entry.paper in text, path


@pytest.mark.slow
def test_a_few_steps_have_finite_numbers_and_a_gradient(preset: str, tmp_path: Path):
    name, sets = laid_over_smoke(preset, tmp_path)
    random_values(tiny_base(tmp_path / "base"), tmp_path / "values")
    assert run_training(name, sets, resume=False) == 0
    lines = dict(numbers(tmp_path / "run"))
    assert sorted(lines) == list(range(1, STEPS + 1))
    for step, metrics in lines.items():
        bad = {key: value for key, value in metrics.items() if not math.isfinite(value)}
        assert not bad, f"step {step}"
        assert not metrics.get("optim/skipped"), f"step {step}"
    # a policy may rest in single steps, while a critic learns
    assert any(metrics.get("optim/grad_norm", 0) > 0 for metrics in lines.values())
