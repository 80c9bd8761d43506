"""The composition root: a recipe becomes a Run, and the run is carried to its end.

The only file that imports everything. Order matters where it costs: the recipe is checked before
data is read, data before a model is loaded.
"""

import asyncio
import errno
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from rich.console import Console

from recipes.errors import Fault, RecipeError
from recipes.loading.load import Loaded, with_source_location
from recipes.slots.registry import SlotEntry, build, call_on_run_start, function_of, to_plain
from recipes.slots.spec import JSON
from rewards.audit.preflight import preflight_verifier
from rewards.http.reply_cache import keep_answers_in
from rewards.plugins.functions import announce_step
from rewards.types import Problem
from rollout.buffers import Buffer
from rollout.collector.collector import Collector, NotEnoughGroups
from rollout.collector.ledger import Ledger
from rollout.environments import RolloutContext
from rollout.generation import Engine, EngineContext
from rollout.problems import check_gold, drop_overlong, load_problems
from rollout.render import ChatRenderer
from rollout.samplers import Sampler
from rollout.types import EngineDied, Interrupted, RolloutError, Sampling
from rollout.verification import BreakerTripped, VerifierRunner
from trainer.loggers import Logger, LoggerContext
from trainer.loop import train
from trainer.models.load import load_tokenizer, readable_model
from trainer.monitor.checkpoint import (
    MANIFEST,
    Checkpoints,
    load_host,
    newest_whole,
    numbered,
    set_aside,
)
from trainer.monitor.evaluation import Evaluation
from trainer.monitor.progress import (
    RESUME_ME,
    STOPPED,
    Progress,
    StopSignal,
    ended_by_signals,
)
from trainer.monitor.record import Recorder, named_checkpoints
from trainer.monitor.run_lock import locked
from trainer.parallel.rank_zero import MainRankFailed, launched_as_main
from trainer.parallel.ranks import lost_rank
from trainer.policy.policy import Policy
from trainer.policy.publish import ProbeFailed, Publisher
from trainer.recipe.check import load_recipe
from trainer.recipe.config import Recipe, differences
from trainer.run.inputs import fingerprints, refuse_other_inputs
from trainer.run.reward_monitor import RewardMonitor, build_reward_monitor, refuse_another_verifier
from trainer.run.run import Run, RunStopped
from trainer.run.run_metadata import write_origin
from trainer.update.algorithm import Algorithm

MAY_CHANGE = frozenset(  # between a run and its resume
    (
        *("checkpoint", "engine", "evaluate", "limits", "loggers", "output", "probe", "record"),
        *("sharding", "steps", "verifier", "watch"),
    )
)
_MEMORY = (
    "Lower max_tokens_per_microbatch or the engine's gpu_memory_utilization, or set "
    "model.gradient_checkpointing: true or sharding.zero higher"
)


def run_training(name: str, overrides: Sequence[str], *, resume: bool) -> int:
    """Train as the recipe says; returns the exit code. Raises RecipeError for a user's mistake."""
    from transformers.utils import logging

    recipe, loaded = load_recipe(name, overrides)
    logging.disable_progress_bar()
    _refuse_what_is_no_run(recipe.folder)
    with ended_by_signals(RESUME_ME), locked(recipe.folder):
        run = compose(recipe, loaded, resume=resume)
        with run.stop.watching():
            code = asyncio.run(_carry(run))
            if code in (0, RESUME_ME):  # every rank came this far
                run.policy.leave()
            return code


async def _carry(run: Run) -> int:
    """Run the loop; whatever ends it, what can be saved is saved and the engine is released."""
    try:
        await train(run)
    except Interrupted:
        run.save()
    except MainRankFailed:
        return STOPPED
    except torch.OutOfMemoryError as error:
        return _stopped(run, f"out of memory: {error}. {_MEMORY}")
    except (RunStopped, ProbeFailed, BreakerTripped, EngineDied, NotEnoughGroups) as error:
        return _stopped(run, str(error))
    except RolloutError as error:
        return _stopped(run, f"{type(error).__name__}: {error}")
    except RuntimeError as error:
        if run.policy.world_size == 1 or not lost_rank(error):
            raise
        why = str(error).splitlines()[0]
        return _stopped(
            run, f"another rank ended or cannot be reached, see its output ({why:.200})"
        )
    except OSError as error:  # a write names no file, so the run's folder has to do
        if error.filename or error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RecipeError.of(
            f"no space left on the disk of {run.folder}",
            path="output",
            fix="free some space, then go on with --resume",
        ) from error
    finally:
        await run.close()
    if run.unlogged or not run.progress.done:
        print(f"saved at step {run.progress.step}; go on with --resume", file=sys.stderr)
        return RESUME_ME
    if run.policy.is_main:
        try:
            run.evaluation.summarise(Console())
        except RecipeError as error:  # the run itself is done and saved
            _say(f"no summary: {error}")
    return 0


def _stopped(run: Run, cause: str) -> int:
    """Say why; between two steps the state is whole, and is saved where one process can do it."""
    _say(f"stopped: {cause}")
    evaluating = bool(run.boundary.get("unlogged"))
    if (run.collecting or evaluating) and run.boundary and run.policy.world_size == 1:
        run.save()
    _say(f"last checkpoint: {run.checkpoints.latest() or 'none'}")
    return STOPPED


def compose(recipe: Recipe, loaded: Loaded, *, resume: bool) -> Run:
    """Everything that the recipe names, put together; on a resume, with its state restored."""
    folder = recipe.folder
    newest, damaged = _newest(folder, resume) if launched_as_main() else (None, {})
    if newest is not None:
        _refuse_another_recipe(load_host(newest)["recipe"], to_plain(recipe), newest)
        _say(refuse_another_verifier(recipe, load_host(newest)["reward_monitor"]))
    with with_source_location(loaded, "problems"):
        problems = load_problems(recipe.problems, recipe.verifier)
    _try_verifier(recipe, loaded, problems)
    with with_source_location(loaded), readable_model(recipe.model.path):
        tokenizer = load_tokenizer(recipe.model)
    renderer = ChatRenderer(tokenizer, plain=recipe.model.plain)
    with with_source_location(loaded, "problems"):
        fitting = drop_overlong(problems, renderer, _prompt_room(recipe))
    evaluation = Evaluation(recipe.evaluate, renderer, folder, recipe.steps)
    inputs = {}
    if launched_as_main():
        inputs = fingerprints(recipe, problems, evaluation.fingerprints())
        if newest is not None:
            _say(refuse_other_inputs(recipe, load_host(newest), inputs))
    algorithm = Algorithm(recipe.slots, updates_per_step=recipe.minibatches)
    with with_source_location(loaded), readable_model(recipe.model.path):
        policy = Policy(
            recipe.model,
            recipe.optimizer,
            recipe.sharding,
            critic=recipe.critic,
            fixed=recipe.fixed_models,
            needs=algorithm.needs,
            seed=recipe.seed,
            max_tokens=recipe.max_tokens_per_microbatch,
            adapters=folder / "adapters",
        )
    checkpoints = Checkpoints(
        folder=folder / "checkpoints",
        keep=recipe.checkpoint.keep,
        is_main=policy.is_main,
        gather=policy.gather,
        sharded=recipe.sharding.zero > 0 and policy.world_size > 1,
        spared=lambda: named_checkpoints(folder),
    )
    newest = _seen_by_all(policy, newest)
    progress = Progress(recipe.steps)
    stop = StopSignal()
    engine = collector = None
    recorder = None
    reward_monitor: RewardMonitor | None = None
    loggers: list[Logger] = []
    if policy.is_main:
        for checkpoint in damaged:
            _say(f"{checkpoint.name} is kept as {set_aside(checkpoint)}")
        reward_monitor = build_reward_monitor(recipe)
        write_origin(recipe, loaded, folder, reward_monitor.provenance)
        shutil.rmtree(folder / "adapters", ignore_errors=True)  # of weights that are gone
        _say(fitting.report)
        with with_source_location(loaded, "problems"):
            _check_gold(recipe, fitting.problems)
        scorer = reward_monitor.scorer
        engine = _engine(recipe, policy, renderer)
        collector = _collector(recipe, algorithm, engine, renderer, scorer, fitting.problems)
        stop.listeners.append(collector.stop)
        saved = {} if newest is None else load_host(newest)
        done = int(saved["progress"]["step"]) if saved else 0
        # before the first step all is done again; a step may have been saved before it was logged
        first = done + 1 if done and not saved["unlogged"] else done
        recorder = Recorder(folder, recipe.record, first_step=done)
        context = LoggerContext(
            folder=folder,
            run_name=folder.name,
            recipe=to_plain(recipe),
            total_steps=recipe.steps,
            first_step=first,
        )
        loggers = [build(bound, context) for bound in recipe.loggers]
    prompts = [
        tuple(renderer.prompt_ids(p.messages)) for p in fitting.problems[: recipe.probe.prompts]
    ]
    run = Run(
        recipe=recipe,
        folder=folder,
        algorithm=algorithm,
        policy=policy,
        publisher=Publisher(policy, engine, prompts, recipe.probe),
        collector=collector,
        engine=engine,
        evaluation=evaluation,
        reward_monitor=reward_monitor,
        loggers=loggers,
        checkpoints=checkpoints,
        progress=progress,
        stop=stop,
        recorder=recorder,
        inputs=inputs,
    )
    if newest is not None:
        policy.load(newest / "policy")
        run.load_host_state(load_host(newest))
    return run


def _try_verifier(recipe: Recipe, loaded: Loaded, problems: Sequence[Problem]) -> None:
    """What verifiers name is opened, and one is tried, on the first rank, before a model loads."""
    if not launched_as_main():
        return
    keep_answers_in(recipe.folder / "answers")
    announce_step(0, recipe.steps)
    named = {f"evaluate.{i}": spec.resolve().verifier for i, spec in enumerate(recipe.evaluate)}
    for path, bound in {"verifier": recipe.verifier, **named}.items():
        with with_source_location(loaded, path):
            call_on_run_start(bound)
    gold = recipe.problems.gold_response
    function = function_of(recipe.verifier)
    with with_source_location(loaded):
        asyncio.run(preflight_verifier(function, recipe.verifier.name, problems, gold))


def _newest(folder: Path, resume: bool) -> tuple[Path | None, Mapping[Path, str]]:
    """The checkpoint to go on from, and the damaged ones that are newer than it.

    A folder in use is never written over by accident.
    """
    there = numbered(folder / "checkpoints")
    if there and not resume:
        raise RecipeError.of(
            f"{folder} already holds a run, saved at {there[-1].name}",
            path="output",
            fix="go on with --resume, or write elsewhere with --set output=<folder>",
        )
    newest, damaged = newest_whole(folder / "checkpoints")
    if resume and newest is None:
        _say(f"no checkpoint in {folder}: starting from the first step")
    for checkpoint, fault in damaged.items():
        _say(f"the checkpoint {checkpoint} is damaged: {fault}")
    if newest is not None and damaged:
        _say(f"resuming from {newest.name}, the newest checkpoint that is whole")
    return newest, damaged


def _refuse_what_is_no_run(folder: Path) -> None:
    """A run is not written into a model, and nowhere where there is a file already."""
    found = ""
    if folder.exists() and not folder.is_dir():
        found = "a file"
    elif (folder / "config.json").exists() and not numbered(folder / "checkpoints"):
        found = "a folder with a model in it"
    if found:
        raise RecipeError.of(
            f"{folder} is {found}, and no run",
            path="output",
            fix="name another folder for the run, --set output=<folder>",
        )


def _refuse_another_recipe(
    then: Mapping[str, JSON], now: Mapping[str, JSON], checkpoint: Path
) -> None:
    """A resumed run is the same run: only what does not change its numbers may differ."""
    faults = [
        Fault(
            path=path,
            what=f"the run was started with {_at(then, path)!r:.200}, and this is "
            f"{_at(now, path)!r:.200}",
            fix=f"resume {checkpoint.parent.parent} with the settings it was started with "
            "(recipe.yaml beside it), or start another run in another folder",
        )
        for name, value in now.items()
        if name not in MAY_CHANGE
        for path in differences(then.get(name), value, name)
    ]
    if faults:
        raise RecipeError(faults)


def _at(tree: JSON, path: str) -> JSON:
    """What stands at a dotted path of a plain tree, if anything does."""
    for key in path.split("."):
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _seen_by_all(policy: Policy, newest: Path | None) -> Path | None:
    """The checkpoint that rank 0 goes on from; raises on every rank where one does not see it."""
    main: Path | None = policy.broadcast(newest)
    seen = policy.gather(main is None or (main / MANIFEST).is_file())
    blind = [rank for rank, sees in enumerate(seen) if not sees]
    if blind:
        raise RecipeError.of(
            f"rank 0 goes on from {main}, which rank {', '.join(map(str, blind))} does not see",
            path="output",
            fix="put the run's folder on storage that every node shares",
        )
    return main


def _prompt_room(recipe: Recipe) -> int:
    """Tokens that a prompt may have, so that a whole completion fits behind it."""
    longest = recipe.sampling.max_tokens
    room = recipe.model.context_length - (1 if isinstance(longest, SlotEntry) else longest)
    return min(recipe.problems.max_prompt_tokens, room)


def _check_gold(recipe: Recipe, problems: Sequence[Problem]) -> None:
    """Refuse data whose gold answers fail."""
    if recipe.problems.gold_sample:
        gold = asyncio.run(
            check_gold(
                problems, VerifierRunner(function_of(recipe.verifier)).verify, recipe.problems
            )
        )
        _say(gold.report)
        gold.refuse_above(recipe.problems.max_gold_fail_frac)


def _engine(recipe: Recipe, policy: Policy, renderer: ChatRenderer) -> Engine:
    context = EngineContext(
        folder=policy.folder,
        dtype=recipe.model.dtype,
        context_length=recipe.model.context_length,
        stop_ids=renderer.stop_ids,
        seed=recipe.seed,
        max_lora_rank=recipe.model.lora.rank if recipe.model.lora else 0,
        max_staleness=recipe.max_staleness,
        logs=recipe.folder / "servers",
    )
    made: Engine = build(recipe.engine, context)
    return made


def _collector(
    recipe: Recipe,
    algorithm: Algorithm,
    engine: Engine,
    renderer: ChatRenderer,
    scorer: VerifierRunner,
    problems: Sequence[Problem],
) -> Collector:
    sampler: Sampler = build(recipe.sampler, problems, recipe.problems.seed)
    buffer: Buffer = build(recipe.buffer)

    def sampling(step: int) -> Sampling:
        return Sampling(
            max_tokens=algorithm.max_tokens(step),
            temperature=algorithm.temperature(step),
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


def _say(line: str) -> None:
    if line:
        print(line, file=sys.stderr, flush=True)
