"""How verifiers are called: whatever one breaks becomes a missing verdict with its reason.

call_verifier(verifier, ...)       one verifier; never raises for what it does
call_verifiers(components, ...)    several at once, by name
judge_group(verify, ...)           all responses to a problem, each of which can see the others
group_of(problem, response)        the others, for a verifier that compares responses
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

from rewards.types import Problem, Verdict
from rewards.verifiers import Verifier

T = TypeVar("T")


async def call_verifier(verifier: Verifier, problem: Problem, response: str) -> Verdict:
    """The verdict; missing where it raises, returns something else, or a reward like NaN."""
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


class ResponseGroup:
    """The responses to one problem that are judged together."""

    def __init__(self, problem: Problem, responses: Sequence[str]) -> None:
        self.problem = problem
        self.responses = tuple(responses)
        self._shared: dict[Hashable, asyncio.Task[Any]] = {}

    async def once(self, key: Hashable, work: Callable[[], Coroutine[object, None, T]]) -> T:
        """What `work` gives, done once for the group though every member asks for it."""
        task: asyncio.Task[T] | None = self._shared.get(key)
        if task is None:
            task = self._shared[key] = asyncio.create_task(work())
        return await asyncio.shield(task)


_place: ContextVar[tuple[ResponseGroup, int] | None] = ContextVar("place in a group", default=None)


async def judge_group(
    verify: Callable[[Problem, str], Awaitable[Verdict]], problem: Problem, responses: Sequence[str]
) -> list[Verdict]:
    """`verify` on every response at the same time; inside, `group_of` gives all of them."""
    group = ResponseGroup(problem, responses)

    async def one(index: int) -> Verdict:
        _place.set((group, index))  # seen by this task and what it starts
        return await verify(problem, responses[index])

    return await asyncio.gather(*(one(index) for index in range(len(responses))))


def group_of(problem: Problem, response: str) -> tuple[ResponseGroup, int]:
    """The group that the response is judged in, and its place there; alone outside of one."""
    place = _place.get()
    if place is not None:
        group, index = place
        if group.problem.id == problem.id and group.responses[index] == response:
            return place
    return ResponseGroup(problem, (response,)), 0
