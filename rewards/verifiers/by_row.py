"""A verifier for each kind of problem in one data set."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from recipes.slots.registry import SlotEntry
from rewards.calling import call_verifier
from rewards.composition import Component, values_of
from rewards.types import Problem, Verdict
from rewards.verifiers import Verifier, verifier


def _row_verifiers(
    *, named: Mapping[str, SlotEntry], otherwise: SlotEntry | None
) -> frozenset[str]:
    return frozenset([*named, *([] if otherwise is None else [""])])


@verifier.register(row_verifiers=_row_verifiers)
async def by_row(
    problem: Problem,
    response: str,
    *,
    named: Annotated[
        dict[str, Component],
        Field(min_length=1, description="Verifiers by the name that the rows give"),
    ],
    otherwise: Annotated[
        Component | None,
        Field(description="Verifier of rows without a name; null refuses such rows"),
    ] = None,
) -> Verdict:
    """The verdict of the verifier that the problem's row names.

    For data of several kinds, where `weighted` and `best_of` would ask every component about every
    problem. The column is named by the source, `columns: {verifier: kind}`, and a name that is not
    among `named` is refused with its file and line before a run; here it is missing.

    Returns that verifier's verdict. Components: its reward under its name, and those inside it.
    """
    chosen: Verifier | None = named.get(problem.verifier) if problem.verifier else otherwise
    if chosen is None:
        return Verdict.missing(f"no verifier called '{problem.verifier}'")
    verdict = await call_verifier(chosen, problem, response)
    if verdict.is_missing:
        return verdict
    components = values_of({problem.verifier: verdict}) if problem.verifier else verdict.components
    return Verdict.scored(
        verdict.reward,
        correct=verdict.correct,
        reason=verdict.reason,
        answer=verdict.answer,
        components=components,
    )
