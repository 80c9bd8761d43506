"""What verifiers made of verifiers share: their options, and one record of many verdicts.

Each part keeps its own name: its reward is `parts["style"]`, and what it is made of in turn is
`parts["style/grammar"]`. A part without a verdict has no entry, so its mean is over those that
have one.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from recipes.errors import Fault, RecipeError, did_you_mean
from rewards.types import Verdict
from rewards.verifiers import Verifier, verifier

Part = Annotated[Verifier, verifier.nested]
Parts = Annotated[
    dict[str, Part], Field(min_length=1, description="verifiers by the name they are logged under")
]
Weights = Annotated[
    dict[str, float], Field(description="by part; a part that is not named weighs 1")
]
Decides = Annotated[
    str, Field(description="part that says whether the answer is correct; '' for the first")
]
WhenMissing = Annotated[
    Literal["missing", "skip"],
    Field(
        description="a part without a verdict makes the whole verdict missing, or is left out; "
        "it is never counted as 0"
    ),
]


def refuse_unknown_parts(parts: Mapping[str, object], **named: Sequence[str]) -> None:
    """Raise RecipeError for names in an option that no part has: `weights=[...]`, `correct=[...]`.

    An empty name stands for the first part.
    """
    faults = [
        Fault(
            path=option,
            what=f"there is no part called '{name}'",
            fix=f"{did_you_mean(name, parts)}(parts: {', '.join(parts)})",
        )
        for option, names in named.items()
        for name in names
        if name and name not in parts
    ]
    if faults:
        raise RecipeError(faults)


def values_of(verdicts: Mapping[str, Verdict]) -> dict[str, float]:
    """The reward of each part that has one, and of the parts inside it."""
    values: dict[str, float] = {}
    for name, verdict in verdicts.items():
        if not verdict.is_missing:
            values[name] = verdict.reward
            values |= {f"{name}/{inner}": value for inner, value in verdict.parts.items()}
    return values


def reason_of(verdicts: Mapping[str, Verdict]) -> str:
    """`accuracy: 7 is not 8; format: ...`, of the parts that gave a reason."""
    return "; ".join(f"{name}: {v.reason}" for name, v in verdicts.items() if v.reason)


def missing_of(verdicts: Mapping[str, Verdict]) -> Verdict:
    """A missing verdict that names the parts to blame."""
    blamed = [f"{name}: {v.reason}" for name, v in verdicts.items() if v.is_missing]
    return Verdict.missing("; ".join(blamed))
