"""What verifiers have done in a worker: a regular expression that may backtrack for ever, and the
scorers of reasoning-gym, whose import takes a second."""

import functools
import re
from collections.abc import Callable

from rewards.types import JSON

_GRIDS = frozenset({"arc_agi", "rearc"})  # these compare with tuples, which JSON has not


def regex_found(pattern: str, text: str) -> bool:
    """Whether `pattern` is found in `text`; a dot matches line breaks too."""
    return re.search(pattern, text, re.DOTALL) is not None


def gym_import(task: str, *_: JSON) -> None:
    """What `gym_score` needs: its import takes seconds on a busy machine."""
    _scorer(task)


def gym_score(task: str, entry: dict[str, JSON], answer: str) -> float:
    """What the task's scorer says of `answer`; a ValueError names a task that does not exist."""
    if task in _GRIDS:
        entry = {**entry, "metadata": _tuples(entry["metadata"])}
    return float(_scorer(task)(answer, entry))


@functools.lru_cache(maxsize=256)
def _scorer(task: str) -> Callable[[str, JSON], float]:
    from reasoning_gym.factory import get_score_answer_fn

    scorer: Callable[[str, JSON], float] = get_score_answer_fn(task)
    return scorer


def _tuples(value: JSON) -> JSON:
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value
