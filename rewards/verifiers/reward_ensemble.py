"""Several reward models, trusted where they agree."""

import statistics
from typing import Annotated, Literal

from pydantic import Field

from recipes.errors import RecipeError
from recipes.slots.spec import Amount
from rewards.calling import call_verifiers
from rewards.composition import Components, WhenMissing, missing_of, reason_of, values_of
from rewards.types import Problem, Verdict
from rewards.verifiers import Verifier, verifier


def _has_members(*, components: dict[str, Verifier], **others: object) -> None:
    if len(components) < 2:
        raise RecipeError.of(
            "an ensemble of one member",
            path="components",
            fix="name two or more, or use it directly",
        )


@verifier.register(
    validate=_has_members, renamed={"parts": "components"}, paper="https://arxiv.org/abs/2310.02743"
)
async def reward_ensemble(
    problem: Problem,
    response: str,
    *,
    components: Components,
    combine: Annotated[
        Literal["mean", "min", "mean_minus_variance"],
        Field(
            description="Combination of the members' rewards: mean, minimum, or mean - coef "
            "x variance"
        ),
    ] = "mean",
    coef: Annotated[
        Amount, Field(description="Coefficient of the variance, for mean_minus_variance")
    ] = 0.5,
    missing: WhenMissing = "missing",
) -> Verdict:
    """One reward from several that should agree: the mean, the lowest, or the mean less the spread.

    Unlike `weighted`, whose components measure different things, the members here measure the same,
    and a response that only some of them like is suspect. Coste et al. 2023,
    https://arxiv.org/abs/2310.02743: `min` is their worst-case optimisation, `mean_minus_variance`
    their uncertainty-weighted one, with the population variance. Members must share a scale: give
    each `reward_model` its own `mean` and `std`. With `missing: skip` the members that have a
    verdict are combined; without any it is missing.

    Returns a verdict that is correct when more than half of the members say so, with `min` when
    all do. Components: every member by its name, and `ensemble_std`, their standard deviation.
    """
    verdicts = await call_verifiers(components, problem, response)
    scored = [verdict for verdict in verdicts.values() if not verdict.is_missing]
    if not scored or (len(scored) < len(verdicts) and missing == "missing"):
        return missing_of(verdicts)
    rewards = [verdict.reward for verdict in scored]
    mean, variance = statistics.fmean(rewards), statistics.pvariance(rewards)
    reward = {"mean": mean, "min": min(rewards), "mean_minus_variance": mean - coef * variance}
    agreeing = sum(verdict.correct for verdict in scored)
    return Verdict.scored(
        reward[combine],
        correct=agreeing == len(scored) if combine == "min" else 2 * agreeing > len(scored),
        reason=reason_of(verdicts),
        components={**values_of(verdicts), "ensemble_std": variance**0.5},
    )
