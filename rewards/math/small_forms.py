"""Matrices, ratios, times, numerals and words: each compared by its own rule."""

from dataclasses import replace

from sympy import Expr, I, Integer, Symbol

from rewards.math.values import equality
from rewards.math.values.forms import Clock, Form, MathGroup, Matrix, Numeral, Ratio, Scalar, Words


def same_matrices(gold: Form, answer: Form) -> bool:
    first, second = _rows(gold), _rows(answer)
    if first is None or second is None:
        return False
    vector = not (isinstance(gold, Matrix) and isinstance(answer, Matrix))
    if vector and 1 in (len(first), len(first[0])) and 1 in (len(second), len(second[0])):
        first, second = ([[entry for row in rows for entry in row]] for rows in (first, second))
    if [len(row) for row in first] != [len(row) for row in second]:
        return False
    return all(
        equality.equal(a, b)
        for row, other in zip(first, second, strict=True)
        for a, b in zip(row, other, strict=True)
    )


def _rows(form: Form) -> list[list[Expr]] | None:
    if isinstance(form, Matrix):
        return [list(row) for row in form.rows]
    if isinstance(form, MathGroup) and form.kind == "tuple" and form.opening == "[":
        rows = [
            _rows(replace(row, opening="(")) for row in form.items if isinstance(row, MathGroup)
        ]
        nested = len(rows) == len(form.items) and len({len(row[0]) for row in rows if row}) == 1
        return [row[0] for row in rows if row] if nested and None not in rows else None
    if isinstance(form, MathGroup) and form.kind == "tuple" and form.opening == "(":
        entries = [item.value for item in form.items if isinstance(item, Scalar)]
        return [entries] if len(entries) == len(form.items) else None
    if not isinstance(form, Scalar) or form.unit is not None:
        return None
    # `3i - 2j + k` as a row; two entries without a k; None for fewer than two terms
    i, j, k = (Symbol(name) for name in "ijk")
    hats = {Symbol(f"hat({name})"): Symbol(name[0]) for name in ("i", "j", "k")}
    value = form.value.xreplace({I: i, **hats}).expand()
    found = [value.coeff(letter) for letter in (i, j, k)]
    if sum(f != 0 for f in found) < 2 or any(f.has(i, j, k) for f in found):
        return None
    if value - found[0] * i - found[1] * j - found[2] * k != 0:
        return None
    return [found if found[2] else found[:2]]


def same_ratios(gold: Form, answer: Form) -> bool:
    first, second = _parts(gold), _parts(answer)
    if first is None or second is None or len(first) != len(second):
        return False
    return all(
        equality.equal(first[0] * second[k], first[k] * second[0]) for k in range(1, len(first))
    ) and any(part != 0 for part in second)


def _parts(form: Form) -> tuple[Expr, ...] | None:
    if isinstance(form, Ratio):
        return form.parts
    if isinstance(form, Clock) and not form.half:
        return Integer(form.hour), Integer(form.minute)
    if isinstance(form, Scalar) and not form.percent and form.unit is None:
        return form.value, Integer(1)
    return None


def same_clocks(gold: Form, answer: Form) -> bool:
    if isinstance(gold, Clock) and isinstance(answer, Clock):
        if (gold.half and answer.half) or not (gold.half or answer.half):
            return gold.minutes == answer.minutes
        bare, full = (answer, gold) if gold.half else (gold, answer)
        return (bare.hour % 12, bare.minute) == (full.hour % 12, full.minute) and (
            bare.hour <= 12 or bare.minutes == full.minutes
        )
    return same_ratios(gold, answer)


def same_numerals(gold: Form, answer: Form) -> bool:
    if isinstance(gold, Numeral) and isinstance(answer, Numeral):
        return (gold.base, gold.digits) == (answer.base, answer.digits)
    number, other = (gold, answer) if isinstance(gold, Numeral) else (answer, gold)
    assert isinstance(number, Numeral)
    if not isinstance(other, Scalar) or other.unit is not None or other.percent:
        return False
    if number.base == 10 or number is gold:
        return number.digits.isdigit() and other.value == int(number.digits)
    return False


def same_words(gold: Form, answer: Form) -> bool:
    first, second = _as_words(gold), _as_words(answer)
    return first is not None and second is not None and _stemmed(first) == _stemmed(second)


def _as_words(form: Form) -> str | None:
    if isinstance(form, Words):
        return form.text
    if isinstance(form, Scalar) and form.value.is_Symbol and form.unit is None:
        return str(form.value.name).lower()
    return None


def _stemmed(text: str) -> str:
    return " ".join(word.removesuffix("s") if len(word) > 3 else word for word in text.split())
