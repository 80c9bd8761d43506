"""Is the reward being gamed? It rises, and what it does not see says otherwise.

    every step: a line of metrics -> the last `window` of them -> alarms -> after `patience`, a stop

A bound compares the newer half of the window with the older one. It alarms only while the reward
rises by `min_rise` between the same halves: a length that grows while the reward stands still is
another matter.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from recipes.errors import RecipeError
from recipes.slots.registry import SlotEntry, did_you_mean
from recipes.slots.spec import JSON, Spec
from rewards.verifiers import verifier

VerifierEntry = Annotated[SlotEntry, verifier.nested]


class WatchBound(Spec):
    """How far one metric may move between the two halves while the reward rises."""

    metric: Annotated[str, Field(min_length=1, description="as it is logged")]
    max_fall: Annotated[float | None, Field(ge=0, description="in the metric's unit")] = None
    max_rise: Annotated[float | None, Field(ge=0, description="in the metric's unit")] = None
    max_growth: Annotated[
        float | None, Field(gt=1, description="newer half over older half, a factor")
    ] = None

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.max_fall is self.max_rise is self.max_growth is None:
            raise RecipeError.of(
                f"nothing is bounded of {self.metric}",
                fix="set max_fall, max_rise or max_growth",
            )
        return self

    def broken(self, older: float, newer: float) -> str:
        """What of it is broken, in words; empty when it holds."""
        moved = f"{self.metric} went from {older:.4g} to {newer:.4g}"
        if self.max_fall is not None and older - newer > self.max_fall:
            return f"{moved} (may fall by {self.max_fall:g})"
        if self.max_rise is not None and newer - older > self.max_rise:
            return f"{moved} (may rise by {self.max_rise:g})"
        if self.max_growth is not None and newer > self.max_growth * older:
            return f"{moved} (may grow to {self.max_growth:g} times)"
        return ""


class WatchSpec(Spec):
    """The watch against a reward that is gamed; off without verifiers and bounds."""

    verifiers: Annotated[
        dict[str, VerifierEntry],
        Field(description="stricter verifiers, asked without a say in the reward: `watch/<name>`"),
    ] = {}
    sample_frac: Annotated[
        float, Field(gt=0, le=1, description="share of the responses that they are asked about")
    ] = 0.1
    bounds: Annotated[list[WatchBound], Field(description="what may not move with the reward")] = []
    reward: Annotated[str, Field(description="the metric that rises when the reward does")] = (
        "rollout/reward"
    )
    min_rise: Annotated[float, Field(gt=0, description="of the reward, in its unit")] = 0.02
    window: Annotated[int, Field(ge=2, description="steps; the newer half against the older")] = 20
    patience: Annotated[int, Field(ge=1, description="steps in a row with an alarm to a stop")] = 3
    stop: Annotated[bool, Field(description="stop the run; otherwise log the alarms only")] = True

    @model_validator(mode="after")
    def _metrics_exist(self) -> Self:
        ours = ["watch/reward", "watch/repetition"]
        ours += [
            f"watch/{name}{suffix}" for name in self.verifiers for suffix in ("", "_agreement")
        ]
        for index, bound in enumerate(self.bounds):
            if bound.metric.startswith("watch/") and bound.metric not in ours:
                raise RecipeError.of(
                    f"no verifier of the watch gives {bound.metric}",
                    path=f"bounds.{index}.metric",
                    fix=f"{did_you_mean(bound.metric, ours)}(known: {', '.join(ours)})",
                )
        return self

    @property
    def asks(self) -> bool:
        """Whether responses must be looked at."""
        return bool(self.verifiers) or any(b.metric.startswith("watch/") for b in self.bounds)


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
    _refuse_unknown(history, spec)
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


def _refuse_unknown(history: Sequence[Mapping[str, float]], spec: WatchSpec) -> None:
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


def _mean(half: Sequence[Mapping[str, float]], name: str) -> float | None:
    """Over the steps that logged it; None where none did."""
    values = [line[name] for line in half if name in line]
    return sum(values) / len(values) if values else None
