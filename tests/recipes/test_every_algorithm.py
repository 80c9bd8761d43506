"""Every fragment of recipes/algorithms: it reads, passes the checks, and takes two updates."""

import dataclasses
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from recipes.errors import RecipeError
from recipes.loading.recipe_tree import PACKAGE, Loaded, load
from recipes.slots.registry import SlotEntry
from tests.contracts.ragged import complete, policy
from tests.support.builders import batch
from trainer.algorithm import Algorithm
from trainer.batch import TokenBatch
from trainer.recipe.check import check
from trainer.recipe.config import Recipe, read

FRAGMENTS = sorted((PACKAGE / "algorithms").glob("*.yaml"))

pytestmark = pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda path: path.stem)


def laid_over_smoke(fragment: Path, folder: Path) -> tuple[Recipe, Loaded]:
    """The fragment on the tiny recipe, with two updates a step and room for its schedules."""
    file = folder / "run.yaml"
    file.write_text(
        f"extends: [smoke/grpo.yaml, algorithms/{fragment.name}]\nminibatches: 2\nsteps: 100\n"
        "group_size: 8\n"
    )
    loaded = load(file)
    return read(loaded), loaded


def test_passes_the_checks_in_an_environment_of_several_turns(fragment: Path, tmp_path: Path):
    recipe, loaded = laid_over_smoke(fragment, tmp_path)
    entry = dataclasses.replace(recipe.environment.entry, tags=frozenset({"multi_turn"}))
    check(recipe.model_copy(update={"environment": SlotEntry(entry=entry)}), loaded)


def test_only_what_compares_turns_is_refused_in_an_environment_of_one(
    fragment: Path, tmp_path: Path
):
    recipe, loaded = laid_over_smoke(fragment, tmp_path)
    refusal = pytest.raises(RecipeError, match="stratified by turns equals grpo")
    with refusal if fragment.stem == "stratified_grpo" else nullcontext():
        check(recipe, loaded)


def test_names_its_paper_and_fills_the_three_slots_itself(fragment: Path, tmp_path: Path):
    loaded = load(fragment)
    assert loaded.papers
    assert {"advantage", "loss", "reduction"} <= set(loaded.tree)


def step_of_groups() -> TokenBatch:
    """Four groups of eight, one of them all wrong, of ragged lengths and an off-policy past."""
    right = [[1, 0, 0, 1, 0, 1, 0, 0], [1, 1, 1, 0, 1, 1, 0, 1], [0] * 8, [0, 0, 1, 0, 0, 0, 0, 0]]
    lengths = [[(3 * i + 5 * g) % 6 for i in range(8)] for g in range(4)]
    of = batch([[float(c) for c in row] for row in right], lengths)
    noise = torch.randn(of.num_tokens, generator=torch.Generator().manual_seed(0))
    drifted = (of.behavior_logprobs + 0.2 * noise).clamp(max=-1e-3) * of.action_mask
    return complete(of.replace(old_logprobs=drifted))


def test_two_updates_have_a_finite_gradient(fragment: Path, tmp_path: Path):
    recipe, _ = laid_over_smoke(fragment, tmp_path)
    algo = Algorithm(recipe.slots, updates_per_step=2).at(50)
    data = step_of_groups()
    for stage in (algo.shape, algo.advantage, algo.select, algo.mask, algo.correct):
        data = stage(data)
    for minibatch in data.minibatches(2, seed=0):
        out = policy(minibatch, shift=0.2)
        minibatch = algo.reduce(minibatch).replace(current_logprobs=out.logprobs.detach())
        minibatch = algo.minibatch_stats(minibatch)
        result = algo.objective(out, minibatch)
        result.total.backward()
        assert bool(result.total.isfinite())
        assert bool(out.logprobs.grad.isfinite().all())
        assert bool(out.logprobs.grad.any())
