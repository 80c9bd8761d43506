"""Components that count only once a more important component is good enough."""

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field

from recipes.errors import RecipeError
from recipes.slots.spec import Signed
from rewards.calling import call_verifiers
from rewards.composition import (
    Components,
    Decides,
    Weights,
    missing_of,
    reason_of,
    refuse_unknown_components,
    values_of,
)
from rewards.types import Problem, Verdict
from rewards.verifiers import Verifier, verifier

_ALL_ONE: dict[str, float] = {}


def _gates_are_components(
    *,
    components: dict[str, Verifier],
    gates: dict[str, float],
    weights: dict[str, float],
    correct: str,
    strict: bool,
    gate_penalties: bool,
) -> None:
    refuse_unknown_components(
        components, gates=list(gates), weights=list(weights), correct=[correct]
    )
    last = list(components)[-1]
    if set(gates) == {last}:
        raise RecipeError.of(
            f"'{last}' is the last component: its gate has nothing behind it",
            path="gates",
            fix="list the components by importance, the gate before what it guards",
        )


@verifier.register(
    validate=_gates_are_components,
    renamed={"parts": "components"},
    paper="https://arxiv.org/abs/2508.10548",
)
async def gated(
    problem: Problem,
    response: str,
    *,
    components: Components,
    gates: Annotated[
        dict[str, Signed],
        Field(
            min_length=1,
            description="Reward that a component must reach before later components count",
        ),
    ],
    weights: Weights = _ALL_ONE,
    correct: Decides = "",
    strict: Annotated[
        bool, Field(description="Whether the reward must exceed the gate, not only reach it")
    ] = False,
    gate_penalties: Annotated[
        bool, Field(description="Whether negative rewards behind a closed gate are dropped too")
    ] = False,
) -> Verdict:
    """The weighted sum of the components, most important first, up to the first closed gate.

    `weighted` lets an easy component be earned on its own; here it pays only on top of what it
    stands behind. Sun et al. 2025, https://arxiv.org/abs/2508.10548 (G-RA): the reward of component
    i counts times the product over more important components j of [reward j >= gate j]. Departures:
    one verdict a response, not one reward a turn; penalties are not gated by default, or failing
    early would hide them. The shaping function of this name gates components that are already paid
    for. With `gate_penalties` a component behind a closed gate is not asked: it costs nothing, has
    no value in `components`, and if it decides, the answer is not correct. A component that is
    asked and has no verdict makes the whole verdict missing. Keep the sum of the gated components
    below the step from a closed to an open gate, or they outweigh it.

    Returns a verdict between the sums of the weighted extremes of the components. Components: every
    component that was asked, and `gates_open`, the share of the gates that opened.
    """
    verdicts: dict[str, Verdict] = {}
    reward, opened, closed = 0.0, 0, False
    for stage in _stages(components, gates):
        if closed and gate_penalties:
            break
        asked = await call_verifiers(stage, problem, response)
        verdicts |= asked
        if any(verdict.is_missing for verdict in asked.values()):
            return missing_of(verdicts)
        earned = [weights.get(name, 1.0) * asked[name].reward for name in stage]
        reward += sum(min(value, 0.0) if closed else value for value in earned)
        for name in stage.keys() & gates.keys():
            value = asked[name].reward
            is_open = not closed and (value > gates[name] if strict else value >= gates[name])
            opened += is_open
            closed = not is_open
    decides = verdicts.get(correct or next(iter(components)))
    return Verdict.scored(
        reward,
        correct=decides is not None and decides.correct,
        reason=reason_of(verdicts),
        answer=decides.answer if decides is not None else "",
        components={**values_of(verdicts), "gates_open": opened / len(gates)},
    )


def _stages(
    components: Mapping[str, Verifier], gates: Mapping[str, float]
) -> Iterator[dict[str, Verifier]]:
    """Components to call at the same time: each stage ends with a gate or with the list."""
    stage: dict[str, Verifier] = {}
    for name, component in components.items():
        stage[name] = component
        if name in gates:
            yield stage
            stage = {}
    if stage:
        yield stage
