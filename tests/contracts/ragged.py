"""Random ragged batches, and every registered function of a slot to try on them.

A function that cannot be called with its defaults gives example options in its own test file:

    EXAMPLES = [{"length": 8}]          # tests/trainer/reductions/test_seq_mean_token_sum_norm.py

so a new function enters these tests without a change here.
"""

import dataclasses
import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from torch import Tensor

from recipes.slots.registry import Registry, SlotEntry, options_for
from rollout.types import Status
from tests.support.builders import annotated, batch, output
from trainer.batch import PolicyOutput, TokenBatch
from trainer.ops.segments import group_mean

ROOT = Path(__file__).resolve().parents[2]

quick = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@dataclass(frozen=True)
class Case:
    """A registered function with options that let it be called."""

    bound: SlotEntry

    @property
    def call(self) -> Callable[..., Any]:
        """The function, its options filled in."""
        return self._with_options(self.bound.entry.function)

    def with_stats(self, of: TokenBatch, logprobs: Tensor) -> TokenBatch:
        """The batch as the trainer hands it over, with the function's `minibatch_stats`."""
        function = self.bound.entry.minibatch_stats
        if function is None:
            return of
        of = of.replace(current_logprobs=logprobs.detach())
        return of.replace(minibatch_stats=self._with_options(function)(of))

    def _with_options(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return functools.partial(function, **options_for(function, self.bound.options))


def cases(registry: Registry[Any, Any], *, tag: str = "", without: str = "") -> list[Any]:
    """Every function of the slot, once for each of its example options.

    tag, without: only those registered with, or without, that tag
    """
    found = []
    for entry in registry:
        if (tag and tag not in entry.tags) or without in entry.tags:
            continue
        for number, options in enumerate(_examples(Path(entry.file))):
            case = Case(registry.bind({"name": entry.name, **options}))
            found.append(pytest.param(case, id=f"{entry.name}-{number}" if number else entry.name))
    return found


def _examples(file: Path) -> list[dict[str, Any]]:
    path = file.resolve().relative_to(ROOT)
    module = importlib.import_module(".".join(["tests", *path.parent.parts, f"test_{path.stem}"]))
    return list(vars(module).get("EXAMPLES", [{}]))


def batches() -> st.SearchStrategy[TokenBatch]:
    """Random batches by their seed; the first seeds hold the degenerate ones."""
    return st.integers(0, 199).map(random_batch)


@functools.cache
def random_batch(seed: int) -> TokenBatch:
    """Up to four groups of one to four samples, of zero to six sampled tokens in up to two turns.

    Binary or real rewards, often all equal in a group; every annotated field is filled. A component
    called `calls` holds small counts, `format` holds 0 or 1, `style` a real number.
    """
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 5, rng.integers(1, 5))
    binary = rng.random() < 0.5

    def rows(draw: Callable[[], Any]) -> list[list[Any]]:
        return [[draw() for _ in range(size)] for size in sizes]

    def length() -> int | list[int]:
        turns = rng.integers(1, 4, 2).tolist()
        return turns if rng.random() < 0.25 else int(rng.integers(0, 7))

    rewards = rows(lambda: float(rng.integers(0, 2)) if binary else round(rng.normal(), 2))
    if rng.random() < 0.3:
        rewards[0] = [rewards[0][0]] * len(rewards[0])
    built = batch(
        rewards,
        rows(length),
        prompts=rng.integers(1, 4, len(sizes)).tolist(),
        correct=[[r > 0 for r in row] for row in rewards],
        statuses=rows(lambda: rng.choice([Status.COMPLETED, Status.TRUNCATED_TOKENS])),
        components={
            "calls": rows(lambda: int(rng.integers(0, 3))),
            "format": rows(lambda: float(rng.integers(0, 2))),
            "style": rows(lambda: round(rng.normal(), 2)),
        },
        seed=seed,
    )
    noise = torch.from_numpy(rng.normal(size=built.num_tokens).astype(np.float32))
    drifted = (built.behavior_logprobs + 0.2 * noise).clamp(max=-1e-3) * built.action_mask
    return complete(built.replace(old_logprobs=drifted), seed=seed)


def complete(of: TokenBatch, *, seed: int = 0) -> TokenBatch:
    """Every field that a stage may need, filled."""
    return annotated(of.replace(pass_rates=group_mean(of.correct.float(), of)), seed=seed)


def policy(of: TokenBatch, *, shift: float = 0.0, logprobs: Tensor | None = None) -> PolicyOutput:
    """A policy with a critic of each kind; `shift` is how far it has drifted from the engine's."""
    bins = torch.randn((of.num_tokens, 11), generator=torch.Generator().manual_seed(0))
    out = output(of, shift=shift, logprobs=logprobs)
    return dataclasses.replace(out, value_logits=bins.requires_grad_())


def shuffled() -> st.SearchStrategy[tuple[TokenBatch, Tensor]]:
    """A batch, and another order of its sequences."""
    return st.integers(0, 199).map(lambda seed: (random_batch(seed), _order(seed)))


def _order(seed: int) -> Tensor:
    size = random_batch(seed).num_sequences
    return torch.randperm(size, generator=torch.Generator().manual_seed(seed + 1))


def relabelled(of: TokenBatch) -> TokenBatch:
    """The same groups under other, unordered numbers."""
    return of.replace(group_ids=(of.group_ids * 7919 + 5) % 104729)


def empty() -> TokenBatch:
    """A batch in which nothing was sampled."""
    return complete(
        batch([[1, 0], [0]], [[0, 0], [0]], components={n: [[0, 1], [1]] for n in COMPONENTS})
    )


def masked(of: TokenBatch) -> TokenBatch:
    """The batch when masks have let no token through."""
    nothing = torch.zeros_like(of.action_mask)
    return of.replace(
        train_mask=nothing,
        loss_weights=nothing.float(),
        term_weights=torch.zeros_like(of.term_weights),
    )


COMPONENTS = ("calls", "format", "style")


def snapshot(of: TokenBatch) -> dict[str, Tensor]:
    """Copies of every tensor of the batch."""
    return {name: value.clone() for name, value in of.tensors().items()}


def assert_unmodified(of: TokenBatch, before: dict[str, Tensor]) -> None:
    for name, value in of.tensors().items():
        assert torch.equal(value.nan_to_num(9e9), before[name].nan_to_num(9e9)), name


def assert_close(actual: Tensor, expected: Tensor, message: str = "") -> None:
    torch.testing.assert_close(
        actual, expected, rtol=1e-4, atol=1e-5, msg=lambda m: f"{message} {m}"
    )
