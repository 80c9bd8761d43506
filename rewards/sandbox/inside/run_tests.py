"""The trusted side of a trial: holds the tests and decides; the program only answers its calls.

    trainer --job--> judge <--requests, answers--> serve (the program, in a sandbox of its own)
       ^----report----'

It runs confined as well: its tests come from a data set, and its data from the program. What it
reports is counted here, from values that were compared here.
"""

import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Any, NoReturn

from rewards.sandbox.inside import assertions, cases, program, test_cases
from rewards.sandbox.inside.launch_order import Order
from rewards.sandbox.inside.proxy import Channel, Gone, Hung, NotStarted, Unsendable
from rewards.sandbox.inside.seal import seal
from rewards.sandbox.inside.test_counter import Stop, TestCounter

CLOCK_PER_CPU = 3  # seconds by the clock for each of processor time: the machine may be busy


@dataclass(kw_only=True)
class Report:
    """What the trainer reads: one line of JSON."""

    passed: int
    total: int
    reason: str
    fault: str = ""  # "sandbox" or "tests": nobody's answer was judged
    hung: bool = False  # the program did not answer in time, and is still there to be looked at
    waited_s: float = 0.0  # how long the judge waited then


class Busy(BaseException):
    """The judge itself has computed for too long: the answer, or the test, is a bomb."""


def main(order: Order) -> None:
    """Read the job from standard input, try the program, write the report."""
    with open(os.dup(0), encoding="utf-8", errors="surrogatepass") as file:
        job: dict[str, Any] = json.load(file)
    out = os.dup(1)
    for stream in (0, 1):
        program.silence(stream)
    seal(order)
    channel = Channel(*order.fds, most_bytes=job["most_bytes"])
    signal.signal(signal.SIGVTALRM, _stop_computing)
    report = _try(job, channel)
    os.write(out, json.dumps(asdict(report)).encode() + b"\n")
    os._exit(0)


def _stop_computing(number: int, frame: FrameType | None) -> NoReturn:
    raise Busy("comparing the answer, or running the test on it, takes too long")


def _try(job: dict[str, Any], channel: Channel) -> Report:
    """The whole trial; every way in which it can end becomes a report."""
    tally = TestCounter(stop_at_first=job["stop_at_first"])
    fault, reason, hung = "", "", False
    try:
        asked = test_cases.read(job["columns"], job["program"])
        test_s = job["test_s"]
        channel.begin(job["start_s"], script=asked.style == "stdin", test_s=test_s)
        channel.limit_s = CLOCK_PER_CPU * test_s
        channel.deadline = time.monotonic() + job["total_s"]
        signal.setitimer(signal.ITIMER_VIRTUAL, job["total_s"] / 2)
        run = assertions.run if asked.style == "assert" else cases.run
        run(asked, channel, tally, job)
    except (test_cases.BadTests, Unsendable) as failure:
        fault, reason = "tests", str(failure)
    except NotStarted as failure:
        fault, reason = "sandbox", str(failure)
    except Hung as failure:
        hung, reason = True, str(failure)
    except (Gone, Busy, Stop) as failure:
        reason = str(failure)
    except Exception as failure:  # the program's exception outside any test, for example on load
        reason = f"{type(failure).__name__}: {str(failure)[:300]}"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    if channel.broken is not None and not fault:
        hung, reason = isinstance(channel.broken, Hung), str(channel.broken)
    passed, total = tally.result(finished=not (reason or hung))
    if not fault and tally.total == 0:
        fault, reason = "tests", "the row's tests assert nothing"
    if not tally.passed and not tally.failed:
        reason = reason or "no assertion was reached"
    return Report(
        passed=passed,
        total=total,
        reason=reason or tally.reason,
        fault=fault,
        hung=hung,
        waited_s=channel.waited_s,
    )
