"""Scores of reasoning-gym's tasks, for a worker: importing the package takes a second."""

import functools
from collections.abc import Callable
from typing import Any

from rewards.types import JSON

_GRIDS = frozenset({"arc_agi", "rearc"})  # these compare with tuples, which JSON has not


def score(task: str, entry: dict[str, JSON], answer: str) -> float:
    """What the task's scorer says of `answer`; a ValueError names a task that does not exist."""
    if task in _GRIDS:
        entry = {**entry, "metadata": _tuples(entry["metadata"])}
    return float(_scorer(task)(answer, entry))


@functools.lru_cache(maxsize=256)
def _scorer(task: str) -> Callable[[str, Any], float]:
    from reasoning_gym.factory import get_score_answer_fn

    scorer: Callable[[str, Any], float] = get_score_answer_fn(task)
    return scorer


def _tuples(value: JSON) -> JSON:
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value
