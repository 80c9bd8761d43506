"""Trying one program against one row's tests: two confined processes that talk to each other.

    trainer thread --job--> grader (tests, expected values) --calls--> serve (the program)
          ^---------report-----'                             <--data---

The trainer parses nothing but the grader's one line of report, and measures the time of both.
A trial is missing when a sandbox did not start or the tests cannot be used. Once the program runs,
whatever it does ends in a score: a process that dies, hangs or computes too long has lost.
"""

import contextlib
import json
import math
import os
import struct
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from rewards.sandbox.confined import Confined, ProcessorTime, Reader
from rewards.sandbox.grading.proxy import TURNS
from rewards.sandbox.sandbox import START_S, Limits, Sandbox
from rewards.types import JSON

_REPORT_BYTES = 1 << 16
_DISK_MB = 32  # more than any test's input
_GRADER_MB = 2048  # tests and answers of the largest allowed size, as Python objects
_STATUS = {128 + 9: "killed", 128 + 24: "processor time is used up", 128 + 11: "crashed"}
_FIRST_OF_THE_PROGRAM = 3  # turn in which the program's code runs for the first time
_IDLE = 3  # seconds of waiting for nothing that are allowed for each second of processor time
_QUEUE = 30  # seconds of waiting for a processor that are believed for each one of having it


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialJob:
    """A program, the row's test columns, and how to grade."""

    program: str  # untrusted source
    columns: Mapping[str, JSON]  # those of `row_tests.COLUMNS` that the row has
    test_s: float = 6.0  # processor time for one call, one load or one run; waiting: thrice
    total_s: float = 60.0  # processor time for all of them; waiting: as much again
    memory_mb: int = 1024
    answer_kb: int = 8192  # longest answer to one call, or output of one run
    stop_at_first: bool = True  # the first failure decides
    tolerance: float = 1e-6  # of floats in call and stdin style, relative and absolute
    packages: bool = False  # installed packages may be imported, by program and tests

    @property
    def grading_s(self) -> float:
        """Processor time of the grader."""
        return self.total_s / 2

    def encoded(self) -> bytes:
        parts = {
            "program": self.program,
            "columns": dict(self.columns),
            "test_s": self.test_s,
            "grading_s": self.grading_s,
            "most_bytes": self.answer_kb << 10,
            "stop_at_first": self.stop_at_first,
            "tolerance": self.tolerance,
        }
        return json.dumps(parts).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramTrial:
    """What the grader found; `missing` says why nothing could be found."""

    passed: int
    total: int
    reason: str
    missing: str = ""


class _Clock:
    """How long one of the two processes computed, and did nothing, in this turn and in all."""

    def __init__(self, process: Confined) -> None:
        self.process = process
        self._last = ProcessorTime(0.0, 0.0)
        self._turn = -1
        self.used_s = self.idle_s = 0.0  # in this turn
        self.all_used_s = self.all_idle_s = 0.0  # since `reset`

    def look(self, turn: int, passed_s: float) -> None:
        """Count `passed_s` seconds; time that it waited for a processor is not idle.

        That waiting is believed only in proportion to the time that it got: a program cannot pass
        for starved by asking for a processor again and again without using it.
        """
        now = self.process.processor_time()
        used = max(0.0, now.used_s - self._last.used_s)
        waited = min(max(0.0, now.waited_s - self._last.waited_s), _QUEUE * used)
        idle = max(0.0, passed_s - used - waited)
        self._last = now
        self.all_used_s += used
        self.all_idle_s += idle
        if turn != self._turn:  # some of it was for the turn before
            self._turn, self.used_s, self.idle_s = turn, 0.0, 0.0
            return
        self.used_s += used
        self.idle_s += idle

    def reset(self) -> None:
        self.all_used_s = self.all_idle_s = 0.0


class Watch:
    """Ends the process whose turn it is when it takes too long; `why` then says so."""

    def __init__(self, job: TrialJob, serve: Confined, grader: Confined, turns: BinaryIO) -> None:
        self._job, self._turns = job, turns
        self._program, self._grader = _Clock(serve), _Clock(grader)
        self._last_look = time.monotonic()
        self.why = ""

    def turn(self) -> tuple[int, bool]:
        """The number of turns so far, and whether each is a process of its own."""
        data = os.pread(self._turns.fileno(), struct.calcsize(TURNS), 0)
        number, script = struct.unpack(TURNS, data) if data else (0, False)
        return int(number), bool(script)

    def look(self) -> None:
        """To be called often; a long pause between two calls is ours, and does not count."""
        now = time.monotonic()
        passed_s, self._last_look = min(now - self._last_look, 0.5), now
        turn, script = self.turn()
        asked = turn % 2 == 1
        clock = self._program if asked else self._grader
        clock.look(turn, passed_s)
        if turn < _FIRST_OF_THE_PROGRAM:
            clock.reset()
            if clock.idle_s + clock.used_s > START_S:
                self._end(clock, f"it took more than {START_S:g} s")
        elif not asked:
            if clock.used_s > self._job.grading_s + 2 or clock.idle_s > _IDLE * self._job.total_s:
                self._end(clock, "the tests compute for too long on its answer")
        else:
            self.check_program(clock, script)

    def check_program(self, clock: _Clock, script: bool) -> None:
        test_s, total_s = self._job.test_s, self._job.total_s
        # The kernel ends a single run by itself, in whole seconds; the other runs go on then.
        if clock.used_s > (math.ceil(test_s) + 1.5 if script else test_s):
            self._end(clock, f"more than {test_s:g} s of processor time")
        elif clock.all_used_s > total_s:
            self._end(clock, f"more than {total_s:g} s of processor time in all")
        elif clock.idle_s > _IDLE * test_s or clock.all_idle_s > max(total_s, _IDLE * test_s):
            self._end(clock, f"no answer in time: {clock.idle_s:.0f} s of waiting")

    def _end(self, clock: _Clock, why: str) -> None:
        self.why = self.why or why
        clock.process.kill()


def run_trial(sandbox: Sandbox, job: TrialJob, stop: threading.Event | None = None) -> ProgramTrial:
    """Try the program; blocks, so call it from a worker thread. Setting `stop` ends it early."""
    with contextlib.ExitStack() as stack:
        text = stack.enter_context(tempfile.TemporaryFile())
        text.write(job.encoded())
        text.seek(0)
        turns = stack.enter_context(tempfile.TemporaryFile())
        requests, answers, report = os.pipe(), os.pipe(), os.pipe()
        ends = {*requests, *answers, report[1]}
        try:
            stack.callback(os.close, report[0])
            serve = sandbox.start(
                "serve",
                Limits(cpu_s=int(job.total_s) + 2, memory_mb=job.memory_mb, disk_mb=_DISK_MB),
                stdin=requests[0],
                stdout=answers[1],
                packages=job.packages,
            )
            stack.callback(serve.close)
            grader = sandbox.start(
                "grader",
                Limits(cpu_s=int(job.grading_s) + 5, memory_mb=_GRADER_MB),
                stdin=text.fileno(),
                stdout=report[1],
                keep=(requests[1], answers[0], turns.fileno()),
                packages=job.packages,
            )
            stack.callback(grader.close)
        finally:
            for end in ends:
                os.close(end)
        reader = Reader({report[0]: _REPORT_BYTES})
        watch = Watch(job, serve, grader, turns)
        while not reader.glance():
            if stop is not None and stop.is_set():
                break
            watch.look()
        trial = _read(reader.content(report[0]), watch, serve, grader)
        grader.end_soon()  # then the other sees the end of its requests
        if trial.total == trial.passed:  # what failed may hang, and is killed at once
            serve.end_soon()
        return trial


def _read(line: bytes, watch: Watch, serve: Confined, grader: Confined) -> ProgramTrial:
    """The grader's report as a trial; decides what is the program's fault and what is ours."""
    turn, _ = watch.turn()
    try:
        said = json.loads(line)
        passed, total, reason = int(said["passed"]), int(said["total"]), str(said["reason"])
        fault = str(said["fault"])
    except (ValueError, KeyError, TypeError):
        if turn < _FIRST_OF_THE_PROGRAM:
            parts = ("the tests ended without a report", watch.why, _last_line(grader))
            return ProgramTrial(passed=0, total=0, reason="", missing=_joined(*parts))
        why = watch.why or "the tests could not be finished on its answers"
        return ProgramTrial(passed=0, total=0, reason=why)
    if fault == "sandbox":
        parts = (reason, watch.why, _last_line(serve))
        return ProgramTrial(passed=0, total=0, reason="", missing=_joined(*parts))
    if fault:
        return ProgramTrial(passed=0, total=0, reason="", missing=f"{fault}: {reason}")
    if "ended its process" in reason:
        status = serve.wait(0.2)
        ended = "still there" if status is None else _STATUS.get(status, f"exit status {status}")
        reason = f"{reason} ({watch.why or ended})"
    return ProgramTrial(passed=passed, total=total, reason=reason)


def _last_line(process: Confined) -> str:
    return process.complaint()[-300:]


def _joined(*parts: str) -> str:
    return ": ".join(filter(None, parts))
