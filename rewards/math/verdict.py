r"""Gold and response in, verdict out: what a worker runs for `math_equal`."""

import re
import sys

from rewards.answers.choices import gold_letter, option, same_choice
from rewards.answers.extract import Where, final_answer, last_boxed
from rewards.answers.wording.roles import Refused, Unread
from rewards.math import compare, dates, math_verify
from rewards.math.parse.lexer import tokenize
from rewards.math.parse.parser import readings
from rewards.math.parse.tokens import spelling
from rewards.math.values.forms import Form, MathGroup, Unknown, Words
from rewards.types import JSON

sys.setrecursionlimit(6000)
sys.set_int_max_str_digits(0)

_MOST_GOLD = 20_000


def judge(gold: str, response: str, where: Where, marker: str) -> dict[str, JSON]:
    """Whether the final answer of `response` is `gold`: {"correct", "answer", "reason"}."""
    found = final_answer(response, where, marker)
    if not found.candidates:
        why = found.reason or "empty or cut off"
        empty = "no answer found" if found.place == "none" else f"{found.place}: {why}"
        return {"correct": False, "answer": "", "reason": empty}
    letter, target = option(gold_text(gold))
    try:
        wanted = readings(target)
    except Refused:
        wanted = [Unknown(target)]
    in_words = any(_has_words(form) for form in wanted)
    answer = found.answer
    for candidate in found.candidates:
        answer = candidate
        own, bare = option(candidate)
        if own and letter and own != letter:
            return {"correct": False, "answer": answer, "reason": f"{found.place}: option {own}"}
        chosen = not (own and letter) and same_choice(letter or target, candidate)
        if chosen or same_text(target, candidate):
            return {"correct": True, "answer": answer, "reason": f"{found.place}: the same text"}
        day = dates.same(target, candidate)
        if day is not None:
            why = "the same date" if day else "not the same date"
            return {"correct": day, "answer": answer, "reason": f"{found.place}: {why}"}
        candidate = candidate if gold_letter(target) else bare
        try:
            given = readings(candidate, comma_decimal=True)
        except Refused as error:
            return {"correct": False, "answer": answer, "reason": f"{found.place}: {error}"}
        unread = all(_has_words(form) for form in given) and not in_words
        if unread and not math_verify.is_heavy(candidate):
            continue
        equal = (left for left in wanted for right in given if compare.same(left, right))
        alike = next(equal, None)
        if alike is not None:
            why = f"equal as {type(alike).__name__.removeprefix('Math').lower()}"
            return {"correct": True, "answer": answer, "reason": f"{found.place}: {why}"}
        unread = any(isinstance(form, Unknown) for form in (*wanted[:1], *given[:1]))
        by_library = unread and math_verify.is_heavy(target + candidate)
        correct = by_library and math_verify.same(target, candidate)
        why = "equal by math-verify" if correct else "differs"
        return {"correct": correct, "answer": answer, "reason": f"{found.place}: {why}"}
    return {"correct": False, "answer": found.answer, "reason": f"{found.place}: not understood"}


def _has_words(form: Form) -> bool:
    """Whether some of it was not understood as mathematics."""
    if isinstance(form, MathGroup):
        return any(_has_words(item) for item in form.items)
    return isinstance(form, Unknown | Words)


def gold_text(gold: str) -> str:
    r"""The gold answer itself, from `\boxed{}`, `#### `, math signs, or bare as it is."""
    boxed = last_boxed(gold)
    if boxed is not None:
        return boxed
    if "####" in gold:
        gold = gold.rpartition("####")[2]
    return gold.strip()[:_MOST_GOLD]


def same_text(gold: str, answer: str) -> bool:
    """Whether both are spelt the same, spacing and styling aside."""
    if gold == answer:
        return bool(gold.strip())
    try:
        left, right = tokenize(gold), tokenize(answer)
    except Unread:
        return re.sub(r"\s", "", gold) == re.sub(r"\s", "", answer)
    return bool(left) and _letters(spelling(left)) == _letters(spelling(right))


def _letters(text: str) -> str:
    """`H H T` as `HHT`: a word and the product of its letters are spelt alike."""
    return re.sub(r"(?<=[A-Za-z]) (?=[A-Za-z])", "", text)
