"""The records of scoring: what was asked, what was said about the answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from recipes.slots.spec import JSON as JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One chat message."""

    role: str  # "system", "user", "assistant" or "tool"
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One verifiable task, as read from the data.

    Example: Problem(id="gsm8k-7", messages=(Message(role="user", content="2+2?"),), answer="4",
    verifier="", tags=frozenset(), columns={"solution": "2+2=4"})
    """

    id: str  # unique in its source; stable between runs
    messages: tuple[Message, ...]  # the prompt; at least one
    answer: str  # gold answer, as the data set gives it
    verifier: str = ""  # which verifier of `by_row` judges it; empty where there is one for all
    tags: frozenset[str] = frozenset()
    columns: Mapping[str, JSON] = field(default_factory=dict)  # the row's other columns


class Scored(Enum):
    """Whether a verdict counts."""

    SCORED = "scored"
    MISSING = "missing"  # the verifier failed; the sample leaves statistics and loss


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a verifier says of one response."""

    status: Scored
    reward: float  # meaningless when MISSING
    correct: bool  # is the answer right; drives pass rates, whatever shape the reward has
    components: Mapping[str, float] = field(default_factory=dict)  # named components, logged
    reason: str = ""  # why, for humans: one line, of printable characters
    answer: str = ""  # the final answer that was extracted; empty when there is none
    verifier: str = ""  # hash of the code and the options that said so; empty outside a run
    too_long: bool = False  # MISSING because the response is longer than the verifier's model reads

    def __post_init__(self) -> None:
        """A reason quotes what a model wrote, which may hold commands to a terminal."""
        if not self.reason.isprintable():
            shown = (char if char.isprintable() else ascii(char)[1:-1] for char in self.reason)
            object.__setattr__(self, "reason", "".join(shown))

    @classmethod
    def scored(
        cls,
        reward: float,
        *,
        correct: bool,
        reason: str = "",
        answer: str = "",
        components: Mapping[str, float] | None = None,
    ) -> "Verdict":
        return cls(
            status=Scored.SCORED,
            reward=reward,
            correct=correct,
            components=components or {},
            reason=reason,
            answer=answer,
        )

    @classmethod
    def binary(cls, correct: bool, *, reason: str = "", answer: str = "") -> "Verdict":
        """Reward 1 for right, 0 for wrong."""
        return cls.scored(float(correct), correct=correct, reason=reason, answer=answer)

    @classmethod
    def missing(cls, reason: str, *, too_long: bool = False) -> "Verdict":
        """The verifier could not tell: a deadline, a dead worker, an exception."""
        return cls(
            status=Scored.MISSING, reward=0.0, correct=False, reason=reason, too_long=too_long
        )

    @property
    def is_missing(self) -> bool:
        return self.status is Scored.MISSING
