"""One recorded step under two recipes: the samples, the weights and the minibatches are the same.

    for each update of the step as it was recorded:
        gradient under the variant           the same groups, the same weights
        gradient under the recorded recipe   then the recorded recipe's optimizer step, to go on
    entropy before, after one update of the recorded recipe, after one of the variant

So both gradients are always of the same weights, and ratios lie where the run had them.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from recipes.slots.registry import function_of
from recipes.slots.spec import JSON
from rollout.collector.collector import filter_group
from rollout.types import Bucket
from trainer.algorithm import Algorithm, StepAlgorithm
from trainer.batch import TokenBatch, pack
from trainer.metrics import Mean, Metrics
from trainer.monitor.checkpoint import load_host, verify
from trainer.monitor.record import Recording
from trainer.monitor.step_metrics import outcomes
from trainer.recipe.config import Recipe
from trainer.run.compose import compose_policy


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientPair:
    """Two gradients of the same weights."""

    dot: float
    recorded: float  # norm before clipping
    variant: float

    @property
    def cosine(self) -> float:
        """nan where one of them is zero."""
        size = self.recorded * self.variant
        return self.dot / size if size else math.nan

    @property
    def ratio(self) -> float:
        """Norm of the variant's over that of the recorded one."""
        return self.variant / self.recorded if self.recorded else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one recipe made of a step."""

    ledger: Mapping[Bucket, int]  # samples by bucket
    metrics: Mapping[str, float]  # of its loss and terms, over the step's updates
    entropy: float  # nats per sampled token, after one update


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One recorded step under both recipes."""

    step: int
    updates: Sequence[GradientPair]
    entropy_before: float  # nats per sampled token
    recorded: Side
    variant: Side

    @property
    def total(self) -> GradientPair:
        """All updates' gradients, end to end."""
        return GradientPair(
            dot=sum(update.dot for update in self.updates),
            recorded=math.hypot(*(update.recorded for update in self.updates)),
            variant=math.hypot(*(update.variant for update in self.updates)),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Arm:
    """One recipe on one step: what its stages made of the samples."""

    recipe: Recipe
    algo: StepAlgorithm
    batch: TokenBatch  # staged; of the samples that its filters and selections left
    ledger: Mapping[Bucket, int]


class Replay:
    """One policy that can be put back to where a step began, and the two recipes that move it."""

    def __init__(self, recipe: Recipe, variant: Recipe, scratch: Path) -> None:
        self._recipe, self._variant = recipe, variant
        needs = _algorithm(recipe).needs | _algorithm(variant).needs
        # In fp32 whatever the run had: then every gradient lies on its own parameter.
        model = recipe.model.model_copy(update={"dtype": "float32"})
        in_fp32 = recipe.model_copy(update={"model": model})
        self._policy = compose_policy(in_fp32, needs, adapters=scratch / "adapters")
        module = self._policy.weights().shared_module
        assert module is not None, "sharded runs are refused before"
        self._module: nn.Module = module
        self._initial = scratch / "initial"
        self._policy.save(self._initial)

    def compare(self, recording: Recording, run: Path) -> Compared:
        """Both recipes on one step."""
        folder = run / "checkpoints" / recording.checkpoint
        begin = folder / "policy" if recording.checkpoint else self._initial
        if recording.checkpoint:
            verify(folder)
        host = load_host(folder)["algorithm"] if recording.checkpoint else {}
        self._policy.load(begin)
        whole = pack(recording.groups)
        ours = self._arm(self._recipe, recording, host, whole)
        theirs = self._arm(self._variant, recording, host, whole)
        # The minibatches as the run had them, each with the variant's part of its groups.
        our_parts = list(ours.batch.minibatches(self._recipe.minibatches, seed=recording.step))
        owners = [torch.isin(theirs.batch.group_ids, part.group_ids) for part in our_parts]
        # Groups that only the variant kept join the last one.
        owners[-1] |= ~torch.isin(theirs.batch.group_ids, ours.batch.group_ids)
        their_parts = [theirs.batch.select(owned.nonzero().squeeze(1)) for owned in owners]
        before = self._entropy(whole, ours.algo.temperature)
        updates: list[GradientPair] = []
        our_metrics, their_metrics = Metrics(), Metrics()
        for our_part, their_part in zip(our_parts, their_parts, strict=True):
            # Both gradients of the weights as they are; then the recorded recipe's step.
            their_gradient, found = self._gradient(theirs, their_part)
            their_metrics += found
            self._policy.zero_grad()
            gradient, found = self._gradient(ours, our_part)
            our_metrics += found
            self._policy.step(ours.algo.lr, ours.algo.critic_lr)
            updates.append(
                GradientPair(
                    dot=float(gradient @ their_gradient),
                    recorded=float(gradient.norm()),
                    variant=float(their_gradient.norm()),
                )
            )
        return Compared(
            step=recording.step,
            updates=updates,
            entropy_before=before,
            recorded=Side(
                ledger=ours.ledger,
                metrics=our_metrics.numbers(),
                entropy=self._entropy_after(ours, our_parts[0], begin, whole),
            ),
            variant=Side(
                ledger=theirs.ledger,
                metrics=their_metrics.numbers(),
                entropy=self._entropy_after(theirs, their_parts[0], begin, whole),
            ),
        )

    def _arm(
        self, recipe: Recipe, recording: Recording, host: Mapping[str, JSON], whole: TokenBatch
    ) -> Arm:
        """The step's stages under a recipe, on the policy as it is now."""
        algorithm = _algorithm(recipe)
        fresh = algorithm.state_dict()
        known = {p: s for p, s in host.items() if p in fresh and s.keys() == fresh[p].keys()}
        algorithm.load_state_dict({**fresh, **known})
        algo = algorithm.at(recording.step)
        groups, ended = list(recording.groups), Counter[Bucket]()
        if recipe.filters != self._recipe.filters:
            filters = [function_of(bound) for bound in recipe.filters]
            least = min(2, recipe.group_size)
            results = [filter_group(group, filters, min_scored=least) for group in groups]
            groups = [result.kept for result in results if result.kept is not None]
            ended = sum((result.ended for result in results), Counter[Bucket]())
        if not groups:
            return Arm(recipe=recipe, algo=algo, batch=whole.select([]), ledger=ended)
        batch = self._policy.annotate(pack(groups), algo.needs, algo.temperature)
        for stage in (algo.shape, algo.advantage, algo.select, algo.mask, algo.correct):
            batch = stage(batch)
        ended.update(outcomes(groups, batch).values())
        return Arm(recipe=recipe, algo=algo, batch=batch, ledger=ended)

    def _gradient(self, arm: Arm, minibatch: TokenBatch) -> tuple[Tensor, Metrics]:
        """The objective's gradient by all trained weights, in one row; it also stays on them."""
        metrics = Metrics()
        if minibatch.num_sequences:
            algo = arm.algo
            minibatch = algo.reduce(minibatch)
            minibatch = self._policy.annotate(minibatch, algo.minibatch_needs, algo.temperature)
            minibatch = algo.minibatch_stats(minibatch)
            for micro in self._policy.split(minibatch, arm.recipe.max_tokens_per_microbatch):
                out = self._policy.forward(micro, algo.temperature, algo.critic_only)
                loss = algo.objective(out, micro)
                self._policy.backward(loss.total, loss.critic)
                metrics += loss.metrics
        trained = [p for p in self._module.parameters() if p.requires_grad]
        rows = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        return torch.cat([row.flatten() for row in rows]).double(), metrics

    def _entropy(self, batch: TokenBatch, temperature: float) -> float:
        found = self._policy.annotate(batch, frozenset({"entropy"}), temperature)
        return Mean.over(found.entropy, batch.action_mask).value

    def _entropy_after(
        self, arm: Arm, minibatch: TokenBatch, begin: Path, whole: TokenBatch
    ) -> float:
        """Of all recorded samples, after the step's first update under the arm's recipe."""
        self._policy.load(begin)
        if minibatch.num_sequences:
            self._gradient(arm, minibatch)
            self._policy.step(arm.algo.lr, arm.algo.critic_lr)
        return self._entropy(whole, arm.algo.temperature)


def _algorithm(recipe: Recipe) -> Algorithm:
    return Algorithm(recipe.slots, updates_per_step=recipe.minibatches)
