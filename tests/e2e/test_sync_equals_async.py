"""`max_staleness: 0` is synchronous training: a loop written out by hand gives the same weights."""

import asyncio
from pathlib import Path

import pytest
import torch

from recipes.slots.registry import build, function_of
from rollout.collector.collector import derive_seed
from rollout.environments import RolloutContext
from rollout.generation import EngineContext
from rollout.problems import load_problems
from rollout.render import ChatRenderer
from rollout.types import Group, Sampling
from tests.support.runs import smoke, tiny_base
from trainer.algorithm import Algorithm
from trainer.batch import pack
from trainer.loop import train
from trainer.models.load import load_tokenizer
from trainer.policy.policy import Policy
from trainer.recipe.check import load_recipe
from trainer.run.compose import compose

STEPS = 3


async def by_hand(base: Path, output: Path) -> dict[str, torch.Tensor]:
    """The same recipe without collector, buffer, ledger, publisher or run."""
    recipe, _ = load_recipe("smoke/grpo", smoke(base, output, steps=STEPS, minibatches=2))
    algorithm = Algorithm(recipe.slots, updates_per_step=recipe.minibatches)
    policy = Policy(recipe.model, recipe.optimizer, recipe.sharding, needs=algorithm.needs)
    renderer = ChatRenderer(load_tokenizer(recipe.model))
    context = EngineContext(
        folder=policy.folder,
        dtype="float32",
        context_length=recipe.model.context_length,
        stop_ids=renderer.stop_ids,
        seed=0,
    )
    engine = build(recipe.engine, context)
    play = function_of(recipe.environment)
    rollout = RolloutContext(engine=engine, renderer=renderer, verify=function_of(recipe.verifier))
    problems = build(recipe.sampler, load_problems(recipe.problems), 0)
    await engine.load_weights(policy.weights(), 0)
    issued = 0
    for step in range(STEPS):
        algo = algorithm.at(step)

        async def group(problem, group_id):
            sampling = Sampling(max_tokens=8, seed=derive_seed(0, group_id))
            samples = await play(problem, rollout, sampling, recipe.group_size)
            return Group(problem=problem, samples=tuple(samples), group_id=group_id)

        chosen = problems.next(recipe.groups_per_step)
        groups = await asyncio.gather(*(group(p, issued + i) for i, p in enumerate(chosen)))
        issued += len(chosen)
        batch = policy.annotate(pack(groups), algo.needs, algo.temperature)
        batch = algo.advantage(batch).replace(train_mask=batch.action_mask)
        batch = algo.correct(batch)
        for minibatch in batch.minibatches(2, seed=step):
            for micro in policy.split(algo.reduce(minibatch), recipe.max_tokens_per_microbatch):
                out = policy.forward(micro, algo.temperature)
                policy.backward(algo.objective(out, micro).total)
            policy.step(algo.lr)
        await engine.load_weights(policy.weights(), step + 1)
    await engine.close()
    return weights_of(policy)


def by_the_loop(base: Path, output: Path) -> dict[str, torch.Tensor]:
    sets = smoke(base, output, steps=STEPS, minibatches=2, probe__prompts=0, max_staleness=0)
    recipe, loaded = load_recipe("smoke/grpo", sets)
    run = compose(recipe, loaded, resume=False)

    async def through() -> None:
        await train(run)
        await run.close()

    asyncio.run(through())
    return weights_of(run.policy)


def weights_of(policy: Policy) -> dict[str, torch.Tensor]:
    module = policy.weights().shared_module
    return {name: p.detach().clone() for name, p in module.named_parameters()}


@pytest.mark.slow
def test_staleness_zero_equals_a_loop_written_by_hand_to_the_bit(tmp_path):
    base = tiny_base(tmp_path / "base")
    start = weights_of(fresh(base, tmp_path))
    hand = asyncio.run(by_hand(base, tmp_path / "hand"))
    loop = by_the_loop(base, tmp_path / "loop")
    assert [name for name in hand if not torch.equal(hand[name], loop[name])] == []
    assert any(not torch.equal(start[name], loop[name]) for name in start), "nothing was learned"


def fresh(base: Path, folder: Path) -> Policy:
    recipe, _ = load_recipe("smoke/grpo", smoke(base, folder / "fresh"))
    return Policy(recipe.model, recipe.optimizer, recipe.sharding)
