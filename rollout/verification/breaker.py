"""The circuit breaker: too many missing verdicts end the run instead of biasing it."""

from collections import Counter, deque
from collections.abc import Mapping

from recipes.slots.spec import JSON
from rewards.types import Verdict


class BreakerTripped(Exception):
    """Too many verdicts are missing; training on would learn from what happens to be left."""


class CircuitBreaker:
    """Trips when more than `max_error_rate` of the last `window` verdicts are missing.

    Nothing is judged before `min_count` verdicts, so that one early failure ends no run.
    """

    def __init__(self, max_error_rate: float, window: int, min_count: int = 20) -> None:
        assert 0 < max_error_rate <= 1 and window > 0, "a breaker needs a rate and a window"
        self._max_error_rate = max_error_rate
        self._min_count = min(min_count, window)
        self._last: deque[str] = deque(maxlen=window)  # a reason, or empty for a verdict

    @property
    def error_rate(self) -> float:
        """Share of missing verdicts in the window; 0 before the first."""
        return sum(map(bool, self._last)) / len(self._last) if self._last else 0.0

    @property
    def is_tripped(self) -> bool:
        return len(self._last) >= self._min_count and self.error_rate > self._max_error_rate

    def record(self, verdict: Verdict) -> None:
        """Count one verdict."""
        self._last.append((verdict.reason or "no reason given") if verdict.is_missing else "")

    def check(self) -> None:
        """Raise BreakerTripped, with the most frequent reasons, when tripped."""
        if not self.is_tripped:
            return
        reasons = Counter(reason for reason in self._last if reason).most_common(3)
        listed = "; ".join(f"{count}x {reason:.200}" for reason, count in reasons)
        raise BreakerTripped(
            f"{sum(map(bool, self._last))} of the last {len(self._last)} verdicts are missing "
            f"({self.error_rate:.0%}, allowed {self._max_error_rate:.0%}). Most frequent: "
            f"{listed}. Mend the verifier or what it calls; missing verdicts are never trained on"
        )

    def state_dict(self) -> dict[str, JSON]:
        return {"last": list(self._last)}

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        """A smaller window keeps the newest."""
        self._last.clear()
        self._last.extend(state["last"])
