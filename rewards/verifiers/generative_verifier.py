"""A model checks the solution step by step and says whether it is correct."""

import asyncio
from typing import Annotated

from pydantic import Field

from recipes.slots.spec import Count, Signed
from rewards.http.chat import AskSpec
from rewards.http.endpoint import EndpointFailed, EndpointSpec
from rewards.http.usage import meters
from rewards.judging import parse_reply, prompts
from rewards.judging.questions import (
    Attempts,
    Cache,
    ChatEndpoint,
    Criteria,
    Drawing,
    MaxChars,
    NoAnswer,
    Reference,
    answered,
    reference_of,
)
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier

_METER = "generative_verifier"
_ASK = AskSpec(max_tokens=2048)


def _key_is_set(*, endpoint: EndpointSpec, **others: object) -> None:
    endpoint.refuse_without_key()


@verifier.register(
    tags=("model",), on_run_start=_key_is_set, paper="https://arxiv.org/abs/2408.15240"
)
async def generative_verifier(
    problem: Problem,
    response: str,
    *,
    endpoint: ChatEndpoint,
    criteria: Criteria = "",
    reference: Reference = "",
    votes: Annotated[
        Count,
        Field(
            gt=0, description="Number of checks to average; above 1 requires a temperature above 0"
        ),
    ] = 1,
    logprobs: Annotated[
        bool,
        Field(description="Whether to use the probability of yes where the endpoint returns it"),
    ] = True,
    threshold: Annotated[
        Signed, Field(description="Reward from which a response counts as correct")
    ] = 0.5,
    sampling: Drawing = _ASK,
    attempts: Attempts = 3,
    max_chars: MaxChars = 20000,
    cache: Cache = "",
) -> Verdict:
    """The probability that a checking model ends its check with "yes"; the mean over the votes.

    Unlike `judge` it asks one question, whether the solution is right, and lets the model reason
    in words before it answers. Zhang et al. 2024, https://arxiv.org/abs/2408.15240 (GenRM-CoT).
    Departure: any chat model is asked by prompt, where the paper trains one. An endpoint without
    log-probs gives 1 or 0 for a vote. More than half of the votes must have an answer that can be
    read, or the verdict is missing.

    Returns a verdict with reward 0 to 1; `threshold` decides what counts as correct.
    """
    try:
        prompt = prompts.generative(
            prompts.Material(
                problem=problem,
                response=response,
                reference=reference_of(problem, reference),
                max_chars=max_chars,
            ),
            criteria,
        )
    except NoAnswer as error:
        return Verdict.missing(f"generative_verifier: {error}")

    async def check(vote: int) -> tuple[float, bool]:
        return await answered(
            endpoint,
            prompt,
            parse_reply.verdict,
            sampling=sampling,
            form="words",
            attempts=attempts,
            meter=_METER,
            cache=cache,
            logprobs=logprobs,
            vote=vote,
        )

    said = await asyncio.gather(*map(check, range(votes)), return_exceptions=True)
    found = [one for one in said if not isinstance(one, BaseException)]
    failed = [one for one in said if isinstance(one, BaseException)]
    for failure in failed:
        if not isinstance(failure, EndpointFailed | NoAnswer):
            raise failure
    if 2 * len(found) <= votes:
        return Verdict.missing(f"generative_verifier: {failed[0]}")
    reward = sum(probability for probability, _ in found) / len(found)
    told = sum(by_logprobs for _, by_logprobs in found)
    meters.observe(f"{_METER}/logprobs_frac", told / len(found))
    reason = (
        f"{endpoint.model}, {prompt.version}: p(correct) = {reward:.3f} from {len(found)} "
        f"check(s), {told} of them by log-probs"
    )
    return Verdict.scored(reward, correct=reward >= threshold, reason=reason)
