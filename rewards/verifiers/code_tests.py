"""A program is right when it passes its tests, run in a sandbox."""

import asyncio
import concurrent.futures
import functools
import logging
import os
import re
import sys
import threading
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from recipes.errors import RecipeError
from recipes.slots.spec import Megabytes, Parallel, Seconds
from rewards.sandbox import Sandbox, SandboxFailure, SandboxUnavailable, choose
from rewards.sandbox.grading.row_tests import COLUMNS
from rewards.sandbox.trial import ProgramTrial, TrialJob, run_trial
from rewards.types import JSON, Problem, Verdict
from rewards.verifiers import verifier

log = logging.getLogger(__name__)
_settling = threading.Lock()

_FENCE = re.compile(
    r"^[ \t]*+(?P<marks>`{3,}+|~{3,}+)[ \t]*+(?P<word>[\w+.#-]*+)[^\n]*+\n"
    r"(?P<body>.*?)"
    r"(?:^[ \t]*+(?P=marks)[ \t]*+$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_PYTHON = {"", "python", "python3", "py", "py3", "python2"}


@verifier.register(tags=("code",))
async def code_tests(
    problem: Problem,
    response: str,
    *,
    level: Annotated[
        Literal["auto", "bubblewrap", "namespaces", "rlimits"],
        Field(description="Sandbox level; auto is the strongest that works here"),
    ] = "auto",
    reward: Annotated[
        Literal["all", "share"],
        Field(description="Reward rule: 1 if all tests pass and else 0, or the share that passes"),
    ] = "all",
    test_s: Annotated[
        Seconds, Field(gt=0, description="Processor seconds for one test; three times that to wait")
    ] = 6.0,
    total_s: Annotated[
        Seconds, Field(gt=0, description="Processor seconds for all tests; as many to wait")
    ] = 60.0,
    memory_mb: Annotated[
        Megabytes, Field(ge=64, description="Memory limit of one program in MiB")
    ] = 1024,
    programs: Annotated[
        Parallel, Field(description="Number of programs tested in parallel; 0 = one per core")
    ] = 0,
    site_packages: Annotated[
        bool, Field(description="Whether programs and tests may import the packages installed here")
    ] = False,
) -> Verdict:
    """1 when the last code block of the response passes the row's tests, else 0 (or the share).

    The tests and what they expect never enter the program's sandbox: calls go in, plain data comes
    out and is compared outside, so an early exit, a printed success or an object with its own idea
    of equality gains nothing. Reads MBPP, HumanEval, APPS and LiveCodeBench rows, see
    rewards/sandbox/grading/row_tests.py. A program over its limits is wrong; a sandbox that fails,
    or a row without readable tests, gives a missing verdict.

    Returns a verdict with the components `tests_passed` (share, 0 to 1) and `sandbox_rank` (3
    bubblewrap, 2 namespaces, 1 rlimits).
    """
    sandbox = await asyncio.to_thread(_settled, level)
    job = TrialJob(
        program=extract_program(response),
        columns=columns_with_tests(problem),
        test_s=test_s,
        total_s=total_s,
        memory_mb=memory_mb,
        stop_at_first=reward == "all",
        packages=site_packages,
    )
    stop = threading.Event()
    try:
        loop = asyncio.get_running_loop()
        trial = await loop.run_in_executor(_workers(programs), run_trial, sandbox, job, stop)
    except (SandboxFailure, OSError) as error:
        return Verdict.missing(f"sandbox '{sandbox.level}': {error}")
    except TypeError as error:  # raised when the job is written down, before anything starts
        return Verdict.missing(f"the row's tests are not JSON: {error}")
    finally:
        stop.set()  # a caller that is cancelled ends its program
    return _verdict(trial, job.program, sandbox, share=reward == "share")


def _verdict(trial: ProgramTrial, program: str, sandbox: Sandbox, *, share: bool) -> Verdict:
    if trial.missing:
        return Verdict.missing(f"sandbox '{sandbox.level}': {trial.missing}")
    passed = trial.passed / max(trial.total, 1)
    correct = 0 < trial.total == trial.passed
    counted = f"{trial.passed} of {trial.total} tests passed"
    return Verdict.scored(
        passed if share else float(correct),
        correct=correct,
        reason=f"{'; '.join(filter(None, (counted, trial.reason)))} [{sandbox.level}]",
        answer=program,
        components={"tests_passed": passed, "sandbox_rank": float(sandbox.rank)},
    )


def extract_program(response: str) -> str:
    """The last fenced block that may be Python; of any language when none may; else everything.

    A fence that is never closed reaches to the end. Leading spaces are kept: a completion may go
    on inside a function.
    """
    blocks = [(match["word"].lower(), match["body"]) for match in _FENCE.finditer(response)]
    python = [body for word, body in blocks if word in _PYTHON]
    return (python or [body for _, body in blocks] or [response])[-1]


def columns_with_tests(problem: Problem) -> dict[str, JSON]:
    """The row's columns that describe tests, also those inside a column `meta`.

    `prompt` is the code that a completion goes on from; where the row has none, the last message
    stands in, and counts only when it holds the head of the function under test.
    """
    columns = dict(problem.columns)
    meta = columns.get("meta")
    found = {**meta, **columns} if isinstance(meta, Mapping) else columns
    said = extract_program(problem.messages[-1].content) if problem.messages else ""
    return {"prompt": said, **{key: found[key] for key in COLUMNS if found.get(key)}}


@functools.cache
def sandbox_in_force(level: str = "auto") -> Sandbox:
    """The sandbox that `level` stands for here, announced once; a RecipeError when there is none.

    Worth asking before a run: a level that does not work is an error, never a weaker one.
    """
    try:
        sandbox = choose(level)
    except SandboxUnavailable as error:
        fix = "install bubblewrap, or choose another level (auto takes what works)"
        raise RecipeError.of(
            f"sandbox level '{level}' does not work here: {error}", fix=fix
        ) from None
    log.log(logging.WARNING if sandbox.leaks else logging.INFO, "%s", sandbox.describe())
    return sandbox


def _settled(level: str) -> Sandbox:
    """The same for many callers at once: the first one tries, the others wait for it."""
    with _settling:
        return sandbox_in_force(level)


@functools.cache
def _workers(programs: int) -> concurrent.futures.ThreadPoolExecutor:
    """Threads that wait for sandboxes; more programs than threads wait their turn."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return concurrent.futures.ThreadPoolExecutor(programs or cores, thread_name_prefix="sandbox")
