"""SLOT verifier: `async (problem, response) -> Verdict`. One file per verifier."""

from collections.abc import Awaitable
from typing import Protocol

from recipes.slots.registry import Registry
from rewards.types import Problem, Verdict


class Verifier(Protocol):
    """Scores one response. Never raises for a bad response; a failure of its own is MISSING."""

    async def __call__(self, problem: Problem, response: str) -> Verdict: ...


verifier: Registry[[Problem, str], Awaitable[Verdict]] = Registry(
    "verifier", params=("problem", "response"), packages=["rewards.verifiers"]
)
