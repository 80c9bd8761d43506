"""Weights -> engine, versioned, then the probe.

The probe draws a few tokens for a few fixed prompts from the engine and asks the trainer for the
log-probs of the same tokens. Both claim to be the same policy; the gap says how far they are
apart. Stale, half-loaded or re-ordered weights are silent everywhere else and loud here.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from rewards.types import Problem, Verdict
from rollout.generation import Engine, WeightSource
from rollout.types import Completion, Group, Sample, Sampling, Status
from trainer.batch import TokenBatch, pack
from trainer.metrics import AnyMetric, Max, Mean
from trainer.parallel.rank_zero import on_main
from trainer.recipe.monitoring import ProbeSpec


class ProbeFailed(Exception):
    """Engine and trainer disagree: training on would learn from another policy's samples."""


class ProbePolicy(Protocol):
    """What publishing needs of the policy."""

    @property
    def is_main(self) -> bool: ...
    def weights(self) -> WeightSource: ...
    def annotate(
        self, batch: TokenBatch, needs: frozenset[str], temperature: float
    ) -> TokenBatch: ...
    def broadcast(self, value: Any) -> Any: ...


class Publisher:
    """Hands the policy's weights to the engine and checks that they arrived.

    engine: on rank 0; None on the others, which take part in gathering and in the probe
    """

    def __init__(
        self,
        policy: ProbePolicy,
        engine: Engine | None,
        prompts: Sequence[tuple[int, ...]],
        spec: ProbeSpec,
    ) -> None:
        self._policy = policy
        self._engine = engine
        self._prompts = prompts[: spec.prompts]
        self._spec = spec

    async def __call__(self, version: int, temperature: float) -> dict[str, AnyMetric]:
        """Publish as `version`; returns the probe's metrics. Raises ProbeFailed.

        temperature: of the probe's samples, and of the log-probs that they are compared with
        """
        weights = self._policy.weights()
        await on_main(self._policy, lambda: self._load(weights, version))
        if not self._prompts:
            return {}
        drawn = await on_main(self._policy, lambda: self._draw(temperature))
        batch = pack(
            [_as_group(p, c, i) for i, (p, c) in enumerate(zip(self._prompts, drawn, strict=True))]
        )
        batch = self._policy.annotate(batch, frozenset({"old_logprobs"}), temperature)
        gap = (batch.old_logprobs - batch.behavior_logprobs)[batch.action_mask].abs()
        mean = float(gap.mean()) if gap.numel() else 0.0
        if not mean <= self._spec.max_gap:  # also true for NaN
            raise ProbeFailed(
                f"after publishing version {version}, engine and trainer differ by {mean:.4f} nats "
                f"a token (largest {float(gap.max()):.4f}; allowed {self._spec.max_gap}): the "
                "engine does not sample from the trainer's weights. Likely causes: weights that "
                "did not arrive (tied head, merged adapter), a stale prefix cache, another dtype "
                "or top_p than the trainer assumes. Set probe.max_gap only after ruling these out"
            )
        return {"probe/gap_mean": Mean.over(gap), "probe/gap_max": Max.over(gap)}

    async def _load(self, weights: WeightSource, version: int) -> None:
        assert self._engine is not None, "the first rank has the engine"
        await self._engine.load_weights(weights, version)

    async def _draw(self, temperature: float) -> list[Completion]:
        assert self._engine is not None, "the first rank has the engine"
        sampling = Sampling(max_tokens=self._spec.tokens, temperature=temperature, seed=20_000)
        drawn: list[Completion] = []
        for prompt in self._prompts:
            drawn += await self._engine.generate(prompt, sampling, 1)
        if any(len(completion.token_ids) == 0 for completion in drawn):
            raise ProbeFailed(
                "the engine returned an empty completion for a probe: the prompt fills the "
                "context; raise model.context_length or lower problems.max_prompt_tokens"
            )
        return drawn


def _as_group(prompt: Sequence[int], completion: Completion, group_id: int) -> Group:
    """A completion as a group of one, so that the probe takes the same road as training."""
    ids = torch.tensor([*prompt, *completion.token_ids.tolist()], dtype=torch.int32).numpy()
    blank = len(prompt)
    logprobs = torch.zeros(len(ids)).numpy()
    logprobs[blank:] = completion.logprobs
    versions = torch.full((len(ids),), -1, dtype=torch.int32).numpy()
    versions[blank:] = completion.policy_version
    sample = Sample(
        token_ids=ids,
        action_mask=torch.arange(len(ids)).ge(blank).numpy(),
        behavior_logprobs=logprobs,
        policy_version=versions,
        turn_ids=torch.zeros(len(ids), dtype=torch.int32).numpy(),
        role="policy",
        verdict=Verdict.binary(False),
        answer="",
        status=Status.COMPLETED,
        index=0,
    )
    problem = Problem(id=f"probe-{group_id}", messages=(), answer="")
    return Group(problem=problem, samples=(sample,), group_id=group_id)
