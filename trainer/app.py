"""The composition root: a recipe becomes a Run, and the run is carried to its end.

The only file that imports everything. Order matters where it costs: the recipe is checked before
data is read, data before a model is loaded.
"""

import asyncio
import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from recipes.errors import RecipeError
from recipes.load import Loaded, attach
from recipes.registry import build, describe, function_of, make_ready, relative
from rewards.remote.answers import keep_answers_in
from rewards.trial import try_out
from rewards.types import Problem
from rollout.buffers import Buffer
from rollout.collect import Collector, Interrupted, NotEnoughGroups
from rollout.engines import Engine
from rollout.engines.context import EngineContext
from rollout.environments import RolloutContext
from rollout.ledger import Ledger
from rollout.problems import check_gold, drop_overlong, load_problems
from rollout.render import ChatRenderer
from rollout.samplers import Sampler
from rollout.scoring import BreakerTripped, CircuitBreaker, Scorer
from rollout.types import EngineDied, Sampling
from trainer.algorithm import Algorithm
from trainer.checkpoint import Checkpoints, load_host
from trainer.config import Recipe
from trainer.evaluation import Evaluation
from trainer.explain import load_recipe
from trainer.loggers import Logger, LoggerContext
from trainer.loop import train
from trainer.model import load_tokenizer
from trainer.policy import Policy
from trainer.progress import RESUME_ME, Progress, StopSignal
from trainer.publish import ProbeFailed, Publisher
from trainer.record import Recorder, named_checkpoints
from trainer.run import Run, RunStopped

STOPPED = 3  # exit code of a run that ended itself with a cause


def run_training(name: str, overrides: Sequence[str], *, resume: bool) -> int:
    """Train as the recipe says; returns the exit code. Raises RecipeError for a user's mistake."""
    from transformers.utils import logging

    recipe, loaded = load_recipe(name, overrides)
    logging.disable_progress_bar()
    run = compose(recipe, loaded, resume=resume)
    with run.stop.watching():
        return asyncio.run(_carry(run))


async def _carry(run: Run) -> int:
    """Run the loop; whatever ends it, what can be saved is saved and the engine is released."""
    try:
        await train(run)
    except Interrupted:
        run.save()
    except (RunStopped, ProbeFailed, BreakerTripped, EngineDied, NotEnoughGroups) as error:
        saved = run.checkpoints.latest()
        print(f"stopped: {error}", file=sys.stderr)
        print(f"last checkpoint: {saved or 'none'}", file=sys.stderr)
        return STOPPED
    finally:
        await run.close()
    if not run.progress.done:
        print(f"saved at step {run.progress.step}; go on with --resume", file=sys.stderr)
        return RESUME_ME
    if run.policy.is_main:
        run.evaluation.summarise(Console())
    return 0


def compose(recipe: Recipe, loaded: Loaded, *, resume: bool) -> Run:
    """Everything that the recipe names, put together; on a resume, with its state restored."""
    folder = recipe.folder
    problems = load_problems(recipe.problems)
    _try_verifier(recipe, loaded, problems)
    tokenizer = load_tokenizer(recipe.model)
    renderer = ChatRenderer(tokenizer, plain=recipe.model.plain)
    fitting = drop_overlong(problems, renderer, recipe.problems.max_prompt_tokens)
    algorithm = Algorithm(recipe.slots, updates_per_step=recipe.minibatches)
    policy = Policy(
        recipe.model,
        recipe.optimizer,
        recipe.sharding,
        needs=algorithm.needs,
        seed=recipe.seed,
        max_tokens=recipe.max_tokens_per_microbatch,
        adapters=folder / "adapters",
    )
    checkpoints = Checkpoints(
        folder=folder / "checkpoints",
        keep=recipe.checkpoint.keep,
        is_main=policy.is_main,
        barrier=policy.barrier,
        spared=lambda: named_checkpoints(folder),
    )
    newest = _newest(checkpoints, folder, resume)
    progress = Progress(recipe.steps)
    stop = StopSignal()
    engine = collector = None
    recorder = None
    verdicts: Callable[[], Mapping[str, float]] = dict
    loggers: list[Logger] = []
    if policy.is_main:
        _write_provenance(recipe, loaded, folder)
        _say(fitting.report)
        scorer = _scorer(recipe, fitting.problems)
        engine = _engine(recipe, policy, renderer)
        collector = _collector(recipe, algorithm, engine, renderer, scorer, fitting.problems)
        stop.listeners.append(collector.stop)
        verdicts = scorer.metrics
        done = 0 if newest is None else int(load_host(newest)["progress"]["step"])
        first = 0 if newest is None else done + 1
        recorder = Recorder(folder, recipe.record, first_step=done)
        context = LoggerContext(
            folder=folder,
            run_name=folder.name,
            recipe=describe(recipe),
            total_steps=recipe.steps,
            first_step=first,
        )
        loggers = [build(bound, context) for bound in recipe.loggers]
    prompts = [tuple(renderer.prompt_ids(p.messages)) for p in fitting.problems[:8]]
    run = Run(
        recipe=recipe,
        folder=folder,
        algorithm=algorithm,
        policy=policy,
        publisher=Publisher(policy, engine, prompts, recipe.probe),
        collector=collector,
        engine=engine,
        evaluation=Evaluation(recipe.evaluate, renderer, folder, recipe.steps),
        verdicts=verdicts,
        loggers=loggers,
        checkpoints=checkpoints,
        progress=progress,
        stop=stop,
        recorder=recorder,
    )
    if newest is not None:
        policy.load(newest / "policy")
        run.load_host_state(load_host(newest))
    return run


def _try_verifier(recipe: Recipe, loaded: Loaded, problems: Sequence[Problem]) -> None:
    """What verifiers name is opened, and one is tried, on the first rank, before a model loads."""
    if os.environ.get("RANK", "0") != "0":
        return
    keep_answers_in(recipe.folder / "answers")
    try:
        make_ready(recipe.verifier)
        for spec in recipe.evaluate:
            make_ready(spec.resolve().verifier)
    except RecipeError as error:
        raise attach(error, loaded, "verifier") from None
    gold = recipe.problems.gold_response
    function = function_of(recipe.verifier)
    asyncio.run(try_out(function, recipe.verifier.name, problems, gold))


def _newest(checkpoints: Checkpoints, folder: Path, resume: bool) -> Path | None:
    """The checkpoint to go on from; a folder in use is never written over by accident."""
    newest = checkpoints.latest()
    if resume:
        _say("" if newest else f"no checkpoint in {folder}: starting from the first step")
        return newest
    if newest is not None:
        raise RecipeError.of(
            f"{folder} already holds a run, saved at {newest.name}",
            path="output",
            fix="go on with --resume, or write elsewhere with --set output=<folder>",
        )
    return None


def _scorer(recipe: Recipe, problems: Sequence[Problem]) -> Scorer:
    """The recipe's verifier behind its breaker; refuses data whose gold answers fail."""
    breaker = CircuitBreaker(recipe.limits.max_missing_frac, recipe.limits.missing_window)
    scorer = Scorer(function_of(recipe.verifier), breaker=breaker)
    if recipe.problems.gold_sample:
        gold = asyncio.run(
            check_gold(problems, Scorer(function_of(recipe.verifier)).verify, recipe.problems)
        )
        _say(gold.report)
        gold.refuse_above(recipe.problems.max_gold_fail_frac)
    return scorer


def _engine(recipe: Recipe, policy: Policy, renderer: ChatRenderer) -> Engine:
    context = EngineContext(
        folder=policy.folder,
        dtype=recipe.model.dtype,
        context_length=recipe.model.context_length,
        stop_ids=renderer.stop_ids,
        seed=recipe.seed,
        max_lora_rank=recipe.model.lora.rank if recipe.model.lora else 0,
        max_staleness=recipe.max_staleness,
    )
    made: Engine = build(recipe.engine, context)
    return made


def _collector(
    recipe: Recipe,
    algorithm: Algorithm,
    engine: Engine,
    renderer: ChatRenderer,
    scorer: Scorer,
    problems: Sequence[Problem],
) -> Collector:
    sampler: Sampler = build(recipe.sampler, problems, recipe.problems.seed)
    buffer: Buffer = build(recipe.buffer)

    def sampling(step: int) -> Sampling:
        numbers = algorithm.at(step).numbers
        return Sampling(
            max_tokens=round(numbers["sampling.max_tokens"]),
            temperature=numbers["sampling.temperature"],
            top_p=recipe.sampling.top_p,
            stop=tuple(recipe.sampling.stop),
        )

    return Collector(
        sampler=sampler,
        environment=function_of(recipe.environment),
        context=RolloutContext(engine=engine, renderer=renderer, verify=scorer.verify),
        filters=[function_of(bound) for bound in recipe.filters],
        buffer=buffer,
        sampling=sampling,
        group_size=recipe.group_size,
        groups_per_step=recipe.groups_per_step,
        max_staleness=recipe.max_staleness,
        run_seed=recipe.seed,
        ledger=Ledger(),
        max_refills=recipe.limits.max_refills,
        greedy="greedy_rewards" in algorithm.needs,
        breaker=scorer.breaker,
    )


def _write_provenance(recipe: Recipe, loaded: Loaded, folder: Path) -> None:
    """The resolved recipe, the code's revision and the packages' versions, beside the run."""
    folder.mkdir(parents=True, exist_ok=True)
    resolved = yaml.safe_dump(describe(recipe), sort_keys=False)
    (folder / "recipe.yaml").write_text(resolved)
    names = ("torch", "transformers", "trl", "deepspeed", "peft", "accelerate", "datasets", "vllm")
    facts: dict[str, Any] = {
        "recipe": relative(str(loaded.root)),
        "revision": _revision(),
        "packages": {name: _version(name) for name in names},
    }
    (folder / "versions.json").write_text(json.dumps(facts, indent=2))


def _version(package: str) -> str:
    for name in (package, f"{package}-cpu"):
        try:
            return f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return "not installed"


def _revision() -> str:
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() or "unknown"


def _say(line: str) -> None:
    if line:
        print(line, file=sys.stderr, flush=True)
