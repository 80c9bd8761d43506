"""`python -m tools.bench_sandbox start|load|references`: what the code sandbox costs, and misses.

    start        processor time and time by the clock of a program, for each level
    load         verdicts on endless and on honest slow programs while other processes compute
    references   verdicts on the reference solutions of a data file; none may be missing

Processor time is that of this process and its children. Nothing here passes or fails.
"""

import asyncio
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from rewards.sandbox import LEVELS, SandboxUnavailable, choose
from rewards.types import JSON, Message, Problem, Verdict
from rewards.verifiers.code_tests import code_tests

app = typer.Typer(add_completion=False)

ASSERTS = {"test_list": [f"assert f({n}) == {n}" for n in range(3)]}
RUNS = {"inputs": [f"{n}\n" for n in range(20)], "outputs": [f"{n}\n" for n in range(20)]}
ENDLESS = {
    "in a call": (ASSERTS, "def f(n):\n    while True:\n        pass"),
    "on load": (ASSERTS, "while True:\n    pass"),
    "in a script": (RUNS, "while True:\n    pass"),
    "in threads": (
        ASSERTS,
        "import threading\ndef f(n=0):\n    while True:\n        pass\n"
        "for _ in range(8):\n    threading.Thread(target=f, daemon=True).start()",
    ),
}
HONEST = (
    "import time\ndef f(n):\n    end = time.process_time() + {}\n"
    "    while time.process_time() < end:\n        pass\n    return n"
)


def verdict_of(columns: Mapping[str, JSON], program: str, **options: JSON) -> Verdict:
    return asyncio.run(_ask(columns, program, **options))


async def _ask(columns: Mapping[str, JSON], program: str, **options: JSON) -> Verdict:
    message = Message(role="user", content="Write f.")
    problem = Problem(id="bench", messages=(message,), answer="", columns=columns)
    return await code_tests(problem, program, **options)


@app.command()
def start(rounds: Annotated[int, typer.Option(min=2, help="Repetitions of each.")] = 30) -> None:
    """What one program costs at each level."""
    for level in LEVELS:
        try:
            sandbox = choose(level)
        except SandboxUnavailable as error:
            print(error)
            continue
        print(sandbox.describe())
        for name, action in (
            ("a script that does nothing", lambda s=sandbox: s.run("pass")),
            ("three assertions", lambda at=level: _passes(ASSERTS, "f = lambda n: n", at)),
            ("20 runs on standard input", lambda at=level: _passes(RUNS, "print(input())", at)),
        ):
            print(f"    {name:30} {_timed(action, rounds)}")


def _passes(columns: Mapping[str, JSON], program: str, level: str) -> None:
    verdict = verdict_of(columns, program, level=level)
    if not verdict.correct:
        raise RuntimeError(f"a right program did not pass: {verdict.reason}")


def _processor_s() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(kind) for kind in kinds]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _timed(action: Callable[[], object], rounds: int) -> str:
    action()
    clock: list[float] = []
    before = _processor_s()
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        clock.append(1000 * (time.perf_counter() - began))
    used = 1000 * (_processor_s() - before) / rounds
    tenth = sorted(clock)[rounds // 10]
    return f"processor {used:4.0f} ms; clock {tenth:4.0f} ms best tenth, " + (
        f"{statistics.median(clock):4.0f} ms median"
    )


@contextlib.contextmanager
def _busy(processes: int) -> Iterator[None]:
    command = [sys.executable, "-c", "while True: pass"]
    burners = [subprocess.Popen(command) for _ in range(processes)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


@app.command()
def load(
    processes: Annotated[int, typer.Option(min=0, help="Others that compute all the time.")] = 10,
    programs: Annotated[int, typer.Option(min=1, help="Endless programs in all.")] = 100,
    test_s: Annotated[float, typer.Option(help="Processor seconds for one test.")] = 1.0,
    level: Annotated[str, typer.Option(help="Sandbox level.")] = "auto",
) -> None:
    """Endless programs, then honest ones that need two thirds of their time, on a busy machine."""
    options = {"level": level, "test_s": test_s, "total_s": 3 * test_s}
    kinds = list(ENDLESS.items())
    with _busy(processes):
        time.sleep(5)
        print(
            f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {choose(level).describe()}"
        )
        began = time.perf_counter()
        counts: Counter[str] = Counter()
        for number in range(programs):
            name, (columns, program) = kinds[number % len(kinds)]
            verdict = verdict_of(columns, program, **options)
            counts[_kind(verdict)] += 1
            if verdict.is_missing:
                print(f"    {name}: {verdict.reason}")
        each = (time.perf_counter() - began) / programs
        print(f"endless: {dict(counts)}, {each:.1f} s each; load {os.getloadavg()[0]:.1f}")
        one = {"test_list": ["assert f(1) == 1"]}
        slow = HONEST.format(2 * test_s / 3)
        counts = Counter(_kind(verdict_of(one, slow, **options)) for _ in range(programs // 5))
        print(f"honest and slow: {dict(counts)}; load {os.getloadavg()[0]:.1f}")


def _kind(verdict: Verdict) -> str:
    return "missing" if verdict.is_missing else "right" if verdict.correct else "wrong"


@app.command()
def references(
    files: Annotated[list[Path], typer.Argument(help="JSON lines: prompt, answer, and tests.")],
    level: Annotated[str, typer.Option(help="Sandbox level.")] = "auto",
    processes: Annotated[int, typer.Option(help="Others that compute all the time.")] = 0,
) -> None:
    """Every row's answer, judged by the row's tests."""
    with _busy(processes):
        for file in files:
            began = time.perf_counter()
            rows = [json.loads(line) for line in file.read_text().splitlines()]
            verdicts = asyncio.run(_judged(rows, level))
            counts = Counter(map(_kind, verdicts))
            seconds = time.perf_counter() - began
            print(
                f"{file.name}: {dict(counts)} in {seconds:.0f} s, "
                f"{3600 * len(rows) / seconds:.0f} an hour; load {os.getloadavg()[0]:.1f}"
            )
            for row, verdict in zip(rows, verdicts, strict=True):
                if not verdict.correct:
                    print(f"    {row['id']}: {verdict.reason}")


async def _judged(rows: list[dict[str, JSON]], level: str) -> list[Verdict]:
    columns = [row["meta"] | {"prompt": row["prompt"]} for row in rows]
    asked = [
        _ask(own, str(row["answer"]), level=level) for row, own in zip(rows, columns, strict=True)
    ]
    return await asyncio.gather(*asked)


if __name__ == "__main__":
    app()
