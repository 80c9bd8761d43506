"""Reward functions written elsewhere, each in workers of its own that may be killed.

    entry in a recipe --PluginSpec--> a worker imports it once: its kind, or a RecipeError
    response --score()--> worker: load, set up (not under the deadline), call --> Score or a fault

Whatever a plug-in does, one sample is the most it costs: an exception, a NaN, the wrong number of
rewards, nonsense or a hang is a verdict that is missing, with the reason. A plug-in sees none of
the environment but what says where things lie, and the variables that its entry names.

What this does not protect against: a plug-in is the user's own code and may do what the user may.
"""

import functools
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from recipes.errors import RecipeError
from rewards.plugins.signatures import TrainerState
from rewards.types import JSON, Problem
from rewards.workers.pool import Workers, pool
from rewards.workers.process import Outcome

_WORKER = "rewards.plugins.worker"
_IMPORT_S = 120.0  # for a module that brings torch along, on a slow disk


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSpec:
    """One function or class, and how it is called; what a worker is told about it."""

    function: str  # path/to/file.py:name, package.module:name, or an entry point
    kind: str = "auto"
    options: tuple[tuple[str, str], ...] = ()  # name to value as JSON, so that a spec can be a key
    answer_column: str = "answer"
    completions: str = "text"
    tokenizer: str = ""

    def plain(self) -> dict[str, JSON]:
        """As the worker reads it."""
        return {**asdict(self), "options": {k: json.loads(v) for k, v in self.options}}

    @property
    def name(self) -> str:
        """What its component is called: the last word."""
        return self.function.rpartition(":")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The processes that an entry's plug-ins run in."""

    workers: int  # 0: at most four, one a core
    memory_mb: int
    setup_s: float
    environment: tuple[str, ...]

    def open(self) -> Workers:
        """The running pool of these settings; entries that agree on them share it."""

        def make() -> Workers:
            return Workers(
                count=self.workers,
                memory_mb=self.memory_mb,
                start_s=self.setup_s,
                recycle=2**62,  # a class keeps its state for the whole run
                environment=self.environment,
            )

        return pool(f"plugin {self!r}", make)


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginFacts:
    """What a worker found."""

    kind: str  # temper, trl or verl
    place: str  # file:line
    file: str  # absolute; empty for what has none


def inspect_plugin(spec: PluginSpec, environment: Sequence[str] = ()) -> PluginFacts:
    """Import the plug-in in a worker. Raises RecipeError with its file, line and what is wrong."""
    where = spec.function.rpartition(":")[0]
    changed = Path(where).stat().st_mtime_ns if Path(where).is_file() else 0
    return _inspect(spec, tuple(environment), changed)


@functools.cache
def _inspect(spec: PluginSpec, environment: tuple[str, ...], changed: int) -> PluginFacts:
    """`changed` is component of the key, so that an edited file is read again."""
    workers = Workers(count=1, memory_mb=0, start_s=_IMPORT_S, environment=environment)
    try:
        outcome = workers.call_blocking(
            f"{_WORKER}:describe_plugin", spec.plain(), deadline_s=_IMPORT_S
        )
    finally:
        workers.close()
    found = outcome.value or {"fault": f"'{spec.function}' does not import: {outcome.reason}"}
    if "fault" in found:
        raise RecipeError.of(found["fault"])
    return PluginFacts(**found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one plug-in said of one response; `fault` says why there is nothing to go by."""

    fault: str = ""
    reward: float | None = None  # None: "not for me"
    correct: bool | None = None  # None: it did not say
    reason: str = ""
    answer: str = ""
    components: tuple[tuple[str, float], ...] = ()


async def score(
    spec: PluginSpec, workers: Workers, problem: Problem, response: str, *, deadline_s: float
) -> Answer:
    """Ask one plug-in about one response."""
    request = {
        "problem": {
            "id": problem.id,
            "messages": [[m.role, m.content] for m in problem.messages],
            "answer": problem.answer,
            "verifier": problem.verifier,
            "tags": sorted(problem.tags),
            "columns": dict(problem.columns),
        },
        "response": response,
        "state": asdict(_run_state),
    }
    outcome = await workers.call(
        f"{_WORKER}:call",
        spec.plain(),
        request,
        deadline_s=deadline_s,
        prepare=f"{_WORKER}:prepare",
    )
    return _answer(spec, outcome)


def _answer(spec: PluginSpec, outcome: Outcome) -> Answer:
    if outcome.failed:
        return Answer(fault=f"{spec.function}: {outcome.reason}")
    found = outcome.value
    if "fault" in found:
        return Answer(fault=found["fault"])
    if found["missing"]:
        return Answer(fault=f"{spec.function}: {found['reason']}")
    reward = found["reward"]
    if reward is not None and not math.isfinite(reward):
        return Answer(fault=f"{spec.function}: the reward is {reward}")
    return Answer(
        reward=reward,
        correct=found["correct"],
        reason=found["reason"],
        answer=found["answer"],
        components=tuple((name, value) for name, value in found["components"].items()),
    )


_run_state = TrainerState(global_step=0, max_steps=1)  # outside a run


def announce_step(step: int, steps: int) -> None:
    """Tell plug-ins how far the run is: `trainer_state`, which TRL functions may read.

    The only thing a verifier can know besides the problem and the response.
    """
    global _run_state
    _run_state = TrainerState(global_step=step, max_steps=steps)
