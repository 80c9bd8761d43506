"""How often a verifier errs, estimated from the verdicts that were checked again.

With n0 wrong and n1 correct first verdicts, of which a second check overturns the shares u and v,
there are in truth n1 (1 - v) + n0 u correct answers and n0 (1 - u) + n1 v wrong ones. So the share
of correct answers that the first verifier fails is n0 u / (n1 (1 - v) + n0 u), and that of wrong
ones that it passes n1 v / (n0 (1 - u) + n1 v). Verdicts that the check itself repaired are
subtracted.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from rewards.types import JSON, Problem, Verdict

Z_95 = 1.959964  # normal quantile of a two-sided 95% interval


@dataclass(kw_only=True)
class Counts:
    """First verdicts of one kind, correct or wrong; older ones weigh less."""

    seen: float = 0.0
    checked: float = 0.0
    overturned: float = 0.0
    repaired: float = 0.0

    def fade(self, decay: float) -> None:
        """Let what was counted so far weigh less."""
        self.seen, self.checked = decay * self.seen, decay * self.checked
        self.overturned, self.repaired = decay * self.overturned, decay * self.repaired


class ErrorRates:
    """Follows the verdicts of the verifier `double_checked`, at any depth of the run's verifier.

    decay: factor of the old counts each time the metrics are read, that is at each step
    """

    def __init__(self, decay: float = 0.95) -> None:
        self._decay = decay
        self._wrong = Counts()
        self._correct = Counts()
        self._double_checks = 0

    async def see(self, problem: Problem, response: str, verdict: Verdict) -> None:
        """Count the verdict if it has the first verifier's as a component."""
        components = verdict.components
        for name in [n for n in components if n.rpartition("/")[2] == "first_correct"]:
            path = name.removesuffix("first_correct")
            counts = self._correct if components[name] else self._wrong
            counts.seen += 1
            overturned = components.get(f"{path}overturned")
            if overturned is not None:
                self._double_checks += 1
                counts.checked += 1
                counts.overturned += overturned
                counts.repaired += components.get(f"{path}repaired", 0.0)

    def metrics(self) -> dict[str, float]:
        """Error rates with 95% intervals, of the verdicts that the run is trained on."""
        seen = self._wrong.seen + self._correct.seen
        found = {"verifier/double_checks": float(self._double_checks)} if seen else {}
        found |= rates(self._wrong, self._correct)
        self._double_checks = 0
        for counts in (self._wrong, self._correct):
            counts.fade(self._decay)
        return found

    def state_dict(self) -> dict[str, JSON]:
        return {"wrong": asdict(self._wrong), "correct": asdict(self._correct)}

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        self._wrong, self._correct = Counts(**state["wrong"]), Counts(**state["correct"])


def rates(wrong: Counts, correct: Counts) -> dict[str, float]:
    """`false_negative` and `false_positive` with their intervals, where verdicts were checked.

    Without a checked verdict of a kind there is no rate of that kind. Verdicts that were not
    checked are taken to be right.
    """
    found: dict[str, float] = {}
    for name, own, other in (("negative", wrong, correct), ("positive", correct, wrong)):
        if not own.checked:
            continue
        for suffix, pick in (("", 0), ("_low", 1), ("_high", 2)):
            u, v = _overturned(own)[pick], _overturned(other)[pick]
            false = max(own.seen * u - own.repaired, 0.0)
            truth = other.seen * (1 - v) + own.seen * u
            found[f"verifier/false_{name}{suffix}"] = min(false / truth, 1.0) if truth else 0.0
    return found


def _overturned(counts: Counts) -> tuple[float, float, float]:
    """Share of checks that overturn, and its Wilson interval; all 0 without a check."""
    n = counts.checked
    if not n:
        return 0.0, 0.0, 0.0
    share = counts.overturned / n
    centre = share + Z_95**2 / (2 * n)
    half = Z_95 * math.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n * n))
    scale = 1 + Z_95**2 / n
    return share, max((centre - half) / scale, 0.0), min((centre + half) / scale, 1.0)
