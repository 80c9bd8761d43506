"""The trusted side of a trial: holds the tests and decides; the program only answers its calls.

    trainer --job--> grader <--requests, answers--> serve (the program, in a sandbox of its own)
       ^----report----'

It runs confined as well: its tests come from a data set, and its data from the program. What it
reports is counted here, from values that were compared here.
"""

import json
import os
import signal
from types import FrameType
from typing import NamedTuple, NoReturn

from rewards.sandbox.grading import row_tests
from rewards.sandbox.grading.counter import AssertionCounter, short
from rewards.sandbox.grading.proxy import Channel, NotStarted, Unsendable
from rewards.sandbox.inside import program
from rewards.sandbox.inside.codec import Plain
from rewards.sandbox.inside.launch_order import LaunchOrder
from rewards.sandbox.inside.lock import lock
from rewards.sandbox.inside.seccomp import seal


class GradingReport(NamedTuple):
    """What the trainer reads: one line of JSON."""

    passed: int
    total: int
    reason: str
    fault: str  # "sandbox" or "tests": no answer was graded; else empty


class TooMuch(BaseException):
    """The grader itself has computed for too long: the answer, or the test, is a bomb."""


def main(order: LaunchOrder) -> None:
    """Read the job from standard input, try the program, write the report."""
    with open(os.dup(0), encoding="utf-8", errors="surrogatepass") as file:
        job: dict[str, Plain] = json.load(file)
    out = os.dup(1)
    for stream in (0, 1):
        program.silence(stream)
    lock(order)
    seal(order)
    channel = Channel(*order.fds, most_bytes=job["most_bytes"])

    def stop_computing(number: int, frame: FrameType | None) -> NoReturn:
        raise TooMuch("comparing the answer, or running the test on it, takes too long")

    signal.signal(signal.SIGVTALRM, stop_computing)
    report = grade(job, channel)
    os.write(out, json.dumps(report._asdict()).encode() + b"\n")
    os._exit(0)


def grade(job: dict[str, Plain], channel: Channel) -> GradingReport:
    """The whole trial; every way in which it can end becomes a report."""
    counter = AssertionCounter(stop_at_first=job["stop_at_first"])
    fault = reason = ""
    try:
        tests = row_tests.read(job["columns"], job["program"])
        channel.begin(script=tests.style == "stdin")
        signal.setitimer(signal.ITIMER_VIRTUAL, job["grading_s"])
        if tests.style in ("assert", "file"):  # imported here, because each costs some time
            from rewards.sandbox.grading import assertions

            assertions.run(tests, channel, counter)
        else:
            from rewards.sandbox.grading import cases

            if tests.style == "stdin":
                cases.run_scripts(tests, channel, counter, job["tolerance"], job["test_s"])
            else:
                cases.run_calls(tests, channel, counter, job["tolerance"])
    except (row_tests.BadTests, Unsendable) as failure:
        fault, reason = "tests", str(failure)
    except NotStarted as failure:
        fault, reason = "sandbox", str(failure)
    except Exception as failure:  # the program's exception outside any test, for example on load
        reason = f"{type(failure).__name__}: {short(failure)}"
    except BaseException as failure:  # the trial ends early: Stop, Gone, TooMuch, SystemExit
        reason = short(failure) or type(failure).__name__
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    if channel.broken is not None and not fault:
        reason = short(channel.broken)
    passed, total = counter.result(finished=not reason)
    if not fault and counter.total == 0:
        fault, reason = "tests", reason or "the row's tests assert nothing"
    if not counter.passed and not counter.failed:
        reason = reason or "no assertion was reached"
    return GradingReport(passed, total, reason or counter.reason, fault)
