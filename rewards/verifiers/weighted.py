"""A weighted sum of verifiers."""

from rewards.calling import call_verifiers
from rewards.composition import (
    Components,
    Decides,
    Weights,
    WhenMissing,
    missing_of,
    reason_of,
    refuse_unknown_components,
    values_of,
)
from rewards.types import Problem, Verdict
from rewards.verifiers import Verifier, verifier

_ALL_ONE: dict[str, float] = {}


def _names_are_components(
    *, components: dict[str, Verifier], weights: dict[str, float], correct: str, missing: str
) -> None:
    refuse_unknown_components(components, weights=list(weights), correct=[correct])


@verifier.register(validate=_names_are_components, renamed={"parts": "components"})
async def weighted(
    problem: Problem,
    response: str,
    *,
    components: Components,
    weights: Weights = _ALL_ONE,
    correct: Decides = "",
    missing: WhenMissing = "missing",
) -> Verdict:
    """The sum of the components' rewards, each times its weight; the weights are not normalised.

    `gated` is for a component that must not be earned without another; this one lets a response
    trade one component for another. `correct` is the word of one component and does not depend on
    the weights. With `missing: skip` a component without a verdict is left out and the others are
    scaled up to the whole weight, so the range stays; the component that decides must have a
    verdict all the same.

    Returns a verdict whose reward lies between the sums of the weighted extremes of the components:
    0 to the sum of the weights when each component gives 0 to 1. Components: every component by its
    name.
    """
    verdicts = await call_verifiers(components, problem, response)
    decides = correct or next(iter(components))
    lost = [name for name, verdict in verdicts.items() if verdict.is_missing]
    scored = {name: verdict for name, verdict in verdicts.items() if name not in lost}
    weight = {name: weights.get(name, 1.0) for name in components}
    whole, found = (sum(abs(weight[name]) for name in names) for names in (components, scored))
    if (lost and missing == "missing") or decides in lost or (lost and not found):
        return missing_of(verdicts)
    reward = sum(weight[name] * verdict.reward for name, verdict in scored.items())
    return Verdict.scored(
        reward * whole / found if lost else reward,
        correct=verdicts[decides].correct,
        reason=reason_of(verdicts),
        answer=verdicts[decides].answer,
        components=values_of(verdicts),
    )
