"""Trying one program against one row's tests: two confined processes that talk to each other.

    trainer thread --job--> judge (tests, expected values) --calls--> serve (the program)
          ^---------report----'                            <--data---

The trainer parses nothing but the judge's one line of report.
"""

import contextlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rewards.sandbox.limits import Limits
from rewards.sandbox.process import Confined, read_until
from rewards.sandbox.sandbox import START_S, Sandbox

_REPORT_BYTES = 1 << 16
_DISK_MB = 32  # more than any test's input
_JUDGE_MB = 4096  # tests and answers of the largest allowed size, as Python objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A program, the row's test columns, and how to judge."""

    program: str  # untrusted source
    columns: Mapping[str, Any]  # those of `suite.COLUMNS` that the row has
    test_s: float = 6.0  # processor time for one call, one load or one run; by the clock, thrice
    total_s: float = 60.0  # for all of them, by the clock
    memory_mb: int = 1024
    answer_kb: int = 8192  # longest answer to one call, or output of one run
    stop_at_first: bool = True  # the first failure decides
    tolerance: float = 1e-6  # of floats in call and stdin style, relative and absolute
    packages: bool = False  # installed packages may be imported, by program and tests


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What the judge found; `missing` says why nothing could be found."""

    passed: int
    total: int
    reason: str
    missing: str = ""


def run_trial(sandbox: Sandbox, job: Job, stop: threading.Event | None = None) -> Trial:
    """Try the program; blocks, so call it from a worker thread. Setting `stop` ends it early."""
    with contextlib.ExitStack() as stack:
        text = stack.enter_context(tempfile.TemporaryFile())
        text.write(_encoded(job))
        text.seek(0)
        requests, answers, report = os.pipe(), os.pipe(), os.pipe()
        ends = {*requests, *answers, report[1]}
        try:
            serve = sandbox.start(
                "serve",
                Limits(cpu_s=int(job.total_s) + 2, memory_mb=job.memory_mb, disk_mb=_DISK_MB),
                stdin=requests[0],
                stdout=answers[1],
                packages=job.packages,
            )
            stack.callback(serve.close)
            judge = sandbox.start(
                "run_tests",
                Limits(cpu_s=int(job.total_s) + 2, memory_mb=_JUDGE_MB),
                stdin=text.fileno(),
                stdout=report[1],
                keep=(requests[1], answers[0]),
                packages=job.packages,
            )
            stack.callback(judge.close)
        finally:
            for end in ends:
                os.close(end)
            stack.callback(os.close, report[0])
        deadline = time.monotonic() + START_S + 1.5 * job.total_s + 5
        got, _ = read_until({report[0]: _REPORT_BYTES}, deadline, stop)
        trial = _read(got[report[0]], serve, judge, job.test_s)
        judge.end_soon()  # then the other sees the end of its requests
        if trial.total == trial.passed:  # what failed may hang, and is killed at once
            serve.end_soon()
        return trial


def _encoded(job: Job) -> bytes:
    parts = {
        "program": job.program,
        "columns": dict(job.columns),
        "test_s": job.test_s,
        "total_s": job.total_s,
        "start_s": START_S,
        "most_bytes": job.answer_kb << 10,
        "stop_at_first": job.stop_at_first,
        "tolerance": job.tolerance,
    }
    return json.dumps(parts).encode()


def _read(line: bytes, serve: Confined, judge: Confined, test_s: float) -> Trial:
    """The judge's report as a trial; decides what is the program's fault and what is ours."""
    try:
        said = json.loads(line)
        passed, total, reason = int(said["passed"]), int(said["total"]), str(said["reason"])
        fault, hung, waited_s = str(said["fault"]), bool(said["hung"]), float(said["waited_s"])
    except (ValueError, KeyError, TypeError):
        why = f"the judge ended without a report {judge.complaint()[-300:]}".strip()
        return Trial(passed=0, total=0, reason="", missing=why)
    missing = ""
    if fault:
        missing = f"{fault}: {reason} {serve.complaint()[-300:] if fault == 'sandbox' else ''}"
    elif hung and serve.starved(waited_s, enough_s=test_s):
        missing = f"the machine is overloaded: {reason}"
    elif serve_status := _status_of_the_dead(reason, serve):
        reason = f"{reason} ({serve_status})"
    return Trial(passed=passed, total=total, reason=reason, missing=missing.strip())


def _status_of_the_dead(reason: str, serve: Confined) -> str:
    """How the program's process ended, where that is why the trial did."""
    if "ended its process" not in reason:
        return ""
    status = serve.wait(0.2)
    known = {128 + 9: "killed", 128 + 24: "processor time is used up", 128 + 11: "crashed"}
    return known.get(status or 0, f"exit status {status}") if status is not None else ""
