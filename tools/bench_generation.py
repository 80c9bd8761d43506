"""Generation alone: the embedded engine against transformers' own `generate`, same prompts."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import torch

from recipes.slots.registry import build
from rollout.engines import engine
from rollout.generation import Engine, EngineContext
from rollout.render import ChatRenderer
from rollout.types import Sampling
from tools.bench_arms import Step, Work, ordered_problems
from trainer.models.load import load_tokenizer
from trainer.recipe.config import Recipe

Generate = Callable[[list[list[int]], int], int]
"""(prompts, seed) -> sampled tokens, end tokens included."""


def prompts_of(recipe: Recipe) -> list[list[int]]:
    """The prompts of the first step."""
    renderer = ChatRenderer(load_tokenizer(recipe.model))
    problems = ordered_problems(recipe)[: recipe.groups_per_step]
    return [renderer.prompt_ids(problem.messages) for problem in problems]


def engine_hf(work: Work, recipe: Recipe) -> Generate:
    """All prompts at once, the group's samples sharing their prompt; log-probs are computed too."""
    context = EngineContext(
        folder=work.base,
        dtype="float32",
        context_length=recipe.model.context_length,
        stop_ids=ChatRenderer(load_tokenizer(recipe.model)).stop_ids,
        seed=work.seed,
    )
    sampler: Engine = build(engine.bind("hf"), context)

    def generate(prompts: list[list[int]], seed: int) -> int:
        async def all_of_them() -> int:
            calls = [
                sampler.generate(
                    prompt,
                    Sampling(max_tokens=longest(recipe), seed=seed * 1000 + i),
                    recipe.group_size,
                )
                for i, prompt in enumerate(prompts)
            ]
            groups = await asyncio.gather(*calls)
            return sum(len(c.token_ids) for group in groups for c in group)

        return asyncio.run(all_of_them())

    return generate


def transformers_generate(work: Work, recipe: Recipe) -> Generate:
    """One left-padded batch, each prompt once for each sample, dynamic cache, sdpa."""
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(work.base, dtype=torch.float32).eval()
    tokenizer = load_tokenizer(recipe.model)
    stops = torch.tensor(ChatRenderer(tokenizer).stop_ids)

    @torch.inference_mode()
    def generate(prompts: list[list[int]], seed: int) -> int:
        torch.manual_seed(seed)
        width = max(map(len, prompts))
        rows = [p for p in prompts for _ in range(recipe.group_size)]
        ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(p)) + p for p in rows])
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in rows])
        output = model.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            max_new_tokens=longest(recipe),
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=stops.tolist(),
        )
        new = output[:, width:]
        ended = torch.isin(new, stops).cumsum(1)
        return int((ended == 0).sum() + (ended > 0).any(1).sum())

    return generate


def longest(recipe: Recipe) -> int:
    """Most new tokens of a sample."""
    limit = recipe.sampling.max_tokens
    assert isinstance(limit, int), "the benchmark's recipe has no schedule here"
    return limit


def timed(generate: Generate, prompts: list[list[int]], seed: int) -> Step:
    """One round of generation."""
    cpu, wall = time.process_time(), time.perf_counter()
    tokens = generate(prompts, seed)
    spent, passed = time.process_time() - cpu, time.perf_counter() - wall
    return Step(cpu_s=spent, wall_s=passed, tokens=float(tokens), positions=0.0)
