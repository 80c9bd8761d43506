"""A cheap verifier, some of whose verdicts are checked by a better one."""

from typing import Annotated

from pydantic import Field

from recipes.slots.spec import Seed
from rewards.calling import call_verifier
from rewards.composition import Component, values_of
from rewards.seeded import seeded_fraction
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier

_Share = Annotated[float, Field(ge=0, le=1, description="Share of them that is checked again")]


@verifier.register(
    formerly=("appealed",),
    tags=("double_checked",),
    paper="https://arxiv.org/abs/2510.00915",
)
async def double_checked(
    problem: Problem,
    response: str,
    *,
    first: Annotated[Component, Field(description="Verifier of every response")],
    second: Annotated[
        Component, Field(description="Better verifier, taken as the truth where it is called")
    ],
    negatives: Annotated[
        _Share, Field(description="Share of the wrong answers that are checked again")
    ] = 0.1,
    positives: Annotated[
        _Share, Field(description="Share of the correct answers that are checked again")
    ] = 0.02,
    repair: Annotated[
        bool, Field(description="Whether the second verdict replaces a first one that differs")
    ] = True,
    seed: Annotated[Seed, Field(description="Seed of the choice of what is checked again")] = 0,
) -> Verdict:
    """The first verifier's verdict; a seeded share of them is checked by the second.

    Where `weighted` and `best_of` call every verifier on every response, this calls the costly one
    on a few and estimates how often the cheap one errs: the run logs `verifier/false_negative` and
    `verifier/false_positive` with intervals, and the controller `verifier_error_rate` gives them to
    the shaping function `debias_reward`. Cai et al. 2025. Departures: positives are checked too,
    where the paper takes them as right; the draw depends on problem and response alone, so the same
    answer always gets the same verdict. Without a first verdict it is missing; a check without a
    verdict leaves the first as it is, and is not counted. Both verifiers must use the same scale.

    Returns a verdict in the range of the two, with the `correct` of the one that is used.
    Components: `first` and its own components, `first_correct` (0 or 1), and where it was checked
    `second`, `overturned` and `repaired` (0 or 1).
    """
    verdict = await call_verifier(first, problem, response)
    if verdict.is_missing:
        return Verdict.missing(f"first: {verdict.reason}")
    components = {**values_of({"first": verdict}), "first_correct": float(verdict.correct)}
    counts = verdict
    if seeded_fraction(problem, response, seed) < (positives if verdict.correct else negatives):
        check = await call_verifier(second, problem, response)
        if not check.is_missing:
            overturned = check.correct != verdict.correct
            counts = check if overturned and repair else verdict
            components |= values_of({"second": check})
            components |= {"overturned": float(overturned), "repaired": float(counts is check)}
    return Verdict.scored(
        counts.reward,
        correct=counts.correct,
        reason=counts.reason if counts is verdict else f"overturned: {counts.reason}",
        answer=counts.answer,
        components=components,
    )
