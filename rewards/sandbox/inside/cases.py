"""Call and stdin style: sends inputs, compares what comes back."""

import math
import signal
from typing import Any

from rewards.sandbox.inside.compare_output import same_text, same_value
from rewards.sandbox.inside.proxy import Channel, NotStarted, Program
from rewards.sandbox.inside.test_cases import Case, Suite
from rewards.sandbox.inside.test_counter import TestCounter


def run(suite: Suite, channel: Channel, tally: TestCounter, job: dict[str, Any]) -> None:
    """One call, or one run of the program, for each case."""
    tolerance = float(job["tolerance"])
    tally.total = len(suite.cases)
    if suite.style == "stdin":
        _run_scripts(suite, channel, tally, job)
        return
    program = Program(channel, echo=False)
    program.load(suite.sources, usual_imports=True)
    function = program.name(suite.entry)
    for number, case in enumerate(suite.cases, 1):
        try:
            got = function(*case.given)
        except Exception as error:
            why = f"{type(error).__name__}: {str(error)[:200]}"
            tally.record(f"case {number}", False, why)
            continue
        tally.record(f"case {number}", _matches(got, case, tolerance), f"got {got!r:.200}")


def _matches(got: Any, case: Case, tolerance: float) -> bool:
    if same_value(got, case.expected, tolerance=tolerance):
        return True
    alone = case.wrapped and isinstance(case.expected, list) and len(case.expected) == 1
    return alone and same_value(got, case.expected[0], tolerance=tolerance)


def _run_scripts(suite: Suite, channel: Channel, tally: TestCounter, job: dict[str, Any]) -> None:
    most = channel.most_bytes // 2 - 1024  # the output travels as hexadecimal text
    fixed = {"op": "run", "source": suite.sources[0], "most": most}
    fixed["cpu_s"] = math.ceil(job["test_s"])
    for number, case in enumerate(suite.cases, 1):
        answer = channel.ask({**fixed, "stdin": case.given})
        if not answer.get("sealed"):
            raise NotStarted(f"the sandbox did not start for case {number}")
        output = bytes.fromhex(str(answer["output"]))
        text = output.decode("utf-8", "replace")
        if len(output) > most:
            passed, why = False, f"more than {most} bytes of output"
        elif answer["status"] == -signal.SIGXCPU:
            passed, why = False, "processor time is used up"
        elif answer["status"] != 0:
            passed, why = False, f"exit status {answer['status']}"
        else:
            passed = same_text(text, case.expected, tolerance=float(job["tolerance"]))
            why = f"got {text!r:.200}"
        tally.record(f"case {number}", passed, why)
