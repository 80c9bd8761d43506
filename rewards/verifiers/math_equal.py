"""The answer must be the same mathematics as the gold answer."""

from typing import Annotated

from pydantic import Field

from rewards.answers.extract import Where
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier
from rewards.workers.pool import shared

_JUDGE = "rewards.math.verify:judge"


@verifier.register()
async def math_equal(
    problem: Problem,
    response: str,
    *,
    deadline_s: Annotated[
        float, Field(gt=0, description="longest time for one verdict, from the start of the work")
    ] = 5.0,
    where: Annotated[Where, Field(description="where the answer is looked for")] = "anywhere",
    marker: Annotated[
        str, Field(description="the answer follows the last of these; empty: see `where`")
    ] = "",
) -> Verdict:
    """1 when the final answer equals the gold answer as mathematics.

    `numeric` is cheaper and knows numbers alone. The gold answer is given as data sets give it:
    bare, between math signs, boxed, or after `####`. Built on sympy, with a grammar of answers of
    its own, because plain math-verify drops variables, bases and boxes; what the grammar leaves
    out, such as integrals, https://github.com/huggingface/Math-Verify reads. Exact: a rounded
    decimal is not the root it stands for. A list must hold every solution and nothing else. Runs
    in a worker process, so any thread may call it; an answer still undecided at the deadline gives
    a missing verdict, and so does an empty gold answer.

    Returns a verdict of reward 0 or 1; its reason says where the answer stood and how it compared.
    """
    if not problem.answer.strip():
        return Verdict.missing("the gold answer is empty")
    outcome = await shared().call(
        _JUDGE, problem.answer, response, where, marker, deadline_s=deadline_s
    )
    if outcome.failed:
        return Verdict.missing(f"math_equal: {outcome.reason}")
    value = outcome.value
    return Verdict.binary(value["correct"], reason=value["reason"], answer=value["answer"])
