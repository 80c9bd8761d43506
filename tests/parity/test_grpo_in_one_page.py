"""`docs/grpo_in_one_page.py`, which imports nothing of ours, gives the smoke recipe's gradient."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rewards.types import Problem, Verdict
from rollout.types import Group, Sample, Status
from tests.support.runs import ROOT, smoke, tiny_base
from trainer.algorithm import Algorithm
from trainer.batch import pack
from trainer.models.load import load_model
from trainer.policy.policy import Policy
from trainer.recipe.check import load_recipe

REWARDS = [[1.0, 0.0, 0.0, 0.5], [0.0, 0.0, 1.0, 0.0]]
LENGTHS = [[3, 5, 1, 4], [2, 2, 7, 6]]


def one_page():
    path = ROOT / "docs" / "grpo_in_one_page.py"
    spec = importlib.util.spec_from_file_location("grpo_in_one_page", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def drawn() -> list[Group]:
    """Two groups of four, of uneven lengths, with random tokens."""
    rng = np.random.default_rng(0)
    return [
        Group(
            problem=Problem(id=str(g), messages=(), answer=""),
            samples=tuple(
                sample(rng, length, reward, i)
                for i, (length, reward) in enumerate(zip(LENGTHS[g], rewards, strict=True))
            ),
            group_id=g,
        )
        for g, rewards in enumerate(REWARDS)
    ]


def sample(rng, length: int, reward: float, index: int) -> Sample:
    total = 4 + length
    acts = np.arange(total) >= 4
    return Sample(
        token_ids=rng.integers(5, 90, total).astype(np.int32),
        action_mask=acts,
        behavior_logprobs=np.zeros(total, dtype=np.float32),
        policy_version=np.where(acts, 0, -1).astype(np.int32),
        turn_ids=np.zeros(total, dtype=np.int32),
        role="policy",
        verdict=Verdict.scored(reward, correct=reward > 0),
        answer="",
        status=Status.COMPLETED,
        index=index,
    )


def recipes_gradient(base: Path, groups: list[Group]) -> dict[str, torch.Tensor]:
    recipe, _ = load_recipe("smoke/grpo", smoke(base, base / "run"))
    algorithm = Algorithm(recipe.slots, updates_per_step=recipe.minibatches)
    policy = Policy(recipe.model, recipe.optimizer, recipe.sharding, needs=algorithm.needs)
    algo = algorithm.at(0)
    batch = policy.annotate(pack(groups), algo.needs, algo.temperature)
    for stage in (algo.shape, algo.advantage, algo.mask, algo.correct, algo.reduce):
        batch = stage(batch)
    for micro in policy.split(batch, 16):
        policy.backward(algo.objective(policy.forward(micro, algo.temperature), micro).total)
    module = policy.weights().shared_module
    return {n: p.grad for n, p in module.named_parameters() if p.grad is not None}


@pytest.mark.slow
def test_the_page_and_the_recipe_give_the_same_gradient(tmp_path):
    base = tiny_base(tmp_path)
    groups = drawn()
    samples = [s for group in groups for s in group.samples]
    recipe, _ = load_recipe("smoke/grpo", smoke(base, base / "run"))
    model = load_model(recipe.model)
    model.set_attn_implementation("eager")
    theirs = one_page().grpo_gradient(
        model,
        [s.token_ids.tolist() for s in samples],
        [4] * len(samples),
        [s.verdict.reward for s in samples],
        group_size=4,
    )
    ours = recipes_gradient(base, groups)
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], atol=2e-6, rtol=1e-4, msg=name)
    assert max(gradient.abs().max() for gradient in ours.values()) > 1e-2
