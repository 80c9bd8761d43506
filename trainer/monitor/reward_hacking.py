"""Detects reward hacking: the reward rises while held-out metrics get worse.

    every step: a line of metrics -> the last `window` of them -> alarms -> after `patience`, a stop

A bound compares the newer half of the window with the older one. It alarms only while the reward
rises by `min_rise` between the same halves: a length that grows while the reward stands still is
another matter.
"""

from collections.abc import Mapping, Sequence

from recipes.errors import RecipeError
from recipes.slots.spec import JSON
from trainer.recipe.monitoring import WatchSpec


class RewardHackingMonitor:
    """Remembers the watched metrics of the last steps; on rank 0 of a run."""

    def __init__(self, spec: WatchSpec) -> None:
        self._spec = spec
        self._history: list[dict[str, float]] = []
        self._streak = 0

    def observe(self, metrics: Mapping[str, float]) -> list[str]:
        """The alarms of the step that ends with these metrics. Raises RecipeError, see `alarms`."""
        names = [self._spec.reward, *(bound.metric for bound in self._spec.bounds)]
        if not self._spec.bounds:
            return []
        self._history.append({name: metrics[name] for name in names if name in metrics})
        self._history = self._history[-self._spec.window :]
        found = alarms(self._history, self._spec)
        self._streak = self._streak + 1 if found else 0
        return found

    @property
    def is_on(self) -> bool:
        """Whether anything is bounded."""
        return bool(self._spec.bounds)

    @property
    def is_over(self) -> bool:
        """Whether the alarms have lasted long enough for a stop."""
        return self._spec.stop and self._streak >= self._spec.patience

    def state_dict(self) -> dict[str, JSON]:
        return {"history": [dict(line) for line in self._history], "streak": self._streak}

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        self._history = [dict(line) for line in state["history"]]
        self._streak = int(state["streak"])


def alarms(history: Sequence[Mapping[str, float]], spec: WatchSpec) -> list[str]:
    """What moved too far while the reward rose, in words; nothing before the window is full.

    Raises RecipeError when the window is full and a watched metric was never logged.
    """
    if len(history) < spec.window:
        return []
    seen = {name for line in history for name in line}
    for path, name in [
        ("watch.reward", spec.reward),
        *((f"watch.bounds.{i}.metric", bound.metric) for i, bound in enumerate(spec.bounds)),
    ]:
        if name not in seen:
            raise RecipeError.of(
                f"no metric called '{name}' was logged in {len(history)} steps",
                path=path,
                fix="take a name from the run's metrics.jsonl, or from docs/metrics.md",
            )
    halves = history[: spec.window // 2], history[spec.window // 2 :]
    older, newer = (_mean(half, spec.reward) for half in halves)
    if older is None or newer is None or newer - older < spec.min_rise:
        return []
    rose = f"{spec.reward} rose from {older:.4g} to {newer:.4g}"
    found: list[str] = []
    for bound in spec.bounds:
        before, after = (_mean(half, bound.metric) for half in halves)
        if before is not None and after is not None:
            found += [
                f"{rose} while {broken}" for broken in [bound.broken(before, after)] if broken
            ]
    return found


def _mean(half: Sequence[Mapping[str, float]], name: str) -> float | None:
    """Over the steps that logged it; None where none did."""
    values = [line[name] for line in half if name in line]
    return sum(values) / len(values) if values else None
