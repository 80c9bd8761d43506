"""Data to problems: source, prompt template, system prompt; and two checks before a run.

load_problems(spec, verifier)           every row as a Problem, ids unique
drop_overlong(problems, ...)            prompts that do not fit leave, counted
check_gold(problems, verify, spec)      would the right answers be scored as right?
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from recipes.errors import Fault, RecipeError
from recipes.slots.registry import SlotEntry, build, did_you_mean, entries_of
from recipes.slots.spec import Count, Seed, Spec, Tokens
from rewards.types import Message, Problem, Verdict
from rewards.verifiers import verifier as verifiers
from rollout.data.tables import is_local, refuse
from rollout.render import Renderer
from rollout.sources import source
from rollout.types import Row

_EXAMPLES = 5  # that a message shows


class ProblemsSpec(Spec):
    """Where the problems come from, and how they become prompts."""

    source: Annotated[SlotEntry, source.nested]
    system_prompt: Annotated[str, Field(description="System message; '' = none")] = ""
    template: Annotated[
        str,
        Field(
            pattern=r"\{prompt\}",
            description="User message with {prompt} for the row's prompt; other braces stay "
            "as they are",
        ),
    ] = "{prompt}"
    max_prompt_tokens: Annotated[
        Tokens,
        Field(
            gt=0,
            description="Maximum prompt length in tokens; longer prompts are left out and counted",
        ),
    ] = 1024
    gold_response: Annotated[
        str,
        Field(
            pattern=r"\{answer\}",
            description="Text of a right response, with {answer} for the gold answer",
        ),
    ] = r"\boxed{{answer}}"
    gold_sample: Annotated[
        Count, Field(description="Number of gold answers verified before a run; 0 = no check")
    ] = 64
    max_gold_fail_frac: Annotated[
        float, Field(ge=0, le=1, description="Largest share of gold answers that may fail")
    ] = 0.05
    seed: Annotated[Seed, Field(description="Seed of the order of the problems")] = 0

    @property
    def is_local(self) -> bool:
        """Whether the problems can be loaded without a network."""
        path = self.source.options.get("path")
        return path is None or is_local(path)


def load_problems(spec: ProblemsSpec, verifier: SlotEntry | None = None) -> list[Problem]:
    """Every row of the source as a Problem. Raises RecipeError with up to ten faults.

    verifier: that will judge them; rows that name one that it has not are refused
    """
    try:
        rows: list[Row] = build(spec.source)
    except RecipeError as error:
        raise RecipeError(
            [
                Fault(
                    where=fault.where,
                    path=f"source.{fault.path}" if fault.path else "",
                    what=fault.what,
                    fix=fault.fix,
                )
                for fault in error.faults
            ]
        ) from error
    _check_rows(rows, spec, verifier)
    first = [Message(role="system", content=spec.system_prompt)] if spec.system_prompt else []
    problems: list[Problem] = []
    for row in rows:  # the template goes around the last message
        prompt = row.prompt
        given = (Message(role="user", content=prompt),) if isinstance(prompt, str) else prompt
        *before, last = given
        asked = Message(role=last.role, content=spec.template.replace("{prompt}", last.content))
        problems.append(
            Problem(
                id=row.id,
                messages=(*first, *before, asked),
                answer=row.answer,
                verifier=row.verifier,
                columns=row.columns,
            )
        )
    return problems


def _check_rows(rows: Sequence[Row], spec: ProblemsSpec, judge: SlotEntry | None) -> None:
    """Refuse ids that repeat, a second system prompt, and verifiers that the recipe lacks."""
    places: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        places[row.id].append(row.where)
    refuse(
        [
            Fault(
                where=where[1],
                what=f"the id '{name}' was used before, at {where[0]}",
                fix="give every row its own id, or map `columns.id` to a column that is unique",
            )
            for name, where in places.items()
            if len(where) > 1
        ]
    )
    for row in rows if spec.system_prompt else ():
        if not isinstance(row.prompt, str) and row.prompt[0].role == "system":
            raise RecipeError.of(
                "the row begins with a system message, and the recipe sets another",
                where=row.where,
                path="system_prompt",
                fix="leave system_prompt out, or take the system messages out of the data",
            )
    if judge is None:
        return
    choices = [
        frozenset(bound.entry.row_verifiers(**bound.options))
        for bound in entries_of(judge)
        if bound.entry.row_verifiers is not None
    ]
    names = frozenset.intersection(*choices) if choices else frozenset({""})
    if all(row.verifier in names for row in rows):
        return
    known = sorted(name for name in names if name)
    listed = f"(known: {', '.join(known)})"
    if not known:
        able = [entry.name for entry in verifiers if entry.row_verifiers is not None]
        listed = f"name them in the recipe, `verifier: {{name: {' or '.join(able)}, named: ...}}`"
    refuse(
        [
            Fault(
                where=row.where,
                path="verifier",
                what=f"the row asks for the verifier '{row.verifier}', which has no entry"
                if row.verifier
                else "the row names no verifier, and the recipe has none for such rows",
                fix=f"{did_you_mean(row.verifier, known)}{listed}"
                if row.verifier
                else f"name one {listed}, or set verifier.otherwise",
            )
            for row in rows
            if row.verifier not in names
        ]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """Problems whose prompts fit, and what was left out."""

    problems: tuple[Problem, ...]
    dropped: tuple[str, ...]  # ids of the over-long ones
    longest: int  # tokens of the longest prompt of all

    @property
    def report(self) -> str:
        """One line for the user; empty when everything fits."""
        if not self.dropped:
            return ""
        total = len(self.problems) + len(self.dropped)
        return (
            f"{len(self.dropped)} of {total} prompts are longer than max_prompt_tokens and were "
            f"left out (longest: {self.longest} tokens; first: {', '.join(self.dropped[:3])})"
        )


def drop_overlong(
    problems: Sequence[Problem], renderer: Renderer, max_prompt_tokens: int
) -> Fitting:
    """The problems whose rendered prompt has at most `max_prompt_tokens` ids."""
    lengths = [len(renderer.prompt_ids(problem.messages)) for problem in problems]
    pairs = list(zip(problems, lengths, strict=True))
    fitting = Fitting(
        problems=tuple(p for p, length in pairs if length <= max_prompt_tokens),
        dropped=tuple(p.id for p, length in pairs if length > max_prompt_tokens),
        longest=max(lengths, default=0),
    )
    if not fitting.problems:
        raise RecipeError.of(
            f"no prompt has at most {max_prompt_tokens} tokens; the shortest has "
            f"{min(lengths, default=0)}",
            path="max_prompt_tokens",
            fix="raise it, and model.context_length with it",
        )
    return fitting


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldFailure:
    """A gold answer that its own verifier does not accept."""

    id: str
    answer: str
    response: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldReport:
    """What became of the gold answers, given as `gold_response` writes them and bare."""

    checked: int
    skipped: int  # drawn, but without a gold answer
    failures: tuple[GoldFailure, ...]  # of the formatted responses
    bare_failed: int  # answers that fail when they are the whole response

    @property
    def fail_frac(self) -> float:
        return len(self.failures) / self.checked if self.checked else 0.0

    @property
    def report(self) -> str:
        """One line for the user."""
        without = f", {self.skipped} rows have none" if self.skipped else ""
        wrong = f"{len(self.failures)} are not accepted" if self.failures else "all are accepted"
        bare = ""
        if not self.failures and self.bare_failed:
            bare = f" ({self.bare_failed} only in the form that gold_response gives them)"
        return f"gold answers: {self.checked} checked{without}; {wrong}{bare}"

    def refuse_above(self, max_fail_frac: float) -> None:
        """Raise RecipeError with examples when more than this share fails."""
        if self.fail_frac <= max_fail_frac:
            return
        examples = [
            Fault(
                what=f"problem {failure.id}: the gold answer {failure.answer!r:.80}, given as "
                f"{failure.response!r:.120}, is not accepted ({failure.reason or 'no reason'})"
            )
            for failure in self.failures[:_EXAMPLES]
        ]
        summary = Fault(
            path="gold_response",
            what=f"{len(self.failures)} of {self.checked} gold answers do not pass their own "
            f"verifier (allowed: {max_fail_frac:.0%})",
            fix="let gold_response show what a right response looks like, choose another "
            "verifier, or fix the data",
        )
        raise RecipeError([summary, *examples])


async def check_gold(
    problems: Sequence[Problem],
    verify: Callable[[Problem, str], Awaitable[Verdict]],
    spec: ProblemsSpec,
) -> GoldReport:
    """Verify a seeded sample of gold answers, formatted and bare; refuses nothing by itself."""
    count = min(spec.gold_sample, len(problems))
    chosen = np.random.default_rng((spec.seed, 1)).choice(len(problems), count, replace=False)
    drawn = [problems[i] for i in sorted(chosen.tolist())]
    golds = [problem for problem in drawn if problem.answer]
    responses = [spec.gold_response.replace("{answer}", gold.answer) for gold in golds]
    asked = zip(golds, responses, strict=True)
    formatted = await asyncio.gather(*(verify(gold, response) for gold, response in asked))
    bare = await asyncio.gather(*(verify(gold, gold.answer) for gold in golds))
    judged = zip(golds, responses, formatted, strict=True)
    return GoldReport(
        checked=len(golds),
        skipped=len(drawn) - len(golds),
        failures=tuple(
            GoldFailure(id=gold.id, answer=gold.answer, response=response, reason=verdict.reason)
            for gold, response, verdict in judged
            if not verdict.correct
        ),
        bare_failed=sum(not verdict.correct for verdict in bare),
    )
