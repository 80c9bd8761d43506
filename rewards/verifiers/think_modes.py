"""Different rewards for thinking first and for answering at once."""

import re
from typing import Annotated

from pydantic import Field

from recipes.slots.spec import Signed
from rewards.answers.thinking import split_thinking
from rewards.calling import call_verifier
from rewards.composition import Component, values_of
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier

# Ten times the same stretch of up to 30 words, or one "word" of 120 characters.
_REPEATS = 10
_LONGEST_STRETCH = 30
_LONG_WORD = re.compile(r"\S{120}")


@verifier.register(renamed={"part": "base"}, paper="https://arxiv.org/abs/2505.10832")
async def think_modes(
    problem: Problem,
    response: str,
    *,
    base: Annotated[
        Component, Field(description="Verifier that decides whether the answer is correct")
    ],
    think_correct: Annotated[
        Signed, Field(description="Reward of a correct answer after thinking")
    ] = 1.0,
    think_wrong: Annotated[
        Signed, Field(description="Reward of a wrong answer after thinking")
    ] = 0.0,
    direct_correct: Annotated[
        Signed, Field(description="Reward of a correct answer without thinking")
    ] = 2.0,
    direct_wrong: Annotated[
        Signed, Field(description="Reward of a wrong answer without thinking")
    ] = -1.0,
    repetition: Annotated[
        Signed, Field(description="Instead of a negative reward, if it loops")
    ] = (-2.0),
) -> Verdict:
    """One of four rewards: correct or wrong, after a thought or directly.

    Tu et al. 2025, https://arxiv.org/abs/2505.10832 (AutoThink), for prompts that leave it to the
    policy whether to think, by an ellipsis after `<think>`. A thought is what stands before
    `</think>`, other than an ellipsis. Unlike `length_aware` it asks whether, not how long. The
    paper's stages look at the whole step, which a verifier cannot: the balance of the modes and the
    lengths within a group are the shaping function `think_stages`, whose numbers may be
    schedules; it reads `thinks` and `closed`. Without a `</think>` the reward is 0 and the response
    counts as thinking; without a verdict of `base` it is missing.

    Returns a verdict between the smallest and the largest of the five numbers. Components: `base`
    and what it is made of, `thinks` and `closed` (0 or 1).
    """
    verdict = await call_verifier(base, problem, response)
    if verdict.is_missing:
        return Verdict.missing(f"base: {verdict.reason}")
    said = split_thinking(response)
    thinks = said.thinks or not said.closed
    if thinks:
        reward = think_correct if verdict.correct else think_wrong
    else:
        reward = direct_correct if verdict.correct else direct_wrong
    if not said.closed:
        reward = 0.0
    elif reward < 0 and loops(response):
        reward = repetition
    return Verdict.scored(
        reward,
        correct=verdict.correct,
        reason=verdict.reason,
        answer=verdict.answer,
        components={
            **values_of({"base": verdict}),
            "thinks": float(thinks),
            "closed": float(said.closed),
        },
    )


def loops(text: str) -> bool:
    """Whether a stretch of up to 30 words comes ten times in a row, or a word has 120 letters."""
    if _LONG_WORD.search(text):
        return True
    words = text.split()
    for length in range(1, min(_LONGEST_STRETCH, len(words) // _REPEATS) + 1):
        equal = 0  # words in a row that equal the one `length` before them
        for word, before in zip(words[length:], words, strict=False):
            equal = equal + 1 if word == before else 0
            if equal >= length * (_REPEATS - 1):
                return True
    return False
