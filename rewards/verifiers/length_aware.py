"""A reward that shrinks beyond a length the problem's difficulty allows."""

from typing import Annotated, Literal

from pydantic import Field

from recipes.errors import RecipeError
from recipes.slots.spec import Amount, Count, Signed
from rewards.answers.thinking import split_thinking
from rewards.calling import call_verifier
from rewards.composition import Component, values_of
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier


def _easy_is_below_hard(*, easy_below: float, hard_from: float, **_: object) -> None:
    if easy_below > hard_from:
        raise RecipeError.of(
            f"problems are easy below {easy_below:g} and hard from {hard_from:g}",
            path="easy_below",
            fix="set it to at most hard_from",
        )


@verifier.register(
    validate=_easy_is_below_hard, renamed={"part": "base"}, paper="https://arxiv.org/abs/2505.23727"
)
async def length_aware(
    problem: Problem,
    response: str,
    *,
    base: Annotated[Component, Field(description="Verifier whose reward is reduced for length")],
    difficulty: Annotated[
        str, Field(description="Column with the difficulty, a number; '' = all problems are hard")
    ] = "",
    easy_below: Annotated[
        Signed, Field(description="Difficulty below which a problem is easy")
    ] = 3.5,
    hard_from: Annotated[
        Signed, Field(description="Difficulty from which a problem is hard")
    ] = 5.0,
    easy_words: Annotated[Count, Field(description="Words allowed on an easy problem")] = 96,
    hard_words: Annotated[Count, Field(description="Words allowed on a hard problem")] = 256,
    slope: Annotated[
        Amount, Field(gt=0, description="Share of the reward lost per excess word")
    ] = (1 / 500),
    inside: Annotated[
        Literal["response", "thought"], Field(description="Text whose words are counted")
    ] = "response",
) -> Verdict:
    """The base verifier's reward times clip(1 - slope * (words - allowed words), 0, 1).

    Wang et al. 2025, https://arxiv.org/abs/2505.23727 (PixelThink). An easy problem allows
    `easy_words`, a hard one `hard_words`, one in between any number. Unlike the shaping functions
    for lengths it is absolute and sees no group; unlike `think_modes` it asks how long, not whether
    to think. Departures: the paper allows a hard problem 25 words times the policy's uncertainty
    more, which a verifier cannot see (the shaping function `uncertain_length` adds it). A row
    without its difficulty is missing, where the paper takes it for easy. A reward of 0 or less
    stays as it is.

    Returns a verdict in the range of the base verifier's, with its `correct`. Components:
    `base` and what it is made of, `words`, `length_score` (0 to 1), `difficulty`, and `words_over`
    (words beyond those allowed, negative below) where there is a limit.
    """
    verdict = await call_verifier(base, problem, response)
    if verdict.is_missing:
        return Verdict.missing(f"base: {verdict.reason}")
    rated = problem.columns.get(difficulty) if difficulty else hard_from
    if isinstance(rated, bool) or not isinstance(rated, int | float):
        reason = f"the row has no number in column '{difficulty}' (got {rated!r:.40})"
        return Verdict.missing(reason)
    text = response if inside == "response" else split_thinking(response).thought
    words = len(text.split())
    components = {**values_of({"base": verdict}), "words": float(words), "difficulty": float(rated)}
    score = 1.0
    if not easy_below <= rated < hard_from:
        over = words - (easy_words if rated < easy_below else hard_words)
        score = min(max(1 - slope * over, 0.0), 1.0)
        components["words_over"] = float(over)
    return Verdict.scored(
        verdict.reward * score if verdict.reward > 0 else verdict.reward,
        correct=verdict.correct,
        reason=verdict.reason,
        answer=verdict.answer,
        components={**components, "length_score": score},
    )
