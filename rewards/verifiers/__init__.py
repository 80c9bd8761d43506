"""SLOT verifier: `async (problem, response) -> Verdict`. One file per verifier."""

from typing import Any, Protocol

from recipes.slots.registry import Registry
from rewards.types import Problem, Verdict


class Verifier(Protocol):
    """Scores one response. Never raises for a bad response; a failure of its own is MISSING."""

    async def __call__(self, problem: Problem, response: str) -> Verdict: ...


verifier: Registry[Any, Any] = Registry(
    "verifier", params=("problem", "response"), packages=["rewards.verifiers"]
)
