"""Responses to verdicts: the runner, the circuit breaker, and verifiers that only observe.

A verifier that raises, returns something else than a verdict or a reward that is not finite gives
a MISSING verdict with the reason. A missing verdict is never a reward of 0, and above a stated rate
of them the circuit breaker ends the run.
"""

import dataclasses
import json
import re
import sys
import time
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from recipes.slots.spec import JSON
from rewards.calling import call_verifier, call_verifiers
from rewards.http.usage import meters
from rewards.seeded import seeded_fraction
from rewards.types import Problem, Verdict
from rewards.verifiers import Verifier

_NO_WATCHERS: Mapping[str, "Watcher"] = {}
_EXCERPT = 500  # characters of a response in the file of missing verdicts
_KINDS_TOLD = 20  # different reasons on the console; the file has all
_NUMBERS = re.compile(r"\d+")
_PHRASE = 4  # words in a row that count as one
_SEED = 1  # apart from other draws on the same response


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
            f"{listed}. Fix the verifier or what it calls; missing verdicts are never trained on"
        )

    def state_dict(self) -> dict[str, JSON]:
        return {"last": list(self._last)}

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        """A smaller window keeps the newest."""
        self._last.clear()
        self._last.extend(state["last"])


class Watcher(Protocol):
    """Sees every verdict of a run and changes none; its state is part of the checkpoint."""

    async def see(self, problem: Problem, response: str, verdict: Verdict) -> None: ...
    def metrics(self) -> dict[str, float]:
        """Numbers of the step that ends; called once a step."""
        ...

    def state_dict(self) -> dict[str, JSON]: ...
    def load_state_dict(self, state: Mapping[str, JSON]) -> None: ...


class VerifierRunner:
    """Calls the verifier, and turns whatever goes wrong into a MISSING verdict.

    watchers: by name; each sees every verdict
    provenance: hash of the verifier's code and options, noted on every verdict
    """

    def __init__(
        self,
        verifier: Verifier,
        *,
        breaker: CircuitBreaker | None = None,
        watchers: Mapping[str, Watcher] = _NO_WATCHERS,
        provenance: str = "",
    ) -> None:
        self._watchers = watchers
        self._provenance = provenance
        self._verifier = verifier
        self.breaker = breaker or CircuitBreaker(1.0, 1)  # a rate of 1 is never exceeded
        self._calls = 0
        self._missing = 0
        self._seconds = 0.0

    async def verify(self, problem: Problem, response: str) -> Verdict:
        """The verdict on one response; never raises for what a verifier does."""
        start = time.perf_counter()
        verdict = await call_verifier(self._verifier, problem, response)
        self._seconds += time.perf_counter() - start
        self._calls += 1
        self._missing += verdict.is_missing
        self.breaker.record(verdict)
        for watcher in self._watchers.values():
            await watcher.see(problem, response, verdict)
        return dataclasses.replace(verdict, verifier=self._provenance)

    def metrics(self) -> dict[str, float]:
        """Calls, missing share and mean seconds since the last reading; empty without calls.

        With them what verifiers of this process count themselves, such as a judge's tokens.
        """
        if not self._calls:
            return {}
        numbers = meters.read() | {
            "verifier/calls": float(self._calls),
            "verifier/missing_frac": self._missing / self._calls,
            "verifier/seconds": self._seconds / self._calls,
        }
        self._calls, self._missing, self._seconds = 0, 0, 0.0
        for watcher in self._watchers.values():
            numbers |= watcher.metrics()
        return numbers

    def state_dict(self) -> dict[str, JSON]:
        """State of the breaker and the watchers; counts of a step are not saved."""
        watched = {name: watcher.state_dict() for name, watcher in self._watchers.items()}
        return {"breaker": self.breaker.state_dict(), "watchers": watched}

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        """A watcher that the saved run did not have starts afresh."""
        self.breaker.load_state_dict(state["breaker"])
        for name in self._watchers.keys() & state["watchers"].keys():
            self._watchers[name].load_state_dict(state["watchers"][name])


class ShadowVerifiers:
    """A Watcher that has other verifiers judge a seeded share of the responses, for metrics alone.

    verifiers: by name; each judges the same responses
    share: of the responses, 0 to 1
    """

    def __init__(self, verifiers: Mapping[str, Verifier], share: float) -> None:
        self._verifiers = verifiers
        self._share = share
        self._values: dict[str, list[float]] = defaultdict(list)

    async def see(self, problem: Problem, response: str, verdict: Verdict) -> None:
        """Judge the response if it is drawn and has a verdict."""
        if verdict.is_missing or seeded_fraction(problem, response, _SEED) >= self._share:
            return
        self._values["watch/reward"].append(verdict.reward)
        self._values["watch/repetition"].append(repetition(response))
        for name, other in (await call_verifiers(self._verifiers, problem, response)).items():
            if not other.is_missing:
                agrees = float(other.correct == verdict.correct)
                self._values[f"watch/{name}"].append(other.reward)
                self._values[f"watch/{name}_agreement"].append(agrees)

    def metrics(self) -> dict[str, float]:
        """Means over the responses drawn since the last reading."""
        means = {name: sum(values) / len(values) for name, values in self._values.items()}
        self._values.clear()
        return means

    def state_dict(self) -> dict[str, JSON]:
        """Nothing: its numbers are those of one step."""
        return {}

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        """See `state_dict`."""


class MissingVerdicts:
    """A Watcher that tells why verdicts are missing: each kind once on the console, all in a file.

    file: one JSON object a line: `problem`, `reason` and the beginning of the `response`
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._told: set[str] = set()

    async def see(self, problem: Problem, response: str, verdict: Verdict) -> None:
        """Note a verdict without which a sample does not count."""
        if not verdict.is_missing:
            return
        line = {"problem": problem.id, "reason": verdict.reason, "response": response[:_EXCERPT]}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(json.dumps(line) + "\n")
        kind = _NUMBERS.sub("#", verdict.reason)
        if kind not in self._told and len(self._told) < _KINDS_TOLD:
            self._told.add(kind)
            shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in verdict.reason[:500])
            print(
                f"verifier: no verdict for problem {problem.id}: {shown} "
                f"(others like it are in {self._file})",
                file=sys.stderr,
                flush=True,
            )

    def metrics(self) -> dict[str, float]:
        """None: the runner counts them."""
        return {}

    def state_dict(self) -> dict[str, JSON]:
        """Nothing: a resumed run tells each kind once more."""
        return {}

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        """See `state_dict`."""


def repetition(text: str) -> float:
    """Share of the phrases of four words that came before in the text; 0 without one."""
    words = text.split()
    phrases = [tuple(words[i : i + _PHRASE]) for i in range(len(words) - _PHRASE + 1)]
    return 1 - len(set(phrases)) / len(phrases) if phrases else 0.0
