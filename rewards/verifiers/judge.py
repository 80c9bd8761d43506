"""A model reads the response and says how good it is."""

import asyncio
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from recipes.errors import RecipeError
from recipes.slots.spec import Signed, Spec
from rewards.http.chat import AskSpec
from rewards.http.endpoint import EndpointFailed
from rewards.http.usage import meters
from rewards.judging import parse_reply, prompts
from rewards.judging.prompts import Material
from rewards.judging.questions import (
    Asking,
    Attempts,
    Cache,
    ChatEndpoint,
    Criteria,
    Drawing,
    Form,
    MaxChars,
    NoAnswer,
    Reference,
    Threshold,
    key_is_set,
    reference_of,
)
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier

T = TypeVar("T")

_METER = "judge"


class RubricItem(Spec):
    """One question of a rubric that is answered with yes or no."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", description="Name in the metrics")]
    question: Annotated[str, Field(min_length=1, description="Question whose yes earns the weight")]
    weight: Annotated[
        Signed, Field(description="Weight of a yes; negative for what a response must not do")
    ] = 1.0


_ASK = AskSpec()
Grade = Annotated[int, Field(ge=-(10**6), le=10**6)]
_TEN: list[int] = [0, 10]
_NO_ITEMS: list[RubricItem] = []


def _options_agree(
    *, mode: str, scale: list[int], items: list[RubricItem], reference: str, **others: object
) -> None:
    if len(scale) != 2 or scale[0] >= scale[1]:
        fix = "write the worst and the best grade, such as [0, 10]"
        raise RecipeError.of(f"{scale} is not a scale", path="scale", fix=fix)
    if (mode == "rubric") != bool(items):
        what = "mode rubric has no items" if mode == "rubric" else f"mode {mode} asks no items"
        fix = "list items with name and question, and set mode: rubric"
        raise RecipeError.of(what, path="items", fix=fix)
    if len({item.name for item in items}) < len(items):
        raise RecipeError.of("two items share a name", path="items", fix="rename one")
    if items and not any(item.weight > 0 for item in items):
        raise RecipeError.of(
            "no item has a weight above 0, so there is nothing to earn",
            path="items",
            fix="give what a good response does a positive weight",
        )
    if mode == "pairwise" and not reference:
        raise RecipeError.of(
            "pairwise compares the response with a reference, and there is none",
            path="reference",
            fix="write answer, or the column that holds a response to compare with",
        )


@verifier.register(
    tags=("model",),
    validate=_options_agree,
    on_run_start=key_is_set,
    paper="https://arxiv.org/abs/2306.05685",
)
async def judge(
    problem: Problem,
    response: str,
    *,
    endpoint: ChatEndpoint,
    mode: Annotated[
        Literal["graded", "pairwise", "rubric"],
        Field(description="Kind of judgment: a grade, a comparison, or a share of rubric items"),
    ] = "graded",
    criteria: Criteria = "",
    scale: Annotated[
        list[Grade], Field(description="Worst and best grade, for mode graded")
    ] = _TEN,
    items: Annotated[list[RubricItem], Field(description="Items of mode rubric")] = _NO_ITEMS,
    reference: Reference = "answer",
    threshold: Threshold = 0.5,
    sampling: Drawing = _ASK,
    form: Form = "json_schema",
    attempts: Attempts = 3,
    max_chars: MaxChars = 20000,
    cache: Cache = "",
) -> Verdict:
    """What a judging model at an OpenAI-compatible address thinks of the response; 0 to 1.

    `generative_verifier` asks whether a solution is correct and reads a probability; this one asks
    for a grade, a preference or a list of properties, for what has no right answer. Zheng et al.
    2023, https://arxiv.org/abs/2306.05685. Pairwise asks twice with the places swapped and takes
    the mean of 1 (better), 0.5 (tie) and 0, so a judge that prefers a place gains the response
    nothing; how often the two disagree is a metric. A rubric gives the weights of its positive
    answers over the positive weights, cut to 0 and 1. Departure: the judge gives its reason before
    the grade.
    The response is quoted between markers that it cannot forge. An answer that cannot be read
    after all attempts, or an endpoint that fails, gives a missing verdict, never 0.

    Returns a verdict whose components are the items of a rubric, or `shown_first` and
    `shown_second`.
    """
    asking = Asking(_METER, endpoint, sampling, form, attempts, cache)
    try:
        shown = Material(
            problem=problem,
            response=response,
            reference=reference_of(problem, reference),
            max_chars=max_chars,
        )
        if mode == "graded":
            reward, components, reason = await _grade(asking, shown, criteria, scale[0], scale[1])
        elif mode == "pairwise":
            reward, components, reason = await _compare(asking, shown, criteria)
        else:
            reward, components, reason = await _check(asking, shown, criteria, items)
    except EndpointFailed as error:
        return Verdict.missing(f"judge: {error}", too_long=error.too_long)
    except NoAnswer as error:
        return Verdict.missing(f"judge: {error}")
    reason = f"{endpoint.model}, {reason}"
    return Verdict.scored(reward, correct=reward >= threshold, components=components, reason=reason)


_Found = tuple[float, dict[str, float], str]  # reward, components, reason


async def _grade(asking: Asking, shown: Material, criteria: str, low: int, high: int) -> _Found:
    prompt = prompts.graded(shown, criteria, low, high)
    score, reason = await asking.answer(
        prompt, lambda reply: (parse_reply.score(reply, low, high), parse_reply.reason(reply))
    )
    words = f"{prompt.version}: {score:g} on a scale from {low} to {high}. {reason}".strip()
    return (score - low) / (high - low), {}, words


_WORTH = {"A": 1.0, "tie": 0.5, "B": 0.0}  # to the response that is shown as A


async def _compare(asking: Asking, shown: Material, criteria: str) -> _Found:
    if not shown.reference:
        raise NoAnswer("the row has no answer to compare with")
    first, second = (
        prompts.pairwise(shown, criteria, response_first=first) for first in (True, False)
    )
    said = await asyncio.gather(
        asking.answer(first, parse_reply.better), asking.answer(second, parse_reply.better)
    )
    as_first, as_second = _WORTH[said[0]], 1 - _WORTH[said[1]]
    meters.observe(f"{_METER}/disagreement_frac", float(as_first != as_second))
    components = {"shown_first": as_first, "shown_second": as_second}
    words = f"{first.version}: {said[0]} when shown as A, {said[1]} when shown as B"
    return (as_first + as_second) / 2, components, words


async def _check(asking: Asking, shown: Material, criteria: str, items: list[RubricItem]) -> _Found:
    names = [item.name for item in items]
    prompt = prompts.rubric(shown, criteria, [(item.name, item.question) for item in items])
    said = await asking.answer(prompt, lambda reply: parse_reply.yes_or_no(reply, names))
    earned = sum(item.weight for item in items if said[item.name])
    most = sum(item.weight for item in items if item.weight > 0)
    yes = ", ".join(name for name in names if said[name]) or "nothing"
    components = {name: float(said[name]) for name in names}
    return min(max(earned / most, 0.0), 1.0), components, f"{prompt.version}: yes to {yes}"
