r"""Plain math-verify and `math_equal` side by side on a table of labelled cases.

    python -m rewards.math.bench tests/rewards/math_cases.jsonl

Both run in killable workers, one case at a time. Plain math-verify is called as its documentation
shows: the gold boxed, the response as it is, boxes first, its own time limits (5 s for each of
three steps). A case with `"policy": true` is one that reasonable people label differently.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rewards.types import JSON
from rewards.worker_process import Outcome
from rewards.workers import Workers

_KILL_S = 20.0  # no verdict by then counts as wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One labelled case."""

    gold: str
    response: str
    correct: bool
    category: str
    reason: str  # why it is labelled so
    policy: bool = False  # reasonable people differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What one contestant said of a case."""

    case: Case
    correct: bool
    missing: bool
    seconds: float


def load(path: Path) -> list[Case]:
    """The cases of a JSON-lines file; a text may be written as [[piece, times], ...]."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Case(**{**row, "gold": _text(row["gold"]), "response": _text(row["response"])})
            for row in rows]  # fmt: skip


def _text(value: JSON) -> str:
    return value if isinstance(value, str) else "".join(text * times for text, times in value)


def plain(gold: str, response: str) -> bool:
    """Plain math-verify's verdict; runs in a worker."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    config = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]
    parsed = [parse(text, extraction_config=config) for text in (rf"\boxed{{{gold}}}", response)]
    return bool(verify(parsed[0], parsed[1]))


def run_plain(workers: Workers, case: Case) -> Outcome:
    return workers.call_blocking(
        "rewards.math.bench:plain", case.gold, case.response, deadline_s=_KILL_S
    )


def run_ours(workers: Workers, case: Case) -> Outcome:
    arguments = (case.gold, case.response, "anywhere", "")
    outcome = workers.call_blocking("rewards.math.judge:judge", *arguments, deadline_s=5.0)
    value = False if outcome.failed else outcome.value["correct"]
    return Outcome(value=value, failure=outcome.failure, seconds=outcome.seconds)


def judge(cases: Sequence[Case], run: Callable[[Workers, Case], Outcome]) -> list[Judged]:
    """Every case by one contestant."""
    workers = Workers(count=1)
    judged = []
    for case in cases:
        outcome = run(workers, case)
        correct = not outcome.failed and bool(outcome.value)
        judged.append(
            Judged(case=case, correct=correct, missing=outcome.failed, seconds=outcome.seconds)
        )
    workers.close()
    return judged


def summary(name: str, judged: Sequence[Judged]) -> str:
    """One line: accuracy, false positives, false negatives, without a verdict, milliseconds."""
    wrong = [j for j in judged if not j.case.correct]
    false_positives = sum(j.correct for j in wrong)
    false_negatives = sum(not j.correct for j in judged if j.case.correct)
    accuracy = 100 * (1 - (false_positives + false_negatives) / max(1, len(judged)))
    times = sorted(1000 * j.seconds for j in judged) or [0.0]
    return (
        f"{name:<24}{len(judged):>6}{accuracy:>9.1f} %{false_positives:>7} / {len(wrong):<5}"
        f"{false_negatives:>6} / {len(judged) - len(wrong):<5}{sum(j.missing for j in judged):>6}"
        f"{sum(times) / len(times):>10.1f}{times[len(times) // 2]:>9.1f}{times[-1]:>9.0f}"
    )


def report(cases: Sequence[Case]) -> str:
    """The table: all cases, the undisputed ones, then each category."""
    contestants = {"math-verify": judge(cases, run_plain), "math_equal": judge(cases, run_ours)}
    head = (
        f"{'':<24}{'cases':>6}{'accuracy':>11}{'false pos.':>15}{'false neg.':>14}{'none':>6}"
        f"{'mean ms':>10}{'median':>9}{'max':>9}"
    )
    lines = [head]
    for name, judged in contestants.items():
        lines.append(summary(f"all, {name}", judged))
    for name, judged in contestants.items():
        lines.append(summary(f"core, {name}", [j for j in judged if not j.case.policy]))
    for category in sorted({case.category for case in cases}):
        for name, judged in contestants.items():
            mine = [j for j in judged if j.case.category == category]
            lines.append(summary(f"{category[:12]}, {name[:11]}", mine))
    missed = [j.case for j in contestants["math_equal"] if j.correct != j.case.correct]
    lines += [
        f"math_equal misses: {c.gold[:60]!r} {c.response[:60]!r} ({c.reason})" for c in missed
    ]
    return "\n".join(lines)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m rewards.math.bench CASES.jsonl")
    began = time.monotonic()
    print(report(load(Path(sys.argv[1]))))
    print(f"{time.monotonic() - began:.0f} s in all")


if __name__ == "__main__":
    main()
