"""A cheap verifier, some of whose verdicts a better one checks again."""

from typing import Annotated

from pydantic import Field

from rewards.calling import call_verifier
from rewards.composition import Component, values_of
from rewards.seeded import seeded_fraction
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier

_Share = Annotated[float, Field(ge=0, le=1, description="share of them that is checked again")]


@verifier.register(tags=("appealed",), paper="https://arxiv.org/abs/2510.00915")
async def appealed(
    problem: Problem,
    response: str,
    *,
    first: Annotated[Component, Field(description="gives every verdict")],
    second: Annotated[Component, Field(description="is taken for the truth where it is asked")],
    negatives: Annotated[_Share, Field(description="share of the wrong answers asked again")] = 0.1,
    positives: Annotated[
        _Share, Field(description="share of the correct answers asked again")
    ] = 0.02,
    repair: Annotated[bool, Field(description="where the two differ, the second counts")] = True,
    seed: Annotated[int, Field(ge=0, description="which ones are asked again")] = 0,
) -> Verdict:
    """The first verdict; a seeded sample of them is asked of the second, which may overturn them.

    Where `weighted` and `best_of` ask everybody about everything, this pays for a few and learns
    from them how often the first errs: the run logs `verifier/false_negative` and
    `verifier/false_positive` with intervals, and the controller `appeal_rate` hands them to the
    shaping function `debias_reward`. Cai et al. 2025. Departures: positives are appealed too, where
    the paper takes them for right; the draw depends on problem and response alone, so the same
    answer always has the same verdict. Without a first verdict it is missing; an appeal that gets
    no verdict leaves the first as it is, and does not count. Both components must reward alike.

    Returns a verdict in the range of the two, with the `correct` of the one that counts.
    Components: `first` and what it is made of, `first_correct` (0 or 1), and where there was an
    appeal `second`, `overturned` and `repaired` (0 or 1).
    """
    verdict = await call_verifier(first, problem, response)
    if verdict.is_missing:
        return Verdict.missing(f"first: {verdict.reason}")
    components = {**values_of({"first": verdict}), "first_correct": float(verdict.correct)}
    counts = verdict
    if seeded_fraction(problem, response, seed) < (positives if verdict.correct else negatives):
        appeal = await call_verifier(second, problem, response)
        if not appeal.is_missing:
            overturned = appeal.correct != verdict.correct
            counts = appeal if overturned and repair else verdict
            components |= values_of({"second": appeal})
            components |= {"overturned": float(overturned), "repaired": float(counts is appeal)}
    return Verdict.scored(
        counts.reward,
        correct=counts.correct,
        reason=counts.reason if counts is verdict else f"overturned: {counts.reason}",
        answer=counts.answer,
        components=components,
    )
