r"""Tokens -> one thing: a scalar with its unit, a matrix, a time, a numeral, words."""

import itertools
import re
from dataclasses import replace
from fractions import Fraction

import sympy
from sympy import Expr, Rational

from rewards.answers.wording import number_words, units
from rewards.answers.wording.roles import Unread
from rewards.answers.wording.units import Unit
from rewards.math.parse import scalar
from rewards.math.parse.tokens import MathToken
from rewards.math.values.forms import (
    Clock,
    Field,
    Form,
    MathGroup,
    Matrix,
    Numeral,
    Ratio,
    Scalar,
    Words,
)

_ARTICLES = frozenset({"a", "an", "the", "on", "at"})
_PERCENT = frozenset({"percent", "percentage", "pct"})
_BASES = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "sixteen": 16,
}  # fmt: skip
_NUMERAL = re.compile(
    r"\(?([0-9A-Fa-f]+)\)?(?:_\{?\(?(?:base)?(\d{1,2}|[a-z]+)\)?\}?|\(?(?:in)?base-?(\d{1,2}|[a-z]+)\)?)"
)
_PREFIXED = re.compile(r"0([bxo])([0-9A-Fa-f]+)")
_SYNONYMS = {
    "does not exist": "dne", "do not exist": "dne", "undefined": "dne", "diverges": "divergent",
    "infinitely many solutions": "infinitely many",
    "infinite solutions": "infinitely many", "none of these": "none of above",
}  # fmt: skip
_REALS = frozenset(
    {"all real numbers", "all reals", "real numbers", "all real", "any real number", "reals",
     "every real number", "set of all real numbers", "set of real numbers"}
)  # fmt: skip
_EMPTY = re.compile(
    r"(?:empty|null) set"
    r"|(?:there (?:is|are) )?no (?:real |integer )?(?:solutions?|roots?)(?: exists?)?"
)
_SUBJECT = re.compile(r"(?:(?:it|this|series|sequence|integral|limit|sum) )+(?=[a-z])")
_ENVIRONMENTS = frozenset({"pmatrix", "bmatrix", "matrix", "Bmatrix", "smallmatrix", "array"})
_SHORT_FACTORS = {"k": "thousand", "K": "thousand", "M": "million", "B": "billion"}
_TEMPERATURES = {"c": "temp", "celsius": "temp", "f": "tempf", "fahrenheit": "tempf"}
_MATRIX_MOST = 40  # rows or columns


def words(tokens: list[MathToken]) -> Form | None:
    """An answer made of words alone; None when anything else is in it."""
    kept = [t for t in tokens if t.kind != "dots" and t.text not in ("'", "-")]
    if not any(t.kind == "word" for t in kept):
        return None
    if any(t.kind not in ("word", "sym") for t in kept):
        return None
    if kept[0].kind == "sym" and not kept[0].roman and units.is_unit_word(kept[1].text):
        return None  # `r cm`
    text = " ".join(t.text.lower() for t in kept if t.text.lower() not in _ARTICLES)
    text = _SUBJECT.sub("", text, count=1) if _SUBJECT.match(text) else text
    text = _SYNONYMS.get(text, text)
    if text in _REALS:
        return Field("R")
    if _EMPTY.fullmatch(text):
        return MathGroup("set", ())
    number = number_words.number_from_words(text)
    if number is not None:
        return Scalar(Rational(number.numerator, number.denominator))
    parts = text.split()
    for cut in range(len(parts) - 1, 0, -1):  # `seven dollars`: a number in words, then a unit
        number = number_words.number_from_words(" ".join(parts[:cut]))
        if number is not None:
            unit = units.read_unit(parts[cut:], one=number == 1)
            return Scalar(Rational(number.numerator, number.denominator), unit)
    return Words(text)


def numeral(text: str) -> Numeral | None:
    r"""`1010_2`, `A1_{16}`, `1010_{\text{two}}`, `1010 (base 2)`, `0b1010`."""
    flat = re.sub(r"\\(?:text|mathrm|textrm|operatorname)\s*\{([^{}]*)\}", r"\1", text)
    flat = re.sub(r"[\s$,]|\\left|\\right", "", flat)
    if len(flat) > 200:
        return None
    match = _NUMERAL.fullmatch(flat)
    if match is not None:
        word = match[2] or match[3]
        base = int(word) if word.isdigit() else _BASES.get(word.lower(), 0)
        digits = match[1].upper()
        # letters alone are digits in base sixteen only, and only two or more of them
        in_digits = any(d.isdigit() for d in digits) or (base == 16 and len(digits) > 1)
        if 2 <= base <= 36 and in_digits and _valid(digits, base):
            return Numeral(digits.lstrip("0") or "0", base)
        return None
    match = _PREFIXED.fullmatch(flat)
    if match is not None:
        base = {"b": 2, "x": 16, "o": 8}[match[1]]
        if _valid(match[2].upper(), base):
            return Numeral(match[2].upper().lstrip("0") or "0", base)
    return None


def _valid(digits: str, base: int) -> bool:
    return all(int(digit, 36) < base for digit in digits)


_HALVES = {"am": "am", "pm": "pm", "noon": "pm", "midnight": "am"}


def clock(tokens: list[MathToken]) -> Clock | None:
    """`3:30`, `3:30 pm`, `5 am`; None otherwise."""
    half = _HALVES.get(tokens[-1].text.lower(), "") if tokens else ""
    tokens = tokens[:-1] if half else tokens
    texts = [t.text for t in tokens]
    digits = [text for text in texts if text.isdigit() and len(text) <= 2]
    if len(texts) == 1 and half and digits:
        hour, minute = int(texts[0]), 0
    elif len(texts) == 3 and texts[1] == ":" and len(digits) == 2 and len(texts[2]) == 2:
        hour, minute = int(texts[0]), int(texts[2])
    else:
        return None
    return Clock(hour, minute, half) if hour <= 24 and minute < 60 else None


def ratio(parts: list[list[MathToken]]) -> Ratio:
    return Ratio(tuple(scalar.parse(part).value for part in parts))


def matrix(tokens: list[MathToken]) -> Form | None:
    """A matrix, with brackets around and a factor before it; None when there is none."""
    begins = [place for place, token in enumerate(tokens) if token.kind == "begin"]
    if not begins:
        return None
    ends = [place for place, token in enumerate(tokens) if token.kind == "end"]
    if len(begins) != 1 or len(ends) != 1 or ends[0] < begins[0]:
        raise Unread("several environments")
    environment = tokens[begins[0]].text
    before, after = tokens[: begins[0]], tokens[ends[0] + 1 :]
    lines: list[list[list[MathToken]]] = [[[]]]
    for token in tokens[begins[0] + 1 : ends[0]]:
        if token.kind == "row":
            lines.append([[]])
        elif token.kind == "amp":
            lines[-1].append([])
        else:
            lines[-1][-1].append(token)
    lines = [line for line in lines if any(line)]
    if not lines or len({len(line) for line in lines}) != 1:
        raise Unread("a matrix with ragged rows")
    if len(lines) > _MATRIX_MOST or len(lines[0]) > _MATRIX_MOST:
        raise Unread("a huge matrix")
    rows = [[scalar.parse(cell).value for cell in line] for line in lines]
    if before and after and before[-1].kind in ("open", "bar"):
        if before[-1].kind == "bar":
            environment = "vmatrix"
        before, after = before[:-1], after[1:]
    if "".join(t.text for t in after) in ("^T", "^{T{", "^top"):
        rows, after = [list(row) for row in zip(*rows, strict=True)], []
    if after:
        raise Unread("something after a matrix")
    one = MathToken("num", "1", Fraction(1))
    if not before or before[-1].text in "+-":
        before = [*before, one]
    elif before[-1].text == "*":
        before = before[:-1]
    factor = scalar.parse(before).value
    if environment == "vmatrix":
        return Scalar(factor * sympy.Matrix(rows).det())
    if environment not in _ENVIRONMENTS:
        raise Unread(f"environment {environment!r}")
    return Matrix(tuple(tuple(factor * entry for entry in row) for row in rows))


def quantity(tokens: list[MathToken]) -> Scalar:
    """A number or expression with currency, number words, percent sign and unit."""
    # `\frac{\text{m}}{\text{s}}` at the end as `m / s`
    fraction = max(
        (p for p, t in enumerate(tokens) if t.text == "frac" and t.kind == "cmd"), default=0
    )
    inner = [t for t in tokens[fraction + 1 :] if t.kind not in ("open", "close")]
    middle = next((p for p, t in enumerate(tokens) if p > fraction and t.kind == "close"), 0)
    if fraction and inner and all(t.kind == "word" for t in inner) and middle:
        above = [t for t in tokens[fraction + 1 : middle] if t.kind == "word"]
        below = [t for t in tokens[middle:] if t.kind == "word"]
        if above and below:
            tokens = [*tokens[:fraction], *above, MathToken("op", "/"), *below]
    tokens, unit = _currency(tokens)
    cut = next((place for place, t in enumerate(tokens) if t.kind == "word" and place), None)
    number = tokens if cut is None else tokens[:cut]
    rest = [] if cut is None else tokens[cut:]
    if unit and len(number) > 1 and number[-1].text in _SHORT_FACTORS and not number[-1].gap:
        rest = [replace(number[-1], kind="word", text=_SHORT_FACTORS[number[-1].text]), *rest]
        number = number[:-1]
    percent = False
    if number and number[-1].kind == "pct":
        number, percent = number[:-1], True
    elif rest and rest[0].text.lower() in _PERCENT:
        rest, percent = rest[1:], True
    elif (
        number
        and number[-1].kind == "sym"
        and number[-1].text in ("C", "F", "K")
        and any(t.kind == "deg" for t in number[-2:-1])
    ):
        rest = [replace(number[-1], kind="word"), *rest]
        number = number[:-1]
    parsed = scalar.parse(number)
    value = parsed.value
    while rest and (factor := number_words.FACTORS.get(rest[0].text.lower())) is not None:
        value, rest = value * _rational(factor), rest[1:]
    if parsed.degrees:
        scale = _TEMPERATURES.get(rest[0].text.lower()) if rest else None
        unit, rest = Unit(((scale, 1),)) if scale else units.degrees(), []
    if rest:
        named = units.read_unit(_parts(rest), one=value == 1, counted=bool(unit or percent))
        unit = unit or named
    return Scalar(value, unit, percent)


def compound(tokens: list[MathToken]) -> Scalar | None:
    """`2 hours and 30 minutes`: quantities of falling units added up; None for anything else."""
    starts = [place for place, token in enumerate(tokens) if token.kind == "num"]
    if not 1 < len(starts) < 5 or starts[0] or not any(t.kind == "word" for t in tokens):
        return None
    total, last = sympy.Integer(0), None
    for start, end in itertools.pairwise([*starts, len(tokens)]):
        piece = tokens[start:end]
        while len(piece) > 1 and (piece[-1].text in (",", "and")):
            piece = piece[:-1]
        if len(piece) < 2 or piece[1].kind != "word":
            return None
        try:
            found = quantity(piece)
        except Unread:
            return None
        unit = found.unit
        if unit is None or (last is None and unit.counts_things):
            return None
        if last and (not unit.is_like(last) or unit.factor >= last.factor):
            return None
        total, last = total + found.value * _rational(unit.factor), unit
    assert last is not None
    return Scalar(total / _rational(last.factor), last)


def _rational(number: Fraction) -> Expr:
    return Rational(number.numerator, number.denominator)


def letter_unit(tokens: list[MathToken]) -> Scalar | None:
    """The reading of `5 m`, `5 m/s` as a quantity instead of a product; None when it has none."""
    cut = next((p for p, t in enumerate(tokens) if t.kind == "sym" and p), None)
    if cut is None or not tokens[cut].gap or not units.is_letter_unit(tokens[cut].text):
        return None
    if any(t.kind not in ("sym", "op", "num", "open", "close") for t in tokens[cut:]):
        return None
    letters = [t for t in tokens[cut:] if t.kind == "sym"]
    if not all(units.is_unit_word(t.text) for t in letters) or len(letters) > 3:
        return None
    try:
        value = scalar.parse(tokens[:cut]).value
        unit = units.read_unit(_parts(tokens[cut:]))
    except Unread:
        return None
    return Scalar(value, unit) if unit.dimensions and value.is_number else None


def _currency(tokens: list[MathToken]) -> tuple[list[MathToken], Unit | None]:
    signs = [place for place, token in enumerate(tokens) if token.kind == "money"]
    if signs:
        if len(signs) > 1 or (
            signs[0] > 1 and signs[0] != len(tokens) - 1 and (tokens[signs[0] + 1].kind != "word")
        ):
            raise Unread("several currency signs")
        return tokens[: signs[0]] + tokens[signs[0] + 1 :], units.money(tokens[signs[0]].text)
    if len(tokens) > 1 and tokens[0].kind == "word" and units.is_unit_word(tokens[0].text):
        named = units.read_unit([tokens[0].text])
        if named.dimensions[0][0].startswith("money"):
            return tokens[1:], named
    return tokens, None


def _parts(tokens: list[MathToken]) -> list[str]:
    parts = []
    for token in tokens:
        if token.kind in ("open", "close") and token.text in ("{", "("):
            continue
        if token.kind in ("word", "sym", "num") or (token.kind == "op" and token.text in "/*^-"):
            parts.append(token.text)
        elif token.kind == "deg":
            parts.append("degree")
        elif token.kind not in ("dots", "sep") and token.text != "'":
            raise Unread(f"{token.text!r} in a unit")
    joined: list[str] = []
    for part in parts:
        if joined[-1:] == ["-"] and joined[-2:-1] and joined[-2].isalpha() and part.isalpha():
            joined[-2:] = [f"{joined[-2]}-{part}"]
        elif joined[-1:] == ["-"]:
            joined[-1] = "-" + part
        else:
            joined.append(part)
    if any(re.fullmatch(r"\d.*", p) and joined[i - 1] != "^" for i, p in enumerate(joined)):
        raise Unread("a number in a unit")
    return joined


def starts_quantity(tokens: list[MathToken]) -> bool:
    """Whether the first word belongs to what follows: a currency before its amount."""
    return _currency(tokens)[1] is not None
