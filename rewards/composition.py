"""What verifiers made of verifiers share: their options, and one record of many verdicts.

Each component keeps its own name: its reward is `components["style"]`, and what it is made of in
turn is `components["style/grammar"]`. A component without a verdict has no entry, so its mean is
over those that have one.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from recipes.errors import Fault, RecipeError, did_you_mean
from recipes.slots.spec import Signed
from rewards.types import Verdict
from rewards.verifiers import Verifier, verifier

Component = Annotated[Verifier, verifier.nested]
Components = Annotated[
    dict[str, Component],
    Field(min_length=1, description="Component verifiers by the name under which they are logged"),
]
Weights = Annotated[
    dict[str, Signed],
    Field(description="Weights by component; 1 for components that are not named"),
]
Decides = Annotated[
    str, Field(description="Component that decides whether the answer is correct; '' = the first")
]
WhenMissing = Annotated[
    Literal["missing", "skip"],
    Field(
        description="Rule for a component without a verdict: the whole verdict is missing, or the "
        "component is skipped; it never counts as 0"
    ),
]


def refuse_unknown_components(components: Mapping[str, object], **named: Sequence[str]) -> None:
    """Raise RecipeError for unknown component names in options: `weights=[...]`, `correct=[...]`.

    An empty name stands for the first component.
    """
    faults = [
        Fault(
            path=option,
            what=f"there is no component called '{name}'",
            fix=f"{did_you_mean(name, components)}(components: {', '.join(components)})",
        )
        for option, names in named.items()
        for name in names
        if name and name not in components
    ]
    if faults:
        raise RecipeError(faults)


def values_of(verdicts: Mapping[str, Verdict]) -> dict[str, float]:
    """The reward of each component that has one, and of the components inside it."""
    values: dict[str, float] = {}
    for name, verdict in verdicts.items():
        if not verdict.is_missing:
            values[name] = verdict.reward
            values |= {f"{name}/{inner}": value for inner, value in verdict.components.items()}
    return values


def reason_of(verdicts: Mapping[str, Verdict]) -> str:
    """`accuracy: 7 is not 8; format: ...`, of the components that gave a reason."""
    return "; ".join(f"{name}: {v.reason}" for name, v in verdicts.items() if v.reason)


def missing_of(verdicts: Mapping[str, Verdict]) -> Verdict:
    """A missing verdict that names the components to blame."""
    blamed = {name: verdict for name, verdict in verdicts.items() if verdict.is_missing}
    return Verdict.missing(
        "; ".join(f"{name}: {verdict.reason}" for name, verdict in blamed.items()),
        too_long=all(verdict.too_long for verdict in blamed.values()),
    )
