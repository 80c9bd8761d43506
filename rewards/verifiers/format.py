"""The response must have the required form; whether the answer is right is not its business."""

import re
from typing import Annotated

from pydantic import Field

from recipes.errors import RecipeError
from rewards.answers.extract import last_boxed
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier
from rewards.workers.pool import shared

_DEADLINE_S = 2.0


def _asks_for_something(*, pattern: str, tags: tuple[str, ...], boxed: bool) -> None:
    if not (pattern or tags or boxed):
        raise RecipeError.of("format has no requirement", fix="set pattern, tags or boxed")
    try:
        re.compile(pattern)
    except re.error as error:
        raise RecipeError.of(
            f"{pattern!r} is not a regular expression: {error}", path="pattern", fix="correct it"
        ) from None


@verifier.register(validate=_asks_for_something)
async def format(  # noqa: A001 - the word that recipes use
    problem: Problem,
    response: str,
    *,
    pattern: Annotated[
        str,
        Field(description="Regular expression that must match somewhere; `.` matches line breaks"),
    ] = "",
    tags: Annotated[
        tuple[str, ...],
        Field(description="Tags that must occur once each, in this order"),
    ] = (),
    boxed: Annotated[bool, Field(description="Whether a non-empty box is required")] = False,
) -> Verdict:
    """The share of the required features of form that the response has.

    The other verifiers look at the answer; this one looks at form alone, and is meant as a
    component of `weighted` or `gated`. `correct` means that every feature is there: it says nothing
    of the answer, so do not let it drive pass rates on its own. Tags `[think, answer]` want
    `<think>...</think>` before `<answer>...</answer>`, each once and not empty. The pattern runs in
    a worker: one that backtracks for longer than 2 s gives a missing verdict.

    Returns a verdict with a reward in [0, 1]; components `pattern`, `tags`, `boxed` where asked
    for.
    """
    components: dict[str, float] = {}
    if pattern:
        outcome = await shared().call(
            "rewards.workers.jobs:regex_found", pattern, response, deadline_s=_DEADLINE_S
        )
        if outcome.failed:
            return Verdict.missing(f"format: {outcome.reason}")
        components["pattern"] = float(outcome.value)
    if tags:
        position, in_order = 0, True
        for tag in tags:
            opening, closing = f"<{tag}>", f"</{tag}>"
            once = response.count(opening) == response.count(closing) == 1
            start, end = response.find(opening), response.find(closing)
            filled = bool(response[start + len(opening) : end].strip())
            in_order = in_order and once and start >= position and filled
            position = end
        components["tags"] = float(in_order)
    if boxed:
        components["boxed"] = float(bool(last_boxed(response)))
    lacking = ", ".join(name for name, value in components.items() if not value)
    reward = sum(components.values()) / len(components)
    reason = f"lacks {lacking}" if lacking else "has the required form"
    return Verdict.scored(reward, correct=not lacking, reason=reason, components=components)
