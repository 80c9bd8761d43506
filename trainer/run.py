"""Run: what the loop talks to. It ties the parts together and owns what happens around a step.

`collect` hands the same groups to every rank; `finish` closes a step: adapt, evaluate, log, save.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from recipes.spec import JSON
from rollout.collect import Collector, Interrupted
from rollout.engines import Engine
from rollout.types import Group
from trainer.algorithm import Algorithm
from trainer.batch import TokenBatch
from trainer.checkpoint import Checkpoints
from trainer.config import Recipe
from trainer.describe import describe, outcomes
from trainer.evaluation import Evaluation
from trainer.loggers import Logger
from trainer.metrics import Max, Mean, Metrics
from trainer.policy import Policy
from trainer.progress import Progress, StopSignal
from trainer.publish import Publisher
from trainer.record import Recorder


class RunStopped(Exception):
    """The run ended itself with a cause: a breaker, a failed probe, non-finite updates."""


@dataclass(kw_only=True)
class Run:
    """One training run on one rank; `collector` and `engine` exist on rank 0 only."""

    recipe: Recipe
    folder: Path
    algorithm: Algorithm
    policy: Policy
    publisher: Publisher
    collector: Collector | None
    engine: Engine | None
    evaluation: Evaluation
    verdicts: Callable[[], Mapping[str, float]]  # the verifier's metrics since the last call
    loggers: Sequence[Logger]
    checkpoints: Checkpoints
    progress: Progress
    stop: StopSignal
    recorder: Recorder | None = None  # on rank 0
    boundary: Mapping[str, JSON] = field(default_factory=dict)  # host state before this step
    _metrics: Metrics = field(default_factory=Metrics)  # of the step so far, equal on all ranks
    _batch: TokenBatch | None = None  # the step's, kept to be dumped when an update goes wrong
    _clock: float = field(default_factory=time.perf_counter)
    _spans: dict[str, float] = field(default_factory=dict)

    async def start(self) -> None:
        """Publish the first weights, and evaluate before the first step where asked."""
        self.policy.temperature = self.algorithm.at(self.progress.step).numbers[
            "sampling.temperature"
        ]
        await self.publish(self.progress.step)
        if self.progress.step == 0:
            self._log(0, await self.evaluation.due(0, self.engine))
        self._metrics = Metrics()
        self.boundary = self.host_state()

    async def collect(self, step: int) -> list[Group]:
        """The step's groups, the same on every rank. Raises Interrupted on every rank."""
        self._clock = time.perf_counter()
        self._metrics = Metrics()
        groups: list[Group] = []
        failure: Exception | None = None
        if self.collector is not None:
            try:
                groups = await self.collector.take(step)
            except Exception as error:  # the other ranks must hear of it, or they wait for ever
                failure = error
        heard = self.policy.broadcast((groups, repr(failure) if failure else ""))
        if failure is not None:
            raise failure
        groups, trouble = heard
        if trouble.startswith(Interrupted.__name__):
            raise Interrupted
        if trouble:
            raise RunStopped(f"rank 0 stopped collecting: {trouble}")
        if self.recorder is not None:
            self.recorder(step, groups)
        self._spans["rollout"] = time.perf_counter() - self._clock
        self.policy.temperature = self.algorithm.at(step).numbers["sampling.temperature"]
        return groups

    def observe(self, step: int, groups: Sequence[Group], batch: TokenBatch) -> None:
        """Describe the step's samples and settle where each of them ends."""
        self._batch = batch
        self._metrics += describe(groups, batch, version=step)
        controls = self.algorithm.at(step).controls
        self._metrics += {f"control/{path}": Mean(value, 1) for path, value in controls.items()}
        self.progress.samples += sum(len(g.samples) for g in groups)
        self.progress.tokens += sum(s.num_actions for g in groups for s in g.samples)
        if self.collector is not None:
            self.collector.settle(outcomes(groups, batch))
            counted = {**self.collector.metrics(), **self.verdicts()}
            self._metrics += {name: Mean(value, 1) for name, value in counted.items()}

    async def publish(self, version: int) -> None:
        """Weights to the engine, then the probe. Raises ProbeFailed."""
        start = time.perf_counter()
        self._metrics += await self.publisher(version)
        self._metrics += {"sync/version": Max(version)}
        if self.collector is not None:
            self.collector.publish(version)
        self._spans["sync"] = time.perf_counter() - start

    async def finish(self, step: int, update: Metrics) -> None:
        """Close the step: merge metrics, adapt controllers, evaluate, log, save."""
        self._metrics += self.policy.merge(update)
        self._stop_if_broken(step)
        self.algorithm.observe(self._metrics.numbers())
        self.progress.step = step + 1
        evaluated = await self.evaluation.due(self.progress.step, self.engine)
        self._metrics += self._timing()
        self._log(self.progress.step, {**self._metrics.numbers(), **evaluated})
        self.progress.stopping = self.policy.broadcast(self.stop.asked)
        self.boundary = self.host_state()
        every = self.recipe.checkpoint.every
        due = every and self.progress.step % every == 0
        if due or self.progress.done or self.progress.stopping:
            self.save()

    def save(self) -> Path:
        """Checkpoint the state at the last boundary between two steps."""
        step = int(self.boundary["progress"]["step"])
        return self.checkpoints.save(step, self.boundary, self.policy.save)

    def host_state(self) -> dict[str, JSON]:
        """Everything stateful but the policy, as plain data."""
        return {
            "progress": self.progress.state_dict(),
            "algorithm": self.algorithm.state_dict(),
            "collector": self.collector.state_dict() if self.collector else {},
        }

    def load_host_state(self, state: Mapping[str, JSON]) -> None:
        self.progress.load_state_dict(state["progress"])
        self.algorithm.load_state_dict(state["algorithm"])
        if self.collector is not None:
            self.collector.load_state_dict(state["collector"])

    async def close(self) -> None:
        """Release engine, workers and loggers."""
        if self.collector is not None:
            await self.collector.close()
        if self.engine is not None:
            await self.engine.close()
        for logger in self.loggers:
            logger.close()

    def _timing(self) -> Metrics:
        total = time.perf_counter() - self._clock
        rollout, sync = self._spans["rollout"], self._spans["sync"]
        tokens = float(self._batch.action_mask.sum()) if self._batch is not None else 0.0
        return Metrics(
            {
                "time/step_s": Mean(total, 1),
                "time/rollout_s": Mean(rollout, 1),
                "time/sync_s": Mean(sync, 1),
                "time/update_s": Mean(total - rollout - sync, 1),
                "throughput/tokens_per_s": Mean(tokens / total, 1),
                "progress/samples": Max(self.progress.samples),
                "progress/tokens": Max(self.progress.tokens),
            }
        )

    def _stop_if_broken(self, step: int) -> None:
        """A non-finite update was skipped: keep its batch, and stop after a few in a row."""
        if not self._metrics.numbers().get("optim/skipped"):
            self.progress.skipped_in_a_row = 0
            return
        self.progress.skipped_in_a_row += 1
        dump = self.folder / f"non_finite_step_{step:06d}.pt"
        if self.policy.is_main and self._batch is not None:
            torch.save(self._batch.tensors(), dump)
        if self.progress.skipped_in_a_row >= self.recipe.limits.max_skipped_steps:
            raise RunStopped(
                f"{self.progress.skipped_in_a_row} updates in a row had a non-finite loss or "
                f"gradient; the last batch is in {dump}. Likely causes: a learning rate too high "
                "(optimizer.lr), bfloat16 overflow (model.dtype), a reward that is not finite"
            )

    def _log(self, done: int, metrics: Mapping[str, float]) -> None:
        """One line of metrics, under the number of steps that are done."""
        if metrics:
            for logger in self.loggers:
                logger.log(done, metrics)
