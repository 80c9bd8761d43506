"""Reward functions written elsewhere, each in workers of its own that may be killed.

    entry in a recipe --PluginSpec--> a worker imports it once: its kind, or a RecipeError
    responses --score()--> worker: load, set up (not under the deadline), call --> scores or a fault

Whatever a plug-in does, one call is the most it costs: an exception, a NaN, the wrong number of
rewards, nonsense or a hang is a verdict that is missing, with the reason. A plug-in sees none of
the environment but what says where things are, and the variables that its entry names.

What this does not protect against: a plug-in is the user's own code and may do what the user may.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from recipes.errors import RecipeError
from rewards.plugins.signatures import TrainerState
from rewards.types import JSON, Problem
from rewards.workers.pool import Workers
from rewards.workers.pool import pool as shared_pool

_WORKER = "rewards.plugins.worker"
_IMPORT_S = 120.0  # for a module that brings torch along, on a slow disk


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSpec:
    """One function or class, and how it is called; what a worker is told about it."""

    function: str  # path/to/file.py:name, package.module:name, or an entry point
    kind: str = "auto"
    options: tuple[tuple[str, str], ...] = ()  # name to value as JSON, so that a spec can be a key
    arguments: tuple[tuple[str, str], ...] = ()  # parameter to what it gets
    answer_column: str = "answer"
    completions: str = "text"
    tokenizer: str = ""

    def plain(self, changed: int) -> dict[str, JSON]:
        """As the worker reads it; `changed`: when its file was written."""
        options = {name: json.loads(value) for name, value in self.options}
        arguments = dict(self.arguments)
        return {**asdict(self), "options": options, "arguments": arguments, "changed": changed}

    @property
    def name(self) -> str:
        """What its component is called: the last word."""
        return self.function.rpartition(":")[2]

    @property
    def file(self) -> Path | None:
        """The file that it names, if it names one."""
        where = Path(self.function.rpartition(":")[0]).expanduser()
        return where.resolve() if where.is_file() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The processes that an entry's plug-ins run in."""

    workers: int  # 0: at most four, one a core
    concurrent: int  # calls of an async function in one process
    memory_mb: int
    setup_s: float
    environment: tuple[str, ...]

    def open(self, spec: PluginSpec) -> Workers:
        """The running pool for a function; those of one folder that agree on settings share it.

        Two folders never share a process: each may have a `helper.py`.
        """
        at_once = self.concurrent if plugin_facts(spec, self.environment).is_async else 1

        def make() -> Workers:
            return Workers(
                count=self.workers,
                at_once=at_once,
                memory_mb=self.memory_mb,
                start_s=self.setup_s,
                recycle=2**62,  # a class keeps its state for the whole run
                environment=self.environment,
                at_end=f"{_WORKER}:end",
            )

        folder = spec.file.parent if spec.file else Path.cwd()
        return shared_pool(f"plugin {self!r} {at_once} {folder}", make)


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginFacts:
    """What a worker found."""

    kind: str  # temper, group, trl or verl
    takes_group: bool  # all responses to a problem at once
    is_async: bool
    place: str  # file:line
    file: str  # absolute; empty for what has none
    changed: int  # when the file that the recipe names was written; 0 for a package


_facts: dict[tuple[PluginSpec, tuple[str, ...]], PluginFacts] = {}


def inspect_plugin(spec: PluginSpec, environment: Sequence[str] = ()) -> PluginFacts:
    """Import the plug-in in a worker, again where its file has changed since the last time.

    Raises RecipeError with its file, line and what is wrong.
    """
    key = (spec, tuple(environment))
    changed = spec.file.stat().st_mtime_ns if spec.file else 0
    if key not in _facts or _facts[key].changed != changed:
        _facts[key] = _inspect(spec, environment, changed)
    return _facts[key]


def plugin_facts(spec: PluginSpec, environment: tuple[str, ...]) -> PluginFacts:
    """What was found when it was last inspected: a run goes on calling that."""
    return _facts.get((spec, environment)) or inspect_plugin(spec, environment)


def _inspect(spec: PluginSpec, environment: Sequence[str], changed: int) -> PluginFacts:
    workers = Workers(count=1, memory_mb=0, start_s=_IMPORT_S, environment=environment)
    try:
        result = workers.call_blocking(
            f"{_WORKER}:describe_plugin", spec.plain(changed), deadline_s=_IMPORT_S
        )
    finally:
        workers.close()
    found = result.value or {"fault": f"'{spec.function}' does not import: {result.reason}"}
    if "fault" in found:
        raise RecipeError.of(found["fault"])
    return PluginFacts(**found, changed=changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginAnswer:
    """What one plug-in said of one response; `fault` says why there is nothing to go by."""

    fault: str = ""
    reward: float | None = None  # None: "not for me"
    correct: bool | None = None  # None: it did not say
    reason: str = ""
    answer: str = ""
    components: tuple[tuple[str, float], ...] = ()


async def score(
    spec: PluginSpec, pool: Pool, problem: Problem, responses: Sequence[str], *, deadline_s: float
) -> list[PluginAnswer]:
    """Ask one plug-in about the responses: one, or a group for a function that takes groups."""
    facts = plugin_facts(spec, pool.environment)
    request = {
        "problem": {
            "id": problem.id,
            "messages": [[m.role, m.content] for m in problem.messages],
            "answer": problem.answer,
            "verifier": problem.verifier,
            "tags": sorted(problem.tags),
            "columns": dict(problem.columns),
        },
        "responses": list(responses),
        "state": asdict(_run_state),
    }
    result = await pool.open(spec).call(
        f"{_WORKER}:call",
        spec.plain(facts.changed),
        request,
        deadline_s=deadline_s * len(responses),
        prepare=f"{_WORKER}:prepare",
    )
    fault = f"{spec.function}: {result.reason}" if result.failed else result.value.get("fault")
    if fault:
        return [PluginAnswer(fault=fault)] * len(responses)
    return [_answer(spec, found) for found in result.value["scores"]]


def _answer(spec: PluginSpec, found: dict[str, JSON]) -> PluginAnswer:
    reward = found["reward"]
    if found["fault"]:
        return PluginAnswer(fault=found["fault"])
    if found["missing"]:
        return PluginAnswer(fault=f"{spec.function}: {found['reason']}")
    if reward is not None and not math.isfinite(reward):
        return PluginAnswer(fault=f"{spec.function}: the reward is {reward}")
    return PluginAnswer(
        reward=reward,
        correct=found["correct"],
        reason=found["reason"],
        answer=found["answer"],
        components=tuple(found["components"].items()),
    )


_run_state = TrainerState(global_step=0, max_steps=1)  # outside a run


def announce_step(step: int, steps: int) -> None:
    """Tell plug-ins how far the run is: `trainer_state`, which TRL functions may read.

    The only thing a verifier can know besides the problem and the responses.
    """
    global _run_state
    _run_state = TrainerState(global_step=step, max_steps=steps)
