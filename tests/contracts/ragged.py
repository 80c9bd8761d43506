"""Random ragged batches, and every registered function of a slot to try on them.

A function that cannot be called with its defaults gives example options in its own test file:

    EXAMPLES = [{"length": 8}]          # tests/trainer/reductions/test_seq_mean_token_sum_norm.py

so a new function enters these tests without a change here.
"""

import dataclasses
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from torch import Tensor

from recipes.registry import Bound, Registry
from rollout.types import Status
from tests.builders import annotated, batch, output
from trainer.batch import TokenBatch
from trainer.outputs import PolicyOutput
from trainer.segments import group_mean

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

    bound: Bound

    @property
    def call(self) -> Callable[..., Any]:
        """The function, its options filled in."""
        return self._with_options(self.bound.entry.function)

    def prepared(self, of: TokenBatch, logprobs: Tensor) -> TokenBatch:
        """The batch as the trainer hands it over, after the function's own whole-minibatch pass."""
        prepare = self.bound.entry.prepare
        if prepare is None:
            return of
        return of.replace(prepared=self._with_options(prepare)(logprobs.detach(), of))

    def _with_options(self, function: Callable[..., Any]) -> Callable[..., Any]:
        accepted = inspect.signature(function).parameters
        options = {k: v for k, v in self.bound.options.items() if k in accepted}
        return lambda *arguments: function(*arguments, **options)


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


@st.composite
def batches(draw: st.DrawFn) -> TokenBatch:
    """Up to four groups of one to four samples, of zero to six sampled tokens in up to two turns.

    Binary or real rewards, often all equal in a group; every annotated field is filled. A part
    called `calls` holds small counts, `format` holds 0 or 1, `style` a real number.
    """
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    reward = draw(st.sampled_from([st.sampled_from([0.0, 1.0]), st.floats(-2, 2, width=16)]))
    length = st.one_of(st.integers(0, 6), st.lists(st.integers(1, 3), min_size=2, max_size=2))

    def rows(values: st.SearchStrategy[Any]) -> list[list[Any]]:
        return [draw(st.lists(values, min_size=n, max_size=n)) for n in sizes]

    rewards = rows(reward)
    built = batch(
        rewards,
        rows(length),
        prompts=draw(st.lists(st.integers(1, 3), min_size=len(sizes), max_size=len(sizes))),
        correct=[[r > 0 for r in row] for row in rewards],
        statuses=rows(st.sampled_from([Status.COMPLETED, Status.TRUNCATED_TOKENS])),
        parts={
            "calls": rows(st.integers(0, 2)),
            "format": rows(st.sampled_from([0.0, 1.0])),
            "style": rows(st.floats(-1, 1, width=16)),
        },
        seed=draw(st.integers(0, 99)),
    )
    seed = draw(st.integers(0, 99))
    noise = torch.randn(built.num_tokens, generator=torch.Generator().manual_seed(seed))
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


@st.composite
def shuffled(draw: st.DrawFn) -> tuple[TokenBatch, Tensor]:
    """A batch, and another order of its sequences."""
    of = draw(batches())
    return of, torch.tensor(draw(st.permutations(range(of.num_sequences))))


def relabelled(of: TokenBatch) -> TokenBatch:
    """The same groups under other, unordered numbers."""
    return of.replace(group_ids=(of.group_ids * 7919 + 5) % 104729)


def empty() -> TokenBatch:
    """A batch in which nothing was sampled."""
    return complete(batch([[1, 0], [0]], [[0, 0], [0]], parts={n: [[0, 1], [1]] for n in PARTS}))


PARTS = ("calls", "format", "style")


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
