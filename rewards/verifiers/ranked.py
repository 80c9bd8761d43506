"""Factors in order of importance, with no weights between them."""

import bisect
from typing import Annotated

from pydantic import Field

from recipes.errors import RecipeError
from recipes.slots.spec import Signed
from rewards.calling import call_verifiers
from rewards.composition import (
    Components,
    Decides,
    missing_of,
    reason_of,
    refuse_unknown_components,
    values_of,
)
from rewards.types import Problem, Verdict
from rewards.verifiers import Verifier, verifier

_HALVES: dict[str, list[float]] = {}
_NONE: list[str] = []


def _levels_rise(
    *,
    components: dict[str, Verifier],
    levels: dict[str, list[float]],
    lower_is_better: list[str],
    correct: str,
) -> None:
    refuse_unknown_components(
        components, levels=list(levels), lower_is_better=lower_is_better, correct=[correct]
    )
    for name, bounds in levels.items():
        if not bounds or bounds != sorted(set(bounds)):
            raise RecipeError.of(
                f"the bounds {bounds} do not rise",
                path=f"levels.{name}",
                fix="list at least one bound, in rising order",
            )


@verifier.register(
    validate=_levels_rise, renamed={"parts": "components"}, paper="https://arxiv.org/abs/2309.02632"
)
async def ranked(
    problem: Problem,
    response: str,
    *,
    components: Components,
    levels: Annotated[
        dict[str, list[Signed]],
        Field(
            description="Rising bounds that cut a component's reward into levels; [1] if not named"
        ),
    ] = _HALVES,
    lower_is_better: Annotated[
        list[str], Field(description="Components of which less is better, such as a length")
    ] = _NONE,
    correct: Decides = "",
) -> Verdict:
    """The place of the response in the order of its factors, the most important first; 0 to 1.

    A better level of an earlier factor outweighs everything after it, so no weights have to be
    found, and the scale of a factor does not matter beyond its bounds. Bukharin et al. 2023,
    https://arxiv.org/abs/2309.02632 (HERON). Departure: the paper compares pairs of responses, with
    a margin per factor; a verifier sees one response, so the margin is the width of a level, and
    the order is transitive. The paper's pairs are the shaping function `heron`, which reads the
    components that are logged here. A component without a verdict makes the whole verdict missing.

    With n_l levels of factor l, the reward is the number l_1 l_2 ... l_L in mixed radix n, over the
    largest such number. Components: every component by its name, uncut.
    """
    verdicts = await call_verifiers(components, problem, response)
    if any(verdict.is_missing for verdict in verdicts.values()):
        return missing_of(verdicts)
    place, places = 0, 1
    for name, verdict in verdicts.items():
        bounds = levels.get(name, [1.0])
        level = bisect.bisect_right(bounds, verdict.reward)
        count = len(bounds) + 1
        place = place * count + (count - 1 - level if name in lower_is_better else level)
        places *= count
    decides = verdicts[correct or next(iter(components))]
    return Verdict.scored(
        place / (places - 1),
        correct=decides.correct,
        reason=reason_of(verdicts),
        answer=decides.answer,
        components=values_of(verdicts),
    )
