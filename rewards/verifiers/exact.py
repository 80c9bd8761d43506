"""The answer must be the gold answer, letter for letter after light normalisation."""

from typing import Annotated

from pydantic import Field

from rewards.answers.extract import Where, final_answer
from rewards.answers.normalize import unstyled
from rewards.answers.unicode_math import to_latex
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier


@verifier.register()
async def exact(
    problem: Problem,
    response: str,
    *,
    case: Annotated[bool, Field(description="Whether upper and lower case differ")] = False,
    where: Annotated[Where, Field(description="Place of the answer in the response")] = "anywhere",
    marker: Annotated[
        str, Field(description="Text before the answer, the last one counts; empty: see `where`")
    ] = "",
) -> Verdict:
    """1 when the extracted answer is spelt like the gold answer.

    `numeric` and `math_equal` compare values; this compares text: 0.5 is not 1/2. White space,
    LaTeX spacing and styling, Unicode look-alikes and a closing full stop do not count. An empty
    gold answer is matched by an empty response alone, so it is refused: the verdict is missing.

    Returns a verdict of reward 0 or 1.
    """
    gold = _settled(problem.answer, case)
    if not gold:
        return Verdict.missing("the gold answer is empty; exact has nothing to compare with")
    found = final_answer(response, where, marker)
    for candidate in found.candidates:
        if _settled(candidate, case) == gold:
            return Verdict.binary(True, reason=f"{found.place}: the same", answer=candidate)
    reason = f"{found.place}: differs" if found.candidates else "no answer found"
    return Verdict.binary(False, reason=reason, answer=found.answer)


def _settled(text: str, case: bool) -> str:
    text = " ".join(unstyled(to_latex(text)).strip().strip("$").split()).rstrip(".")
    return text if case else text.casefold()
