"""A model checks the solution step by step and says whether it is correct."""

import asyncio
from typing import Annotated

from pydantic import Field

from recipes.slots.spec import Count
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
    MaxChars,
    NoAnswer,
    Reference,
    Threshold,
    key_is_set,
    reference_of,
)
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier

_METER = "generative_verifier"
_ASK = AskSpec(max_tokens=2048)


@verifier.register(
    tags=("model",), on_run_start=key_is_set, paper="https://arxiv.org/abs/2408.15240"
)
async def generative_verifier(
    problem: Problem,
    response: str,
    *,
    endpoint: ChatEndpoint,
    criteria: Criteria = "",
    reference: Reference = "",
    votes: Annotated[
        Count, Field(gt=0, description="Number of checks to average; above 1 needs a temperature")
    ] = 1,
    logprobs: Annotated[
        bool, Field(description="Whether to use the probability of yes where it is returned")
    ] = True,
    threshold: Threshold = 0.5,
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
        shown = reference_of(problem, reference)
    except NoAnswer as error:
        return Verdict.missing(f"generative_verifier: {error}")
    material = Material(problem=problem, response=response, reference=shown, max_chars=max_chars)
    prompt = prompts.generative(material, criteria)
    asking = Asking(_METER, endpoint, sampling, "words", attempts, cache)
    checks = (
        asking.answer(prompt, parse_reply.verdict, logprobs=logprobs, vote=vote)
        for vote in range(votes)
    )
    said = await asyncio.gather(*checks, return_exceptions=True)
    found = [one for one in said if not isinstance(one, BaseException)]
    failed = [one for one in said if isinstance(one, EndpointFailed | NoAnswer)]
    for failure in said:
        if isinstance(failure, BaseException) and failure not in failed:
            raise failure
    if 2 * len(found) <= votes:
        too_long = any(isinstance(one, EndpointFailed) and one.too_long for one in failed)
        return Verdict.missing(f"generative_verifier: {failed[0]}", too_long=too_long)
    reward = sum(probability for probability, _ in found) / len(found)
    told = sum(by_logprobs for _, by_logprobs in found)
    meters.observe(f"{_METER}/logprobs_frac", told / len(found))
    reason = (
        f"{endpoint.model}, {prompt.version}: p(correct) = {reward:.3f} from {len(found)} "
        f"check(s), {told} of them by log-probs"
    )
    return Verdict.scored(reward, correct=reward >= threshold, reason=reason)
