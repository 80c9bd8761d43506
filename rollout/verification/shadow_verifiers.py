"""What stricter verifiers say of a share of the responses, without a say in the reward."""

from collections import defaultdict
from collections.abc import Mapping

from recipes.slots.spec import JSON
from rewards.calling import call_verifiers
from rewards.seeded import seeded_fraction
from rewards.types import Problem, Verdict
from rewards.verifiers import Verifier

_PHRASE = 4  # words in a row that count as one
_SEED = 1  # apart from other draws on the same response


class HeldOut:
    """Watches a seeded share of the verdicts: the reward is compared with what it does not see.

    verifiers: by name; asked about the same responses
    share: of the responses, 0 to 1
    """

    def __init__(self, verifiers: Mapping[str, Verifier], share: float) -> None:
        self._verifiers = verifiers
        self._share = share
        self._values: dict[str, list[float]] = defaultdict(list)

    async def see(self, problem: Problem, response: str, verdict: Verdict) -> None:
        """Ask about the response if it is drawn and has a verdict of its own."""
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
        found = {name: sum(values) / len(values) for name, values in self._values.items()}
        self._values.clear()
        return found

    def state_dict(self) -> dict[str, JSON]:
        """Nothing: it looks at one step."""
        return {}

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        """See `state_dict`."""


def repetition(text: str) -> float:
    """Share of the phrases of four words that came before in the text; 0 without one."""
    words = text.split()
    phrases = [tuple(words[i : i + _PHRASE]) for i in range(len(words) - _PHRASE + 1)]
    return 1 - len(set(phrases)) / len(phrases) if phrases else 0.0
