"""A verifier on the bench: every probe twice, timed, and what that says about it.

trials = await run(verifier, probes, second=other, concurrency=4)
report = BenchReport(trials=trials)
report.broken(Bounds(max_missing=0.0))       what of the stated bounds is broken, in words
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rewards.audit.batch_dependence import BatchTrial
from rewards.audit.probes import Expect, Probe
from rewards.calling import call_verifier
from rewards.types import JSON, Verdict
from rewards.verifiers import Verifier

_REWARD_TOLERANCE = 1e-6
_SHOWN = 200  # characters of a response in a report
PERCENTILES = (50, 90, 99, 100)
_ODD = ("empty", "huge", "unicode", "adversarial")  # their times say nothing of a usual call


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What became of one probe."""

    probe: Probe
    verdict: Verdict
    again: Verdict  # the same, asked a second time
    second: Verdict | None  # of the second verifier, if there is one
    seconds: float  # of the first call, by the clock

    @property
    def expected(self) -> bool | None:
        """Whether the verdict is the one that is known; None where nothing is known, or missing."""
        if self.verdict.is_missing:
            return None
        if self.probe.reward is not None:
            return abs(self.verdict.reward - self.probe.reward) <= _REWARD_TOLERANCE
        if self.probe.expect is Expect.ANYTHING:
            return None
        return self.verdict.correct == (self.probe.expect is Expect.CORRECT)

    @property
    def too_long(self) -> bool:
        """Whether it is a made-up response that is longer than the verifier's model reads."""
        return self.verdict.too_long and self.probe.kind in _ODD

    @property
    def missing(self) -> bool:
        """Whether there is no verdict, and length is not the cause."""
        return self.verdict.is_missing and not self.too_long

    @property
    def changed(self) -> bool:
        """Whether two calls gave two verdicts."""
        return _essence(self.verdict) != _essence(self.again)

    def plain(self) -> dict[str, JSON]:
        """As JSON."""
        return {
            "kind": self.probe.kind,
            "name": self.probe.name,
            "id": self.probe.problem.id,
            "gold": self.probe.problem.answer[:_SHOWN],
            "response": self.probe.response[:_SHOWN],
            "expected": self.probe.expect.value,
            "missing": self.verdict.is_missing,
            "reward": self.verdict.reward,
            "correct": self.verdict.correct,
            "reason": self.verdict.reason[:_SHOWN],
            "second_correct": self.second.correct if self.second else None,
            "seconds": round(self.seconds, 6),
        }


def _essence(verdict: Verdict) -> tuple[bool, bool, float]:
    return verdict.is_missing, verdict.correct, verdict.reward


async def run(
    verifier: Verifier,
    probes: Sequence[Probe],
    *,
    second: Verifier | None = None,
    concurrency: int = 4,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Trial]:
    """Ask about every probe, at most `concurrency` at a time, so times include some waiting."""
    gate = asyncio.Semaphore(concurrency)
    done = 0

    async def one(probe: Probe) -> Trial:
        nonlocal done
        async with gate:
            start = time.perf_counter()
            verdict = await call_verifier(verifier, probe.problem, probe.response)
            seconds = time.perf_counter() - start
            again = await call_verifier(verifier, probe.problem, probe.response)
            other = None
            if second is not None:
                other = await call_verifier(second, probe.problem, probe.response)
        done += 1
        progress(done, len(probes))
        return Trial(probe=probe, verdict=verdict, again=again, second=other, seconds=seconds)

    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(one(probe)) for probe in probes]
    return [task.result() for task in asked]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The trials of one kind, counted."""

    name: str
    count: int
    accepted: int  # called correct
    as_expected: int
    not_expected: int
    missing: int
    too_long: int  # not among the missing
    changed: int
    slowest_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Two verifiers on the same responses, where both gave a verdict."""

    both: int
    share: float  # that they agree on whether it is correct
    kappa: float  # Cohen's: agreement beyond chance; nan when chance would agree on all
    first_only: int  # the first says correct, the second wrong
    second_only: int


@dataclass(frozen=True, kw_only=True)
class BenchReport:
    """Everything that the trials say."""

    trials: Sequence[Trial]
    batches: Sequence[BatchTrial] = ()  # the same responses beside others

    @cached_property
    def kinds(self) -> list[Kind]:
        """A line for each kind, in the order in which they were asked."""
        trials: dict[str, list[Trial]] = {}
        for trial in self.trials:
            trials.setdefault(trial.probe.kind, []).append(trial)
        return [
            Kind(
                name=name,
                count=len(chosen),
                accepted=sum(trial.verdict.correct for trial in chosen),
                as_expected=sum(trial.expected is True for trial in chosen),
                not_expected=sum(trial.expected is False for trial in chosen),
                missing=sum(trial.missing for trial in chosen),
                too_long=sum(trial.too_long for trial in chosen),
                changed=sum(trial.changed for trial in chosen),
                slowest_s=max(trial.seconds for trial in chosen),
            )
            for name, chosen in trials.items()
        ]

    @cached_property
    def gold_failures(self) -> list[Trial]:
        """Gold answers that are not accepted, or have no verdict."""
        return [t for t in self.trials if t.probe.kind == "gold" and t.expected is not True]

    @cached_property
    def accepted_wrong(self) -> list[Trial]:
        """Responses known to be wrong that are called correct."""
        wrong = (t for t in self.trials if t.probe.expect is Expect.WRONG)
        return [trial for trial in wrong if trial.expected is False]

    @cached_property
    def seconds(self) -> dict[int, float]:
        """Percentiles of the time of a usual call; the 100th is the slowest."""
        usual = [trial.seconds for trial in self.trials if trial.probe.kind not in _ODD]
        return {p: float(np.percentile(usual, p)) if usual else 0.0 for p in PERCENTILES}

    @cached_property
    def agreement(self) -> Agreement | None:
        """With the second verifier; None without one, or where no response has both verdicts."""
        pairs = [
            (t.verdict.correct, t.second.correct)
            for t in self.trials
            if t.second is not None and not t.second.is_missing and not t.verdict.is_missing
        ]
        if not pairs:
            return None
        first, other = np.array(pairs, dtype=float).T
        share = float((first == other).mean())
        chance = float(first.mean() * other.mean() + (1 - first.mean()) * (1 - other.mean()))
        return Agreement(
            both=len(pairs),
            share=share,
            kappa=(share - chance) / (1 - chance) if chance < 1 else float("nan"),
            first_only=int((first > other).sum()),
            second_only=int((other > first).sum()),
        )

    @cached_property
    def disagreements(self) -> list[Trial]:
        """Responses that one of the two verifiers calls correct and the other wrong."""
        return [
            t
            for t in self.trials
            if t.second is not None
            and not (t.second.is_missing or t.verdict.is_missing)
            and t.second.correct != t.verdict.correct
        ]

    def share(self, of: Callable[[Trial], bool], among: Callable[[Trial], bool]) -> float:
        """Of the trials `among`, those that are `of`; 0 where there are none."""
        chosen = [trial for trial in self.trials if among(trial)]
        return sum(map(of, chosen)) / len(chosen) if chosen else 0.0

    def broken(self, bounds: "Bounds") -> list[str]:
        """The stated bounds that do not hold, each with both numbers."""
        return [
            f"{what}: {found:.4g}, allowed {'at least' if low else 'at most'} {bound:.4g}"
            for what, found, bound, low in self._measured(bounds)
            if bound is not None and (found < bound if low else found > bound)
        ]

    def _measured(self, bounds: "Bounds") -> Iterator[tuple[str, float, float | None, bool]]:
        """Name, number, bound, and whether the bound is a smallest one."""
        failed = len(self.gold_failures)
        gold = max(sum(t.probe.kind == "gold" for t in self.trials), 1)
        yield "share of gold answers that fail", failed / gold, bounds.max_gold_fail, False
        accepted = self.share(
            lambda t: t.expected is False, lambda t: t.probe.expect is Expect.WRONG
        )
        yield "share of wrong answers accepted", accepted, bounds.max_false_accept, False
        missing = self.share(lambda t: t.missing, lambda t: True)
        yield "share without a verdict", missing, bounds.max_missing, False
        changed = self.share(lambda t: t.changed, lambda t: True)
        yield "share with two verdicts in two calls", changed, bounds.max_changed, False
        moved = sum(trial.is_fault for trial in self.batches) / max(len(self.batches), 1)
        words = "share whose verdict depends on other responses or their order"
        yield words, moved, bounds.max_changed, False
        given = self.share(lambda t: t.expected is not False, lambda t: t.probe.kind == "given")
        if any(t.probe.kind == "given" for t in self.trials):
            yield "agreement with the given verdicts", given, bounds.min_given, True
        yield "99th percentile of a call, seconds", self.seconds[99], bounds.max_p99_s, False
        if self.agreement is not None:
            share = self.agreement.share
            yield "agreement with the second verifier", share, bounds.min_agreement, True


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What must hold; None asks for nothing."""

    max_gold_fail: float | None = None
    max_false_accept: float | None = None
    max_missing: float | None = None
    max_changed: float | None = None
    max_p99_s: float | None = None
    min_agreement: float | None = None
    min_given: float | None = None
