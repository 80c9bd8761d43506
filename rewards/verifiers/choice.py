"""The answer must be the letter of the right option."""

import re
from typing import Annotated

from pydantic import Field

from rewards.answers.choices import chosen, gold_letter
from rewards.answers.extract import Where, final_answer
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier


@verifier.register()
async def choice(
    problem: Problem,
    response: str,
    *,
    where: Annotated[Where, Field(description="Place of the answer in the response")] = "anywhere",
    marker: Annotated[
        str, Field(description="Text before the answer, the last one counts; empty: see `where`")
    ] = "",
) -> Verdict:
    """1 when the response settles on the gold letter, A to J, however it is decorated.

    `exact` wants the letter alone; this also reads `(C)`, `Option C`, `\\textbf{(C)} 12`, `C. 12`.
    A response that names two letters chooses none. A lower-case letter counts in brackets or alone.
    A gold answer that is no letter gives a missing verdict.

    Returns a verdict of reward 0 or 1; its answer is the letter.
    """
    gold = gold_letter(problem.answer) or gold_letter(problem.answer.upper())
    if not gold:
        return Verdict.missing(f"the gold answer {problem.answer[:80]!r} is not a letter A to J")
    found = final_answer(response, where, marker)
    for candidate in found.candidates:
        alone = candidate.strip(" .*$`\n").upper()
        letter = chosen(candidate) or (alone if re.fullmatch("[A-J]", alone) else "")
        if letter:
            reason = f"{found.place}: {letter}, expected {gold}"
            return Verdict.binary(letter == gold, reason=reason, answer=letter)
    reason = f"{found.place}: not one letter" if found.candidates else "no answer found"
    return Verdict.binary(False, reason=reason, answer=found.answer)
