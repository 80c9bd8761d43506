"""The answer must be the gold number, within a tolerance."""

import re
from fractions import Fraction
from typing import Annotated

from pydantic import Field

from recipes.slots.spec import Amount
from rewards.answers.extract import Where, final_answer
from rewards.answers.normalize import Number, number, unstyled
from rewards.answers.unicode_math import to_latex
from rewards.answers.wording.roles import Refused, Unread, check_introduction
from rewards.answers.wording.units import read_unit
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier

_TEXT = re.compile(r"\\(?:text|mathrm|mbox)\s*\{([^{}]*)\}")
_POWER = re.compile(r"(?<=[A-Za-z])\^\{?[23]\}?")
_AROUND = re.compile(
    r"(?P<before>(?:[A-Za-z\s,.:='()_-]*?[\s=:(])??)(?P<sign>\b(?:negative|minus)\s+)?"
    r"(?P<number>[-+$.\\\u20ac\u00a3\u00a5\u20b9\d].*?)"
    r"(?P<after>\s*[A-Za-z][A-Za-z\s/.',-]*)?"
)


@verifier.register()
async def numeric(
    problem: Problem,
    response: str,
    *,
    rel_tol: Annotated[
        float, Field(ge=0, lt=1, description="Allowed difference as a share of the gold number")
    ] = 0.0,
    abs_tol: Annotated[Amount, Field(description="Allowed absolute difference")] = 0.0,
    where: Annotated[Where, Field(description="Place of the answer in the response")] = "anywhere",
    marker: Annotated[
        str, Field(description="Text before the answer, the last one counts; empty: see `where`")
    ] = "",
) -> Verdict:
    """1 when the extracted answer is one number, and that number is the gold one.

    Cheaper than `math_equal`, which also knows expressions, and the only one with a tolerance.
    Reads thousands separators, fractions, mixed numbers, percent, currency signs, exponents, and
    takes a name before (`x =`) and a unit after the number away. An answer with two numbers is
    none, and so is one beside a word that is not known to leave a number as it is. `50%` is 0.5,
    and also 50 where one side alone has the sign and the gold is above 1. A gold answer that is no
    number gives a missing verdict.

    Returns a verdict of reward 0 or 1. The tolerance is the larger of the two, exact arithmetic.
    """
    try:
        gold = _read(problem.answer)
    except (Unread, Refused):
        return Verdict.missing(f"the gold answer {problem.answer[:80]!r} is not a number")
    found = final_answer(response, where, marker)
    candidate, value = "", None
    for candidate in found.candidates:
        try:
            value = _read(candidate)
            break
        except Unread:
            continue
        except Refused:
            break
    if value is None:
        reason = f"{found.place}: not one number" if found.candidates else "no answer found"
        return Verdict.binary(False, reason=reason, answer=found.answer)
    allowed = max(Fraction(abs_tol), Fraction(rel_tol) * abs(gold.value))
    # compared as they are, and by the number before a percent sign that one side lacks
    pairs = [(value.value, gold.value)]
    if gold.percent and not value.percent:
        pairs.append((value.value, gold.value * 100))
    elif value.percent and not gold.percent and abs(gold.value) > 1:
        pairs.append((value.value * 100, gold.value))
    correct = any(abs(given - wanted) <= allowed for given, wanted in pairs)
    reason = f"{found.place}: {'equal' if correct else 'differs'}"
    return Verdict.binary(correct, reason=reason, answer=candidate)


def _read(text: str) -> Number:
    """The one number in a short text; Unread or Refused where the words beside it do not fit."""
    text = _TEXT.sub(r" \1 ", unstyled(to_latex(text[:2000]))).strip().strip("$").strip()
    value = number(text)
    if value is not None:
        return value
    match = _AROUND.fullmatch(_POWER.sub("", text).rstrip(" .$"))
    value = number(((match["sign"] and "-") or "") + match["number"]) if match else None
    if match is None or value is None:
        raise Unread("not one number")
    check_introduction(match["before"], adjacent=match["before"].strip()[-1:] not in ("=", ":"))
    if match["after"]:
        read_unit(re.findall(r"[A-Za-z'-]+|/", match["after"]), one=value.value == 1)
    return value
