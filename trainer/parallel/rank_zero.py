"""Work that rank 0 does alone, and how the other ranks hear what became of it.

An exception on rank 0 only would leave the others waiting in their next collective. So every such
piece of work is announced: they receive its value, or stop with it.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar, cast

from rollout.types import Interrupted

T = TypeVar("T")
_RANK_NAMES = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")


class Ranks(Protocol):
    """What is needed of the policy."""

    @property
    def is_main(self) -> bool: ...
    def broadcast(self, value: T) -> T: ...


class MainRankFailed(Exception):
    """Rank 0 stopped; its own output says why."""


def launched_as_main() -> bool:
    """Whether this process will be rank 0; before the ranks have met, and so before a model loads.

    The variables are those that accelerate goes by when it starts the ranks.
    """
    ranks = [os.environ[name] for name in _RANK_NAMES if name in os.environ]
    return not ranks or int(ranks[0]) == 0


async def on_main(ranks: Ranks, work: Callable[[], Awaitable[T]]) -> T:
    """The value of `work`, which runs on rank 0, on every rank.

    Its exception is raised as it is on rank 0, as MainRankFailed on the others; Interrupted is
    raised as Interrupted everywhere.
    """
    value: T | None = None
    failure: Exception | None = None
    if ranks.is_main:
        try:
            value = await work()
        except Exception as error:  # announced before it goes on its way
            failure = error
    kind = type(failure).__name__ if failure is not None else ""
    heard, failed = ranks.broadcast((value, kind))
    if failure is not None:
        raise failure
    if failed == Interrupted.__name__:
        raise Interrupted
    if failed:
        raise MainRankFailed(failed)
    return cast(T, heard)  # nothing failed, so there is a value
