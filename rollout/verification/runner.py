"""Responses to verdicts: what a verifier breaks is missing, and too much of it ends the run.

A verifier that raises, returns something else than a verdict or a reward that is not finite gives
a MISSING verdict with the reason. A missing verdict is never a reward of 0.
"""

import dataclasses
import time
from collections.abc import Mapping
from typing import Protocol

from recipes.slots.spec import JSON
from rewards.calling import call_verifier
from rewards.http.usage import meters
from rewards.types import Problem, Verdict
from rewards.verifiers import Verifier
from rollout.verification.breaker import CircuitBreaker

_NO_WATCHERS: Mapping[str, "Watcher"] = {}


class Watcher(Protocol):
    """Sees every verdict of a run and changes none; its state is part of the checkpoint."""

    async def see(self, problem: Problem, response: str, verdict: Verdict) -> None: ...
    def metrics(self) -> dict[str, float]:
        """Numbers of the step that ends; called once a step."""
        ...

    def state_dict(self) -> dict[str, JSON]: ...
    def load_state_dict(self, state: Mapping[str, JSON]) -> None: ...


class VerifierRunner:
    """Asks the verifier, and turns whatever goes wrong into a MISSING verdict.

    watchers: by name; they are shown every verdict
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
        found = meters.read() | {
            "verifier/calls": float(self._calls),
            "verifier/missing_frac": self._missing / self._calls,
            "verifier/seconds": self._seconds / self._calls,
        }
        self._calls, self._missing, self._seconds = 0, 0, 0.0
        for watcher in self._watchers.values():
            found |= watcher.metrics()
        return found

    def state_dict(self) -> dict[str, JSON]:
        """What the breaker and the watchers remember; counts of a step are none of it."""
        watched = {name: watcher.state_dict() for name, watcher in self._watchers.items()}
        return {"breaker": self.breaker.state_dict(), "watchers": watched}

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        """A watcher that the saved run did not have starts afresh."""
        self.breaker.load_state_dict(state["breaker"])
        for name in self._watchers.keys() & state["watchers"].keys():
            self._watchers[name].load_state_dict(state["watchers"][name])
