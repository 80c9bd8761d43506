"""`temper verify`: a reward on the bench before a run depends on it."""

import asyncio
import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.progress_bar import shown
from eval.suite import load_suite, suite_names
from recipes.errors import RecipeError
from recipes.loading.recipe_tree import find, load, parse_overrides, with_source_location
from recipes.loading.validate import validate
from recipes.slots.registry import SlotEntry, call_on_run_start, function_of, to_plain
from recipes.slots.spec import JSON, Spec
from rewards.audit.batch_dependence import BatchTrial, batch_trials, reward_text
from rewards.audit.probes import Probe, given, probes
from rewards.audit.verifier_bench import BenchReport, Bounds, Trial, run
from rewards.types import Problem
from rollout.data.tables import read
from rollout.problems import ProblemsSpec, load_problems
from trainer.recipe.sections import VerifierEntry
from trainer.verifiers import verifier

_LISTED = 10  # examples of a kind in the table; the JSON has all


class Bench(Spec):
    """The part of a recipe or a suite that says which answers are right."""

    problems: ProblemsSpec
    verifier: VerifierEntry


def run_verify(
    name: str,
    overrides: Sequence[str],
    *,
    responses: Path | None,
    second: str,
    sample: int,
    concurrency: int,
    bounds: Bounds,
    out: Path | None,
    console: Console,
) -> int:
    """Try the verifier of a recipe or suite; 1 when a stated bound is broken, else 0."""
    bench = load_bench(name, overrides)
    other: SlotEntry | None = None
    if second:  # as the command line writes it: `numeric`, or `{name: numeric, marker: "#"}`
        try:
            other = verifier.bind(parse_overrides([f"verifier={second}"])["verifier"])
        except RecipeError as error:
            raise RecipeError(
                [dataclasses.replace(fault, where=f"--second {second}") for fault in error.faults]
            ) from None
    if other is not None:
        call_on_run_start(other)
    problems = load_problems(bench.problems, bench.verifier)
    asked = _asked(problems, bench.problems, responses, sample)
    batches = asyncio.run(batch_trials(bench.verifier, asked))  # before they know the odd ones
    with shown("verifying") as progress:
        trials = asyncio.run(
            run(
                function_of(bench.verifier),
                asked,
                second=function_of(other) if other else None,
                concurrency=concurrency,
                progress=progress,
            )
        )
    report = BenchReport(trials=trials, batches=batches)
    broken = report.broken(bounds)
    _show(report, bench.verifier.name, other.name if other else "", console)
    for line in broken:
        print(f"broken: {line}", file=sys.stderr)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(_plain(report, bench, other, broken), indent=2))
    return 1 if broken else 0


def load_bench(name: str, overrides: Sequence[str]) -> Bench:
    """Problems and verifier of a recipe, of a suite, or of a file with nothing else in it.

    The verifier has opened what a run opens when it begins.
    """
    if name in suite_names():
        suite = load_suite(name, parse_overrides(overrides))
        call_on_run_start(suite.verifier)
        return Bench(problems=suite.problems, verifier=suite.verifier)
    loaded = load(find(name), overrides)
    tree = {key: loaded.tree[key] for key in Bench.model_fields if key in loaded.tree}
    bench = validate(Bench, dataclasses.replace(loaded, tree=tree))
    with with_source_location(loaded, "verifier"):
        call_on_run_start(bench.verifier)
    return bench


def _asked(
    problems: Sequence[Problem], spec: ProblemsSpec, responses: Path | None, sample: int
) -> list[Probe]:
    asked = probes(problems, spec.gold_response, sample=sample, seed=spec.seed)
    if responses is not None:
        if not responses.is_file():
            raise RecipeError.of(f"--responses: no file {responses}", fix="correct the path")
        lines = [
            (line.where, dict(line.values))
            for line in read(str(responses), split="train", subset="")
        ]
        try:
            asked += given(lines, problems)
        except ValueError as error:
            raise RecipeError.of(
                str(error),
                fix='a line is {"id" or "answer": ..., "response": ..., "expected": true, false, a '
                "number, or left out}",
            ) from None
    if not asked:
        raise RecipeError.of(
            "there is nothing to try: no problem has an answer",
            fix="name the answer's column, or give responses with --responses",
        )
    return asked


def _show(report: BenchReport, name: str, second: str, console: Console) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), title=f"verifier {name}", title_justify="left")
    headings = ("probe", "asked", "accepted", "ok", "not ok", "missing", "changed")
    for heading in (*headings, "slowest ms"):
        table.add_column(heading, justify="left" if heading == "probe" else "right")
    for kind in report.kinds:
        known = kind.as_expected + kind.not_expected > 0
        table.add_row(
            kind.name,
            str(kind.count),
            str(kind.accepted),
            str(kind.as_expected) if known else "-",
            _red(kind.not_expected) if known else "-",
            _red(kind.missing),
            _red(kind.changed),
            f"{1000 * kind.slowest_s:.0f}",
        )
    console.print(table)
    times = ", ".join(f"{p}%: {1000 * s:.3g}" for p, s in report.seconds.items())
    console.print(f"milliseconds of a usual call, by percentile: {times}")
    if report.agreement is not None:
        a = report.agreement
        console.print(
            f"agreement with {second}: {a.share:.1%} of {a.both} (kappa {a.kappa:.2f}); only "
            f"{name} accepts {a.first_only}, only {second} accepts {a.second_only}"
        )
    _list(f"not as {second} says", report.disagreements, console)
    _list("gold answers that fail", report.gold_failures, console)
    _list("wrong answers accepted", report.accepted_wrong, console)
    _show_batches(report.batches, console)
    beyond = [trial for trial in report.trials if trial.too_long]
    if beyond:
        kinds = Counter(trial.probe.kind for trial in beyond)
        counts = ", ".join(f"{kind} {count}" for kind, count in kinds.items())
        console.print(
            Text(
                f"longer than the verifier reads: {len(beyond)} probes ({counts}); the first: "
                f"{beyond[0].verdict.reason:.200}; in a run such a response has no verdict"
            )
        )
    reasons = Counter(t.verdict.reason for t in report.trials if t.missing)
    for reason, count in reasons.most_common(3):
        console.print(Text(f"missing, {count}x: {reason:.200}"))


_SENTENCES = {  # how a verdict depends on the batch -> what to make of it
    "order": "the order of a group carries no meaning: make the reward independent of it",
    "compares": "it is called with all responses to a problem, and compares them",
    "state": "it is called with one response at a time: keep nothing between calls, or take "
    "`responses`, all of a problem",
}


def _show_batches(trials: Sequence[BatchTrial], console: Console) -> None:
    """One line a function and dependence: how many responses, and the first pair of rewards."""
    found: dict[tuple[str, str], list[BatchTrial]] = {}
    for trial in trials:
        if trial.depends_on_order:
            found.setdefault((trial.function, "order"), []).append(trial)
        elif trial.depends_on_batch:
            why = "compares" if trial.compares else "state"
            found.setdefault((trial.function, why), []).append(trial)
    for (function, why), moved in found.items():
        first = moved[0]
        before, after = (
            (f"{reward_text(first.together)} in a group of {first.size}", "with the order reversed")
            if why == "order"
            else (f"{reward_text(first.alone)} alone", f"in a group of {first.size}")
        )
        now = first.reordered if why == "order" else first.together
        of = sum(trial.function == function for trial in trials)
        console.print(
            Text(
                f"depends on other responses: {function}, {len(moved)} of {of} responses; "
                f"{first.response!r:.60} to {first.problem.id}: {before}, {reward_text(now)} "
                f"{after}; {_SENTENCES[why]}"
            )
        )


def _red(count: int) -> Text:
    """A count that should be 0."""
    return Text(str(count), style="red" if count else "")


def _list(title: str, trials: Sequence[Trial], console: Console) -> None:
    for trial in trials[:_LISTED]:
        probe, verdict = trial.probe, trial.verdict
        said = "missing" if verdict.is_missing else f"reward {verdict.reward:g}"
        console.print(
            Text(
                f"{title}: {probe.name}: {probe.response!r:.80} against "
                f"{probe.problem.answer[-40:]!r}: {said} ({verdict.reason:.80})"
            )
        )
    if len(trials) > _LISTED:
        console.print(f"{title}: and {len(trials) - _LISTED} more (--json has all)")


def _plain(
    report: BenchReport, bench: Bench, second: SlotEntry | None, broken: Sequence[str]
) -> dict[str, JSON]:
    agreement = report.agreement
    return {
        "verifier": to_plain(bench.verifier),
        "second": to_plain(second) if second else None,
        "kinds": [dataclasses.asdict(kind) for kind in report.kinds],
        "seconds": {str(p): seconds for p, seconds in report.seconds.items()},
        "agreement": dataclasses.asdict(agreement) if agreement else None,
        "disagreements": [trial.plain() for trial in report.disagreements],
        "gold_failures": [trial.plain() for trial in report.gold_failures],
        "accepted_wrong": [trial.plain() for trial in report.accepted_wrong],
        "missing": [trial.plain() for trial in report.trials if trial.missing],
        "too_long": [trial.plain() for trial in report.trials if trial.too_long],
        "batch": [t.plain() for t in report.batches if t.depends_on_batch or t.depends_on_order],
        "changed": [trial.plain() for trial in report.trials if trial.changed],
        "given": [trial.plain() for trial in report.trials if trial.probe.kind == "given"],
        "broken": list(broken),
    }
