"""The answer must be the same mathematics as the gold answer."""

from typing import Annotated

from pydantic import Field

from recipes.errors import RecipeError
from recipes.slots.spec import Seconds
from rewards.answers.extract import Where
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier
from rewards.workers.pool import shared
from rewards.workers.process import CallResult, Failure

_JUDGE = "rewards.math.verdict:judge"
_OF_THE_MACHINE = (Failure.START, Failure.CLOSED)  # neither the response nor the gold caused them


def _one_place(*, deadline_s: float, where: Where, marker: str, boxed_only: bool) -> None:
    if boxed_only and (where != "anywhere" or marker):
        raise RecipeError.of(
            "boxed_only looks in the last box alone, but another place is given too",
            path="boxed_only",
            fix="leave out where and marker, or boxed_only",
        )


@verifier.register(validate=_one_place)
async def math_equal(
    problem: Problem,
    response: str,
    *,
    deadline_s: Annotated[
        Seconds, Field(gt=0, description="Time limit of one verdict in seconds, without the queue")
    ] = 5.0,
    where: Annotated[Where, Field(description="Place of the answer in the response")] = "anywhere",
    marker: Annotated[
        str, Field(description="Text before the answer, the last one counts; empty: see `where`")
    ] = "",
    boxed_only: Annotated[
        bool, Field(description="Whether only a boxed answer counts, for training on a format")
    ] = False,
) -> Verdict:
    r"""1 when the final answer equals the gold answer as mathematics.

    `numeric` is cheaper and knows numbers alone. The gold answer is given as data sets give it:
    bare, between math signs, boxed, or after `####`. Built on sympy, with a grammar for answers,
    because plain math-verify drops variables, bases and boxes; what the grammar leaves out, such as
    integrals, https://github.com/huggingface/Math-Verify reads. Exact: a rounded decimal is not the
    root it stands for. A list must hold every solution and nothing else. Runs in a worker process,
    so any thread may call it. A verdict that fails, at the deadline or with its worker, is tried
    again in another worker. If that fails too the response is wrong: otherwise a policy could drop
    bad samples by answers that cannot be judged. It is missing where the gold answer alone fails,
    where no worker starts, and where the gold answer is empty.

    Returns a verdict of reward 0 or 1; its reason says where the answer was and how it compared.
    """
    if not problem.answer.strip():
        return Verdict.missing("the gold answer is empty")

    async def judged(text: str) -> CallResult:
        place = "boxed" if boxed_only else where
        return await shared().call(
            _JUDGE, problem.answer, text, place, marker, deadline_s=deadline_s
        )

    outcome = await judged(response)
    if outcome.failed and outcome.failure not in _OF_THE_MACHINE:
        outcome = await judged(response)
    if not outcome.failed:
        value = outcome.value
        return Verdict.binary(value["correct"], reason=value["reason"], answer=value["answer"])
    if outcome.failure in _OF_THE_MACHINE:
        return Verdict.missing(f"math_equal: {outcome.reason}")
    gold = await judged(f"{marker}\\boxed{{{problem.answer}}}")
    if gold.failed:
        return Verdict.missing(f"math_equal: the gold answer cannot be judged: {gold.reason}")
    return Verdict.binary(False, reason=f"failed twice: {outcome.reason}")
