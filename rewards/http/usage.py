"""Counts that verifiers keep about themselves: questions, tokens, money, disagreements.

They are apart from verdicts because a verdict may be composed, cached or missing, and what it cost
was spent all the same. One set for the process; `read` gives what came in since the last reading.
"""

import threading
from collections import defaultdict


class UsageCounters:
    """Named totals and means, safe to feed from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: dict[str, float] = defaultdict(float)
        self._means: dict[str, tuple[float, int]] = {}

    def add(self, name: str, amount: float = 1.0) -> None:
        """Add to the total called `name`."""
        with self._lock:
            self._totals[name] += amount

    def observe(self, name: str, value: float) -> None:
        """One more value of the mean called `name`."""
        with self._lock:
            total, count = self._means.get(name, (0.0, 0))
            self._means[name] = (total + value, count + 1)

    def read(self) -> dict[str, float]:
        """Totals and means since the last reading; a name that nothing fed is not there."""
        with self._lock:
            found = dict(self._totals) | {n: t / c for n, (t, c) in self._means.items()}
            self._totals.clear()
            self._means.clear()
        return found


meters = UsageCounters()
