"""Evaluations of a run on their own schedule, and of a model folder by `temper eval`.

Both use `eval.evaluate` with an engine that already exists: the run's own, or one made for the
model. Every report is kept as JSON.
"""

import asyncio
import importlib.util
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from torch import nn

from eval.diff import diff
from eval.evaluate import EvalSpec, evaluate
from eval.progress_bar import shown
from eval.report import Report
from eval.suite import Suite, load_suite
from recipes.errors import RecipeError
from recipes.loading.recipe_tree import parse_overrides
from recipes.slots.registry import build, call_on_run_start, function_of, to_plain
from recipes.slots.spec import JSON
from rewards.audit.file_hashes import hash_of
from rewards.types import Problem
from rollout.engines import engine
from rollout.environments import RolloutContext
from rollout.generation import Engine, EngineContext
from rollout.problems import load_problems
from rollout.render import Renderer
from rollout.serialize import problem_to_dict
from rollout.types import EngineDied
from rollout.verification import VerifierRunner
from trainer.models.folder import check_language_model, model_folder, positions_of
from trainer.models.load import language_model, load_model, load_tokenizer, readable_model
from trainer.models.logprob_model import LogprobModel, check_logprobs
from trainer.monitor.plots import picture
from trainer.policy.weights import PolicyWeights, full_tensors
from trainer.recipe.sections import ModelSpec


@dataclass(frozen=True, kw_only=True)
class Scheduled:
    """One evaluation of a run, with its problems loaded."""

    spec: EvalSpec
    suite: Suite
    problems: Sequence[Problem]
    scorer: VerifierRunner


class Evaluation:
    """The evaluations of one run; on ranks without an engine every call is empty."""

    def __init__(
        self, specs: Sequence[EvalSpec], renderer: Renderer, folder: Path, total: int
    ) -> None:
        suites = [spec.resolve() for spec in specs]
        self._scheduled = [
            Scheduled(
                spec=spec,
                suite=suite,
                problems=load_problems(suite.problems, suite.verifier),
                scorer=VerifierRunner(function_of(suite.verifier)),
            )
            for spec, suite in zip(specs, suites, strict=True)
        ]
        self._renderer = renderer
        self._folder = folder
        self._total = total

    def fingerprints(self) -> dict[str, str]:
        """A hash of each suite's settings and rows, by its name."""
        return {
            scheduled.suite.name: hash_of(
                [to_plain(scheduled.suite), *map(problem_to_dict, scheduled.problems)]
            )
            for scheduled in self._scheduled
        }

    def is_due(self, done: int) -> bool:
        """Whether `due` has anything to do once `done` steps are done."""
        return any(scheduled.spec.due(done, self._total) for scheduled in self._scheduled)

    async def due(self, done: int, engine: Engine | None) -> dict[str, float]:
        """Run what is due once `done` steps are done; metrics `eval/<suite>/<name>`."""
        metrics: dict[str, float] = {}
        if engine is None:
            return metrics
        for scheduled in self._scheduled:
            if not scheduled.spec.due(done, self._total):
                continue
            verify, suite = scheduled.scorer.verify, scheduled.suite
            context = RolloutContext(engine=engine, renderer=self._renderer, verify=verify)
            model = f"step {done}"
            with shown(f"{suite.name}, {model}") as progress:
                report = await evaluate(
                    suite, scheduled.problems, context, model=model, progress=progress
                )
            report.write(self._folder / "eval" / f"{suite.name}_step_{done:06d}.json")
            metrics |= report.numbers()
        return metrics

    def summarise(self, console: Console) -> None:
        """What the run changed: first report against last, and the run's picture."""
        for scheduled in self._scheduled:
            files = sorted((self._folder / "eval").glob(f"{scheduled.suite.name}_step_*.json"))
            if len(files) > 1:
                found = diff(Report.read(files[0]), Report.read(files[-1]))
                console.print(found.table())
        if not (self._folder / "metrics.jsonl").exists():
            return  # no jsonl logger, nothing to draw
        if importlib.util.find_spec("matplotlib") is not None:
            console.print(f"curves: {picture(self._folder)}")
        else:
            console.print("no picture: matplotlib is not installed (pip install matplotlib)")


def run_evaluation(
    model: str,
    suite: str,
    overrides: Sequence[str],
    *,
    engine_name: str,
    out: Path | None,
    against: Path | None,
    console: Console,
) -> None:
    """Evaluate a model folder, print the table, keep the report, compare with an earlier one."""
    settings: Mapping[str, JSON] = parse_overrides(overrides)
    chosen = load_suite(suite, settings)
    earlier = Report.read(against) if against is not None else None
    with readable_model(model):
        spec = spec_of(model)
    try:
        report = asyncio.run(evaluate_folder(spec, chosen, engine_name))
    except EngineDied as error:
        raise RecipeError.of(
            f"engine {engine_name} stopped before the evaluation was done: {error}",
            fix="use the other engine, or a model that this one can run",
        ) from error
    console.print(report.table())
    if out is not None:
        report.write(out)
    if earlier is not None:
        found = diff(earlier, report)
        console.print(found.table())
        console.print(found.words)


def spec_of(model: str) -> ModelSpec:
    """A model as it was saved: in its own precision, with all of its positions."""
    from transformers import AutoConfig

    folder = model_folder(ModelSpec(path=model, context_length=1))
    check_language_model(folder)
    with language_model(model):
        config = AutoConfig.from_pretrained(folder).get_text_config()
    longest = positions_of(config.to_dict())
    if longest is None:
        raise RecipeError.of(
            f"config.json of {model} (model type {config.model_type}) names no context length",
            fix="add max_position_embeddings, the most tokens of prompt and response together",
        )
    narrow = config.dtype in (torch.bfloat16, torch.float16)
    return ModelSpec(
        path=model,
        dtype="bfloat16" if narrow else "float32",
        context_length=longest,
    )


async def evaluate_folder(spec: ModelSpec, suite: Suite, engine_name: str) -> Report:
    """The report of one model folder on one suite, with an engine of its own."""
    from rollout.render import ChatRenderer

    problems = load_problems(suite.problems, suite.verifier)
    call_on_run_start(suite.verifier)
    scorer = VerifierRunner(function_of(suite.verifier))
    with readable_model(spec.path):
        renderer = ChatRenderer(load_tokenizer(spec))
        model = load_model(spec)
        if engine_name == "hf":  # vllm has models for itself, and refuses what it has not
            check_logprobs(LogprobModel(model))
    if torch.cuda.is_available():
        model.to("cuda")
    weights = PolicyWeights(
        folder=model_folder(spec),
        shared_module=model,
        tensors=lambda: dict(full_tensors(model, whole)),
        save_adapter=None,
        adapters=Path(),
    )
    context = EngineContext(
        folder=weights.folder,
        dtype=spec.dtype,
        context_length=spec.context_length,
        stop_ids=renderer.stop_ids,
        seed=suite.seed,
    )
    sampler: Engine = build(engine.bind(engine_name), context)
    try:
        await sampler.load_weights(weights, 0)
        rollout = RolloutContext(engine=sampler, renderer=renderer, verify=scorer.verify)
        with shown(suite.name) as progress:
            return await evaluate(suite, problems, rollout, model=spec.path, progress=progress)
    finally:
        await sampler.close()


def whole(parameters: Sequence[nn.Parameter]) -> AbstractContextManager[None]:
    """Every weight of a single process is whole."""
    return nullcontext()
