"""A verifier is tried on a few gold answers before anything costly is loaded."""

import asyncio
from collections.abc import Sequence

from recipes.errors import RecipeError
from rewards.calling import call_verifier
from rewards.types import Problem, Verdict
from rewards.verifiers import Verifier

TRIED = 3  # one may be missing for a reason of its own; a verifier that is broken misses all


async def preflight_verifier(
    verifier: Verifier,
    name: str,
    problems: Sequence[Problem],
    gold_response: str,
    *,
    refuse: bool = True,
) -> list[Verdict]:
    """Verdicts on the first gold answers.

    Raises RecipeError when every one of them is missing, if it is to `refuse` that.
    """
    tried = problems[:TRIED]
    verdicts = await asyncio.gather(
        *(call_verifier(verifier, p, gold_response.replace("{answer}", p.answer)) for p in tried)
    )
    if refuse and all(verdict.is_missing for verdict in verdicts):
        raise RecipeError.of(
            f"{name} could not score a single one of {len(tried)} gold answers: "
            f"{verdicts[0].reason}",
            path="verifier",
            fix="fix the verifier or its options; a sample without a verdict is never trained on",
        )
    return verdicts
