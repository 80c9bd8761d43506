"""Verifiers for tests of verifiers made of verifiers; a bound entry without a recipe.

pays(0.5)                       a verifier that gives 0.5 to everything
broken("no answer")             one that gives no verdict
judge("weighted", components={...})  the verdict of a registered verifier on plain functions
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from rewards.types import JSON, Problem, Verdict
from rewards.verifiers import Verifier, verifier
from tests.support.builders import problem


def pays(
    reward: float,
    *,
    correct: bool | None = None,
    answer: str = "",
    reason: str = "",
    components: Mapping[str, float] | None = None,
) -> Verifier:
    """The same verdict on everything; `correct` follows from a positive reward unless given."""

    async def constant(problem: Problem, response: str) -> Verdict:
        right = reward > 0 if correct is None else correct
        return Verdict.scored(
            reward, correct=right, answer=answer, reason=reason, components=components
        )

    return constant


def broken(reason: str = "out of order") -> Verifier:
    """Never a verdict."""

    async def missing(problem: Problem, response: str) -> Verdict:
        return Verdict.missing(reason)

    return missing


async def raises(problem: Problem, response: str) -> Verdict:
    """A component with a defect."""
    raise KeyError("solution")


def judge(
    name: str,
    *,
    response: str = "x",
    columns: Mapping[str, JSON] | None = None,
    row: str = "",
    **options: Any,
) -> Verdict:
    """What the registered verifier says when its components are these functions."""
    function = verifier.get(name).function
    verdict: Verdict = asyncio.run(
        function(problem(columns=columns, verifier=row), response, **options)
    )
    return verdict
