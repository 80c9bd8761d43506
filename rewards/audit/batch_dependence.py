"""Does the verdict of a response depend on the responses beside it?

    alone       each response of a problem by itself, twice in a row
    together    all of them as one group
    reordered   the same group the other way round

A function that is called with all responses to a problem compares them, so it may judge a response
otherwise together than alone. Nothing may depend on the order of a group, and a function that is
called with one response at a time on nothing but that response.

What this cannot find: a dependence on what was scored long before, and any of a verifier with two
verdicts in two calls in a row, whose responses are left out here.
"""

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from recipes.slots.entry import SlotEntry, entries_of, function_of
from rewards.audit.probes import FEW, Probe
from rewards.calling import call_verifier, judge_group
from rewards.plugins.functions import plugin_facts
from rewards.types import JSON, Problem, Verdict
from rewards.verifiers import Verifier
from rewards.verifiers.plugin import specs_of

_KINDS = ("gold", "bare", "other", "empty")
_MOST = 5  # responses in a group
_TOLERANCE = 1e-4  # of two rewards: a model's output in another batch differs by rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchTrial:
    """One response, alone and in a group."""

    function: str  # the verifier's name, or the plug-in's function
    compares: bool  # it is called with all responses to a problem
    problem: Problem
    response: str
    size: int  # of the group
    alone: Verdict
    together: Verdict
    reordered: Verdict

    @property
    def depends_on_batch(self) -> bool:
        return _differ(self.alone, self.together)

    @property
    def depends_on_order(self) -> bool:
        return _differ(self.together, self.reordered)

    @property
    def is_fault(self) -> bool:
        """Whether it depends on what it must not depend on."""
        return self.depends_on_order or (self.depends_on_batch and not self.compares)

    def plain(self) -> dict[str, JSON]:
        """As JSON."""
        return {
            "function": self.function,
            "compares": self.compares,
            "id": self.problem.id,
            "response": self.response,
            "size": self.size,
            "alone": reward_text(self.alone),
            "together": reward_text(self.together),
            "reordered": reward_text(self.reordered),
        }


def reward_text(verdict: Verdict) -> str:
    """`reward 0.5`, or that there is no verdict, and why."""
    if verdict.is_missing:
        return f"no verdict ({verdict.reason:.80})"
    return f"reward {verdict.reward:g}"


async def batch_trials(bound: SlotEntry, probes: Sequence[Probe]) -> list[BatchTrial]:
    """Trials of each function inside the verifier, on responses to a few of the problems."""
    groups: dict[str, list[Probe]] = {}
    for probe in probes:
        if probe.kind in _KINDS:
            groups.setdefault(probe.problem.id, []).append(probe)
    tried = [group for group in groups.values() if len(group) > 2][:FEW]
    return [
        trial
        for function, compares, verify in _functions(bound)
        for group in tried
        for trial in await _tried(function, compares, verify, group)
    ]


def _functions(bound: SlotEntry) -> Iterator[tuple[str, bool, Verifier]]:
    """Name, whether it compares, and verifier, of all that is not made of other verifiers."""
    for entry in entries_of(bound):
        if "plugin" in entry.entry.tags:
            environment = tuple(entry.options["environment"])
            for spec in specs_of(entry.options):
                single = {"function": spec.function, "weights": [], "correct": []}
                alone = dataclasses.replace(entry, options={**entry.options, **single})
                takes_group = plugin_facts(spec, environment).takes_group
                yield spec.name, takes_group, function_of(alone)
        elif len(entries_of(entry)) == 1:
            yield entry.name, False, function_of(entry)


async def _tried(
    function: str, compares: bool, verify: Verifier, group: Sequence[Probe]
) -> list[BatchTrial]:
    problem = group[0].problem
    texts = list(dict.fromkeys(probe.response for probe in group))[: _MOST - 1]
    texts.append(texts[0])  # groups hold equal responses too
    call = functools.partial(call_verifier, verify)
    alone = [(await call(problem, text), await call(problem, text)) for text in texts]
    together = await judge_group(call, problem, texts)
    reordered = (await judge_group(call, problem, texts[::-1]))[::-1]
    return [
        BatchTrial(
            function=function,
            compares=compares,
            problem=problem,
            response=text,
            size=len(texts),
            alone=alone[i][1],
            together=together[i],
            reordered=reordered[i],
        )
        for i, text in enumerate(texts)
        if not _differ(*alone[i])
    ]


def _differ(one: Verdict, other: Verdict) -> bool:
    if one.is_missing or other.is_missing:
        return one.is_missing != other.is_missing
    near = math.isclose(one.reward, other.reward, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return not near or one.correct != other.correct
