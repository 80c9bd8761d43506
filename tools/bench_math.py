r"""Plain math-verify and `math_equal` side by side on a table of labelled cases.

    python -m tools.bench_math tests/rewards/math/math_cases.jsonl [docs/math-answers.md]

A page that is named has its measured table, between two comments, written anew.

Both run in killable workers, one case at a time. Plain math-verify is called as its documentation
shows: the gold boxed, the response as it is, boxes first, its own time limits (5 s for each of
three steps). A case with `"policy": true` is one that reasonable people label differently.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rewards.types import JSON
from rewards.workers.pool import Workers
from rewards.workers.process import CallResult

_BEGIN, _END = "<!-- measured -->", "<!-- end -->"
_KILL_S = 20.0  # no verdict by then counts as wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class MathCase:
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

    case: MathCase
    correct: bool
    missing: bool
    seconds: float


def load(path: Path) -> list[MathCase]:
    """The cases of a JSON-lines file; a text may be written as [[piece, times], ...]."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [MathCase(**{**row, "gold": _text(row["gold"]), "response": _text(row["response"])})
            for row in rows]  # fmt: skip


def _text(value: JSON) -> str:
    return value if isinstance(value, str) else "".join(text * times for text, times in value)


def plain(gold: str, response: str) -> bool:
    """Plain math-verify's verdict; runs in a worker."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    config = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]
    parsed = [parse(text, extraction_config=config) for text in (rf"\boxed{{{gold}}}", response)]
    return bool(verify(parsed[0], parsed[1]))


def run_plain(workers: Workers, case: MathCase) -> CallResult:
    return workers.call_blocking(
        "tools.bench_math:plain", case.gold, case.response, deadline_s=_KILL_S
    )


def run_ours(workers: Workers, case: MathCase) -> CallResult:
    """As the verifier does: what fails is tried once more, and is wrong if it fails again."""
    arguments = (case.gold, case.response, "anywhere", "")
    seconds = 0.0
    for _ in range(2):
        outcome = workers.call_blocking("rewards.math.verdict:judge", *arguments, deadline_s=5.0)
        seconds += outcome.seconds
        if not outcome.failed:
            return CallResult(value=outcome.value["correct"], seconds=seconds)
    return CallResult(value=False, seconds=seconds)


def judge(
    cases: Sequence[MathCase], run: Callable[[Workers, MathCase], CallResult]
) -> list[Judged]:
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


def judge_both(cases: Sequence[MathCase]) -> dict[str, list[Judged]]:
    """Every case by each contestant."""
    return {"math-verify": judge(cases, run_plain), "math_equal": judge(cases, run_ours)}


def page_table(contestants: Mapping[str, Sequence[Judged]]) -> str:
    """A Markdown table: all cases, then those that nobody disputes, for each contestant."""
    lines = [
        "| cases | verifier | accuracy | false positives | false negatives | no verdict "
        "| ms, mean | median | 99% | longest |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for which, disputed in (("all", True), ("undisputed", False)):
        for name, judged in contestants.items():
            mine = [j for j in judged if disputed or not j.case.policy]
            wrong = [j for j in mine if not j.case.correct]
            accepted = sum(j.correct for j in wrong)
            refused = sum(not j.correct for j in mine if j.case.correct)
            times = sorted(1000 * j.seconds for j in mine)
            lines.append(
                f"| {which}, {len(mine)} | {name} | {1 - (accepted + refused) / len(mine):.1%} "
                f"| {accepted} / {len(wrong)} | {refused} / {len(mine) - len(wrong)} "
                f"| {sum(j.missing for j in mine)} | {sum(times) / len(times):.1f} "
                f"| {times[len(times) // 2]:.1f} | {times[len(times) * 99 // 100]:.0f} "
                f"| {times[-1]:.0f} |"
            )
    return "\n".join(lines)


def write_page(page: Path, table: str) -> None:
    """Put the table between the page's two comments."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        sys.exit(f"{page} has no {_BEGIN} and {_END}")
    page.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")


def report(contestants: Mapping[str, Sequence[Judged]]) -> str:
    """The table: all cases, the undisputed ones, then each category."""
    head = (
        f"{'':<24}{'cases':>6}{'accuracy':>11}{'false pos.':>15}{'false neg.':>14}{'none':>6}"
        f"{'mean ms':>10}{'median':>9}{'max':>9}"
    )
    lines = [head]
    for name, judged in contestants.items():
        lines.append(summary(f"all, {name}", judged))
    for name, judged in contestants.items():
        lines.append(summary(f"core, {name}", [j for j in judged if not j.case.policy]))
    for category in sorted({j.case.category for j in contestants["math_equal"]}):
        for name, judged in contestants.items():
            mine = [j for j in judged if j.case.category == category]
            lines.append(summary(f"{category[:12]}, {name[:11]}", mine))
    missed = [j.case for j in contestants["math_equal"] if j.correct != j.case.correct]
    lines += [
        f"math_equal misses: {c.gold[:60]!r} {c.response[:60]!r} ({c.reason})" for c in missed
    ]
    return "\n".join(lines)


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python -m tools.bench_math CASES.jsonl [PAGE.md]")
    began = time.monotonic()
    contestants = judge_both(load(Path(sys.argv[1])))
    print(report(contestants))
    if len(sys.argv) == 3:
        write_page(Path(sys.argv[2]), page_table(contestants))
    print(f"{time.monotonic() - began:.0f} s in all")


if __name__ == "__main__":
    main()
