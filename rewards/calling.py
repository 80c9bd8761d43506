"""A verifier is anybody's code: whatever it breaks becomes a missing verdict with its reason.

call_verifier(verifier, ...)    one verifier; never raises for what it does
call_verifiers(components, ...)              several at once, by name
"""

import asyncio
import math
from collections.abc import Mapping

from rewards.types import Problem, Verdict
from rewards.verifiers import Verifier


async def call_verifier(verifier: Verifier, problem: Problem, response: str) -> Verdict:
    """What the verifier says; missing where it raises, returns no Verdict, or a reward like NaN."""
    try:
        verdict: object = await verifier(problem, response)
    except Exception as error:  # its failure is data: counted, and never a reward of 0
        return Verdict.missing(f"{type(error).__name__}: {error}")
    if not isinstance(verdict, Verdict):
        return Verdict.missing(f"the verifier returned {type(verdict).__name__}, no Verdict")
    if verdict.is_missing or math.isfinite(verdict.reward):
        return verdict
    return Verdict.missing(f"the reward is {verdict.reward}")


async def call_verifiers(
    components: Mapping[str, Verifier], problem: Problem, response: str
) -> dict[str, Verdict]:
    """The verdict of every component, asked at the same time, in the order of `components`."""
    verdicts = await asyncio.gather(
        *(call_verifier(v, problem, response) for v in components.values())
    )
    return dict(zip(components, verdicts, strict=True))
