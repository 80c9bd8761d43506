"""The answer must be the gold number, within a tolerance."""

import re
from fractions import Fraction
from typing import Annotated

from pydantic import Field

from rewards.answers.extract import Extraction, Where, final_answer
from rewards.answers.hedging import unsettled
from rewards.answers.normalize import Number, number, unstyled
from rewards.answers.unicode_math import to_latex
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier

_NAME = re.compile(r"^[A-Za-z_ ()\\]{0,40}=\s*")
_UNIT = re.compile(r"\s*(?:\\(?:text|mathrm|mbox)\s*\{[A-Za-z /^.\d]*\}|[A-Za-z][A-Za-z /.\-']*)$")
_MINUS = re.compile(r"\b(?:negative|minus) (?=[$.\d\\])")
_WORDS = re.compile(r"^(?:[A-Za-z]+\s+){1,8}(?=[-+$\d.\\\u20ac\u00a3])")


@verifier.register()
async def numeric(
    problem: Problem,
    response: str,
    *,
    rel_tol: Annotated[
        float, Field(ge=0, lt=1, description="allowed difference, as a share of the gold number")
    ] = 0.0,
    abs_tol: Annotated[float, Field(ge=0, description="allowed difference")] = 0.0,
    where: Annotated[Where, Field(description="where the answer is looked for")] = "anywhere",
    marker: Annotated[
        str, Field(description="the answer follows the last of these; empty: see `where`")
    ] = "",
) -> Verdict:
    """1 when the extracted answer is one number, and that number is the gold one.

    Cheaper than `math_equal`, which also knows expressions, and the only one with a tolerance.
    Reads thousands separators, fractions, mixed numbers, percent, currency signs, exponents, and
    takes a name before (`x =`) and a unit after the number away. An answer with two numbers is
    none, and so is one beside `not`, `at least`, `twice` and their kin. `50%` is 0.5, and also 50
    where one side alone has the sign and the gold is above 1. A gold answer that is no number gives
    a missing verdict.

    Returns a verdict of reward 0 or 1. The tolerance is the larger of the two, exact arithmetic.
    """
    gold = _read(problem.answer)
    if gold is None:
        return Verdict.missing(f"the gold answer {problem.answer[:80]!r} is not a number")
    found = final_answer(response, where, marker)
    candidate, value = _first_number(found)
    if value is None:
        reason = f"{found.place}: not one number" if found.candidates else "no answer found"
        return Verdict.binary(False, reason=reason, answer=found.answer)
    allowed = max(Fraction(abs_tol), Fraction(rel_tol) * abs(gold.value))
    correct = any(abs(value - wanted) <= allowed for value, wanted in _pairs(gold, value))
    reason = f"{found.place}: {'equal' if correct else 'differs'}"
    return Verdict.binary(correct, reason=reason, answer=candidate)


def _first_number(found: Extraction) -> tuple[str, Number | None]:
    for candidate in found.candidates:
        value = _read(candidate)
        if value is not None:
            return candidate, value
    return "", None


def _read(text: str) -> Number | None:
    """The one number in a short text."""
    text = unstyled(to_latex(text[:2000])).strip().strip("$").strip()
    text = _MINUS.sub("-", text, count=1)
    for pattern in (_NAME, _WORDS, _UNIT):
        value = number(text)
        if value is not None:
            return value
        match = pattern.search(text)
        if match is None:
            continue
        removed = match.group()
        if unsettled(*(("", removed) if match.start() else (removed, ""))):
            return None
        text = pattern.sub("", text).strip().strip("$").strip()
    return number(text)


def _pairs(gold: Number, value: Number) -> list[tuple[Fraction, Fraction]]:
    """Values to compare: as they are, and by the number before a percent sign one side lacks."""
    pairs = [(value.value, gold.value)]
    if gold.percent and not value.percent:
        pairs.append((value.value, gold.value * 100))
    elif value.percent and not gold.percent and abs(gold.value) > 1:
        pairs.append((value.value * 100, gold.value))
    return pairs
