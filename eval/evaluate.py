"""Problems x engine x verifier -> Report. The same function before, during and after training.

    for each problem, at most `concurrency` at once:
        play n samples (environment, seeded by suite and position)  ->  verdicts  ->  ProblemResult
    all rows, in the problems' order  ->  estimates  ->  Report

Every sample's seed comes from (suite.seed, position of the problem, index of the sample) alone, so
two models see the same problems and draw from the same streams, whatever ran beside them.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from eval.progress_bar import Progress, silent
from eval.report import ProblemResult, Report, digest
from eval.suite import Suite, load_suite
from recipes.errors import RecipeError
from recipes.slots.registry import function_of
from recipes.slots.spec import ENTRY_OF, JSON, Count, Spec, Temperature, Tokens
from rewards.types import Problem
from rollout.environments import Environment, RolloutContext
from rollout.types import RolloutError, Sample, Sampling


class EvalSampling(Spec):
    """Sampling settings of a suite that a recipe replaces; what is left out stays the suite's."""

    max_tokens: Annotated[
        Tokens | None, Field(gt=0, description="Maximum number of new tokens")
    ] = None
    temperature: Annotated[
        Temperature | None, Field(description="Softmax temperature; 0 = greedy decoding")
    ] = None
    top_p: Annotated[
        float | None, Field(gt=0, le=1, description="Nucleus (top-p) share of the probability mass")
    ] = None
    stop: Annotated[list[str] | None, Field(description="Strings that end an answer")] = None


class EvalSpec(Spec):
    """One evaluation during training."""

    suite: Annotated[str, Field(description="Name of a shipped suite, or a YAML file")]
    every: Annotated[
        Count, Field(description="Training steps between two evaluations; 0 = none")
    ] = 0
    samples: Annotated[
        Count | None,
        Field(gt=0, description="Number of answers per problem; the suite's when left out"),
    ] = None
    sampling: EvalSampling = EvalSampling()
    overrides: Annotated[
        dict[str, JSON],
        Field(
            description="Changes to the suite, such as `{problems: {...}, k: [1]}`",
            json_schema_extra={ENTRY_OF: "eval"},  # what a file of `temper eval` may hold
        ),
    ] = {}
    at_start: Annotated[bool, Field(description="Whether to evaluate the untrained model")] = True
    at_end: Annotated[bool, Field(description="Whether to evaluate after the last step")] = True

    def due(self, step: int, total: int) -> bool:
        """Whether to evaluate once `step` of `total` steps are done; `step` 0 is the start."""
        if step == 0:
            return self.at_start
        if step == total and self.at_end:
            return True
        return self.every > 0 and step % self.every == 0

    def resolve(self) -> Suite:
        """The suite with this recipe's settings; of its `k`, those that the samples allow."""
        suite = load_suite(self.suite, self.overrides)
        changes = self.sampling.model_dump(exclude_none=True)
        samples = self.samples or suite.samples
        k = [k for k in suite.k if k <= samples]
        if not k:
            raise RecipeError.of(
                f"{self.samples} samples a problem allow none of the suite's k {suite.k}",
                path="samples",
                fix=f"draw at least {min(suite.k)}",
            )
        tree = {**suite.model_dump(), "samples": samples, "k": k}
        tree["sampling"] = {**suite.sampling.model_dump(), **changes}
        return Suite.model_validate(tree)


async def evaluate(
    suite: Suite,
    problems: Sequence[Problem],
    context: RolloutContext,
    *,
    model: str,
    concurrency: int = 64,
    progress: Progress = silent,
) -> Report:
    """Draw `suite.samples` answers of every problem, have them judged, and report.

    problems: of `suite.problems`, loaded once by the caller; context: engine, renderer and the
    suite's verifier; model: its name in the report; concurrency: problems in flight at once.
    An answer without a verdict is counted apart. Raises RolloutError when none has one, and
    EngineDied when the engine is gone.
    """
    assert problems, "an evaluation without problems measures nothing"
    play: Environment = function_of(suite.environment)
    gate = asyncio.Semaphore(concurrency)
    done = 0

    async def one(position: int, problem: Problem) -> list[Sample]:
        nonlocal done
        sampling = Sampling(**_settings(suite), seed=derive_seed(suite.seed, position))
        async with gate:
            samples = await play(problem, context, sampling, suite.samples)
        done += 1
        progress(done, len(problems))
        return sorted(samples, key=lambda sample: sample.index)

    try:
        async with asyncio.TaskGroup() as tasks:
            played = [tasks.create_task(one(i, problem)) for i, problem in enumerate(problems)]
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    groups = [task.result() for task in played]
    samples = [sample for group in groups for sample in group]
    reasons = Counter(s.verdict.reason for s in samples if s.verdict.is_missing)
    if reasons.total() == len(samples):
        raise RolloutError(f"{suite.name}: no answer got a verdict: {reasons.most_common(1)[0][0]}")
    return Report.of(
        ks=suite.k,
        majority=suite.majority,
        suite=suite.name,
        version=suite.version,
        model=model,
        sampling=Sampling(**_settings(suite), seed=suite.seed),
        settings=suite.settings,
        problems_digest=digest(problems),
        rows=tuple(_row(problem, group) for problem, group in zip(problems, groups, strict=True)),
        missing_reasons=dict(reasons.most_common()),
    )


def derive_seed(seed: int, position: int) -> int:
    """A 32-bit seed for the problem at `position`."""
    return int(np.random.SeedSequence((seed, position)).generate_state(1)[0])


def _settings(suite: Suite) -> dict[str, JSON]:
    return {**suite.sampling.model_dump(), "stop": tuple(suite.sampling.stop)}


def _row(problem: Problem, samples: Sequence[Sample]) -> ProblemResult:
    return ProblemResult(
        id=problem.id,
        correct=tuple(None if s.verdict.is_missing else s.verdict.correct for s in samples),
        answers=tuple(s.answer for s in samples),
        lengths=tuple(s.num_actions for s in samples),
        truncated=tuple(s.status.is_truncated for s in samples),
    )
